"""Inputs at the edge: nothing to scale, nothing finite, too much or too little.

Whatever comes in: the program returns, the results are defined and the status
says what happened. Where the semantics define the result, it is the
reference's.
"""

import assembly
import numpy as np
import pytest
import scaling_reference as sr
from programs import Call, Programs

RNG = np.random.default_rng(7)
#: Ways of stopping; the domains differ in what they survive.
STOPS = {
    "fixed": sr.fixed(6),
    "until": sr.until(tol=1e-6, limit=60),
    "change": sr.until(what="change", axis="cols", tol=1e-6, limit=60),
    "best": sr.best(what="imbalance", limit=8),
}
DOMAINS = ("kernel", "log", "absorb")
NAN, INF = np.nan, np.inf


def spoiled(value):
    cost = RNG.uniform(size=(4, 5))
    cost[1, 2] = value
    return cost


def weights(size, zero=()):
    values = RNG.uniform(0.5, 1.5, size)
    values[..., list(zero)] = 0
    return values / values.sum(-1, keepdims=True)


def keep(size, *masked):
    values = np.ones(size, bool)
    values[list(masked)] = False
    return values


COST = RNG.uniform(size=(4, 5))
A, B = weights(4), weights(5)
#: Operands of a transport problem; `expect` is the status, where it is one of
#: the conditions themselves and not of how the iteration stops.
PROBLEMS = {
    "plain": dict(cost=COST, row_marginal=A, col_marginal=B),
    "one row": dict(cost=COST[:1], row_marginal=weights(1), col_marginal=B),
    "one column": dict(cost=COST[:, :1], row_marginal=A, col_marginal=weights(1)),
    "one entry": dict(cost=COST[:1, :1]),
    "no rows": dict(cost=COST[:0]),
    "no columns": dict(cost=COST[:, :0]),
    "nothing": dict(cost=COST[:0, :0]),
    "empty batch": dict(cost=np.zeros((0, 4, 5)), row_marginal=A, col_marginal=B),
    "zero marginals": dict(
        cost=COST, row_marginal=weights(4, [1]), col_marginal=weights(5, [0, 3])
    ),
    "all marginals zero": dict(
        cost=COST, row_marginal=np.zeros(4), col_marginal=np.zeros(5)
    ),
    "masked": dict(
        cost=COST, row_marginal=A, col_marginal=B, row_mask=keep(4, 0, 2),
        col_mask=keep(5, 4),
    ),
    "all masked": dict(cost=COST, row_mask=np.zeros(4, bool)),
    "masked nan": dict(cost=spoiled(NAN), row_mask=keep(4, 1)),
    "masked infinity": dict(cost=spoiled(-INF), col_mask=keep(5, 2)),
    "zero weight nan": dict(
        cost=COST, row_marginal=weights(4, [1]), col_marginal=B, row_mask=keep(4, 1)
    ),
    "forbidden entry": dict(cost=spoiled(INF), row_marginal=A, col_marginal=B),
    "row without support": dict(
        cost=np.where(np.arange(4)[:, None] == 1, INF, COST), row_marginal=A,
        col_marginal=B,
    ),
    "column without support": dict(cost=np.where(np.arange(5) == 1, INF, COST)),
    "no support": dict(cost=np.full((4, 5), INF)),
    "nan": dict(cost=spoiled(NAN)),
    "minus infinity": dict(cost=spoiled(-INF)),
    "all nan": dict(cost=np.full((4, 5), NAN)),
    "nan marginal": dict(cost=COST, row_marginal=np.array([0.2, NAN, 0.3, 0.5])),
    "infinite marginal": dict(cost=COST, row_marginal=np.array([0.2, INF, 0.3, 0.5])),
    "negative marginal": dict(cost=COST, row_marginal=np.array([0.2, -0.1, 0.4, 0.5])),
    "different mass": dict(cost=COST, row_marginal=A, col_marginal=3 * B),
    "zero temperature": dict(cost=COST, epsilon=np.array(0.0)),
    "negative temperature": dict(cost=COST, epsilon=np.array(-1.0)),
    "nan temperature": dict(cost=COST, epsilon=np.array(NAN)),
    "one bad temperature": dict(cost=COST, epsilon=np.array([0.5, 0.0, 0.3])),
    "nan start": dict(cost=COST, row_init=np.array([0.0, NAN, 0.0, 0.0])),
    "tiny temperature": dict(
        cost=COST, row_marginal=A, col_marginal=B, epsilon=np.array(1e-3)
    ),
    "huge cost": dict(cost=1e5 * COST, row_marginal=A, col_marginal=B),
    "huge negative cost": dict(cost=-1e5 * COST, row_marginal=A, col_marginal=B),
    "one bad of three": dict(
        cost=np.stack([COST, spoiled(NAN), 2 * COST]), row_marginal=A, col_marginal=B
    ),
}  # fmt: skip
#: Of these no element may be called converged or fixed.
DIVERGES = (
    "nan", "minus infinity", "all nan", "nan marginal", "infinite marginal",
    "negative marginal", "zero temperature", "negative temperature", "nan temperature",
)  # fmt: skip


def transport(problem, domain, stop, shift):
    given = {"cost": None, **problem}
    order = ("cost", "row_marginal", "col_marginal", "row_init", "col_init",
             "row_mask", "col_mask", "epsilon")  # fmt: skip
    text = assembly.attributes(
        domain=domain, rows=sr.Rule(), cols=sr.Rule(), order="rows_first", stop_at=stop,
        enters=sr.Form(shift=shift), kind="cost",
    )  # fmt: skip
    return Call(
        "sinkhorn", {k: given[k] for k in order if k in given}, text, dims="dynamic"
    )


CASES = {}
for _problem in PROBLEMS:
    for _domain in DOMAINS:
        for _stop in STOPS:
            # A shift is one more thing that can go wrong; half of the cases.
            _shift = "row_max" if len(_problem + _stop) % 2 else "none"
            CASES[f"{_problem}, {_domain}, {_stop}"] = (
                _problem,
                _domain,
                _stop,
                _shift,
            )


def symbol(name):
    return "".join(c if c.isalnum() else "_" for c in name)


#: A program per pattern of operands serves all problems of that pattern.
def signature(name):
    problem, domain, stop, shift = CASES[name]
    operands = PROBLEMS[problem]
    ranks = "_".join(f"{k}{np.ndim(v)}" for k, v in sorted(operands.items()))
    return symbol(f"{ranks}_{domain}_{stop}_{shift}")


@pytest.fixture(scope="session")
def programs(route):
    calls = {}
    for name in CASES:
        problem, domain, stop, shift = CASES[name]
        calls.setdefault(
            signature(name), transport(PROBLEMS[problem], domain, STOPS[stop], shift)
        )
    return Programs(route, calls)


def expected(name, stop=None):
    problem, domain, kind, shift = CASES[name]
    stop = stop or STOPS[kind]
    given = dict(PROBLEMS[problem])
    renamed = {
        {"row_marginal": "row_target", "col_marginal": "col_target",
         "row_init": "f_start"}.get(k, k): v
        for k, v in given.items()
    }  # fmt: skip
    return sr.sinkhorn(
        renamed.pop("cost"), kind="cost", form=sr.Form(shift=shift), domain=domain,
        stop=stop, **renamed,
    )  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_problem(programs, name):
    problem, domain, stop, shift = CASES[name]
    call = transport(PROBLEMS[problem], domain, STOPS[stop], shift)
    f, g, steps, residual, status = programs.call(signature(name), call)
    reference = expected(name)
    if stop == "best" and np.ndim(steps) == 0 and steps != reference.half_steps:
        # Where nothing improves, rounding decides which of equals is the best:
        # the residual must still be the reference's.
        equal = expected(name, sr.fixed(int(steps)))
        reference = reference._replace(f=equal.f, g=equal.g, half_steps=steps)
    assert steps.shape == reference.half_steps.shape
    assert not np.any(np.isnan(residual))
    assert np.all(steps <= max(STOPS[stop].limit, STOPS[stop].half_steps))
    np.testing.assert_array_equal(status, reference.status)
    bad = status == sr.DIVERGED
    if problem in DIVERGES:
        assert np.all(bad)
    assert np.all(residual[bad] == INF)
    good = ~bad
    np.testing.assert_array_equal(steps[good], reference.half_steps[good])
    # Large potentials have rounding errors of their own size.
    for actual, wanted in ((f, reference.f), (g, reference.g)):
        scale = np.max(np.abs(wanted[np.isfinite(wanted)]), initial=1.0)
        np.testing.assert_allclose(
            actual[good], wanted[good], rtol=1e-12, atol=1e-12 * scale
        )
    np.testing.assert_allclose(
        residual[good], reference.residual[good], rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(
    "name",
    [n for n, case in CASES.items() if case[0] in DIVERGES and case[3] == "none"],
)
def test_diverged_returns_the_start(programs, name):
    """Neutral starts are potentials 0, up to a shift, which is folded back."""
    problem, domain, stop, shift = CASES[name]
    call = transport(PROBLEMS[problem], domain, STOPS[stop], shift)
    f, g, *_ = programs.call(signature(name), call)
    assert np.all(f == 0) and np.all(g == 0)
