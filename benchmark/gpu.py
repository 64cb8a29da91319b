#!/usr/bin/env python3
"""Counts of the GPU kernels, without a GPU.

    benchmark/gpu.py [WORKLOAD,...] --bin build/bin --out build/bench-gpu

Every workload is compiled for sm_90 and executed by the emulator, at a size it
can do; the counts of a launch grow with the number of matrices, or, for one
large matrix, with its entries. Beside it are a kernel written by hand, executed
in the same way, and Triton's, which are only compiled. Writes a table and
`bench-gpu.json`, a list of

    {workload, launches, bytes_over_minimum, sectors_per_request,
     exponentials_over_minimum, instructions_per_element, registers, occupancy,
     spills, estimate_ms}

beside what each was counted on. `bytes_over_minimum` is what moves over what
must move: a batch is read and written once; a matrix that does not fit on the
chip is read once per sweep; of points, those of the others once for each block
of 128. `sweep_bytes_over_minimum`, of points, is what a half-step moves at the
workload's own size over reading all points once for each block: a number of
bytes for every pair of points and one for every point, as two sizes that are
executed tell them. `instructions_per_element` are those of the disassembly that
threads execute, per entry and half-step: of two launches, one with more
half-steps, the difference, so that what is paid once is not in it; `sass.py` says
how often an instruction is executed. Of Triton's kernels it is the main loop
alone; their launches and bytes are those of how they are written, at the
workload's own size, and their sectors those of accesses whose lanes are neighbours.
`bank_conflicts` are those of the main loops: the ones that execute more than a
twentieth of all instructions. `estimate_ms` is, for each GPU,

    max(bytes / bandwidth, instructions / issue, exponentials / rate of the SFUs)

at the workload's own size, with the instructions of the disassembly of all
threads: a bound from below, no measurement.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [
    str(ROOT / "test" / path)
    for path in ("python/gpu", "python/execution", "python", "reference")
]

import sass  # noqa: E402

CHIP = "sm_90"
#: Of the PTX that the marked kernels go through.
PTX_VERSION = 80
HANDWRITTEN = Path(__file__).parent / "handwritten"
#: Loops with more of the instructions than this are main loops.
MAIN = 0.05


@dataclass(frozen=True)
class GPU:
    """What a data sheet says: bytes in a second; multiprocessors times clock,
    which issue four warps of instructions and 16 base-2 exponentials each."""

    bandwidth: float
    cycles: float

    @property
    def instructions(self):
        return 128 * self.cycles

    @property
    def exponentials(self):
        return 16 * self.cycles


GPUS = {
    "A100": GPU(2.039e12, 108 * 1.41e9),
    "H100": GPU(3.35e12, 132 * 1.98e9),
    "B200": GPU(8.0e12, 148 * 1.96e9),
}
FORMULA = (
    "estimate_ms = 1000 max(bytes / bandwidth,"
    " instructions / (128 multiprocessors clock),"
    " exponentials / (16 multiprocessors clock))"
)

# A multiprocessor of sm_90.
REGISTERS, SHARED_BYTES, THREADS, BLOCKS = 65536, 233472, 2048, 32
#: What the system takes of each block's shared memory.
RESERVED_BYTES = 1024

#: Coordinates of a point, and the ε of the clouds.
DIM, EPSILON = 64, 8.0
#: Points of a block that read the others together.
POINTS = 128
#: Points that half-steps are executed with to tell what they move at any size:
#: of several tiles each. Over a single one there is no loop, and less is read
#: again.
SWEPT = 512, 768


@dataclass(frozen=True)
class Workload:
    """`type` is what the program is compiled for, `full` the size of the
    workload, `emulated` the one that is counted. Instructions are those between
    `counted` half-steps, or two more than there are: loops that `ptxas` unrolls
    as often in both. `sweeps` of a matrix that does
    not stay on the chip must come from memory in each two half-steps."""

    type: str
    full: tuple
    emulated: tuple
    half_steps: int
    streams: bool = False
    grid: int = 2
    points: bool = False
    #: Of points: what is multiplied.
    products: str = "f32"
    order: str = "rows_first"
    counted: tuple | None = None

    def program(self, half_steps):
        return cloud(self, half_steps) if self.points else projection(self, half_steps)

    def inputs(self):
        generator = np.random.default_rng(0)
        shapes = [self.emulated]
        if self.points:
            shapes = [(size, DIM) for size in self.emulated]
        return [generator.normal(size=s).astype(np.float32) for s in shapes]

    def of_size(self, size):
        """The same between two clouds of so many points."""
        return replace(self, type=f"{size}x{size}", emulated=(size, size))

    def outputs(self):
        shapes = [(size,) for size in self.emulated] if self.points else [self.emulated]
        return [(shape, "f32") for shape in shapes]

    def minimum_bytes(self, half_steps):
        """A batch goes in and out. Of a large matrix, the logits come once,
        every sweep reads, and the plan is read and written. Every block of
        points reads its own and all others."""
        shape = self.emulated
        if self.points:
            n, m = shape
            rows, columns = (half_steps + 1) // 2, half_steps // 2
            if self.is_simultaneous:
                columns = 0
            blocks_n, blocks_m = -(-n // POINTS), -(-m // POINTS)
            return 4 * DIM * (
                rows * (n + blocks_n * m) + columns * (m + blocks_m * n)
            )  # fmt: skip
        matrix = 4 * int(np.prod(shape))
        return matrix * (half_steps // 2 + 3 if self.streams else 2)

    @property
    def is_simultaneous(self):
        """Whether one sweep is for two half-steps."""
        return self.order == "jacobi"

    def minimum_sweep(self):
        """Bytes of a half-step: all points as they are multiplied, for every
        block of the others, in every sweep."""
        n, m = self.full
        bytes_of_word = 2 if self.products in ("bf16", "f16") else 4
        swept = n / POINTS * m * DIM * bytes_of_word
        return swept / 2 if self.is_simultaneous else swept

    def minimum_exponentials(self, half_steps):
        entries = int(np.prod(self.emulated))
        return entries * (half_steps if self.points else 1)


def projection(workload, half_steps):
    matrix = f"tensor<{workload.type}xf32>"
    return (
        f"func.func @solve(%z: {matrix}) -> {matrix} {{\n"
        f"  %r:4 = scaling.project logits(%z : {matrix})"
        f" stop(#scaling.stop<fixed {half_steps}>)"
        f" numerics(#scaling.numerics<kernel>)\n"
        f"  return %r#0 : {matrix}\n}}\n"
    )


def cloud(workload, half_steps):
    n, m = workload.type.split("x")
    x, y, cost = (f"tensor<{s}xf32>" for s in (f"{n}x{DIM}", f"{m}x{DIM}", f"{n}x{m}"))
    f, g = f"tensor<{n}xf32>", f"tensor<{m}xf32>"
    return (
        f"func.func @solve(%x: {x}, %y: {y}) -> ({f}, {g}) {{\n"
        f"  %e = tensor.empty() : {cost}\n"
        f"  %c = scaling.pairwise sqeuclidean points(%x, %y : {x}, {y})"
        f" outs(%e : {cost}) -> {cost}\n"
        f"  %r:5 = scaling.sinkhorn cost(%c : {cost})"
        f" form(#scaling.form<cost, epsilon = {EPSILON}>)"
        f" rows(#scaling.rule<sum, target = uniform>)"
        f" cols(#scaling.rule<sum, target = uniform>)"
        f" order({workload.order}) stop(#scaling.stop<fixed {half_steps}>)"
        f" numerics(#scaling.numerics<log, products = {workload.products}>)\n"
        f"  return %r#0, %r#1 : {f}, {g}\n}}\n"
    )


WORKLOADS = {
    "mhc": Workload("?x4x4", (32768, 4, 4), (512, 4, 4), 40, counted=(42, 84)),
    "resident": Workload("?x197x197", (800, 197, 197), (2, 197, 197), 6),
    "streaming": Workload("64x4096", (4096, 4096), (64, 4096), 6, streams=True, grid=4),
    "cloud": Workload("256x256", (16384, 16384), (256, 256), 2, points=True),
}
WORKLOADS["cloud tf32"] = replace(
    WORKLOADS["cloud"], type="1024x1024", emulated=(1024, 1024), products="tf32"
)
for narrow in ("bf16", "f16"):
    WORKLOADS[f"cloud {narrow}"] = replace(WORKLOADS["cloud tf32"], products=narrow)
for cloud_name in ("cloud", "cloud tf32"):
    WORKLOADS[f"{cloud_name} jacobi"] = replace(WORKLOADS[cloud_name], order="jacobi")


@dataclass(frozen=True)
class Handwritten:
    """A kernel written by hand: its file, which names it, its block, and how
    the emulator gets its arguments; `in*` and `out*` stand for the workload's."""

    file: str
    threads: int
    arguments: Callable
    shared_bytes: int = 0


BY_HAND = {
    "mhc": Handwritten(
        "hyper_connections.cu", 128,
        lambda w, steps: ["in0", "out0", w.emulated[0], steps],
    ),
    "resident": Handwritten(
        "resident.cu", 512,
        lambda w, steps: ["in0", "out0", *w.emulated, steps],
    ),
    "streaming": Handwritten(
        "streaming.cu", 256,
        lambda w, steps: [
            "in0", "out0", w.emulated[0], steps,
            *(f"--scratch=f32:{size}" for size in (
                np.prod(w.emulated), *w.emulated, w.grid * w.emulated[1]
            )),
            "--zeros=i32:1",
        ],
    ),
    "cloud": Handwritten(
        "cloud.cu", 128,
        lambda w, steps: [
            "in0", "in1", "out0", "zeros1", *w.emulated, 1.4426950408889634 / EPSILON,
            steps, "--zeros=i32:1",
        ],
        shared_bytes=4 * ((128 + 64) * 68 + 64),
    ),
}  # fmt: skip
BY_HAND["cloud tf32"] = Handwritten(
    "cloud_tf32.cu", 128,
    lambda w, steps: [
        "in0", "in1", "out0", "zeros1", *w.emulated, 1.4426950408889634 / EPSILON,
        steps, f"--scratch=f32:{sum(w.emulated) * 65}", "--zeros=i32:1",
    ],
    shared_bytes=4 * ((128 + 2 * 64) * 68 + 2 * 64),
)  # fmt: skip


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


def estimate(gpu, bytes_moved, instructions, exponentials):
    return 1e3 * max(
        bytes_moved / gpu.bandwidth,
        instructions / gpu.instructions,
        exponentials / gpu.exponentials,
    )


class Ours:
    """LLVM IR, and how a launch of it is made and counted."""

    entry = "solve"
    #: Potentials have that of the cost.
    unit = 1 / EPSILON

    def __init__(self, workload):
        self.workload = workload

    def of_size(self, size):
        return Ours(self.workload.of_size(size))

    @cache
    def code(self, half_steps):
        from emulated_kernels import compile_kernel

        return compile_kernel(self.workload.program(half_steps), "llvm", CHIP)

    def bounds(self):
        from emulated_kernels import launch_bounds

        return launch_bounds(self.code(self.workload.half_steps), self.entry)

    def execute(self, code, half_steps):
        import emulated_kernels

        emulated_kernels.WORKSPACE_BYTES = 1 << 24
        return emulated_kernels.execute(
            code, self.entry, self.workload.inputs(), self.workload.outputs(),
            grid=self.workload.grid, races=False,
        )  # fmt: skip


class ByHand:
    """The same of a kernel in `handwritten`."""

    #: Minus the potentials, to base two.
    unit = -np.log(2)

    def __init__(self, workload, kernel):
        self.workload, self.kernel = workload, kernel
        self.entry = Path(kernel.file).stem

    def of_size(self, size):
        return ByHand(self.workload.of_size(size), self.kernel)

    @cache
    def code(self, half_steps):
        """CUDA C++ with clang alone; the number of half-steps is an argument."""
        return subprocess.run(
            [sass.LLVM / "clang++", "-x", "cuda", "--cuda-device-only",
             f"--cuda-gpu-arch={CHIP}", "-nocudalib", "-nocudainc",
             "-Wno-unknown-cuda-version", "-O2", "-S", "-emit-llvm",
             HANDWRITTEN / self.kernel.file, "-o", "-"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    def bounds(self):
        return self.kernel.threads, self.kernel.shared_bytes

    def execute(self, code, half_steps, races=False):
        from findtool import find_tool

        outputs = self.workload.outputs()
        with tempfile.TemporaryDirectory(prefix="scaling-gpu-") as folder:
            folder = Path(folder)
            (folder / "kernel.ll").write_text(code)
            for i, matrix in enumerate(self.workload.inputs()):
                np.save(folder / f"in{i}.npy", matrix)
            for i, (shape, _) in enumerate(outputs):
                np.save(folder / f"zeros{i}.npy", np.zeros(shape, np.float32))

            def option(argument):
                if not isinstance(argument, str):
                    is_float = isinstance(argument, float)
                    return f"--scalar={argument}:{'f32' if is_float else 'i32'}"
                if argument.startswith("--"):
                    return argument
                path = folder / f"{argument}.npy"
                if argument.startswith("in"):
                    return f"--input={path}"
                result = folder / f"out{argument[-1]}.npy"
                if argument.startswith("zeros"):
                    return f"--update={path}={result}"
                sizes = "x".join(map(str, outputs[int(argument[-1])][0]))
                return f"--output={result}:f32:{sizes}"

            done = subprocess.run(
                [find_tool("scaling-simt"), folder / "kernel.ll",
                 f"--entry={self.entry}", f"--grid={self.workload.grid}",
                 f"--block={self.kernel.threads}",
                 f"--shared={self.kernel.shared_bytes}",
                 *map(option, self.kernel.arguments(self.workload, half_steps)),
                 f"--report={folder / 'report.json'}",
                 *([] if races else ["--no-races"])],
                capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr[-4000:]
            results = [
                np.load(folder / f"out{i}.npy").reshape(shape)
                for i, (shape, _) in enumerate(outputs)
            ]
            return results, json.loads((folder / "report.json").read_text())


def check(workload, results, half_steps, unit):
    """What is fast and wrong is no measure. `unit` is that of potentials."""
    if not workload.points:
        # The last half-step is of columns.
        np.testing.assert_allclose(results[0].sum(-2), 1, rtol=1e-4)
        return
    x, y = (matrix.astype(np.float64) for matrix in workload.inputs())
    cost = ((x[:, None] - y[None]) ** 2).sum(-1) / EPSILON
    potentials = [np.zeros(size) for size in workload.emulated]
    for step in range(half_steps):
        if step % 2 == 0 or not workload.is_simultaneous:
            before = list(potentials)
        other = before[1 - step % 2]
        logits = (other - cost) if step % 2 == 0 else (other - cost.T)
        largest = logits.max(-1, keepdims=True)
        total = np.exp(logits - largest).sum(-1)
        potentials[step % 2] = -(largest[:, 0] + np.log(total))
    # Uniform weights are a constant.
    for expected, found in zip(potentials, results):
        difference = found * unit - expected
        atol = {"f32": 1e-3, "bf16": 1e-1}.get(workload.products, 1e-2)
        np.testing.assert_allclose(difference, difference.mean(), atol=atol)


def machine_code(kernel, half_steps):
    """The kernel's report, and how many instructions all threads execute."""
    marked = sass.mark_lines(kernel.code(half_steps))
    results, report = kernel.execute(marked, half_steps)
    check(kernel.workload, results, half_steps, kernel.unit)
    from assembled_kernels import find_ptxas

    if not (find_ptxas() and sass.find_nvdisasm()):
        return report, None
    cubin = sass.assemble(sass.back_end(marked, CHIP, PTX_VERSION), CHIP, find_ptxas())
    code = sass.disassemble(cubin)[kernel.entry]
    lines = {int(line): count for line, count in report["lines"].items()}
    return report, sum(sass.executions(code, lines))


def resources(ptx, entry, bounds, chip=CHIP, ptxas=None):
    from assembled_kernels import assemble

    found = assemble(ptx, chip, ptxas)[entry]
    return {
        "registers": found["registers"],
        "occupancy": occupancy(found["registers"], *bounds),
        "spills": found["spills"],
    }


def moved_bytes(report):
    memory = report["global"]
    return memory["read_bytes"] + memory["written_bytes"]


def sweep_bytes(kernel):
    """What a half-step moves at the workload's own size, between clouds of as
    many points."""

    def executed(size):
        own, steps = kernel.of_size(size), kernel.workload.half_steps
        fewer, more = (
            moved_bytes(own.execute(own.code(s), s)[1]) for s in (steps, steps + 2)
        )
        return (more - fewer) / 2

    # A polynomial without a constant, of whole tiles.
    small, large = SWEPT
    of_small, of_large = executed(small) / small, executed(large) / large
    per_pair = (of_large - of_small) / (large - small)
    per_point = of_small - per_pair * small
    size, other = kernel.workload.full
    assert size == other
    return per_pair * size**2 + per_point * size


def count(name, kernel):
    from assembled_kernels import find_ptxas

    workload, steps = kernel.workload, kernel.workload.half_steps
    report, executed = machine_code(kernel, steps)
    fewer, more = workload.counted or (steps, steps + 2)
    if fewer != steps:
        _, executed = machine_code(kernel, fewer)
    _, most = machine_code(kernel, more)
    memory = report["global"]
    moved = moved_bytes(report)
    sweep = None
    if workload.points:
        sweep = sweep_bytes(kernel)
    entries = int(np.prod(workload.emulated))
    scale = np.prod(workload.full) / entries
    sectors = memory["read_sectors"] + memory["write_sectors"]
    ideal = memory["read_sectors_ideal"] + memory["write_sectors_ideal"]
    per_element = executed and (most - executed) / ((more - fewer) * entries)
    row = {
        "workload": name,
        "size": "x".join(map(str, workload.full)),
        "counted_on": "x".join(map(str, workload.emulated)),
        "half_steps": steps,
        "launches": 1,
        "bytes_over_minimum": moved / workload.minimum_bytes(steps),
        "sweep_bytes_over_minimum": sweep and sweep / workload.minimum_sweep(),
        "sectors_per_request": memory["sectors_per_request"],
        "sectors_over_ideal": sectors / ideal,
        "bank_conflicts": sum(
            loop["bank_conflicts"]
            for loop in report["loops"]
            if loop["depth"]
            and loop["ir_instructions"] > MAIN * report["ir_instructions"]
        ),
        "exponentials_over_minimum": report["exponentials"]
        / workload.minimum_exponentials(steps),
        "instructions_per_element": per_element,
        "registers": None,
        "occupancy": None,
        "spills": None,
        "estimate_ms": {
            gpu: estimate(
                numbers,
                moved * scale if sweep is None else sweep * steps,
                (per_element or 0) * entries * steps * scale,
                report["exponentials"] * scale,
            )
            for gpu, numbers in GPUS.items()
        },
    }
    if find_ptxas():
        ptx = sass.back_end(kernel.code(steps), CHIP, PTX_VERSION)
        row.update(resources(ptx, kernel.entry, kernel.bounds()))
    return row


def accessed_sectors(code):
    """Of an access of global memory, on an average of them: lanes are side by
    side, as Triton distributes a tile."""
    widths = [
        int(width[1]) // 8 if (width := re.search(r"\.(64|128)\b", i.text)) else 4
        for i in code.code
        if i.opcode in ("LDG", "STG", "LDGSTS")
    ]
    return sum(widths) / len(widths)


def exponentials(code, main, per_thread, points):
    """For an entry: of points in the main loop, of a matrix by this kernel, or
    by the one before it."""
    place = range(main.first, main.last + 1) if points else range(len(code.code))
    found = sum("MUFU.EX2" in code.code[i].text for i in place)
    return found / per_thread if points or found else 1.0


def count_triton(names):
    """Triton's kernels are compiled, not executed."""
    from assembled_kernels import find_ptxas

    try:
        import triton_peers
    except ImportError:
        return
    if not (find_ptxas() and sass.find_nvdisasm()):
        return
    for name, peer in triton_peers.peers().items():
        if peer.workload not in names:
            continue
        made = triton_peers.compile_peer(peer)
        code = sass.disassemble(made.cubin)[made.name]
        workload = WORKLOADS[peer.workload]
        whole = replace(workload, emulated=workload.full)
        steps, entries = workload.half_steps, int(np.prod(workload.full))
        main = max(code.loops, key=len)
        per_thread = peer.tile / made.threads
        executed = len(main) / (per_thread * peer.half_steps)
        moved = peer.moved(workload.full, steps)
        row = dict.fromkeys(COLUMNS)
        row.update(
            workload=name,
            size="x".join(map(str, workload.full)),
            half_steps=steps,
            launches=peer.launches(steps),
            bytes_over_minimum=moved / whole.minimum_bytes(steps),
            sectors_per_request=accessed_sectors(code),
            exponentials_over_minimum=exponentials(
                code, main, per_thread, workload.points
            ),
            instructions_per_element=executed,
            **resources(
                made.ptx,
                made.name,
                (made.threads, made.shared_bytes),
                triton_peers.CHIP,
                triton_peers.PTXAS,
            ),
        )
        row["estimate_ms"] = {
            gpu: estimate(
                numbers,
                moved,
                executed * entries * steps,
                row["exponentials_over_minimum"] * whole.minimum_exponentials(steps),
            )
            for gpu, numbers in GPUS.items()
        }
        if workload.points:
            row["sweep_bytes_over_minimum"] = moved / steps / workload.minimum_sweep()
        yield row


COLUMNS = (
    "workload", "size", "counted_on", "half_steps", "launches", "bytes_over_minimum",
    "sweep_bytes_over_minimum", "sectors_per_request", "sectors_over_ideal",
    "bank_conflicts", "exponentials_over_minimum", "instructions_per_element",
    "registers", "occupancy", "spills", "estimate_ms",
)  # fmt: skip


def show(value):
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, dict):
        return " ".join(f"{k} {show(v)}" for k, v in value.items())
    return str(value)


def table(rows):
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(show(row[c]) for c in COLUMNS) + " |" for row in rows]
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
    args.out.mkdir(parents=True, exist_ok=True)
    # Triton keeps what it has compiled.
    os.environ.setdefault("TRITON_CACHE_DIR", str(args.out.resolve() / "triton"))
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
    rows = []
    for name in names:
        workload = WORKLOADS[name]
        kernels = {name: Ours(workload)}
        if name in BY_HAND:
            kernels[f"{name}, by hand"] = ByHand(workload, BY_HAND[name])
        for label, kernel in kernels.items():
            print(f"== {label}", file=sys.stderr, flush=True)
            rows.append(count(label, kernel))
    print("== Triton", file=sys.stderr, flush=True)
    rows += count_triton(names)
    (args.out / "bench-gpu.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))
    print(FORMULA)


if __name__ == "__main__":
    main()
