"""Kernels of every regime, each with launches that need all of its barriers:
more items than blocks, ends of rows and of blocks of rows, and for each version
of a kernel a size that it is for."""

import functools
from dataclasses import dataclass
from typing import Callable

import numpy as np
import test_kernel_gradients as gradients
from emulated_kernels import compile_kernel, execute
from test_kernel_points import points, reduction
from test_kernel_tensor_cores import narrow_reduction, stored, tensor_points

ORDERS = (0, 1, 2)
FIXED = "stop(#scaling.stop<fixed 6>)"
KERNEL = f"{FIXED} numerics(#scaling.numerics<kernel>)"
LOG = f"{FIXED} numerics(#scaling.numerics<log>)"


@dataclass(frozen=True)
class Launch:
    """Arrays, shapes and element types of the results, and how many blocks."""

    inputs: list
    outputs: list
    grid: int = 2


@dataclass(frozen=True)
class Workload:
    """A kernel, and launches that together need all of its barriers."""

    compile: Callable[[], str]
    launches: Callable[[], list]
    entry: str = "solve"


def find_unneeded(workload):
    """Barriers and fences that can be lost without a fault in any launch, and
    how many there are. With all of them there is none, in three orders of the
    warps."""
    code = workload.compile()
    unneeded, count = {}, 0
    for launch in workload.launches():
        for order in ORDERS:
            _, report = execute(
                code, workload.entry, launch.inputs, launch.outputs, launch.grid,
                seed=order, omit_each=order == 0,
            )  # fmt: skip
            if order != 0:
                continue
            count = len(report["orders"])
            for i, each in enumerate(report["orders"]):
                text = None if each["fault"] else (each["position"], each["times"])
                unneeded.setdefault(i, []).append(text)
    return [texts for texts in unneeded.values() if None not in texts], count


def matrices(*shapes, grid=2, element="f32"):
    rng = np.random.default_rng(1)
    dtype = {"f32": np.float32, "f64": np.float64}[element]
    return [
        Launch([rng.normal(size=shape).astype(dtype)], [(shape, element)], grid)
        for shape in shapes
    ]


def project(dims, how, *shapes, element="f32", grid=2):
    """The plan of logits."""
    matrix = f"tensor<{dims}x{element}>"
    text = f"""
        func.func @solve(%z: {matrix}) -> {matrix} {{
          %r:4 = scaling.project logits(%z : {matrix}) {how}
          return %r#0 : {matrix}
        }}"""
    return Workload(
        lambda: compile_kernel(text, "llvm"),
        lambda: matrices(*shapes, grid=grid, element=element),
    )


def balance(dims, how, *shapes):
    """The factors of a matrix."""
    *batch, n, m = dims.split("x")
    matrix = f"tensor<{dims}xf32>"
    row, col = (f"tensor<{'x'.join([*batch, size])}xf32>" for size in (n, m))
    text = f"""
        func.func @solve(%a: {matrix}) -> ({row}, {col}) {{
          %r:5 = scaling.balance matrix(%a : {matrix}) {how}
          return %r#0, %r#1 : {row}, {col}
        }}"""

    def launches():
        return [
            Launch(each.inputs, [(shape[:-1], "f32"), (shape[:-2] + shape[-1:], "f32")])
            for shape, each in zip(shapes, matrices(*shapes))
        ]

    return Workload(lambda: compile_kernel(text, "llvm"), launches)


def cloud(n, m, d, products=None, known=True):
    """Sums over points."""

    def launches():
        if products in ("bf16", "f16"):
            shapes = ((n, d), (m, d))
            x, y = (stored(tensor_points(s, 0, products), products) for s in shapes)
        else:
            x, y = points((n, d), 0) / 8, points((m, d), 1)
        inputs = [x, y, points(m, 2), np.array(-0.7, np.float32)]
        return [Launch(inputs, [((n,), "f32")] * 2)]

    def code():
        if products in ("bf16", "f16"):
            return narrow_reduction(n, m, d, products)
        x, y = (f"{n}x{d}", f"{m}x{d}") if known else ("?x?", "?x?")
        return reduction(x, y, "dot", products=products)

    return Workload(code, launches, "f")


def potentials(n, m, d, order, known=True):
    """Of squared distances."""
    x, y = (f"tensor<{s}x{d}xf32>" for s in ((n, m) if known else "??"))
    u, v = (f"tensor<{s}xf32>" for s in ((n, m) if known else "??"))
    cost = f"tensor<{n}x{m}xf32>" if known else "tensor<?x?xf32>"
    text = f"""
        func.func @solve(%x: {x}, %y: {y}) -> ({u}, {v}) {{
          %c0 = arith.constant 0 : index
          %n = tensor.dim %x, %c0 : {x}
          %m = tensor.dim %y, %c0 : {y}
          %e = tensor.empty({"" if known else "%n, %m"}) : {cost}
          %C = scaling.pairwise sqeuclidean points(%x, %y : {x}, {y})
              outs(%e : {cost}) -> {cost}
          %r:5 = scaling.sinkhorn cost(%C : {cost})
              form(#scaling.form<cost, epsilon = 2.0>)
              rows(#scaling.rule<sum, target = uniform>)
              cols(#scaling.rule<sum, target = uniform>)
              order({order}) stop(#scaling.stop<fixed 4>)
              numerics(#scaling.numerics<log>)
          return %r#0, %r#1 : {u}, {v}
        }}"""

    def launches():
        inputs = [points((n, d), 0), points((m, d), 1)]
        return [Launch(inputs, [((n,), "f32"), ((m,), "f32")])]

    return Workload(lambda: compile_kernel(text, "llvm"), launches)


def attention(batch, n, m, d, k, products=None):
    """Of heads whose logits are nowhere."""
    how = f"numerics(#scaling.numerics<log, products = {products}>)" if products else ""
    dims = "?x" if batch else ""
    q, key, v, o = (
        f"tensor<{dims}{tail}xf32>"
        for tail in (f"{n}x{d}", f"{m}x{d}", f"{m}x{k}", f"{n}x{k}")
    )
    text = f"""
        func.func @solve(%q: {q}, %k: {key}, %v: {v}) -> {o} {{
          %o:4 = scaling.attention query(%q : {q}) key(%k : {key}) value(%v : {v})
              preset(sinkformer) stop(#scaling.stop<fixed 3>)
              {how}
          return %o#0 : {o}
        }}"""

    def launches():
        sizes = [(n, d), (m, d), (m, k)]
        inputs = [points((*batch, *size), i) for i, size in enumerate(sizes)]
        return [Launch(inputs, [((*batch, n, k), "f32")])]

    return Workload(lambda: compile_kernel(text, "llvm"), launches)


def gradient(name, *shapes, grid=2):
    """Of one of the programs whose gradients are tested."""
    program = gradients.PROGRAMS[name]

    def launches():
        rng = np.random.default_rng(3)
        dtype = gradients.dtype(program)
        return [
            Launch([rng.normal(size=shape).astype(dtype) for _ in range(2)],
                   [(shape, program.element)], grid)
            for shape in shapes or [program.shape]
        ]  # fmt: skip

    return Workload(functools.partial(gradients.kernel, name), launches, "solve_vjp")


WORKLOADS = {
    "thread_kernel": project("?x4x4", KERNEL, (300, 4, 4)),
    "thread_log": project("?x4x4", LOG, (300, 4, 4)),
    "thread_ragged": project("?x3x5", KERNEL, (300, 3, 5)),
    "thread_preset": project("?x4x4", "preset(mhc)", (300, 4, 4)),
    "warp_kernel": project("?x16x16", KERNEL, (20, 16, 16)),
    "warp_log": project("?x16x16", LOG, (20, 16, 16)),
    "warp_ragged": project("?x9x12", KERNEL, (5, 9, 12)),
    "warp_narrow": project("?x33x9", LOG, (5, 33, 9)),
    "block_kernel": project("?x37x41", KERNEL, (5, 37, 41)),
    "block_log": project("?x37x41", LOG, (5, 37, 41)),
    "block_f64": project("?x37x41", KERNEL, (5, 37, 41), element="f64"),
    "block_aligned": project("?x50x68", KERNEL, (5, 50, 68)),
    "block_dynamic": project(
        "?x?x?", KERNEL, (3, 66, 41), (3, 66, 300), (3, 33, 300), (1, 34, 6004)
    ),
    "grid_kernel": project("?x?", KERNEL, (43, 300), (42, 301), (14, 6004)),
    "grid_log": project("?x?", LOG, (43, 300), (42, 301), (14, 6004)),
    "grid_aligned": project("96x516", KERNEL, (96, 516)),
    "grid_ragged": project("75x259", LOG, (75, 259)),
    "grid_long": project("96x2052", KERNEL, (96, 2052)),
    "balance_grid": balance("?x?", "preset(ruiz)", (66, 300), (66, 301), (66, 6004)),
    "balance_block": balance("?x37x41", "preset(ruiz)", (5, 37, 41)),
    "cloud": cloud(300, 520, 36),
    "cloud_unknown": cloud(300, 520, 36, known=False),
    "cloud_tf32": cloud(300, 520, 36, "tf32"),
    "cloud_tf32_unknown": cloud(300, 520, 36, "tf32", known=False),
    "cloud_bf16": cloud(300, 520, 36, "bf16"),
    "potentials": potentials(300, 460, 20, "rows_first"),
    "potentials_jacobi": potentials(300, 460, 20, "jacobi"),
    "attention_block": attention((5,), 30, 36, 16, 12),
    "attention_points": attention((), 300, 460, 36, 40),
    "attention_tf32": attention((), 300, 460, 36, 40, "tf32"),
    "attention_bf16": attention((), 300, 460, 36, 40, "bf16"),
    "gradient_thread": gradient("thread", (300, 4, 4)),
    "gradient_warp": gradient("warp", (20, 16, 16)),
    "gradient_block": gradient("block", grid=1),
    "gradient_block_dynamic": gradient(
        "block_dynamic", (3, 66, 300), (3, 68, 300), (3, 300, 12)
    ),
    "gradient_grid": gradient("grid", (43, 300), (42, 301), (44, 300)),
    "gradient_grid_aligned": gradient("grid_aligned"),
}
