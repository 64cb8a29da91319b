"""`scaling.marginals` through linalg."""

import itertools

import numpy as np
import pytest
import scaling_reference as sr
from linalg_program import TOLERANCE, Program, assert_close, rounded, store, tensor

METRICS = ["sqeuclidean", "euclidean", "l1", "dot"]
#: Element types of the costs or points, and of factors and sums.
TYPES = [("f64", "f64"), ("f32", "f32"), ("bf16", "f32"), ("f16", "f32")]
LOWEST = {"f64": np.finfo(np.float64).min, "f32": np.finfo(np.float32).min}
B, N, M, D = 2, 5, 4, 3
SCALE = -0.75


def cases():
    """What costs are made of, types, kind, and what operands there are."""
    for source, types in itertools.product(["matrix", *METRICS], TYPES):
        yield source, *types, "sum", "all"
    for source, kind, option in itertools.product(
        ["matrix", "sqeuclidean"], ["sum", "largest"], ["all", "plain", "unbatched"]
    ):
        yield source, "f32", "f32", kind, option


CASES = sorted(set(cases()))


def function_text(case, depth=None):
    """Arguments, results and body of the function for a case."""
    source, storage, acc, kind, option = case
    batch = [] if option == "unbatched" else [None]
    points = source != "matrix"
    arguments, clauses = [], []
    if kind == "largest":
        clauses.append("largest")
    if points:
        x, y = tensor([*batch, None, depth], storage), tensor([depth, None], storage)
        arguments += [("x", x), ("y", y)]
        clauses.append(f"points {source}(%x, %y : {x}, {y})")
    else:
        c = tensor([*batch, None, None], storage)
        arguments.append(("c", c))
        clauses.append(f"matrix(%c : {c})")
    if option != "plain":
        row, col = tensor([*batch, None], acc), tensor([None], acc)
        row_mask, col_mask = tensor([None], "i1"), tensor([*batch, None], "i1")
        for name, type_text in (
            ("row", row), ("col", col), ("row_mask", row_mask), ("col_mask", col_mask),
            ("scale", acc),
        ):  # fmt: skip
            arguments.append((name, type_text))
            clauses.append(f"{name}(%{name} : {type_text})")
    outs = tensor([*batch, None], acc)
    arguments += [("u", outs), ("v", outs)]
    clauses.append(f"outs(%u, %v : {outs}, {outs}) -> {outs}, {outs}")
    return (
        arguments,
        [outs, outs],
        f"  %r:2 = scaling.marginals {' '.join(clauses)}\n"
        f"  return %r#0, %r#1 : {outs}, {outs}",
    )


def name_of(case):
    return "_".join(case)


class Data:
    def __init__(self, case, n=N, m=M, d=D, seed=0):
        self.case = case
        source, storage, acc, kind, option = case
        rng = np.random.default_rng(seed)
        batch = 1 if option == "unbatched" else B
        self.x = rounded(rng.normal(size=(batch, n, d)) / np.sqrt(max(d, 1)), storage)
        self.y = rounded(rng.normal(size=(m, d)) / np.sqrt(max(d, 1)), storage)
        self.c = rounded(rng.normal(size=(batch, n, m)), storage)
        self.row = rounded(rng.normal(size=(batch, n)), acc)
        self.col = rounded(rng.normal(size=m), acc)
        self.row[rng.random(self.row.shape) < 0.2] = -np.inf
        self.col[rng.random(self.col.shape) < 0.2] = -np.inf
        self.row_mask = rng.random(n) < 0.7
        self.col_mask = rng.random((batch, m)) < 0.7
        self.start = [rounded(rng.normal(size=(batch, k)), acc) for k in (n, m)]

    def inputs(self):
        source, storage, acc, kind, option = self.case
        whole = slice(None) if option != "unbatched" else 0
        if source == "matrix":
            inputs = [store(self.c[whole], storage)]
        else:
            inputs = [store(self.x[whole], storage), store(self.y.T.copy(), storage)]
        if option != "plain":
            inputs += [
                store(self.row[whole], acc), store(self.col, acc), self.row_mask,
                self.col_mask[whole].copy(), SCALE,
            ]  # fmt: skip
        return inputs + [store(start[whole], acc) for start in self.start]

    def expected(self):
        source, storage, acc, kind, option = self.case
        costs = self.c
        if source != "matrix":
            y = np.broadcast_to(self.y, (len(self.x), *self.y.shape))
            costs = sr.pairwise(self.x, y, source)
        takes_part = np.ones(costs.shape, bool)
        if option != "plain":
            costs = SCALE * costs + self.row[..., None] + self.col
            takes_part = self.row_mask[:, None] & self.col_mask[:, None, :]
        if kind == "largest":
            entries = np.where(takes_part, costs, LOWEST[acc])
            return [
                np.maximum(start, entries.max(axis, initial=-np.inf))
                for start, axis in zip(self.start, (-1, -2))
            ]
        entries = np.where(takes_part, np.exp(costs), 0.0)
        return [start + entries.sum(axis) for start, axis in zip(self.start, (-1, -2))]

    def check(self, program, name=None):
        inputs = self.inputs()
        shapes = [value.shape for value in inputs[-2:]]
        actual = program.call(name or name_of(self.case), inputs, shapes)
        expected = self.expected()
        acc = self.case[2]
        for mine, theirs, size in zip(actual, expected, self.c.shape[:0:-1]):
            mine = mine.reshape(theirs.shape)
            tolerance = TOLERANCE[acc] * max(1.0, np.sqrt(size)) * 4
            assert_close(mine, theirs, tolerance)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    program = Program()
    for case in CASES:
        program.add(name_of(case), *function_text(case))
    program.compile(tmp_path_factory.mktemp("marginals"))
    return program


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_values(program, case):
    Data(case).check(program)


@pytest.mark.parametrize("sizes", [(0, 3, 2), (3, 0, 2), (3, 2, 0)])
@pytest.mark.parametrize("source", ["matrix", "sqeuclidean"])
def test_empty(program, source, sizes):
    Data((source, "f32", "f32", "sum", "all"), *sizes).check(program)


def test_masked_points_may_hold_anything(program):
    """What is masked is as if it were not there, not a number or not."""
    case = ("sqeuclidean", "f32", "f32", "sum", "all")
    data = Data(case)
    data.x[:, ~data.row_mask] = np.nan
    actual = program.call(name_of(case), data.inputs(), [(B, N), (B, M)])
    assert np.isfinite(actual[0]).all() and np.isfinite(actual[1]).all()
