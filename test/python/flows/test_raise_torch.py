"""--scaling-raise on what torch-mlir makes of layers in plain PyTorch, and of two
of the transformers package as they are: one op each, with PyTorch's results."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from findtool import ROOT, find_tool, need_module

for module in ("torch", "torch_mlir", "transformers"):
    need_module(module)

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import plain_layers as layers
from raising import check, export, logits, raise_text, run

LAYERS = {
    "mhc": (layers.mhc, (7, 4, 4), "39 half-steps, preset mhc"),
    "mhc_sigmoid": (layers.mhc_sigmoid, (7, 4, 4), "40 half-steps, preset mhc_sigmoid"),
    "mhc_clamp": (layers.mhc_clamp, (7, 4, 4), "40 half-steps, preset mhc_clamp"),
    "mhc_log": (layers.mhc_log, (7, 4, 4), "40 half-steps, preset mhc_log"),
    "mhc_columns": (layers.mhc_columns, (7, 4, 4), "40 half-steps, preset mhc_columns"),
    "mhc_recip": (layers.mhc_recip, (7, 4, 5), "40 half-steps, preset mhc_recip"),
    # The attributes of mhc_log and gumbel are the same.
    "gumbel": (layers.gumbel_sinkhorn, (3, 8, 8), "40 half-steps, preset mhc_log"),
    "log_softmax": (layers.log_softmaxes, (3, 8, 8), "40 half-steps, preset mhc_log"),
    "swav": (layers.swav, (32, 20), "6 half-steps, preset swav"),
    "optvq": (layers.optvq, (20, 12), "10 half-steps"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(tmp_path, name):
    layer, shape, found = LAYERS[name]
    x = logits(*shape, scale=0.1 if name == "swav" else 1.0)
    check(tmp_path, layer, [x], f"raised to 'scaling.project': {found}")


def test_dynamic_batch(tmp_path):
    batch = torch.export.Dim("batch", min=2, max=65536)
    text = check(
        tmp_path,
        layers.mhc,
        [logits(9, 4, 4)],
        "raised to 'scaling.project': 39 half-steps, preset mhc",
        dynamic=({0: batch},),
    )
    assert "logits(%arg0 : tensor<?x4x4xf32>) preset(mhc)" in text


def test_f64(tmp_path):
    check(
        tmp_path,
        layers.mhc_log,
        [logits(3, 4, 6, dtype=torch.float64)],
        "raised to 'scaling.project': 40 half-steps, preset mhc_log",
        tolerance=1e-14,
    )


def test_marginals(tmp_path):
    a, b = torch.softmax(logits(6), 0), torch.softmax(logits(9), 0)
    text = check(
        tmp_path,
        layers.transport,
        [logits(6, 9).abs(), a, b],
        "raised to 'scaling.project': 20 half-steps",
    )
    assert "row_marginal(%arg1 : tensor<6xf32>)" in text
    assert "col_marginal(%arg2 : tensor<9xf32>)" in text


def test_attention(tmp_path):
    text = check(
        tmp_path,
        layers.sinkformer,
        [logits(2, 16, 8), logits(2, 16, 8), logits(2, 16, 4)],
        "raised to 'scaling.attention': 3 half-steps, preset sinkformer",
    )
    assert "linalg." not in text


def test_balance(tmp_path):
    # 2-norms of a matrix of any sign: the factors, and what they make of it.
    layer, x = layers.sinkgd, logits(12, 9)
    text, remarks = raise_text(export(layer, [x]))
    assert remarks == ["raised to 'scaling.balance': 10 half-steps, preset sinkgd"]
    assert re.findall(r"scaling\.(\w+) ", text) == ["balance", "plan"]
    assert "linalg." not in text
    (result,) = run(tmp_path, text, [x], 1)
    np.testing.assert_allclose(result, layer(x).numpy(), rtol=2e-6, atol=2e-6)


TRANSPORT = "raised to 'scaling.sinkhorn': 20 half-steps"


def test_potentials(tmp_path):
    a, b = torch.softmax(logits(6), 0), torch.softmax(logits(9), 0)
    inputs = [logits(6, 9).abs(), a, b]
    text = check(tmp_path, layers.potentials, inputs, TRANSPORT)
    assert "scaling.sinkhorn cost(%arg0 : tensor<6x9xf32>)" in text
    assert "row_marginal(%arg1" in text and "col_marginal(%arg2" in text
    assert "form(#scaling.form<cost, epsilon = 1.0e-01>)" in text
    # What is made of them stays as it is.
    check(tmp_path, layers.dual_value, inputs, TRANSPORT, left=5)
    # The plan alone would need the potentials a second time.
    text, remarks = raise_text(export(layers.potentials_and_plan, inputs))
    assert remarks[-1] == TRANSPORT
    assert re.findall(r"scaling\.(\w+) ", text) == ["sinkhorn"]
    want = layers.potentials_and_plan(*inputs)
    for got, expected in zip(run(tmp_path, text, inputs, 3), want):
        np.testing.assert_allclose(got, expected.numpy(), rtol=2e-6, atol=2e-6)


def test_last_potential(tmp_path):
    text = check(tmp_path, layers.last_potential, [logits(2, 6, 9)], TRANSPORT)
    assert text.count("target = uniform") == 2 and "order(cols_first)" in text


@pytest.mark.parametrize(
    "name, rule",
    [
        ("deviations", "limit = [1.0e-03, 1.0e+03]"),
        ("deviations_guarded", "guard = add_plan(1.0e-06)"),
        ("deviations_log", "limit = [1.0e-03, 1.0e+03]"),
        (
            "deviations_bounded",
            "limit = [1.0e-03, 1.0e+03], "
            "clamp = [4.539992976248485e-05, 1.3498588075760032e+00]",
        ),
    ],
)
def test_deviations(tmp_path, name, rule):
    layer, x = getattr(layers, name), logits(12, 9) * logits(12, 1).exp()
    text, remarks = raise_text(export(layer, [x]))
    steps = 10 if name == "deviations" else 8
    assert remarks == [f"raised to 'scaling.balance': {steps} half-steps"]
    assert text.count(f"#scaling.rule<std, {rule}>") == 2
    assert "linalg." not in text
    (result,) = run(tmp_path, text, [x], 1)
    np.testing.assert_allclose(result, layer(x).numpy(), rtol=2e-6, atol=2e-6)


def test_matrix_in_the_middle(tmp_path):
    # A copy of the logits with the matrix behind; the result is transposed back.
    check(
        tmp_path,
        layers.middle,
        [logits(2, 5, 6, 3)],
        "raised to 'scaling.project': 6 half-steps",
        left=1,
    )


@pytest.mark.parametrize(
    "name",
    [
        "other_guard",
        "guarded_twice",
        "squares",
        "residual_inside",
        "all_of_them",
        "dual_softmax",
        "three_axes",
        "deviations_biased",
        "deviations_of_absolutes",
        "deviations_other_bounds",
        "older_potential",
        "averaged_potentials",
    ],
)
def test_near_misses(name):
    plain = export(getattr(layers, name), [logits(3, 4, 4).abs()])
    text, remarks = raise_text(plain)
    assert " = scaling." not in text
    assert not [remark for remark in remarks if remark.startswith("raised")]
    # What is dead in torch-mlir's output is gone, nothing else.
    again, _ = raise_text(text)
    assert again == text


class Matching(torch.nn.Module):
    """SuperGlue's matching layer, as transformers has it."""

    def __init__(self, steps):
        super().__init__()
        self.alpha = torch.nn.Parameter(torch.tensor(0.7))
        self.steps = steps

    def forward(self, scores):
        from transformers.models.superglue.modeling_superglue import (
            log_optimal_transport,
        )

        return log_optimal_transport(scores, self.alpha, self.steps)


def test_superglue(tmp_path):
    text = check(
        tmp_path,
        Matching(100),
        [logits(1, 24, 31)],
        "raised to 'scaling.project': 200 half-steps, preset superglue",
        tolerance=1e-5,
    )
    assert "linalg." not in text


def test_the_page(tmp_path):
    """Its commands, with fewer iterations of a smaller matrix."""
    page = (ROOT / "docs" / "raise.md").read_text()
    commands = re.search(r"```sh\n(.*?)```", page, re.DOTALL)[1]
    (shown,) = re.findall(r"```mlir\n(%plan.*?)```", page, re.DOTALL)
    for large, small in (("256, 256", "16, 16"), (", 100)", ", 4)")):
        assert large in commands
        commands = commands.replace(large, small)
    folders = [os.path.dirname(find_tool("scaling-opt"))]
    folders += [os.path.dirname(sys.executable), os.environ["PATH"]]
    done = subprocess.run(
        ["bash", "-ec", commands],
        cwd=tmp_path,
        env={**os.environ, "PATH": os.pathsep.join(folders)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # Of fewer half-steps it is not the preset.
    shown = shown.strip().removesuffix("preset(superglue)")
    assert shown.replace("256x256", "16x16") in done.stdout
    assert "raised to 'scaling.project': 8 half-steps" in done.stderr
    assert "linalg.generic" not in done.stdout


def test_superglue_absorb(tmp_path):
    model, scores = Matching(10), logits(1, 24, 31)
    text, remarks = raise_text(export(model, [scores]), "explain=true")
    assert remarks == ["raised to 'scaling.project': 20 half-steps"]
    assert "numerics(#scaling.numerics<absorb>)" in text
    with torch.no_grad():
        expected = model(scores).numpy()
    (result,) = run(tmp_path, text, [scores], 1)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name, prefix", [("deepseek_v4", "DeepseekV4"), ("glm5_next", "Glm5NextText")]
)
def test_hyper_connection(tmp_path, name, prefix):
    """Of DeepSeek-V4 and of GLM-5-Next."""
    models = importlib.import_module(f"transformers.models.{name}")
    config = getattr(models, f"{prefix}Config")(hidden_size=64)
    torch.manual_seed(0)
    modeling = importlib.import_module(f"{models.__name__}.modeling_{name}")
    module = getattr(modeling, f"{prefix}HyperConnection")(config).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    text = check(
        tmp_path,
        module,
        [logits(1, 8, config.hc_mult, 64)],
        "raised to 'scaling.project': 39 half-steps, preset mhc",
        left=18,
        tolerance=2e-5,
    )
    assert "tensor<1x8x4x4xf32>) preset(mhc)" in text
