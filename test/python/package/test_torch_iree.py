"""Whole PyTorch models in IREE: exported, compiled on both routes, run in its
runtime, against plain PyTorch."""

import os

import pytest
from findtool import need_module

for module in ("torch", "torch_mlir", "iree.compiler", "iree.runtime"):
    need_module(module)
import scaling.iree  # noqa: E402
import torch_models as models  # noqa: E402
from test_torch_export import MODELS, check, export, inputs  # noqa: E402

FULL = os.environ.get("SCALING_TEST_FULL", "0") == "1"


@pytest.mark.parametrize("route", ["fast", "portable"])
@pytest.mark.parametrize("dynamic", [True, False] if FULL else [True])
@pytest.mark.parametrize("name", MODELS)
def test_model(name, dynamic, route):
    shapes, _ = MODELS[name]
    ours, plain = getattr(models, name)()
    args = inputs(shapes)
    run = scaling.iree.compile(export(ours, args, dynamic), route=route).main
    check(run, plain, args)
    if dynamic:
        check(run, plain, inputs(shapes, 5))
