"""`scaling.reduce` as vector code: what linalg computes, and every size."""

import numpy as np
import pytest
from test_reduce import (
    AXES,
    B,
    CASES,
    IDS,
    OPTIONS,
    PASSES,
    Data,
    function_text,
    name_of,
    test_everything_masked,
    test_nan_is_seen,
    test_no_mass_in_the_log_domain,
    test_split,
    test_whole,
)
from vector_program import VectorProgram

# Below, at and above a vector, a block of rows, several of both.
SIZES = [1, 2, 3, 5, 7, 15, 16, 17, 31, 33, 63, 65, 100, 257]
SHAPES = list(zip(SIZES, SIZES[5:] + SIZES[:5])) + [(257, 257), (8, 32), (9, 1), (1, 9)]
# Every statistic along every axis, with everything, in every layout.
SIZED = [c for c in CASES if c[5] == "all"]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    program = VectorProgram()
    for case in CASES:
        stat, axis, storage, acc, layout, option = case
        program.add(
            name_of(case),
            *function_text(stat, axis, storage, acc, layout, OPTIONS[option], False),
        )
    program.compile(tmp_path_factory.mktemp("reduce"))
    return program


@pytest.mark.parametrize("case", SIZED, ids=["-".join(c[:5]) for c in SIZED])
def test_sizes(program, case):
    """Whole blocks and vectors, and what is left of them, in two parts."""
    for kept, reduced in SHAPES:
        data = Data(case, kept, reduced, seed=kept)
        first = data.run(program, name_of(case), data.start(), slice(0, reduced // 3))
        last = data.run(program, name_of(case), first, slice(reduced // 3, None))
        data.check(last)
    empty = [(0, 40, B), (40, 0, B), (0, 0, B)]
    if case[4] in ("batched", "batch_last"):
        empty.append((20, 20, 0))
    for sizes in empty:
        data = Data(case, *sizes)
        data.check(data.run(program, name_of(case), data.start()))


def test_rows_do_not_depend_on_their_block(program):
    """Bit for bit what a row gives alone, whatever block it is in."""
    for stat in PASSES:
        case = (stat, "rows", "f32", "f32", "plain", "all")
        whole = Data(case, 13, 100)
        together = whole.run(program, name_of(case), whole.start())
        for row in (0, 5, 7, 8, 12):
            alone = Data(case, 1, 100)
            alone.y, alone.factor, alone.mask = (
                whole.y[:, row : row + 1],
                whole.factor,
                whole.mask,
            )
            for a, e in zip(alone.run(program, name_of(case), alone.start()), together):
                np.testing.assert_array_equal(a[0, 0], e[0, row])
