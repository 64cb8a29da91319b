"""--scaling-raise on what torch-mlir makes of layers whose factors come out, and
of those that keep the best of several pairs: PyTorch's results."""

import functools
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from findtool import need_module

for module in ("torch", "torch_mlir"):
    need_module(module)

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import plain_layers as layers
from raising import check, export, logits, raise_text, run


def check_best(folder, layer, x, remark, ops, left):
    """The balanced matrix and what its columns and rows were divided by."""
    text, remarks = raise_text(export(layer, [x]))
    assert remarks == [f"raised to 'scaling.balance': the best of {remark}"]
    assert re.findall(r" = scaling\.(\w+)", text) == ops
    assert text.count(" = linalg.generic") == left
    expected = layer(x)
    if not isinstance(expected, tuple):
        expected = (expected,)
    results = run(folder, text, [x], len(expected))
    for got, want in zip(results, expected, strict=True):
        np.testing.assert_allclose(got, want.numpy(), rtol=2e-6, atol=2e-6)
    return text


def test_sinq(tmp_path):
    x = logits(12, 9) * logits(12, 1).exp()
    text = check_best(
        tmp_path,
        layers.sinq,
        x,
        "32 half-steps, preset sinq",
        ["balance", "plan"],
        left=3,
    )
    assert "preset(sinq)" in text


def test_sinq_tiles(tmp_path):
    # Every tile has a best of its own.
    x = logits(3, 12, 9) * logits(3, 12, 1).exp()
    layer = torch.vmap(functools.partial(layers.sinq, rounds=6))
    check_best(tmp_path, layer, x, "12 half-steps", ["balance", "plan"], left=3)


def test_sinq_one_factor(tmp_path):
    layer = functools.partial(layers.sinq_rows, rounds=4)
    check_best(tmp_path, layer, logits(9, 9), "8 half-steps", ["balance"], left=1)


def test_sinq_ungated(tmp_path):
    text = check_best(
        tmp_path,
        layers.sinq_ungated,
        logits(12, 9),
        "12 half-steps",
        ["balance", "plan"],
        left=0,
    )
    assert "stop(#scaling.stop<best 12, what = imbalance, last = false>)" in text


def test_kvarn(tmp_path):
    x = logits(12, 9) * logits(12, 1).exp()
    text = check_best(
        tmp_path,
        layers.kvarn,
        x,
        "32 half-steps, preset kvarn",
        ["balance", "plan"],
        left=4,
    )
    assert "preset(kvarn)" in text


@pytest.mark.parametrize(
    "change, raised",
    [
        ({}, True),
        ({"floor": 1e-8}, False),
        ({"plus": 1e-5}, False),
        ({"correction": 0}, False),
        ({"first": True}, False),
        ({"last": True}, False),
        ({"sequential": True}, False),
        ({"one_limit": False}, False),
    ],
    ids=str,
)
def test_almost_sinq(change, raised):
    layer = functools.partial(layers.almost_sinq, **change)
    text, remarks = raise_text(export(layer, [logits(5, 7)]))
    assert (" = scaling." in text) == raised
    assert any(remark.startswith("raised") for remark in remarks) == raised
    assert len(remarks) > 0


def transport():
    return [
        logits(6, 9).abs(),
        torch.softmax(logits(6), 0),
        torch.softmax(logits(9), 0),
    ]


def test_factors(tmp_path):
    # The kernel, and what makes up for starts of 1/n and 1/m.
    text = check(
        tmp_path,
        layers.factors,
        transport(),
        "raised to 'scaling.balance': 20 half-steps",
        left=5,
    )
    assert "row_target(%arg1 : tensor<6xf32>) col_target(%arg2" in text
    assert "order(cols_first)" in text


def test_factors_uniform(tmp_path):
    text = check(
        tmp_path,
        layers.factors_uniform,
        [logits(3, 6, 9).exp()],
        "raised to 'scaling.balance': 10 half-steps",
    )
    assert text.count("target = uniform") == 2


def test_factors_guarded(tmp_path):
    text = check(
        tmp_path,
        layers.factors_guarded,
        [logits(3, 6, 9).exp()],
        "raised to 'scaling.balance': 8 half-steps",
        left=2,
    )
    assert "guard = add_kernel(1.0e-06)" in text


def test_factors_and_plan(tmp_path):
    # The plan alone would need the factors a second time.
    inputs = transport()
    text, remarks = raise_text(export(layers.factors_and_plan, inputs))
    assert remarks[-1] == "raised to 'scaling.balance': 20 half-steps"
    assert re.findall(r" = scaling\.(\w+)", text) == ["balance"]
    want = layers.factors_and_plan(*inputs)
    for got, expected in zip(run(tmp_path, text, inputs, 3), want, strict=True):
        np.testing.assert_allclose(got, expected.numpy(), rtol=2e-6, atol=2e-6)


def test_factors_of_one(tmp_path):
    # Two iterations, each of which uses every other factor.
    x = logits(3, 4, 6).exp()
    text, remarks = raise_text(export(layers.factors_of_one, [x]))
    assert remarks == ["raised to 'scaling.balance': 3 half-steps"] * 2
    want = layers.factors_of_one(x)
    for got, expected in zip(run(tmp_path, text, [x], 2), want, strict=True):
        np.testing.assert_allclose(got, expected.numpy(), rtol=2e-6, atol=2e-6)


def shared_kernel(kernel, a):
    """One kernel for a batch of targets."""
    v = torch.ones(a.shape[0], kernel.shape[1])
    for _ in range(3):
        u = a / (v @ kernel.T)
        v = 1 / (u @ kernel)
    return u, v


@pytest.mark.parametrize(
    "layer, shapes",
    [
        (layers.older_factor, [(3, 4, 6)]),
        (layers.averaged_factors, [(3, 4, 6)]),
        (layers.factors_other_guard, [(3, 4, 6)]),
        (shared_kernel, [(4, 6), (3, 4)]),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_near_misses(layer, shapes):
    text, remarks = raise_text(
        export(layer, [logits(*shape).exp() for shape in shapes])
    )
    assert " = scaling." not in text
    assert not [remark for remark in remarks if remark.startswith("raised")]


class Never:
    """A tolerance that nothing is below: the loops of a library that is not
    changed have a fixed length then."""

    def __gt__(self, other):
        return False


def pot_plan(kernel, a, b):
    batch = pytest.importorskip("ot.batch")
    result = batch.bregman_projection_batch(kernel, a, b, max_iter=10, tol=Never())
    return result["T"]


def pot_factors(kernel):
    batch = pytest.importorskip("ot.batch")
    result = batch.bregman_projection_batch(kernel, max_iter=10, tol=Never())
    return result["potentials"]


def pot_all(kernel, a, b):
    batch = pytest.importorskip("ot.batch")
    result = batch.bregman_projection_batch(kernel, a, b, max_iter=10, tol=Never())
    return result["T"], *result["potentials"]


def pot_log_plan(logits, a, b):
    batch = pytest.importorskip("ot.batch")
    result = batch.bregman_log_projection_batch(logits, a, b, max_iter=10, tol=Never())
    return result["T"]


def pot_sinkhorn_log(cost, a, b):
    bregman = pytest.importorskip("ot.bregman")
    return bregman.sinkhorn_log(
        a, b, cost, 0.1, numItermax=10, stopThr=Never(), warn=False
    )


@pytest.mark.parametrize(
    "layer, batch, op, left",
    [
        (pot_plan, (3,), "project", 0),
        (pot_factors, (3,), "balance", 0),
        # What the plan shares with the last half-step stays.
        (pot_all, (3,), "balance", 2),
        (pot_log_plan, (3,), "project", 0),
        (pot_sinkhorn_log, (), "project", 0),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_pot(tmp_path, layer, batch, op, left):
    """POT's own functions."""
    a, b = torch.softmax(logits(*batch, 6), -1), torch.softmax(logits(*batch, 9), -1)
    inputs = [logits(*batch, 6, 9).abs(), a, b]
    inputs = inputs[:1] if layer is pot_factors else inputs
    text, remarks = raise_text(export(layer, inputs))
    assert remarks[-1] == f"raised to 'scaling.{op}': 20 half-steps"
    assert re.findall(r" = scaling\.(\w+)", text) == [op]
    assert text.count(" = linalg.generic") == left
    expected = layer(*inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    results = run(tmp_path, text, inputs, len(expected))
    for got, want in zip(results, expected, strict=True):
        np.testing.assert_allclose(got, want.numpy(), rtol=5e-6, atol=2e-6)
