"""The loop stays rolled: the code does not grow with the number of iterations."""

import re
import subprocess

import pytest
from findtool import find_tool

PROGRAM = """
func.func @f(%x: tensor<3x?x7xf32>) -> (tensor<3x?xf32>, tensor<3x7xf32>, tensor<3xi32>, tensor<3xf32>, tensor<3xi32>) {{
  %r:5 = scaling.sinkhorn logits(%x : tensor<3x?x7xf32>) order({order}) stop(#scaling.stop<{stop}>) numerics(#scaling.numerics<{domain}>)
  return %r#0, %r#1, %r#2, %r#3, %r#4 : tensor<3x?xf32>, tensor<3x7xf32>, tensor<3xi32>, tensor<3xf32>, tensor<3xi32>
}}
"""  # noqa: E501
STOPS = [
    "fixed {}", "fixed {}, measure = last", "until 1.0e-6, limit = {}",
    "until 1.0e-6, what = change, axis = cols, limit = {}", "best {}",
]  # fmt: skip


@pytest.mark.parametrize("order", ["rows_first", "cols_first", "jacobi"])
@pytest.mark.parametrize("stop", STOPS)
def test_same_size(route, tmp_path, stop, order):
    shapes = []
    for count in (20, 20_000):
        source = tmp_path / "f.mlir"
        source.write_text(
            PROGRAM.format(stop=stop.format(count), order=order, domain="log")
        )
        done = subprocess.run(
            [find_tool("scaling-compile"), source, "--emit=mlir",
             f"--pipeline={route}", "--no-threads", "-o", "-"],
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        shapes.append(re.findall(r"llvm\.\w+(?:\.\w+)*", done.stdout))
    # The same operations in the same order: only constants differ.
    assert len(shapes[0]) == len(shapes[1]) and sorted(shapes[0]) == sorted(shapes[1])
