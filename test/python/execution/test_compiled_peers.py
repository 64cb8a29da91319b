"""Compiled programs against the real POT and SciPy."""

import numpy as np
import ot
import pytest
import scaling_reference as sr
from programs import Call, Programs
from scipy.linalg import matrix_balance
from scipy.special import softmax

SHAPES = [(5, 5), (3, 8), (20, 11)]
TEMPERATURES = [0.05, 0.5]
SOLVERS = {
    "pot": ot.bregman.sinkhorn_knopp,
    "pot_log": ot.bregman.sinkhorn_log,
    "pot_stabilized": ot.bregman.sinkhorn_stabilized,
}


def problem(shape, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0.2, 1, shape[0]), rng.uniform(0.2, 1, shape[1])
    return a / a.sum(), b / b.sum(), rng.uniform(0, 1, shape)


def project(preset, shape, epsilon, more=""):
    a, b, cost = problem(shape, 1)
    given = {
        "cost": cost, "row_marginal": a, "col_marginal": b, "epsilon": np.array(epsilon)
    }  # fmt: skip
    return Call("project", given, f"preset({preset}){more}", dims="dynamic")


def damped(tau):
    return f"#scaling.rule<sum, target = uniform, tau = {tau!r}, reference = product>"


REG_M = {"equal": (1.0, 1.0), "different": (0.3, 4.0)}


@pytest.fixture(scope="session")
def programs(route):
    calls = {name: project(name, (3, 3), 1.0) for name in SOLVERS}
    for name, pair in REG_M.items():
        rows, cols = (damped(m / (m + 0.2)) for m in pair)
        calls[f"unbalanced_{name}"] = project(
            "pot_unbalanced", (3, 3), 0.2, f" rows({rows}) cols({cols})"
        )
    calls["balance"] = Call(
        "similarity_balance", {"matrix": np.eye(3)}, "preset(gebal)", dims="dynamic"
    )
    qkv = dict(query=np.zeros((2, 3, 5, 8)), key=np.zeros((2, 3, 7, 8)),
               value=np.zeros((2, 3, 7, 4)))  # fmt: skip
    calls["attention"] = Call(
        "attention", qkv,
        "stop(#scaling.stop<fixed 1>) numerics(#scaling.numerics<log>)", dims="dynamic",
    )  # fmt: skip
    return Programs(route, calls)


@pytest.mark.parametrize("epsilon", TEMPERATURES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SOLVERS)
def test_sinkhorn(programs, name, shape, epsilon):
    a, b, cost = problem(shape, 1)
    expected, log = SOLVERS[name](a, b, cost, epsilon, log=True)
    plan, steps, residual, status = programs.call(name, project(name, shape, epsilon))
    np.testing.assert_allclose(plan, expected, rtol=1e-9, atol=1e-14)
    assert steps == 2 * (log.get("n_iter", log.get("niter")) + 1)
    assert status == sr.CONVERGED
    error = np.linalg.norm(plan.sum(0) - b)
    np.testing.assert_allclose(residual, error, rtol=1e-3, atol=1e-15)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", REG_M)
def test_unbalanced(programs, name, shape):
    a, b, cost = problem(shape, 1)
    expected = ot.unbalanced.sinkhorn_unbalanced(a, b, cost, 0.2, REG_M[name])
    plan, _, _, status = programs.call(
        f"unbalanced_{name}", project("pot_unbalanced", shape, 0.2)
    )
    np.testing.assert_allclose(plan, expected, rtol=1e-11, atol=1e-14)
    assert status == sr.CONVERGED


@pytest.mark.parametrize("size", [1, 2, 3, 6, 15])
@pytest.mark.parametrize("seed", range(6))
def test_matrix_balance(programs, size, seed):
    rng = np.random.default_rng(seed)
    a = np.exp(rng.normal(size=(size, 1))) * rng.normal(size=(size, size))
    a *= np.exp(3 * rng.normal(size=size)) * (rng.uniform(size=(size, size)) < 0.8)
    expected, (scale, _) = matrix_balance(a, permute=False, separate=True)
    call = Call("similarity_balance", {"matrix": a}, "", dims="dynamic")
    balanced, factors, _, status = programs.call("balance", call)
    np.testing.assert_array_equal(factors, scale)
    np.testing.assert_allclose(balanced, expected, rtol=1e-15)
    assert status == sr.CONVERGED


@pytest.mark.parametrize("size", [1, 2, 7, 31, 33, 100])
@pytest.mark.parametrize("spread", [10, 300, 500])
def test_matrix_balance_of_wide_ranges(programs, size, spread):
    """Weights so far apart that they are multiplied into the matrix, and norms
    whose squares are out of range: still LAPACK's powers of two."""
    rng = np.random.default_rng(size)
    x = rng.integers(-spread, spread + 1, size).astype(float)
    exponents = np.clip(x[:, None] - x, -900, 900)
    a = np.exp2(exponents) * rng.normal(size=(size, size))
    a *= rng.uniform(size=(size, size)) < 0.8
    expected, (scale, _) = matrix_balance(a, permute=False, separate=True)
    call = Call("similarity_balance", {"matrix": a}, "", dims="dynamic")
    balanced, factors, _, status = programs.call("balance", call)
    np.testing.assert_array_equal(factors, scale)
    np.testing.assert_allclose(balanced, expected, rtol=1e-15)
    assert status == sr.CONVERGED


def test_one_half_step_of_attention_is_softmax_attention(programs):
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, 3, n, d)) for n, d in ((5, 8), (7, 8), (7, 4)))
    call = Call("attention", {"query": q, "key": k, "value": v}, "", dims="dynamic")
    output = programs.call("attention", call)[0]
    expected = softmax(q @ np.swapaxes(k, -1, -2) / np.sqrt(8), axis=-1) @ v
    np.testing.assert_allclose(output, expected, rtol=1e-12, atol=1e-14)
