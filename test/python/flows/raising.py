"""What torch-mlir makes of a layer, raised and run: for test_raise_torch.py and
test_raise_factors.py."""

import re
import subprocess

import numpy as np
import torch
from findtool import find_tool
from torch_mlir import fx


class Layer(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def export(layer, inputs, dynamic=None):
    if not isinstance(layer, torch.nn.Module):
        layer = Layer(layer)
        if dynamic:
            dynamic = (dynamic,)
    module = fx.export_and_import(
        layer,
        *inputs,
        output_type="linalg-on-tensors",
        func_name="main",
        dynamic_shapes=dynamic,
    )
    return str(module)


def raise_text(text, options="explain=true domain=log"):
    """The program that comes out, and the remarks."""
    result = subprocess.run(
        [find_tool("scaling-opt"), "-", f"--scaling-raise={options}"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout, re.findall(r"remark: (.*)", result.stderr)


def run(folder, text, inputs, results):
    (folder / "program.mlir").write_text(text)
    arguments = []
    for i, x in enumerate(inputs):
        np.save(folder / f"in{i}.npy", x.numpy())
        arguments.append(f"--input={folder}/in{i}.npy")
    arguments += [f"--output={folder}/out{i}.npy" for i in range(results)]
    done = subprocess.run(
        [find_tool("scaling-run"), folder / "program.mlir", "--entry=main"] + arguments,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [np.load(folder / f"out{i}.npy") for i in range(results)]


def check(folder, layer, inputs, remark, left=0, dynamic=None, tolerance=2e-6):
    """One op, `left` other structured ops, and the results of PyTorch."""
    with torch.no_grad():
        expected = layer(*inputs)
    text, remarks = raise_text(export(layer, inputs, dynamic))
    assert remarks == [remark]
    assert len(re.findall(r" = scaling\.", text)) == 1
    assert len(re.findall(r" = linalg\.generic", text)) == left
    if not isinstance(expected, tuple):
        expected = (expected,)
    results = run(folder, text, inputs, len(expected))
    for got, want in zip(results, expected, strict=True):
        np.testing.assert_allclose(got, want.numpy(), rtol=tolerance, atol=tolerance)
    return text


def logits(*shape, scale=1.0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(len(shape) + shape[0])
    return scale * torch.randn(*shape, generator=generator, dtype=dtype)
