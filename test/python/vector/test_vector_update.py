"""`scaling.update` as vector code: what linalg computes, and every size."""

import pytest
import test_update
from linalg_program import TOLERANCE, assert_close
from test_update import (
    CASES,
    compute,
    expected_update,
    function_text,
    name_of,
    problem,
    test_no_support,
    test_update as test_values,
    test_zero_factor_recovers,
)
from vector_program import VectorProgram


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    program = VectorProgram()
    for case in CASES:
        program.add(name_of(case), *function_text(*case))
    program.compile(tmp_path_factory.mktemp("update"))
    return program


@pytest.mark.parametrize("size", [3, 7, 8, 9, 16, 17, 33, 100])
def test_sizes(program, monkeypatch, size):
    monkeypatch.setattr(test_update, "N", size)
    for case in CASES:
        if case[4] == "bf16":
            continue
        values = problem(case, seed=size)
        tolerance = TOLERANCE["f64" if case[4] == "f64" else "f32"]
        for a, e in zip(
            compute(program, case, *values), expected_update(case, *values)
        ):
            assert_close(a, e, tolerance)
