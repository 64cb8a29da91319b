"""Many calls of scaling ops, compiled once per route, called from NumPy.

Every call becomes a function of its own; functions are compiled in a few shared
libraries, side by side.
"""

import ctypes
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from findtool import find_llvm, find_tool

ALIGNMENT = 64
#: The long run: more cases, and all code optimized as it is for users.
FULL = os.environ.get("SCALING_TEST_FULL", "0") == "1"
#: SCALING_TEST_ROUTES lists others, separated by commas.
ROUTES = os.environ.get("SCALING_TEST_ROUTES", "linalg,cpu").split(",")
#: Functions per shared library: enough to share what a compiler start costs.
CHUNK = 24

#: Element type of the text to what NumPy holds; bf16 travels as its bits.
DTYPES = {
    "f64": np.dtype(np.float64),
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(np.uint16),
    "i1": np.dtype(np.bool_),
    "i32": np.dtype(np.int32),
    "i64": np.dtype(np.int64),
}
#: Relative error of one rounding to the type.
ROUNDING = {"f64": 2.0**-53, "f32": 2.0**-24, "f16": 2.0**-11, "bf16": 2.0**-8}


def to_bf16(values):
    """Bits of the nearest bf16, ties to even."""
    single = np.asarray(values, np.float32)
    bits = single.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(single), 0x7FC0, rounded).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def store(values, element):
    """Values as the element type holds them."""
    if element == "bf16":
        return to_bf16(values)
    with np.errstate(over="ignore"):
        return np.array(values, DTYPES[element], order="C")


def load(array, element):
    """What an array of the element type holds; floats in f64."""
    if element == "bf16":
        array = from_bf16(array)
    return array.astype(np.float64) if element in ROUNDING else array


def rounded(values, element):
    return load(store(values, element), element)


def aligned(shape, dtype):
    """An array filled with bytes no result consists of."""
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.full(size + ALIGNMENT, 0xAB, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def descriptor(array):
    words = [array.ctypes.data, array.ctypes.data, 0, *array.shape]
    words += [stride // array.itemsize for stride in array.strides]
    return (ctypes.c_int64 * len(words))(*words)


#: Sizes behind the batch of every operand, and of every op's results with their
#: element type: storage or accumulate, or an integer.
TAILS = {
    "cost": "nm", "logits": "nm", "kernel": "nm", "matrix": "nm", "bias": "nm",
    "row_marginal": "n", "col_marginal": "m", "row_target": "n", "col_target": "m",
    "row_init": "n", "col_init": "m", "row_mask": "n", "col_mask": "m",
    "slack": "", "epsilon": "", "query": "nd", "key": "md", "value": "mk",
}  # fmt: skip
_ENDS = [("", "i32"), ("", "accumulate"), ("", "i32")]
RESULTS = {
    "sinkhorn": [("n", "accumulate"), ("m", "accumulate"), *_ENDS],
    "balance": [("n", "accumulate"), ("m", "accumulate"), *_ENDS],
    "project": [("nm", "storage"), *_ENDS],
    "attention": [("nk", "storage"), *_ENDS],
    "normalize": [("nm", "storage")],
    "similarity_balance": [("nm", "storage"), ("n", "storage"), ("", "i32"), ("", "i32")],
}  # fmt: skip


@dataclass
class Call:
    """One op on given operands.

    `operands` are in the order of the op, by keyword; `element` is the storage
    type of all floats among them. `dims` says which sizes the types show:
    static, dynamic, mixed (columns, depth and width), or all but the batch's.
    """

    op: str
    operands: dict
    attributes: str
    element: str = "f64"
    accumulate: str | None = None
    dims: str = "static"
    slack: bool = False
    along: str | None = None
    name: str = field(default="", compare=False)

    def __post_init__(self):
        if self.accumulate is None:
            self.accumulate = "f64" if self.element == "f64" else "f32"
        self.operands = {k: v for k, v in self.operands.items() if v is not None}

    def tail(self, keyword):
        """Of `normalize`, target and mask depend on the axis."""
        if keyword == "target":
            return "n" if self.along == "rows" else "m"
        if keyword == "mask":
            return "m" if self.along == "rows" else "n"
        return TAILS[keyword]

    def element_of(self, keyword):
        return "i1" if keyword.endswith("mask") else self.element

    def type(self, shape, tail, element):
        symbols = "b" * (len(shape) - len(tail)) + tail
        shown = {
            "static": "bnmdk", "batch": "nmdk", "mixed": "mdk", "dynamic": "",
        }[self.dims]  # fmt: skip
        sizes = [str(s) if c in shown else "?" for s, c in zip(shape, symbols)]
        return f"tensor<{''.join(s + 'x' for s in sizes)}{element}>"

    def sizes(self):
        sizes, batch = {}, ()
        for keyword, value in self.operands.items():
            tail, shape = self.tail(keyword), np.shape(value)
            split = len(shape) - len(tail)
            batch = max(batch, shape[:split], key=len)
            if tail in ("nm", "nd", "md", "mk"):
                extra = (
                    1 if self.slack and keyword in ("cost", "logits", "kernel") else 0
                )
                sizes |= {c: s + extra for c, s in zip(tail, shape[split:])}
        return batch, sizes

    def results(self):
        """Shape, tail and element type of every result."""
        batch, sizes = self.sizes()
        elements = {"storage": self.element, "accumulate": self.accumulate}
        return [
            ((*batch, *(sizes[c] for c in tail)), tail, elements.get(kind, kind))
            for tail, kind in RESULTS[self.op]
        ]

    def text(self, name):
        types = {
            k: self.type(np.shape(v), self.tail(k), self.element_of(k))
            for k, v in self.operands.items()
        }
        results = [self.type(*result) for result in self.results()]
        signature = ", ".join(f"%{k}: {t}" for k, t in types.items())
        operands = " ".join(f"{k}(%{k} : {t})" for k, t in types.items())
        along = f"along({self.along}) " if self.along else ""
        count = len(results)
        values = ", ".join(f"%r#{i}" for i in range(count)) if count > 1 else "%r"
        return (
            f"func.func @{name}({signature}) -> ({', '.join(results)}) {{\n"
            f"  %r{f':{count}' if count > 1 else ''} = scaling.{self.op} {along}"
            f"{operands} {self.attributes}\n"
            f"  return {values} : {', '.join(results)}\n}}\n"
        )

    def stored(self, keyword):
        return store(self.operands[keyword], self.element_of(keyword))


class Failed(Exception):
    """A function that did not compile."""


class Programs:
    """Functions of one route; they are compiled when the first is called."""

    def __init__(self, route, calls, level=3 if FULL else 1):
        self.route = route
        self.level = level
        self.calls = dict(calls)
        self.libraries = {}
        self.folder = tempfile.TemporaryDirectory(prefix="scaling-execution-")

    def build(self, names):
        """A library of these functions, or what the compiler said.

        LLVM's O3, ten times slower than the rest of the compiler, is for what
        asks for it: it knows nothing of the dialect. O0 takes a fifth of O1.
        """
        stem = Path(self.folder.name) / f"{names[0]}-{len(names)}"
        source, shared = stem.with_suffix(".mlir"), stem.with_suffix(".so")
        source.write_text("\n".join(self.calls[n].text(n) for n in names))
        compiler = [find_tool("scaling-compile"), source, "--no-threads",
                    f"--pipeline={self.route}"]  # fmt: skip
        if self.level == 3:
            commands = [[*compiler, "--emit=shared", "-o", shared]]
        else:
            lowered, code = stem.with_suffix(".llvm.mlir"), stem.with_suffix(".ll")
            commands = [
                [*compiler, "--emit=mlir", "-o", lowered],
                [find_llvm("mlir-translate"), "--mlir-to-llvmir", lowered, "-o", code],
                [find_llvm("clang"), f"-O{self.level}", "-march=native", "-w", "-fPIC", "-shared",
                 "-x", "ir", code, "-lm", "-o", shared],
            ]  # fmt: skip
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, timeout=900)
            if done.returncode != 0:
                return Failed(
                    f"{Path(command[0]).name} gives {done.returncode}\n"
                    f"{source.read_text()}\n{done.stderr[-6000:]}"
                )
        return ctypes.CDLL(str(shared))

    def compile(self):
        names = list(self.calls)
        chunks = [names[i : i + CHUNK] for i in range(0, len(names), CHUNK)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            built = list(zip(chunks, pool.map(self.build, chunks)))
            # What fails is told apart from what only stood beside it.
            for i, (chunk, library) in enumerate(built):
                if isinstance(library, Failed) and len(chunk) > 1:
                    single = [[name] for name in chunk]
                    built[i] = ([], None)
                    built += zip(single, pool.map(self.build, single))
        for chunk, library in built:
            self.libraries |= dict.fromkeys(chunk, library)

    def __call__(self, name):
        return self.call(name, self.calls[name])

    def call(self, name, call):
        """Results of the function for the operands of `call`, which may have
        other values and other sizes where the types leave them open. The
        arguments must be what they were."""
        if not self.libraries:
            self.compile()
        library = self.libraries[name]
        if isinstance(library, Failed):
            pytest.fail(f"{name} does not compile: {library}", pytrace=False)
        inputs, outputs, keep, passed = [], [], [], []

        def by_descriptor(array):
            keep.append(descriptor(array))
            passed.append(ctypes.byref(keep[-1]))

        for keyword in call.operands:
            value = call.stored(keyword)
            array = aligned(value.shape, value.dtype)
            array[...] = value
            inputs.append((keyword, array, value))
            by_descriptor(array)
        for shape, _, element in call.results():
            outputs.append((aligned(shape, DTYPES[element]), element))
            by_descriptor(outputs[-1][0])
        getattr(library, f"_mlir_ciface_{name}")(*passed)
        for keyword, array, value in inputs:
            assert array.tobytes() == value.tobytes(), f"{keyword} was overwritten"
        return [load(array, element) for array, element in outputs]
