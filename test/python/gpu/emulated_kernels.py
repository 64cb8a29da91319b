"""Calls of scaling ops as GPU kernels, executed by the emulator."""

import json
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from findtool import find_tool
from programs import load

#: What the small programs of the tests need at most.
WORKSPACE_BYTES = 1 << 20


def compile_kernel(source, emit, chip="sm_90", plain=False):
    """Text of the LLVM IR or PTX of a program; with `plain`, of kernels that
    return where their blocks would meet."""
    done = subprocess.run(
        [find_tool("scaling-compile"), "-", "--target=nvptx", f"--chip={chip}",
         f"--emit={emit}", "-o", "-", *["--plain-launches"] * plain],
        input=source, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, f"{source}\n{done.stderr[-4000:]}"
    return done.stdout


def differentiate(source, options=""):
    """A program with the derivatives of its functions."""
    done = subprocess.run(
        [find_tool("scaling-opt"), f"--scaling-differentiate={options}",
         "--mlir-print-local-scope"],
        input=source, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def attributes(code, name):
    """The attributes of a kernel, as LLVM prints them."""
    declaration = re.search(rf"^define ptx_kernel void @{name}\(.*$", code, re.M)
    group = re.search(r"#(\d+)", declaration[0][declaration[0].rfind(")") :])
    return re.search(rf"^attributes #{group[1]} = {{(.*)}}$", code, re.M)[1]


def launch_bounds(code, name):
    """Threads and bytes of dynamic shared memory of a block."""
    group = attributes(code, name)
    threads = re.search(r'"nvvm.maxntid"="(\d+)', group)[1]
    shared = re.search(r'"scaling.shared-bytes"="(\d+)"', group)
    return int(threads), int(shared[1]) if shared else 0


def execute(code, name, inputs, outputs, grid=2, seed=0, races=True, omit_each=False):
    """Runs a kernel. `inputs` are arrays, `outputs` shapes and element types;
    gives the arrays and the emulator's report: with `omit_each`, of launches
    without each of the barriers and fences too."""
    with tempfile.TemporaryDirectory(prefix="scaling-gpu-") as folder:
        folder = Path(folder)
        (folder / "kernel.ll").write_text(code)
        group = attributes(code, name)
        threads, shared = launch_bounds(code, name)
        command = [find_tool("scaling-simt"), folder / "kernel.ll", f"--entry={name}",
                   "--memref", f"--grid={grid}", f"--block={threads}",
                   f"--seed={seed}", f"--report={folder / 'report.json'}"]  # fmt: skip
        if shared:
            command.append(f"--shared={shared}")
        if not races:
            command.append("--no-races")
        if omit_each:
            command.append("--omit-each")
        for i, array in enumerate(inputs):
            np.save(folder / f"in{i}.npy", array)
            command.append(f"--input={folder / f'in{i}.npy'}")
        for i, (shape, element) in enumerate(outputs):
            sizes = "x".join(map(str, shape))
            command.append(f"--output={folder / f'out{i}.npy'}:{element}:{sizes}")
        command.append(f"--scratch=i8:{WORKSPACE_BYTES}")
        if '"scaling.cooperative"' in group:
            command.append("--zeros=i64:1")
        state = re.search(r'"scaling.state-bytes"="(\d+)"', group)
        if state:
            command.append(f"--state=i8:{grid * int(state[1])}")
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-4000:]
        results = [
            np.load(folder / f"out{i}.npy").reshape(shape)
            for i, (shape, _) in enumerate(outputs)
        ]
        return results, json.loads((folder / "report.json").read_text())


def run(name, call, plain=False, **options):
    """Results of a call of one op, as the CPU's `Programs` gives them, and the
    report."""
    code = compile_kernel(call.text(name), "llvm", plain=plain)
    outputs = [(shape, element) for shape, _, element in call.results()]
    arrays, report = execute(
        code, name, [call.stored(k) for k in call.operands], outputs, **options
    )
    return [load(a, e) for a, (_, e) in zip(arrays, outputs)], report
