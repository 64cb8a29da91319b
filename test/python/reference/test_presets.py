"""Every preset's record, run generically, equals the preset's plain statement."""

import numpy as np
import pytest
import scaling_reference as sr
from scaling_reference import presets
from scaling_reference.presets import PRESET_SPECS, run_preset

SHAPES = [(4, 4), (3, 7), (9, 2), (1, 5), (5, 1), (12, 12)]
SEEDS = range(3)


def close(actual, expected, rtol=1e-10, atol=1e-13):
    expected = np.asarray(expected)
    assert expected.size and np.all(np.isfinite(expected))
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


def logits(shape, seed, scale=2.0):
    return scale * np.random.default_rng(seed).normal(size=shape)


def problem(shape, seed):
    """Marginals (of equal mass) and a cost."""
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0.2, 1, shape[0]), rng.uniform(0.2, 1, shape[1])
    return a / a.sum(), b / b.sum(), rng.uniform(0, 1, shape)


PROJECTED = {
    "mhc": lambda z: presets.mhc(z),
    "mhc_sigmoid": lambda z: presets.mhc_sigmoid(z),
    "mhc_clamp": lambda z: presets.mhc_clamp(z),
    "mhc_log": lambda z: presets.mhc_log(z),
    "mhc_columns": lambda z: presets.mhc_columns(z),
    "mhc_static": lambda z: presets.mhc_static(z),
    "mhc_recip": lambda z: presets.mhc_recip(z),
    "sinkformer": lambda z: presets.sinkformer(z),
    "swav": lambda z: presets.swav(z),
    "optvq": lambda z: presets.optvq(z),
    "gumbel": lambda z: presets.gumbel(z),
}
COUNTED = {
    "sela": lambda z: presets.sela(z),
    "megatron_moe": lambda z: presets.megatron_moe(z),
}
BALANCED = {"sinkgd", "sinq", "kvarn", "ruiz", "geequb"}
TRANSPORT = {"pot", "pot_log", "pot_stabilized", "pot_unbalanced", "ott", "geomloss"}


def test_every_preset_is_covered():
    covered = {*PROJECTED, *COUNTED, *BALANCED, *TRANSPORT, "superglue", "gebal"}
    assert covered == set(PRESET_SPECS)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PROJECTED)
def test_projected(name, shape, seed):
    z = logits(shape, seed, 0.2 if name == "swav" else 2.0)
    result = run_preset(name, z)
    close(result.plan, PROJECTED[name](z))
    assert result.status == sr.FIXED and result.residual == -1
    assert result.half_steps == PRESET_SPECS[name]["stop"].half_steps


@pytest.mark.parametrize("shape", SHAPES)
def test_superglue(shape):
    z = logits(shape, 1)
    result = run_preset("superglue", z, slack=0.3)
    close(result.plan, presets.superglue(z, 0.3))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", COUNTED)
def test_counted(name, shape, seed):
    z = logits(shape, seed, 0.3 if name == "sela" else 1.0)
    plain, generic = COUNTED[name](z), run_preset(name, z)
    close(generic.plan, plain.plan)
    assert generic.half_steps == 2 * plain.iterations
    assert generic.status == sr.CONVERGED


def test_counted_takes_many_iterations():
    """The counts above are only a test if they differ from the first check."""
    assert presets.megatron_moe(logits((12, 12), 0, 1.0)).iterations > 4
    assert presets.sela(logits((12, 12), 0, 0.3)).iterations > 1


@pytest.mark.parametrize("half_steps", range(6))
def test_sinkformer_counts_half_steps(half_steps):
    z = logits((5, 6), 3)
    result = run_preset("sinkformer", z, stop=dict(half_steps=half_steps))
    close(result.plan, presets.sinkformer(z, half_steps))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_sinkgd(shape, seed):
    x = logits(shape, seed)
    result = run_preset("sinkgd", x)
    close(sr.plan(x, result.row, result.col, "kernel"), presets.sinkgd(x))


def uneven(shape, seed):
    """A matrix with outlying rows and columns, as the quantisers see them."""
    rng = np.random.default_rng(seed)
    rows, cols = rng.lognormal(0, 1, shape[0]), rng.lognormal(0, 1, shape[1])
    return rows[:, None] * rng.normal(size=shape) * cols


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (9, 3), (16, 12), (3, 3)])
@pytest.mark.parametrize("name", ["sinq", "kvarn"])
def test_best_so_far(name, shape, seed):
    w = uneven(shape, seed)
    plain, generic = getattr(presets, name)(w), run_preset(name, w)
    close(1 / generic.col, plain.mu1)
    close(1 / generic.row, plain.mu2)
    close(generic.residual, plain.imbalance)
    assert generic.status == sr.LIMIT


def test_best_so_far_stops_at_different_counts():
    counts = {int(run_preset("sinq", uneven((16, 12), s)).half_steps) for s in range(8)}
    assert len(counts) > 2 and max(counts) <= 30


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_ruiz(shape, seed):
    a = uneven(shape, seed) * 10.0 ** np.random.default_rng(seed).integers(-6, 6, shape)
    a[0] = 0  # the limits turn the maximum of an empty row into 1
    row, col = presets.ruiz(a)
    result = run_preset("ruiz", a)
    close(result.row, row)
    close(result.col, col)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_geequb(shape, seed):
    a = uneven(shape, seed) * 10.0 ** np.random.default_rng(seed).integers(-6, 6, shape)
    row, col = presets.geequb(a)
    result = run_preset("geequb", a)
    np.testing.assert_array_equal(result.row, row)
    np.testing.assert_array_equal(result.col, col)
    assert np.all(np.frexp(result.row)[0] == 0.5)


def test_geequb_clamps():
    """Factors stay within [2^-126, 2^126], LAPACK's bounds for f32."""
    a = np.array([[2.0**130, 1.0], [1.0, 3.0]])
    result = run_preset("geequb", a)
    np.testing.assert_array_equal(result.row, [2.0**-126, 0.5])


@pytest.mark.parametrize("seed", SEEDS)
def test_gebal(seed):
    a = uneven((7, 7), seed)
    balanced, scale = presets.gebal(a)
    result = sr.similarity_balance(a)
    np.testing.assert_array_equal(result.scale, scale)
    np.testing.assert_array_equal(result.matrix, balanced)
    assert np.any(scale != 1)


def generic_plan(result, cost, eps):
    return np.exp((result.f[:, None] + result.g - cost) / eps)


def weights(a, b):
    return dict(row_target=a, col_target=b)


@pytest.mark.parametrize("eps", [0.05, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["pot", "pot_log"])
def test_pot(name, shape, eps):
    a, b, cost = problem(shape, 5)
    plain = getattr(presets, name)(a, b, cost, eps)
    result = run_preset(name, cost, epsilon=eps, **weights(a, b))
    row, col = plain.row, plain.col
    if name == "pot":
        row, col = np.log(row), np.log(col)
    close(result.f, eps * row)
    close(result.g, eps * col)
    close(generic_plan(result, cost, eps), plain.plan)
    assert result.half_steps == 2 * plain.iterations
    assert result.status == sr.CONVERGED


def test_pot_count_is_not_the_first_check():
    a, b, cost = problem((12, 12), 5)
    assert presets.pot(a, b, cost, 0.05).iterations > 11


@pytest.mark.parametrize("eps", [0.005, 0.5])
def test_pot_stabilized(eps):
    """The absorptions change the gauge by constants only: the plans agree."""
    a, b, cost = problem((8, 9), 5)
    plain = presets.pot_stabilized(a, b, cost, eps, 3000)
    result = run_preset(
        "pot_stabilized", cost, stop=dict(limit=6000), epsilon=eps, **weights(a, b)
    )
    close(generic_plan(result, cost, eps), plain.plan, rtol=1e-8)
    assert result.half_steps == 2 * plain.iterations
    assert result.status == sr.CONVERGED
    shift = eps * plain.row - result.f
    close(shift, np.full(shift.shape, shift[0]), atol=1e-8)


@pytest.mark.parametrize("reg_m", [(1.0, 1.0), (0.3, 4.0), (np.inf, 0.5)])
@pytest.mark.parametrize("shape", SHAPES)
def test_pot_unbalanced(shape, reg_m):
    """The same factors step by step, and the same count: both compare u/a."""
    a, b, cost = problem(shape, 5)
    a, b = 3 * a, 2 * b
    eps = 0.2
    taus = [r / (r + eps) if np.isfinite(r) else 1.0 for r in reg_m]
    options = dict(
        rows=dict(tau=taus[0]), cols=dict(tau=taus[1]), epsilon=eps, **weights(a, b)
    )
    for count in (1, 2, 25):
        plain = presets.pot_unbalanced(
            a, b, cost, eps, reg_m, max_iter=count, stop_thr=0
        )
        stop = dict(tol=-1.0, limit=2 * count)
        result = run_preset("pot_unbalanced", cost, stop=stop, **options)
        close(result.f, eps * np.log(a * plain.row))
        close(result.g, eps * np.log(b * plain.col))
    plain = presets.pot_unbalanced(a, b, cost, eps, reg_m)
    result = run_preset("pot_unbalanced", cost, **options)
    close(generic_plan(result, cost, eps), plain.plan)
    assert result.half_steps == 2 * plain.iterations
    assert result.status == sr.CONVERGED


@pytest.mark.parametrize("reg_m", [(1.0, 1.0), (0.3, 4.0)])
def test_pot_unbalanced_entropy_is_exact(reg_m):
    """Without the product reference the stop rule is POT's, too."""
    a, b, cost = problem((6, 8), 5)
    eps = 0.2
    plain = presets.pot_unbalanced(a, b, cost, eps, reg_m, "entropy")
    rules = [dict(tau=r / (r + eps), reference="kernel") for r in reg_m]
    result = run_preset(
        "pot_unbalanced",
        cost,
        rows=rules[0],
        cols=rules[1],
        epsilon=eps,
        form=dict(start="neutral"),
        **weights(a, b),
    )
    close(result.f, eps * np.log(plain.row))
    assert result.half_steps == 2 * plain.iterations > 4


@pytest.mark.parametrize("shape", SHAPES)
def test_ott(shape):
    a, b, cost = problem(shape, 5)
    eps = 0.02
    plain = presets.ott(a, b, cost, eps)
    result = run_preset("ott", cost, epsilon=eps, **weights(a, b))
    close(result.f, plain.row)
    close(result.g, plain.col)
    assert result.half_steps == 2 * plain.iterations
    assert result.status == sr.CONVERGED


@pytest.mark.parametrize("momentum", [1.0, 1.5])
@pytest.mark.parametrize("tau", [(1.0, 1.0), (0.7, 0.9)])
def test_ott_damped_and_relaxed(momentum, tau):
    a, b, cost = problem((6, 8), 5)
    eps = 0.1
    plain = presets.ott(a, b, cost, eps, -1.0, tau, momentum, max_iter=30)
    result = run_preset(
        "ott",
        cost,
        rows=dict(tau=tau[0], omega=momentum),
        cols=dict(tau=tau[1], omega=momentum),
        stop=dict(tol=-1.0, limit=60),
        epsilon=eps,
        **weights(a, b),
    )
    close(result.f, plain.row)
    close(result.g, plain.col)
    assert result.status == sr.LIMIT


@pytest.mark.parametrize("shape", SHAPES)
def test_geomloss(shape):
    """The softmin start is the first pair, without averaging."""
    a, b, cost = problem(shape, 5)
    schedule = presets.geomloss_epsilons(1.2)
    plain = presets.geomloss(a, b, cost, schedule)
    result = run_preset(
        "geomloss",
        cost,
        form=dict(anneal=(schedule[0], *schedule)),
        stop=dict(half_steps=2 * len(schedule) + 4),
        **weights(a, b),
    )
    eps = schedule[-1]
    close(result.f - eps * np.log(a), plain.row)
    close(result.g - eps * np.log(b), plain.col)
    close(generic_plan(result, cost, eps), plain.plan)
    assert result.half_steps == 2 * len(schedule) + 4


def test_geomloss_record_is_the_unit_diameter_schedule():
    a, b, cost = problem((6, 8), 5)
    schedule = presets.geomloss_epsilons(1.0)
    anneal = PRESET_SPECS["geomloss"]["form"].anneal
    np.testing.assert_allclose(anneal, [schedule[0], *schedule], rtol=1e-15)
    result = run_preset("geomloss", cost, **weights(a, b))
    plain = presets.geomloss(a, b, cost, schedule)
    close(generic_plan(result, cost, schedule[-1]), plain.plan)


@pytest.mark.parametrize("rho", [0.1, 2.0])
def test_geomloss_unbalanced_at_one_temperature(rho):
    """The damping is constant at a constant eps, and then exact."""
    a, b, cost = problem((5, 7), 5)
    eps = 0.3
    plain = presets.geomloss(a, b, cost, [eps] * 4, rho)
    tau = dict(tau=rho / (rho + eps))
    result = run_preset(
        "geomloss",
        cost,
        form=dict(anneal=(eps,) * 5),
        rows=tau,
        cols=tau,
        stop=dict(half_steps=12),
        **weights(a, b),
    )
    close(generic_plan(result, cost, eps), plain.plan)


def test_wrong_reading_of_the_guard_is_seen():
    """t/(s + eps) for mHC is off by less than 1e-6: the tolerances tell it."""
    z = logits((4, 4), 0)
    guard = dict(guard=("add_kernel", 1e-6))
    wrong = run_preset("mhc", z, rows=guard, cols=guard).plan
    error = np.max(np.abs(wrong - presets.mhc(z)))
    assert 1e-9 < error < 1e-5
