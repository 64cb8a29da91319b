"""Programs: compiled once, kept in memory and on disk."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from . import _core

#: How many programs stay in memory.
MEMORY_LIMIT = 512
#: How many bytes stay on disk, where SCALING_CACHE_SIZE says nothing.
DISK_LIMIT = 256 << 20


class CompileError(ValueError):
    """A program that the compiler refuses; the message is the compiler's."""


def _identity() -> str:
    """What a compiled program depends on: this compiler, and this machine."""
    stat = os.stat(_core.__file__)
    return f"{stat.st_size} {stat.st_mtime_ns} {_core.target()}"


def cache_directory() -> Path | None:
    """Where programs are kept: $SCALING_CACHE_DIR, or else `scaling` in
    $XDG_CACHE_HOME or ~/.cache; None where SCALING_CACHE_DIR is empty."""
    named = os.environ.get("SCALING_CACHE_DIR")
    if named is not None:
        return Path(named) if named else None
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(
        os.path.expanduser("~"), ".cache"
    )
    return Path(home) / "scaling"


class _Disk:
    """Files named by what they were made from. Each appears complete or not at
    all, and any may vanish at any time: other processes do the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.limit = int(os.environ.get("SCALING_CACHE_SIZE") or DISK_LIMIT)

    def read(self, key: str) -> bytes | None:
        path = self.folder / key
        try:
            content = path.read_bytes()
            os.utime(path)
            return content
        except OSError:
            return None

    def write(self, key: str, content: bytes) -> None:
        if len(content) > self.limit:
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".new-", dir=self.folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                os.replace(name, self.folder / key)
            except BaseException:
                os.unlink(name)
                raise
            self.trim()
        except OSError:
            # A full or read-only disk is no reason to fail: it is a cache.
            pass

    def trim(self) -> None:
        """Removes what was not used for longest until the rest fits."""
        files = []
        for entry in os.scandir(self.folder):
            try:
                stat = entry.stat()
            except FileNotFoundError:
                continue
            files.append((stat.st_mtime_ns, stat.st_size, entry.path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self.limit:
                break
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
            total -= size


class _Memory:
    """Programs by text. Two threads that want the same one compile it once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.programs: OrderedDict[tuple, Any] = OrderedDict()
        self.busy: dict[tuple, threading.Lock] = {}

    def get(self, key: tuple, make: Any) -> Any:
        with self.lock:
            if key in self.programs:
                self.programs.move_to_end(key)
                return self.programs[key]
            busy = self.busy.setdefault(key, threading.Lock())
        with busy:
            with self.lock:
                if key in self.programs:
                    return self.programs[key]
            try:
                program = make()
                with self.lock:
                    self.programs[key] = program
                    while len(self.programs) > MEMORY_LIMIT:
                        self.programs.popitem(last=False)
            finally:
                with self.lock:
                    self.busy.pop(key, None)
        return program


_memory = _Memory()


def get_program(
    text: str, *, name: str, linalg: bool, threads: bool, passes: str = ""
) -> Any:
    """The program of this text after these passes: from memory, from disk, or
    compiled."""

    def make() -> Any:
        folder = cache_directory()
        disk = _Disk(folder) if folder else None
        key = hashlib.sha256(
            repr((_identity(), text, name, linalg, threads, passes)).encode()
        ).hexdigest()
        if disk:
            content = disk.read(key)
            program = content and _core.load(content)
            if program:
                return program
        content, messages = _core.compile(text, name, linalg, threads, passes)
        if content is None:
            raise CompileError(messages.rstrip())
        if messages:
            warnings.warn(messages.rstrip(), stacklevel=2)
        if disk:
            disk.write(key, content)
        return _core.load(content)

    return _memory.get((text, name, linalg, threads, passes), make)


#: NumPy's types of the element types that MLIR names.
DTYPES = {
    "f64": "float64", "f32": "float32", "f16": "float16", "bf16": "bfloat16", "i1": "bool",
    "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64", "index": "int64",
}  # fmt: skip


class CompiledFunction:
    """One public function of a program, called with arrays.

    Arguments are NumPy arrays (or what NumPy makes arrays of, or anything with
    DLPack on the CPU) of just the element types the function has; scalars are
    numbers. They are not copied where they are contiguous. Results are new
    arrays: one, or a tuple of them; a result of a scalar type is an array of
    rank 0.
    """

    def __init__(self, program: Any, name: str) -> None:
        self._function = _core.Function(program, name)
        self.__name__ = name
        self._inputs = self._function.inputs

    def __repr__(self) -> str:
        show = lambda values: ", ".join(
            f"{v[0]}: {v[2] if v[3] else 'x'.join([str(s or '?') if s != 0 else '0' for s in v[5]] + [v[2]])}"
            for v in values
        )
        results = show(self._function.results)
        return f"<{self.__name__}({show(self._inputs)}) -> ({results})>"

    def __call__(self, *args: Any) -> Any:
        if len(args) != len(self._inputs):
            raise TypeError(
                f"{self.__name__} takes {len(self._inputs)} arguments, "
                f"{len(args)} were given"
            )
        prepared = [
            arg if scalar else self._array(i, arg, element, written)
            for i, (arg, (_, _, element, scalar, written, _)) in enumerate(
                zip(args, self._inputs)
            )
        ]
        results = self._function.call(*prepared)
        return results[0] if len(results) == 1 else results

    def _array(self, index: int, value: Any, element: str, written: bool) -> Any:
        from ._arrays import as_array

        name = f"argument {index} ({self._inputs[index][0]}) of {self.__name__}"
        array = as_array(name, value)
        if array.dtype.name != DTYPES[element]:
            raise TypeError(
                f"{name}: the element type is {array.dtype}, needed is {DTYPES[element]}"
            )
        if written:
            # The function writes to the caller's memory: a copy would be lost.
            flags = array.flags
            if not (flags.c_contiguous and flags.writeable and flags.aligned):
                raise ValueError(
                    f"{name}: it is written to, and must be contiguous and writable"
                )
            return array
        return np.require(array, requirements=["C", "A"])


class CompiledProgram:
    """The functions of a program as attributes, and by name: `program["main"]`."""

    def __init__(self, program: Any) -> None:
        self._functions = {
            name: CompiledFunction(program, name) for name in program.functions
        }

    def __getattr__(self, name: str) -> CompiledFunction:
        try:
            return self.__dict__["_functions"][name]
        except KeyError:
            names = ", ".join(self.__dict__.get("_functions", ())) or "none"
            raise AttributeError(
                f"there is no function {name!r}; there is: {names}"
            ) from None

    def __getitem__(self, name: str) -> CompiledFunction:
        return self._functions[name]

    def __iter__(self) -> Any:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._functions]


def compile(
    mlir_text: str, *, route: str = "cpu", threads: bool = True
) -> CompiledProgram:
    """Compiles MLIR for this machine.

    mlir_text: a module; its public functions become callables. They may use
        the `scaling` dialect and all upstream dialects that lower to LLVM.
    route: "cpu" (tiled, vectorized) or "linalg" (the portable way).
    threads: whether loops may run on several threads.

        program = scaling.compile(text)
        p = program.main(x)

    Raises CompileError, a ValueError, with the compiler's diagnostics.
    """
    if not isinstance(mlir_text, str):
        raise TypeError(f"mlir_text: text is needed, not {type(mlir_text).__name__}")
    if route not in ("cpu", "linalg"):
        raise ValueError(f"route: {route!r} was given, allowed are 'cpu', 'linalg'")
    return CompiledProgram(
        get_program(
            mlir_text, name="mlir_text", linalg=route == "linalg", threads=bool(threads)
        )
    )
