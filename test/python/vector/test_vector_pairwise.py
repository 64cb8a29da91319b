"""`scaling.pairwise` as vector code: what linalg computes, and every size."""

import numpy as np
import pytest
import scaling_reference as sr
from linalg_program import ROUNDING, TOLERANCE, assert_close, tensor
from test_pairwise import (
    B,
    BATCHED,
    CASES,
    points,
    run,
    test_empty,
    test_values,
    test_zero_norm,
)
from vector_program import VectorProgram


def add(program, case, depth=None):
    """The function of a case, with a known number of coordinates or not."""
    metric, storage, out, layout = case
    x, y, o = (
        tensor([None] * (1 + (name in BATCHED[layout])) + [last], element)
        for name, element, last in (
            ("x", storage, depth),
            ("y", storage, depth),
            ("o", out, None),
        )
    )
    program.add(
        "_".join(case) + (f"_{depth}" if depth else ""),
        [("x", x), ("y", y), ("o", o)],
        [o],
        f"  %r = scaling.pairwise {metric} points(%x, %y : {x}, {y})"
        f" outs(%o : {o}) -> {o}\n  return %r : {o}",
    )


KNOWN = [1, 2, 3, 64, 65]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    program = VectorProgram()
    for case in CASES:
        add(program, case)
    for case in CASES[1::5]:
        for depth in KNOWN:
            add(program, case, depth)
    program.compile(tmp_path_factory.mktemp("pairwise"))
    return program


def tolerance(case, depth):
    exact = TOLERANCE["f64" if case[1] == "f64" else "f32"]
    return exact * max(1, depth / 16) + ROUNDING[case[2]]


@pytest.mark.parametrize("case", CASES, ids="_".join)
def test_sizes(program, case):
    """Below, at and above vectors, blocks of points and of coordinates."""
    batch = 1 if case[3] == "plain" else B
    for n, m, d in [
        (1, 1, 1), (7, 16, 2), (8, 17, 63), (9, 33, 64), (65, 31, 65), (130, 70, 130),
    ]:  # fmt: skip
        x, y = points(case, n, m, d, batch)
        actual, expected = run(program, case, x, y), sr.pairwise(x, y, case[0])
        assert_close(actual, expected, tolerance(case, d))


@pytest.mark.parametrize("case", CASES[1::5], ids="_".join)
@pytest.mark.parametrize("depth", KNOWN)
def test_known_depth(program, case, depth):
    x, y = points(case, 21, 37, depth)
    known = (*case[:3], case[3] + f"_{depth}")
    BATCHED[known[3]] = BATCHED[case[3]]
    actual, expected = run(program, known, x, y), sr.pairwise(x, y, case[0])
    assert_close(actual, expected, tolerance(case, depth))
