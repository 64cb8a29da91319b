"""Gradients of modes "implicit" and "envelope": against central differences, against
PyTorch and JAX, where they fall back, and what they refuse."""

import os
import warnings

import numpy as np
import pytest
import scaling
from scaling._programs import CompiledFunction, get_program

FULL = os.environ.get("SCALING_TEST_FULL", "0") == "1"
STEP = 1e-4
TOLERANCE = 1e-6
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*(converge|diverge):scaling.ConvergenceWarning"
)


def rng(seed=0):
    return np.random.default_rng(seed)


def weights(n, *batch, seed=1):
    x = rng(seed).uniform(0.5, 1.5, (*batch, n))
    return x / x.sum(-1, keepdims=True)


def parts(value):
    """The arrays of a value that get cotangents."""
    if isinstance(value, scaling.SinkhornResult):
        return [value.f, value.g]
    if isinstance(value, scaling.BalanceResult):
        return [value.matrix]
    return [np.asarray(value)]


def random_cotangents(value):
    """Where there are numbers; of potentials, what does not depend on the gauge."""
    arrays = parts(value)
    found = [rng(i).normal(size=x.shape) * np.isfinite(x) for i, x in enumerate(arrays)]
    if isinstance(value, scaling.SinkhornResult):
        count = sum(np.isfinite(x).sum(-1, keepdims=True) for x in arrays)
        c = (found[0].sum(-1, keepdims=True) - found[1].sum(-1, keepdims=True)) / count
        found = [
            (found[0] - c) * np.isfinite(value.f),
            (found[1] + c) * np.isfinite(value.g),
        ]
    return found


MARGINALS = ("row_marginal", "col_marginal", "row_target", "col_target")


def check(function, mode, given, free=False, tolerance=TOLERANCE, **keywords):
    """All gradients along random directions, by differences of fourth order. The
    marginals of what is balanced keep their sums; `free` says that it is not."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, pullback = scaling.vjp(
            function, wrt=list(given), mode=mode, **given, **keywords
        )
        cotangents = random_cotangents(value)
        if isinstance(value, scaling.BalanceResult):
            gradients = pullback((*cotangents, None, None))
        else:
            gradients = pullback(cotangents[0] if len(cotangents) == 1 else cotangents)
    assert pullback.implicit is None if mode == "envelope" else pullback.implicit.all()
    for (name, x), gradient in zip(given.items(), gradients, strict=True):
        assert gradient.shape == x.shape and np.isfinite(gradient).all()
        direction = rng(7).normal(size=x.shape) * (x != 0)
        if name in MARGINALS and not free:
            part = (x != 0) / (x != 0).sum(-1, keepdims=True)
            direction = direction - direction.sum(-1, keepdims=True) * part

        def along(t):
            found = parts(function(**given | {name: x + t * direction}, **keywords))
            return sum(np.sum(w[w != 0] * y[w != 0]) for w, y in zip(cotangents, found))

        ends = [along(s * STEP) for s in (2, 1, -1, -2)]
        slope = (-ends[0] + 8 * ends[1] - 8 * ends[2] + ends[3]) / (12 * STEP)
        found = np.sum(gradient * direction)
        scale = max(abs(slope), np.sum(np.abs(gradient * direction)), 1e-3)
        assert abs(found - slope) <= tolerance * scale, (name, found, slope)


X = rng().normal(size=(3, 6, 5))
C = rng().uniform(size=(3, 6, 5))
A, B = weights(6, 3), weights(5, 3)
E = np.array(0.5)
#: As far as f64 goes, for differences.
EXACT = {"tol": 1e-13, "max_half_steps": 4000}
SUMS = {"row_marginal": np.ones(6), "col_marginal": 6 * B}
TRANSPORT = {"matrix": C, "row_marginal": A, "col_marginal": B, "temperature": E}
UNBALANCED = {
    "rows": scaling.Rule(tau=0.7),
    "cols": scaling.Rule(tau=0.8, reference="product"),
    "half_steps": 200,
}
CASES = {
    "potentials": lambda: check(scaling.sinkhorn, "implicit", TRANSPORT, **EXACT),
    "absorb": lambda: check(
        scaling.sinkhorn, "implicit", TRANSPORT, domain="absorb", **EXACT
    ),
    "kernel domain": lambda: check(
        scaling.sinkhorn, "implicit", TRANSPORT, domain="kernel", **EXACT
    ),
    "columns first": lambda: check(
        scaling.sinkhorn, "implicit", TRANSPORT, order="cols_first", **EXACT
    ),
    # Marginals are shared by the batch, the temperature is not.
    "shared": lambda: check(
        scaling.sinkhorn, "implicit",
        {"matrix": C, "row_marginal": weights(6), "col_marginal": weights(5),
         "temperature": np.array([0.4, 0.5, 0.6])}, half_steps=300,
    ),
    "zero weight": lambda: check(
        scaling.sinkhorn, "implicit",
        TRANSPORT | {"row_marginal": weights(6) * (np.arange(6) != 2) / (
            1 - weights(6)[2])}, **EXACT,
    ),
    "unbalanced": lambda: check(
        scaling.sinkhorn, "implicit", TRANSPORT, free=True, **UNBALANCED
    ),
    "half unbalanced": lambda: check(
        scaling.sinkhorn, "implicit", TRANSPORT, free=True,
        rows=scaling.Rule(tau=0.7), half_steps=400,
    ),
    "unbalanced mass": lambda: check(
        scaling.apply, "implicit", TRANSPORT, free=True, kind="mass", **UNBALANCED
    ),
    "jacobi": lambda: check(
        scaling.project, "implicit", {"matrix": X, "temperature": E}, order="jacobi",
        rows=scaling.Rule(exponent=0.5), cols=scaling.Rule(exponent=0.5), half_steps=800,
        col_marginal=np.full(5, 1.2),
    ),
    "project": lambda: check(
        scaling.project, "implicit", {"matrix": X, "temperature": E} | SUMS, **EXACT
    ),
    "one matrix": lambda: check(
        scaling.project, "implicit", {"matrix": X[0, :5]}, **EXACT
    ),
    "guards": lambda: check(
        scaling.project, "implicit", {"matrix": X[:, :4, :4]}, preset="mhc",
        half_steps=600,
    ),
    "kernel guard": lambda: check(
        scaling.project, "implicit", {"matrix": X[:, :5]}, domain="kernel",
        rows=scaling.Rule(guard=("add_kernel", 0.2)),
        cols=scaling.Rule(guard=("add_kernel", 0.2)), half_steps=400,
    ),
    "slack": lambda: check(
        scaling.project, "implicit",
        {"matrix": X, "slack": np.array([0.3, 0.4, 0.5])}, preset="superglue",
        half_steps=600,
    ),
    "kernel": lambda: check(
        scaling.project, "implicit", {"matrix": np.exp(X[:, :5])}, input="kernel",
        half_steps=400,
    ),
    "masks": lambda: check(
        scaling.project, "implicit", {"matrix": X}, half_steps=400,
        col_mask=np.array([True] * 4 + [False]),
        row_mask=np.array([False, False] + [True] * 4),
    ),
    "log plan": lambda: check(
        scaling.plan, "implicit", TRANSPORT, output="log_plan", **EXACT
    ),
    "product": lambda: check(
        scaling.apply, "implicit",
        TRANSPORT | {"operand": rng(3).normal(size=(3, 5, 2))}, **EXACT
    ),
    "value": lambda: check(
        scaling.apply, "implicit", TRANSPORT, kind="value", **EXACT
    ),
    "implicit dual": lambda: check(
        scaling.apply, "implicit", TRANSPORT, kind="dual", **EXACT
    ),
    "attention": lambda: check(
        scaling.attention, "implicit",
        {"query": X, "key": rng(4).normal(size=(3, 6, 5)),
         "value": rng(5).normal(size=(3, 6, 2)), "temperature": E}, half_steps=600,
    ),
    "balance": lambda: check(
        scaling.balance, "implicit",
        {"matrix": X[:, :5] + 0.1, "row_target": 2 * weights(5, 3),
         "col_target": 2 * weights(5, seed=2)}, half_steps=800,
    ),
    "2-norms": lambda: check(
        scaling.balance, "implicit",
        {"matrix": X[:, :5], "row_target": np.ones(5)}, half_steps=800,
        rows=scaling.Rule("l2"), cols=scaling.Rule("l2"),
    ),
    "large": lambda: check(
        scaling.project, "implicit", {"matrix": rng(2).normal(size=(40, 40))}, **EXACT
    ),
    "dual": lambda: check(scaling.apply, "envelope", TRANSPORT, kind="dual", **EXACT),
    "annealed dual": lambda: check(
        scaling.apply, "envelope", {"matrix": C, "row_marginal": A, "col_marginal": B},
        kind="dual", anneal=[2.0, 1.0], stop=scaling.Stop.until(1e-13, limit=2000),
    ),
    "large dual": lambda: check(
        scaling.apply, "envelope",
        {"matrix": rng(2).uniform(size=(40, 50)), "row_marginal": weights(40),
         "col_marginal": weights(50)}, kind="dual", temperature=0.2, **EXACT,
    ),
}  # fmt: skip
#: One of each kind; the long run has the rest.
SHORT = {"potentials", "zero weight", "unbalanced", "guards", "kernel guard", "slack",
         "masks", "attention", "balance", "2-norms", "dual"}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in CASES if FULL or n in SHORT])
def test_against_differences(name):
    CASES[name]()


def plain_sinkhorn(namespace, logsumexp, x, log_a, log_b):
    """The recurrence as anybody writes it, long enough to have converged."""
    g = namespace.zeros_like(log_b)
    for _ in range(400):
        f = log_a - logsumexp(x + g[None, :], 1)
        g = log_b - logsumexp(x + f[:, None], 0)
    return namespace.exp(f[:, None] + x + g[None, :])


@pytest.mark.parametrize("package", ["torch", "jax"])
def test_against_autograd(package):
    """Of a plan and of a dual value, by packages that unroll everything."""
    x, a, b, w = X[0], weights(6), weights(5), rng(1).normal(size=(6, 5))
    given = {"input": "logits", "row_marginal": a, "col_marginal": b}
    _, pullback = scaling.vjp(
        scaling.plan, x, wrt="matrix", mode="implicit", **given, **EXACT
    )
    _, dual = scaling.vjp(
        scaling.apply, x, wrt="matrix", mode="envelope", kind="dual", **given, **EXACT
    )
    found, found_dual = pullback(w)[0], dual(np.array(1.0))[0]
    log_a, log_b = np.log(a), np.log(b)
    if package == "torch":
        torch = pytest.importorskip("torch")
        leaf = torch.tensor(x, requires_grad=True)
        p = plain_sinkhorn(
            torch, torch.logsumexp, leaf, torch.tensor(log_a), torch.tensor(log_b)
        )
        (expected,) = torch.autograd.grad(p, leaf, torch.tensor(w), retain_graph=True)
        # min ⟨P, C⟩ + KL(P | a bᵀ), differentiated through all of P.
        q = torch.tensor(np.outer(a, b))
        value = (p * (torch.log(p / q) - leaf)).sum() - p.sum() + q.sum()
        (expected_dual,) = torch.autograd.grad(value, leaf)
    else:
        jax = pytest.importorskip("jax")
        with jax.enable_x64(True):
            lse = jax.scipy.special.logsumexp
            plan = lambda x: plain_sinkhorn(jax.numpy, lse, x, log_a, log_b)
            expected = jax.vjp(plan, x)[1](jax.numpy.asarray(w))[0]
            value = lambda x: (
                lambda p: (p * (jax.numpy.log(p / np.outer(a, b)) - x)).sum() - p.sum()
            )(plan(x))
            expected_dual = jax.grad(value)(jax.numpy.asarray(x))
    np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(found_dual, np.asarray(expected_dual), atol=1e-8)


def test_what_did_not_converge_is_unrolled():
    w = rng(1).normal(size=X.shape)
    e = np.array([1.0, 0.02, 1.0])
    options = {"temperature": e, "half_steps": 40, "wrt": ("matrix", "temperature"),
               "col_marginal": np.full(5, 1.2)}  # fmt: skip
    x = X.copy()
    _, pullback = scaling.vjp(scaling.project, x, mode="implicit", **options)
    assert pullback.implicit is None
    with pytest.warns(scaling.ConvergenceWarning, match="1 of 3 .* not converged") as c:
        found = pullback(w)
    assert c[0].filename == __file__
    np.testing.assert_array_equal(pullback.implicit, [True, False, True])
    expected = scaling.vjp(scaling.project, x, **options)[1](w)
    for got, want in zip(found, expected):
        np.testing.assert_allclose(got[1], want[1], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(got[::2], want[::2], rtol=1e-4, atol=1e-6)
    # What diverged has the gradient of its start, as without a mode.
    x[1, 2, 3] = np.nan
    _, pullback = scaling.vjp(scaling.project, x, mode="implicit", **options)
    with pytest.warns(scaling.ConvergenceWarning, match="1 of 3"):
        found = pullback(w)
    np.testing.assert_array_equal(pullback.implicit, [True, False, True])
    assert np.isfinite(found[0][::2]).all()
    # How near is near enough is the caller's to say.
    loose = {"half_steps": 2, "mode": "implicit", "max_residual": 1.0}
    _, pullback = scaling.vjp(scaling.project, X, **loose)
    pullback(w)
    assert pullback.implicit.all()


@pytest.mark.parametrize(
    "options,mode",
    [
        ({"half_steps": 7}, "unrolled"),
        ({"half_steps": 70, "domain": "kernel"}, "unrolled"),
        ({"tol": 1e-12}, "unrolled"),
        ({"half_steps": 300}, "implicit"),
        ({"half_steps": 3}, "implicit"),
    ],
)
def test_one_factor_for_both_axes(options, mode):
    x, change = rng(5).normal(size=(2, 2, 6, 6))
    x, change = x + x.swapaxes(-1, -2), change + change.swapaxes(-1, -2)
    a = weights(6, 2)
    other = rng(6).normal(size=a.shape)
    other = (other - other.mean(-1, keepdims=True)) * a
    options |= {"order": "symmetric", "temperature": 1.5}
    _, pullback = scaling.vjp(
        scaling.project, x, row_marginal=a, mode=mode, wrt=["matrix", "row_marginal"],
        **options,
    )  # fmt: skip
    w = rng(7).normal(size=x.shape)
    of_x, of_a = pullback(w)
    if mode == "implicit":
        assert np.all(pullback.implicit == (options["half_steps"] == 300))

    def slope(function):
        at = [function(step * STEP) for step in (-2, -1, 1, 2)]
        return (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * STEP)

    value = lambda x, a: np.sum(w * scaling.project(x, row_marginal=a, **options))
    for gradient, along, expected in (
        (of_x, change, slope(lambda s: value(x + s * change, a))),
        (of_a, other, slope(lambda s: value(x, a + s * other))),
    ):
        found, scale = np.sum(gradient * along), np.sum(np.abs(gradient * along))
        assert abs(found - expected) <= TOLERANCE * max(scale, abs(expected))


def test_jax_says_what_was_unrolled():
    jax = pytest.importorskip("jax")
    import scaling.jax

    x = rng(4).normal(size=(3, 5, 5)).astype(np.float32)
    few, many = ({"half_steps": steps, "gradient": "implicit"} for steps in (2, 200))

    def loss(options):
        return lambda x: jax.numpy.sum(scaling.jax.project(x, **options) ** 2)

    for wrapped in (jax.grad, lambda f: jax.jit(jax.grad(f))):
        which = "unrolled in 3 of 3 problems: the iteration has not converged"
        with pytest.warns(scaling.ConvergenceWarning, match=which):
            jax.block_until_ready(wrapped(loss(few))(x))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            jax.block_until_ready(wrapped(loss(many))(x))


def test_other_element_types():
    c = C.astype(np.float32)
    w = rng(1).normal(size=c.shape)
    options = {"temperature": 0.2, "tol": 1e-5, "mode": "implicit"}
    _, pullback = scaling.vjp(scaling.plan, c, **options)
    found = pullback(w.astype(np.float32))[0]
    _, exact = scaling.vjp(scaling.plan, c.astype(np.float64), **options)
    expected = exact(w)[0]
    assert pullback.implicit.all() and found.dtype == np.float32
    assert np.abs(found - expected).max() <= 1e-3 * np.abs(expected).max()


def test_what_is_wrong_is_named():
    refused = [
        (scaling.project, {"mode": "exact"}, "mode: 'exact' was given, allowed are"),
        (scaling.project, {"mode": "implicit", "max_residual": -1.0}, "max_residual"),
        (scaling.project, {"mode": "envelope"}, "no envelope derivative"),
        (scaling.sinkhorn, {"mode": "envelope"}, "no envelope derivative"),
        (scaling.apply, {"mode": "envelope", "kind": "value"}, "no envelope"),
        (scaling.balance, {"mode": "implicit", "preset": "ruiz"}, "not of 'sum', 'l1'"),
        (scaling.project, {"mode": "implicit", "stop": scaling.Stop.best(4)}, "'best'"),
        (scaling.apply, {"kind": "dual"}, "row_marginal: with kind 'dual'"),
    ]
    for function, keywords, message in refused:
        with pytest.raises(ValueError, match=message):
            scaling.vjp(function, X, **keywords)
    with pytest.raises(ValueError, match="are not the marginals"):
        scaling.vjp(
            scaling.apply, C, kind="dual", row_marginal=A, col_marginal=B,
            mode="envelope", rows=scaling.Rule(tau=0.5),
        )  # fmt: skip


def test_dual_value():
    """The optimum: ⟨P, C⟩ + ε KL(P | a bᵀ)."""
    options = {"row_marginal": A, "col_marginal": B, "temperature": 0.5}
    value = scaling.apply(C, kind="dual", **options, **EXACT)
    p, q = scaling.plan(C, **options, **EXACT), A[:, :, None] * B[:, None]
    expected = (p * C + 0.5 * p * np.log(p / q)).sum((1, 2))
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    potentials = scaling.sinkhorn(C, **options, **EXACT)
    np.testing.assert_allclose(
        scaling.apply(C, f=potentials, kind="dual", **options), value, rtol=1e-12
    )


def test_keyword_of_torch():
    torch = pytest.importorskip("torch")
    import scaling.torch as st

    w = rng(1).normal(size=X.shape)
    given = {"temperature": 0.7, "tol": 1e-9}
    _, pullback = scaling.vjp(scaling.project, X[:, :5], mode="implicit", **given)
    expected = pullback(w[:, :5])[0]
    leaf = torch.tensor(X[:, :5], requires_grad=True)
    p = st.project(leaf, gradient="implicit", **given)
    (found,) = torch.autograd.grad(p, leaf, torch.tensor(w[:, :5]))
    np.testing.assert_array_equal(found.numpy(), expected)
    # What did not converge is unrolled, and says so.
    p = st.project(leaf, gradient="implicit", half_steps=2)
    with pytest.warns(scaling.ConvergenceWarning, match="in 3 of 3 problems"):
        (found,) = torch.autograd.grad(p, leaf, torch.tensor(w[:, :5]))
    p = st.project(leaf, half_steps=2)
    (expected,) = torch.autograd.grad(p, leaf, torch.tensor(w[:, :5]))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    for word, message in (("envelope", "dual values"), ("exact", "allowed are")):
        with pytest.raises(ValueError, match=f"gradient: '{word}' .*{message}"):
            st.sinkhorn(leaf, gradient=word)


def test_keyword_of_jax():
    jax = pytest.importorskip("jax")
    sj = pytest.importorskip("scaling.jax")
    w = rng(1).normal(size=X[:, :5].shape)
    given = {"temperature": 0.7, "tol": 1e-9}
    _, pullback = scaling.vjp(scaling.project, X[:, :5], mode="implicit", **given)
    expected = pullback(w)[0]
    with jax.enable_x64(True):
        x = jax.numpy.asarray(X[:, :5])

        def loss(x, w):
            return (sj.project(x, gradient="implicit", **given) * w).sum()

        found = jax.jit(jax.grad(loss))(x, w)
        mapped = jax.vmap(jax.grad(loss))(x, jax.numpy.asarray(w))
        a, b = weights(6), weights(5)
        dual = lambda c: sj.apply(
            c,
            kind="dual",
            row_marginal=a,
            col_marginal=b,
            gradient="envelope",
            tol=1e-9,
        )
        c_bar = jax.grad(dual)(jax.numpy.asarray(C[0]))
        with pytest.raises(ValueError, match="gradient: 'exact' was given"):
            sj.project(x, gradient="exact")
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(mapped, expected, rtol=1e-12)
    p = scaling.plan(C[0], row_marginal=a, col_marginal=b, tol=1e-9)
    np.testing.assert_allclose(c_bar, p, rtol=1e-6)


def test_points():
    """Through the costs, a block of rows at a time; as unrolled."""
    text = """
    func.func @f(%x: tensor<200x3xf64>, %y: tensor<150x3xf64>)
        -> (tensor<200xf64>, tensor<150xf64>) {
      %e = tensor.empty() : tensor<200x150xf64>
      %C = scaling.pairwise sqeuclidean
          points(%x, %y : tensor<200x3xf64>, tensor<150x3xf64>)
          outs(%e : tensor<200x150xf64>) -> tensor<200x150xf64>
      %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<200x150xf64>)
          form(#scaling.form<cost, epsilon = 0.2>)
          rows(#scaling.rule<sum, target = uniform>)
          cols(#scaling.rule<sum, target = uniform>)
          stop(#scaling.stop<fixed 300>) numerics(#scaling.numerics<log>)
      return %f, %g : tensor<200xf64>, tensor<150xf64>
    }"""
    x, y = rng(0).uniform(size=(200, 3)), rng(1).uniform(size=(150, 3))
    f, g = rng(2).normal(size=200), rng(3).normal(size=150)
    found = {}
    for mode in ("unrolled", "implicit"):
        passes = f"scaling-differentiate{{mode={mode}}}"
        program = get_program(
            text, name="f", linalg=False, threads=False, passes=passes
        )
        call = CompiledFunction(program, "f_vjp")
        found[mode] = call(x, y, f - f.mean(), g - g.mean())
    *gradients, report = found["implicit"]
    assert report == 1
    for got, want in zip(gradients, found["unrolled"], strict=True):
        np.testing.assert_allclose(got, want, atol=1e-10 * np.abs(want).max())
