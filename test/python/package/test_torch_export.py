"""Whole PyTorch models through torch-mlir, against PyTorch."""

import re
import subprocess
import sys

import numpy as np
import pytest
import scaling
from findtool import find_tool, need_module

need_module("torch")
need_module("torch_mlir")
import scaling.torch as st  # noqa: E402
import torch  # noqa: E402
import torch_models as models  # noqa: E402

BATCH = 3
#: Per model: the shapes of its inputs, and the ops of ours it has.
MODELS = {
    "vision_transformer": ([(BATCH, 3, 16, 16)], {"attention": 2}),
    "matching_head": ([(BATCH, 16, 9), (BATCH, 16, 7)], {"project": 1}),
    "hyper_block": ([(BATCH, 5, 4, 16)], {"project": 2}),
    "swav_head": ([(BATCH, 24)], {"project": 1}),
}


def inputs(shapes, batch=BATCH):
    return tuple(torch.randn(batch, *shape[1:]) for shape in shapes)


def ops_in(text):
    found = re.findall(r"= scaling\.(\w+) ", text)
    return {name: found.count(name) for name in found}


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def check(run, model, args, tolerance=2e-5):
    with torch.no_grad():
        expected = as_tuple(model(*args))
    actual = as_tuple(run(*[arg.numpy() for arg in args]))
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected):
        assert a.dtype == e.numpy().dtype and a.shape == tuple(e.shape)
        np.testing.assert_allclose(a, e.numpy(), rtol=tolerance, atol=tolerance)


def export(ours, args, dynamic):
    shapes = None
    if dynamic:
        batch = torch.export.Dim("batch")
        shapes = tuple({0: batch} for _ in args)
    return st.export_mlir(ours, args, dynamic_shapes=shapes)


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("name", MODELS)
def test_model(name, dynamic):
    shapes, ops = MODELS[name]
    ours, plain = getattr(models, name)()
    args = inputs(shapes)
    text = export(ours, args, dynamic)
    assert ops_in(text) == ops and "!torch" not in text and "call @" not in text
    signature = re.search(r"func.func @main\((.*)\) ->", text)[1]
    sizes = ["x".join(map(str, shape)) for shape in shapes]
    for index, size in enumerate(sizes):
        if dynamic:
            size = "?" + size.removeprefix(str(BATCH))
        assert f"%arg{index}: tensor<{size}xf32>" in signature
    run = scaling.compile(text).main
    check(run, plain, args)
    if dynamic:
        check(run, plain, inputs(shapes, 5))
