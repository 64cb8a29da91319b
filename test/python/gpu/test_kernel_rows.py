"""Rows in the registers of a block: of lengths that are not multiples of what
its threads have, and blocks with fewer rows than others."""

import numpy as np
import pytest
import scaling_reference as sr
from emulated_kernels import compile_kernel, execute
from programs import load, store

#: The type, the sizes of a matrix of it, and the domain.
CASES = [
    ("70x1100xf32", (70, 1100), "kernel"),
    ("36x1030xf32", (36, 1030), "log"),
    ("40x1027xf32", (40, 1027), "kernel"),
    ("33x520xf64", (33, 520), "log"),
    ("40x2056xf16", (40, 2056), "kernel"),
    ("?x?xf32", (37, 1100), "kernel"),
    ("?x?xf32", (5, 1027), "kernel"),
    ("?x?xf32", (9, 2052), "log"),
    ("?x1026xf32", (13, 1026), "kernel"),
    ("?x?xf64", (6, 1026), "kernel"),
]
TOLERANCE = {"f64": 1e-12, "f32": 3e-5, "f16": 2e-3}
HALF_STEPS = 5


@pytest.mark.parametrize("type, shape, domain", CASES)
def test_rows(type, shape, domain):
    element = type.rsplit("x", 1)[1]
    code = compile_kernel(
        f"func.func @solve(%z: tensor<{type}>) -> tensor<{type}> {{\n"
        f"  %r:4 = scaling.project logits(%z : tensor<{type}>)"
        f" stop(#scaling.stop<fixed {HALF_STEPS}>)"
        f" numerics(#scaling.numerics<{domain}>)\n"
        f"  return %r#0 : tensor<{type}>\n}}\n",
        "llvm",
    )
    given = store(np.random.default_rng(11).normal(size=shape), element)
    expected = sr.project(
        load(given, element), kind="logits", domain=domain,
        stop=sr.fixed(HALF_STEPS),
    ).plan  # fmt: skip
    first = None
    for grid, seed in ((1, 0), (3, 1)):
        (found,), report = execute(
            code, "solve", [given], [(shape, element)], grid=grid, seed=seed
        )
        np.testing.assert_allclose(
            load(found, element), expected, rtol=TOLERANCE[element], atol=1e-7
        )
        assert report["local_bytes"] == 0
        first = found if first is None else first
        np.testing.assert_array_equal(found, first)
