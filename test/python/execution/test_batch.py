"""Every element of a batch comes out as if the others were not there, to the
last bit, and what stops early stays where it stopped."""

import assembly
import numpy as np
import pytest
import scaling_reference as sr
from programs import Call, Programs

RNG = np.random.default_rng(11)
#: Problems that take very different counts, one that diverges, one unsolvable.
SPREADS = np.array([0.1, 3.0, 1.0, 6.0, 0.5])
COST = SPREADS[:, None, None] * RNG.uniform(size=(5, 6, 7))
COST[2, 1, 1] = np.nan
A, B = RNG.uniform(0.5, 1.5, 6), RNG.uniform(0.5, 1.5, (5, 7))
A, B = A / A.sum(), B / B.sum(-1, keepdims=True)
B[4] *= 2
STOPS = {
    "marginal": sr.until(tol=1e-6, every=2, limit=81),
    "columns": sr.until(tol=1e-6, axis="cols", norm="l2", every=3, start=1, limit=80),
    "change": sr.until(what="change", axis="rows", tol=1e-5, limit=80),
    "pairs": sr.until(what="relative_change", axis="both", tol=1e-5, limit=80),
    "best": sr.best(what="imbalance", limit=20, patience="first"),
    "fixed": sr.fixed(11, measure="last"),
}
ORDERS = ("rows_first", "cols_first", "jacobi")


def made(stop, order, domain, element):
    if order == "jacobi" and (STOPS[stop].limit % 2 or STOPS[stop].half_steps % 2
                              or stop == "columns"):  # fmt: skip
        return None
    text = assembly.attributes(
        domain=domain, rows=sr.Rule(), cols=sr.Rule(), order=order, stop_at=STOPS[stop],
        enters=sr.Form(), kind="cost",
    )  # fmt: skip
    return Call(
        "sinkhorn", {"cost": COST, "row_marginal": A, "col_marginal": B}, text, element
    )


NAMES = [
    (stop, order, domain, element)
    for stop in STOPS
    for order in ORDERS
    for domain, element in (("kernel", "f32"), ("log", "f64"))
    if made(stop, order, domain, element)
]


@pytest.fixture(scope="session")
def programs(route):
    return Programs(route, {"_".join(name): made(*name) for name in NAMES})


@pytest.mark.parametrize("name", NAMES, ids="-".join)
def test_alone(programs, name):
    together = programs("_".join(name))
    copies = made(*name)
    for i in range(len(COST)):
        # Among copies of itself: neighbours take the same way.
        copies.operands = {
            "cost": COST[[i] * len(COST)], "row_marginal": A,
            "col_marginal": B[[i] * len(COST)],
        }  # fmt: skip
        alone = programs.call("_".join(name), copies)
        for same, all_ in zip(alone, together, strict=True):
            for one in same:
                np.testing.assert_array_equal(one, all_[i])
    steps, residual, status = together[2:]
    assert status[2] == sr.DIVERGED and residual[2] == np.inf
    if name[0] in ("marginal", "columns"):
        assert len(set(steps[[0, 1, 3]])) == 3
    if name[0] == "marginal":
        assert status[4] == sr.LIMIT and steps[4] == STOPS[name[0]].limit


@pytest.mark.parametrize(
    "name",
    [n for n in NAMES if n[0] in ("marginal", "columns", "fixed")],
    ids="-".join,
)
def test_residual_is_that_of_what_is_returned(programs, name):
    """Recomputed from the potentials in f64."""
    stop = STOPS[name[0]]
    f, g, _, residual, status = programs("_".join(name))
    plan = np.exp(f[..., :, None] + g[..., None, :] - COST)
    rows, cols = plan.sum(-1) - A, plan.sum(-2) - B
    expected = np.abs(rows).sum(-1) + np.abs(cols).sum(-1)
    if stop.axis == "cols":
        expected = np.linalg.norm(cols, axis=-1)
    good = status != sr.DIVERGED
    bound = 1e-13 if name[3] == "f64" else 2e-6
    np.testing.assert_allclose(residual[good], expected[good], rtol=1e-6, atol=bound)
