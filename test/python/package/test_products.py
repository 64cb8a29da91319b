"""Matrix products and sums of other programs, against NumPy."""

import numpy as np
import pytest
import scaling

MAPS = {
    "matmul": ("m, k", "k, n", "m, n"),
    "right_transposed": ("m, k", "n, k", "m, n"),
    "left_transposed": ("k, m", "k, n", "m, n"),
    "batch": ("b, m, k", "b, k, n", "b, m, n"),
    "out_transposed": ("m, k", "n, k", "n, m"),
    "two_sums": ("m, k, b", "b, k, n", "m, n"),
    "two_rows": ("b, m, k", "k, n", "b, m, n"),
}
#: Of one vector and less, with rests, and with an inner dimension in several
#: blocks.
SIZES = [(1, 1, 1, 1), (2, 3, 5, 4), (2, 9, 33, 40), (3, 70, 300, 47), (2, 8, 64, 32)]
#: One column whose entries are copied, and rows that are a few.
LONG = [(1, 70, 9000, 1), (1, 5, 700, 600)]


def program(maps, sizes, element, dynamic):
    """A contraction whose sizes are known, open, or open in the batch."""
    loops = [x for x in "bmnk" if any(x in m for m in maps)]
    kinds = ", ".join(
        '"parallel"' if x in maps[2] else '"reduction"' for x in loops
    )  # fmt: skip
    types, attributes, shapes = [], [], []
    for m in maps:
        names = m.split(", ")
        shapes.append([sizes[x] for x in names])
        text = ["?" if x in dynamic else str(sizes[x]) for x in names]
        types.append(f"tensor<{'x'.join(text)}x{element}>")
        attributes.append(f"affine_map<({', '.join(loops)}) -> ({m})>")
    source = f"""
    func.func @main(%a: {types[0]}, %b: {types[1]}, %c: {types[2]}) -> {types[2]} {{
      %r = linalg.generic {{indexing_maps = [{', '.join(attributes)}],
          iterator_types = [{kinds}]}}
          ins(%a, %b : {types[0]}, {types[1]}) outs(%c : {types[2]}) {{
      ^bb0(%x: {element}, %y: {element}, %s: {element}):
        %p = arith.mulf %x, %y : {element}
        %t = arith.addf %s, %p : {element}
        linalg.yield %t : {element}
      }} -> {types[2]}
      return %r : {types[2]}
    }}"""
    return source, shapes


@pytest.mark.parametrize("dynamic", ["", "b", "bmnk"], ids=["known", "batch", "open"])
@pytest.mark.parametrize("name", MAPS)
def test_product(name, dynamic):
    generator = np.random.default_rng(0)
    for b, m, k, n in SIZES:
        for element in ("f32", "f64") if name == "matmul" else ("f32",):
            maps = MAPS[name]
            sizes = {"b": b, "m": m, "k": k, "n": n}
            source, shapes = program(maps, sizes, element, dynamic)
            dtype = np.float32 if element == "f32" else np.float64
            arrays = [generator.normal(size=shape).astype(dtype) for shape in shapes]
            subscripts = [text.replace(", ", "") for text in maps]
            expected = arrays[2] + np.einsum(
                f"{subscripts[0]},{subscripts[1]}->{subscripts[2]}",
                *[a.astype(np.float64) for a in arrays[:2]],
            )
            actual = scaling.compile(source).main(*arrays)
            tolerance = 1e-4 if element == "f32" else 1e-12
            np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("sizes", LONG)
def test_long_product(sizes):
    b, m, k, n = sizes
    source, shapes = program(
        MAPS["matmul"], {"b": b, "m": m, "k": k, "n": n}, "f32", ""
    )
    generator = np.random.default_rng(2)
    left, right, out = (generator.normal(size=s).astype(np.float32) for s in shapes)
    actual = scaling.compile(source).main(left, right, out)
    expected = out + left.astype(np.float64) @ right
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (3, 17), (70, 130)])
def test_sums_of_open_sizes(shape):
    source = """
    func.func @main(%x: tensor<?x?xf32>, %s: tensor<?x1xf32>, %m: tensor<?x1xf32>)
        -> (tensor<?x1xf32>, tensor<?x1xf32>) {
      %0 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>,
              affine_map<(i, j) -> (i, 0)>], iterator_types = ["parallel", "reduction"]}
          ins(%x : tensor<?x?xf32>) outs(%s : tensor<?x1xf32>) {
      ^bb0(%in: f32, %out: f32):
        %square = arith.mulf %in, %in : f32
        %sum = arith.addf %square, %out : f32
        linalg.yield %sum : f32
      } -> tensor<?x1xf32>
      %1 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>,
              affine_map<(i, j) -> (i, 0)>], iterator_types = ["parallel", "reduction"]}
          ins(%x : tensor<?x?xf32>) outs(%m : tensor<?x1xf32>) {
      ^bb0(%in: f32, %out: f32):
        %largest = arith.maximumf %in, %out : f32
        linalg.yield %largest : f32
      } -> tensor<?x1xf32>
      return %0, %1 : tensor<?x1xf32>, tensor<?x1xf32>
    }"""
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    start = np.full((shape[0], 1), 0.5, np.float32)
    sums, largest = scaling.compile(source).main(x, start, start)
    np.testing.assert_allclose(
        sums, 0.5 + (x.astype(np.float64) ** 2).sum(1, keepdims=True), rtol=1e-5
    )
    np.testing.assert_array_equal(
        largest, np.maximum(x.max(1, keepdims=True), np.float32(0.5))
    )
