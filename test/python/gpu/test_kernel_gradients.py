"""Gradients as GPU kernels of every regime, against central differences of the
reference; of tiny batches, also how they are launched and what they move."""

import functools
from dataclasses import dataclass

import numpy as np
import pytest
import scaling_reference as sr
from emulated_kernels import attributes, compile_kernel, differentiate, execute
from scaling_reference import presets

STEP = 1e-5


KERNEL = "stop(#scaling.stop<fixed 6>) numerics(#scaling.numerics<kernel>)"
LOG = "stop(#scaling.stop<fixed 6>) numerics(#scaling.numerics<log>)"


@dataclass(frozen=True)
class Project:
    """The plan of logits. `options` are those of the derivative."""

    type: str
    shape: tuple
    element: str = "f32"
    attributes: str = KERNEL
    options: str = ""

    def text(self):
        matrix = f"tensor<{self.type}x{self.element}>"
        return (
            f"func.func @solve(%z: {matrix}) -> {matrix} {{\n"
            f"  %r:4 = scaling.project logits(%z : {matrix}) {self.attributes}\n"
            f"  return %r#0 : {matrix}\n}}\n"
        )

    def inputs(self):
        return [np.random.default_rng(3).normal(size=self.shape)]

    def reference(self, z):
        if self.attributes == PRESET:
            return [presets.mhc(z)]
        domain = "kernel" if self.attributes == KERNEL else "log"
        return [sr.project(z, kind="logits", domain=domain, stop=sr.fixed(6)).plan]


@dataclass(frozen=True)
class Points:
    """The potentials of squared distances."""

    rows: int = 40
    cols: int = 52
    dim: int = 3
    element: str = "f32"
    options: str = ""

    def text(self):
        n, m = self.rows, self.cols
        x, y, cost, f, g = (
            f"tensor<{s}xf32>"
            for s in (f"{n}x{self.dim}", f"{m}x{self.dim}", f"{n}x{m}", n, m)
        )
        return (
            f"func.func @solve(%x: {x}, %y: {y}) -> ({f}, {g}) {{\n"
            f"  %e = tensor.empty() : {cost}\n"
            f"  %c = scaling.pairwise sqeuclidean points(%x, %y : {x}, {y})"
            f" outs(%e : {cost}) -> {cost}\n"
            f"  %r:5 = scaling.sinkhorn cost(%c : {cost})"
            f" form(#scaling.form<cost, epsilon = 2.0>)"
            f" rows(#scaling.rule<sum, target = uniform>)"
            f" cols(#scaling.rule<sum, target = uniform>) {LOG}\n"
            f"  return %r#0, %r#1 : {f}, {g}\n}}\n"
        )

    def inputs(self):
        rng = np.random.default_rng(3)
        return [rng.normal(size=(n, self.dim)) for n in (self.rows, self.cols)]

    def reference(self, x, y):
        cost = ((x[:, None] - y[None]) ** 2).sum(-1)
        logits, f, g = -cost / 2, np.zeros(self.rows), np.zeros(self.cols)
        for _ in range(3):
            f = -np.log(self.rows) - _log_sum(logits + g)
            g = -np.log(self.cols) - _log_sum(logits.T + f)
        return [2 * f, 2 * g]


def _log_sum(logits):
    most = logits.max(-1, keepdims=True)
    return (most + np.log(np.exp(logits - most).sum(-1, keepdims=True)))[..., 0]


PRESET = "preset(mhc)"
PROGRAMS = {
    "thread": Project("?x4x4", (130, 4, 4)),
    "thread_log": Project("?x4x4", (33, 4, 4), attributes=LOG),
    "thread_preset": Project("?x4x4", (33, 4, 4), attributes=PRESET),
    "thread_segments": Project("?x4x4", (33, 4, 4), options="checkpoints=2"),
    "thread_f64": Project("?x3x5", (33, 3, 5), "f64"),
    "warp": Project("?x16x16", (3, 16, 16)),
    "warp_log": Project("?x9x12", (3, 9, 12), "f64", LOG),
    "block": Project("2x37x41", (2, 37, 41), attributes=LOG),
    "block_dynamic": Project("?x?x?", (2, 9, 13)),
    "grid": Project("?x?", (21, 35), attributes=LOG),
    "grid_aligned": Project("24x260", (24, 260)),
    "cloud": Points(),
}


def dtype(program):
    return {"f32": np.float32, "f64": np.float64}[program.element]


@functools.cache
def kernel(name):
    program = PROGRAMS[name]
    return compile_kernel(differentiate(program.text(), program.options), "llvm")


def rounded(arrays, program):
    return [x.astype(dtype(program)) for x in arrays]


def gradients(name, **options):
    """Of the results' products with cotangents, and these."""
    program = PROGRAMS[name]
    inputs = rounded(program.inputs(), program)
    rng = np.random.default_rng(4)
    weights = rounded(
        [rng.normal(size=result.shape) for result in program.reference(*inputs)],
        program,
    )
    found, report = execute(
        kernel(name), "solve_vjp", [*inputs, *weights],
        [(x.shape, program.element) for x in inputs], **options,
    )  # fmt: skip
    return found, weights, report


def slopes(program, position, direction, weights):
    """Of the weighted sums along a direction: of each element of a batch."""

    def value(step):
        moved = [x.astype(np.float64) for x in rounded(program.inputs(), program)]
        moved[position] = moved[position] + step * direction
        return sum(
            (result * w).sum(tuple(range(max(0, result.ndim - 2), result.ndim)))
            for result, w in zip(program.reference(*moved), weights)
        )

    return (value(STEP) - value(-STEP)) / (2 * STEP)


@pytest.mark.parametrize("name", PROGRAMS)
def test_against_differences(name):
    program = PROGRAMS[name]
    found, weights, report = gradients(name)
    rng = np.random.default_rng(5)
    tolerance = 1e-6 if program.element == "f64" else 1e-4
    for position, gradient in enumerate(found):
        direction = rng.normal(size=gradient.shape)
        products = gradient * direction
        np.testing.assert_allclose(
            products.sum((-2, -1)),
            slopes(program, position, direction, weights),
            rtol=0,
            atol=tolerance * np.abs(products).sum((-2, -1)).max(),
        )
    assert report["local_bytes"] == 0


@pytest.mark.parametrize(
    "name", [k for k in PROGRAMS if k.startswith(("thread", "warp")) or k == "block"]
)
def test_batches_take_one_launch(name):
    """Without barriers of the grid. Of tiny matrices, these and a cotangent come
    in, and a gradient goes out."""
    assert "scaling.cooperative" not in attributes(kernel(name), "solve_vjp")
    if not name.startswith("thread"):
        return
    found, weights, report = gradients(name)
    counts = report["global"]
    assert counts["read_bytes"] == 2 * weights[0].nbytes
    assert counts["written_bytes"] == found[0].nbytes
