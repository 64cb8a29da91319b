"""Results do not depend on the number of threads: to the last bit."""

import subprocess

import numpy as np
import pytest

from programs import find_tool

PROGRAMS = {
    "sweeps of a kernel": """
func.func @f(%x: tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<i32>) {
  %r:4 = scaling.project logits(%x : tensor<?x?xf32>)
      stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<kernel>)
  return %r#0, %r#3 : tensor<?x?xf32>, tensor<i32>
}""",
    "sweeps in the log domain, until": """
func.func @f(%x: tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<i32>) {
  %r:4 = scaling.project logits(%x : tensor<?x?xf32>)
      stop(#scaling.stop<until 1.0e-4, axis = cols, limit = 200>)
      numerics(#scaling.numerics<log>)
  return %r#0, %r#1 : tensor<?x?xf32>, tensor<i32>
}""",
    "matrices side by side": """
func.func @f(%x: tensor<?x?xf32>) -> (tensor<?x5x5xf32>, tensor<?xi32>) {
  %cut = tensor.extract_slice %x[0, 0] [61, 25] [1, 1] : tensor<?x?xf32> to tensor<61x25xf32>
  %y = tensor.expand_shape %cut [[0], [1, 2]] output_shape [61, 5, 5]
      : tensor<61x25xf32> into tensor<61x5x5xf32>
  %z = tensor.cast %y : tensor<61x5x5xf32> to tensor<?x5x5xf32>
  %r:4 = scaling.project logits(%z : tensor<?x5x5xf32>) preset(mhc)
  return %r#0, %r#3 : tensor<?x5x5xf32>, tensor<?xi32>
}""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_number_of_threads(name, tmp_path):
    program, matrix = tmp_path / "f.mlir", tmp_path / "x.npy"
    program.write_text(PROGRAMS[name])
    logits = np.random.default_rng(7).normal(size=(413, 131)).astype(np.float32)
    np.save(matrix, logits)

    def run(threads):
        outputs = [tmp_path / f"{threads}-{i}.npy" for i in range(2)]
        command = [find_tool("scaling-run"), program, "--input", matrix]
        for output in outputs:
            command += ["--output", output]
        subprocess.run(
            command + [f"--num-threads={threads}"], check=True, capture_output=True
        )
        return [np.load(output) for output in outputs]

    expected = run(1)
    assert np.all(np.isfinite(expected[0])) and np.ptp(expected[0]) > 0
    for threads in (2, 3, 8):
        for one, several in zip(expected, run(threads)):
            np.testing.assert_array_equal(one, several)
