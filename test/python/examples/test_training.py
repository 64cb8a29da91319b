"""The training example: both ways learn the same."""

import json
import os
import subprocess
import sys

import pytest
from findtool import PACKAGE_PATH, ROOT, need_module

SCRIPT = ROOT / "examples" / "training" / "digits.py"
FULL = os.environ.get("SCALING_TEST_FULL", "0") == "1"


def run(*arguments, cache):
    for package in ("torch", "sklearn", "matplotlib"):
        need_module(package)
    paths = [str(PACKAGE_PATH), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "SCALING_CACHE_DIR": str(cache),
    }
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=900,
    )


def test_a_few_steps(tmp_path):
    options = ["--epochs", 2, "--images", 100, "--batch", 40, "--out", tmp_path]
    done = run(*options, cache=tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "training.json").read_text())
    assert summary["digits"] == [80, 20] and summary["steps"] == 4
    assert summary["losses"] == pytest.approx(summary["losses_plain"], rel=1e-3)
    assert "speed-up" in done.stdout
    assert (tmp_path / "training.png").stat().st_size > 10000


def test_bad_input(tmp_path):
    done = run("--images", 3, cache=tmp_path)
    assert done.returncode == 2 and "--images: 3 is too few" in done.stderr


@pytest.mark.skipif(not FULL, reason="minutes: with --full")
def test_the_accuracy_is_that_of_plain_pytorch(tmp_path):
    done = run("--out", tmp_path, cache=tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "training.json").read_text())
    assert min(summary["accuracy"], summary["accuracy_plain"]) > 0.92
    assert abs(summary["accuracy"] - summary["accuracy_plain"]) < 0.03
