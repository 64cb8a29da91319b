"""Sweeps over tiles of points of other types than f32, and of cosines."""

import numpy as np
import pytest
import scaling_reference as sr
from emulated_kernels import compile_kernel, execute
from programs import ROUNDING, load, store


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
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_potentials(metric, d, element, order, seed):
    n, m, epsilon, steps = 150, 270, 0.5, 4
    x_type, y_type = (f"tensor<{k}x{d}x{element}>" for k in (n, m))
    text = f"""
        func.func @f(%x: {x_type}, %y: {y_type}) -> (tensor<{n}xf32>, tensor<{m}xf32>) {{
          %e = tensor.empty() : tensor<{n}x{m}xf32>
          %C = scaling.pairwise {metric} points(%x, %y : {x_type}, {y_type})
              outs(%e : tensor<{n}x{m}xf32>) -> tensor<{n}x{m}xf32>
          %r:5 = scaling.sinkhorn cost(%C : tensor<{n}x{m}xf32>)
              form(#scaling.form<cost, epsilon = {epsilon}>)
              rows(#scaling.rule<sum, target = uniform>)
              cols(#scaling.rule<sum, target = uniform>)
              order({order}) stop(#scaling.stop<fixed {steps}>)
              numerics(#scaling.numerics<log>)
          return %r#0, %r#1 : tensor<{n}xf32>, tensor<{m}xf32>
        }}"""
    x, y = points((n, d), 0, element), points((m, d), 1, element)
    if metric == "cosine":
        # A point without a direction.
        for side in x:
            side[7] = 0
    (f, g), report = solve(
        text, [x[0], y[0]], [((n,), "f32"), ((m,), "f32")], grid=3, seed=seed
    )
    with np.errstate(invalid="ignore"):
        costs = sr.pairwise(x[1], y[1], metric)
    rule = sr.Rule(target="uniform")
    expected = sr.sinkhorn(
        np.where(np.isnan(costs), 1.0, costs), form=sr.Form(epsilon=epsilon),
        rows=rule, cols=rule, order=order, stop=sr.fixed(steps),
    )  # fmt: skip
    np.testing.assert_allclose(f, expected.f, rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(g, expected.g, rtol=1e-5, atol=2e-5)
    # The costs are nowhere.
    assert report["global"]["written_bytes"] < 4 * n * m
    assert report["local_bytes"] == 0


@pytest.mark.parametrize("element", ["f16", "bf16"])
def test_attention(element):
    # Sizes of which the batch is not known.
    n, m, d, k = 230, 236, 16, 12
    q, key, v, o = (
        f"tensor<?x{rows}x{depth}x{element}>"
        for rows, depth in ((n, d), (m, d), (m, k), (n, k))
    )
    text = f"""
        func.func @f(%q: {q}, %k: {key}, %v: {v}) -> {o} {{
          %o:4 = scaling.attention query(%q : {q}) key(%k : {key}) value(%v : {v})
              preset(sinkformer) stop(#scaling.stop<fixed 3>)
          return %o#0 : {o}
        }}"""
    inputs = [
        points((2,) + size, i, element)
        for i, size in enumerate([(n, d), (m, d), (m, k)])
    ]
    (found,), report = solve(
        text, [stored for stored, _ in inputs], [((2, n, k), element)], grid=3
    )
    expected = sr.attention(*(values for _, values in inputs), stop=sr.fixed(3)).output
    rounding = ROUNDING[element]
    np.testing.assert_allclose(
        load(found, element), expected, rtol=2 * rounding, atol=1e-5
    )
    assert report["global"]["written_bytes"] < 4 * 2 * n * m
