"""The examples on small input, against NumPy computed here once more."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from findtool import need_module

ROOT = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(os.environ.get("SCALING_BIN", ROOT / "build" / "bin"))
COLOUR_TRANSFER = ROOT / "examples" / "colour_transfer" / "colour_transfer.py"
ATTENTION = ROOT / "examples" / "attention" / "attention.py"


@pytest.fixture(autouse=True)
def packages():
    for package in ("PIL", "sklearn", "matplotlib"):
        need_module(package)


def run(script, *arguments, ok=True):
    done = subprocess.run(
        [sys.executable, script, "--bin", BIN, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    if ok:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 1, (done.returncode, done.stderr)
        assert done.stderr.count("error:") == 1, done.stderr
        assert "Traceback" not in done.stderr
    return done


def load(script):
    spec = importlib.util.spec_from_file_location(script.stem, script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def colour_transfer():
    return load(COLOUR_TRANSFER)


@pytest.fixture
def pictures(tmp_path):
    """Two small pictures of different sizes: a bluish and a reddish gradient."""
    from PIL import Image

    rng = np.random.default_rng(1)
    paths = []
    for name, (height, width), tint in [
        ("source", (13, 21), (0.3, 0.6, 1.0)),
        ("target", (16, 12), (1.0, 0.5, 0.2)),
    ]:
        ramp = np.linspace(0.2, 1, height)[:, None, None] * np.asarray(tint)
        pixels = ramp * rng.uniform(0.7, 1, (height, width, 3)) * 255
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{name}.png")
        paths.append(tmp_path / f"{name}.png")
    return paths


def log_sum_exp(x, axis):
    top = x.max(axis, keepdims=True)
    return np.squeeze(top, axis) + np.log(np.exp(x - top).sum(axis))


def solve(x, y, epsilon, half_steps):
    """Potentials after a number of half-steps, rows first."""
    logits = -((x[:, None] - y[None]) ** 2).sum(-1) / epsilon
    f, g = np.zeros(len(x)), np.zeros(len(y))
    for step in range(half_steps):
        if step % 2 == 0:
            f = -np.log(len(x)) - log_sum_exp(logits + g[None, :], 1)
        else:
            g = -np.log(len(y)) - log_sum_exp(logits + f[:, None], 0)
    return epsilon * f, epsilon * g, np.exp(f[:, None] + logits + g[None, :])


def test_lab(colour_transfer):
    corners = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)
    lab = colour_transfer.lab_of_srgb(corners)
    # CIE L*a*b* (D65) of white, black, red and blue.
    expected = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86]]
    np.testing.assert_allclose(lab * 100, expected, atol=0.02)
    every = np.random.default_rng(0).integers(0, 256, (4096, 3)).astype(np.uint8)
    there_and_back = colour_transfer.srgb_of_lab(colour_transfer.lab_of_srgb(every))
    np.testing.assert_array_equal(there_and_back, every)


# With 273 and 192 pixels, 200 colours are more than the target has.
@pytest.mark.parametrize("colours, epsilon", [(40, 0.05), (200, 0.1)])
def test_colour_transfer(tmp_path, pictures, colour_transfer, colours, epsilon):
    from PIL import Image

    out = tmp_path / "out"
    options = ["--colours", colours, "--epsilon", epsilon, "--tile", 100, "--out", out]
    run(COLOUR_TRANSFER, "--source", pictures[0], "--target", pictures[1], *options)
    summary = json.loads((out / "summary.json").read_text())

    rng = np.random.default_rng(0)
    source, target = (np.asarray(Image.open(path)) for path in pictures)
    lab = colour_transfer.lab_of_srgb(source)
    x = colour_transfer.sample_colours(lab, colours, rng).astype(np.float64)
    y = colour_transfer.sample_colours(
        colour_transfer.lab_of_srgb(target), colours, rng
    ).astype(np.float64)
    assert summary["source_pixels"] == 273
    assert summary["colours"] == [len(x), len(y)] == [colours, min(colours, 192)]

    # Where it stopped: the first multiple of ten whose residual is small enough.
    def residual(half_steps):
        plan = solve(x, y, epsilon, half_steps)[2]
        return np.abs(plan.sum(1) - 1 / len(x)).sum()

    expected = next(k for k in range(10, 4000, 10) if residual(k) <= 1e-5)
    assert summary["status"] == "converged"
    assert abs(summary["half_steps"] - expected) <= 10
    assert summary["residual"] <= 1e-5
    assert summary["residual"] == pytest.approx(
        residual(summary["half_steps"]), rel=0.05, abs=2e-7
    )
    assert summary["marginal_error_rows"] == pytest.approx(
        summary["residual"], rel=0.05, abs=2e-7
    )
    assert summary["marginal_error_columns"] <= 1e-6
    assert summary["largest_difference_potentials"] <= 1e-6
    assert summary["largest_difference_colours"] <= 2e-5
    trace = summary["convergence"]
    assert trace["half_steps"] == list(range(10, summary["half_steps"] + 1, 10))
    np.testing.assert_allclose(
        trace["residual"],
        [residual(k) for k in trace["half_steps"]],
        rtol=0.05,
        atol=2e-7,
    )

    # The picture, pixel by pixel.
    g = solve(x, y, epsilon, summary["half_steps"])[1]
    logits = (g - ((lab.reshape(-1, 1, 3) - y[None]) ** 2).sum(-1)) / epsilon
    plan = np.exp(logits - log_sum_exp(logits, 1)[:, None])
    picture = colour_transfer.srgb_of_lab(plan @ y).reshape(source.shape)
    written = np.asarray(Image.open(out / "recoloured.png"))
    assert np.abs(written.astype(int) - picture.astype(int)).max() <= 1
    # All of the source's colours went near the target's mean.
    assert np.abs((plan @ y).mean(0) - y.mean(0)).max() < 0.05
    for name in ("side-by-side.png", "convergence.png"):
        Image.open(out / name).verify()


def test_bad_input(tmp_path, pictures):
    text = tmp_path / "text.png"
    text.write_text("no image")
    options = ["--out", tmp_path / "out", "--colours", 10]
    for source in (text, tmp_path / "missing.png"):
        run(COLOUR_TRANSFER, "--source", source, *options, ok=False)
    run(COLOUR_TRANSFER, "--source", pictures[0], "--out", text, ok=False)
    assert not (tmp_path / "out").exists()
    done = subprocess.run(
        [sys.executable, COLOUR_TRANSFER, "--epsilon", "-1"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "invalid positive float value" in done.stderr


def test_attention(tmp_path):
    done = run(ATTENTION, "--out", tmp_path)
    summary = json.loads((tmp_path / "attention.json").read_text())
    assert summary["digits"] == 1797
    assert summary["largest_difference"] < 1e-5
    assert summary["largest_difference_residual"] < 1e-5
    assert "largest difference" in done.stdout

    # The residual and the range of column sums once more, without the reference.
    attention = load(ATTENTION)
    wq, wk = (w.astype(np.float64) for w in attention.weights(0)[:2])
    x = attention.digit_tokens().astype(np.float64)
    scores = np.einsum("btc,hcd,hed,bse->bhts", x, wq, wk, x, optimize=True) / np.sqrt(
        8
    )
    plan = scores - log_sum_exp(scores, -1)[..., None]
    plan -= log_sum_exp(plan, -2)[..., None, :]
    plan = np.exp(plan - log_sum_exp(plan, -1)[..., None])
    sums = plan.sum(-2)
    assert summary["column_sums"] == pytest.approx([sums.min(), sums.max()], rel=1e-9)
    error = np.abs(sums / 16 - 1 / 16).sum(-1)
    assert summary["residual_mean"] == pytest.approx(error.mean(), rel=1e-4)
