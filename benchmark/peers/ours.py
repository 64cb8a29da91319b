"""Ours: the programs of `programs/`, compiled to shared libraries."""

import ctypes
import os
import pathlib
import subprocess
import tempfile
import time

import numpy as np

from . import Implementations, Prepared

ONE_THREAD = "1 thread"
#: Workloads whose hand-written kernel has one thread.
SINGLE = {"W1-512"}


def descriptor(array):
    """The memref descriptor of a dense array: two pointers, offset, sizes, strides."""
    words = [array.ctypes.data, array.ctypes.data, 0, *array.shape]
    words += [stride // array.itemsize for stride in array.strides]
    return (ctypes.c_int64 * len(words))(*words)


def compile_shared(workload, folder, *options):
    """The workload's program as a library in `folder`, and the seconds it took."""
    tools = pathlib.Path(os.environ["SCALING_BIN"])
    source = pathlib.Path(folder) / f"{workload.id}.mlir"
    source.write_text(workload.text())
    library = source.with_suffix(".so")
    start = time.perf_counter()
    done = subprocess.run(
        [tools / "scaling-compile", source, "--emit=shared", *options, "-o", library],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[:2000])
    return library, time.perf_counter() - start


def prepare(workload, inputs, *options):
    """The arguments are arrays as NumPy gives them; results are made once."""
    with tempfile.TemporaryDirectory(prefix="scaling-bench-") as folder:
        library, seconds = compile_shared(workload, folder, *options)
        function = getattr(
            ctypes.CDLL(str(library)), f"_mlir_ciface_{workload.function}"
        )
    outputs = [np.empty(shape, dtype) for shape, dtype in workload.results()]
    arrays = [*inputs.values(), *outputs]
    descriptors = [descriptor(array) for array in arrays]
    references = [ctypes.byref(words) for words in descriptors]

    def call():
        # The arrays and descriptors live as long as the call.
        function(*references)
        return arrays

    return Prepared(
        call,
        lambda arrays: arrays[len(inputs) :],
        notes={"compile_seconds": seconds},
    )


class Ours(Implementations):
    """Every workload has a program; where a hand-written kernel has one thread,
    so has a second form."""

    def forms(self, workload):
        return {"": 0, ONE_THREAD: 0} if workload.id in SINGLE else {"": 0}

    def prepare(self, workload, inputs, form, attempt):
        options = ["--no-threads"] if form == ONE_THREAD else []
        return prepare(workload, inputs, *options)


PEER = Ours()
