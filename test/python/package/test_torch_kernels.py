"""Whole PyTorch models as one GPU kernel, in the emulator, against PyTorch."""

import re
import subprocess

import numpy as np
import pytest
from emulated_kernels import compile_kernel, execute
from findtool import find_tool, need_module
from programs import FULL

need_module("torch")
need_module("torch_mlir")
import scaling.torch as st  # noqa: E402
import torch  # noqa: E402
import torch_models as models  # noqa: E402

ELEMENTS = {torch.float32: "f32", torch.int64: "i64", torch.bool: "i1"}
#: Per model: the shapes of its inputs.
MODELS = {
    "vision_transformer": [(2, 3, 16, 16)],
    "matching_head": [(2, 16, 9), (2, 16, 7)],
    "hyper_block": [(2, 5, 4, 16)],
    "swav_head": [(3, 24)],
}
#: The large ones with open sizes take longer.
CASES = [
    (name, dynamic)
    for name in MODELS
    for dynamic in (False, True)
    if FULL or dynamic == (name in ("swav_head", "hyper_block"))
]


@pytest.mark.parametrize(
    "name,dynamic", CASES, ids=[f"{n}-{'open' if d else 'known'}" for n, d in CASES]
)
def test_model(name, dynamic):
    ours, plain = getattr(models, name)()
    args = tuple(torch.randn(*shape) for shape in MODELS[name])
    shapes = None
    if dynamic:
        batch = torch.export.Dim("batch")
        shapes = tuple({0: batch} for _ in args)
    code = compile_kernel(st.export_mlir(ours, args, dynamic_shapes=shapes), "llvm")
    with torch.no_grad():
        expected = plain(*args)
    if not isinstance(expected, tuple):
        expected = (expected,)
    outputs = [(tuple(e.shape), ELEMENTS[e.dtype]) for e in expected]
    actual, report = execute(code, "main", [a.numpy() for a in args], outputs)
    for a, e in zip(actual, expected):
        np.testing.assert_allclose(a, e.numpy(), rtol=1e-4, atol=1e-4)
    assert report["global"]["read_bytes"] > 0


class Sine(torch.nn.Module):
    def forward(self, x):
        return st.project(torch.sin(x), preset="mhc")


def test_what_needs_a_library_is_named():
    text = st.export_mlir(Sine(), (torch.randn(3, 4, 4),))
    done = subprocess.run(
        [find_tool("scaling-compile"), "-", "--target=nvptx", "--emit=ptx"]
        + ["-o", "-"],
        input=text,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    errors = re.findall(r"error: (.*)", done.stderr)
    assert errors == [
        "'math.sin' op on 'f32' has no form on the GPU without a device library"
    ]
