"""The dual value of given factors, and sums of a plan beside it, against the
reference."""

import itertools
import subprocess

import numpy as np
import pytest
import scaling_reference as sr

from findtool import find_tool

PROGRAM = """
func.func @dual(%K: tensor<?x?xf64>, %u: tensor<?x?xf64>, %v: tensor<?x?xf64>,
                %a: tensor<?x?xf64>, %b: tensor<?xf64>, %start: tensor<?xf64>) -> tensor<?xf64> {{
  %d = scaling.apply dual domain({domain}) matrix(%K : tensor<?x?xf64>)
      row(%u : tensor<?x?xf64>) col(%v : tensor<?x?xf64>)
      row_weight(%a : tensor<?x?xf64>) col_weight(%b : tensor<?xf64>)
      outs(%start : tensor<?xf64>) -> tensor<?xf64>
  return %d : tensor<?xf64>
}}
"""


@pytest.mark.parametrize("domain", ["kernel", "log"])
def test_dual_value(route, domain, tmp_path):
    random = np.random.default_rng(11)
    batch, n, m = 3, 7, 5
    cost = random.random((n, m))
    f, g = random.normal(size=(batch, n)), random.normal(size=(batch, m))
    a, b = random.random((batch, n)), random.random(m)
    # A zero marginal: its potential is −∞ and counts for nothing.
    a[1, 2], f[1, 2] = 0.0, -np.inf
    start = random.normal(size=batch)
    if domain == "kernel":
        inputs = [np.exp(-cost), np.exp(f), np.exp(g), a, b, start]
    else:
        inputs = [-cost, f, g, a, b, start]

    program = tmp_path / "dual.mlir"
    program.write_text(PROGRAM.format(domain=domain))
    command = [find_tool("scaling-run"), program, f"--pipeline={route}"]
    for i, value in enumerate(inputs):
        np.save(tmp_path / f"{i}.npy", value)
        command += ["--input", tmp_path / f"{i}.npy"]
    output = tmp_path / "dual.npy"
    subprocess.run(command + ["--output", output], check=True, capture_output=True)

    expected = []
    for i in range(batch):
        plan = np.exp(f[i][:, None] + g[i][None, :] - cost)
        expected.append(start[i] + sr.dual_value(f[i], g[i], a[i], b, plan, 1.0))
    np.testing.assert_allclose(np.load(output), expected, rtol=1e-12)


SHARED = """
func.func @sums(%X: tensor<5x7xf64>, %f: tensor<5xf64>, %g: tensor<7xf64>,
                %a: tensor<5xf64>, %b: tensor<7xf64>)
    -> (tensor<f64>, tensor<f64>, tensor<f64>) {{
  %zero = arith.constant 0.0 : f64
  %e = tensor.empty() : tensor<f64>
  %s = linalg.fill ins(%zero : f64) outs(%e : tensor<f64>) -> tensor<f64>
  %value = scaling.apply value {plan} operand(%X : tensor<5x7xf64>)
      outs(%s : tensor<f64>) -> tensor<f64>
  %mass = scaling.apply mass {plan} outs(%s : tensor<f64>) -> tensor<f64>
  %dual = scaling.apply dual {plan} row_weight(%a : tensor<5xf64>)
      col_weight(%b : tensor<7xf64>) outs(%s : tensor<f64>) -> tensor<f64>
  return {order} : tensor<f64>, tensor<f64>, tensor<f64>
}}
"""
PLAN = (
    "domain(log) matrix(%X : tensor<5x7xf64>)"
    " row(%f : tensor<5xf64>) col(%g : tensor<7xf64>)"
)


@pytest.mark.parametrize(
    "order", list(itertools.permutations(["value", "mass", "dual"]))
)
def test_sums_from_one_start(route, order, tmp_path):
    """None is written over another, whichever way they are returned."""
    random = np.random.default_rng(3)
    x, f, g = (random.normal(size=size) for size in ((5, 7), 5, 7))
    a, b = np.full(5, 1 / 5), np.full(7, 1 / 7)
    program = tmp_path / "sums.mlir"
    names = ", ".join(f"%{name}" for name in order)
    program.write_text(SHARED.format(plan=PLAN, order=names))
    command = [find_tool("scaling-run"), program, f"--pipeline={route}"]
    for i, value in enumerate([x, f, g, a, b]):
        np.save(tmp_path / f"{i}.npy", value)
        command += ["--input", tmp_path / f"{i}.npy"]
    for name in order:
        command += ["--output", tmp_path / f"{name}.npy"]
    subprocess.run(command, check=True, capture_output=True)

    plan = np.exp(f[:, None] + g + x)
    expected = {
        "value": sr.transport_cost(plan, x),
        "mass": sr.mass(plan),
        "dual": sr.dual_value(f, g, a, b, plan, 1.0),
    }
    for name, wanted in expected.items():
        found = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
