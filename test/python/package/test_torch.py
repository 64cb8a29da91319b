"""scaling.torch against scaling itself and against plain PyTorch."""

import math
import os
import re
import warnings

import numpy as np
import pytest
import scaling
from findtool import ROOT, need_module

FULL = os.environ.get("SCALING_TEST_FULL", "0") == "1"

need_module("torch")
import scaling.torch as st  # noqa: E402
import torch  # noqa: E402


@pytest.fixture(autouse=True)
def quiet():
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scaling.ConvergenceWarning)
        yield


def close(actual, expected, tolerance=1e-5):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_functions_are_those_of_scaling(dtype):
    x = torch.randn(3, 6, 6).to(dtype)
    array = x.double().numpy()
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-2}[dtype]
    got = st.project(x, preset="mhc", return_info=True)
    assert got.plan.dtype == dtype and got.half_steps.tolist() == [39] * 3
    expected = torch.from_numpy(scaling.project(array, preset="mhc"))
    close(got.plan.double(), expected, tolerance)
    got = st.sinkhorn(x.abs(), temperature=0.5, half_steps=10)
    expected = scaling.sinkhorn(abs(array), temperature=0.5, half_steps=10)
    close(got.f.double(), torch.from_numpy(expected.f), tolerance)
    close(got.g.double(), torch.from_numpy(expected.g), tolerance)
    got = st.attention(x, x, x, logit_scale=0.5)
    expected = scaling.attention(array, array, array, logit_scale=0.5)
    close(got.double(), torch.from_numpy(expected), tolerance)


def test_the_examples_of_the_page():
    page = (ROOT / "docs" / "python.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (code,) = [code for code in examples if "torch" in code]
    values = {}
    exec(code, values)
    assert values["y"].shape == (2, 197, 64)


def same(ours, theirs, *tensors, tolerance=1e-5):
    """Values, and gradients of the tensors, are equal."""
    close(ours, theirs, tolerance)
    weights = torch.randn_like(theirs)
    found = torch.autograd.grad(ours, tensors, weights, retain_graph=True)
    expected = torch.autograd.grad(theirs, tensors, weights, retain_graph=True)
    for got, want in zip(found, expected):
        close(got, want, tolerance * max(1, want.abs().max().item()))


def test_layouts():
    x = torch.randn(4, 6, 5, requires_grad=True)
    y = x.transpose(1, 2)
    same(
        st.project(y, half_steps=4),
        st.project(y.contiguous(), half_steps=4),
        x,
    )


def plain_project(x, e, a, b, half_steps):
    x = x / e
    u, v = torch.zeros(()), torch.zeros(())
    for i in range(half_steps):
        if i % 2 == 0:
            u = torch.log(a).unsqueeze(-1) - torch.logsumexp(x + v, -1, keepdim=True)
        else:
            v = torch.log(b).unsqueeze(-2) - torch.logsumexp(x + u, -2, keepdim=True)
    return u, v, torch.exp(x + u + v)


def test_gradients_are_those_of_the_plain_recurrence():
    x = torch.randn(3, 6, 5, requires_grad=True)
    e = (torch.rand(3) + 0.5).requires_grad_()
    a, b = (t.requires_grad_() for t in (torch.rand(6) + 0.5, torch.rand(3, 5) + 0.5))
    _, _, expected = plain_project(x, e[:, None, None], a, b, 7)
    got = st.project(x, temperature=e, row_marginal=a, col_marginal=b, half_steps=7)
    same(got, expected, x, e, a, b)
    u, v, _ = plain_project(-x, e[:, None, None], a, b, 8)
    found = st.sinkhorn(x, a, b, temperature=e, half_steps=8)
    same(found.f / e[:, None], u.squeeze(-1), x, e, a, b)
    same(found.g / e[:, None], v.squeeze(-2), x, e, a, b)
    assert not found.residual.requires_grad and not found.status.requires_grad


def test_gradcheck():
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    x, y, z, bias = draw(2, 4, 3), draw(5, 3), draw(2, 5, 2), draw(4, 5)
    e = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    a = (torch.rand(4, dtype=torch.float64) + 0.5).requires_grad_()
    check = torch.autograd.gradcheck
    assert check(lambda *t: st.attention(*t[:4], temperature=t[4]), (x, y, z, bias, e))
    project = lambda x, e, a: st.project(
        x, temperature=e, row_marginal=a, slack=e, half_steps=5, rows="sum"
    )
    mass = torch.cat([a, a[:1]]).detach().requires_grad_()
    assert check(project, (x, e, mass))
    sinkhorn = lambda x, a: st.sinkhorn(x, a, half_steps=4)[:2]
    assert check(sinkhorn, (x, a))
    with pytest.raises(NotImplementedError, match="no second derivatives"):
        first = torch.autograd.grad(
            st.project(x, half_steps=3).square().sum(), x, create_graph=True
        )
        first[0].sum().backward()
    with pytest.raises(ValueError, match="'best' has no gradient"):
        st.project(x, stop=scaling.Stop.best(4)).sum().backward()


@pytest.mark.parametrize("backend", ["aot_eager", *["inductor"] * FULL])
def test_gradients_in_compiled_code(backend):
    def loss(x, e):
        y = st.project(x * 2, temperature=e, half_steps=4)
        return (st.attention(y, y, x) * x).sum()

    compiled = torch.compile(loss, fullgraph=True, backend=backend)
    x = torch.randn(3, 4, 4, requires_grad=True)
    e = torch.tensor(0.7, requires_grad=True)
    for got, want in zip(
        torch.autograd.grad(compiled(x, e), (x, e)),
        torch.autograd.grad(loss(x, e), (x, e)),
    ):
        close(got, want)


def test_vmap_over_the_way_back():
    x = torch.randn(2, 3, 4, 5, requires_grad=True)
    e = torch.tensor(0.7, requires_grad=True)
    v = torch.randn(4, 3, 3, requires_grad=True)
    y = st.attention(x, x, v.movedim(0, -2), temperature=e)
    back = lambda w: torch.autograd.grad(y, (x, e, v), w, retain_graph=True)
    w = torch.randn(6, *y.shape)
    got = torch.vmap(back)(w)
    for i in range(6):
        for all_of_them, one in zip(got, back(w[i])):
            close(all_of_them[i], one)


def test_gradients_under_autocast():
    x = torch.randn(4, 4, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = st.project(x @ x, preset="mhc_log")
    y.square().sum().backward()
    assert x.grad.dtype == torch.bfloat16 and x.grad.abs().max() > 0


def samples():
    x = torch.randn(2, 4, 5)
    text = scaling._attributes.resolve(
        "project", {}, default_stop=scaling.Stop.fixed(4)
    ).text
    e = torch.tensor(0.5)
    full = torch.full((4,), 1.25), torch.ones(5)
    mask = torch.tensor([True, True, False, True, True])
    yield torch.ops.scaling.project, (x, *[None] * 8, text)
    yield torch.ops.scaling.project, (x, *full, *[None] * 5, e, text)
    yield torch.ops.scaling.project, (x, *[None] * 4, mask, None, e, None, text)
    yield torch.ops.scaling.sinkhorn, (x[0], *[None] * 7, torch.ones(2, 3), text)
    text = text.replace("standardize", "")
    attention = torch.ops.scaling.attention
    yield attention, (x, torch.randn(2, 3, 5), torch.randn(2, 3, 6), *[None] * 4, text)
    back = torch.ops.scaling.sinkhorn_backward
    yield back, (x, *[None] * 7, e, torch.randn(2, 4), None, text, [0, 8])


@pytest.mark.parametrize("op, args", list(samples()))
def test_ops_keep_the_rules_of_the_library(op, args):
    torch.library.opcheck(op.default, args)
    if "backward" not in op.__name__:
        first, *rest = args
        torch.library.opcheck(op.default, (first.clone().requires_grad_(), *rest))


def test_compile_without_a_break():
    @torch.compile(fullgraph=True, backend="aot_eager", dynamic=True)
    def step(x, e):
        y = st.project(x * 2, temperature=e, preset="mhc_log", half_steps=6)
        rule = scaling.Rule(target="uniform", tau=0.9)
        f, g, *_ = st.sinkhorn(y, temperature=0.3, half_steps=4, rows=rule)
        return st.attention(y, y, y) + f.unsqueeze(-1)

    for batch in (2, 5):
        x, e = torch.randn(batch, 4, 4), torch.tensor(0.7)
        y = st.project(x * 2, temperature=e, preset="mhc_log", half_steps=6)
        rule = scaling.Rule(target="uniform", tau=0.9)
        f = st.sinkhorn(y, temperature=0.3, half_steps=4, rows=rule).f
        close(step(x, e), st.attention(y, y, y) + f.unsqueeze(-1))


@pytest.mark.parametrize(
    "module, shape",
    [
        (st.SinkhornProject(preset="mhc"), (3, 4, 4)),
        (st.SinkhornAttention(8, 2), (3, 5, 8)),
        (st.LogOptimalTransport(5), (3, 6, 4)),
        (st.HyperConnection(8, torch.nn.Linear(8, 8)), (3, 4, 8)),
    ],
)
def test_export_and_compile_of_modules(module, shape):
    x = torch.randn(shape)
    with torch.no_grad():
        batch = torch.export.Dim("batch", min=2)
        program = torch.export.export(module, (x,), dynamic_shapes=({0: batch},))
        assert any("scaling" in str(node.target) for node in program.graph.nodes)
        more = torch.randn(7, *shape[1:])
        expected = module(more)
        exported = program.module()(more)
        compiled = torch.compile(module, fullgraph=True, backend="aot_eager")(more)
        for got in (exported, compiled):
            first = got[0] if isinstance(got, tuple) else got
            close(first, expected[0] if isinstance(expected, tuple) else expected)


@pytest.mark.parametrize("in_dims", [(0, None), (None, 0), (0, 0), (2, 1)])
def test_vmap(in_dims):
    sizes = {"x": [2, 4, 4], "a": [4]}
    for key, dim in zip(sizes, in_dims):
        if dim is not None:
            sizes[key].insert(dim, 3)
    x, a = torch.randn(sizes["x"]), torch.rand(sizes["a"]) + 0.5
    one = lambda x, a: st.project(x, row_marginal=a, half_steps=6)
    got = torch.vmap(one, in_dims=in_dims)(x, a)
    for i in range(3):
        parts = [t if d is None else t.select(d, i) for t, d in zip((x, a), in_dims)]
        close(got[i], one(*parts))


def test_vmap_of_vmap_and_of_attention():
    q, k = torch.randn(2, 3, 4, 5), torch.randn(3, 6, 5)
    inner = torch.vmap(lambda q, k: st.attention(q, k, k))
    got = torch.vmap(inner, in_dims=(0, None))(q, k)
    close(got, st.attention(q, k.expand(2, 3, 6, 5), k.expand(2, 3, 6, 5)))


def test_autocast_computes_in_f32():
    x = torch.randn(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        got = st.project((x @ x), preset="mhc_log")
        assert got.dtype == torch.float32
        expected = st.project((x @ x).float(), preset="mhc_log")
    close(got, expected)


def test_what_is_wrong_is_named():
    x = torch.randn(4, 4)
    with pytest.raises(TypeError, match="'halfsteps'"):
        st.project(x, halfsteps=3)
    with pytest.raises(TypeError, match="matrix: a tensor is needed, None"):
        st.project(None)
    with pytest.raises(TypeError, match="matrix: the tensor's layout is torch.sparse"):
        st.project(torch.eye(4).to_sparse())
    with pytest.raises(TypeError, match="row_marginal: a tensor is needed"):
        st.project(x, row_marginal=[1.0] * 4)
    with pytest.raises(ValueError, match="temperature: -1"):
        st.project(x, temperature=-1.0)
    with pytest.raises(TypeError, match="matrix: the element type is torch.float8"):
        st.project(x.to(torch.float8_e4m3fn))
    with pytest.raises(TypeError, match="matrix: a nested tensor"):
        st.project(torch.nested.nested_tensor([x, x]))
    with pytest.raises(TypeError, match="temperature: a tensor is needed, bool"):
        st.project(x, temperature=True)
    with pytest.raises(ValueError, match="row_marginal: .* on meta, matrix on cpu"):
        st.project(x, row_marginal=torch.ones(4, device="meta"))
    with pytest.raises(ValueError, match="products: 'f8' was given, allowed are 'f32'"):
        st.attention(x, x, x, products="f8")
    if torch.cuda.is_available():
        with pytest.raises(ValueError, match="only the CPU"):
            st.project(x.cuda())
    assert st.project(torch.empty(3, 4, 4, device="meta")).shape == (3, 4, 4)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: st.SinkhornAttention(7, 2), ValueError, "embed_dim: 7"),
        (lambda: st.SinkhornAttention(8, 0), ValueError, "num_heads: 0"),
        (lambda: st.SinkhornAttention(8.0, 2), TypeError, "embed_dim: a whole number"),
        (lambda: st.SinkhornAttention(8, 2, output="plan"), TypeError, "no .* 'output'"),
        (lambda: st.SinkhornProject(preset="mch"), ValueError, "preset: 'mch'"),
        (lambda: st.LogOptimalTransport(-1), ValueError, "iterations: -1"),
        (lambda: st.HyperConnection(8, torch.sin, 0), ValueError, "streams: 0"),
        (lambda: st.HyperConnection(8, None), TypeError, "layer: a module is needed"),
        (lambda: st.HyperConnection(8, torch.sin, preset="pots"), ValueError, "'pots'"),
        (lambda: st.HyperConnection(8, torch.sin)(torch.ones(2, 3, 8)), ValueError,
         r"x: the shape is \(2, 3, 8\), \[..., 4, 8\] is needed"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_layer_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_there_is_no_forward_mode():
    """The library would take the tangent for zero."""
    x = torch.randn(4, 4)
    project = lambda x: st.project(x, half_steps=2)
    # The second one goes back twice.
    for tangent in (torch.func.jvp, torch.autograd.functional.jvp):
        with pytest.raises(NotImplementedError, match="forward|second"):
            tangent(project, (x,), (x,))
    with pytest.raises(NotImplementedError, match="matrix: a dual tensor"):
        torch.func.jacfwd(project)(x)


# The published layers, restated in plain PyTorch.


def sinkformer_attention(q, k, v, half_steps):
    n, m = q.shape[-2], k.shape[-2]
    s = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    u, w = torch.zeros(()), torch.zeros(())
    for i in range(half_steps):
        if i % 2 == 0:
            u = u - math.log(n) - torch.logsumexp(s + u + w, -1, keepdim=True)
        else:
            w = w - math.log(m) - torch.logsumexp(s + u + w, -2, keepdim=True)
    return torch.exp(s + u + w) * m @ v


@pytest.mark.parametrize("half_steps", [3, 4])
def test_sinkhorn_attention(half_steps):
    layer = st.SinkhornAttention(12, 3, half_steps=half_steps).eval()
    x = torch.randn(2, 7, 12)
    q, k, v = torch.nn.functional.linear(
        x, layer.in_proj_weight, layer.in_proj_bias
    ).chunk(3, -1)
    split = lambda t: t.reshape(2, 7, 3, 4).transpose(1, 2)
    y = sinkformer_attention(split(q), split(k), split(v), half_steps)
    expected = layer.out_proj(y.transpose(1, 2).reshape(2, 7, 12))
    same(layer(x)[0], expected, *layer.parameters())


def test_one_half_step_is_multi_head_attention():
    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=True).eval()
    ours = st.SinkhornAttention(12, 3, half_steps=1, rows="sum", scale="one")
    ours.load_state_dict(theirs.state_dict())
    x, y = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    ignored = torch.arange(7) > torch.tensor([[5], [3]])
    mask = torch.randn(5, 7)
    expected, _ = theirs(
        x, y, y, key_padding_mask=ignored, attn_mask=mask, need_weights=False
    )
    got, _ = ours(x, y, y, key_padding_mask=ignored, attn_mask=mask)
    close(got, expected)
    weights = torch.randn_like(expected)
    for ours_, theirs_ in zip(
        torch.autograd.grad(got, list(ours.parameters()), weights),
        torch.autograd.grad(expected, list(theirs.parameters()), weights),
    ):
        close(ours_, theirs_)


def superglue(scores, alpha, iterations):
    b, m, n = scores.shape
    couplings = torch.cat(
        [
            torch.cat([scores, alpha.expand(b, m, 1)], -1),
            torch.cat([alpha.expand(b, 1, n), alpha.expand(b, 1, 1)], -1),
        ],
        1,
    )
    norm = -math.log(m + n)
    log_mu = torch.cat([torch.full((m,), norm), torch.tensor([math.log(n) + norm])])
    log_nu = torch.cat([torch.full((n,), norm), torch.tensor([math.log(m) + norm])])
    u, v = torch.zeros(b, m + 1), torch.zeros(b, n + 1)
    for _ in range(iterations):
        u = log_mu - torch.logsumexp(couplings + v.unsqueeze(1), 2)
        v = log_nu - torch.logsumexp(couplings + u.unsqueeze(2), 1)
    return couplings + u.unsqueeze(2) + v.unsqueeze(1) - norm


def test_log_optimal_transport():
    layer = st.LogOptimalTransport(20, bin_score=0.6)
    scores = torch.randn(2, 6, 9, requires_grad=True)
    expected = superglue(scores, layer.bin_score, 20)
    same(layer(scores), expected, scores, layer.bin_score, tolerance=1e-4)
    assert list(layer.state_dict()) == ["bin_score"]


def hyper_connection(x, layer, fn, scale, base, eps=1e-6):
    n = x.shape[-2]
    flat = x.flatten(-2)
    z = flat / torch.sqrt(flat.pow(2).mean(-1, keepdim=True) + eps) @ fn.T
    pre = torch.sigmoid(z[..., :n] * scale[0] + base[:n]) + eps
    post = 2 * torch.sigmoid(z[..., n : 2 * n] * scale[1] + base[n : 2 * n])
    mix = (z[..., 2 * n :] * scale[2] + base[2 * n :]).unflatten(-1, (n, n))
    p = torch.softmax(mix, -1) + eps
    p = p / (p.sum(-2, keepdim=True) + eps)
    for _ in range(19):
        p = p / (p.sum(-1, keepdim=True) + eps)
        p = p / (p.sum(-2, keepdim=True) + eps)
    y = layer((pre.unsqueeze(-1) * x).sum(-2))
    return post.unsqueeze(-1) * y.unsqueeze(-2) + p.transpose(-1, -2) @ x


def test_hyper_connection():
    inner = torch.nn.Linear(8, 8)
    layer = st.HyperConnection(8, inner)
    torch.nn.init.normal_(layer.scale)
    torch.nn.init.normal_(layer.base)
    x = torch.randn(2, 5, 4, 8, requires_grad=True)
    expected = hyper_connection(x, inner, layer.fn, layer.scale, layer.base)
    same(layer(x), expected, x, *layer.parameters())
    # Exact column sums: streams that are equal stay equal, but for the layer.
    torch.nn.init.zeros_(inner.weight)
    torch.nn.init.zeros_(inner.bias)
    equal = torch.randn(2, 5, 1, 8).expand(2, 5, 4, 8)
    close(layer(equal), equal.contiguous(), 1e-4)


def test_a_module_in_half_precision():
    layer = st.HyperConnection(8, torch.nn.Linear(8, 8)).bfloat16()
    assert layer(torch.randn(2, 4, 8).bfloat16()).dtype == torch.bfloat16
