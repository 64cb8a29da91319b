"""What --scaling-raise finds is one dispatch in IREE. Dispatches are counted by
IREE's own statistics."""

import json
import os
import re
import subprocess
import time

import numpy as np
import pytest
from findtool import find_tool, need_module

for module in ("torch", "torch_mlir", "transformers", "iree.compiler", "iree.runtime"):
    need_module(module)

import iree.compiler
import iree.runtime
import scaling.iree
import torch
from torch_mlir import fx

FULL = os.environ.get("SCALING_TEST_FULL", "0") == "1"


class Matching(torch.nn.Module):
    """SuperGlue's matching layer, as transformers has it."""

    def __init__(self, steps):
        super().__init__()
        self.alpha = torch.nn.Parameter(torch.tensor(0.7))
        self.steps = steps

    def forward(self, scores):
        from transformers.models.superglue import modeling_superglue

        return modeling_superglue.log_optimal_transport(scores, self.alpha, self.steps)


def hyper_connection():
    from transformers.models.deepseek_v4 import configuration_deepseek_v4 as c
    from transformers.models.deepseek_v4 import modeling_deepseek_v4 as m

    torch.manual_seed(0)
    config = c.DeepseekV4Config(hidden_size=64)
    module = m.DeepseekV4HyperConnection(config).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module, torch.randn(1, 8, config.hc_mult, 64)


def export(layer, *inputs):
    return str(
        fx.export_and_import(
            layer, *inputs, output_type="linalg-on-tensors", func_name="main"
        )
    )


def raise_text(text):
    done = subprocess.run(
        [find_tool("scaling-opt"), "-", "--scaling-raise"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"remark: raised", done.stderr)) == 1
    return done.stdout


def compile_raised(folder, text):
    """The module, and how many dispatches a call makes."""
    path = folder / "statistics.json"
    module = scaling.iree.compile(
        text,
        flags=[
            "--iree-scheduling-dump-statistics-format=json",
            f"--iree-scheduling-dump-statistics-file={path}",
        ],
    )
    statistics = json.loads(path.read_text())["stream-aggregate"]
    return module, statistics["execution"]["dispatch-count"]


def check(folder, layer, x, most):
    module, dispatches = compile_raised(folder, raise_text(export(layer, x)))
    assert dispatches <= most
    with torch.no_grad():
        expected = layer(x)
    if not isinstance(expected, tuple):
        expected = (expected,)
    results = module.main(x.numpy())
    results = results if isinstance(results, tuple) else (results,)
    for got, want in zip(results, expected, strict=True):
        np.testing.assert_allclose(got, want.numpy(), rtol=2e-5, atol=2e-5)
    return module


def test_superglue(tmp_path):
    """The exponential, the dustbin, all half-steps and the logarithm in one."""
    check(tmp_path, Matching(10), torch.randn(1, 24, 31), most=1)


def test_deepseek_v4(tmp_path):
    """47 dispatches when it is not raised."""
    check(tmp_path, *hyper_connection(), most=8)


def best(call):
    times = []
    for _ in range(30):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.skipif(not FULL, reason="minutes in iree-compile")
def test_superglue_is_faster(tmp_path):
    """256 × 256, 100 iterations: 20 times, in the same runtime."""
    layer, scores = Matching(100), torch.randn(1, 256, 256)
    text = export(layer, scores)
    binary = iree.compiler.compile_str(
        text,
        target_backends=["llvm-cpu"],
        extra_args=["--iree-llvmcpu-target-cpu=host"],
    )
    plain = iree.runtime.load_vm_flatbuffer(binary, driver="local-task")
    module = check(tmp_path, layer, scores, most=1)
    x = scores.numpy()
    slow = best(lambda: plain.main(x).to_host())
    assert slow >= 20 * best(lambda: module.main(x))
