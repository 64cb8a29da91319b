"""`scaling.pairwise` through linalg."""

import itertools

import numpy as np
import pytest
import scaling_reference as sr

from linalg_program import (
    ROUNDING,
    TOLERANCE,
    Program,
    assert_close,
    rounded,
    store,
    tensor,
)

METRICS = ["sqeuclidean", "euclidean", "l1", "dot", "cosine"]
# Element types of the points and of the cost.
TYPES = [
    ("f64", "f64"),
    ("f32", "f32"),
    ("bf16", "f32"),
    ("bf16", "bf16"),
    ("f16", "f16"),
]
# Which operands have the batch dimension.
BATCHED = {
    "plain": "",
    "batched": "xyo",
    "shared_x": "yo",
    "shared_y": "xo",
    "shared": "o",
}
B, N, M, D = 2, 5, 4, 3


def cases():
    for metric, types in itertools.product(METRICS, TYPES):
        yield metric, *types, "batched"
    for metric, layout in itertools.product(METRICS, BATCHED):
        if layout != "batched":
            yield metric, "f64", "f64", layout


CASES = list(cases())


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    program = Program()
    for metric, storage, out, layout in CASES:
        x, y, o = (
            tensor([None] * (2 + (name in BATCHED[layout])), element)
            for name, element in (("x", storage), ("y", storage), ("o", out))
        )
        program.add(
            "_".join((metric, storage, out, layout)),
            [("x", x), ("y", y), ("o", o)],
            [o],
            f"  %r = scaling.pairwise {metric} points(%x, %y : {x}, {y})"
            f" outs(%o : {o}) -> {o}\n  return %r : {o}",
        )
    program.compile(tmp_path_factory.mktemp("pairwise"))
    return program


def run(program, case, x, y):
    metric, storage, out, layout = case
    batched = BATCHED[layout]
    shape = (len(x), x.shape[1], y.shape[1])
    start = np.full(shape, np.nan)  # outs is overwritten, whatever it holds
    inputs = [
        store(value if name in batched else value[0], element)
        for name, value, element in (
            ("x", x, storage),
            ("y", y, storage),
            ("o", start, out),
        )
    ]
    name = "_".join(case)
    result = program.call(name, inputs, [inputs[2].shape])[0]
    return result if "o" in batched else result[None]


def points(case, n=N, m=M, d=D, batch=B):
    _, storage, _, layout = case
    rng = np.random.default_rng(0)
    if layout == "plain":
        batch = 1
    x, y = rng.normal(size=(batch, n, d)), rng.normal(size=(batch, m, d))
    if "x" not in BATCHED[layout]:
        x[:] = x[:1]
    if "y" not in BATCHED[layout]:
        y[:] = y[:1]
    return rounded(x, storage), rounded(y, storage)


@pytest.mark.parametrize("case", CASES, ids="_".join)
def test_values(program, case):
    x, y = points(case)
    tolerance = TOLERANCE["f64" if case[1] == "f64" else "f32"] + ROUNDING[case[2]]
    assert_close(run(program, case, x, y), sr.pairwise(x, y, case[0]), tolerance)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "sizes", [(0, 3, 2, 2), (3, 0, 2, 2), (3, 2, 0, 2), (3, 2, 2, 0)]
)
def test_empty(program, metric, sizes):
    """Points without coordinates are all at 0; their norms are 0."""
    case = (metric, "f64", "f64", "batched")
    x, y = points(case, *sizes)
    actual = run(program, case, x, y)
    shape = (sizes[3], sizes[0], sizes[1])
    expected = np.full(shape, 1.0 if metric == "cosine" else 0.0)
    np.testing.assert_array_equal(actual, expected)


def test_zero_norm(program):
    case = ("cosine", "f64", "f64", "batched")
    x, y = points(case)
    x[:, 1], y[:, 2] = 0.0, 0.0
    actual = run(program, case, x, y)
    assert (actual[:, 1] == 1).all() and (actual[:, :, 2] == 1).all()
    x[:, 1], y[:, 2] = 1.0, 1.0
    keep = np.ix_(range(B), [0, 2, 3, 4], [0, 1, 3])
    assert_close(actual[keep], sr.pairwise(x, y, "cosine")[keep], 1e-12)
