"""Sweeps over tiles of points: results of awkward sizes, grids and orders of
warps, and what goes through memory."""

import functools

import numpy as np
import pytest
import scaling_reference as sr
from emulated_kernels import compile_kernel, execute
from scipy.special import logsumexp

#: Rows and columns of a block's tile.
TILE = (128, 256)


@functools.cache
def reduction(x, y, metric, factor=True, scale=True, products=None):
    """The kernel of one op; `x` and `y` are shapes as MLIR writes them."""
    outs = "x".join(x.split("x")[:-1])
    other = "x".join(y.split("x")[:-1])
    arguments = [f"%x: tensor<{x}xf32>", f"%y: tensor<{y}xf32>"]
    operands = ""
    if factor:
        arguments.append(f"%g: tensor<{other}xf32>")
        operands += f" factor(%g : tensor<{other}xf32>)"
    if scale:
        arguments.append("%s: tensor<f32>")
        operands += " scale(%c : f32)"
    if products:
        operands += f" products({products})"
    out = f"tensor<{outs}xf32>"
    rank = len(outs.split("x"))
    sizes = [i for i, size in enumerate(outs.split("x")) if size == "?"]
    lines = [f"  %i{i} = arith.constant {i} : index" for i in range(rank)]
    lines += [f"  %n{i} = tensor.dim %x, %i{i} : tensor<{x}xf32>" for i in sizes]
    dims = ", ".join(f"%n{i}" for i in sizes)
    if scale:
        lines.append("  %c = tensor.extract %s[] : tensor<f32>")
    lines += [
        f"  %e0 = tensor.empty({dims}) : {out}",
        f"  %e1 = tensor.empty({dims}) : {out}",
        f"  %r:2 = scaling.reduce_points {metric} points(%x, %y : tensor<{x}xf32>,"
        f" tensor<{y}xf32>){operands} outs(%e0, %e1 : {out}, {out}) -> {out}, {out}",
        f"  return %r#0, %r#1 : {out}, {out}",
    ]
    text = f"func.func @f({', '.join(arguments)}) -> ({out}, {out}) {{\n"
    return compile_kernel(text + "\n".join(lines) + "\n}\n", "llvm")


def points(shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def check(code, x, y, metric, factor, scale=-0.7, **options):
    inputs = [x, y, factor, np.array(scale, np.float32)]
    shape = x.shape[:-1]
    (most, total), report = execute(
        code, "f", inputs, [(shape, "f32"), (shape, "f32")], **options
    )
    with np.errstate(divide="ignore"):
        exponents = scale * sr.pairwise(x, y, metric) + factor[..., None, :]
        expected = logsumexp(exponents.astype(np.float64), axis=-1)
        found = most.astype(np.float64) + np.log(total.astype(np.float64))
    if x.shape[-1]:
        np.testing.assert_allclose(most, exponents.max(-1), rtol=2e-6, atol=2e-5)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-5)
    assert report["local_bytes"] == 0
    return most, total, report


@pytest.mark.parametrize("metric", ["dot", "sqeuclidean", "euclidean", "l1"])
@pytest.mark.parametrize(
    "n, m, d", [(1, 1, 1), (130, 257, 3), (129, 300, 19), (60, 513, 36)]
)
def test_sizes(metric, n, m, d):
    code = reduction(f"{n}x{d}", f"{m}x{d}", metric)
    check(code, points((n, d), 0), points((m, d), 1), metric, points(m, 2))


@pytest.mark.parametrize("metric", ["dot", "sqeuclidean"])
def test_unknown_sizes(metric):
    code = reduction("?x?", "?x?", metric)
    for n, m, d in ((1, 2, 1), (140, 270, 33), (3, 600, 70)):
        check(code, points((n, d), 0), points((m, d), 1), metric, points(m, 2))


def test_many_coordinates():
    """More than stay in shared memory."""
    code = reduction("130x132", "260x132", "dot")
    x, y = points((130, 132), 0) / 10, points((260, 132), 1)
    check(code, x, y, "dot", points(260, 2))


def test_batches():
    code = reduction("?x3x70x20", "3x90x20", "dot")
    x, y = points((2, 3, 70, 20), 0), points((3, 90, 20), 1)
    check(code, x, y, "dot", points((3, 90), 2), grid=4)


def test_columns_without_mass():
    code = reduction("40x16", "300x16", "dot")
    factor = points(300, 2)
    factor[::2] = -np.inf
    x, y = points((40, 16), 0), points((300, 16), 1)
    check(code, x, y, "dot", factor)
    inputs = [x, y, np.full(300, -np.inf, np.float32), np.array(1, np.float32)]
    (most, total), _ = execute(code, "f", inputs, [((40,), "f32")] * 2)
    assert np.isfinite(most).all() and (most < -1e37).all()
    assert (total == 0).all()


def test_not_a_number_is_seen():
    code = reduction("40x16", "300x16", "dot")
    y = points((300, 16), 1)
    y[257, 3] = np.nan
    inputs = [points((40, 16), 0), y, points(300, 2), np.array(1, np.float32)]
    (_, total), _ = execute(code, "f", inputs, [((40,), "f32")] * 2)
    assert np.isnan(total).all()


def test_bits_do_not_depend_on_the_launch():
    code = reduction("300x24", "280x24", "dot")
    x, y, g = points((300, 24), 0), points((280, 24), 1), points(280, 2)
    first = check(code, x, y, "dot", g, grid=1)
    for grid, seed in ((2, 1), (3, 2), (5, 3)):
        again = check(code, x, y, "dot", g, grid=grid, seed=seed)
        np.testing.assert_array_equal(again[0], first[0])
        np.testing.assert_array_equal(again[1], first[1])


def test_memory():
    """A block reads the other points once, in whole sectors, and its own."""
    n, m, d = 2 * TILE[0], 2 * TILE[1], 64
    code = reduction(f"{n}x{d}", f"{m}x{d}", "dot")
    x, y, g = points((n, d), 0) / 8, points((m, d), 1), points(m, 2)
    counts = check(code, x, y, "dot", g)[2]
    blocks = n // TILE[0]
    least = 4 * (blocks * (m * d + m) + n * d + 2 * n)
    moved = counts["global"]["read_bytes"] + counts["global"]["written_bytes"]
    assert moved <= least + 4 * blocks * 256
    assert counts["global"]["read_sectors"] == counts["global"]["read_sectors_ideal"]
    assert counts["shared"]["bank_conflicts"] == 0


@pytest.mark.parametrize("d", [8, 12, 16, 24, 48])
def test_rows_of_few_vectors(d):
    """Of whatever number of vectors rows are: lanes that copy them together do
    not meet in banks, and leave no sector half read."""
    n, m = 140, 300
    code = reduction(f"{n}x{d}", f"{m}x{d}", "dot")
    x, y = points((n, d), 0) / 8, points((m, d), 1)
    counts = check(code, x, y, "dot", points(m, 2))[2]
    assert counts["shared"]["bank_conflicts"] == 0
    assert (
        counts["global"]["read_sectors"] < 1.01 * counts["global"]["read_sectors_ideal"]
    )


def solve(text, inputs, outputs, **options):
    return execute(compile_kernel(text, "llvm"), "f", inputs, outputs, **options)


@pytest.mark.parametrize("order", ["rows_first", "jacobi"])
@pytest.mark.parametrize("size", ["static", "dynamic"])
@pytest.mark.parametrize(
    "metric, d", [("sqeuclidean", 3), ("sqeuclidean", 20), ("l1", 5)]
)
def test_potentials(metric, d, size, order):
    """Of clouds that are far from the origin."""
    n, m, epsilon, steps = 150, 270, 0.5, 4
    sizes = (n, m, d) if size == "static" else ("?", "?", d)
    x_type, y_type = (f"tensor<{k}x{d}xf32>" for k in sizes[:2])
    u_type, v_type = (f"tensor<{k}xf32>" for k in sizes[:2])
    matrix = f"tensor<{sizes[0]}x{sizes[1]}xf32>"
    dims = "%n, %m" if size == "dynamic" else ""
    text = f"""
        func.func @f(%x: {x_type}, %y: {y_type}) -> ({u_type}, {v_type}) {{
          %c0 = arith.constant 0 : index
          %n = tensor.dim %x, %c0 : {x_type}
          %m = tensor.dim %y, %c0 : {y_type}
          %e = tensor.empty({dims}) : {matrix}
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
    x, y = points((n, d), 0) / 4 + 3, points((m, d), 1) / 4 + 3
    (f, g), report = solve(text, [x, y], [((n,), "f32"), ((m,), "f32")], grid=3)
    rule = sr.Rule(target="uniform")
    expected = sr.sinkhorn(
        sr.pairwise(x, y, metric), form=sr.Form(epsilon=epsilon), rows=rule,
        cols=rule, order=order, stop=sr.fixed(steps),
    )  # fmt: skip
    np.testing.assert_allclose(f, expected.f, rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(g, expected.g, rtol=1e-5, atol=2e-5)
    # The costs are nowhere.
    assert report["global"]["written_bytes"] < 4 * n * m


@pytest.mark.parametrize(
    "n, m, d, k", [(130, 70, 32, 64), (5, 200, 3, 7), (129, 65, 36, 132)]
)
@pytest.mark.parametrize("known", [True, False])
def test_products_with_the_plan(n, m, d, k, known):
    sizes = (n, m, d, k) if known else "?" * 4
    x_type = f"tensor<{sizes[0]}x{sizes[2]}xf32>"
    y_type = f"tensor<{sizes[1]}x{sizes[2]}xf32>"
    v_type = f"tensor<{sizes[1]}x{sizes[3]}xf32>"
    o_type = f"tensor<{sizes[0]}x{sizes[3]}xf32>"
    row_type, col_type = f"tensor<{sizes[0]}xf32>", f"tensor<{sizes[1]}xf32>"
    text = f"""
        func.func @f(%x: {x_type}, %y: {y_type}, %u: {row_type}, %v: {col_type},
                     %V: {v_type}) -> {o_type} {{
          %c0 = arith.constant 0 : index
          %c1 = arith.constant 1 : index
          %s = arith.constant 0.25 : f32
          %n = tensor.dim %x, %c0 : {x_type}
          %k = tensor.dim %V, %c1 : {v_type}
          %e = tensor.empty({"" if known else "%n, %k"}) : {o_type}
          %o = scaling.apply_points dot points(%x, %y : {x_type}, {y_type})
              row(%u : {row_type}) col(%v : {col_type}) scale(%s : f32)
              operand(%V : {v_type}) outs(%e : {o_type}) -> {o_type}
          return %o : {o_type}
        }}"""
    x, y, values = points((n, d), 0), points((m, d), 1), points((m, k), 2)
    row, col = points(n, 3), points(m, 4)
    row[-1], col[::3] = -np.inf, -np.inf
    inputs = [x, y, row, col, values]
    (found,), report = solve(text, inputs, [((n, k), "f32")], grid=3)
    logits = 0.25 * sr.pairwise(x, y, "dot")
    expected = np.exp(logits + row[:, None] + col) @ values
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6 * scale)
    assert (found[-1] == 0).all()
    if known and d == 32:
        assert report["shared"]["bank_conflicts"] == 0
    assert report["local_bytes"] == 0


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("heads", ["?x2x", ""])
def test_attention(heads, masks):
    """The logits and the plan are nowhere."""
    # Larger than what is resident.
    n, m, d, k = 230, 236, 16, 12
    batch = (1, 2) if heads else ()
    q, key, v, row, col = (
        f"tensor<{heads}{tail}>"
        for tail in (
            f"{n}x{d}xf32",
            f"{m}x{d}xf32",
            f"{m}x{k}xf32",
            f"{n}xi1",
            f"{m}xi1",
        )
    )
    o = f"tensor<{heads}{n}x{k}xf32>"
    arguments = f"%q: {q}, %k: {key}, %v: {v}"
    extra = ""
    if masks:
        arguments += f", %r: {row}, %c: {col}"
        extra = f" row_mask(%r : {row}) col_mask(%c : {col})"
    text = f"""
        func.func @f({arguments}) -> {o} {{
          %o:4 = scaling.attention query(%q : {q}) key(%k : {key})
              value(%v : {v}){extra} preset(sinkformer) stop(#scaling.stop<fixed 3>)
          return %o#0 : {o}
        }}"""
    inputs = [
        points(batch + size, i) for i, size in enumerate([(n, d), (m, d), (m, k)])
    ]
    keep = {}
    if masks:
        generator = np.random.default_rng(5)
        keep["row_mask"] = generator.random(batch + (n,)) < 0.8
        keep["col_mask"] = generator.random(batch + (m,)) < 0.8
    (found,), report = solve(
        text, inputs + list(keep.values()), [(batch + (n, k), "f32")], grid=3
    )
    expected = sr.attention(*inputs, **keep, stop=sr.fixed(3)).output
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
    assert report["global"]["written_bytes"] < 4 * n * m * max(1, int(np.prod(batch)))
