"""The counts of the GPU kernels: the targets that hold, and the formulas."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from findtool import find_tool

BENCHMARK = Path(__file__).resolve().parents[3] / "benchmark"
sys.path.insert(0, str(BENCHMARK))

import gpu  # noqa: E402


def test_occupancy():
    assert gpu.occupancy(32, 256, 0) == 1.0
    assert gpu.occupancy(255, 256, 0) == 0.125
    assert gpu.occupancy(32, 256, 100 << 10) == 0.25


def test_estimate_is_the_largest_bound():
    unit = gpu.GPU(bandwidth=1.0, flops=2.0, exponentials=4.0)
    assert gpu.estimate(unit, 1, 1, 1) == 1e3
    assert gpu.estimate(unit, 1, 4, 1) == 2e3
    assert gpu.estimate(unit, 1, 1, 12) == 3e3


def test_targets_of_small_matrices(tmp_path):
    tools = Path(find_tool("scaling-compile")).parent
    subprocess.run(
        [sys.executable, BENCHMARK / "gpu.py", "mhc", "--bin", tools, "--out", tmp_path],
        check=True, capture_output=True,
    )  # fmt: skip
    ours, by_hand = json.loads((tmp_path / "bench-gpu.json").read_text())
    assert by_hand["workload"] == "mhc by hand"
    assert ours["launches"] == 1
    assert ours["bytes_over_minimum"] <= 1.02
    assert ours["sectors_over_ideal"] == 1
    assert ours["exponentials_over_minimum"] == 1
    assert ours["spills"] in (0, None)
    assert set(ours["estimate_ms"]) == {"A100", "H100", "B200"}


def test_unknown_workload(tmp_path):
    done = subprocess.run(
        [sys.executable, BENCHMARK / "gpu.py", "all", "--bin", tmp_path,
         "--out", tmp_path],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no workload 'all': there are mhc" in done.stderr
