"""The domain `absorb` in batches, in f32 against the log domain in f64: tiny
matrices side by side in lanes, larger ones one by one.

Every batch mixes what kernel arithmetic does at once with what it loses, so
that neighbours go different ways; what an element comes to is, to the bit, what
it comes to among copies of itself.
"""

import assembly
import numpy as np
import pytest
import scaling_reference as sr
from programs import Call, Programs, rounded
from test_absorb import CONVENTIONS, weights

#: With an ω that each element chooses for itself.
CONVENTIONS = CONVENTIONS | {
    f"learned {axis}": ("rows_first", sr.Rule(), sr.Rule(),
                        sr.until(axis=axis, norm="l1", tol=1e-4, every=2, limit=600))
    for axis in ("rows", "both")
}  # fmt: skip
SIZES = [(4, 4), (3, 5), (1, 7), (16, 16), (32, 9), (70, 53)]
#: Which conventions, per size.
SHORT = ["fixed", "until rows"]
CHOSEN = {
    (4, 4): CONVENTIONS,
    (3, 5): ["odd", "columns first"],
    (1, 7): SHORT,
    (16, 16): [*SHORT, "until columns", "relaxed"],
    (32, 9): SHORT,
    (70, 53): [*SHORT, "until both", "damped", "learned rows"],
}
BATCH = 37


def logits(rng, n, m, kind):
    x, y = rng.uniform(size=(n, 2)), rng.uniform(size=(m, 2))
    cost = ((x[:, None] - y[None]) ** 2).sum(-1)
    cost /= np.ptp(cost)
    match kind:
        case "easy":
            return rng.normal(size=(n, m))
        case "huge":
            return rng.normal(size=(n, m)) * 1e6
        case "rows":
            return rng.normal(size=(n, m)) - rng.uniform(0, 3000, (n, 1))
        case "columns":
            return rng.normal(size=(n, m)) * 30 - rng.uniform(0, 3000, (1, m))
        case "forbidden":
            allowed = rng.uniform(size=(n, m)) < 0.6
            return np.where(allowed, rng.normal(size=(n, m)) * 20, -np.inf)
        case _:
            return -cost / kind


KINDS = ["easy", 1e-1, "easy", "rows", 1e-2, "huge", "easy", "columns", 1e-4,
         "forbidden", 1e-3]  # fmt: skip


def operands(n, m, kinds=None):
    rng = np.random.default_rng(100 * n + m)
    kinds = kinds or [KINDS[i % len(KINDS)] for i in range(BATCH)]
    given = {"logits": np.stack([logits(rng, n, m, kind) for kind in kinds])}
    smallest = [None, 1e-30, 1e-10]
    given["row_marginal"] = np.stack(
        [weights(n, smallest[i % 3]) for i in range(len(kinds))]
    )
    given["col_marginal"] = weights(m)
    return {k: rounded(v, "f32") for k, v in given.items()}


def call_of(convention, given, element="f32", dims="batch", op="project"):
    order, rows, cols, stop = CONVENTIONS[convention]
    text = assembly.attributes(
        domain="absorb", rows=rows, cols=cols, order=order, stop_at=stop,
        enters=sr.Form(), kind="logits",
    )  # fmt: skip
    return Call(op, given, text, element=element, dims=dims)


def reference_of(function, convention, given):
    order, rows, cols, stop = CONVENTIONS[convention]
    names = {"row_marginal": "row_target", "col_marginal": "col_target",
             "row_init": "f_start", "col_init": "g_start"}  # fmt: skip
    given = dict(given)
    return function(
        given.pop("logits"), kind="logits", domain="log", rows=rows, cols=cols,
        order=order, stop=stop, **{names.get(k, k): v for k, v in given.items()},
    )  # fmt: skip


GIVEN = {size: operands(*size) for size in SIZES}
CASES = {
    f"{convention}_{n}_{m}".replace(" ", "_"): (convention, GIVEN[n, m])
    for n, m in SIZES
    for convention in CHOSEN[n, m]
}


def started(n, m):
    """Starts far off, from both ends of the range."""
    rng = np.random.default_rng(5)
    given = operands(n, m) | {
        "row_init": rng.normal(size=(BATCH, n)) * 500,
        "col_init": rng.normal(size=m) * 500,
        "row_mask": rng.uniform(size=(BATCH, n)) < 0.7,
        "col_mask": np.arange(m) != 1,
    }
    given["row_mask"][:, 0] = True
    return {k: v if v.dtype == bool else rounded(v, "f32") for k, v in given.items()}


CASES |= {
    f"started_{c}_{n}_{m}".replace(" ", "_"): (c, started(n, m))
    for n, m, c in [(4, 4, "odd"), (5, 16, "until columns"), (70, 53, "odd")]
}


@pytest.fixture(scope="session")
def route():
    """The portable way is the log domain in f32."""
    return "cpu"


@pytest.fixture(scope="session")
def programs(route):
    return Programs(route, {name: call_of(*case) for name, case in CASES.items()})


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("learned")])
def test_learned(programs, name):
    """Counts may differ; what converged has the marginals."""
    convention, given = CASES[name]
    plan, steps, residual, status = programs(name)
    wanted = reference_of(sr.project, convention, given)
    agree = status == wanted.status
    assert agree.mean() > 0.9
    off = np.abs(plan.sum(-1) - given["row_marginal"]).sum(-1)
    if "both" in name:
        off += np.abs(plan.sum(-2) - given["col_marginal"]).sum(-1)
    converged = status == sr.CONVERGED
    assert np.all(off[converged] <= 1.1e-4)
    few = agree & converged & (wanted.half_steps < 100)
    assert few.sum() > 5
    assert np.all(np.abs(steps - wanted.half_steps)[few] <= 20)


@pytest.mark.parametrize(
    "name", [name for name in CASES if not name.startswith("learned")]
)
def test_plan(programs, name):
    convention, given = CASES[name]
    plan, steps, residual, status = programs(name)
    wanted = reference_of(sr.project, convention, given)
    every = CONVENTIONS[convention][3].every
    np.testing.assert_array_equal(status, wanted.status)
    assert np.all(np.abs(steps - wanted.half_steps) <= 2 * every)
    same = steps == wanted.half_steps
    assert same.mean() > 0.8
    mass = wanted.plan.sum((-1, -2))
    # A damped or relaxed plan may be more than f32 holds, also over its targets.
    density = given["row_marginal"][..., None] * given["col_marginal"][..., None, :]
    same &= np.max(wanted.plan / density, axis=(-1, -2), initial=0.0) < 1e36
    same &= np.max(wanted.plan, axis=(-1, -2), initial=0.0) < 1e30
    error = np.abs(plan - wanted.plan)[same].sum((-1, -2))
    bound = 1e-5
    assert np.all(error <= bound * np.maximum(mass[same], 1e-30)), error / mass[same]
    np.testing.assert_allclose(
        residual[same], wanted.residual[same], rtol=1e-3, atol=10 * bound
    )


@pytest.mark.parametrize(
    "size,convention",
    [((n, m), c) for n, m in SIZES for c in CHOSEN[n, m]],
)
def test_neighbours(programs, size, convention):
    """Nothing of an element depends on who is beside it."""
    name = f"{convention}_{size[0]}_{size[1]}".replace(" ", "_")
    given = GIVEN[size]
    together = programs(name)
    for i in range(len(KINDS)):
        copies = {
            k: np.repeat(v[i : i + 1], 5, axis=0) if len(v) == BATCH else v
            for k, v in given.items()
        }
        alone = programs.call(name, call_of(convention, copies))
        for one, many in zip(alone, together):
            for copy in one:
                np.testing.assert_array_equal(copy, many[i])


POTENTIALS = {f"{n}_{m}": ("odd", GIVEN[n, m]) for n, m in [(4, 4), (70, 53)]}


@pytest.fixture(scope="session")
def potential_programs(route):
    calls = {f"p{k}": call_of(*v, op="sinkhorn") for k, v in POTENTIALS.items()}
    return Programs(route, calls)


@pytest.mark.parametrize("name", POTENTIALS)
def test_potentials(potential_programs, name):
    """As many digits as f32 has room for in the largest of them."""
    convention, given = POTENTIALS[name]
    f, g, *_ = potential_programs(f"p{name}")
    wanted = reference_of(sr.sinkhorn, convention, given)
    for actual, expected in ((f, wanted.f), (g, wanted.g)):
        np.testing.assert_array_equal(np.isfinite(actual), np.isfinite(expected))
        for a, e in zip(actual, expected):
            there = np.isfinite(e)
            scale = np.max(np.abs(e[there]), initial=1.0)
            # Far entries of tiny weight converge from a rounded sum.
            np.testing.assert_allclose(
                a[there], e[there], rtol=0, atol=5e-3 + 4e-7 * scale
            )


TYPES = {
    f"{element}_{n}_{m}": (element, (n, m))
    for element, n, m in [
        ("f64", 4, 4),
        ("bf16", 4, 4),
        ("f64", 70, 53),
        ("f16", 70, 53),
    ]
}


@pytest.fixture(scope="session")
def type_programs(route):
    calls = {}
    for name, (element, (n, m)) in TYPES.items():
        given = operands(n, m, ["easy", 1e-2, "easy", 1e-1, "easy"] * 4)
        given["row_marginal"] = np.full_like(given["row_marginal"], 1 / n)
        given = {k: rounded(v, element) for k, v in given.items()}
        calls[name] = call_of("fixed", given, element)
    return Programs(route, calls)


@pytest.mark.parametrize("name", TYPES)
def test_types(type_programs, name):
    plan, *_ = type_programs(name)
    call = type_programs.calls[name]
    wanted = reference_of(sr.project, "fixed", call.operands)
    unit = {"f64": 1e-13, "f16": 2.0**-11, "bf16": 2.0**-8}[call.element]
    scale = np.max(np.abs(wanted.plan), axis=(-1, -2), keepdims=True)
    assert np.all(np.abs(plan - wanted.plan) <= 2 * (unit + 1e-13) * scale + 6e-8)


@pytest.mark.parametrize("size", [(4, 4), (70, 53)])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("convention", SHORT)
def test_diverged(programs, size, value, convention):
    """The plan of one is that of its start; the others' is what it was."""
    n, m = size
    name = f"{convention}_{n}_{m}".replace(" ", "_")
    given = dict(GIVEN[size])
    given["logits"] = given["logits"].copy()
    given["logits"][2, 1, 2] = value
    plan, _, residual, status = programs.call(name, call_of(convention, given))
    usual = programs(name)
    assert status[2] == sr.DIVERGED and residual[2] == np.inf
    wanted = np.exp(given["logits"][2])
    np.testing.assert_allclose(plan[2], wanted, rtol=1e-5, atol=1e-37)
    others = np.arange(BATCH) != 2
    np.testing.assert_array_equal(plan[others], usual[0][others])
    np.testing.assert_array_equal(status[others], usual[3][others])
