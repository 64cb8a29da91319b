"""Functions on memrefs, lowered to vector code, compiled and called.

The programs of the linalg tests serve here, too: what they say about tensors
is said about memrefs, the last arguments being the destinations. Every array
ends where memory ends, so that reading beyond it is a crash, not luck.
"""

import ctypes
import mmap
import re

import numpy as np
from findtool import find_tool
from linalg_program import (
    DTYPES,
    SCALARS,
    Program,
    descriptor,
    element_of,
    load,
    run,
)

LIBC = ctypes.CDLL(None, use_errno=True)


def guarded(size):
    """An array of `size` bytes, behind which nothing may be read."""
    pages = (size + mmap.PAGESIZE - 1) // mmap.PAGESIZE
    memory = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
    start = np.frombuffer(memory, np.uint8).ctypes.data
    guard = ctypes.c_void_p(start + pages * mmap.PAGESIZE)
    assert LIBC.mprotect(guard, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    return np.frombuffer(memory, np.uint8)[pages * mmap.PAGESIZE - size :][:size]


class VectorProgram(Program):
    def __init__(self, bits=512, options=""):
        super().__init__()
        self.bits, self.options = bits, options

    def text(self):
        parts = []
        for name, (arguments, results, body) in self.functions.items():
            signature = ", ".join(f"%{n}: {t}" for n, t in arguments)
            statements = []
            for line in body.splitlines():
                # No results: the destinations are written to.
                line = re.sub(r"^\s*%r(:\d)? = (scaling\..*?)( -> .*)?$", r"  \2", line)
                line = re.sub(r"^\s*return\b.*", "  return", line)
                statements.append(line)
            body = "\n".join(statements)
            text = f"func.func @{name}({signature}) attributes {{llvm.emit_c_interface}} {{\n{body}\n}}\n"
            parts.append(text.replace("tensor<", "memref<"))
        return "\n".join(parts)

    def compile(self, folder):
        source, lowered = folder / "program.mlir", folder / "lowered.mlir"
        source.write_text(self.text())
        run(
            find_tool("scaling-opt"),
            f"--scaling-lower-to-vector=vector-bits={self.bits} {self.options}",
            source, "-o", lowered,
        )  # fmt: skip
        shared = folder / "program.so"
        run(
            find_tool("scaling-compile"), lowered, "--emit=shared", "--no-threads",
            "--pipeline=linalg", "-o", shared,
        )  # fmt: skip
        self.library = ctypes.CDLL(str(shared))

    def call_on(self, name, arrays):
        """Calls on arrays (and numbers) as they are."""
        passed, keep = [], []
        for value, (_, type_text) in zip(arrays, self.functions[name][0]):
            if isinstance(value, np.ndarray):
                words = descriptor(value)
                keep.append(words)
                passed.append(ctypes.byref(words))
            else:
                passed.append(SCALARS[element_of(type_text)](value))
        getattr(self.library, f"_mlir_ciface_{name}")(*passed)

    def call(self, name, inputs, shapes):
        arguments, results, _ = self.functions[name]
        assert len(inputs) == len(arguments) and len(shapes) == len(results)
        arrays = []
        for value, (_, type_text) in zip(inputs, arguments):
            if "<" not in type_text:
                arrays.append(value)
                continue
            dtype, shape = DTYPES[element_of(type_text)], np.shape(value)
            size = int(np.prod(shape)) * dtype.itemsize
            array = guarded(size).view(dtype).reshape(shape)
            array[...] = value
            arrays.append(array)
        self.call_on(name, arrays)
        outs = arrays[len(arrays) - len(results) :]
        return [load(out, element_of(t)) for out, t in zip(outs, results)]
