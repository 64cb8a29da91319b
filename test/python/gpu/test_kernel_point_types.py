"""Sweeps over tiles of points of other types than f32, of cosines, and of costs
to which a bias is added."""

import numpy as np
import pytest
import scaling_reference as sr
from emulated_kernels import compile_kernel, execute
from programs import ROUNDING, load, store
from scipy.special import logsumexp


def points(shape, seed, element):
    """Numbers of the type, as it stores them and what they are."""
    values = np.random.default_rng(seed).normal(size=shape)
    stored = store(values, element)
    return stored, load(stored, element)


def solve(text, inputs, outputs, **options):
    return execute(compile_kernel(text, "llvm"), "f", inputs, outputs, **options)


@pytest.mark.parametrize(
    "metric, d, element, order",
    [
        ("sqeuclidean", 20, "f16", "rows_first"),
        ("euclidean", 3, "bf16", "jacobi"),
        ("cosine", 5, "f32", "rows_first"),
        ("cosine", 36, "bf16", "rows_first"),
        ("sqeuclidean", 20, "f64", "rows_first"),
        ("l1", 5, "f64", "jacobi"),
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_potentials(metric, d, element, order, seed):
    n, m, epsilon, steps = 150, 270, 0.5, 4
    x_type, y_type = (f"tensor<{k}x{d}x{element}>" for k in (n, m))
    costs_in = "f64" if element == "f64" else "f32"
    u_type, v_type = (f"tensor<{k}x{costs_in}>" for k in (n, m))
    matrix = f"tensor<{n}x{m}x{costs_in}>"
    text = f"""
        func.func @f(%x: {x_type}, %y: {y_type}) -> ({u_type}, {v_type}) {{
          %e = tensor.empty() : {matrix}
          %C = scaling.pairwise {metric} points(%x, %y : {x_type}, {y_type})
              outs(%e : {matrix}) -> {matrix}
          %r:5 = scaling.sinkhorn cost(%C : {matrix})
              form(#scaling.form<cost, epsilon = {epsilon}>)
              rows(#scaling.rule<sum, target = uniform>)
              cols(#scaling.rule<sum, target = uniform>)
              order({order}) stop(#scaling.stop<fixed {steps}>)
              numerics(#scaling.numerics<log>)
          return %r#0, %r#1 : {u_type}, {v_type}
        }}"""
    x, y = points((n, d), 0, element), points((m, d), 1, element)
    if metric == "cosine":
        # A point without a direction.
        for side in x:
            side[7] = 0
    (f, g), report = solve(
        text, [x[0], y[0]], [((n,), costs_in), ((m,), costs_in)], grid=3, seed=seed
    )
    with np.errstate(invalid="ignore"):
        costs = sr.pairwise(x[1], y[1], metric)
    rule = sr.Rule(target="uniform")
    expected = sr.sinkhorn(
        np.where(np.isnan(costs), 1.0, costs), form=sr.Form(epsilon=epsilon),
        rows=rule, cols=rule, order=order, stop=sr.fixed(steps),
    )  # fmt: skip
    close = {"f32": 2e-5, "f64": 1e-12}[costs_in]
    np.testing.assert_allclose(f, expected.f, rtol=close, atol=close)
    np.testing.assert_allclose(g, expected.g, rtol=close, atol=close)
    # The costs are nowhere.
    assert report["global"]["written_bytes"] < {"f32": 4, "f64": 8}[costs_in] * n * m
    assert report["local_bytes"] == 0


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("element", ["f32", "f16"])
@pytest.mark.parametrize("n, m", [(130, 300), (5, 7)])
def test_bias(n, m, element, transposed):
    """Of either axis; tiles of all points, and of less."""
    d, scale, bias_scale = 12, 0.5, -2.0
    shape = (m, n) if transposed else (n, m)
    bias_type = f"tensor<{shape[0]}x{shape[1]}x{element}>"
    x_type, y_type = f"tensor<{n}x{d}xf32>", f"tensor<{m}x{d}xf32>"
    text = f"""
        func.func @f(%x: {x_type}, %y: {y_type}, %g: tensor<{m}xf32>, %B: {bias_type})
            -> (tensor<{n}xf32>, tensor<{n}xf32>) {{
          %s = arith.constant {scale} : f32
          %t = arith.constant {bias_scale} : f32
          %e = tensor.empty() : tensor<{n}xf32>
          %r:2 = scaling.reduce_points dot points(%x, %y : {x_type}, {y_type})
              factor(%g : tensor<{m}xf32>) scale(%s : f32)
              bias(%B : {bias_type}) {"transposed" if transposed else ""}
              bias_scale(%t : f32) outs(%e, %e : tensor<{n}xf32>, tensor<{n}xf32>)
              -> tensor<{n}xf32>, tensor<{n}xf32>
          return %r#0, %r#1 : tensor<{n}xf32>, tensor<{n}xf32>
        }}"""
    x, y, g = (points(size, i, "f32") for i, size in enumerate([(n, d), (m, d), (m,)]))
    bias = points(shape, 3, element)
    (most, total), report = solve(
        text, [x[0], y[0], g[0], bias[0]], [((n,), "f32")] * 2, grid=2
    )
    added = bias[1].T if transposed else bias[1]
    exponents = scale * sr.pairwise(x[1], y[1], "dot") + g[1] + bias_scale * added
    found = most.astype(np.float64) + np.log(total.astype(np.float64))
    np.testing.assert_allclose(
        found, logsumexp(exponents, axis=-1), rtol=2e-6, atol=2e-5
    )
    assert report["local_bytes"] == 0


@pytest.mark.parametrize(
    "element, bias", [("f16", None), ("bf16", "bf16"), ("f32", "f32"), ("f64", "f64")]
)
def test_attention(element, bias):
    # The bias is one for all batch elements, and what it forbids is −inf.
    n, m, d, k = 230, 236, 16, 12
    q, key, v, o = (
        f"tensor<?x{rows}x{depth}x{element}>"
        for rows, depth in ((n, d), (m, d), (m, k), (n, k))
    )
    arguments, extra = f"%q: {q}, %k: {key}, %v: {v}", ""
    inputs = [
        points((2,) + size, i, element)
        for i, size in enumerate([(n, d), (m, d), (m, k)])
    ]
    options = {}
    if bias:
        bias_type = f"tensor<{n}x{m}x{bias}>"
        arguments += f", %b: {bias_type}"
        extra = f" bias(%b : {bias_type})"
        forbidden = np.triu(np.ones((n, m), bool), 30)
        stored = points((n, m), 3, "f32")[0]
        stored = store(np.where(forbidden, -np.inf, stored), bias)
        inputs.append((stored, load(stored, bias)))
        options["bias"] = inputs[-1][1]
    text = f"""
        func.func @f({arguments}) -> {o} {{
          %o:4 = scaling.attention query(%q : {q}) key(%k : {key}) value(%v : {v}){extra}
              preset(sinkformer) stop(#scaling.stop<fixed 3>)
          return %o#0 : {o}
        }}"""
    (found,), report = solve(
        text, [stored for stored, _ in inputs], [((2, n, k), element)], grid=3
    )
    expected = sr.attention(
        *(values for _, values in inputs[:3]), stop=sr.fixed(3), **options
    ).output
    rounding = max(ROUNDING[element], {"f64": 1e-12}.get(element, 1e-5))
    np.testing.assert_allclose(
        load(found, element), expected, rtol=2 * rounding, atol=min(rounding, 1e-5)
    )
    bytes_of = 8 if element == "f64" else 4
    assert report["global"]["written_bytes"] < bytes_of * 2 * n * m
