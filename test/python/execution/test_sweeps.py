"""One read of the matrix serves both axes, at sizes that are not whole blocks."""

import numpy as np
import pytest
import scaling_reference as sr

from programs import Call, Programs

SIZES = [1, 2, 3, 5, 7, 17, 31, 33, 63, 65, 100, 1000, 1001]
STATS = ["sum", "l1", "l2", "linf", "mean_square", "std", "geomean"]
ORDERS = ["rows_first", "cols_first", "jacobi"]
# The largest error of a factor, of what its statistic's rounding allows.
BOUNDS = {"f64": 1e-10, "f32": 3e-4, "bf16": 3e-4}


def attributes(stat, order):
    rule = f"#scaling.rule<{stat}, exponent = 0.5>"
    return (
        f"rows({rule}) cols({rule}) order({order}) stop(#scaling.stop<fixed 6>) "
        "numerics(#scaling.numerics<kernel>)"
    )


def data(rows, cols, element):
    rng = np.random.default_rng(rows * 2000 + cols)
    matrix = rng.uniform(0.5, 2.0, (rows, cols)) * rng.uniform(0.2, 5.0, (rows, 1))
    # What the storage holds, also in the reference.
    matrix = matrix.astype(np.float32)
    if element == "bf16":
        matrix = (matrix.view(np.uint32) & 0xFFFF0000).view(np.float32)
    return matrix.astype(np.float64)


@pytest.fixture(scope="module")
def programs():
    calls = {
        f"{stat}_{order}_{element}": Call(
            "balance",
            {"matrix": np.ones((2, 2))},
            attributes(stat, order),
            element=element,
            dims="dynamic",
        )
        for stat in STATS
        for order in ORDERS
        for element in BOUNDS
    }
    return Programs("cpu", calls)


@pytest.mark.parametrize("element", BOUNDS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("stat", STATS)
def test_factors(programs, stat, order, element):
    rule = sr.Rule(stat=stat, exponent=0.5)
    for size, other in zip(SIZES, SIZES[3:] + SIZES[:3]):
        if stat == "std" and min(size, other) < 3:
            continue  # of one entry, or of two that become equal, it is zero
        matrix = data(size, other, element)
        call = Call(
            "balance",
            {"matrix": matrix},
            attributes(stat, order),
            element=element,
            dims="dynamic",
        )
        row, col, *_ = programs.call(f"{stat}_{order}_{element}", call)
        expected = sr.balance(
            matrix, rows=rule, cols=rule, order=order, stop=sr.fixed(6)
        )
        for got, want in ((row, expected.row), (col, expected.col)):
            np.testing.assert_allclose(
                got, want, rtol=BOUNDS[element], err_msg=f"{size}x{other}"
            )
