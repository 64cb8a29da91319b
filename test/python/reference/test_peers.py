"""The reference against the real POT and SciPy."""

import numpy as np
import ot
import pytest
import scaling_reference as sr
from scaling_reference import presets
from scaling_reference.presets import run_preset
from scipy.linalg import matrix_balance
from scipy.special import log_softmax, softmax
from test_presets import close, generic_plan, problem, uneven, weights

SHAPES = [(5, 5), (3, 8), (20, 11)]


@pytest.mark.parametrize("eps", [0.05, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "name, solver",
    [
        ("pot", ot.bregman.sinkhorn_knopp),
        ("pot_log", ot.bregman.sinkhorn_log),
        ("pot_stabilized", ot.bregman.sinkhorn_stabilized),
    ],
)
def test_sinkhorn(name, solver, shape, eps):
    a, b, cost = problem(shape, 1)
    expected, log = solver(a, b, cost, eps, log=True)
    plain = getattr(presets, name)(a, b, cost, eps)
    generic = run_preset(name, cost, epsilon=eps, **weights(a, b))
    close(plain.plan, expected, rtol=1e-9)
    close(generic_plan(generic, cost, eps), expected, rtol=1e-9)
    assert plain.iterations == log.get("n_iter", log.get("niter")) + 1
    assert generic.half_steps == 2 * plain.iterations


@pytest.mark.parametrize("reg_m", [1.0, (0.3, 4.0)])
@pytest.mark.parametrize("reg_type", ["kl", "entropy"])
@pytest.mark.filterwarnings("ignore:If reg_type = entropy")
def test_unbalanced(reg_type, reg_m):
    a, b, cost = problem((6, 9), 1)
    pair = reg_m if isinstance(reg_m, tuple) else (reg_m, reg_m)
    expected = ot.unbalanced.sinkhorn_unbalanced(
        a, b, cost, 0.2, reg_m, reg_type=reg_type
    )
    plain = presets.pot_unbalanced(a, b, cost, 0.2, pair, reg_type)
    close(plain.plan, expected)


def test_zero_weights_as_pot():
    a, b, cost = problem((4, 5), 1)
    a[1], b[3] = 0, 0
    a, b = a / a.sum(), b / b.sum()
    keep = np.ix_(a > 0, b > 0)
    expected = ot.bregman.sinkhorn_log(a[a > 0], b[b > 0], cost[keep], 0.2)
    result = run_preset("pot_log", cost, epsilon=0.2, **weights(a, b))
    plan = generic_plan(result, cost, 0.2)
    close(plan[keep], expected)
    assert np.all(plan[1] == 0) and np.all(plan[:, 3] == 0)


@pytest.mark.parametrize("size", [1, 2, 3, 6, 15])
@pytest.mark.parametrize("seed", range(10))
def test_matrix_balance(size, seed):
    rng = np.random.default_rng(seed)
    a = uneven((size, size), seed) * (rng.uniform(size=(size, size)) < 0.8)
    expected, (scale, _) = matrix_balance(a, permute=False, separate=True)
    result = sr.similarity_balance(a)
    np.testing.assert_array_equal(result.scale, scale)
    np.testing.assert_allclose(result.matrix, expected, rtol=1e-15)


@pytest.mark.parametrize(
    "a",
    [
        [[1.0, 1e200, 3.0], [1e-200, 2.0, 1e-160], [1e150, 4.0, 0.0]],
        [[0.0, 1e300], [1e-300, 0.0]],
        [[0.0, 1e300, 0.0], [1e-300, 0.0, 1e300], [0.0, 1e-300, 0.0]],
        [[0.0, 1e-300, 0.0], [1e300, 0.0, 1e-300], [0.0, 1e300, 0.0]],
    ],
)
# SciPy casts the scales to permutation indices and ignores what comes out.
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_matrix_balance_of_extreme_entries(a):
    a = np.array(a)
    _, (scale, _) = matrix_balance(a, permute=False, separate=True)
    result = sr.similarity_balance(a)
    np.testing.assert_array_equal(result.scale, scale)
    assert np.max(scale) > 2.0**100


@pytest.mark.parametrize("axis, number", [("rows", -1), ("cols", -2)])
def test_softmax(axis, number):
    x = np.random.default_rng(0).normal(size=(3, 4, 5)) * 30
    close(sr.softmax(x, axis), softmax(x, axis=number), atol=1e-300)


def test_softmax_of_large_logits():
    x = np.array([[1e4, 0.0, -1e4], [1.0, 2.0, -np.inf]])
    np.testing.assert_allclose(sr.softmax(x), softmax(x, axis=1), rtol=1e-14)


def test_one_half_step_of_attention_is_softmax_attention():
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, 3, n, d)) for n, d in ((5, 8), (7, 8), (7, 4)))
    bias = rng.normal(size=(5, 7))
    row = sr.Rule()
    result = sr.attention(
        q, k, v, bias, form=sr.Form(), rows=row, cols=row, stop=sr.fixed(1)
    )
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(8) + bias
    close(result.output, softmax(scores, axis=-1) @ v)
    # Sinkformer's targets and output scale give the same single half-step.
    first = sr.attention(q, k, v, bias, stop=sr.fixed(1)).weights
    close(first * 5 / 7, softmax(scores, axis=-1))


def test_log_softmax_start():
    """The log form of the map softmax_rows without any half-step."""
    z = np.random.default_rng(0).normal(size=(3, 4))
    form = sr.Form(map="softmax_rows", epsilon=0.5, output="log_plan")
    result = sr.project(z, form=form, domain="log", stop=sr.fixed(0))
    close(result.plan, log_softmax(z, axis=1) / 0.5)


def test_transport_value():
    """At convergence the dual value is the primal one, which POT agrees with."""
    a, b, cost = problem((6, 8), 2)
    eps = 0.1
    result = run_preset("pot_log", cost, epsilon=eps, **weights(a, b))
    plan = generic_plan(result, cost, eps)
    dual = sr.dual_value(result.f, result.g, a, b, plan, eps)
    relative = np.sum(plan * np.log(plan / (a[:, None] * b)))
    close(dual, sr.transport_cost(plan, cost) + eps * relative, rtol=1e-8)
    assert dual > ot.emd2(a, b, cost) > 0
    close(sr.mass(plan), 1.0, rtol=1e-9)


@pytest.mark.parametrize(
    "metric, name",
    [
        ("sqeuclidean", "sqeuclidean"),
        ("euclidean", "euclidean"),
        ("l1", "cityblock"),
        ("cosine", "cosine"),
    ],
)
def test_pairwise(metric, name):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(6, 3))
    close(sr.pairwise(x, y, metric), ot.dist(x, y, metric=name))
    close(sr.pairwise(x, y, "dot"), x @ y.T)
