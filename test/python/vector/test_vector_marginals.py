"""`scaling.marginals` as vector code: what linalg computes, and every size."""

import pytest
from test_marginals import (
    CASES,
    Data,
    function_text,
    name_of,
    test_empty,
    test_masked_points_may_hold_anything,
    test_values,
)
from vector_program import VectorProgram

SIZES = [1, 2, 3, 5, 7, 15, 16, 17, 31, 33, 63, 65, 100]
POINTS = [case for case in CASES[::4] if case[0] != "matrix"]
KNOWN = [1, 2, 3, 5, 8, 9, 16, 64, 65]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    program = VectorProgram()
    for case in CASES:
        program.add(name_of(case), *function_text(case))
    for case in POINTS:
        for depth in KNOWN:
            program.add(f"{name_of(case)}_{depth}", *function_text(case, depth))
    program.compile(tmp_path_factory.mktemp("marginals"))
    return program


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_sizes(program, case):
    """Below, at and above vectors and blocks of rows."""
    for n, m in zip(SIZES, SIZES[5:] + SIZES[:5]):
        Data(case, n, m, 3, seed=n).check(program)
        Data(case, n, m, 17, seed=m).check(program)


@pytest.mark.parametrize("case", POINTS, ids=name_of)
@pytest.mark.parametrize("depth", KNOWN)
def test_known_depth(program, case, depth):
    Data(case, 21, 37, depth).check(program, f"{name_of(case)}_{depth}")
