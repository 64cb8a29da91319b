"""Mass, cost and dual value of plans between points, which are nowhere."""

import numpy as np
import pytest
import scaling_reference as sr
from emulated_kernels import compile_kernel, execute
from test_kernel_points import points, solve
from test_kernel_tensor_cores import rounded

NUMPY = {"f32": np.float32, "f64": np.float64}
SCALE = -0.75


def elementwise(name, source, kind, element, body, rank, bias=None):
    """A matrix of another one's entries, `%p`, and maybe those of a bias, `%q`."""
    indices = ", ".join(f"i{k}" for k in range(rank))
    inputs, types, arguments = source, kind, f"%p: {element}"
    maps = [f"affine_map<({indices}) -> ({indices})>"] * 2
    if bias:
        maps.insert(1, f"affine_map<({indices}) -> (i{rank - 2}, i{rank - 1})>")
        inputs += f", {bias[0]}"
        types += f", {bias[1]}"
        arguments += f", %q: {element}"
    iterators = ", ".join(['"parallel"'] * rank)
    return f"""
          {name} = linalg.generic {{indexing_maps = [{", ".join(maps)}],
              iterator_types = [{iterators}]}}
              ins({inputs} : {types}) outs(%e : {kind}) {{
          ^bb0({arguments}, %o: {element}):
            %y0 = {body} : {element}
            linalg.yield %y0 : {element}
          }} -> {kind}"""


def program(sizes, d, metric, element="f32", biased=False, batch=None):
    """The factors after half-steps of rows and columns, and the sums."""
    n, m = sizes
    head = f"{batch}x" if batch else ""
    x, y, u, v, matrix = (
        f"tensor<{head}{tail}x{element}>"
        for tail in (f"{n}x{d}", f"{m}x{d}", n, m, f"{n}x{m}")
    )
    scalar = f"tensor<{head}{element}>"
    bias = f"tensor<{n}x{m}x{element}>"
    rank = 3 if batch else 2
    extra = f", %B: {bias}" if biased else ""
    kinds = [(batch, "%t"), (n, "%n"), (m, "%m")]
    dims = ", ".join(name for size, name in kinds if size == "?")
    own = "%t" if batch == "?" else ""
    costs = "%D" if biased else "%C"
    added = elementwise(
        "%C", "%D", matrix, element, "arith.addf %p, %q", rank, ("%B", bias)
    )
    logits = elementwise("%L", "%C", matrix, element, "arith.mulf %p, %scale", rank)
    # Where there is a bias, the choice would be another.
    attributes = " {scaling.schedule = #scaling.schedule<cloud>}"
    plan = f"domain(log) matrix(%L : {matrix}) row(%u : {u}) col(%v : {v})"
    return f"""
        func.func @f(%x: {x}, %y: {y}, %a: {u}, %b: {v}{extra})
            -> ({u}, {v}, {scalar}, {scalar}, {scalar}) {{
          %c0 = arith.constant 0 : index
          %c1 = arith.constant {rank - 2} : index
          %zero = arith.constant 0.0 : {element}
          %scale = arith.constant {SCALE} : {element}
          %t = tensor.dim %x, %c0 : {x}
          %n = tensor.dim %x, %c1 : {x}
          %m = tensor.dim %y, %c1 : {y}
          %e = tensor.empty({dims}) : {matrix}
          {costs} = scaling.pairwise {metric} points(%x, %y : {x}, {y})
              outs(%e : {matrix}) -> {matrix}{added if biased else ""}{logits}
          %u, %v, %k, %r, %s = scaling.iterate matrix(%L : {matrix})
              row_target(%a : {u}) col_target(%b : {v})
              stop(#scaling.stop<fixed 3>) numerics(#scaling.numerics<log>){attributes}
          %z = tensor.empty({own}) : {scalar}
          %start = linalg.fill ins(%zero : {element}) outs(%z : {scalar}) -> {scalar}
          %value = scaling.apply value {plan} operand(%C : {matrix})
              outs(%start : {scalar}) -> {scalar}
          %mass = scaling.apply mass {plan} outs(%start : {scalar}) -> {scalar}
          %dual = scaling.apply dual {plan} row_weight(%a : {u}) col_weight(%b : {v})
              outs(%start : {scalar}) -> {scalar}
          return %u, %v, %dual, %value, %mass : {u}, {v}, {scalar}, {scalar}, {scalar}
        }}"""


@pytest.mark.parametrize(
    "n, m, d, metric, element, batch, biased, known",
    [
        (150, 270, 20, "sqeuclidean", "f32", None, False, True),
        (130, 257, 17, "cosine", "f32", None, False, False),
        (1, 300, 3, "l1", "f32", None, False, True),
        (70, 65, 5, "euclidean", "f64", None, False, False),
        (66, 70, 18, "sqeuclidean", "f64", None, True, True),
        (140, 60, 18, "sqeuclidean", "f32", 2, True, False),
    ],
)
def test_sums(n, m, d, metric, element, batch, biased, known):
    """In every order of warps the same."""
    sizes = (n, m) if known else ("?", "?")
    text = program(sizes, d, metric, element, biased, "?" if batch else None)
    head, kind = (batch,) if batch else (), NUMPY[element]
    generator = np.random.default_rng(7)
    x, y = (points(head + (k, d), s).astype(kind) for s, k in enumerate((n, m)))
    weights = []
    for k in (n, m):
        weight = generator.random(head + (k,)) + 0.1
        # What has no mass has a factor of −inf.
        weight[..., 1::7] = 0
        weights.append((weight / weight.sum(-1, keepdims=True)).astype(kind))
    bias = points((n, m), 5).astype(kind)
    inputs = [x, y, *weights] + ([bias] if biased else [])
    outputs = [(head + (k,), element) for k in (n, m)] + [(head, element)] * 3
    code = compile_kernel(text, "llvm")
    runs = [
        execute(code, "f", inputs, outputs, grid=1 + seed, seed=seed)
        for seed in (range(3) if m == 65 else [1])
    ]
    (row, column, dual, value, mass), report = runs[0]
    for found, _ in runs[1:]:
        for again, first in zip(found, runs[0][0]):
            np.testing.assert_array_equal(again, first)

    costs = sr.pairwise(x.astype(np.float64), y.astype(np.float64), metric)
    if biased:
        costs = costs + bias
    row, column = row.astype(np.float64), column.astype(np.float64)
    plan = np.exp(row[..., None] + SCALE * costs + column[..., None, :])
    close = {"f32": 3e-5, "f64": 1e-12}[element]
    np.testing.assert_allclose(value, sr.transport_cost(plan, costs), rtol=close)
    np.testing.assert_allclose(mass, sr.mass(plan), rtol=close)
    expected = sr.dual_value(row, column, *weights, plan, np.ones(head))
    np.testing.assert_allclose(dual, expected, rtol=close, atol=close)
    assert report["local_bytes"] == 0
    # Neither costs nor plan; those with a bias are not recognized in `value`.
    most = np.dtype(kind).itemsize * (n + m) * (d + 40)
    assert biased or report["global"]["written_bytes"] < most


def test_sums_of_tensor_cores():
    n, m, d = 150, 270, 24
    x_type, y_type, u, v = (
        f"tensor<{tail}xf32>" for tail in (f"{n}x{d}", f"{m}x{d}", n, m)
    )
    text = f"""
        func.func @f(%x: {x_type}, %y: {y_type}, %u: {u}, %v: {v}) -> ({u}, {u}) {{
          %s = arith.constant 0.3 : f32
          %e = tensor.empty() : {u}
          %r:2 = scaling.sum_points dot points(%x, %y : {x_type}, {y_type})
              row(%u : {u}) col(%v : {v}) x_cost(%u : {u}) scale(%s : f32)
              products(tf32) outs(%e, %e : {u}, {u}) -> {u}, {u}
          return %r#0, %r#1 : {u}, {u}
        }}"""
    x, y = rounded(points((n, d), 0) / 2), rounded(points((m, d), 1))
    row, column = points(n, 2), points(m, 3)
    column[::3] = -np.inf
    (mass, value), report = solve(text, [x, y, row, column], [((n,), "f32")] * 2)
    costs = 0.3 * sr.pairwise(x, y, "dot") + row[:, None]
    plan = np.exp(costs + row[:, None] + column).astype(np.float64)
    np.testing.assert_allclose(mass, plan.sum(-1), rtol=2e-5)
    scale = (plan * np.abs(costs)).sum(-1).max()
    np.testing.assert_allclose(value, (plan * costs).sum(-1), atol=2e-6 * scale)
    assert report["local_bytes"] == 0
    assert report["shared"]["bank_conflicts"] == 0
