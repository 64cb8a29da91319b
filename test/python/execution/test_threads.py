"""Results do not depend on the number of threads: to the last bit."""

import concurrent.futures
import ctypes
import os
import subprocess

import numpy as np
import pytest

from findtool import find_tool

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
    "the default domain, until": """
func.func @f(%x: tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<i32>) {
  %r:4 = scaling.project logits(%x : tensor<?x?xf32>)
      stop(#scaling.stop<until 1.0e-4, axis = cols, limit = 200>)
  return %r#0, %r#1 : tensor<?x?xf32>, tensor<i32>
}""",
    "balance, the best iterate": """
func.func @f(%x: tensor<?x?xf32>) -> (tensor<?xf32>, tensor<i32>) {
  %r:5 = scaling.balance matrix(%x : tensor<?x?xf32>) preset(sinq)
  return %r#0, %r#4 : tensor<?xf32>, tensor<i32>
}""",
    "matrices side by side": """
func.func @f(%x: tensor<?x?xf32>) -> (tensor<?x4x5x5xf32>, tensor<?x4xi32>) {
  %cut = tensor.extract_slice %x[0, 0] [401, 100] [1, 1] : tensor<?x?xf32> to tensor<401x100xf32>
  %y = tensor.expand_shape %cut [[0], [1, 2, 3]] output_shape [401, 4, 5, 5]
      : tensor<401x100xf32> into tensor<401x4x5x5xf32>
  %z = tensor.cast %y : tensor<401x4x5x5xf32> to tensor<?x4x5x5xf32>
  %r:4 = scaling.project logits(%z : tensor<?x4x5x5xf32>) preset(mhc)
  return %r#0, %r#3 : tensor<?x4x5x5xf32>, tensor<?x4xi32>
}""",
    "large matrices one after the other": """
func.func @f(%x: tensor<?x?xf32>) -> (tensor<3x?x131xf32>, tensor<3xi32>) {
  %cut = tensor.extract_slice %x[0, 0] [411, 131] [1, 1] : tensor<?x?xf32> to tensor<411x131xf32>
  %y = tensor.expand_shape %cut [[0, 1], [2]] output_shape [3, 137, 131]
      : tensor<411x131xf32> into tensor<3x137x131xf32>
  %r:4 = scaling.project logits(%y : tensor<3x137x131xf32>)
      stop(#scaling.stop<fixed 7>) {scaling.schedule = #scaling.schedule<streaming, row_block = 8>}
  %z = tensor.cast %r#0 : tensor<3x137x131xf32> to tensor<3x?x131xf32>
  return %z, %r#3 : tensor<3x?x131xf32>, tensor<3xi32>
}""",
}


def make_logits():
    return np.random.default_rng(7).normal(size=(413, 131)).astype(np.float32)


@pytest.mark.parametrize("name", PROGRAMS)
def test_number_of_threads(name, tmp_path):
    program, matrix = tmp_path / "f.mlir", tmp_path / "x.npy"
    program.write_text(PROGRAMS[name])
    np.save(matrix, make_logits())

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


class Descriptor(ctypes.Structure):
    """A memref of rank 0 to 4, as the C header declares it."""

    _fields_ = [
        ("allocated", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("offset", ctypes.c_int64),
        ("sizes_and_strides", ctypes.c_int64 * 8),
    ]

    def __init__(self, array):
        strides = [stride // array.itemsize for stride in array.strides]
        super().__init__(None, array.ctypes.data, 0, (*array.shape, *strides))


def call(function, *arrays):
    function(*(ctypes.byref(Descriptor(array)) for array in arrays))


def compile_library(name, tmp_path, *options):
    program, library = tmp_path / "f.mlir", tmp_path / "libf.so"
    program.write_text(PROGRAMS[name])
    subprocess.run(
        [find_tool("scaling-compile"), program, "--emit=shared", "-o", library]
        + list(options),
        check=True,
        capture_output=True,
    )
    return ctypes.CDLL(str(library))


@pytest.fixture
def runtime():
    """The runtime that compiled libraries link."""
    folder = os.path.join(os.path.dirname(find_tool("scaling-compile")), "..", "lib")
    library = ctypes.CDLL(os.path.join(folder, "libscaling_runtime.so"))
    library.scaling_workspace_idle_bytes.restype = ctypes.c_int64
    library.scaling_workspace_acquire.restype = ctypes.c_void_p
    library.scaling_workspace_release.argtypes = [ctypes.c_void_p]
    yield library
    library.scaling_set_num_threads(0)


@pytest.mark.parametrize(
    "name", ["sweeps of a kernel", "sweeps in the log domain, until"]
)
def test_several_callers(name, tmp_path, runtime):
    """Compiled code on several threads of its host at once."""
    function = compile_library(name, tmp_path)._mlir_ciface_f
    logits = make_logits()

    def run(_=None):
        plan, count = np.empty_like(logits), np.empty((), np.int32)
        call(function, logits, plan, count)
        return plan, count

    runtime.scaling_set_num_threads(1)
    expected = run()
    for threads in (1, 2, 3, 8):
        runtime.scaling_set_num_threads(threads)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for plan, count in pool.map(run, range(12)):
                np.testing.assert_array_equal(plan, expected[0])
                assert count == expected[1]


def test_memory_is_kept(tmp_path, runtime):
    """Later calls find the memory of the first."""
    function = compile_library("sweeps in the log domain, until", tmp_path)
    logits = make_logits()
    plan, count = np.empty_like(logits), np.empty((), np.int32)
    # Others may or may not take part, with scratch of their own.
    runtime.scaling_set_num_threads(1)
    runtime.scaling_workspace_trim()
    assert runtime.scaling_workspace_idle_bytes() == 0
    for _ in range(3):
        call(function._mlir_ciface_f, logits, plan, count)
    idle = runtime.scaling_workspace_idle_bytes()
    # Vectors and partial sums, no matrix.
    assert 0 < idle < logits.nbytes
    for _ in range(3):
        call(function._mlir_ciface_f, logits, plan, count)
        assert runtime.scaling_workspace_idle_bytes() == idle


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("options", [[], ["--no-threads"]])
def test_workspace_of_the_caller(name, options, tmp_path, runtime):
    """The same results with memory that the caller brings."""
    logits = make_logits()
    shapes = {
        "balance, the best iterate": (413,),
        "matrices side by side": (401, 4, 5, 5),
        "large matrices one after the other": (3, 137, 131),
    }
    shape = shapes.get(name, logits.shape)
    count_shape = shape[:-2]
    (tmp_path / "own").mkdir()
    (tmp_path / "given").mkdir()
    runtime.scaling_set_num_threads(2)

    expected = [np.empty(shape, np.float32), np.empty(count_shape, np.int32)]
    own = compile_library(name, tmp_path / "own", *options)
    call(own._mlir_ciface_f, logits, *expected)

    given = compile_library(name, tmp_path / "given", "--workspace-argument", *options)
    results = [np.empty(shape, np.float32), np.empty(count_shape, np.int32)]
    size = np.zeros(1, np.int64)
    call(given._mlir_ciface_f_workspace_size, logits, *results, size)
    assert 0 <= size[0] < 64 * logits.nbytes
    memory = np.full(int(size[0]) + 128, 0xA5, np.uint8)
    begin = -memory.ctypes.data % 64
    workspace = memory[begin : begin + int(size[0])]
    call(given._mlir_ciface_f, logits, *results, workspace)
    for one, other in zip(expected, results):
        np.testing.assert_array_equal(one, other)
    # Nothing is written outside of it.
    assert np.all(memory[:begin] == 0xA5)
    assert np.all(memory[begin + int(size[0]) :] == 0xA5)
