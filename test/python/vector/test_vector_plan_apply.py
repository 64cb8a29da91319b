"""`scaling.plan` and `scaling.apply` as vector code: what linalg computes, and
every size."""

import pytest
from test_plan_apply import (
    CASES,
    check,
    test_argmax_first_among_equals_and_merges,
    test_dual_tiles,
    test_dual_tiles_add_up,
    test_empty,
    test_values,
    test_zero_factors_win,
)
from vector_program import VectorProgram

# Below, at and above vectors, blocks of rows, of columns and of the product.
SIZES = [
    (1, 1, 1), (2, 3, 5), (7, 15, 16), (8, 16, 17), (9, 17, 31), (33, 63, 32),
    (65, 100, 33), (17, 257, 65), (70, 300, 140), (300, 20, 7),
]  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    program = VectorProgram()
    for case in CASES.values():
        program.add(case.name, *case.function())
    program.compile(tmp_path_factory.mktemp("plan_apply"))
    return program


@pytest.mark.parametrize("case", CASES.values(), ids=lambda c: c.name)
def test_sizes(program, case):
    for seed, (n, m, k) in enumerate(SIZES):
        values = case.problem(n, m, k, seed=seed)
        check(case, program, values, offset=seed)
