"""The hand-written AVX-512 kernels, compiled by the project's clang."""

import ctypes
import os
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np
from workloads import ITERATIONS, geomloss_epsilons

from . import Prepared
from .ours import ONE_THREAD, SINGLE

SOURCES = pathlib.Path(__file__).resolve().parents[1] / "handwritten"
#: What there is, by the workload it is written for.
KERNELS = {}


def kernel(workload):
    def register(function):
        KERNELS[workload] = function
        return function

    return register


def load(name, function=None):
    """A function of the source file `name`.cpp: that of the same name."""
    compiler = shutil.which("clang++-22") or shutil.which("clang++")
    if not compiler:
        raise RuntimeError("there is no clang++")
    with tempfile.TemporaryDirectory(prefix="scaling-bench-") as folder:
        library = pathlib.Path(folder) / f"{name}.so"
        subprocess.run(
            [compiler, "-std=c++17", "-O3", "-march=native", "-fopenmp", "-fPIC"]
            + ["-shared", SOURCES / f"{name}.cpp", "-o", library],
            check=True,
        )
        return getattr(ctypes.CDLL(str(library)), function or name)


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


@kernel("W1-512")
def projection(workload, inputs):
    function, logits = load("projection", "handwritten_projection"), inputs["S"]
    plan = np.empty_like(logits)
    sizes = [ctypes.c_ssize_t(size) for size in logits.shape]
    arguments = pointer(logits), pointer(plan), *sizes, ctypes.c_int(ITERATIONS)
    return Prepared(lambda: function(*arguments), lambda _: [plan])


@kernel("W3-4x4")
def hyper_connections(workload, inputs):
    function, logits = load("hyper_connections"), inputs["S"]
    plan = np.empty_like(logits)
    arguments = pointer(logits), pointer(plan), ctypes.c_int64(len(logits))
    return Prepared(lambda: function(*arguments), lambda _: [plan])


@kernel("W4-d3")
def cloud(workload, inputs):
    """Potentials as the program's: twice, with the marginals inside."""
    function, x, y = load("cloud"), inputs["x"], inputs["y"]
    f, g = np.empty(len(x), np.float32), np.empty(len(y), np.float32)
    schedule = np.array(geomloss_epsilons(), np.float32)
    arguments = (
        pointer(x), pointer(y), ctypes.c_int64(len(x)), ctypes.c_int64(len(y)),
        pointer(schedule), ctypes.c_int64(len(schedule)), pointer(f), pointer(g),
    )  # fmt: skip
    last = schedule[-1]
    return Prepared(
        lambda: function(*arguments),
        lambda _: [2 * (z - last * np.log(len(z))) for z in (f, g)],
    )


class Handwritten:
    """One size of some workloads; AVX-512 only."""

    def __init__(self):
        flags = pathlib.Path("/proc/cpuinfo").read_text()
        if "avx512f" not in flags:
            raise RuntimeError("this machine has no AVX-512")
        os.environ.setdefault("OMP_PROC_BIND", "true")

    def forms(self, workload):
        known = (SOURCES / f"{workload.recurrence}.cpp").exists()
        form = ONE_THREAD if workload.id in SINGLE else ""
        return {form: 0} if known and workload.id in KERNELS else {}

    def prepare(self, workload, inputs, form, attempt):
        return KERNELS[workload.id](workload, inputs)


PEER = Handwritten()
