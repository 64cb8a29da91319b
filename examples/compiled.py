"""Compiles an MLIR program with scaling-compile and calls it from NumPy.

The calling convention is the one of the generated C header: arrays by
descriptor, results allocated by the caller and passed after the arguments.
"""

import ctypes
import os
import pathlib
import shutil
import subprocess
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
STATUS = ("fixed", "converged", "limit", "diverged")


def default_bin():
    """The folder of the tools: $SCALING_BIN, else that of the PATH, else build/bin."""
    if "SCALING_BIN" in os.environ:
        return pathlib.Path(os.environ["SCALING_BIN"])
    found = shutil.which("scaling-compile")
    return pathlib.Path(found).parent if found else ROOT / "build" / "bin"


def descriptor(array):
    """The memref descriptor of a dense array: two pointers, offset, sizes, strides."""
    if not array.flags.c_contiguous:
        raise ValueError("arrays are dense and row-major")
    words = [array.ctypes.data, array.ctypes.data, 0, *array.shape]
    words += [stride // array.itemsize for stride in array.strides]
    return (ctypes.c_int64 * len(words))(*words)


class Program:
    """The functions of one MLIR file, as a shared library in `folder`."""

    def __init__(self, source, folder, tools, pipeline=None):
        source = pathlib.Path(source)
        library = pathlib.Path(folder).resolve() / f"lib{source.stem}.so"
        command = [pathlib.Path(tools) / "scaling-compile", source, "--emit=shared"]
        command += [f"--pipeline={pipeline}"] if pipeline else []
        start = time.perf_counter()
        try:
            done = subprocess.run(
                [*map(str, command), "-o", str(library)], capture_output=True, text=True
            )
        except OSError as error:
            raise SystemExit(
                f"error: {command[0]}: {error.strerror}: build the project first"
            )
        if done.returncode:
            raise SystemExit(done.stderr.strip() or f"error: {command[0]} failed")
        self.compile_seconds = time.perf_counter() - start
        self._library = ctypes.CDLL(str(library))

    def call(self, name, arguments, results):
        """Calls a function; `results` are pairs of a shape and an element type.

        Arguments are arrays of the signature's element types, and Python floats
        for f64 scalars.
        """
        outputs = [np.empty(shape, dtype) for shape, dtype in results]
        passed = []
        for value in [*arguments, *outputs]:
            if isinstance(value, np.ndarray):
                passed.append(ctypes.byref(descriptor(value)))
            else:
                passed.append(ctypes.c_double(value))
        getattr(self._library, f"_mlir_ciface_{name}")(*passed)
        return outputs
