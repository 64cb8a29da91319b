#!/usr/bin/env python3
"""Counts of the GPU kernels, without a GPU.

    benchmark/gpu.py [WORKLOAD,...] --bin build/bin --out build/bench-gpu

Every workload is compiled for sm_90 and executed by the emulator, at a size it
can do; the counts of a launch grow with the number of matrices, or, for one
large matrix, with its entries. Writes a table and `bench-gpu.json`, a list of

    {workload, launches, bytes_over_minimum, sectors_per_request,
     exponentials_over_minimum, instructions_per_element, registers, occupancy,
     spills, estimate_ms}

beside what each was counted on. `bytes_over_minimum` is what moves over what
must move: a batch is read and written once; a matrix that does not fit on the
chip is read once per sweep. `instructions_per_element` are those of LLVM's IR
that threads execute, per entry and half-step: a disassembly counts a little
differently. `estimate_ms` is, for each GPU,

    max(bytes / bandwidth, flops / peak, exponentials / rate of the SFUs)

at the workload's own size: a bound from below, no measurement.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [
    str(ROOT / "test" / path)
    for path in ("python/gpu", "python/execution", "python", "reference")
]

CHIP = "sm_90"


@dataclass(frozen=True)
class GPU:
    """What a data sheet says: bytes, f32 flops and base-2 exponentials in a
    second; the last is 16 for each multiprocessor and cycle."""

    bandwidth: float
    flops: float
    exponentials: float


GPUS = {
    "A100": GPU(2.039e12, 19.5e12, 108 * 16 * 1.41e9),
    "H100": GPU(3.35e12, 66.9e12, 132 * 16 * 1.98e9),
    "B200": GPU(8.0e12, 75e12, 148 * 16 * 1.96e9),
}

# A multiprocessor of sm_90.
REGISTERS, SHARED_BYTES, THREADS, BLOCKS = 65536, 233472, 2048, 32
#: What the system takes of each block's shared memory.
RESERVED_BYTES = 1024


@dataclass(frozen=True)
class Workload:
    """`type` is what the program is compiled for, `full` the size of the
    workload, `emulated` the one that is counted. `sweeps` of the matrix must
    come from memory; where it stays on the chip, one."""

    type: str
    full: tuple
    emulated: tuple
    half_steps: int
    sweeps: int = 1
    grid: int = 2


WORKLOADS = {
    "mhc": Workload("?x4x4", (32768, 4, 4), (512, 4, 4), 40),
    "resident": Workload("?x197x197", (800, 197, 197), (2, 197, 197), 6),
    "streaming": Workload("512x512", (4096, 4096), (512, 512), 6, sweeps=3, grid=4),
}


#: The kernels to compare with, and threads of their blocks.
HANDWRITTEN = {"mhc": "hyper_connections.cu"}
HANDWRITTEN_THREADS = 128


def program(workload):
    matrix = f"tensor<{workload.type}xf32>"
    return (
        f"func.func @solve(%z: {matrix}) -> {matrix} {{\n"
        f"  %r:4 = scaling.project logits(%z : {matrix})"
        f" stop(#scaling.stop<fixed {workload.half_steps}>)"
        f" numerics(#scaling.numerics<kernel>)\n"
        f"  return %r#0 : {matrix}\n}}\n"
    )


def occupancy(registers, threads, shared_bytes):
    """Resident threads of a multiprocessor over what it could have. Registers
    are handed out to warps in units of 256."""
    per_warp = (registers * 32 + 255) // 256 * 256
    blocks = min(
        REGISTERS // (per_warp * (threads // 32)),
        SHARED_BYTES // (shared_bytes + RESERVED_BYTES),
        THREADS // threads,
        BLOCKS,
    )
    return blocks * threads / THREADS


def estimate(gpu, bytes_moved, flops, exponentials):
    return 1e3 * max(
        bytes_moved / gpu.bandwidth,
        flops / gpu.flops,
        exponentials / gpu.exponentials,
    )


def minimum_bytes(workload, shape):
    """A batch goes in and out; of a large matrix, the logits come once, every
    sweep reads, and the plan is read and written."""
    matrix = 4 * int(np.prod(shape))
    return matrix * (2 if workload.sweeps == 1 else workload.sweeps + 3)


@dataclass(frozen=True)
class Kernel:
    """LLVM IR and PTX, and how the emulator is told the arguments."""

    code: str
    ptx: str
    entry: str
    handwritten: bool = False


def compile_ours(workload):
    from emulated_kernels import compile_kernel

    source = program(workload)
    code, ptx = (compile_kernel(source, emit, CHIP) for emit in ("llvm", "ptx"))
    return Kernel(code, ptx, "solve")


def compile_handwritten(path):
    """CUDA C++ with clang alone."""
    command = [
        "clang++", "-x", "cuda", "--cuda-device-only", f"--cuda-gpu-arch={CHIP}",
        "-nocudalib", "-nocudainc", "-Wno-unknown-cuda-version", "-O2", "-S",
        path, "-o", "-",
    ]  # fmt: skip
    environment = dict(os.environ)
    environment["PATH"] = "/usr/lib/llvm-22/bin:" + environment["PATH"]

    def run(*more):
        return subprocess.run(
            [*command, *more], env=environment, check=True, capture_output=True,
            text=True,
        ).stdout  # fmt: skip

    return Kernel(run("-emit-llvm"), run(), path.stem, handwritten=True)


def execute(kernel, workload, matrix):
    """The report of a launch. A hand-written kernel takes two pointers, the
    number of matrices and of half-steps."""
    import emulated_kernels
    from findtool import find_tool

    emulated_kernels.WORKSPACE_BYTES = 1 << 24
    if not kernel.handwritten:
        return emulated_kernels.execute(
            kernel.code, kernel.entry, [matrix], [(matrix.shape, "f32")],
            grid=workload.grid, races=False,
        )[1]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="scaling-gpu-") as folder:
        folder = Path(folder)
        (folder / "kernel.ll").write_text(kernel.code)
        np.save(folder / "in.npy", matrix)
        sizes = "x".join(map(str, matrix.shape))
        subprocess.run(
            [find_tool("scaling-simt"), folder / "kernel.ll", "--entry", kernel.entry,
             f"--grid={workload.grid}", f"--block={HANDWRITTEN_THREADS}",
             f"--input={folder / 'in.npy'}",
             f"--output={folder / 'out.npy'}:f32:{sizes}",
             f"--scalar={matrix.shape[0]}:i32", f"--scalar={workload.half_steps}:i32",
             f"--report={folder / 'report.json'}", "--no-races"],
            check=True,
        )  # fmt: skip
        plan = np.load(folder / "out.npy").reshape(matrix.shape)
        # What is fast and wrong is no measure.
        np.testing.assert_allclose(plan.sum(-2), 1, rtol=1e-4)
        return json.loads((folder / "report.json").read_text())


def bounds(kernel):
    from emulated_kernels import launch_bounds

    if kernel.handwritten:
        return HANDWRITTEN_THREADS, 0
    return launch_bounds(kernel.code, kernel.entry)


def count(name, workload, kernel):
    from assembled_kernels import assemble, find_ptxas

    shape = workload.emulated
    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    report = execute(kernel, workload, matrix)
    memory = report["global"]
    moved = memory["read_bytes"] + memory["written_bytes"]
    entries = int(np.prod(shape))
    scale = int(np.prod(workload.full)) / entries
    sectors = memory["read_sectors"] + memory["write_sectors"]
    ideal = memory["read_sectors_ideal"] + memory["write_sectors_ideal"]
    row = {
        "workload": name,
        "size": "x".join(map(str, workload.full)),
        "counted_on": "x".join(map(str, shape)),
        "half_steps": workload.half_steps,
        "launches": 1,
        "bytes_over_minimum": moved / minimum_bytes(workload, shape),
        "sectors_per_request": memory["sectors_per_request"],
        "sectors_over_ideal": sectors / ideal,
        "bank_conflicts": report["shared"]["bank_conflicts"],
        "exponentials_over_minimum": report["exponentials"] / entries,
        "instructions_per_element": report["ir_instructions"]
        / (entries * workload.half_steps),
        "registers": None,
        "occupancy": None,
        "spills": None,
        "estimate_ms": {
            gpu: estimate(
                numbers,
                moved * scale,
                report["flops"] * scale,
                report["exponentials"] * scale,
            )
            for gpu, numbers in GPUS.items()
        },
    }
    if find_ptxas():
        found = assemble(kernel.ptx, CHIP)[kernel.entry]
        row["registers"] = found["registers"]
        row["spills"] = found["spills"]
        row["occupancy"] = occupancy(found["registers"], *bounds(kernel))
    return row


def show(value):
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, dict):
        return " ".join(f"{k} {show(v)}" for k, v in value.items())
    return str(value)


def table(rows):
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(map(show, row.values())) + " |" for row in rows]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="?", default=",".join(WORKLOADS))
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    os.environ["SCALING_BIN"] = str(args.bin.resolve())
    names = args.workloads.split(",")
    for name in names:
        if name not in WORKLOADS:
            parser.error(f"no workload '{name}': there are {', '.join(WORKLOADS)}")
    rows = []
    for name in names:
        workload = WORKLOADS[name]
        rows.append(count(name, workload, compile_ours(workload)))
        if name in HANDWRITTEN:
            path = Path(__file__).parent / "handwritten" / HANDWRITTEN[name]
            kernel = compile_handwritten(path)
            rows.append(count(f"{name} by hand", workload, kernel))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "bench-gpu.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
