"""Kernels that return where their blocks would meet, and are launched until
they are done: the same bits as with barriers of the grid, in every order; what
launches cost; registers and local memory."""

import functools
import os
import re

import numpy as np
import pytest
import scaling_reference as sr
from assembled_kernels import CHIPS, assemble, find_ptxas
from cases import FIELDS, Case, allowed, compare
from covering import pairwise
from emulated_kernels import attributes, compile_kernel, execute, run
from test_kernel_gradients import Points, Project, differentiate

FULL = "SCALING_TEST_FULL" in os.environ
TOLERANCE = "stop(#scaling.stop<until 1.0e-3, limit = 12>)"


def logits(sizes, attributes):
    matrix = f"tensor<{sizes}xf32>"
    return (
        f"func.func @solve(%z: {matrix}) -> {matrix} {{\n"
        f"  %r:4 = scaling.project logits(%z : {matrix}) {attributes}\n"
        f"  return %r#0 : {matrix}\n}}\n"
    )


def fixed(domain):
    return f"stop(#scaling.stop<fixed 6>) numerics(#scaling.numerics<{domain}>)"


def balance(rows, cols):
    matrix, u, v = (f"tensor<{s}xf32>" for s in (f"{rows}x{cols}", rows, cols))
    return (
        f"func.func @solve(%a: {matrix}) -> ({u}, {v}) {{\n"
        f"  %r:5 = scaling.balance matrix(%a : {matrix}) preset(ruiz)"
        f" stop(#scaling.stop<fixed 6>)\n"
        f"  return %r#0, %r#1 : {u}, {v}\n}}\n"
    )


#: The program, the function, its inputs' and its results' shapes.
PROGRAMS = {
    "kernel": (logits("96x516", fixed("kernel")), "solve", [(96, 516)], [(96, 516)]),
    "log": (logits("64x260", fixed("log")), "solve", [(64, 260)], [(64, 260)]),
    "ragged": (logits("75x259", fixed("kernel")), "solve", [(75, 259)], [(75, 259)]),
    "dynamic": (logits("?x?", fixed("kernel")), "solve", [(70, 92)], [(70, 92)]),
    "dynamic_log": (logits("?x?", fixed("log")), "solve", [(33, 37)], [(33, 37)]),
    "tolerance": (
        logits("?x?", TOLERANCE + " numerics(#scaling.numerics<kernel>)"),
        "solve", [(40, 68)], [(40, 68)],
    ),
    "tolerance_log": (
        logits("48x516", TOLERANCE + " numerics(#scaling.numerics<log>)"),
        "solve", [(48, 516)], [(48, 516)],
    ),
    "balance": (balance(40, 260), "solve", [(40, 260)], [(40,), (260,)]),
    "cloud": (Points(300, 280, 8).text(), "solve", [(300, 8), (280, 8)], [(300,), (280,)]),
    "gradient": (
        differentiate(Project("?x?", (21, 35), attributes=fixed("log")).text()),
        "solve_vjp", [(21, 35), (21, 35)], [(21, 35)],
    ),
}  # fmt: skip


#: What ptxas takes long for, on all chips only with the full tests.
ASSEMBLED = [
    (name, chip)
    for name in ("kernel", "balance", "dynamic", "tolerance", "cloud")
    for chip in CHIPS
    if FULL or chip == "sm_90" or name in ("kernel", "balance")
]


@functools.cache
def kernel(name, plain):
    return compile_kernel(PROGRAMS[name][0], "llvm", plain=plain)


@functools.cache
def inputs(name):
    rng = np.random.default_rng(1)
    return [rng.normal(size=s).astype(np.float32) for s in PROGRAMS[name][2]]


def solve(name, plain, **options):
    _, function, _, results = PROGRAMS[name]
    outputs = [(shape, "f32") for shape in results]
    return execute(kernel(name, plain), function, inputs(name), outputs, **options)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_bits(name):
    expected, together = solve(name, plain=False, grid=3)
    assert together["launches"] == 1
    launches = set()
    for seed in range(3):
        found, report = solve(name, plain=True, grid=3, seed=seed)
        for one, other in zip(found, expected):
            np.testing.assert_array_equal(one, other)
        assert report["atomics"] == report["fences"] == report["local_bytes"] == 0
        launches.add(report["launches"])
    # A launch for what is between two of the barriers that there were: a block
    # takes two fences to one.
    assert launches == {together["fences"] // (2 * 3) + 1}


@pytest.mark.parametrize("name", ["kernel", "log", "dynamic"])
def test_against_the_reference(name):
    (plan,), _ = solve(name, plain=True)
    (matrix,) = inputs(name)
    expected = sr.project(
        matrix.astype(np.float64), kind="logits", stop=sr.fixed(6),
        domain="log" if name == "log" else "kernel",
    ).plan  # fmt: skip
    np.testing.assert_allclose(plan, expected, rtol=2e-5, atol=1e-7)


#: Rows of the covering array whose blocks meet; in 18, threads have something
#: to keep of their own.
COVERED = (18, 22, 26, 28)
CASES = {
    f"case_{i}": Case(row, i)
    for i, row in enumerate(pairwise(FIELDS, allowed))
    if FULL or i in COVERED
}


@pytest.mark.parametrize("name", CASES)
def test_case(name):
    results, report = run(name, CASES[name].call(), plain=True)
    compare(CASES[name], results)
    assert report["local_bytes"] == 0
    if int(name.split("_")[1]) in COVERED:
        assert report["launches"] > 1


def test_what_launches_cost():
    """Two half-steps more: so many launches, and of each a sector or two for
    every warp, read, and a sector for every block, written."""
    matrix = np.random.default_rng(2).normal(size=(96, 516)).astype(np.float32)
    counts = {}
    for plain in (False, True):
        for steps in (4, 6):
            attributes = fixed("kernel").replace("6", str(steps))
            code = compile_kernel(logits("96x516", attributes), "llvm", plain=plain)
            _, report = execute(
                code, "solve", [matrix], [((96, 516), "f32")], grid=3, races=False
            )
            counts[plain, steps] = (
                report["launches"],
                report["global"]["read_sectors"] + report["global"]["write_sectors"],
            )
    launches, sectors = np.subtract(counts[True, 6], counts[True, 4])
    _, without = np.subtract(counts[False, 6], counts[False, 4])
    warps = 3 * 256 // 32
    assert launches <= 4
    assert sectors - without <= launches * (2 * warps + 2 * 3)


@pytest.mark.skipif(not find_ptxas(), reason="no ptxas")
@pytest.mark.parametrize("name, chip", ASSEMBLED)
def test_registers(name, chip):
    source, function, _, _ = PROGRAMS[name]
    ptx = compile_kernel(source, "ptx", chip, plain=True)
    assert ".local" not in ptx
    found = assemble(ptx, chip)[function]
    assert (found["stack"], found["spills"]) == (0, 0)


def test_kernels_without_barriers_are_as_they_were():
    source = logits("?x4x4", fixed("kernel"))
    assert compile_kernel(source, "ptx", plain=True) == compile_kernel(source, "ptx")


def test_state_is_small():
    """Loops' counters, once for a block."""
    for name in ("kernel", "dynamic", "tolerance"):
        group = attributes(kernel(name, plain=True), "solve")
        assert re.search(r'"scaling.state-bytes"="128"', group)
        assert "cooperative" not in group
