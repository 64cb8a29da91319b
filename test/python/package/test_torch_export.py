"""Whole PyTorch models through torch-mlir, against PyTorch."""

import re
import subprocess
import sys

import numpy as np
import pytest
import scaling
from findtool import ROOT, find_tool, need_module

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


def test_the_portable_route_gives_the_same():
    shapes, _ = MODELS["swav_head"]
    ours, plain = models.swav_head()
    args = inputs(shapes)
    text = export(ours, args, True)
    check(scaling.compile(text, route="linalg").main, plain, args)


class Layer(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def test_operands_broadcast_as_in_pytorch():
    def function(q, k, bias, mask, a):
        y = st.attention(q, k, k, bias, col_mask=mask, temperature=0.7)
        potentials = st.sinkhorn(y.abs(), a.double(), temperature=0.5, half_steps=5)
        return y + potentials.f.unsqueeze(-1), potentials.half_steps

    layer = Layer(function)
    mask = torch.arange(6) < torch.tensor([[[5]], [[6]], [[3]]])
    args = (
        torch.randn(3, 2, 5, 4), torch.randn(3, 2, 6, 4), torch.randn(1, 1, 5, 6),
        mask, torch.full((5,), 0.2),
    )  # fmt: skip
    text = st.export_mlir(layer, args)
    assert ops_in(text) == {"attention": 1, "sinkhorn": 1}
    check(scaling.compile(text).main, layer, args)


def test_the_example_of_the_page():
    page = (ROOT / "docs" / "torch.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    values = {}
    exec(code, values)
    assert "tensor<?x17x32xf32>" in values["text"]
    check(lambda x: values["y"], values["model"], (values["x"],))


@pytest.mark.parametrize("gradient", ["unrolled", "implicit"])
def test_raw_text_of_torch_mlir(gradient):
    from torch_mlir import fx

    ours, _ = models.swav_head()
    if gradient == "implicit":
        again = Layer(lambda x: st.project(x, gradient="implicit", tol=1e-3))
        ours = torch.nn.Sequential(ours, again)
    batch = torch.export.Dim("batch")
    program = torch.export.export(ours, inputs([(3, 24)]), dynamic_shapes=({0: batch},))
    raw = fx.export_and_import(program, output_type="raw")
    text = raw.operation.get_asm(print_generic_op_form=True)
    done = subprocess.run(
        [find_tool("scaling-opt"), "-", "--allow-unregistered-dialect"]
        + ["--scaling-import-torch"],
        input=text,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert ops_in(done.stdout) == {"project": 2 if gradient == "implicit" else 1}
    assert '"torch.operator"' in text and '"torch.operator"' not in done.stdout
    # All else is as it was.
    count = lambda text: text.count('"torch.aten.')
    assert count(done.stdout) == count(text) > 5


def test_a_kernel_for_a_gpu():
    layer = Layer(lambda x: st.project(x, preset="mhc"))
    x = torch.randn(3, 4, 4)
    batch = torch.export.Dim("batch")
    text = st.export_mlir(layer, (x,), dynamic_shapes=(({0: batch},),))
    done = subprocess.run(
        [find_tool("scaling-compile"), "-", "--target=nvptx", "--emit=ptx", "-o", "-"],
        input=text,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert ".entry main" in done.stdout


def test_what_is_wrong_is_named(monkeypatch):
    layer = Layer(lambda x: st.project(x, preset="mhc"))
    x = torch.randn(3, 4, 4)
    with pytest.raises(TypeError, match="model: a torch.nn.Module"):
        st.export_mlir(lambda x: x, (x,))
    with pytest.raises(TypeError, match="args: a tuple of inputs"):
        st.export_mlir(layer, x)
    with pytest.raises(TypeError, match="an exported program has its own"):
        st.export_mlir(torch.export.export(layer, (x,)), (x,))
    with pytest.raises(st.ExportError, match="no linalg form of tm_tensor.scan"):
        st.export_mlir(Layer(lambda x: torch.cumsum(x, 0)), (x,))
    monkeypatch.setitem(sys.modules, "torch_mlir", None)
    with pytest.raises(ImportError, match="pip install torch-mlir"):
        st.export_mlir(layer, (x,))


def test_the_example(tmp_path, python_environment):
    example = ROOT / "examples" / "torch_export" / "torch_export.py"
    done = subprocess.run(
        [sys.executable, example, "--keypoints", "12", "--dim", "8"]
        + ["--iterations", "5", "--out", tmp_path],
        capture_output=True,
        text=True,
        env=python_environment,
    )
    assert done.returncode == 0, done.stderr
    assert "1 op of the dialect" in done.stdout
    assert float(re.search(r"difference: (.*)", done.stdout)[1]) < 1e-5
    assert float(re.search(r"speed-up: (.*)", done.stdout)[1]) > 0
    assert ops_in((tmp_path / "matching_head.mlir").read_text()) == {"project": 1}
