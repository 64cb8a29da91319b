"""Golden values computed independently from the origins' formulas, in float64."""

import numpy as np
import pytest
import scaling_reference as sr
from scaling_reference import presets

I = np.arange(4)
Z = 2 * np.sin(1 + 3 * I[:, None] + 5 * I[None, :])
GIVEN_Z = [
    [1.68294197, -0.558830996, -1.999980413, -0.575806633],
    [-1.513604991, 0.82423697, 1.981214711, 0.299754419],
    [1.313973197, -1.073145836, -1.922794984, -0.017702619],
    [-1.088042222, 1.30057568, 1.825890501, -0.2647035],
]
LOG_SOFTMAX_Z = Z - np.log(np.sum(np.exp(Z), axis=1, keepdims=True))
HALF = np.array([0.5, 0.5])
SWAP = np.array([[0.0, 1.0], [1.0, 0.0]])

MHC = [0.561202050, 0.180408565, 0.025339073, 0.233049124]
MHC_10 = [0.561183983, 0.180308887, 0.025320458, 0.232985959]
MHC_SIGMOID = [0.441377443, 0.231784709, 0.087427518, 0.239409330]
MHC_STATIC = [0.947720934, 0, 0, 0.000000158]
MHC_VJP = [0.094954185, -0.063834778, -0.049571097, 0.018451691]
SINKFORMER = [0.614409261, 0.148845407, 0.019225803, 0.217519529]
SUPERGLUE = [-1.206299578, -3.178753857, -4.941345943, -3.011774359, -0.506318395]
MEGATRON = [0.140299813, 0.045095993, 0.006333373, 0.058258411]
SELA = [0.673384815, 0.126732341, 0.001682371, 0.198200473]
SINKGD = [0.480550417, -0.216163029, -0.4091877, -0.745457318]
POT = [0.36552929, 0.13447071]
POT_UNBALANCED = [0.3220536, 0.1184769]
SINQ_W = (1 + I[:, None]) * np.sin(1 + 7 * I[:, None] + 11 * I) * np.where(I == 2, 9, 1)
SINQ_MU1 = [0.7408182207, 1.20161373, 2.8, 1.19952733]
SINQ_MU2 = [1.51026995, 3.04599025, 3.28331373, 2.4058771]
GEBAL_A = [[1, 100, 1e4], [0.01, 1, 100], [1e-4, 0.01, 1]]
GEBAL = [[1, 1.5625, 1.220703125], [0.64, 1, 0.78125], [0.8192, 1.28, 1]]


def check(actual, expected, digits):
    """Equal to all given digits: half a unit of the last one."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape and expected.size > 0
    np.testing.assert_allclose(actual, expected, rtol=0, atol=0.51 * 10.0**-digits)


def test_input():
    check(Z, GIVEN_Z, 9)


PLAIN = {
    "mhc": (lambda: presets.mhc(Z)[0], MHC, 9),
    "mhc 10": (lambda: presets.mhc(Z, 10)[0], MHC_10, 9),
    "mhc_sigmoid": (lambda: presets.mhc_sigmoid(Z)[0], MHC_SIGMOID, 9),
    "mhc_static": (lambda: presets.mhc_static(Z)[0], MHC_STATIC, 9),
    "sinkformer": (lambda: presets.sinkformer(Z)[0], SINKFORMER, 9),
    "superglue": (lambda: presets.superglue(Z)[0], SUPERGLUE, 9),
    "megatron": (lambda: presets.megatron_moe(Z).plan[0], MEGATRON, 9),
    "sela": (lambda: presets.sela(LOG_SOFTMAX_Z, 2.0).plan[0], SELA, 9),
    "sinkgd": (lambda: presets.sinkgd(Z)[0], SINKGD, 9),
    "pot": (lambda: presets.pot(HALF, HALF, SWAP, 1.0).plan[0], POT, 8),
    "pot_log": (lambda: presets.pot_log(HALF, HALF, SWAP, 1.0).plan[0], POT, 8),
    "pot_unbalanced": (
        lambda: presets.pot_unbalanced(HALF, HALF, SWAP, 1.0, (1.0, 1.0)).plan[0],
        POT_UNBALANCED,
        7,
    ),
}

GENERIC = {
    "mhc": (lambda: sr_preset("mhc", Z).plan[0], MHC, 9),
    "mhc 10": (
        lambda: sr_preset("mhc", Z, stop=dict(half_steps=19)).plan[0],
        MHC_10,
        9,
    ),
    "mhc_sigmoid": (lambda: sr_preset("mhc_sigmoid", Z).plan[0], MHC_SIGMOID, 9),
    "mhc_static": (lambda: sr_preset("mhc_static", Z).plan[0], MHC_STATIC, 9),
    "sinkformer": (lambda: sr_preset("sinkformer", Z).plan[0], SINKFORMER, 9),
    "superglue": (
        lambda: sr_preset("superglue", Z, slack=1.0).plan[0],
        SUPERGLUE,
        9,
    ),
    "megatron": (lambda: sr_preset("megatron_moe", Z).plan[0], MEGATRON, 9),
    "sela": (
        lambda: sr_preset("sela", LOG_SOFTMAX_Z, form=dict(epsilon=0.5)).plan[0],
        SELA,
        9,
    ),
    "sinkgd": (lambda: balanced("sinkgd", Z)[0], SINKGD, 9),
    "pot": (lambda: potential_plan("pot")[0], POT, 8),
    "pot_log": (lambda: potential_plan("pot_log")[0], POT, 8),
    "pot_stabilized": (lambda: potential_plan("pot_stabilized")[0], POT, 8),
    "pot_unbalanced": (
        lambda: potential_plan("pot_unbalanced")[0],
        POT_UNBALANCED,
        7,
    ),
}


def sr_preset(name, matrix, **options):
    return presets.run_preset(name, matrix, **options)


def balanced(name, matrix):
    result = presets.run_preset(name, matrix)
    return sr.plan(matrix, result.row, result.col, "kernel")


def potential_plan(name):
    """P from potentials of the 2x2 swap cost at eps 1 (tau 1/2 if unbalanced)."""
    result = presets.run_preset(
        name, SWAP, epsilon=1.0, row_target=HALF, col_target=HALF
    )
    return np.exp(result.f[:, None] + result.g - SWAP)


@pytest.mark.parametrize("name", PLAIN)
def test_plain(name):
    compute, expected, digits = PLAIN[name]
    check(compute(), expected, digits)


@pytest.mark.parametrize("name", GENERIC)
def test_generic(name):
    compute, expected, digits = GENERIC[name]
    check(compute(), expected, digits)


def test_mhc_sums():
    plan = presets.mhc(Z)
    check(np.sum(plan[0]), 0.999998812, 9)
    check(np.sum(plan, axis=0), np.full(4, 0.999999), 6)


def test_iteration_counts():
    assert presets.megatron_moe(Z).iterations == 12
    assert presets.sela(LOG_SOFTMAX_Z, 2.0).iterations == 11
    assert sr_preset("megatron_moe", Z).half_steps == 24
    result = sr_preset("sela", LOG_SOFTMAX_Z, form=dict(epsilon=0.5))
    assert result.half_steps == 22 and result.status == sr.CONVERGED


def test_mhc_vjp():
    cotangent = np.cos(1 + I[:, None] - 2 * I)
    check(presets.mhc_vjp(Z, cotangent)[0], MHC_VJP, 9)


def test_mhc_vjp_against_differences():
    rng = np.random.default_rng(0)
    cotangent, step = rng.normal(size=(4, 4)), 1e-6
    expected = np.empty((4, 4))
    for index in np.ndindex(4, 4):
        moved = np.zeros((4, 4))
        moved[index] = step
        change = presets.mhc(Z + moved) - presets.mhc(Z - moved)
        expected[index] = np.sum(cotangent * change) / (2 * step)
    actual = presets.mhc_vjp(Z, cotangent)
    assert np.max(np.abs(expected)) > 0.01
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-8)


def test_geomloss_epsilons():
    expected = [4, 4, 1, 0.25, 0.0625, 0.015625, 0.00390625, 0.0025]
    np.testing.assert_allclose(presets.geomloss_epsilons(2.0), expected, rtol=1e-14)


def test_gebal():
    for balanced_matrix, scale in (
        presets.gebal(GEBAL_A),
        sr.similarity_balance(GEBAL_A)[:2],
    ):
        np.testing.assert_array_equal(scale, [512, 8, 0.0625])
        np.testing.assert_allclose(balanced_matrix, GEBAL, rtol=1e-15)


def test_sinq():
    plain = presets.sinq(SINQ_W)
    generic = sr_preset("sinq", SINQ_W)
    check(plain.mu1, SINQ_MU1, 8)
    check(plain.mu2, SINQ_MU2, 8)
    check(plain.mu1[0], 0.7408182207, 10)
    check(plain.imbalance, 3.01266695, 8)
    check(1 / generic.col, SINQ_MU1, 8)
    check(1 / generic.row, SINQ_MU2, 8)
    check(generic.residual, 3.01266695, 8)
