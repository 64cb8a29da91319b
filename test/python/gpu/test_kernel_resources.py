"""What the kernels of all programs take of a multiprocessor, against a table:
registers and shared memory, which may change by a tenth; no library, no local
variables; no spills and no stack.

`python test_kernel_resources.py` in this folder writes the table anew.
"""

import csv
import os
import re
from functools import cache
from pathlib import Path

import pytest
from assembled_kernels import (
    CHIPS,
    ROOT,
    assemble,
    compile_program,
    find_ptxas,
    shared_bytes,
)
from emulated_kernels import differentiate

FULL = "SCALING_TEST_FULL" in os.environ
TABLE = Path(__file__).with_name("resources.csv")
COLUMNS = ("program", "chip", "kernel", "registers", "shared_bytes", "stack", "spills")
#: What a number may differ by before somebody has to look.
TOLERANCE = 0.1
PROGRAMS = {
    path.relative_to(ROOT).as_posix(): path
    for folder in ("examples/*", "benchmark/programs")
    for path in sorted(ROOT.glob(f"{folder}/*.mlir"))
}
#: The programs of the benchmarks on all chips only with the full tests.
CASES = [
    (name, chip)
    for name in PROGRAMS
    for chip in CHIPS
    if FULL or name.startswith("examples/") or chip == "sm_90"
]


@cache
def read_table():
    with TABLE.open(newline="") as file:
        return {
            (row["program"], row["chip"], row["kernel"]): row
            for row in csv.DictReader(file)
        }


def measure(name, chip):
    ptx = compile_program(PROGRAMS[name], "ptx", chip)
    return ptx, assemble(ptx, chip), shared_bytes(PROGRAMS[name], chip)


@pytest.mark.skipif(not find_ptxas(), reason="no ptxas")
@pytest.mark.parametrize("name, chip", CASES)
def test_resources(name, chip):
    ptx, kernels, shared = measure(name, chip)
    assert "__nv_" not in ptx and ".extern .func" not in ptx
    assert ".local" not in ptx
    assert kernels
    for kernel, found in kernels.items():
        row = read_table().get((name, chip, kernel))
        assert row, "a new kernel: write the table anew"
        assert (found["stack"], found["spills"]) == (0, 0)
        for column, number in (
            ("registers", found["registers"]),
            ("shared_bytes", shared[kernel]),
        ):
            expected = int(row[column])
            assert abs(number - expected) <= TOLERANCE * expected, column


def solve_of_clouds(element):
    """Two sweeps, and what is around them."""
    points, vector, matrix = (
        f"tensor<{sizes}x{element}>" for sizes in ("4096x64", "4096", "4096x4096")
    )
    return f"""
        func.func @f(%x: {points}, %y: {points}) -> ({vector}, {vector}) {{
          %e = tensor.empty() : {matrix}
          %C = scaling.pairwise sqeuclidean points(%x, %y : {points}, {points})
              outs(%e : {matrix}) -> {matrix}
          %r:5 = scaling.sinkhorn cost(%C : {matrix})
              form(#scaling.form<cost, epsilon = 0.1>)
              rows(#scaling.rule<sum, target = uniform>)
              cols(#scaling.rule<sum, target = uniform>)
              stop(#scaling.stop<fixed 10>) numerics(#scaling.numerics<log>)
          return %r#0, %r#1 : {vector}, {vector}
        }}"""


def attention_with_bias(element, width=64):
    points, bias = f"tensor<8x1024x64x{element}>", f"tensor<8x1024x1024x{element}>"
    values = f"tensor<8x1024x{width}x{element}>"
    return f"""
        func.func @f(%q: {points}, %k: {points}, %v: {values}, %b: {bias}) -> {values} {{
          %o:4 = scaling.attention query(%q : {points}) key(%k : {points})
              value(%v : {values}) bias(%b : {bias})
              preset(sinkformer) stop(#scaling.stop<fixed 3>)
          return %o#0 : {values}
        }}"""


def wide_attention_with_bias(element):
    """Of twice as many columns as a block makes at a time, by tf32."""
    numerics = "numerics(#scaling.numerics<log, products = tf32>)"
    return attention_with_bias(element, width=128).replace("stop(", f"{numerics} stop(")


def of_unknown_sizes(program):
    """The same of any number of points, and of batches."""

    def made(element):
        text = program(element)
        if "tensor.empty" in text:
            size = f"tensor<4096x64x{element}>"
            text = text.replace(
                "%e = tensor.empty()",
                f"%zero = arith.constant 0 : index\n"
                f"%n = tensor.dim %x, %zero : {size}\n"
                f"%m = tensor.dim %y, %zero : {size}\n"
                f"%e = tensor.empty(%n, %m)",
            )
        for known in ("8x1024x1024", "8x1024", "4096x4096", "4096"):
            unknown = "x".join("?" for _ in known.split("x"))
            text = text.replace(f"tensor<{known}x", f"tensor<{unknown}x")
        return text

    return made


def tensor_attention_with_bias(element):
    """Points of 16 bits are multiplied as such."""
    products = {"f32": "tf32"}.get(element, element)
    numerics = f"numerics(#scaling.numerics<log, products = {products}>)"
    return attention_with_bias(element).replace("stop(", f"{numerics} stop(")


@pytest.mark.skipif(not find_ptxas(), reason="no ptxas")
@pytest.mark.parametrize(
    "chip, program, element",
    [(chip, solve_of_clouds, "f32") for chip in CHIPS]
    + [
        (chip, program, element)
        for chip in (CHIPS if FULL else CHIPS[:1])
        for program, element in (
            (solve_of_clouds, "f64"),
            (attention_with_bias, "f32"),
            (attention_with_bias, "f16"),
            (attention_with_bias, "f64"),
            (tensor_attention_with_bias, "f32"),
            (tensor_attention_with_bias, "f16"),
            (wide_attention_with_bias, "f16"),
            (of_unknown_sizes(solve_of_clouds), "f32"),
            (of_unknown_sizes(solve_of_clouds), "f64"),
            (of_unknown_sizes(attention_with_bias), "f32"),
            (of_unknown_sizes(attention_with_bias), "f64"),
            (of_unknown_sizes(wide_attention_with_bias), "f16"),
        )
    ],
)
def test_tiles_fit_registers(chip, program, element, tmp_path):
    path = tmp_path / "program.mlir"
    path.write_text(program(element))
    (found,) = assemble(compile_program(path, "ptx", chip), chip).values()
    assert (found["stack"], found["spills"]) == (0, 0)


def batch_until(matrix, element):
    """All that a thread may have to hold beside its matrix."""
    rows, cols = (
        f"tensor<?x{size}x{{}}>".format for size in matrix.removeprefix("?x").split("x")
    )
    matrix = f"tensor<{matrix}x{element}>"
    return f"""
        func.func @f(%z: {matrix}, %r: {rows(element)}, %c: {cols(element)},
            %u: {rows("i1")}, %v: {cols("i1")}) -> {matrix} {{
          %o:4 = scaling.project logits(%z : {matrix})
              row_marginal(%r : {rows(element)}) col_marginal(%c : {cols(element)})
              row_mask(%u : {rows("i1")}) col_mask(%v : {cols("i1")})
              stop(#scaling.stop<until 1.0e-3, axis = rows, limit = 99>)
              numerics(#scaling.numerics<log>)
          return %o#0 : {matrix}
        }}"""


def batch_with_derivative(matrix, element):
    matrix = f"tensor<{matrix}x{element}>"
    return differentiate(f"""
        func.func @f(%z: {matrix}) -> {matrix} {{
          %o:4 = scaling.project logits(%z : {matrix})
              stop(#scaling.stop<fixed 10>) numerics(#scaling.numerics<log>)
          return %o#0 : {matrix}
        }}""")


@pytest.mark.skipif(not find_ptxas(), reason="no ptxas")
@pytest.mark.parametrize(
    "program, matrix, element",
    [
        (batch_until, "?x4x4", "f64"),
        (batch_until, "?x1x32", "f64"),
        (batch_until, "?x2x32", "f32"),
        (batch_with_derivative, "?x2x8", "f64"),
    ],
)
def test_matrices_fit_registers(program, matrix, element, tmp_path):
    """… or are somewhere else: these did not."""
    path = tmp_path / "program.mlir"
    path.write_text(program(matrix, element))
    for found in assemble(compile_program(path, "ptx", "sm_80"), "sm_80").values():
        assert (found["stack"], found["spills"]) == (0, 0)


@pytest.mark.parametrize("chip", CHIPS)
def test_small_matrices_move_in_vectors(chip):
    """The matrix goes through registers in 16 bytes at a time."""
    ptx = compile_program(
        ROOT / "benchmark" / "programs" / "hyper_connections.mlir", "ptx", chip
    )
    for access in ("ld.global", "st.global", "ld.shared", "st.shared"):
        lines = [line for line in ptx.splitlines() if line.strip().startswith(access)]
        assert lines
        assert all(re.search(r"\.v(4\.b32|2\.b64)", line) for line in lines)


def main():
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name in PROGRAMS:
            for chip in CHIPS:
                _, kernels, shared = measure(name, chip)
                for kernel, found in kernels.items():
                    writer.writerow(
                        (name, chip, kernel, found["registers"], shared[kernel],
                         found["stack"], found["spills"])
                    )  # fmt: skip


if __name__ == "__main__":
    import sys

    sys.path.insert(0, str(ROOT / "test" / "python"))
    main()
