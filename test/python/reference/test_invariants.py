"""What docs/semantics.md promises, checked on the reference itself."""

import numpy as np
import pytest
import scaling_reference as sr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scaling_reference.rules import DEGREE, pow2_trunc

KERNEL_AND_LOG = ["kernel", "log"]
ORDERS = ["rows_first", "cols_first", "jacobi"]

sides = st.integers(1, 6)
entries = st.floats(-5, 5, width=32)


@st.composite
def matrices(draw):
    return draw(arrays(np.float64, (draw(sides), draw(sides)), elements=entries))


def as_matrix(x, domain):
    return np.exp(x) if domain == "kernel" else x


def iterate(x, domain="log", **options):
    options = (
        dict(
            rows=sr.Rule(target="uniform"),
            cols=sr.Rule(target="uniform"),
            order="rows_first",
            stop=sr.fixed(10),
        )
        | options
    )
    return sr.iterate(as_matrix(np.asarray(x), domain), domain=domain, **options)


def plan_of(x, result, domain="log"):
    return sr.plan(as_matrix(np.asarray(x), domain), result.row, result.col, domain)


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@settings(max_examples=60, deadline=None)
@given(matrices(), st.integers(0, 7), st.sampled_from(ORDERS))
def test_domains_agree(x, half_steps, order):
    if order == "jacobi":
        half_steps -= half_steps % 2
    options = dict(order=order, stop=sr.fixed(half_steps, measure="last"))
    kernel, log = (iterate(x, domain, **options) for domain in KERNEL_AND_LOG)
    np.testing.assert_allclose(kernel.row, np.exp(log.row), rtol=1e-9)
    np.testing.assert_allclose(kernel.col, np.exp(log.col), rtol=1e-9)
    np.testing.assert_allclose(kernel.residual, log.residual, atol=1e-9)
    assert kernel.status == log.status == sr.FIXED


RULES = [
    sr.Rule(guard=("add_plan", 1e-2)),
    sr.Rule(guard=("clamp_plan", 1.5)),
    sr.Rule(guard=("add_kernel", 1e-2)),
    sr.Rule(tau=0.6),
    sr.Rule(tau=0.6, reference="product", target="uniform"),
    sr.Rule(omega=1.4),
    sr.Rule(exponent=0.5),
    sr.Rule(limit=(0.5, 2.0)),
    sr.Rule(limit=(0.5, 2.0, 1.0)),
    sr.Rule(step=(0.8, 1.1)),
    sr.Rule(clamp=(0.7, 1.3)),
    sr.Rule(round="pow2"),
    sr.Rule(
        guard=("add_plan", 1e-2),
        tau=0.8,
        omega=1.3,
        exponent=0.7,
        limit=(0.2, 3.0, 0.5),
        step=(0.5, 2.0),
        clamp=(0.1, 5.0),
    ),
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("order", ORDERS)
def test_every_field_agrees_between_domains_and_matters(rule, order):
    x = random(4, 5)
    options = dict(rows=rule, cols=rule, order=order, stop=sr.fixed(6))
    kernel, log = (iterate(x, domain, **options) for domain in KERNEL_AND_LOG)
    np.testing.assert_allclose(kernel.row, np.exp(log.row), rtol=1e-12)
    np.testing.assert_allclose(kernel.col, np.exp(log.col), rtol=1e-12)
    plain = sr.Rule(target=rule.target)
    without = iterate(x, rows=plain, cols=plain, order=order, stop=sr.fixed(6))
    assert np.max(np.abs(without.row - log.row)) > 1e-3


def test_rule_by_hand():
    """One row half-step of every field, each number worked out by hand."""
    matrix = np.array([[1.0, 3.0]])

    def factor(**fields):
        result = sr.iterate(
            matrix,
            domain="kernel",
            rows=sr.Rule(**fields),
            cols=sr.Rule(),
            order="rows_first",
            stop=sr.fixed(1),
            row_target=[2.0],
            row_start=[0.5],
        )
        return float(result.row[0])

    # s = 4, h = 1/2, sigma = 2, t = 2.
    assert factor() == 0.5
    assert factor(guard=("add_plan", 2.0)) == 0.25
    assert factor(guard=("clamp_plan", 8.0)) == 0.125
    assert factor(guard=("add_kernel", 4.0)) == 0.25
    assert factor(limit=(4.0, 8.0)) == 0.25
    assert factor(limit=(4.0, 8.0, 0.5)) == 2.0
    assert factor(limit=(0.25, 0.5)) == 2.0
    assert factor(limit=(8.0, 9.0), exponent=0.5) == 0.25
    assert factor(limit=(8.0, 9.0), step=(0.5, 2.0)) == 0.25
    assert factor(limit=(0.1, 0.25), step=(0.5, 2.0)) == 1.0
    assert factor(tau=0.5) == pytest.approx(0.5**0.5)
    assert factor(tau=0.5, reference="product") == pytest.approx(1.0)
    assert factor(limit=(8.0, 9.0), omega=2.0) == 0.125**2 / 0.5
    assert factor(clamp=(0.75, 2.0)) == 0.75
    assert factor(clamp=(0.1, 0.3)) == 0.3
    # linf: s = 3, sigma = 1.5 -> 1; mean_square: s = 5, sigma = 1.25.
    assert factor(stat="linf", round="pow2") == 1.0
    assert factor(stat="mean_square") == 0.5 * 2 / 1.25


def test_statistics_by_hand():
    y = np.array([[3.0, -4.0, 0.0]])
    expected = {
        "sum": -1.0,
        "l1": 7.0,
        "l2": 5.0,
        "linf": 4.0,
        "mean_square": 25 / 3,
        "std": np.std([3, -4, 0], ddof=1),
        "geomean": np.sqrt(12),
    }
    assert set(expected) == set(DEGREE)
    for name, value in expected.items():
        np.testing.assert_allclose(sr.statistic(name, y), [value], rtol=1e-15)
        assert sr.statistic(name, np.zeros((2, 0))).tolist() == [0, 0]
    assert sr.statistic("std", np.array([[3.0]])) == 0
    assert sr.statistic("geomean", np.zeros((1, 3))) == 0


@settings(max_examples=100, deadline=None)
@given(st.floats(1e-300, 1e300))
def test_pow2_truncates_toward_zero(x):
    rounded = float(pow2_trunc(np.array(x)))
    assert np.frexp(rounded)[0] == 0.5
    if x >= 1:
        assert rounded <= x < 2 * rounded
    else:
        assert x <= rounded < 2 * x


def test_pow2_of_powers_and_neighbours():
    x = np.array([8.0, np.nextafter(8, 0), 0.125, np.nextafter(0.125, 1), 0.0])
    np.testing.assert_array_equal(pow2_trunc(x), [8, 4, 0.125, 0.25, 0])


@pytest.mark.parametrize("domain", KERNEL_AND_LOG)
@pytest.mark.parametrize("order", ORDERS)
def test_marginals_are_met(domain, order):
    x, a, b = random(5, 7), np.arange(1.0, 6), np.arange(1.0, 8)
    a, b = a / a.sum(), b / b.sum()
    relaxed = sr.Rule(omega=0.5 if order == "jacobi" else 1.0)
    result = iterate(
        x,
        domain,
        rows=relaxed,
        cols=relaxed,
        order=order,
        stop=sr.until(tol=1e-12, limit=2000),
        row_target=a,
        col_target=b,
    )
    plan = plan_of(x, result, domain)
    np.testing.assert_allclose(plan.sum(1), a, atol=1e-12)
    np.testing.assert_allclose(plan.sum(0), b, atol=1e-12)
    assert result.status == sr.CONVERGED and 0 < result.half_steps < 2000


@pytest.mark.parametrize("count", range(1, 6))
@pytest.mark.parametrize("order", ORDERS[:2])
def test_last_half_step_is_exact(count, order):
    x = random(4, 4)
    plan = plan_of(x, iterate(x, order=order, stop=sr.fixed(count)))
    rows_last = (count % 2 == 1) == (order == "rows_first")
    exact, other = (
        (plan.sum(1), plan.sum(0)) if rows_last else (plan.sum(0), plan.sum(1))
    )
    np.testing.assert_allclose(exact, 0.25, rtol=1e-14)
    assert np.max(np.abs(other - 0.25)) > 1e-6


@pytest.mark.parametrize("domain", KERNEL_AND_LOG)
def test_zero_targets_are_exact_zeros(domain):
    x = random(4, 5)
    a, b = np.array([0.5, 0, 0.3, 0.2]), np.array([0.2, 0.2, 0.3, 0, 0.3])
    result = iterate(x, domain, row_target=a, col_target=b)
    plan = plan_of(x, result, domain)
    zero = 0 if domain == "kernel" else -np.inf
    assert result.row[1] == zero and result.col[3] == zero
    assert np.all(plan[1] == 0) and np.all(plan[:, 3] == 0)
    kept = iterate(
        x[np.ix_(a > 0, b > 0)], domain, row_target=a[a > 0], col_target=b[b > 0]
    )
    np.testing.assert_allclose(result.row[a > 0], kept.row, rtol=1e-14)
    assert result.status == sr.FIXED


@pytest.mark.parametrize("stat", DEGREE)
def test_masks_are_as_if_not_there(stat):
    matrix = np.abs(random(5, 6)) + 0.1
    row_mask = np.array([1, 1, 0, 1, 1], bool)
    col_mask = np.array([0, 1, 1, 1, 0, 1], bool)
    rule = sr.Rule(stat=stat, target="uniform", limit=(1e-3, 1e3))
    options = dict(rows=rule, cols=rule, order="jacobi", stop=sr.fixed(6))
    matrix[2] = np.nan
    full = sr.balance(matrix, row_mask=row_mask, col_mask=col_mask, **options)
    part = sr.balance(matrix[np.ix_(row_mask, col_mask)], **options)
    np.testing.assert_allclose(full.row[row_mask], part.row, rtol=1e-14)
    np.testing.assert_allclose(full.col[col_mask], part.col, rtol=1e-14)
    assert full.row[2] == 0 and full.col[0] == 0 and full.col[4] == 0
    assert np.all(sr.plan(matrix, full.row, full.col, "kernel")[2] == 0)


FORMS = [
    sr.Form(),
    sr.Form(map="softmax_rows", entry_eps=1e-3, epsilon=0.5),
    sr.Form(map="sigmoid"),
    sr.Form(shift="row_max", scale="rows"),
    sr.Form(shift="col_max", scale="cols"),
    sr.Form(standardize=True, normalize_total=1e-2, scale="rows_plus_cols"),
]


@pytest.mark.parametrize("form", FORMS)
def test_masks_are_as_if_not_there_in_forms(form):
    z = random(5, 6)
    row_mask = np.array([1, 1, 0, 1, 1], bool)
    col_mask = np.array([0, 1, 1, 1, 0, 1], bool)
    z[2], z[:, 4] = 50.0, -70.0
    rule = sr.Rule(target="uniform", guard=("add_plan", 1e-2))
    options = dict(form=form, domain="kernel", rows=rule, cols=rule, stop=sr.fixed(3))
    full = sr.project(z, row_mask=row_mask, col_mask=col_mask, **options).plan
    keep = np.ix_(row_mask, col_mask)
    part = sr.project(z[keep], **options).plan
    np.testing.assert_allclose(full[keep], part, rtol=1e-12)
    assert np.count_nonzero(full) == part.size


@pytest.mark.parametrize("domain", KERNEL_AND_LOG)
def test_row_without_support_keeps_its_factor(domain):
    kernel = np.array([[1.0, 2.0], [0.0, 0.0]])
    with np.errstate(divide="ignore"):
        matrix = kernel if domain == "kernel" else np.log(kernel)
    result = sr.iterate(
        matrix,
        domain=domain,
        rows=sr.Rule(),
        cols=sr.Rule(),
        order="rows_first",
        stop=sr.fixed(4),
        row_start=np.array([3.0, 5.0]),
    )
    assert result.row[1] == 5 and result.status == sr.FIXED
    np.testing.assert_array_equal(
        sr.plan(matrix, result.row, result.col, domain)[1], [0, 0]
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1)])
@pytest.mark.parametrize("domain", KERNEL_AND_LOG)
def test_one_row_or_column(shape, domain):
    x = random(*shape)
    stop = sr.until(tol=1e-13, limit=100)
    result = iterate(x, domain, stop=stop)
    np.testing.assert_allclose(plan_of(x, result, domain), 1 / x.size, rtol=1e-13)
    assert result.status == sr.CONVERGED and result.half_steps == 2


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize(
    "stop",
    [sr.fixed(4, measure="last"), sr.until(tol=0.0, limit=4)],
)
def test_no_entries(shape, stop):
    for domain in KERNEL_AND_LOG:
        result = iterate(np.zeros(shape), domain, stop=stop)
        assert result.row.shape == shape[:1] and result.col.shape == shape[1:]
        assert np.all(np.isfinite(result.row)) and result.half_steps <= 4


def test_empty_batch():
    result = iterate(np.zeros((0, 3, 4)))
    assert result.row.shape == (0, 3) and result.status.shape == (0,)
    assert sr.project(np.zeros((2, 0, 3, 4)), stop=sr.fixed(2)).plan.size == 0


STOPS = [
    sr.fixed(3),
    sr.fixed(4, measure="last"),
    sr.until(tol=1e-9, limit=50),
    sr.until(what="change", axis="rows", tol=1e-9, limit=50),
    sr.until(what="ratio", axis="cols", norm="mean", tol=1e-9, limit=50),
    sr.until(what="relative_change", tol=1e-9, limit=50),
    sr.best(what="imbalance", limit=8),
    sr.best(what="imbalance_sum", limit=8, patience="first", last=False),
]


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("domain", KERNEL_AND_LOG)
def test_nan_diverges_with_the_start_factors(stop, domain):
    x = random(4, 5)
    x[1, 2] = np.nan
    start = random(4) + 5
    result = iterate(x, domain, stop=stop, row_start=start)
    assert result.status == sr.DIVERGED and result.residual == np.inf
    np.testing.assert_array_equal(result.row, start)
    assert np.all(result.col == (1 if domain == "kernel" else 0))
    assert result.half_steps <= 50


@pytest.mark.parametrize(
    "stop, order",
    [
        (stop, order)
        for stop in STOPS
        for order in ORDERS
        if order != "jacobi" or stop.half_steps % 2 == 0
    ],
)
def test_batch_elements_are_alone(stop, order):
    x = random(2, 3, 4, 5) * np.array([0.1, 1, 2])[:, None, None]
    x[1, 1, 0, 0] = np.nan
    a = np.abs(random(3, 4)) + 0.1
    rule = sr.Rule(omega=0.5 if order == "jacobi" else 1.0)
    options = dict(rows=rule, cols=rule, order=order, stop=stop)
    whole = iterate(x, row_target=a / a.sum(-1, keepdims=True), **options)
    for i, j in np.ndindex(2, 3):
        alone = iterate(x[i, j], row_target=a[j] / a[j].sum(), **options)
        for field, value in zip(whole, alone, strict=True):
            np.testing.assert_array_equal(field[i, j], value)


def test_shared_operands_broadcast():
    cost, marginals = np.abs(random(3, 4)), np.abs(random(5, 3)) + 1
    shared = sr.sinkhorn(cost, stop=sr.fixed(4), row_target=marginals)
    assert shared.f.shape == (5, 3) and shared.status.shape == (5,)
    alone = sr.sinkhorn(cost, stop=sr.fixed(4), row_target=marginals[2])
    np.testing.assert_array_equal(shared.f[2], alone.f)
    per_element = sr.sinkhorn(cost, stop=sr.fixed(4), epsilon=[0.5, 2.0])
    alone = sr.sinkhorn(cost, stop=sr.fixed(4), epsilon=2.0)
    np.testing.assert_array_equal(per_element.g[1], alone.g)
    with pytest.raises(ValueError, match="suffix"):
        sr.iterate(
            np.ones((2, 3, 4)),
            domain="kernel",
            rows=sr.Rule(),
            cols=sr.Rule(),
            order="rows_first",
            stop=sr.fixed(1),
            row_target=np.ones((5, 3)),
        )


@settings(max_examples=40, deadline=None)
@given(matrices(), st.floats(-100, 100))
def test_shift_invariance(x, shift):
    """A constant per row or column moves the potentials, not the plan."""
    rows, cols = np.linspace(0, shift, x.shape[0]), np.linspace(shift, 0, x.shape[1])
    moved = x + rows[:, None] + cols
    base, other = (
        plan_of(m, iterate(m, stop=sr.until(tol=1e-11, limit=4000))) for m in (x, moved)
    )
    np.testing.assert_allclose(base, other, atol=1e-8)


@pytest.mark.parametrize("domain", KERNEL_AND_LOG)
@pytest.mark.parametrize(
    "form",
    [
        sr.Form(epsilon=0.5),
        sr.Form(epsilon=0.5, shift="row_max"),
        sr.Form(epsilon=0.5, shift="col_max", normalize_total=0.1),
        sr.Form(epsilon=0.5, map="softmax_rows"),
    ],
)
def test_potentials_give_the_plan_of_the_given_cost(domain, form):
    cost = random(4, 5)
    options = dict(kind="cost", form=form, domain=domain, stop=sr.fixed(5))
    rules = dict(rows=sr.Rule(target="uniform"), cols=sr.Rule(tau=0.7))
    result = sr.sinkhorn(cost, **options, **rules)
    plan = np.exp((result.f[:, None] + result.g - cost) / 0.5)
    projected = sr.project(cost, **options, **rules).plan
    np.testing.assert_allclose(plan, projected, rtol=1e-12)
    restarted = sr.sinkhorn(
        cost,
        **(options | dict(stop=sr.fixed(0))),
        **rules,
        f_start=result.f,
        g_start=result.g,
    )
    np.testing.assert_allclose(restarted.f, result.f, rtol=1e-12)
    np.testing.assert_allclose(restarted.g, result.g, rtol=1e-12)


def test_warm_start_continues():
    cost = random(4, 5)
    first = sr.sinkhorn(cost, epsilon=0.3, stop=sr.fixed(4))
    rest = sr.sinkhorn(
        cost, epsilon=0.3, stop=sr.fixed(6), f_start=first.f, g_start=first.g
    )
    whole = sr.sinkhorn(cost, epsilon=0.3, stop=sr.fixed(10))
    np.testing.assert_allclose(rest.f, whole.f, rtol=1e-13)


@pytest.mark.parametrize(
    "start, every, expected", [(2, 4, 18), (1, 20, 21), (0, 2, 16)]
)
def test_checks_follow_the_cadence(start, every, expected):
    """Only half-steps start + k every before the judged axis are looked at."""
    x = random(6, 6)
    order = "rows_first" if start != 1 else "cols_first"
    axis = "rows"
    residuals = [
        float(
            iterate(
                x, order=order, stop=sr.fixed(k, measure="last", axis=axis)
            ).residual
        )
        for k in range(40)
    ]
    tol = residuals[expected] * (1 + 1e-9)
    due = [
        k
        for k in range(start, 40, every)
        if ("rows", "cols")[(k + (order == "cols_first")) % 2] == axis
    ]
    first = next(k for k in due if residuals[k] <= tol)
    result = iterate(
        x,
        order=order,
        stop=sr.until(axis=axis, tol=tol, start=start, every=every, limit=100),
    )
    assert result.half_steps == first == expected
    assert result.residual == residuals[expected]


@pytest.mark.parametrize("limit", [1, 2, 5, 6])
@pytest.mark.parametrize("what", ["marginal", "change", "ratio", "relative_change"])
def test_limit_makes_a_last_check(what, limit):
    x = random(5, 6)
    stop = sr.until(what=what, axis="both", tol=0.0, limit=limit, every=100, start=100)
    result = iterate(x, stop=stop)
    assert result.half_steps == limit and result.status == sr.LIMIT
    assert np.isfinite(result.residual) == (what == "marginal" or limit > 1)
    passed = iterate(
        x, stop=sr.until(what=what, tol=1e9, limit=max(limit, 2), every=100, start=100)
    )
    assert passed.status == sr.CONVERGED


def factors_after(x, domain, order, count):
    result = iterate(x, domain, order=order, stop=sr.fixed(count))
    return result.row, result.col


def expected_change(x, domain, order, what, axis, norm, count):
    """The measure after `count` half-steps, from fixed counts and the definition."""
    norms = {
        "l1": lambda d: np.sum(np.abs(d)),
        "l2": np.linalg.norm,
        "linf": lambda d: np.max(np.abs(d)),
        "mean": lambda d: np.mean(np.abs(d)),
    }
    before = 2 if axis == "both" or order == "jacobi" else 1
    values = []
    for index, name in enumerate(("rows", "cols")):
        if axis not in (name, "both"):
            continue
        new = factors_after(x, domain, order, count)[index]
        old = factors_after(x, domain, order, count - before)[index]
        if what == "change":
            values.append(norms[norm](new - old))
            continue
        if domain == "log":
            new, old = np.exp(new), np.exp(old)
        if what == "ratio":
            values.append(norms[norm](old / new - 1))
        else:
            scale = max(np.max(np.abs(new)), np.max(np.abs(old)), 1)
            values.append(np.max(np.abs(new - old)) / scale)
    return np.mean(values) if what == "relative_change" else np.sum(values)


@pytest.mark.parametrize("start", [0, 3, 4])
@pytest.mark.parametrize("axis", ["rows", "cols", "both"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("domain", KERNEL_AND_LOG)
@pytest.mark.parametrize(
    "what, norm",
    [
        ("change", "l1"),
        ("change", "l2"),
        ("ratio", "mean"),
        ("ratio", "linf"),
        ("relative_change", "l1"),
    ],
)
def test_measures_of_change(what, norm, domain, order, axis, start):
    """The first check at or after start, where the half-steps fit the axis."""
    x = random(4, 5, seed=3)
    due = {
        "jacobi": lambda k: k % 2 == 0,
        "rows_first": lambda k: k % 2 == (0 if axis != "rows" else 1),
        "cols_first": lambda k: k % 2 == (0 if axis != "cols" else 1),
    }[order]
    expected = next(k for k in range(max(start, 1), 9) if due(k))
    stop = sr.until(
        what=what, axis=axis, norm=norm, tol=1e9, start=start, every=1, limit=50
    )
    result = iterate(x, domain, order=order, stop=stop)
    assert result.half_steps == expected and result.status == sr.CONVERGED
    value = expected_change(x, domain, order, what, axis, norm, expected)
    assert value > 1e-6
    np.testing.assert_allclose(result.residual, value, rtol=1e-12)
    row, col = factors_after(x, domain, order, expected)
    np.testing.assert_array_equal(result.row, row)
    np.testing.assert_array_equal(result.col, col)


@pytest.mark.parametrize("norm", ["l1", "l2", "linf", "mean"])
@pytest.mark.parametrize("axis", ["rows", "cols", "both"])
def test_marginal_residual(axis, norm):
    x = random(4, 5)
    result = iterate(x, order="jacobi", stop=sr.fixed(4))
    stop = sr.fixed(4, measure="last", axis=axis, norm=norm)
    judged = iterate(x, order="jacobi", stop=stop)
    plan = plan_of(x, result)
    order = {"l1": 1, "l2": 2, "linf": np.inf, "mean": 1}[norm]
    total = 0.0
    for name, sums in (("rows", plan.sum(1)), ("cols", plan.sum(0))):
        if axis in (name, "both"):
            part = np.linalg.norm(sums - 1 / sums.size, order)
            total += part / sums.size if norm == "mean" else part
    assert total > 1e-4
    np.testing.assert_allclose(judged.residual, total, rtol=1e-10)
    np.testing.assert_array_equal(judged.row, result.row)


def test_best_returns_the_latest_of_equals():
    result = sr.balance(
        np.full((3, 3), 2.0),
        rows=sr.Rule(),
        cols=sr.Rule(),
        order="rows_first",
        stop=sr.best(what="imbalance", limit=6),
    )
    assert result.half_steps == 6
    np.testing.assert_array_equal(result.row * 2 * result.col * 3, np.ones(3))


@settings(max_examples=30, deadline=None)
@given(matrices(), st.sampled_from(["imbalance", "imbalance_sum"]), st.booleans())
def test_best_is_the_best(x, what, last):
    """Against the measure of every prefix, computed from the fixed counts."""
    rule = sr.Rule(stat="l2", step=(0.5, 2.0))
    matrix = np.exp(x)
    options = dict(rows=rule, cols=rule, order="rows_first")
    result = sr.balance(matrix, stop=sr.best(what=what, limit=8, last=last), **options)
    measures = []
    for pairs in range(5 if last else 4):
        scaled = sr.balance(matrix, stop=sr.fixed(2 * pairs), **options)
        plan = sr.plan(matrix, scaled.row, scaled.col, "kernel")
        rows, cols = np.linalg.norm(plan, axis=1), np.linalg.norm(plan, axis=0)
        if what == "imbalance":
            both = np.concatenate([rows, cols])
            measures.append(both.max() / both.min())
        else:
            measures.append(rows.max() / rows.min() + cols.max() / cols.min())
    np.testing.assert_allclose(result.residual, min(measures), rtol=1e-9)
    assert result.half_steps % 2 == 0 and result.status == sr.LIMIT


def test_slack_targets_and_shift():
    """The slack row and column take the shift too: the plan does not change."""
    z = random(3, 5)
    options = dict(rows=sr.Rule(target="slack"), cols=sr.Rule(target="slack"))
    stop = sr.until(tol=1e-12, limit=5000)
    plans = [
        sr.project(
            z, form=sr.Form(shift=shift), domain=domain, slack=0.4, stop=stop, **options
        ).plan
        for shift in ("none", "row_max", "col_max")
        for domain in KERNEL_AND_LOG
    ]
    np.testing.assert_allclose(plans[0].sum(1), [1 / 8] * 3 + [5 / 8], atol=1e-12)
    np.testing.assert_allclose(plans[0].sum(0), [1 / 8] * 5 + [3 / 8], atol=1e-12)
    for plan in plans[1:]:
        np.testing.assert_allclose(plan, plans[0], atol=1e-10)


def test_slack_of_a_cost_is_a_cost():
    z = random(3, 5)
    options = dict(rows=sr.Rule(target="slack"), cols=sr.Rule(target="slack"))
    by_logits = sr.project(z, slack=0.4, epsilon=0.5, stop=sr.fixed(8), **options)
    by_cost = sr.project(
        -z, kind="cost", slack=-0.4, epsilon=0.5, stop=sr.fixed(8), **options
    )
    np.testing.assert_array_equal(by_logits.plan, by_cost.plan)


def test_log_domain_survives_what_the_kernel_does_not():
    cost = random(5, 6) ** 2
    stop = sr.fixed(200)
    log = sr.project(cost, kind="cost", epsilon=1e-4, stop=stop)
    np.testing.assert_allclose(log.plan.sum(0), 1, atol=1e-12)
    assert np.all(np.isfinite(log.plan)) and log.status == sr.FIXED


def test_kernel_input():
    kernel = np.exp(random(4, 4))
    form = sr.Form(map="identity")
    plans = [
        sr.project(kernel, kind="kernel", form=form, domain=d, stop=sr.fixed(7)).plan
        for d in KERNEL_AND_LOG
    ]
    expected = sr.project(np.log(kernel), stop=sr.fixed(7)).plan
    for plan in plans:
        np.testing.assert_allclose(plan, expected, rtol=1e-13)


def test_log_plan_is_the_logarithm():
    z = random(4, 4)
    for domain in KERNEL_AND_LOG:
        options = dict(domain=domain, stop=sr.fixed(3), row_target=[1, 0, 1, 1])
        plan = sr.project(z, form=sr.Form(scale="cols"), **options).plan
        form = sr.Form(scale="cols", output="log_plan")
        log = sr.project(z, form=form, **options).plan
        np.testing.assert_allclose(np.exp(log), plan, rtol=1e-14)
        assert np.all(log[1] == -np.inf)


def test_similarity_keeps_eigenvalues_and_reports_nan():
    a = random(5, 5) * 10.0 ** random(5, 5, seed=1)
    result = sr.similarity_balance(np.stack([a, np.full((5, 5), np.nan)]))
    np.testing.assert_allclose(
        np.sort_complex(np.linalg.eigvals(result.matrix[0])),
        np.sort_complex(np.linalg.eigvals(a)),
        rtol=1e-9,
    )
    assert result.status.tolist() == [0, 3]
    assert np.all(result.scale[1] == 1)


def test_apply_helpers():
    p, v = np.abs(random(2, 3, 4)), random(2, 4, 5)
    np.testing.assert_allclose(sr.apply(p, v), np.einsum("bij,bjk->bik", p, v))
    w = random(2, 3, 5)
    np.testing.assert_allclose(
        sr.apply(p, w, transpose=True), np.einsum("bij,bik->bjk", p, w)
    )
    assert sr.transport_cost([[0.0, 2.0]], [[np.inf, 3.0]]) == 6
    np.testing.assert_array_equal(sr.row_argmax([[1, 3, 3], [2, 1, 0]]), [1, 0])


@pytest.mark.parametrize(
    "build",
    [
        lambda: sr.Rule(stat="median"),
        lambda: sr.Rule(guard=("add_kernel", 1e-6), exponent=0.5),
        lambda: sr.Rule(guard=("add_kernel", 1e-6), stat="mean_square"),
        lambda: sr.best(what="marginal", limit=2),
        lambda: iterate(random(2, 2), rows=sr.Rule(stat="l2")),
        lambda: iterate(random(2, 2), order="jacobi", stop=sr.fixed(3)),
        lambda: sr.sinkhorn(
            random(2, 2), form=sr.Form(entry_eps=1.0), stop=sr.fixed(1)
        ),
        lambda: sr.project(
            random(2, 2), form=sr.Form(map="sigmoid"), domain="log", stop=sr.fixed(1)
        ),
    ],
)
def test_invalid_combinations_are_refused(build):
    with pytest.raises(ValueError):
        build()
