"""What ptxas makes of the kernels of a program."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from findtool import find_tool

CHIPS = ("sm_80", "sm_90", "sm_100")
ROOT = Path(__file__).resolve().parents[3]


def find_ptxas():
    """The assembler of the Python package, or the machine's own."""
    packages = Path(np.__file__).resolve().parents[1]
    wheel = packages / "nvidia" / "cuda_nvcc" / "bin" / "ptxas"
    named = os.environ.get("SCALING_PTXAS")
    return named or (str(wheel) if wheel.exists() else shutil.which("ptxas"))


def compile_program(path, emit, chip):
    done = subprocess.run(
        [find_tool("scaling-compile"), str(path), "--target=nvptx",
         f"--chip={chip}", f"--emit={emit}", "-o", "-"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, f"{path}\n{done.stderr[-4000:]}"
    return done.stdout


def assemble(ptx, chip, ptxas=None):
    """Of every kernel, what `ptxas -v` says: registers, bytes of stack and of
    spills."""
    with tempfile.TemporaryDirectory(prefix="scaling-ptxas-") as folder:
        source = Path(folder) / "kernels.ptx"
        source.write_text(ptx)
        done = subprocess.run(
            [ptxas or find_ptxas(), "-v", f"-arch={chip}", source, "-o", source.with_suffix("")],
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    kernels = {}
    for part in done.stderr.split("Compiling entry function '")[1:]:
        numbers = {
            "registers": r"Used (\d+) registers",
            "stack": r"(\d+) bytes stack frame",
            "stores": r"(\d+) bytes spill stores",
            "loads": r"(\d+) bytes spill loads",
        }
        found = {
            name: int(re.search(pattern, part)[1]) for name, pattern in numbers.items()
        }
        found["spills"] = found.pop("stores") + found.pop("loads")
        kernels[part.split("'")[0]] = found
    return kernels


def shared_bytes(path, chip):
    """Of every kernel, the dynamic shared memory of a block."""
    module = compile_program(path, "mlir", chip)
    kernels = {}
    for line in module.splitlines():
        found = re.search(r"llvm\.func @([\w.]+)\(.*nvvm\.kernel", line)
        if found:
            size = re.search(r"scaling\.shared_bytes = (\d+)", line)
            kernels[found[1]] = int(size[1]) if size else 0
    return kernels
