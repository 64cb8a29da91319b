"""scaling.vjp against central differences, and what it refuses."""

import os

import ml_dtypes
import numpy as np
import pytest
import scaling
from scaling._programs import CompiledFunction, get_program

FULL = os.environ.get("SCALING_TEST_FULL", "0") == "1"
STEP = 1e-4
TOLERANCE = 1e-6
pytestmark = pytest.mark.filterwarnings("ignore::scaling.ConvergenceWarning")


def rng(seed=0):
    return np.random.default_rng(seed)


def weights(n, *batch, seed=1):
    x = rng(seed).uniform(0.5, 1.5, (*batch, n))
    return x / x.sum(-1, keepdims=True)


def parts(value):
    """The arrays of a value that have cotangents."""
    if isinstance(value, scaling._transport.SinkhornResult):
        return [value.f, value.g]
    if isinstance(value, scaling._normalize.BalanceResult):
        return [value.matrix, value.row_scale, value.col_scale]
    return [np.asarray(value)]


def check(function, *arrays, tolerance=TOLERANCE, **keywords):
    """All gradients along random directions, by differences of fourth order."""
    value, pullback = scaling.vjp(function, *arrays, **keywords)
    cotangents = [rng(i).normal(size=x.shape) for i, x in enumerate(parts(value))]
    gradients = pullback(cotangents[0] if len(cotangents) == 1 else cotangents)
    given = dict(enumerate(arrays)) | {
        name: x for name, x in keywords.items() if isinstance(x, np.ndarray)
    }
    given = {name: x for name, x in given.items() if np.asarray(x).dtype.kind == "f"}
    assert len(gradients) == len(given)
    for (name, x), gradient in zip(given.items(), gradients):
        assert gradient.shape == x.shape and gradient.dtype == x.dtype
        direction = rng(7).normal(size=x.shape)

        def along(t):
            moved = [
                x + t * direction if i == name else a for i, a in enumerate(arrays)
            ]
            named = {
                k: x + t * direction if k == name else v for k, v in keywords.items()
            }
            found = parts(function(*moved, **named))
            return sum(np.sum(w * y) for w, y in zip(cotangents, found))

        ends = [along(s * STEP) for s in (2, 1, -1, -2)]
        slope = (-ends[0] + 8 * ends[1] - 8 * ends[2] + ends[3]) / (12 * STEP)
        found = np.sum(gradient * direction)
        scale = max(abs(slope), np.sum(np.abs(gradient * direction)), 1e-3)
        assert abs(found - slope) <= tolerance * scale, (name, found, slope)


X = rng().normal(size=(3, 6, 5))
C = rng().uniform(size=(3, 6, 5))
E = np.array(0.5)
CASES = {
    "sinkhorn": lambda: check(
        scaling.sinkhorn, C, weights(6, 3), weights(5, 3), temperature=E, half_steps=20
    ),
    # Marginals are shared by the batch, the temperature is not.
    "shared": lambda: check(
        scaling.sinkhorn, C, weights(6), weights(5),
        temperature=np.array([0.4, 0.5, 0.6]), half_steps=9,
    ),
    "until": lambda: check(
        scaling.sinkhorn, C, temperature=np.array([0.4, 0.5, 0.6]), tol=1e-7
    ),
    "unbalanced": lambda: check(
        scaling.sinkhorn, C, weights(6), weights(5, 3), row_init=0.1 * X[..., 0],
        col_init=0.1 * X[:, 0], temperature=E, preset="pot_unbalanced",
    ),
    "annealed": lambda: check(
        scaling.sinkhorn, C, weights(6), weights(5, 3), preset="geomloss"
    ),
    "annealed until": lambda: check(
        scaling.project, C, input="cost", anneal=[2.0, 0.5, 0.2],
        stop=scaling.Stop.until(1e-12, limit=400, relax="none"), row_marginal=weights(6),
    ),
    "project": lambda: check(scaling.project, X, temperature=E, half_steps=7),
    "one matrix": lambda: check(scaling.project, X[0], temperature=E, preset="gumbel"),
    "marginals": lambda: check(
        scaling.project, X, row_marginal=np.full((6,), 1.0), temperature=E,
        col_marginal=6 * weights(5, 3), half_steps=6,
    ),
    "mhc": lambda: check(scaling.project, X[:, :4, :4], preset="mhc"),
    # 1/(s + ε): the step does not look at the factor that it replaces.
    "recip": lambda: check(scaling.project, X, preset="mhc_recip"),
    "slack": lambda: check(
        scaling.project, X, slack=np.array([0.3, 0.4, 0.5]), preset="superglue",
        half_steps=10,
    ),
    "kernel": lambda: check(scaling.project, np.exp(X), input="kernel", half_steps=4),
    "masks": lambda: check(
        scaling.project, X, half_steps=4, col_mask=np.array([True] * 4 + [False])
    ),
    "plan": lambda: check(
        scaling.plan, C, 0.1 * X[..., 0], 0.1 * X[:, 0], temperature=E
    ),
    "log plan": lambda: check(
        scaling.plan, C, temperature=E, output="log_plan", row_marginal=weights(6),
        half_steps=8,
    ),
    "product": lambda: check(
        scaling.apply, C, rng(3).normal(size=(3, 5, 2)), temperature=E, half_steps=9
    ),
    "transposed": lambda: check(
        scaling.apply, C, rng(3).normal(size=(6, 2)), 0.1 * X[..., 0], 0.1 * X[:, 0],
        transposed=True, temperature=E,
    ),
    "value": lambda: check(
        scaling.apply, C, kind="value", temperature=E, half_steps=12
    ),
    "mass": lambda: check(
        scaling.apply, C, kind="mass", temperature=E, preset="pot_unbalanced"
    ),
    "rows": lambda: check(scaling.normalize, X, temperature=E),
    "columns": lambda: check(
        scaling.normalize, C + 0.1, "cols", target=weights(5), input="kernel"
    ),
    "balance": lambda: check(
        scaling.balance, X, row_target=weights(6, 3), col_target=weights(5, 3),
        half_steps=6,
    ),
    "ruiz": lambda: check(scaling.balance, X, preset="ruiz"),
    "attention": lambda: check(
        scaling.attention, X, rng(4).normal(size=(3, 4, 5)),
        rng(5).normal(size=(3, 4, 2)), rng(6).normal(size=(6, 4)), temperature=E,
    ),
    "heads": lambda: check(
        scaling.attention, X.reshape(3, 1, 6, 5), rng(4).normal(size=(2, 4, 5)),
        rng(5).normal(size=(3, 2, 4, 2)), half_steps=4,
    ),
    "large": lambda: check(
        scaling.project, rng(2).normal(size=(40, 37)), temperature=E, half_steps=8
    ),
} | {
    metric: lambda metric=metric: check(
        scaling.pairwise, X, rng(8).normal(size=(4, 5)), metric=metric
    )
    for metric in ("sqeuclidean", "euclidean", "l1", "dot", "cosine")
}  # fmt: skip


#: What others are close to, and test_differentiate.py has as well.
LONG = {"one matrix", "transposed", "mass", "heads", "masks", "log plan", "l1", "ruiz"}


@pytest.mark.parametrize("name", [n for n in CASES if FULL or n not in LONG])
def test_against_differences(name):
    CASES[name]()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", *["float16"] * FULL])
def test_other_element_types(dtype):
    """As in float64, up to the rounding of the storage."""
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    x = X.astype(kind)
    q, k, v = x, x[:, :4], x[:, :4, :3]
    cotangent = rng(1).normal(size=x.shape).astype(kind)
    tolerance = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 6e-2}[dtype]
    wide = lambda *arrays: [array.astype(np.float64) for array in arrays]
    cases = [
        (scaling.project, (x,), cotangent, {"half_steps": 6}),
        (scaling.project, (x[:, :4, :4],), cotangent[:, :4, :4], {"preset": "mhc"}),
        (scaling.attention, (q, k, v), cotangent[..., :3], {}),
        (scaling.normalize, (x,), cotangent, {}),
    ]
    for function, arrays, w, keywords in cases:
        value, pullback = scaling.vjp(function, *arrays, **keywords)
        assert value.dtype == kind
        expected = scaling.vjp(function, *wide(*arrays), **keywords)[1](*wide(w))
        for got, want in zip(pullback(w), expected):
            assert got.dtype == kind
            error = np.abs(got.astype(np.float64) - want).max()
            assert error <= tolerance * np.abs(want).max(), function
    cost, a = abs(x), weights(6).astype(np.float32)
    _, pullback = scaling.vjp(scaling.sinkhorn, cost, a, temperature=0.5, half_steps=8)
    f, g = rng(2).normal(size=(3, 6)), rng(3).normal(size=(3, 5))
    _, exact = scaling.vjp(
        scaling.sinkhorn, *wide(cost, a), temperature=0.5, half_steps=8
    )
    for got, want, own in zip(pullback((f, g)), exact((f, g)), (cost, a)):
        assert got.dtype == own.dtype
        error = np.abs(got.astype(np.float64) - want).max()
        assert error <= tolerance * np.abs(want).max()


def test_what_is_asked_for():
    cost, a, b = C[0], weights(6), weights(5)
    value, pullback = scaling.vjp(scaling.sinkhorn, cost, a, b, half_steps=6)
    both = pullback((f := rng().normal(size=6), None))
    assert [g.shape for g in both] == [(6, 5), (6,), (5,)]
    for wrt, chosen in [("row_marginal", [1]), ((2, "matrix"), [2, 0]), (1, [1])]:
        _, some = scaling.vjp(scaling.sinkhorn, cost, a, b, wrt=wrt, half_steps=6)
        for got, i in zip(some((f, None)), chosen, strict=True):
            np.testing.assert_allclose(got, both[i], rtol=1e-12, atol=1e-15)
    # A number has a gradient where it is named.
    _, pullback = scaling.vjp(
        scaling.project, X, wrt=["matrix", "temperature"], temperature=0.5
    )
    x_bar, e_bar = pullback(X)
    assert x_bar.shape == X.shape and e_bar.shape == () and e_bar != 0
    # Potentials in one argument count as two; the gradient of a sum.
    p, pullback = scaling.vjp(scaling.plan, cost, value)
    c_bar, f_bar, g_bar = pullback(np.ones_like(p))
    np.testing.assert_allclose(f_bar, p.sum(1), rtol=1e-12)
    np.testing.assert_allclose(g_bar, p.sum(0), rtol=1e-12)
    np.testing.assert_allclose(c_bar, -p, rtol=1e-12)


def test_layouts():
    x = X.transpose(0, 2, 1)
    plain = np.ascontiguousarray(x)
    _, ours = scaling.vjp(scaling.project, x, half_steps=5)
    _, theirs = scaling.vjp(scaling.project, plain, half_steps=5)
    w = np.broadcast_to(np.array([[1.0], [2.0], [3.0], [4.0], [5.0]]), x.shape)
    np.testing.assert_array_equal(ours(w)[0], theirs(w.copy())[0])
    _, empty = scaling.vjp(scaling.project, np.zeros((0, 4, 4)), half_steps=4)
    assert empty(np.zeros((0, 4, 4)))[0].shape == (0, 4, 4)


def test_one_value_as_several_operands():
    text = """
    func.func @f(%C: tensor<4x4xf64>, %a: tensor<4xf64>) -> tensor<4xf64> {
      %u, %v, %k, %r, %s = scaling.iterate matrix(%C : tensor<4x4xf64>)
          row_target(%row : tensor<4xf64>) col_target(%col : tensor<4xf64>)
          row_start(%start : tensor<4xf64>)
          rows(#scaling.rule<sum, tau = 0.7>) cols(#scaling.rule<sum, tau = 0.6>)
          order(rows_first) stop(#scaling.stop<fixed 4>)
          numerics(#scaling.numerics<kernel>)
      return %u : tensor<4xf64>
    }"""
    names = ("row", "col", "start")

    def gradients(text):
        program = get_program(
            text, name="f", linalg=False, threads=False, passes="scaling-differentiate"
        )
        return CompiledFunction(program, "f_vjp")

    one = text
    for name in names:
        one = one.replace(f"%{name} ", "%a ")
    arguments = ", ".join(f"%{name}: tensor<4xf64>" for name in names)
    each = text.replace("%a: tensor<4xf64>", arguments)
    matrix, a, w = rng().uniform(1, 2, (4, 4)), weights(4), rng(2).normal(size=4)
    expected_matrix, *parts = gradients(each)(matrix, a, a, a, w)
    got_matrix, got = gradients(one)(matrix, a, w)
    np.testing.assert_allclose(got, sum(parts), rtol=1e-12)
    np.testing.assert_allclose(got_matrix, expected_matrix, rtol=1e-12)


@pytest.mark.parametrize("stop", [{"half_steps": 6}, {"tol": 1e-6}])
def test_what_diverged_leaves_the_rest_alone(stop):
    x = X.copy()
    x[1, 2, 3] = np.nan
    w = rng(1).normal(size=X.shape)
    x_bar = scaling.vjp(scaling.project, x, **stop)[1](w)[0]
    alone = scaling.vjp(scaling.project, X[[0, 2]], **stop)[1](w[[0, 2]])[0]
    np.testing.assert_array_equal(x_bar[[0, 2]], alone)
    # The plan of the factors that came out, those of the start.
    targets = np.ones((3, 6))
    targets[1, 2] = -1
    p, pullback = scaling.vjp(scaling.project, X, row_marginal=targets, **stop)
    x_bar, target_bar = pullback(w)
    np.testing.assert_allclose(p[1], np.exp(X[1]))
    np.testing.assert_allclose(x_bar[1], w[1] * p[1])
    np.testing.assert_array_equal(target_bar[1], 0)


def test_what_is_wrong_is_named():
    refused = [
        (scaling.project, (X,), {"stop": scaling.Stop.best(4)}, "'best' has no"),
        (scaling.balance, (X,), {"preset": "sinq"}, "'best' has no"),
        (scaling.apply, (C,), {"kind": "argmax"}, "'argmax' has no"),
        (
            scaling.sinkhorn,
            (C,),
            {"preset": "geomloss", "mode": "implicit"},
            "'anneal' has no implicit",
        ),
        (scaling.balance, (X[0, :5],), {"preset": "gebal"}, "has no derivative"),
        (scaling.project, (X,), {"wrt": "row_marginal"}, "there are matrix"),
        (scaling.project, (X,), {"wrt": 3}, "no argument 3, only 0 to 0"),
        (scaling.project, (X,), {"wrt": ()}, "wrt: it is empty"),
        (scaling.project, (X,), {"wrt": (0, "matrix")}, "twice"),
    ]
    for function, arrays, keywords, message in refused:
        with pytest.raises(ValueError, match=message):
            scaling.vjp(function, *arrays, **keywords)
    mask = np.ones(6, bool)
    with pytest.raises(ValueError, match="row_mask is a mask"):
        scaling.vjp(scaling.project, X, row_mask=mask, wrt="row_mask")
    with pytest.raises(TypeError, match="function: .* allowed are scaling.sinkhorn"):
        scaling.vjp(np.exp, X)
    with pytest.raises(TypeError, match="no argument is an array of floats"):
        scaling.vjp(scaling.project, np.ones((3, 3), int))
    _, pullback = scaling.vjp(scaling.project, X)
    with pytest.raises(ValueError, match=r"cotangent: the shape is \(6, 5\)"):
        pullback(X[0])
    with pytest.raises(ValueError, match="cotangent: None"):
        pullback(None)
    _, pullback = scaling.vjp(scaling.sinkhorn, C)
    with pytest.raises(TypeError, match="cotangent: 2 arrays are needed"):
        pullback(X)
    # Integers are numbers too, where they are named.
    _, pullback = scaling.vjp(scaling.project, np.eye(3, dtype=int), wrt="matrix")
    assert pullback(np.eye(3))[0].dtype == np.float64


def test_the_thread_is_left_as_it_was():
    with pytest.raises(ValueError):
        scaling.vjp(scaling.project, X, temperature=-1.0)
    assert scaling._calls.tape.calls is None
    with pytest.warns(scaling.ConvergenceWarning) as caught:
        scaling.vjp(scaling.project, X, tol=1e-12, max_half_steps=2)
    assert caught[0].filename == __file__
