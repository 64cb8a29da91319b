"""The domain `absorb`, in f32, against the log domain in f64.

What makes kernel arithmetic lose something: costs far larger than the
temperature, rows and columns that underflow, targets of every size, starts far
from the end. The matrix comes as logits at temperature one, so that both sides
iterate on the same numbers.
"""

import assembly
import numpy as np
import pytest
import scaling_reference as sr
from programs import Call, Programs, rounded

RNG = np.random.default_rng(11)
N, M = 70, 53


def points(n, dims=2):
    return RNG.uniform(size=(n, dims))


def clouds(temperature, n=N, m=M):
    """Squared distances over a temperature relative to their range."""
    x, y = points(n), points(m)
    cost = ((x[:, None] - y[None]) ** 2).sum(-1)
    return -cost / (temperature * (cost.max() - cost.min()))


def weights(size, smallest=None, zero=()):
    values = RNG.uniform(0.5, 1.5, size)
    if smallest is not None:
        values = 10.0 ** np.linspace(np.log10(smallest), 0, size)
        RNG.shuffle(values)
    values[list(zero)] = 0
    return values / values.sum()


def keep(size, *masked):
    values = np.ones(size, bool)
    values[list(masked)] = False
    return values


def skewed(temperature):
    """Whole rows and columns far below the others."""
    x = clouds(temperature)
    x[::5] -= RNG.uniform(0, 1000, (len(x[::5]), 1))
    x[:, ::7] += RNG.uniform(-3000, 3000, (1, x[:, ::7].shape[1]))
    return x


A, B = weights(N), weights(M)
BOTH = dict(row_marginal=A, col_marginal=B)
#: Operands, and what the plan's L1 error may be, relative to its mass.
PROBLEMS = {
    "temperate": (dict(logits=clouds(1e-1), **BOTH), 2e-6),
    "1e-2": (dict(logits=clouds(1e-2), **BOTH), 3e-6),
    "1e-3": (dict(logits=clouds(1e-3), **BOTH), 1e-5),
    "1e-4": (dict(logits=clouds(1e-4), **BOTH), 1e-5),
    "skewed": (dict(logits=skewed(1e-2), **BOTH), 1e-5),
    "skewed 1e-4": (dict(logits=skewed(1e-4), **BOTH), 1e-5),
    "random": (dict(logits=RNG.normal(size=(N, M)) * 1000, **BOTH), 1e-5),
    "huge": (dict(logits=RNG.normal(size=(N, M)) * 1e6, **BOTH), 1e-5),
    "tiny targets": (
        dict(logits=clouds(1e-2), row_marginal=weights(N, 1e-30),
             col_marginal=weights(M, 1e-30)), 1e-5
    ),
    "zero targets": (
        dict(logits=clouds(1e-3), row_marginal=weights(N, zero=[0, 3, 17]),
             col_marginal=weights(M, 1e-20, zero=[1, 52])), 1e-5
    ),
    "forbidden": (
        dict(logits=np.where(RNG.uniform(size=(N, M)) < 0.5, -np.inf, clouds(1e-2)),
             **BOTH), 1e-5
    ),
    "one row": (dict(logits=clouds(1e-3, 1, M), row_marginal=weights(1),
                     col_marginal=B), 1e-5),
    "one column": (dict(logits=clouds(1e-3, N, 1), row_marginal=A,
                        col_marginal=weights(1)), 1e-5),
    "one entry": (dict(logits=np.array([[-300.0]]), row_marginal=weights(1),
                       col_marginal=weights(1)), 1e-5),
}  # fmt: skip
#: Conventions, each on all problems: order, row and column rule, stop, which
#: further operands are given.
PLAIN = sr.Rule()
CONVENTIONS = {
    "fixed": ("rows_first", PLAIN, PLAIN, sr.fixed(40)),
    "odd": ("rows_first", PLAIN, PLAIN, sr.fixed(31, measure="last")),
    "columns first": ("cols_first", PLAIN, PLAIN, sr.fixed(40)),
    "until rows": ("rows_first", PLAIN, PLAIN,
                   sr.until(axis="rows", norm="l1", tol=1e-3, every=4, limit=400,
                            relax="none")),
    "until columns": ("cols_first", PLAIN, PLAIN,
                      sr.until(axis="cols", norm="l1", tol=1e-3, every=6, start=2,
                               limit=301, relax="none")),
    "until both": ("rows_first", PLAIN, PLAIN,
                   sr.until(axis="both", norm="linf", tol=1e-4, every=3, limit=60,
                            relax="none")),
    "damped": ("rows_first", sr.Rule(tau=0.9), sr.Rule(tau=0.8, reference="product"),
               sr.fixed(20)),
    "relaxed": ("rows_first", sr.Rule(omega=1.3), sr.Rule(omega=1.3), sr.fixed(20)),
    "guarded": ("rows_first", sr.Rule(guard=("add_plan", 1e-6)),
                sr.Rule(guard=("clamp_plan", 1e-6)), sr.fixed(20)),
}  # fmt: skip


def call_of(problem, convention, op="project"):
    operands, _ = PROBLEMS[problem]
    order, rows, cols, stop = CONVENTIONS[convention]
    text = assembly.attributes(
        domain="absorb", rows=rows, cols=cols, order=order, stop_at=stop,
        enters=sr.Form(), kind="logits",
    )  # fmt: skip
    return Call(op, operands, text, element="f32", dims="dynamic")


def symbol(convention, op):
    return f"{op}_{convention}".replace(" ", "_")


@pytest.fixture(scope="session")
def route():
    """The portable way is the log domain in f32."""
    return "cpu"


@pytest.fixture(scope="session")
def programs(route):
    return Programs(
        route,
        {
            symbol(convention, op): call_of("1e-2", convention, op)
            for convention in CONVENTIONS
            for op in ("project", "sinkhorn")
        },
    )


def reference_of(function, problem, convention, **given):
    operands, _ = PROBLEMS[problem]
    operands = {k: rounded(v, "f32") for k, v in (operands | given).items()}
    order, rows, cols, stop = CONVENTIONS[convention]
    names = {"row_marginal": "row_target", "col_marginal": "col_target"}
    return function(
        operands.pop("logits"), kind="logits", domain="log", rows=rows, cols=cols,
        order=order, stop=stop, **{names.get(k, k): v for k, v in operands.items()},
    )  # fmt: skip


def is_beyond(values, limit=1e30):
    """A damped plan's mass may be more than f32 holds."""
    return np.max(np.abs(values), initial=0.0) > limit


def check(programs, symbol, call, wanted, wanted_plan, bound, every=1):
    """Status and steps, the plan and the residual; `every` is the cadence: two
    routes may stop one check apart."""
    plan, steps, residual, status = programs.call(symbol, call)
    assert status == wanted.status
    assert abs(int(steps) - int(wanted.half_steps)) <= 2 * every
    if steps != wanted.half_steps or is_beyond(wanted_plan):
        return
    assert np.abs(plan - wanted_plan).sum() <= bound * max(wanted_plan.sum(), 1e-30)
    np.testing.assert_allclose(residual, wanted.residual, rtol=1e-3, atol=10 * bound)


CASES = [(p, c) for p in PROBLEMS for c in CONVENTIONS]


@pytest.mark.parametrize("problem,convention", CASES)
def test_plan(programs, problem, convention):
    wanted = reference_of(sr.project, problem, convention)
    check(
        programs, symbol(convention, "project"), call_of(problem, convention), wanted,
        wanted.plan, PROBLEMS[problem][1], CONVENTIONS[convention][3].every,
    )  # fmt: skip


@pytest.mark.parametrize("problem,convention", CASES)
def test_potentials(programs, problem, convention):
    """As many digits as f32 has room for in the largest of them."""
    f, g, steps, _, status = programs.call(
        symbol(convention, "sinkhorn"), call_of(problem, convention, "sinkhorn")
    )
    wanted = reference_of(sr.sinkhorn, problem, convention)
    assert status == wanted.status
    if steps != wanted.half_steps:
        return
    for actual, expected in ((f, wanted.f), (g, wanted.g)):
        np.testing.assert_array_equal(np.isfinite(actual), np.isfinite(expected))
        there = np.isfinite(expected)
        scale = np.max(np.abs(expected[there]), initial=1.0)
        # Far entries of tiny weight converge from a rounded sum.
        loose = 5e-3 if problem == "tiny targets" else 4e-5
        np.testing.assert_allclose(
            actual[there], expected[there], rtol=0, atol=loose + 4e-7 * scale
        )


#: Further operands: masks and starts far off, from both ends of the range.
EXTRAS = {
    "masked": dict(row_mask=keep(N, 0, 5, 69), col_mask=keep(M, 1, 2, 52)),
    "masked and started": dict(
        row_init=RNG.normal(size=N) * 300, col_init=RNG.normal(size=M) * 300,
        row_mask=keep(N, 3), col_mask=keep(M, 7, 8),
    ),
    "started": dict(
        row_init=RNG.normal(size=N) * 1000, col_init=RNG.normal(size=M) * 1000
    ),
}  # fmt: skip


def extra_call(extra, convention, problem):
    call = call_of(problem, convention)
    order = ("logits", "row_marginal", "col_marginal", "row_init", "col_init",
             "row_mask", "col_mask")  # fmt: skip
    given = call.operands | EXTRAS[extra]
    call.operands = {k: given[k] for k in order if k in given}
    return call


EXTRA_CASES = [(e, c) for e in EXTRAS for c in ("odd", "until columns", "guarded")]


@pytest.fixture(scope="session")
def extra_programs(route):
    return Programs(
        route,
        {symbol(f"{e} {c}", "extra"): extra_call(e, c, "1e-2") for e, c in EXTRA_CASES},
    )


@pytest.mark.parametrize("problem", ["1e-2", "1e-4", "skewed", "forbidden"])
@pytest.mark.parametrize("extra,convention", EXTRA_CASES)
def test_extra(extra_programs, extra, convention, problem):
    given = {
        {"row_init": "f_start", "col_init": "g_start"}.get(k, k): v
        for k, v in EXTRAS[extra].items()
    }
    wanted = reference_of(sr.project, problem, convention, **given)
    check(
        extra_programs, symbol(f"{extra} {convention}", "extra"),
        extra_call(extra, convention, problem), wanted, wanted.plan,
        PROBLEMS[problem][1], CONVENTIONS[convention][3].every,
    )  # fmt: skip


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("convention", ["fixed", "until rows", "columns first"])
def test_diverged(programs, value, convention):
    """The plan is that of the start, wherever it is a number."""
    logits = clouds(1e-2)
    logits[3, 4] = value
    call = call_of("1e-2", convention)
    call.operands = call.operands | dict(logits=logits)
    plan, _, residual, status = programs.call(symbol(convention, "project"), call)
    assert status == sr.DIVERGED and residual == np.inf
    wanted = np.exp(rounded(logits, "f32"))
    np.testing.assert_allclose(plan, wanted, rtol=1e-5, atol=1e-37)
