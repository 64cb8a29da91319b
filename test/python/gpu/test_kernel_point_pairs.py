"""Statistics of rows and columns of costs between points, from one sweep."""

import functools

import numpy as np
import pytest
import scaling_reference as sr
from emulated_kernels import compile_kernel, execute
from scipy.special import logsumexp
from test_kernel_points import points
from test_kernel_tensor_cores import rounded

NUMPY = {"f32": np.float32, "f64": np.float64}


@functools.cache
def reduction(n, m, d, metric, element="f32", products="f32", bias=None, batch=""):
    """The kernel of one op; sizes as MLIR writes them."""
    block = 128 if element == "f32" else 64
    parts = "?" if n == "?" else -(-int(n) // block)
    x, y, u, v, p = (
        f"tensor<{batch}{tail}x{element}>"
        for tail in (f"{n}x{d}", f"{m}x{d}", n, m, f"{parts}x{m}")
    )
    arguments = f"%x: {x}, %y: {y}, %f: {u}, %g: {v}, %s: tensor<{element}>"
    extra = ""
    if bias:
        shape = f"{m}x{n}" if bias == "transposed" else f"{n}x{m}"
        arguments += f", %b: tensor<{shape}x{element}>"
        transposed = "transposed" if bias == "transposed" else ""
        extra = f" bias(%b : tensor<{shape}x{element}>) {transposed}"
    first = batch.count("x")
    lines = [f"%i{k} = arith.constant {k} : index" for k in range(first + 1)]
    lines += [f"%t{k} = tensor.dim %x, %i{k} : {x}" for k in range(first)]
    lines += [
        f"%n = tensor.dim %x, %i{first} : {x}",
        f"%m = tensor.dim %y, %i{first} : {y}",
        f"%block = arith.constant {block} : index",
        "%p = arith.ceildivui %n, %block : index",
        f"%c = tensor.extract %s[] : tensor<{element}>",
    ]
    dims = [f"%t{k}" for k, size in enumerate(batch.split("x")) if size == "?"]
    dynamic = {"u": [n, "%n"], "v": [m, "%m"]}
    of_u = dims + [v for k, v in [dynamic["u"]] if k == "?"]
    of_p = dims + (["%p"] if n == "?" else []) + (["%m"] if m == "?" else [])
    lines += [f"%e{k} = tensor.empty({', '.join(of_u)}) : {u}" for k in (0, 1)]
    lines += [f"%e{k} = tensor.empty({', '.join(of_p)}) : {p}" for k in (2, 3)]
    lines += [
        f"%r:4 = scaling.reduce_points {metric} points(%x, %y : {x}, {y})"
        f" factor(%g : {v}) row_factor(%f : {u}) scale(%c : {element}){extra}"
        f" products({products}) block({block})"
        f" outs(%e0, %e1, %e2, %e3 : {u}, {u}, {p}, {p}) -> {u}, {u}, {p}, {p}",
        f"return %r#0, %r#1, %r#2, %r#3 : {u}, {u}, {p}, {p}",
    ]
    text = f"func.func @f({arguments}) -> ({u}, {u}, {p}, {p}) {{\n  "
    return compile_kernel(text + "\n  ".join(lines) + "\n}\n", "llvm")


def check(code, x, y, metric, row, column, scale=-0.7, element="f32", bias=None, **run):
    kind = NUMPY[element]
    inputs = [a.astype(kind) for a in (x, y, row, column)] + [np.array(scale, kind)]
    block = 128 if element == "f32" else 64
    n, m, batch = x.shape[-2], y.shape[-2], x.shape[:-2]
    parts = -(-n // block)
    if bias is not None:
        inputs.append(bias.astype(kind))
    outputs = [(batch + (n,), element)] * 2 + [(batch + (parts, m), element)] * 2
    found, report = execute(code, "f", inputs, outputs, **run)
    costs = inputs[4].astype(np.float64) * sr.pairwise(
        inputs[0].astype(np.float64), inputs[1].astype(np.float64), metric
    )
    if bias is not None:
        costs += inputs[5].astype(np.float64)
    close = {"f32": 2e-5, "f64": 1e-12}[element]
    in_rows = costs + inputs[3][..., None, :].astype(np.float64)
    in_columns = costs + inputs[2][..., :, None].astype(np.float64)
    with np.errstate(divide="ignore"):
        results = [a.astype(np.float64) for a in found]
        np.testing.assert_allclose(
            results[0] + np.log(results[1]),
            logsumexp(in_rows, -1), rtol=close, atol=close,
        )  # fmt: skip
        for part in range(parts):
            own = in_columns[..., part * block : (part + 1) * block, :]
            np.testing.assert_allclose(
                results[2][..., part, :] + np.log(results[3][..., part, :]),
                logsumexp(own, -2), rtol=close, atol=close,
            )  # fmt: skip
    assert report["local_bytes"] == 0
    return found, report


@pytest.mark.parametrize(
    "metric, n, m, d",
    [("dot", 1, 1, 1), ("sqeuclidean", 130, 257, 3), ("euclidean", 129, 300, 19),
     ("l1", 60, 513, 36), ("dot", 270, 70, 132)],
)  # fmt: skip
def test_pair_sizes(metric, n, m, d):
    """In every order of warps the same, and for every number of blocks."""
    code = reduction(n, m, d, metric)
    x, y = points((n, d), 0) / max(1, d / 16), points((m, d), 1)
    runs = [
        check(code, x, y, metric, points(n, 2), points(m, 3), seed=seed, grid=seed + 1)
        for seed in range(3 if n == 130 else 1)
    ]
    for found, _ in runs[1:]:
        for again, first in zip(found, runs[0][0]):
            np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize("metric", ["dot", "l1"])
def test_pair_unknown_sizes(metric):
    code = reduction("?", "?", "?", metric)
    for n, m, d in ((1, 2, 1), (140, 270, 33), (3, 600, 70)):
        x, y = points((n, d), 0), points((m, d), 1) / 4
        check(code, x, y, metric, points(n, 2), points(m, 3))


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
def test_pair_f64(metric):
    n, m, d = 70, 130, 18
    code = reduction(n, m, d, metric, element="f64")
    check(code, points((n, d), 0) / 2, points((m, d), 1), metric, points(n, 2),
          points(m, 3), element="f64")  # fmt: skip


@pytest.mark.parametrize("n, m, d", [(1, 1, 16), (130, 257, 19), (256, 512, 64)])
def test_pair_tensor_cores(n, m, d):
    code = reduction(n, m, d, "dot", products="tf32")
    x, y = rounded(points((n, d), 0) / 8), rounded(points((m, d), 1))
    runs = [
        check(code, x, y, "dot", points(n, 2), points(m, 3), seed=seed)
        for seed in range(3 if n == 130 else 1)
    ]
    for found, _ in runs[1:]:
        for again, first in zip(found, runs[0][0]):
            np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize("bias", ["straight", "transposed"])
def test_pair_bias(bias):
    n, m, d = 130, 270, 8
    code = reduction(n, m, d, "dot", bias=bias, batch="?x")
    x, y = points((2, n, d), 0), points((2, m, d), 1)
    row, column, added = points((2, n), 2), points((2, m), 3), points((n, m), 4)
    stored = added.T.copy() if bias == "transposed" else added
    inputs = [x, y, row, column, np.array(0.5, np.float32), stored]
    outputs = [((2, n), "f32")] * 2 + [((2, 2, m), "f32")] * 2
    found, report = execute(code, "f", inputs, outputs)
    costs = 0.5 * sr.pairwise(x, y, "dot") + added
    np.testing.assert_allclose(
        found[0] + np.log(found[1]), logsumexp(costs + column[:, None], -1),
        rtol=2e-5, atol=2e-5,
    )  # fmt: skip
    np.testing.assert_allclose(
        logsumexp(found[2] + np.log(found[3]), 1),
        logsumexp(costs + row[..., None], 1), rtol=2e-5, atol=2e-5,
    )  # fmt: skip
    assert report["local_bytes"] == 0


def test_pair_without_mass():
    n, m, d = 140, 300, 16
    code = reduction(n, m, d, "dot")
    x, y = points((n, d), 0), points((m, d), 1)
    row, column = points(n, 2), points(m, 3)
    row[::3], column[::2] = -np.inf, -np.inf
    row[128:] = -np.inf
    found, _ = check(code, x, y, "dot", row, column)
    assert np.isfinite(found[2]).all() and (found[2][1] < -1e37).all()
    assert (found[3][1] == 0).all()


def test_pair_not_a_number_is_seen():
    n, m, d = 40, 300, 16
    code = reduction(n, m, d, "dot")
    x, y = points((n, d), 0), points((m, d), 1)
    x[3, 5] = np.nan
    inputs = [x, y, points(n, 2), points(m, 3), np.array(1, np.float32)]
    outputs = [((n,), "f32")] * 2 + [((1, m), "f32")] * 2
    (_, in_rows, _, in_columns), _ = execute(code, "f", inputs, outputs)
    np.testing.assert_array_equal(np.isnan(in_rows), np.arange(n) == 3)
    assert np.isnan(in_columns).all()


def test_pair_memory():
    """Points are read once for both axes."""
    n, m, d = 256, 512, 64
    code = reduction(n, m, d, "dot")
    _, report = check(code, points((n, d), 0) / 8, points((m, d), 1), "dot",
                      points(n, 2), points(m, 3))  # fmt: skip
    counts = report["global"]
    least = 4 * (2 * (m * d + m) + n * d + n + 2 * n + 2 * 2 * m)
    assert counts["read_bytes"] + counts["written_bytes"] <= least + 4 * 512
    assert counts["read_sectors"] == counts["read_sectors_ideal"]
    assert report["shared"]["bank_conflicts"] == 0
    assert report["exponentials"] <= 2.5 * n * m


def iteration(n, m, d, metric, stop="fixed 4", element="f32", masks=False, anneal=""):
    """Simultaneous updates; rows and columns of unknown number are `?`."""
    x, y, u, v, r, c = (
        f"tensor<{tail}>"
        for tail in (f"{n}x{d}x{element}", f"{m}x{d}x{element}", f"{n}x{element}",
                     f"{m}x{element}", f"{n}xi1", f"{m}xi1")
    )  # fmt: skip
    matrix = f"tensor<{n}x{m}x{element}>"
    dims = ", ".join(v for k, v in ((n, "%n"), (m, "%m")) if k == "?")
    arguments, extra = f"%x: {x}, %y: {y}", ""
    if masks:
        arguments += f", %r: {r}, %c: {c}"
        extra = f" row_mask(%r : {r}) col_mask(%c : {c})"
    return f"""
        func.func @f({arguments}) -> ({u}, {v}) {{
          %c0 = arith.constant 0 : index
          %n = tensor.dim %x, %c0 : {x}
          %m = tensor.dim %y, %c0 : {y}
          %e = tensor.empty({dims}) : {matrix}
          %C = scaling.pairwise {metric} points(%x, %y : {x}, {y})
              outs(%e : {matrix}) -> {matrix}
          %q:5 = scaling.sinkhorn cost(%C : {matrix}){extra}
              form(#scaling.form<cost, epsilon = 0.5{anneal}>)
              rows(#scaling.rule<sum, target = uniform>)
              cols(#scaling.rule<sum, target = uniform>)
              order(jacobi) stop(#scaling.stop<{stop}>)
              numerics(#scaling.numerics<log>)
          return %q#0, %q#1 : {u}, {v}
        }}"""


def potentials(x, y, metric, stop, **options):
    rule = sr.Rule(target="uniform")
    return sr.sinkhorn(
        sr.pairwise(x, y, metric), form=sr.Form(epsilon=0.5), rows=rule, cols=rule,
        order="jacobi", stop=stop, **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    "n, m, d, metric, element, known",
    [
        (150, 270, 20, "sqeuclidean", "f32", True),
        (150, 270, 20, "sqeuclidean", "f32", False),
        # More rows than columns.
        (270, 40, 3, "l1", "f32", True),
        (130, 70, 18, "sqeuclidean", "f64", True),
        (70, 65, 5, "euclidean", "f64", False),
    ],
)
def test_simultaneous_updates(n, m, d, metric, element, known):
    """In every order of warps the same."""
    sizes = (n, m) if known else ("?", "?")
    code = compile_kernel(iteration(*sizes, d, metric, element=element), "llvm")
    x, y = (
        points((k, d), s).astype(NUMPY[element]) / 4 + 3 for k, s in ((n, 0), (m, 1))
    )
    runs = [
        execute(code, "f", [x, y], [((n,), element), ((m,), element)], grid=3,
                seed=seed)
        for seed in range(3)
    ]  # fmt: skip
    expected = potentials(x, y, metric, sr.fixed(4))
    close = {"f32": 2e-5, "f64": 1e-12}[element]
    for found, report in runs:
        np.testing.assert_allclose(found[0], expected.f, rtol=close, atol=close)
        np.testing.assert_allclose(found[1], expected.g, rtol=close, atol=close)
        for again, first in zip(found, runs[0][0]):
            np.testing.assert_array_equal(again, first)
        # One product for both axes, and an exponential for each.
        assert report["local_bytes"] == 0
        assert (
            report["exponentials"] < 2 * 2.8 * -(-n // 128) * 128 * -(-m // 256) * 256
        )
        # No costs.
        assert report["global"]["written_bytes"] < 8 * (n + m) * (d + 24)


def test_simultaneous_updates_of_some():
    """Rows and columns with masks, until it is good enough."""
    n, m, d = 140, 270, 4
    text = iteration("?", "?", "?", "sqeuclidean", masks=True,
                     stop="until 1.0e-3, limit = 40")  # fmt: skip
    generator = np.random.default_rng(5)
    x, y = points((n, d), 0) / 4, points((m, d), 1) / 4
    masks = [generator.random(n) < 0.8, generator.random(m) < 0.8]
    found, _ = execute(compile_kernel(text, "llvm"), "f", [x, y, *masks],
                       [((n,), "f32"), ((m,), "f32")], grid=3)  # fmt: skip
    expected = potentials(x, y, "sqeuclidean", sr.until(tol=1e-3, limit=40),
                          row_mask=masks[0], col_mask=masks[1])  # fmt: skip
    for own, right in zip(found, (expected.f, expected.g)):
        np.testing.assert_allclose(own, right, rtol=2e-5, atol=2e-5)
