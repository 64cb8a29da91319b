"""Every program of the benchmark, at small sizes, against the reference."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from findtool import find_tool

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "benchmark"))
sys.path.insert(0, str(ROOT / "test" / "reference"))

import reads
import scaling_reference as sr
import workloads
from peers import ours
from scaling_reference import presets

EPSILONS = workloads.geomloss_epsilons()


def projection(inputs, sizes):
    return [presets.mhc_log(inputs["S"], workloads.ITERATIONS)]


def hyper_connections(inputs, sizes):
    return [presets.mhc(inputs["S"], workloads.ITERATIONS)]


def cloud(inputs, sizes):
    """Our potentials are for the cost without the half: twice GeomLoss's, and
    the marginals are inside."""
    cost = sr.pairwise(inputs["x"], inputs["y"], "sqeuclidean") / 2
    n, m = cost.shape
    result = presets.geomloss(np.full(n, 1 / n), np.full(m, 1 / m), cost, EPSILONS)
    epsilon = EPSILONS[-1]
    return [
        2 * (result.row - epsilon * np.log(n)),
        2 * (result.col - epsilon * np.log(m)),
    ]


def attention(inputs, sizes):
    output = []
    for q, k, v in zip(inputs["q"], inputs["k"], inputs["v"]):
        scores = q.astype(np.float64) @ k.T / np.sqrt(sizes["d"])
        output.append(presets.sinkformer(scores, 2 * sizes["iterations"]) @ v)
    return [np.stack(output)]


def gebal(inputs, sizes):
    return list(presets.gebal(inputs["A"]))


def ruiz(inputs, sizes):
    return list(presets.ruiz(inputs["A"]))


def sinq(inputs, sizes):
    best = presets.sinq(inputs["W"])
    row, col = 1 / best.mu2, 1 / best.mu1
    return [row[:, None] * inputs["W"] * col, row, col]


def superglue(inputs, sizes):
    return [presets.superglue(inputs["S"], float(inputs["alpha"]))]


def swav(inputs, sizes):
    return [presets.swav(inputs["S"])]


def sinkgd(inputs, sizes):
    return [presets.sinkgd(inputs["G"])]


REFERENCES = {
    function.__name__: function
    for function in (
        projection, hyper_connections, cloud, attention, gebal, ruiz, sinq,
        superglue, swav, sinkgd,
    )
}  # fmt: skip


@pytest.fixture(autouse=True)
def tools(monkeypatch):
    """Where the compiler is."""
    folder = Path(find_tool("scaling-compile")).parent
    monkeypatch.setenv("SCALING_BIN", str(folder))


def smallest():
    """One workload per program and element type."""
    found = {}
    for workload in workloads.all_workloads():
        found.setdefault((workload.program, workload.element), workload)
    return list(found.values())


@pytest.mark.parametrize("workload", smallest(), ids=lambda workload: workload.id)
def test_program(workload):
    workload = workload.at(workload.small)
    inputs = workload.inputs()
    prepared = ours.prepare(workload, inputs, "--no-threads")
    results = prepared.read(prepared.call())
    if workload.marginal_error is not None:
        errors = workloads.marginal_errors(results[0])
        # A residual is known to a rounding of the sums.
        assert max(errors) <= workload.marginal_error + 1e-6
        return
    expected = REFERENCES[workload.recurrence](inputs, workload.sizes)
    distance = workloads.difference(results[: len(expected)], expected)
    assert distance <= workload.tolerance


@pytest.mark.parametrize(
    "workload", workloads.all_workloads(), ids=lambda workload: workload.id
)
def test_full_size(workload, tmp_path):
    """The program is valid at its own size; the compiler's time is not spent."""
    source = tmp_path / "program.mlir"
    source.write_text(workload.text())
    tool = Path(os.environ["SCALING_BIN"]) / "scaling-opt"
    done = subprocess.run(
        [tool, source, "--scaling-generalize"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    counts = workload.counts(workload.sizes, [np.int32(20)] * 3)
    assert counts and all(count.fmas > 0 for count in counts)


def test_reads(tmp_path):
    """The programs that count reads, on all problems at once."""
    n = 9
    instances = reads.problems(np.random.default_rng(0), n)
    texts = [
        reads.program(f"f{i}_{j}", n, way, epsilon * cost.mean(), cost.max())
        for i, (_, cost, _, epsilon) in enumerate(instances)
        for j, way in enumerate(reads.WAYS)
    ]
    source = tmp_path / "reads.mlir"
    source.write_text("".join(texts))
    subprocess.run([find_tool("scaling-opt"), source, "-o", os.devnull], check=True)
    name, cost, (a, b), epsilon = instances[0]
    text = reads.program("f", n, "ω", epsilon * cost.mean(), cost.max())
    library = reads.compile_shared(
        Path(find_tool("scaling-compile")).parent, text, tmp_path
    )
    function = library._mlir_ciface_f
    assert reads.measure(function, cost, a, b, epsilon * cost.mean(), "ω")
