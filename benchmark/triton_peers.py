"""Triton's kernels, compiled for a GPU that need not be there: what their users
would write, and the published one, `flash-sinkhorn`.

Of each, the main loop is counted in the disassembly: its instructions, over the
entries of the tile that one trip does, for each thread. A loop inside of it is
counted once, which is what it does here: a tile has all coordinates. Launches
and bytes are those of the kernels as they are written; a matrix is made into
exponentials by a kernel of its own before them, and into the plan by one after.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

#: Triton's PTX is newer than what other assemblers know, and has wgmma.
CHIP = "sm_90a"
PTXAS = get_ptxas(90).path


@triton.jit
def tiny_batched(z, plan, count, steps, BLOCK: tl.constexpr):
    """4x4 matrices: exponentials, then rows and columns in turn."""
    item = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row = tl.arange(0, 4)
    place = item[:, None, None] * 16 + row[None, :, None] * 4 + row[None, None, :]
    inside = item[:, None, None] < count
    k = tl.exp2(tl.load(z + place, mask=inside, other=0.0) * 1.4426950408889634)
    for _ in range(steps):
        k = k / tl.sum(k, axis=2)[:, :, None]
        k = k / tl.sum(k, axis=1)[:, None, :]
    tl.store(plan + place, k, mask=inside)


@triton.jit
def plain_rows(k, v, u, columns, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):
    """The half-step of rows on a matrix in memory: u = 1 / (K v)."""
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    total = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    for first in range(0, columns, BLOCK_N):
        at = first + tl.arange(0, BLOCK_N)
        tile = tl.load(k + rows[:, None] * columns + at[None, :])
        total += tile * tl.load(v + at)[None, :]
    tl.store(u + rows, 1.0 / tl.sum(total, axis=1))


@triton.jit
def cloud_rows(
    x, y, bias, potential, scale, count,
    D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """A log-sum-exp over points that are never a matrix in memory."""
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    axis = tl.arange(0, D)
    own = tl.load(x + rows[:, None] * D + axis[None, :])
    largest = tl.full([BLOCK_M], -float("inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    for first in range(0, count, BLOCK_N):
        at = first + tl.arange(0, BLOCK_N)
        other = tl.load(y + at[None, :] * D + axis[:, None])
        dot = tl.dot(own, other, input_precision=PRECISION)
        logits = dot * scale + tl.load(bias + at)[None, :]
        above = tl.maximum(largest, tl.max(logits, axis=1))
        weights = tl.exp2(logits - above[:, None])
        total = total * tl.exp2(largest - above) + tl.sum(weights, axis=1)
        largest = above
    tl.store(potential + rows, -(largest + tl.log2(total)))


@dataclass(frozen=True)
class Peer:
    """`tile` entries are done in a trip of the main loop, `half_steps` times.

    The others are not counted but known from how the kernel is written: the
    launches of so many half-steps, and the bytes that they move at a workload's
    own size.
    """

    workload: str
    kernel: object
    signature: dict
    constants: dict
    tile: int
    launches: Callable
    moved: Callable
    half_steps: int = 1
    warps: int = 4
    stages: int = 3
    #: What is divisible by 16: pointers, and sizes as users have them.
    aligned: tuple = ()


def _bytes_between_points(sizes, half_steps, block=64, dim=64):
    """A block of 64 reads its own points, and all others with a term each."""

    def sweep(n, m):
        return 4 * (n * dim + n // block * m * (dim + 1) + n)

    n, m = sizes
    return (half_steps + 1) // 2 * sweep(n, m) + half_steps // 2 * sweep(m, n)


def _bytes_of_matrix(sizes, half_steps):
    """Every half-step reads; before and after them a kernel reads and writes."""
    return 4 * prod(sizes) * (half_steps + 4)


def _tiny():
    constants = {"BLOCK": 128}
    signature = {"z": "*fp32", "plan": "*fp32", "count": "i32", "steps": "i32"}
    return Peer(
        "mhc", tiny_batched, signature, constants, 128 * 16, half_steps=2,
        launches=lambda half_steps: 1,
        moved=lambda sizes, half_steps: 8 * prod(sizes), aligned=("z", "plan"),
    )  # fmt: skip


def _rows():
    constants = {"BLOCK_M": 16, "BLOCK_N": 256}
    signature = {"k": "*fp32", "v": "*fp32", "u": "*fp32", "columns": "i32"}
    return Peer(
        "streaming", plain_rows, signature, constants, 16 * 256,
        launches=lambda half_steps: half_steps + 2, moved=_bytes_of_matrix,
        aligned=("k", "v", "u", "columns"),
    )  # fmt: skip


def _cloud(precision):
    constants = {"D": 64, "BLOCK_M": 64, "BLOCK_N": 64, "PRECISION": precision}
    signature = {
        "x": "*fp32", "y": "*fp32", "bias": "*fp32", "potential": "*fp32",
        "scale": "fp32", "count": "i32",
    }  # fmt: skip
    return Peer(
        "cloud" if precision == "ieee" else f"cloud {precision}",
        cloud_rows, signature, constants, 64 * 64,
        launches=lambda half_steps: half_steps, moved=_bytes_between_points,
        aligned=("x", "y", "bias", "potential", "count"),
        # With four, what is kept for f32 does not fit the registers.
        warps=8 if precision == "ieee" else 4,
    )  # fmt: skip


def _flash_sinkhorn(tf32):
    """The published streaming kernel, in the first of its configurations whose
    tile has all coordinates."""
    try:
        from flash_sinkhorn.kernels import sinkhorn_flashstyle_sqeuclid as flash
    except ImportError:
        return None
    constants = {
        "D": 64, "ALLOW_TF32": tf32, "DTYPE_ID": 0, "USE_EXP2": True,
        "BLOCK_M": 64, "BLOCK_N": 64, "BLOCK_K": 64, "EVEN_N": True,
    }  # fmt: skip
    floats = ("x_ptr", "y_ptr", "bias_ptr", "out_ptr")
    signature = {name: "*fp32" for name in floats}
    signature.update(
        dict.fromkeys(
            ("n", "m", "stride_x0", "stride_x1", "stride_y0", "stride_y1",
             "stride_bias", "stride_out"), "i32",
        )
    )  # fmt: skip
    signature.update(coord_scale="fp32", eps="fp32", damping="fp32")
    signature.update(CACHE_KEY_N="i32", CACHE_KEY_M="i32")
    # Triton specializes on strides of one.
    ones = ("stride_x1", "stride_y1", "stride_bias", "stride_out")
    for name in ones:
        signature[name] = "constexpr"
        constants[name] = 1
    kernel = flash._flashsinkhorn_lse_raw_kernel_impl
    # Its heuristic is the constant EVEN_N.
    while not isinstance(kernel, triton.JITFunction):
        kernel = kernel.fn
    return Peer(
        "cloud tf32" if tf32 else "cloud", kernel, signature, constants, 64 * 64,
        launches=lambda half_steps: half_steps, moved=_bytes_between_points,
        aligned=(*floats, "n", "m", "stride_x0", "stride_y0"),
        warps=4 if tf32 else 8,
    )  # fmt: skip


def peers():
    """By name; what is not installed is missing."""
    found = {
        "mhc, Triton": _tiny(),
        "streaming, Triton": _rows(),
        "cloud, Triton": _cloud("ieee"),
        "cloud tf32, Triton": _cloud("tf32"),
        "cloud, flash-sinkhorn": _flash_sinkhorn(False),
        "cloud tf32, flash-sinkhorn": _flash_sinkhorn(True),
    }
    return {name: peer for name, peer in found.items() if peer}


@dataclass
class Compiled:
    cubin: bytes
    name: str
    threads: int
    shared_bytes: int
    ptx: str = field(repr=False, default="")


def compile_peer(peer, architecture=90):
    names = peer.kernel.arg_names
    signature = dict(peer.signature)
    for name in peer.constants:
        signature[name] = "constexpr"
    attributes = {
        (names.index(name),): [["tt.divisibility", 16]] for name in peer.aligned
    }
    source = ASTSource(
        fn=peer.kernel, signature={n: signature[n] for n in names},
        constexprs={(names.index(n),): v for n, v in peer.constants.items()},
        attrs=attributes,
    )  # fmt: skip
    made = triton.compile(
        source, target=GPUTarget("cuda", architecture, 32),
        options={"num_warps": peer.warps, "num_stages": peer.stages},
    )  # fmt: skip
    return Compiled(
        made.asm["cubin"], made.metadata.name, 32 * made.metadata.num_warps,
        made.metadata.shared, made.asm["ptx"],
    )  # fmt: skip
