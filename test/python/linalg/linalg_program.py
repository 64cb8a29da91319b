"""Functions in MLIR text, lowered to linalg, compiled and called from NumPy.

Many small functions go into one program, so that a test module compiles once.
"""

import ctypes
import re
import subprocess
from pathlib import Path

import numpy as np
from findtool import find_tool

HERE = Path(__file__).resolve().parent
ALIGNMENT = 64

#: Element type of the text to what NumPy holds; bf16 travels as its bits.
DTYPES = {
    "f64": np.dtype(np.float64),
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(np.uint16),
    "i1": np.dtype(np.bool_),
    "i64": np.dtype(np.int64),
}
SCALARS = {"f64": ctypes.c_double, "f32": ctypes.c_float, "index": ctypes.c_int64}

#: Relative error of a short chain of operations, by the type they are done in.
TOLERANCE = {"f64": 1e-12, "f32": 4e-6}
#: Rounding to a storage type.
ROUNDING = {"f64": 0.0, "f32": 2.0**-24, "f16": 2.0**-11, "bf16": 2.0**-8}
#: Storage type and the type sums and factors have.
TYPES = [("f64", "f64"), ("f32", "f32"), ("bf16", "f32"), ("f16", "f32")]


def tensor(shape, element):
    """The type with `?` for None."""
    sizes = "".join(f"{'?' if s is None else s}x" for s in shape)
    return f"tensor<{sizes}{element}>"


def element_of(type_text):
    return re.search(r"(bf16|[fi][0-9]+|index)>?$", type_text).group(1)


def to_bf16(values):
    """Bits of the nearest bf16, ties to even."""
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    nan = np.isnan(np.asarray(values, np.float32))
    return np.where(nan, 0x7FC0, rounded).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def store(values, element):
    """Values as the element type holds them."""
    if element == "bf16":
        return to_bf16(values)
    return np.asarray(values).astype(DTYPES[element], order="C")


def load(array, element):
    """What an array of the element type holds, in f64 (or as it is)."""
    if element == "bf16":
        array = from_bf16(array)
    return array.astype(np.float64) if element not in ("i1", "i64") else array


def rounded(values, element):
    return load(store(values, element), element)


def aligned(shape, dtype):
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def descriptor(array):
    words = [array.ctypes.data, array.ctypes.data, 0, *array.shape]
    words += [stride // array.itemsize for stride in array.strides]
    return (ctypes.c_int64 * len(words))(*words)


class Program:
    """Functions by name; `compile`, then `call`."""

    def __init__(self):
        self.functions = {}
        self.library = None

    def add(self, name, arguments, results, body):
        """`arguments` are pairs of name and type; `body` ends in a return."""
        self.functions[name] = (arguments, results, body)

    def text(self):
        parts = []
        for name, (arguments, results, body) in self.functions.items():
            signature = ", ".join(f"%{n}: {t}" for n, t in arguments)
            parts.append(
                f"func.func @{name}({signature}) -> ({', '.join(results)}) {{\n"
                f"{body}\n}}\n"
            )
        return "\n".join(parts)

    def compile(self, folder):
        source, lowered = folder / "program.mlir", folder / "lowered.mlir"
        source.write_text(self.text())
        run(
            find_tool("scaling-opt"), "--scaling-lower-to-linalg", source, "-o", lowered
        )
        assert "scaling." not in lowered.read_text()
        shared = folder / "program.so"
        run(
            find_tool("scaling-compile"), lowered, "--emit=shared", "--no-threads",
            "--pipeline=linalg", "-o", shared,
        )  # fmt: skip
        self.library = ctypes.CDLL(str(shared))

    def call(self, name, inputs, shapes):
        """Results in f64, of arguments as `store` makes them, in order."""
        arguments, results, _ = self.functions[name]
        assert len(inputs) == len(arguments) and len(shapes) == len(results)
        passed, keep = [], []

        def by_descriptor(array):
            words = descriptor(array)
            keep.extend((array, words))
            passed.append(ctypes.byref(words))

        for value, (_, type_text) in zip(inputs, arguments):
            element = element_of(type_text)
            if not type_text.startswith("tensor"):
                passed.append(SCALARS[element](value))
                continue
            array = aligned(np.shape(value), DTYPES[element])
            array[...] = value
            by_descriptor(array)
        outputs = []
        for shape, type_text in zip(shapes, results):
            outputs.append(aligned(shape, DTYPES[element_of(type_text)]))
            by_descriptor(outputs[-1])
        getattr(self.library, f"_mlir_ciface_{name}")(*passed)
        return [load(out, element_of(t)) for out, t in zip(outputs, results)]


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stderr[-4000:]}"
    return done


def assert_close(actual, expected, tolerance):
    """Relative to the entry, and to the largest for those that cancel."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    finite = np.abs(expected[np.isfinite(expected)])
    scale = finite.max(initial=0.0)
    np.testing.assert_allclose(
        actual, expected, rtol=tolerance, atol=tolerance * min(scale, 1e30)
    )
