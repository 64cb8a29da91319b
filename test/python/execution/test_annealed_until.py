"""ε-scaling before an `until`: a pair of half-steps at every larger ε, and the
judged iteration at the last one."""

from dataclasses import replace

import assembly
import numpy as np
import pytest
import scaling_reference as sr
from programs import Call, Programs, rounded

RNG = np.random.default_rng(17)
N, M = 33, 18
COST = RNG.random((N, 2)), RNG.random((M, 2)) * 0.8 + 0.3
COST = ((COST[0][:, None] - COST[1][None]) ** 2).sum(-1)


def weights(size, zero=()):
    values = RNG.uniform(0.5, 1.5, size)
    values[list(zero)] = 0
    return values / values.sum()


A, B = weights(N), weights(M)
BOTH = dict(cost=COST, row_marginal=A, col_marginal=B)
STEPS = (1.0, 0.5, 0.25, 0.125, 0.0625)
UNTIL = dict(axis="cols", tol=1e-6, start=1, limit=1501)
#: Operands, rule, order, form, stop.
PROBLEMS = {
    "rows first": (BOTH, sr.Rule(), "rows_first", STEPS, sr.until(**UNTIL)),
    "columns first": (BOTH, sr.Rule(), "cols_first", STEPS,
                      sr.until(relax="none", **UNTIL | dict(start=2))),
    "jacobi": (BOTH, sr.Rule(omega=0.5), "jacobi", STEPS,
               sr.until(tol=1e-4, limit=400)),
    "over-relaxed rule": (BOTH, sr.Rule(omega=1.4), "rows_first", STEPS,
                          sr.until(**UNTIL)),
    "zero weights": (dict(cost=COST, row_marginal=weights(N, [3, 4]),
                          col_marginal=weights(M, [0])),
                     sr.Rule(), "rows_first", STEPS, sr.until(**UNTIL)),
    "two": (BOTH, sr.Rule(), "rows_first", (0.5, 0.1),
            sr.until(what="change", tol=1e-5, limit=200)),
    "one": (BOTH, sr.Rule(), "rows_first", (0.1,), sr.until(**UNTIL)),
    "operand": (dict(BOTH, epsilon=np.array(0.05)), sr.Rule(), "rows_first", STEPS,
                sr.until(**UNTIL)),
    "batch": (dict(cost=COST * np.array([1, 2, 4])[:, None, None], row_marginal=A,
                   col_marginal=B),
              sr.Rule(), "rows_first", STEPS, sr.until(**UNTIL)),
    "cut short": (BOTH, sr.Rule(), "rows_first", STEPS, sr.until(tol=1e-9, limit=6)),
    "diverged": (dict(cost=COST, row_marginal=np.where(A > A[0], A, -A),
                      col_marginal=B),
                 sr.Rule(), "rows_first", STEPS, sr.until(**UNTIL)),
}  # fmt: skip
ARITHMETIC = [("log", "f64"), ("absorb", "f64"), ("absorb", "f32")]


def stop_of(name, element):
    stop = PROBLEMS[name][-1]
    return stop if element == "f64" else replace(stop, tol=max(stop.tol, 1e-5))


def call_of(name, domain, element):
    operands, rule, order, anneal, _ = PROBLEMS[name]
    text = assembly.attributes(
        domain=domain, rows=rule, cols=rule, order=order, kind="cost",
        enters=sr.Form(anneal=anneal), stop_at=stop_of(name, element),
    )  # fmt: skip
    return Call("sinkhorn", operands, text, element)


def reference_of(name, domain, element):
    operands, rule, order, anneal, _ = PROBLEMS[name]
    operands = {k: rounded(v, element) for k, v in operands.items()}
    names = {"row_marginal": "row_target", "col_marginal": "col_target"}
    return sr.sinkhorn(
        operands.pop("cost"), kind="cost", domain=domain, rows=rule, cols=rule,
        order=order, form=sr.Form(anneal=anneal), stop=stop_of(name, element),
        **{names.get(k, k): v for k, v in operands.items()},
    )  # fmt: skip


def symbol(*parts):
    return "_".join(parts).replace(" ", "_").replace("-", "_")


@pytest.fixture(scope="session")
def programs(route):
    cases = [(name, *a) for name in PROBLEMS for a in ARITHMETIC]
    return Programs(route, {symbol(*case): call_of(*case) for case in cases})


@pytest.mark.parametrize("domain,element", ARITHMETIC)
@pytest.mark.parametrize("name", PROBLEMS)
def test_annealed(programs, name, domain, element):
    call = call_of(name, domain, element)
    f, g, steps, residual, status = programs.call(symbol(name, domain, element), call)
    wanted = reference_of(name, domain, element)
    np.testing.assert_array_equal(status, wanted.status)
    if element == "f32" and name != "diverged":
        assert (residual <= np.maximum(1e-5, 1.1 * wanted.residual)).all()
        return
    tol = 1e-7 if element == "f64" else 1e-4
    if name != "diverged":
        np.testing.assert_array_equal(steps, wanted.half_steps)
    np.testing.assert_allclose(residual, wanted.residual, rtol=1e-3, atol=tol)
    np.testing.assert_allclose(f, wanted.f, rtol=tol, atol=tol)
    np.testing.assert_allclose(g, wanted.g, rtol=tol, atol=tol)


def test_schedule_is_counted(programs):
    """Eight half-steps of the four larger ε, then those of the until."""
    call = call_of("cut short", "log", "f64")
    *_, steps, _, status = programs.call("cut_short_log_f64", call)
    assert steps == 8 + 6 and status == sr.LIMIT


def test_fewer_half_steps():
    """Of the algorithm itself, the schedule's half-steps counted."""
    options = dict(kind="cost", domain="log", rows=sr.Rule(), cols=sr.Rule())
    options |= dict(order="rows_first", row_target=A, col_target=B)
    stop = sr.until(relax="none", axis="cols", tol=1e-6, start=1, limit=9001)
    options |= dict(stop=stop)
    epsilon = 0.005
    schedule = [epsilon / 0.9**k for k in range(40, -1, -1)]
    plain = sr.sinkhorn(COST, form=sr.Form(epsilon=epsilon), **options)
    annealed = sr.sinkhorn(COST, form=sr.Form(anneal=tuple(schedule)), **options)
    assert plain.status == annealed.status == sr.CONVERGED
    assert 1.3 * annealed.half_steps < plain.half_steps
