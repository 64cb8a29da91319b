"""Kernels of programs with dynamic sizes, each compiled once: every element
type and domain at awkward sizes, with the warps in three orders."""

import itertools
import os

import numpy as np
import pytest
import scaling_reference as sr
from emulated_kernels import compile_kernel, execute
from programs import load, store

FULL = "SCALING_TEST_FULL" in os.environ
#: Largest relative error: of f16 and bf16, that of rounding the plan.
TOLERANCE = {"f64": 1e-12, "f32": 3e-5, "f16": 2e-3, "bf16": 1e-2}
DOMAINS = ("kernel", "log", "absorb")
SIZES = {
    "?x?": [(1, 1), (1, 33), (31, 2), (33, 65), (38, 136), (64, 64)],
    "?x?x?": [(1, 1, 1), (2, 33, 1), (1, 1, 31), (2, 9, 40), (3, 5, 34)],
}
SEEDS = (0, 1, 2)
HALF_STEPS = 5
#: A quarter of the product by default, with every value in it.
CASES = [
    (element, domain, dims)
    for i, (element, domain, dims) in enumerate(
        itertools.product(TOLERANCE, DOMAINS, SIZES)
    )
    if FULL or i % 4 == (i // 4) % 4
]


@pytest.mark.parametrize("element, domain, dims", CASES)
def test_sizes(element, domain, dims):
    matrix_type = f"tensor<{dims}x{element}>"
    code = compile_kernel(
        f"func.func @solve(%z: {matrix_type}) -> {matrix_type} {{\n"
        f"  %r:4 = scaling.project logits(%z : {matrix_type})"
        f" stop(#scaling.stop<fixed {HALF_STEPS}>)"
        f" numerics(#scaling.numerics<{domain}>)\n"
        f"  return %r#0 : {matrix_type}\n}}\n",
        "llvm",
    )
    generator = np.random.default_rng(7)
    for i, shape in enumerate(SIZES[dims]):
        given = store(generator.normal(size=shape), element)
        expected = sr.project(
            load(given, element), kind="logits", domain=domain,
            stop=sr.fixed(HALF_STEPS),
        ).plan  # fmt: skip
        first = None
        for seed in SEEDS if FULL or i == len(SIZES[dims]) - 1 else SEEDS[i % 3 :][:1]:
            (found,), _ = execute(
                code, "solve", [given], [(shape, element)], grid=3, seed=seed
            )
            np.testing.assert_allclose(
                load(found, element), expected, rtol=TOLERANCE[element], atol=1e-7
            )
            first = found if first is None else first
            np.testing.assert_array_equal(found, first)
