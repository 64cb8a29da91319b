"""sinkhorn, plan and project against the reference."""

import warnings

import numpy as np
import pytest
import scaling
import scaling_reference as sr
from scaling_reference.presets import PRESET_SPECS, run_preset

RTOL = {"float64": 1e-9, "float32": 2e-4, "float16": 4e-3, "bfloat16": 3e-2}


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scaling.ConvergenceWarning)
        yield


def close(actual, expected, dtype="float64", scale=1.0):
    tolerance = RTOL[str(dtype)]
    np.testing.assert_allclose(
        np.asarray(actual, np.float64), expected, rtol=tolerance, atol=tolerance * scale
    )


def random(shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


PRESETS = [
    name
    for name, spec in PRESET_SPECS.items()
    if spec["op"] in ("sinkhorn", "project") and spec["kind"] != "kernel"
]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset(name):
    spec = PRESET_SPECS[name]
    matrix = random((6, 6)) if spec["kind"] == "logits" else abs(random((6, 6)))
    needed = {}
    given = {}
    if "slack" in spec["needs"]:
        needed["slack"] = given["slack"] = 0.7
    if "epsilon" in spec["needs"]:
        needed["epsilon"] = given["temperature"] = 0.3
    for side in ("row", "col"):
        if f"{side}_target" in spec["needs"]:
            needed[f"{side}_target"] = given[f"{side}_marginal"] = np.full(6, 1 / 6)
    expected = run_preset(name, matrix, **needed)
    if spec["op"] == "project":
        actual, info = scaling.project(matrix, preset=name, return_info=True, **given)
        close(actual, expected.plan)
    else:
        result = scaling.sinkhorn(matrix, preset=name, **given)
        info = result.info
        close(result.f, expected.f)
        close(result.g, expected.g)
    assert info.half_steps == expected.half_steps
    assert info.status == expected.status
    close(info.residual, expected.residual)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_types_come_back(dtype):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    matrix = random((3, 4, 4)).astype(dtype)
    plan = scaling.project(matrix, preset="mhc_log")
    assert plan.dtype == dtype and plan.shape == matrix.shape
    expected = run_preset("mhc_log", matrix.astype(np.float64)).plan
    close(plan, expected, dtype)
    potentials = scaling.sinkhorn(matrix, preset="mhc_log")
    assert potentials.f.dtype == (np.float64 if dtype == np.float64 else np.float32)


def test_the_default_is_uniform_transport():
    cost = abs(random((7, 5)))
    result = scaling.sinkhorn(cost, temperature=0.2)
    assert result.info.converged and result.info.residual <= 1e-5
    plan = scaling.plan(cost, result, temperature=0.2)
    close(plan.sum(-1), np.full(7, 1 / 7), scale=1e4)
    close(plan.sum(-2), np.full(5, 1 / 5))
    expected = np.exp((result.f[:, None] + result.g - cost) / 0.2)
    close(plan, expected)
    close(
        scaling.plan(cost, result, temperature=0.2, output="log_plan"), np.log(expected)
    )


@pytest.mark.parametrize("input", ["cost", "logits", "kernel"])
def test_plan_solves_where_no_potentials_are_given(input):
    matrix = abs(random((4, 6, 5)))
    plan, info = scaling.plan(
        matrix, input=input, temperature=0.5, tol=1e-10, return_info=True
    )
    result = scaling.sinkhorn(matrix, input=input, temperature=0.5, tol=1e-10)
    close(plan, scaling.plan(matrix, result, input=input, temperature=0.5))
    np.testing.assert_array_equal(info.half_steps, result.info.half_steps)
    close(plan.sum(-1), np.full((4, 6), 1 / 6))


def test_marginals_masks_and_starts():
    cost = abs(random((3, 6, 5)))
    a, b = np.full(6, 1 / 6), random((3, 5)) ** 2 + 0.1
    b /= b.sum(-1, keepdims=True)
    row_mask = np.array([True] * 5 + [False])
    f0 = random(6)
    options = dict(kind="cost", domain="log", rows=sr.Rule(), cols=sr.Rule(),
                   order="rows_first", stop=sr.fixed(30))  # fmt: skip
    expected = sr.sinkhorn(cost, epsilon=0.4, row_target=a, col_target=b, f_start=f0,
                           row_mask=row_mask, **options)  # fmt: skip
    result = scaling.sinkhorn(
        cost, a, b, temperature=0.4, row_init=f0, row_mask=row_mask, half_steps=30,
        rows=scaling.Rule(), cols=scaling.Rule(),
    )  # fmt: skip
    close(result.f, expected.f)
    close(result.g, expected.g)
    assert np.all(result.f[:, 5] == -np.inf)


def test_slack():
    logits, b = random((2, 4, 3)), np.array([1.0, 0.5, 1.0, 2.5])
    keep = np.array([True, True, False, True, True])
    options = dict(stop=sr.fixed(8), slack=0.3, col_target=b, row_mask=keep[:4])
    plan = scaling.project(
        logits, slack=0.3, col_marginal=b, row_mask=keep, half_steps=8
    )
    close(plan, sr.project(logits, **options).plan)


def test_one_temperature_per_problem():
    logits, temperature = random((3, 4, 4)), np.array([0.5, 1.0, 2.0])
    plan = scaling.project(logits, temperature=temperature, half_steps=20)
    for i in range(3):
        close(
            plan[i],
            scaling.project(logits[i], temperature=temperature[i], half_steps=20),
        )
        close(plan[i], scaling.project(logits[i] / temperature[i], half_steps=20))


def test_single_attributes_replace_the_presets():
    logits = random((5, 4, 4))
    plan, info = scaling.project(
        logits, preset="mhc", half_steps=9, entry_eps=1e-3, return_info=True
    )
    expected = run_preset(
        "mhc", logits, form={"entry_eps": 1e-3}, stop={"half_steps": 9}
    )
    close(plan, expected.plan)
    assert np.all(info.half_steps == 9)
    tolerant = scaling.sinkhorn(abs(logits), preset="pot_log", tol=0.5, temperature=1.0,
                                row_marginal=np.full(4, 0.25), col_marginal=np.full(4, 0.25))  # fmt: skip
    assert np.all(tolerant.info.half_steps < 20)


@pytest.mark.parametrize("batch", [(), (1,), (5,), (2, 3), (2, 1, 4), (0,), (2, 0)])
def test_batches(batch):
    logits = random((*batch, 4, 6))
    marginal = np.full(6, 4 / 6)
    plan, info = scaling.project(
        logits, col_marginal=marginal, half_steps=10, return_info=True
    )
    assert plan.shape == logits.shape and np.shape(info.status) == batch
    for index in np.ndindex(*batch):
        close(
            plan[index],
            scaling.project(logits[index], col_marginal=marginal, half_steps=10),
        )


def test_parts_of_a_batch_are_broadcast():
    cost = abs(random((4, 6)))
    a = abs(random((2, 3, 4))) + 0.1
    b = np.ones((3, 6)) * a.sum(-1)[0][:, None] / 6
    a[1] = a[0]
    result = scaling.sinkhorn(cost, a, b, half_steps=12)
    assert result.f.shape == (2, 3, 4) and result.g.shape == (2, 3, 6)
    for i, j in np.ndindex(2, 3):
        alone = scaling.sinkhorn(cost, a[i, j], b[j], half_steps=12)
        close(result.f[i, j], alone.f)
        close(result.g[i, j], alone.g)


def test_layouts():
    logits = random((6, 8))
    expected = scaling.project(logits, half_steps=8)
    readonly = logits.copy()
    readonly.flags.writeable = False
    swapped = logits.astype(logits.dtype.newbyteorder())
    packed = np.zeros(logits.size * 8 + 1, np.uint8)[1:].view(np.float64).reshape(6, 8)
    packed[...] = logits
    for array in (np.asfortranarray(logits), readonly, swapped, packed, logits.tolist(),
                  np.repeat(logits, 2, axis=1)[:, ::2], logits[::-1][::-1]):  # fmt: skip
        np.testing.assert_array_equal(scaling.project(array, half_steps=8), expected)
    np.testing.assert_array_equal(scaling.project(logits.T, half_steps=8),
                                  scaling.project(logits.T.copy(), half_steps=8))  # fmt: skip
    integers = np.arange(12).reshape(3, 4)
    assert scaling.project(integers, half_steps=2).dtype == np.float64


def test_arguments_stay_as_they_are():
    logits = random((64, 64), dtype="float32")
    before = logits.copy()
    scaling.project(logits, half_steps=3)
    np.testing.assert_array_equal(logits, before)


def test_large_sizes_get_one_program_in_the_end():
    for size in range(40, 60):
        logits = random((size, size), seed=size)
        close(
            scaling.project(logits, half_steps=4),
            sr.project(logits, stop=sr.fixed(4)).plan,
        )


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (2, 0, 3)])
def test_nothing_to_scale(shape):
    plan = scaling.project(np.zeros(shape), half_steps=4)
    assert plan.shape == shape
