"""scaling.jax against scaling itself, finite differences and JAX' own gradients."""

import re
import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scaling
import scaling.jax as sj
from findtool import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scaling.ConvergenceWarning)
        yield


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def normal(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def close(actual, expected, tolerance=2e-6):
    expected = np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(
        np.asarray(actual, np.float64), expected, rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_functions_are_those_of_scaling(dtype):
    x = jnp.asarray(normal(3, 5, 6)).astype(dtype)
    array = np.asarray(x)
    tolerance = 1e-6 if dtype == "float32" else 1e-2
    cost, points = abs(x), normal(3, 6, 2, seed=1)
    calls = [
        lambda f, x, c: f.project(x, preset="mhc"),
        lambda f, x, c: f.project(x, temperature=0.5, slack=0.2, half_steps=4),
        lambda f, x, c: f.attention(x, x, x, temperature=2.0, logit_scale=0.5),
        lambda f, x, c: f.plan(c, temperature=0.5, half_steps=4),
        lambda f, x, c: f.apply(c, points.astype(dtype), half_steps=4),
        lambda f, x, c: f.apply(c, kind="value", half_steps=4),
        lambda f, x, c: f.pairwise(x, x, "l1"),
        lambda f, x, c: f.normalize(x, "cols"),
        lambda f, x, c: f.balance(x, preset="ruiz").matrix,
        lambda f, x, c: f.sinkhorn(c, half_steps=7).g,
    ]
    for call in calls if dtype == "float32" else calls[:2]:
        expected = call(scaling, array, abs(array))
        actual = call(sj, x, cost)
        assert isinstance(actual, jax.Array)
        assert actual.dtype == expected.dtype
        close(actual, expected.astype(np.float64), tolerance)


def test_results_pass_through_jit():
    x = abs(normal(3, 5, 6))
    result = jax.jit(lambda x: sj.sinkhorn(x, temperature=0.5, tol=1e-4))(x)
    expected = scaling.sinkhorn(x, temperature=0.5, tol=1e-4)
    close(result.f, expected.f, 1e-5)
    assert result.info.status.tolist() == [scaling.Status.CONVERGED] * 3
    assert result.info.converged
    plan = jax.jit(lambda x, r: sj.plan(x, r, temperature=0.5))(x, result)
    close(plan, scaling.plan(x, expected, temperature=0.5), 1e-5)
    _, info = jax.jit(lambda x: sj.project(x, half_steps=3, return_info=True))(x)
    assert info.half_steps.tolist() == [3] * 3


def test_f64(x64):
    x = normal(2, 4, 4, dtype=np.float64)
    close(sj.project(x, preset="mhc"), scaling.project(x, preset="mhc"), 1e-14)
    single = x.astype(np.float32)
    _, info = sj.project(single, accumulate="f64", return_info=True)
    assert info.residual.dtype == np.float64


@settings(max_examples=10, deadline=None)
@given(
    lead=st.lists(st.integers(0, 3), max_size=2),
    ranks=st.lists(st.integers(0, 2), min_size=3, max_size=3),
    ones=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_batches_are_broadcast(lead, ranks, ones):
    lead = tuple(lead)
    dims = iter(ones)

    def batch(rank):
        own = lead[len(lead) - min(rank, len(lead)) :]
        return tuple(1 if next(dims) else size for size in own)

    x = normal(*batch(ranks[0]), 3, 4)
    a = 0.5 + abs(normal(*batch(ranks[1]), 3, seed=1))
    e = 0.5 + abs(normal(*batch(ranks[2]), seed=2))
    how = {"half_steps": 3, "domain": "log"}
    expected = scaling.project(x, row_marginal=a, temperature=e, **how)
    actual = sj.project(x, row_marginal=a, temperature=jnp.asarray(e), **how)
    close(actual, expected)


def test_vmap_over_any_operand():
    x, a, e = normal(2, 3, 4), 0.5 + abs(normal(5, 3)), np.float32([0.5, 0.7])
    how = {"half_steps": 3, "domain": "log"}
    one = lambda x, a, e: sj.project(x, row_marginal=a, temperature=e, **how)
    expected = scaling.project(
        x[:, None], row_marginal=a, temperature=e[:, None], **how
    )
    inner = jax.vmap(one, in_axes=(None, 0, None))
    close(jax.jit(jax.vmap(inner, in_axes=(0, None, 0)))(x, a, e), expected)
    # The outer batch is no part of the marginals', the inner none of the matrix'.
    outer = jax.vmap(jax.vmap(one, in_axes=(0, None, 0)), (None, 1, None), 1)
    close(outer(x, a.T, e), expected)
    close(jax.vmap(one, in_axes=(2, None, None))(x.transpose(1, 2, 0), a[0], 0.5),
          scaling.project(x, row_marginal=a[0], temperature=0.5, **how))  # fmt: skip


def test_jit_compiles_once_per_shape():
    traces = []

    @jax.jit
    def f(x):
        traces.append(x.shape)
        return sj.project(x, preset="mhc")

    for seed in range(3):
        f(normal(2, 4, 4, seed=seed))
    assert traces == [(2, 4, 4)]
    # The batch is open: another one is the same program.
    assert f.lower(normal(2, 4, 4)).as_text().count("tensor<?x4x4xf32>") > 0


def recurrence(x, a, b, epsilon, steps):
    """Plain Sinkhorn on logarithms, rows first."""
    log = x / epsilon
    f, g = jnp.zeros(x.shape[:-1]), jnp.zeros((*x.shape[:-2], x.shape[-1]))
    for step in range(steps):
        if step % 2 == 0:
            f = jnp.log(a) - jax.nn.logsumexp(log + g[..., None, :], axis=-1)
        else:
            g = jnp.log(b) - jax.nn.logsumexp(log + f[..., None], axis=-2)
    return jnp.exp(log + f[..., None] + g[..., None, :])


def test_gradients_are_those_of_the_plain_recurrence(x64):
    x, w = normal(2, 5, 4, dtype=np.float64), normal(2, 5, 4, seed=3, dtype=np.float64)
    a, b = np.full((5,), 0.8), 0.5 + abs(normal(2, 4, seed=1, dtype=np.float64))

    def ours(x, a, b, e):
        p = sj.project(
            x, row_marginal=a, col_marginal=b, temperature=e, half_steps=6, domain="log"
        )
        return jnp.sum(w * p)

    plain = lambda x, a, b, e: jnp.sum(w * recurrence(x, a, b, e, 6))
    e = np.float64(0.7)
    expected = jax.grad(plain, (0, 1, 2, 3))(x, a, b, e)
    for gradients in (
        jax.grad(ours, (0, 1, 2, 3)),
        jax.jit(jax.grad(ours, (0, 1, 2, 3))),
    ):
        for actual, wanted in zip(gradients(x, a, b, e), expected):
            close(actual, wanted, 1e-9)
    # One gradient alone, and each problem's own of what they share.
    close(jax.grad(ours, 3)(x, a, b, e), expected[3], 1e-9)

    def per_problem(f):
        one = lambda x, b, w, a, e: jnp.sum(w * f(x, a, b, e))
        return jax.vmap(jax.grad(one, (3, 4)), (0, 0, 0, None, None))(x, b, w, a, e)

    how = {"half_steps": 6, "domain": "log"}
    for actual, wanted in zip(
        per_problem(lambda x, a, b, e: sj.project(
            x, row_marginal=a, col_marginal=b, temperature=e, **how)),
        per_problem(lambda x, a, b, e: recurrence(x, a, b, e, 6)),
    ):  # fmt: skip
        close(actual, wanted, 1e-9)


@pytest.mark.parametrize(
    "op", ["attention", "sinkhorn", "balance", "apply", "normalize"]
)
def test_gradients_against_differences(x64, op):
    x = normal(3, 4, 4, dtype=np.float64)
    functions = {
        "attention": lambda x: sj.attention(x, x + 1, x * x),
        "sinkhorn": lambda x: sj.sinkhorn(x, temperature=0.9, half_steps=5).f,
        "balance": lambda x: sj.balance(
            x, rows="l2", cols="l2", half_steps=4
        ).col_scale,
        "apply": lambda x: sj.apply(x, kind="value", half_steps=4),
        "normalize": lambda x: sj.normalize(x, mask=np.array([1, 1, 0, 1], bool)),
    }
    f = lambda x: jnp.sum(jnp.sin(functions[op](x)))
    v, h = normal(3, 4, 4, seed=5, dtype=np.float64), 1e-5
    slope = (f(x + h * v) - f(x - h * v)) / (2 * h)
    np.testing.assert_allclose(jnp.sum(jax.grad(f)(x) * v), slope, rtol=1e-7)


def test_what_has_no_gradient_says_so():
    x = normal(4, 4)
    with pytest.raises(ValueError, match="'best' has no gradient"):
        jax.grad(lambda x: sj.balance(x, preset="sinq").matrix.sum())(x)
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(lambda x: sj.project(x, half_steps=2), (x,), (x,))
    project = lambda x: (sj.project(x, half_steps=3) ** 2).sum()
    for twice in (
        jax.grad(lambda x: jax.grad(project)(x).sum()),
        jax.jit(jax.grad(lambda x: (jax.grad(project)(x) * x).sum())),
        jax.hessian(project),
    ):
        with pytest.raises((NotImplementedError, TypeError), match="deriv|custom_vjp"):
            twice(x)
    # Reports have none either, and masks need none.
    half = lambda x: sj.project(
        x, row_mask=np.ones(4, bool), half_steps=2, return_info=True
    )[1].residual.sum()
    assert not jax.grad(half)(x).any()


ERRORS = [
    (lambda x: sj.project(x, preset="nope"), ValueError, "preset: 'nope'"),
    (lambda x: sj.project(x, row_marginal=np.ones(3)), ValueError, "row_marginal: .*5"),
    (lambda x: sj.project(x, temperature=np.ones(2)), ValueError, "does not go with"),
    (lambda x: sj.project(x, temperature=-1.0), ValueError, "temperature: -1.0"),
    (lambda x: sj.project(x[0, 0]), ValueError, "matrix: .*at least 2 dimensions"),
    (lambda x: sj.project(x, row_mask=np.ones(5)), TypeError, "row_mask: booleans"),
    (lambda x: sj.project(x * 1j), TypeError, "matrix: .*complex64"),
    (lambda x: sj.project(x, accumulate="f64"), ValueError, "jax_enable_x64"),
    (lambda x: sj.project(x, sto=1), TypeError, "scaling.jax.project: .*'sto'"),
    (lambda x: sj.project([[1.0], [2.0, 3.0]]), ValueError, "matrix: .*inhomogeneous"),
    (lambda x: sj.project(x, products="fp8"), ValueError, "products: 'fp8' was given"),
    (lambda x: sj.project(x, temperature="hot"), TypeError, "temperature: a number"),
    (lambda x: sj.project(x, gradient="exact"), ValueError, "gradient: 'exact'"),
    (lambda x: sj.attention(x, None, x), TypeError, "key: an array is needed"),
    (lambda x: sj.project(x, entry_eps=0.1, domain="log"), ValueError, "kernel domain"),
]


@pytest.mark.parametrize("call, kind, message", ERRORS)
@pytest.mark.parametrize("how", [lambda f: f, jax.jit])
def test_errors_name_the_argument(call, kind, message, how):
    with pytest.raises(kind, match=message):
        how(call)(normal(3, 5, 6))


def test_exported_programs_run():
    from jax import export

    x = normal(3, 4, 4)
    function = jax.jit(lambda x: sj.project(x, preset="mhc"))
    # A size that is not known while exporting is open in the program.
    (n,) = export.symbolic_shape("n")
    for shape in (x.shape, (n, 4, 4)):
        exported = export.export(
            function,
            disabled_checks=[export.DisabledSafetyCheck.custom_call("scaling_call")],
        )(jax.ShapeDtypeStruct(shape, np.float32))
        close(exported.call(x), scaling.project(x, preset="mhc"))


def test_without_jax_the_import_says_what_to_install(python_environment):
    code = (
        "import sys\n"
        "sys.modules[sys.argv[1]] = None\n"
        "try:\n"
        "    import scaling.jax\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    for missing, expected in [
        ("jax", r"pip install 'scaling[jax]'"),
        ("scaling._jax", "build scaling again"),
    ]:
        run = subprocess.run(
            [sys.executable, "-c", code, missing],
            env=python_environment,
            check=True,
            capture_output=True,
            text=True,
        )
        assert expected in run.stdout


def test_threads_share_programs():
    from concurrent.futures import ThreadPoolExecutor

    function = jax.jit(lambda x: sj.project(x, preset="mhc"))
    inputs = [normal(7, 4, 4, seed=seed) for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(function, inputs))
    for x, result in zip(inputs, results):
        close(result, scaling.project(x, preset="mhc"))


def test_the_page_and_the_example(python_environment):
    page = (ROOT / "docs" / "jax.md").read_text()
    values = {}
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(code, values)
    # The last half-step is along columns.
    close(values["p"].sum(-2), np.ones((16384, 4)), 1e-5)
    run = subprocess.run(
        [sys.executable, ROOT / "examples/jax/sinkhorn_layer.py", "--tokens=64"],
        env=python_environment,
        check=True,
        capture_output=True,
        text=True,
    )
    differences = re.findall(r"difference (\S+)", run.stdout)
    assert len(differences) == 3 and max(map(float, differences)) < 1e-5
