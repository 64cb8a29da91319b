"""The dual value of given factors, against the formula of the reference."""

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
