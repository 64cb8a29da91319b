#!/usr/bin/env python3
"""What products of tensor cores cost in accuracy, without a GPU.

    benchmark/gpu_accuracy.py [--bin build/bin] [--points 256]

Two clouds of normal points in 64 dimensions, after 20 half-steps at two
temperatures, and an attention of as many heads' entries, are compiled for sm_90
with products of every type, executed by the emulator, and compared with NumPy in
f64. Prints two tables: of clouds, the largest absolute difference of a
potential, the differences of the plan's entries, added up, over its mass, and
the relative one of its cost; of the attention, the root of the mean square of
the differences over that of the output, and the largest one over the latter.
The emulator adds exactly and rounds once for each instruction.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [
    str(ROOT / "test" / path)
    for path in ("python/gpu", "python/execution", "python", "reference")
]

PRODUCTS = ("f32", "tf32", "f16", "bf16")
DIM, HALF_STEPS = 64, 20
TEMPERATURES = (16.0, 1.0)


def cloud(points, epsilon, products):
    """Potentials of uniform clouds, and what they are to be."""
    import scaling_reference as sr
    from emulated_kernels import compile_kernel, execute

    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, points, DIM)).astype(np.float32)
    matrix, vector = f"tensor<{points}x{points}xf32>", f"tensor<{points}xf32>"
    side = f"tensor<{points}x{DIM}xf32>"
    uniform = "#scaling.rule<sum, target = uniform>"
    code = compile_kernel(
        f"func.func @solve(%x: {side}, %y: {side}) -> ({vector}, {vector}) {{\n"
        f"  %e = tensor.empty() : {matrix}\n"
        f"  %c = scaling.pairwise sqeuclidean points(%x, %y : {side}, {side})"
        f" outs(%e : {matrix}) -> {matrix}\n"
        f"  %r:5 = scaling.sinkhorn cost(%c : {matrix})"
        f" form(#scaling.form<cost, epsilon = {epsilon}>)"
        f" rows({uniform}) cols({uniform}) stop(#scaling.stop<fixed {HALF_STEPS}>)"
        f" numerics(#scaling.numerics<log, products = {products}>)\n"
        f"  return %r#0, %r#1 : {vector}, {vector}\n}}\n",
        "llvm",
    )
    found, _ = execute(
        code, "solve", [x, y], [((points,), "f32")] * 2, grid=points // 128, races=False
    )
    costs = sr.pairwise(x, y, "sqeuclidean")
    rule = sr.Rule(target="uniform")
    expected = sr.sinkhorn(
        costs, form=sr.Form(epsilon=epsilon), rows=rule, cols=rule,
        stop=sr.fixed(HALF_STEPS),
    )  # fmt: skip

    def plan(f, g):
        return np.exp((f[:, None].astype(np.float64) + g - costs) / epsilon)

    made, wanted = plan(*found), plan(expected.f, expected.g)
    return (
        max(np.abs(a - b).max() for a, b in zip(found, (expected.f, expected.g))),
        np.abs(made - wanted).sum() / wanted.sum(),
        abs((made * costs).sum() / (wanted * costs).sum() - 1),
    )


def attention(points, products):
    import scaling_reference as sr
    from emulated_kernels import compile_kernel, execute

    generator = np.random.default_rng(0)
    given = generator.normal(size=(3, points, DIM)).astype(np.float32)
    side = f"tensor<{points}x{DIM}xf32>"
    code = compile_kernel(
        f"func.func @solve(%q: {side}, %k: {side}, %v: {side}) -> {side} {{\n"
        f"  %r:4 = scaling.attention query(%q : {side}) key(%k : {side})"
        f" value(%v : {side}) preset(sinkformer)"
        f" numerics(#scaling.numerics<log, products = {products}>)\n"
        f"  return %r#0 : {side}\n}}\n",
        "llvm",
    )
    (found,), _ = execute(
        code, "solve", list(given), [((points, DIM), "f32")], grid=points // 128,
        races=False,
    )  # fmt: skip
    expected = sr.attention(*given).output
    scale = np.sqrt(np.mean(expected**2))
    error = np.abs(found - expected)
    return np.sqrt(np.mean(error**2)) / scale, error.max() / scale


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=Path, default=ROOT / "build" / "bin")
    parser.add_argument("--points", type=int, default=256)
    arguments = parser.parse_args()
    os.environ["SCALING_BIN"] = str(arguments.bin.resolve())

    def show(*columns):
        print("| " + " | ".join(columns) + " |", flush=True)

    show("cloud", "epsilon", "potentials, at most", "plan, of its mass", "its cost")
    for epsilon in TEMPERATURES:
        for products in PRODUCTS:
            found = cloud(arguments.points, epsilon, products)
            show(products, f"{epsilon:g}", *(f"{number:.1e}" for number in found))
    show("attention", "root mean square", "at most")
    for products in PRODUCTS:
        show(products, *(f"{n:.1e}" for n in attention(arguments.points, products)))


if __name__ == "__main__":
    main()
