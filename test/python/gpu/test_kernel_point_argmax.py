"""The largest entries of rows of plans between points, which are nowhere."""

import numpy as np
import pytest
import scaling_reference as sr
from emulated_kernels import compile_kernel, execute
from test_kernel_points import points
from test_kernel_tensor_cores import rounded

NUMPY = {"f32": np.float32, "f64": np.float64}


def program(n, m, d, metric, element="f32"):
    """The factors after half-steps of rows and columns, and what is largest."""
    x, y, u, v, matrix, index = (
        f"tensor<{tail}>"
        for tail in (f"{n}x{d}x{element}", f"{m}x{d}x{element}", f"{n}x{element}",
                     f"{m}x{element}", f"{n}x{m}x{element}", f"{n}xi64")
    )  # fmt: skip
    dims = ", ".join(name for size, name in ((n, "%n"), (m, "%m")) if size == "?")
    own = "%n" if n == "?" else ""
    return f"""
        func.func @f(%x: {x}, %y: {y}, %a: {u}, %b: {v}) -> ({u}, {v}, {u}, {index}) {{
          %c0 = arith.constant 0 : index
          %c5 = arith.constant 5 : index
          %below = arith.constant -1.0 : {element}
          %nowhere = arith.constant -1 : i64
          %n = tensor.dim %x, %c0 : {x}
          %m = tensor.dim %y, %c0 : {y}
          %e = tensor.empty({dims}) : {matrix}
          %C = scaling.pairwise {metric} points(%x, %y : {x}, {y})
              outs(%e : {matrix}) -> {matrix}
          %u, %v, %k, %r, %s = scaling.iterate matrix(%C : {matrix})
              row_target(%a : {u}) col_target(%b : {v})
              stop(#scaling.stop<fixed 3>) numerics(#scaling.numerics<log>)
              {{scaling.schedule = #scaling.schedule<cloud>}}
          %e0 = tensor.empty({own}) : {u}
          %e1 = tensor.empty({own}) : {index}
          %p0 = linalg.fill ins(%below : {element}) outs(%e0 : {u}) -> {u}
          %j0 = linalg.fill ins(%nowhere : i64) outs(%e1 : {index}) -> {index}
          %p:2 = scaling.apply argmax domain(log) matrix(%C : {matrix})
              row(%u : {u}) col(%v : {v}) offset(%c5)
              outs(%p0, %j0 : {u}, {index}) -> {u}, {index}
          return %u, %v, %p#0, %p#1 : {u}, {v}, {u}, {index}
        }}"""


@pytest.mark.parametrize(
    "n, m, d, metric, element, known",
    [
        (140, 300, 20, "sqeuclidean", "f32", True),
        (130, 257, 17, "cosine", "f32", False),
        (1, 300, 3, "l1", "f32", True),
        (70, 65, 5, "euclidean", "f64", False),
    ],
)
def test_largest(n, m, d, metric, element, known):
    """In every order of warps the same; of points that are there twice, the first;
    of rows without mass, the first column."""
    kind = NUMPY[element]
    x, y = (points((k, d), s).astype(kind) / 2 for s, k in enumerate((n, m)))
    y[m // 2 :] = y[: m - m // 2]
    generator = np.random.default_rng(7)
    weights = []
    for k in (n, m):
        weight = generator.random(k) + 0.1
        weight[2::7] = 0
        weights.append((weight / weight.sum()).astype(kind))
    sizes = (n, m) if known else ("?", "?")
    code = compile_kernel(program(*sizes, d, metric, element), "llvm")
    outputs = [((n,), element), ((m,), element), ((n,), element), ((n,), "i64")]
    runs = [
        execute(code, "f", [x, y, *weights], outputs, grid=1 + seed, seed=seed)
        for seed in (range(3) if m == 65 else [1])
    ]
    (row, column, most, index), report = runs[0]
    for found, _ in runs[1:]:
        for again, first in zip(found, runs[0][0]):
            np.testing.assert_array_equal(again, first)
    costs = sr.pairwise(x.astype(np.float64), y.astype(np.float64), metric)
    plan = np.exp(row[:, None].astype(np.float64) + costs + column)
    close = {"f32": 3e-5, "f64": 1e-12}[element]
    np.testing.assert_allclose(most, plan.max(-1), rtol=close)
    index = index - 5
    # What is as large as the largest but for rounding is as good; not where it
    # is the same.
    np.testing.assert_allclose(plan[np.arange(n), index], plan.max(-1), rtol=close)
    twice = index >= m // 2
    first = index[twice] - m // 2
    assert (plan[twice, first] < plan[twice, index[twice]]).all()
    assert (index[2::7] == 0).all()
    assert report["local_bytes"] == 0
    assert report["global"]["written_bytes"] < x.itemsize * (n + m) * (d + 40)


@pytest.mark.parametrize("bias", [False, True])
def test_largest_by_tensor_cores(bias):
    n, m, d = 150, 270, 24
    x_type, y_type, u, v, b = (
        f"tensor<{tail}xf32>" for tail in (f"{n}x{d}", f"{m}x{d}", n, m, f"{m}x{n}")
    )
    biased = f"bias(%b : {b}) transposed" if bias else ""
    text = f"""
        func.func @f(%x: {x_type}, %y: {y_type}, %v: {v}, %b: {b})
            -> ({u}, tensor<{n}xi64>) {{
          %s = arith.constant -0.3 : f32
          %e = tensor.empty() : {u}
          %i = tensor.empty() : tensor<{n}xi64>
          %r:2 = scaling.argmax_points dot points(%x, %y : {x_type}, {y_type})
              factor(%v : {v}) scale(%s : f32) {biased} products(tf32)
              outs(%e, %i : {u}, tensor<{n}xi64>) -> {u}, tensor<{n}xi64>
          return %r#0, %r#1 : {u}, tensor<{n}xi64>
        }}"""
    x, y = rounded(points((n, d), 0) / 2), rounded(points((m, d), 1))
    factor, added = points(m, 3), points((m, n), 4)
    factor[::3] = -np.inf
    x[7, 5], y[9, 2] = np.nan, np.nan
    (most, index), report = execute(
        compile_kernel(text, "llvm"), "f", [x, y, factor, added],
        [((n,), "f32"), ((n,), "i64")],
    )  # fmt: skip
    costs = -0.3 * sr.pairwise(x, y, "dot") + factor + (added.T if bias else 0)
    costs = np.where(np.isnan(costs), -np.inf, costs)
    np.testing.assert_allclose(most, costs.max(-1), rtol=2e-5, atol=2e-5)
    assert most[7] == -np.inf and index[7] == -1
    others = np.arange(n) != 7
    np.testing.assert_array_equal(index[others], costs.argmax(-1)[others])
    assert report["shared"]["bank_conflicts"] == 0
    assert report["local_bytes"] == 0
