"""A kernel of every regime: results of all sizes, grids and orders, and how
often the matrix goes through global memory."""

import functools

import numpy as np
import pytest
import scaling_reference as sr
from emulated_kernels import compile_kernel, execute
from scaling_reference import presets

#: The type of the matrix; half-steps are 6.
REGIMES = {
    "thread": "?x4x4",
    "thread_ragged": "?x3x5",
    "warp": "?x16x16",
    "warp_ragged": "?x9x12",
    "warp_narrow": "?x33x9",
    "block": "?x37x41",
    "block_aligned": "?x50x68",
    "block_dynamic": "?x?x?",
    "grid": "?x?",
    "grid_aligned": "96x516",
    "grid_ragged": "75x259",
    "grid_long": "64x2052",
}
SIZES = {
    "thread": [(1, 4, 4), (127, 4, 4), (300, 4, 4)],
    "thread_ragged": [(129, 3, 5)],
    "warp": [(1, 16, 16), (3, 16, 16)],
    "warp_ragged": [(3, 9, 12)],
    "warp_narrow": [(2, 33, 9)],
    "block": [(1, 37, 41), (3, 37, 41)],
    "block_aligned": [(2, 50, 68)],
    "block_dynamic": [(2, 1, 9), (3, 30, 33)],
    "grid": [(1, 1), (7, 70), (90, 65)],
    "grid_aligned": [(96, 516)],
    "grid_ragged": [(75, 259)],
    "grid_long": [(64, 2052)],
}
HALF_STEPS = 6


def source(regime, domain):
    matrix = f"tensor<{REGIMES[regime]}xf32>"
    return (
        f"func.func @solve(%z: {matrix}) -> {matrix} {{\n"
        f"  %r:4 = scaling.project logits(%z : {matrix})"
        f" stop(#scaling.stop<fixed {HALF_STEPS}>)"
        f" numerics(#scaling.numerics<{domain}>)\n"
        f"  return %r#0 : {matrix}\n}}\n"
    )


@functools.cache
def kernel(regime, domain):
    return compile_kernel(source(regime, domain), "llvm")


def solve(regime, domain, matrix, **options):
    (plan,), report = execute(
        kernel(regime, domain), "solve", [matrix], [(matrix.shape, "f32")], **options
    )
    return plan, report


@pytest.mark.parametrize("domain", ["kernel", "log"])
@pytest.mark.parametrize("regime", REGIMES)
def test_regime(regime, domain):
    generator = np.random.default_rng(1)
    for shape in SIZES[regime]:
        matrix = generator.normal(size=shape).astype(np.float32)
        plan, report = solve(regime, domain, matrix)
        expected = sr.project(
            matrix.astype(np.float64), kind="logits", domain=domain,
            stop=sr.fixed(HALF_STEPS),
        ).plan  # fmt: skip
        np.testing.assert_allclose(plan, expected, rtol=2e-5, atol=1e-7)
        assert report["local_bytes"] == 0


@pytest.mark.parametrize("regime", REGIMES)
def test_bits_do_not_depend_on_the_launch(regime):
    matrix = np.random.default_rng(2).normal(size=SIZES[regime][-1])
    matrix = matrix.astype(np.float32)
    first, _ = solve(regime, "kernel", matrix, grid=1)
    for grid, seed in ((2, 1), (5, 2)):
        again, _ = solve(regime, "kernel", matrix, grid=grid, seed=seed)
        np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize("domain", ["kernel", "log"])
@pytest.mark.parametrize(
    "regime", ["thread", "thread_ragged", "warp", "warp_ragged", "block"]
)
def test_global_memory_is_read_and_written_once(regime, domain):
    matrix = np.ones(SIZES[regime][-1], np.float32)
    _, report = solve(regime, domain, matrix)
    counts = report["global"]
    assert counts["read_bytes"] == matrix.nbytes
    assert counts["written_bytes"] == matrix.nbytes
    # Of a request's sectors no byte is for nothing, but at the ends.
    matrices = len(matrix)
    assert counts["read_sectors"] <= counts["read_sectors_ideal"] + 2 * matrices
    assert counts["write_sectors"] <= counts["write_sectors_ideal"] + 2 * matrices


def test_a_sweep_reads_the_matrix_once():
    """Two half-steps more cost one read; the rest is factors and partial sums."""
    matrix = np.random.default_rng(3).normal(size=(128, 512)).astype(np.float32)
    shape = "tensor<128x512xf32>"
    read = []
    for steps in (4, 6):
        code = compile_kernel(
            f"func.func @solve(%z: {shape}) -> {shape} {{\n"
            f"  %r:4 = scaling.project logits(%z : {shape})"
            f" stop(#scaling.stop<fixed {steps}>)"
            f" numerics(#scaling.numerics<kernel>)\n"
            f"  return %r#0 : {shape}\n}}\n",
            "llvm",
        )
        (plan,), report = execute(code, "solve", [matrix], [(matrix.shape, "f32")])
        expected = sr.project(
            matrix.astype(np.float64), kind="logits", stop=sr.fixed(steps)
        ).plan
        np.testing.assert_allclose(plan, expected, rtol=2e-5, atol=1e-7)
        read.append(report["global"]["read_bytes"])
    assert read[1] - read[0] < 1.1 * matrix.nbytes


CHECKED = {
    "kernel": f"stop(#scaling.stop<fixed {HALF_STEPS}>)"
    " numerics(#scaling.numerics<kernel>)",
    "mhc": "preset(mhc)",
    "mhc_columns": "preset(mhc_columns)",
    "mhc_recip": "preset(mhc_recip)",
}


@pytest.mark.parametrize("how", CHECKED)
def test_matrices_that_want_the_checks(how):
    """A thread's loop begins again with them where a row is empty, or a factor
    infinite or zero: its neighbours' results are as without."""
    shape = "tensor<?x4x4xf32>"
    code = compile_kernel(
        f"func.func @solve(%z: {shape}) -> {shape} {{\n"
        f"  %r:4 = scaling.project logits(%z : {shape}) {CHECKED[how]}\n"
        f"  return %r#0 : {shape}\n}}\n",
        "llvm",
    )
    assert "rcp.approx.ftz" in code
    plain = np.random.default_rng(4).normal(size=(70, 4, 4)).astype(np.float32)
    matrix = plain.copy()
    # No entry in a row, in a column, in neither; some that are all but none.
    matrix[3, 1] = -np.inf
    matrix[5, :, 2] = -np.inf
    matrix[40] = -np.inf
    matrix[41, 0] = -80
    matrix[42, 3] = -110
    matrix[43, 2, 1] = 60
    matrix[44] = np.nan
    (expected,), _ = execute(code, "solve", [plain], [(plain.shape, "f32")])
    (found,), _ = execute(code, "solve", [matrix], [(plain.shape, "f32")])
    odd = [3, 5, 40, 41, 42, 43, 44]
    np.testing.assert_array_equal(np.delete(found, odd, 0), np.delete(expected, odd, 0))
    if how == "kernel":
        reference = sr.project(
            matrix.astype(np.float64), kind="logits", domain="kernel",
            stop=sr.fixed(HALF_STEPS),
        ).plan  # fmt: skip
    else:
        with np.errstate(all="ignore"):
            reference = getattr(presets, how)(matrix.astype(np.float64))
    for i in [3, 5, 41, 43] if how == "kernel" else [43]:
        np.testing.assert_allclose(found[i], reference[i], rtol=2e-5, atol=1e-7)
