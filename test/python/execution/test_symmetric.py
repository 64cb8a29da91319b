"""Symmetric problems with one factor for both axes: the factors are those of
the reference, are the same along both axes, and take few half-steps."""

from dataclasses import replace

import assembly
import numpy as np
import pytest
import scaling_reference as sr
from programs import Call, Programs, rounded

RNG = np.random.default_rng(11)
N = 37


def distances(size):
    points = RNG.random((size, 2))
    return ((points[:, None] - points[None]) ** 2).sum(-1)


def symmetric(*shape):
    values = RNG.normal(size=shape)
    return (values + np.swapaxes(values, -1, -2)) / 2


def weights(size, zero=()):
    values = RNG.uniform(0.5, 1.5, size)
    values[list(zero)] = 0
    return values / values.sum()


COST = distances(N)
A = weights(N)
KEEP = np.arange(N) != 5
UNTIL = dict(tol=1e-7, every=1, start=0, limit=400)
#: Op, kind, operands, rule, form, stop.
PROBLEMS = {
    "fixed": ("sinkhorn", "cost", dict(cost=COST / 0.02, row_marginal=A), sr.Rule(),
              sr.Form(), sr.fixed(15, measure="last")),
    "nothing": ("sinkhorn", "cost", dict(cost=COST / 0.02, row_marginal=A,
                                         row_init=np.log(A)),
                sr.Rule(), sr.Form(), sr.fixed(0, measure="last")),
    "rows": ("sinkhorn", "cost", dict(cost=COST / 0.02, row_marginal=A), sr.Rule(),
             sr.Form(), sr.until(axis="rows", **UNTIL)),
    "both": ("sinkhorn", "cost", dict(cost=COST / 0.02, row_marginal=A), sr.Rule(),
             sr.Form(epsilon=0.5), sr.until(**UNTIL)),
    "started": ("sinkhorn", "cost",
                dict(cost=COST / 0.02, row_marginal=A, row_init=RNG.normal(size=N)),
                sr.Rule(), sr.Form(), sr.until(**UNTIL)),
    "uniform": ("project", "cost", dict(cost=COST), sr.Rule(target="uniform"),
                sr.Form(epsilon=0.05, start="uniform"),
                sr.until(axis="cols", norm="linf", **UNTIL)),
    "zero weights": ("sinkhorn", "cost",
                     dict(cost=COST / 0.02, row_marginal=weights(N, [0, 9])),
                     sr.Rule(), sr.Form(), sr.until(**UNTIL)),
    "masked": ("project", "cost", dict(cost=COST / 0.02, row_mask=KEEP), sr.Rule(),
               sr.Form(scale="rows"), sr.until(**UNTIL)),
    "dustbin": ("sinkhorn", "logits", dict(logits=symmetric(N, N), slack=0.3),
                sr.Rule(target="slack"), sr.Form(), sr.until(**UNTIL)),
    "batch": ("sinkhorn", "logits",
              dict(logits=symmetric(3, 9, 9) * np.array([1, 4, 9])[:, None, None],
                   row_marginal=weights(9)),
              sr.Rule(), sr.Form(), sr.until(**UNTIL)),
    "tiny": ("project", "logits", dict(logits=symmetric(7, 4, 4)), sr.Rule(),
             sr.Form(), sr.fixed(12)),
    "damped": ("sinkhorn", "cost", dict(cost=COST / 0.02, row_marginal=A),
               sr.Rule(tau=0.9, omega=1.2, clamp=(1e-30, 1e30)), sr.Form(),
               sr.fixed(9)),
    "change": ("sinkhorn", "cost", dict(cost=COST / 0.02, row_marginal=A), sr.Rule(),
               sr.Form(), sr.until(what="change", axis="cols", **UNTIL)),
    "ratio": ("sinkhorn", "cost", dict(cost=COST / 0.02, row_marginal=A), sr.Rule(),
              sr.Form(), sr.until(what="ratio", tol=1e-6, every=3, start=5, limit=200)),
    "relative change": ("sinkhorn", "cost", dict(cost=COST / 0.02, row_marginal=A),
                        sr.Rule(), sr.Form(),
                        sr.until(what="relative_change", **UNTIL)),
    "cut short": ("sinkhorn", "cost", dict(cost=COST / 0.02, row_marginal=A),
                  sr.Rule(), sr.Form(), sr.until(tol=1e-9, limit=7)),
    "balance": ("balance", "matrix", dict(matrix=symmetric(N, N)),
                sr.Rule(stat="l2", target="one"), None, sr.until(**UNTIL)),
}  # fmt: skip
ARITHMETIC = [("kernel", "f64"), ("log", "f64"), ("absorb", "f64"), ("absorb", "f32")]
CASES = [
    (name, *arithmetic)
    for name in PROBLEMS
    for arithmetic in ARITHMETIC
    if arithmetic[0] == "kernel" or name != "balance"
]


def problem_of(name, element):
    *problem, stop = PROBLEMS[name]
    # What sums in f32 can meet.
    least = 1e-5 if element == "f32" else 0
    return *problem, replace(stop, tol=max(stop.tol, least))


def call_of(name, domain, element, dims="static"):
    op, kind, operands, rule, form, stop = problem_of(name, element)
    enters = dict(enters=form, kind=kind) if form else {}
    text = assembly.attributes(
        domain=domain, rows=rule, cols=rule, order="symmetric", stop_at=stop, **enters
    )
    return Call(op, operands, text, element, dims=dims, slack="slack" in operands)


def reference_of(name, domain, element):
    op, kind, operands, rule, form, stop = problem_of(name, element)
    names = {"row_marginal": "row_target", "row_init": "f_start"}
    operands = {
        names.get(k, k): v if v is KEEP else rounded(v, element)
        for k, v in operands.items()
    }
    options = dict(rows=rule, cols=rule, order="symmetric", stop=stop)
    if op != "balance":
        options |= dict(kind=kind, domain=domain, form=form)
    return getattr(sr, op)(operands.pop(kind), **options, **operands)


def symbol(*parts):
    return "_".join(parts).replace(" ", "_")


@pytest.fixture(scope="session")
def programs(route):
    calls = {symbol(*case): call_of(*case) for case in CASES}
    calls["dynamic"] = call_of("both", "log", "f64", "dynamic")
    return Programs(route, calls)


@pytest.mark.parametrize("name,domain,element", CASES)
def test_symmetric(programs, name, domain, element):
    wanted = reference_of(name, domain, element)
    check(programs, symbol(name, domain, element), name, domain, element, wanted)


def test_dynamic_sizes(programs):
    wanted = reference_of("both", "log", "f64")
    check(programs, "dynamic", "both", "log", "f64", wanted)


def check(programs, function, name, domain, element, wanted):
    call = call_of(name, domain, element)
    *values, steps, residual, status = programs.call(function, call)
    tol = 1e-9 if element == "f64" else 2e-4
    judged = PROBLEMS[name][-1].mode == "until"
    exact = element == "f64" or not judged
    if exact:
        np.testing.assert_array_equal(steps, wanted.half_steps)
        np.testing.assert_allclose(residual, wanted.residual, rtol=1e-4, atol=tol)
    np.testing.assert_array_equal(status, wanted.status)
    for actual, expected in zip(values, wanted):
        np.testing.assert_allclose(actual, expected, rtol=tol, atol=tol)
    if len(values) == 2:
        np.testing.assert_array_equal(*values)


@pytest.mark.parametrize("epsilon,most", [(0.01, 40), (0.002, 40)])
def test_few_half_steps(epsilon, most):
    """Of the algorithm itself: where alternation takes hundreds."""
    cost = COST / (epsilon * COST.mean())
    options = dict(kind="cost", domain="log", rows=sr.Rule(), cols=sr.Rule())
    averaged = sr.sinkhorn(
        cost, order="symmetric", row_target=A,
        stop=sr.until(tol=1e-6, every=1, start=0, limit=1000), **options,
    )  # fmt: skip
    assert averaged.status == sr.CONVERGED and averaged.half_steps <= most
    alternating = sr.sinkhorn(
        cost, order="rows_first", row_target=A, col_target=A,
        stop=sr.until(tol=1e-6, limit=200, relax="none"), **options,
    )  # fmt: skip
    assert alternating.status == sr.LIMIT
