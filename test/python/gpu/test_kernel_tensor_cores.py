"""Sweeps over tiles of points whose products are those of tensor cores: numbers
of tf32, bf16 and f16, sums of f32."""

import functools

import numpy as np
import pytest
import scaling_reference as sr
from emulated_kernels import compile_kernel, execute
from scipy.special import logsumexp
from test_kernel_points import check, points, reduction, solve


def rounded(values, products="tf32"):
    """The nearest numbers of tf32, ties away from zero; of bf16 or f16, to even."""
    if products == "f16":
        return np.asarray(values, np.float16).astype(np.float32)
    bits = np.asarray(values, np.float32).view(np.uint32)
    if products == "tf32":
        return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)
    bits = bits + np.uint32(0x7FFF) + (bits >> 16 & np.uint32(1))
    return (bits & np.uint32(0xFFFF0000)).view(np.float32)


def tensor_points(shape, seed, products="tf32"):
    return rounded(points(shape, seed), products)


@functools.cache
def narrow_reduction(n, m, d, products):
    """The kernel of one op on points of bf16 or f16."""
    return compile_kernel(
        f"""
        func.func @f(%x: tensor<{n}x{d}x{products}>, %y: tensor<{m}x{d}x{products}>,
                     %g: tensor<{m}xf32>, %s: tensor<f32>)
            -> (tensor<{n}xf32>, tensor<{n}xf32>) {{
          %c = tensor.extract %s[] : tensor<f32>
          %e0 = tensor.empty() : tensor<{n}xf32>
          %e1 = tensor.empty() : tensor<{n}xf32>
          %r:2 = scaling.reduce_points dot
              points(%x, %y : tensor<{n}x{d}x{products}>, tensor<{m}x{d}x{products}>)
              factor(%g : tensor<{m}xf32>) scale(%c : f32) products({products})
              outs(%e0, %e1 : tensor<{n}xf32>, tensor<{n}xf32>)
              -> tensor<{n}xf32>, tensor<{n}xf32>
          return %r#0, %r#1 : tensor<{n}xf32>, tensor<{n}xf32>
        }}""",
        "llvm",
    )


def stored(values, products):
    """As they are; or as f16, or the bits of bf16."""
    if products == "tf32":
        return values
    if products == "f16":
        return values.astype(np.float16)
    return (values.view(np.uint32) >> 16).astype(np.uint16)


@pytest.mark.parametrize(
    "n, m, d",
    [(1, 1, 16), (130, 257, 19), (129, 300, 64), (60, 513, 36), (130, 260, 132)],
)
def test_tensor_sizes(n, m, d):
    """In every order of warps the same."""
    code = reduction(f"{n}x{d}", f"{m}x{d}", "dot", products="tf32")
    x, y = tensor_points((n, d), 0) / 4, tensor_points((m, d), 1)
    found = [
        check(code, x, y, "dot", points(m, 2), seed=seed)[:2]
        for seed in (range(3) if m == 257 else [0])
    ]
    for again in found[1:]:
        np.testing.assert_array_equal(again, found[0])


@pytest.mark.parametrize("products", ["bf16", "f16"])
@pytest.mark.parametrize(
    "n, m, d", [(1, 1, 2), (130, 257, 18), (129, 300, 64), (60, 513, 264)]
)
def test_narrow_sizes(n, m, d, products, scale=-0.7):
    x = tensor_points((n, d), 0, products) / 4
    y, factor = tensor_points((m, d), 1, products), points(m, 2)
    scale = np.array(scale, np.float32)
    inputs = [stored(x, products), stored(y, products), factor, scale]
    (most, total), report = execute(
        narrow_reduction(n, m, d, products), "f", inputs, [((n,), "f32")] * 2
    )
    exponents = (scale * sr.pairwise(x, y, "dot") + factor).astype(np.float64)
    rtol = 2e-6
    np.testing.assert_allclose(most, exponents.max(-1), rtol=rtol, atol=2e-5)
    found = most.astype(np.float64) + np.log(total.astype(np.float64))
    np.testing.assert_allclose(found, logsumexp(exponents, -1), rtol=rtol, atol=2e-5)
    if d == 64:
        assert report["shared"]["bank_conflicts"] == 0


@pytest.mark.parametrize("products", ["tf32", "bf16"])
def test_tensor_rows_of_few_vectors(products):
    """Which lanes that copy them together share among them."""
    n, m, words = 140, 300, 24
    d = words if products == "tf32" else 2 * words
    x = tensor_points((n, d), 0, products) / 4
    y = tensor_points((m, d), 1, products)
    if products == "tf32":
        code = reduction(f"{n}x{d}", f"{m}x{d}", "dot", products=products)
        report = check(code, x, y, "dot", points(m, 2))[2]
    else:
        code = narrow_reduction(n, m, d, products)
        inputs = [stored(x, products), stored(y, products), points(m, 2)]
        inputs.append(np.array(1, np.float32))
        report = execute(code, "f", inputs, [((n,), "f32")] * 2)[1]
    assert report["shared"]["bank_conflicts"] == 0


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e-42, -1.9999999, 7e3, -3e5])
def test_scales_of_f16(scale):
    """Large ones are not in the coordinates."""
    test_narrow_sizes(60, 300, 16, "f16", scale)


def test_no_mass_of_f16():
    n, m, d = 60, 300, 16
    x, y = (tensor_points((s, d), i, "f16") for i, s in enumerate((n, m)))
    for scale in (0.3, 1e6):
        inputs = [stored(x, "f16"), stored(y, "f16")]
        inputs += [np.full(m, -np.inf, np.float32), np.array(scale, np.float32)]
        (most, total), _ = execute(
            narrow_reduction(n, m, d, "f16"), "f", inputs, [((n,), "f32")] * 2
        )
        assert np.isfinite(most).all() and (most < -1e37).all()
        assert (total == 0).all()


def test_tensor_unknown_sizes():
    code = reduction("?x?", "?x?", "dot", products="tf32")
    for n, m, d in ((1, 2, 1), (140, 270, 33), (3, 600, 70)):
        x, y = tensor_points((n, d), 0) / 4, tensor_points((m, d), 1)
        check(code, x, y, "dot", points(m, 2), scale=0.3)


@pytest.mark.parametrize("scale", [0.0, 1.0, -1.9999999, 3e-30, 1e-42])
def test_tensor_scales(scale):
    """Of which a power of two is taken off."""
    code = reduction("40x16", "300x16", "dot", products="tf32")
    x, y = tensor_points((40, 16), 0), tensor_points((300, 16), 1)
    check(code, x, y, "dot", points(300, 2), scale=scale)


def test_tensor_columns_without_mass():
    code = reduction("40x16", "300x16", "dot", products="tf32")
    factor = points(300, 2)
    factor[::2] = -np.inf
    x, y = tensor_points((40, 16), 0), tensor_points((300, 16), 1)
    check(code, x, y, "dot", factor)
    inputs = [x, y, np.full(300, -np.inf, np.float32), np.array(1.3, np.float32)]
    (most, total), _ = execute(code, "f", inputs, [((40,), "f32")] * 2)
    assert np.isfinite(most).all() and (most < -1e37).all()
    assert (total == 0).all()


def test_tensor_not_a_number_is_seen():
    code = reduction("40x16", "300x16", "dot", products="tf32")
    y = tensor_points((300, 16), 1)
    y[257, 3] = np.nan
    x, g = tensor_points((40, 16), 0), points(300, 2)
    for values, scale in ((y, 1), (np.nan_to_num(y), np.nan)):
        inputs = [x, values, g, np.array(scale, np.float32)]
        (_, total), _ = execute(code, "f", inputs, [((40,), "f32")] * 2)
        assert np.isnan(total).all()


def test_tensor_memory():
    n, m, d = 256, 512, 64
    code = reduction(f"{n}x{d}", f"{m}x{d}", "dot", products="tf32")
    x, y = tensor_points((n, d), 0) / 8, tensor_points((m, d), 1)
    counts = check(code, x, y, "dot", points(m, 2))[2]
    assert counts["global"]["read_sectors"] == counts["global"]["read_sectors_ideal"]
    assert counts["shared"]["bank_conflicts"] == 0


def cloud(n, m, d, epsilon, steps, products, known=True):
    sizes = (n, m) if known else ("?", "?")
    x_type, y_type = (f"tensor<{k}x{d}xf32>" for k in sizes)
    u_type, v_type = (f"tensor<{k}xf32>" for k in sizes)
    matrix = f"tensor<{sizes[0]}x{sizes[1]}xf32>"
    return f"""
        func.func @f(%x: {x_type}, %y: {y_type}) -> ({u_type}, {v_type}) {{
          %c0 = arith.constant 0 : index
          %n = tensor.dim %x, %c0 : {x_type}
          %m = tensor.dim %y, %c0 : {y_type}
          %e = tensor.empty({"" if known else "%n, %m"}) : {matrix}
          %C = scaling.pairwise sqeuclidean points(%x, %y : {x_type}, {y_type})
              outs(%e : {matrix}) -> {matrix}
          %r:5 = scaling.sinkhorn cost(%C : {matrix})
              form(#scaling.form<cost, epsilon = {epsilon}>)
              rows(#scaling.rule<sum, target = uniform>)
              cols(#scaling.rule<sum, target = uniform>)
              stop(#scaling.stop<fixed {steps}>)
              numerics(#scaling.numerics<log, products = {products}>)
          return %r#0, %r#1 : {u_type}, {v_type}
        }}"""


def potentials(x, y, epsilon, steps):
    rule = sr.Rule(target="uniform")
    return sr.sinkhorn(
        sr.pairwise(x, y, "sqeuclidean"), form=sr.Form(epsilon=epsilon), rows=rule,
        cols=rule, stop=sr.fixed(steps),
    )  # fmt: skip


@pytest.mark.parametrize(
    "products, n, m, d, known",
    [
        ("tf32", 150, 270, 20, True),
        ("tf32", 150, 270, 20, False),
        # Whole tiles.
        ("tf32", 256, 512, 64, True),
        ("bf16", 150, 270, 20, True),
        ("bf16", 128, 512, 64, True),
        # The coordinates are no pairs: those of tf32.
        ("bf16", 40, 70, 17, True),
        ("f16", 150, 270, 20, True),
        ("f16", 128, 512, 64, True),
    ],
)
def test_tensor_potentials(products, n, m, d, known):
    """Of points that nothing is lost of, nor of those less their mean."""
    epsilon, steps = d / 40, 4
    x, y = (np.round(2 * points((k, d), s)) / 8 for k, s in ((n, 0), (m, 1)))
    # A mean of eight bits: zero.
    y[16:32] = -y[:16]
    (f, g), report = solve(
        cloud(n, m, d, epsilon, steps, products, known), [x, y],
        [((n,), "f32"), ((m,), "f32")], grid=3,
    )  # fmt: skip
    expected = potentials(x, y, epsilon, steps)
    np.testing.assert_allclose(f, expected.f, rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(g, expected.g, rtol=1e-5, atol=2e-5)
    # No costs.
    assert report["global"]["written_bytes"] < 8 * (n + m) * (d + 12)


@pytest.mark.parametrize(
    "products, lost", [("tf32", 2e-3), ("bf16", 2e-2), ("f16", 2e-3)]
)
def test_tensor_rounding(products, lost):
    """Of other points, the result is that of the rounded ones: a cloud is at no
    distance from itself, and its potentials are the same on either side."""
    n, d, epsilon, steps = 140, 24, 0.5, 40
    x = points((n, d), 0) / 4 + 3
    (f, g), _ = solve(
        cloud(n, n, d, epsilon, steps, products), [x, x],
        [((n,), "f32"), ((n,), "f32")], grid=3,
    )  # fmt: skip
    middle = (x[:32] / np.float32(32)).sum(0, dtype=np.float32)
    moved = rounded(x - middle, products).astype(np.float64)
    expected = potentials(moved, moved, epsilon, steps)
    np.testing.assert_allclose(f, expected.f, atol=5e-5)
    np.testing.assert_allclose(g, expected.g, atol=5e-5)
    exact = potentials(x.astype(np.float64), x.astype(np.float64), epsilon, steps)
    assert lost / 1000 < np.abs(f - exact.f).max() < lost


#: What a rounded number differs by at most.
UNITS = {"tf32": 2.0**-12, "bf16": 2.0**-9, "f16": 2.0**-12}


@pytest.mark.parametrize(
    "products, n, m, d, k",
    [
        ("tf32", 130, 70, 32, 64),
        ("tf32", 5, 200, 19, 7),
        ("tf32", 129, 65, 36, 132),
        # Two groups of columns, and rows of three tiles.
        ("tf32", 128, 192, 64, 128),
        ("bf16", 130, 70, 64, 64),
        ("bf16", 5, 200, 18, 6),
        ("bf16", 129, 65, 36, 132),
        # What is applied is no pairs: tf32.
        ("bf16", 40, 70, 32, 7),
        ("f16", 130, 70, 64, 64),
        ("f16", 5, 200, 18, 7),
    ],
)
def test_tensor_products_with_the_plan(products, n, m, d, k):
    """Entries of the plan are rounded as what they are multiplied with."""
    of_plan = "bf16" if products == "bf16" and k % 2 == 0 else "tf32"
    point = {"tf32": "f32"}.get(products, products)
    value = {"tf32": "f32"}.get(of_plan, of_plan)
    x_type, y_type = f"tensor<{n}x{d}x{point}>", f"tensor<{m}x{d}x{point}>"
    v_type, o_type = f"tensor<{m}x{k}x{value}>", f"tensor<{n}x{k}xf32>"
    row_type, col_type = f"tensor<{n}xf32>", f"tensor<{m}xf32>"
    text = f"""
        func.func @f(%x: {x_type}, %y: {y_type}, %u: {row_type}, %v: {col_type},
                     %V: {v_type}) -> {o_type} {{
          %s = arith.constant 0.3 : f32
          %e = tensor.empty() : {o_type}
          %o = scaling.apply_points dot points(%x, %y : {x_type}, {y_type})
              row(%u : {row_type}) col(%v : {col_type}) scale(%s : f32)
              products({products}) operand(%V : {v_type}) outs(%e : {o_type})
              -> {o_type}
          return %o : {o_type}
        }}"""
    x, y = (tensor_points((size, d), i, products) for i, size in enumerate((n, m)))
    values = tensor_points((m, k), 2, of_plan)
    row, col = points(n, 3), points(m, 4)
    row[-1], col[::3] = -np.inf, -np.inf
    inputs = [stored(x, products), stored(y, products), row, col]
    inputs.append(stored(values, of_plan))
    (found,), report = solve(text, inputs, [((n, k), "f32")], grid=3)
    plan = np.exp(0.3 * sr.pairwise(x, y, "dot") + row[:, None] + col)
    largest = plan @ np.abs(values)
    # Not those of f32, which nearly all sums differ from by more.
    error = np.abs(found - rounded(plan, of_plan) @ values)
    assert (error <= 2 * UNITS[of_plan] * largest + 1e-30).all()
    exact = np.abs(found - plan @ values)
    assert np.median(error[:-1]) < np.median(exact[:-1]) / 3
    assert (found[-1] == 0).all()
    if d == (32 if products == "tf32" else 64):
        assert report["shared"]["bank_conflicts"] == 0
    if (n, k) == (128, 128):
        memory = report["global"]
        assert memory["write_sectors"] == memory["write_sectors_ideal"]
    assert report["local_bytes"] == 0


@pytest.mark.parametrize(
    "products, biased, known",
    [("tf32", False, True), ("bf16", False, True), ("bf16", True, True),
     ("f16", True, True), ("tf32", True, False), ("bf16", True, False)],
)  # fmt: skip
def test_tensor_attention(products, biased, known):
    n, m, d, k = 230, 236, 16, 12
    q, key, v, o, bias = (
        f"tensor<{rows}x{columns}xf32>"
        for rows, columns in (
            ((n, d), (m, d), (m, k), (n, k), (n, m))
            if known
            else (("?", d), ("?", d), ("?", k), ("?", k), ("?", "?"))
        )
    )
    arguments, extra = f"%q: {q}, %k: {key}, %v: {v}", ""
    inputs = [points(s, i) for i, s in enumerate([(n, d), (m, d), (m, k)])]
    options = {}
    if biased:
        arguments += f", %b: {bias}"
        extra = f" bias(%b : {bias})"
        inputs.append(points((n, m), 3))
        options["bias"] = inputs[-1]
    text = f"""
        func.func @f({arguments}) -> {o} {{
          %o:4 = scaling.attention query(%q : {q}) key(%k : {key})
              value(%v : {v}){extra} preset(sinkformer) stop(#scaling.stop<fixed 3>)
              numerics(#scaling.numerics<log, products = {products}>)
          return %o#0 : {o}
        }}"""
    (found,), report = solve(text, inputs, [((n, k), "f32")], grid=3)
    expected = sr.attention(
        *(rounded(one, products) for one in inputs[:3]), stop=sr.fixed(3), **options
    ).output
    # Rounded entries of the plan, about as often up as down.
    largest = np.abs(inputs[2]).max()
    np.testing.assert_allclose(found, expected, atol=UNITS[products] / 2 * largest)
    assert report["global"]["written_bytes"] < 4 * n * m
