"""Matrix scaling in IREE programs, on the CPU.

    import scaling.iree

    module = scaling.iree.compile(text)       # MLIR with ops of `scaling` in it
    p = module.main(x)                        # runs in IREE's runtime
    module.save("model.vmfb")                 # for iree-run-module, C, ...

Every op of the dialect, with those that only it or that take its results,
becomes one dispatch whose code is made here and embedded as an object; the rest
of the program is IREE's. `route="portable"` gives IREE plain `linalg` instead.

For programs that are made elsewhere, `library` makes `module @scaling` of
functions, and a program that declares `util.func private @scaling.NAME(...)`
finds them with iree-link: `library(text).save(folder)`, or
`compile(program, library=...)`.

`portable(text)` is the text that any IREE compiles.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

try:
    import iree.compiler.tools.binaries
except ImportError as error:
    raise ImportError(
        "scaling.iree needs IREE's compiler: pip install iree-base-compiler "
        "iree-base-runtime (or 'scaling[iree]')"
    ) from error

from . import _core
from ._programs import CompileError

__all__ = ["FLAGS", "Library", "Module", "compile", "library", "portable"]

#: What iree-compile is told. f64 stays f64, and sizes are checked. Aggressive
#: fusion, which level O2 turns on, fails on two reductions that share what they
#: read (IREE 3.13: "operand #1 does not dominate this use").
FLAGS = (
    "--iree-hal-target-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
    "--iree-opt-level=O3",
    "--iree-dispatch-creation-enable-aggressive-fusion=false",
    "--iree-input-demote-f64-to-f32=false",
    "--iree-opt-strip-assertions=false",
)
#: What the library calls the file beside it.
_OBJECT = "scaling.o"


def _make(text: str, route: str, argument: str = "mlir_text") -> tuple[str, str, bytes]:
    if not isinstance(text, str):
        raise TypeError(f"{argument}: text is needed, not {type(text).__name__}")
    made, messages = _core.compile_for_iree(text, argument, route, _OBJECT)
    if made is None:
        raise CompileError(messages.rstrip())
    return made


def portable(mlir_text: str) -> str:
    """The program in `linalg`, in the generic form of MLIR's text, which IREE's
    other version of MLIR reads. Raises CompileError."""
    return _make(mlir_text, "portable")[0]


class Library:
    """`module @scaling` for iree-link.

    text: the module. object: the machine code that it names `scaling.o`.
    """

    def __init__(self, text: str, object: bytes) -> None:
        self.text = text
        self.object = object

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes scaling.mlir and scaling.o:

        iree-link main.mlir --library-path=FOLDER -o linked.mlir
        iree-compile linked.mlir --iree-hal-executable-object-search-path=FOLDER ...
        """
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / "scaling.mlir").write_text(self.text)
        (Path(folder) / _OBJECT).write_bytes(self.object)


def library(mlir_text: str) -> Library:
    """Makes dispatches of the public functions of a module, for this CPU.

    A function whose work is one batch has up to 64 workgroups, each with its
    part of the batch; any other has one. Raises CompileError.
    """
    _, text, code = _make(mlir_text, "library")
    return Library(text, code)


def _run(tool: str, *arguments: str | os.PathLike[str]) -> None:
    path = iree.compiler.tools.binaries.find_tool(tool)
    done = subprocess.run([path, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise CompileError(f"{tool} failed:\n{done.stderr.strip()}")


def _plain(message: str) -> str:
    """What IREE's runtime says of arguments, without where in IREE."""
    said = re.search(r"INVALID_ARGUMENT; (.*?)(?:; while |$)", message, re.MULTILINE)
    if said is None:
        return message
    text = re.sub(r" \([0-9a-f]{8}\)", "", said[1])
    return re.sub(r"\binput(\d+) ", r"argument \1: ", text)


def _check_linked(text: str) -> None:
    """iree-link 3.13 gives a function of a library another name where the program
    has one of that name, and does not find it again."""
    left = re.search(r"^ *util\.func private @scaling\.(\w+)\(.*[^{]$", text, re.M)
    if left:
        name = left[1]
        raise CompileError(
            f"iree-link does not find @scaling.{name} where the program has a function "
            f"@{name} too: give one of them another name"
        )


class Function:
    """A function of a module in IREE's runtime, called with arrays."""

    def __init__(self, call: Any, name: str) -> None:
        self._call = call
        self.__name__ = name

    def __repr__(self) -> str:
        return f"<{self.__name__} in IREE>"

    def __call__(self, *args: Any) -> Any:
        """Takes NumPy arrays, numbers, or arrays of IREE's; returns NumPy
        arrays."""
        results = self.raw(*args)
        if isinstance(results, (tuple, list)):
            return tuple(np.asarray(result) for result in results)
        return np.asarray(results)

    def raw(self, *args: Any) -> Any:
        """The same, and the results stay where IREE has them."""
        for i, arg in enumerate(args):
            if arg is None or isinstance(arg, (str, bytes, list, tuple, dict)):
                raise TypeError(
                    f"{self.__name__}: argument {i}: an array or a number is needed, "
                    f"{type(arg).__name__} was given"
                )
        try:
            return self._call(
                *(arg.item() if isinstance(arg, np.generic) else arg for arg in args)
            )
        except ValueError as error:
            raise ValueError(f"{self.__name__}: {_plain(str(error))}") from error


class Module:
    """A compiled program. Its functions are attributes: `module.main(x)`.

    vmfb: what IREE's runtime loads.
    """

    def __init__(self, vmfb: bytes) -> None:
        self.vmfb = vmfb
        self._loaded: Any = None
        self._device: Any = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the .vmfb."""
        Path(path).write_bytes(self.vmfb)

    def _load(self) -> Any:
        if self._loaded is None:
            try:
                import iree.runtime as runtime
            except ImportError as error:
                raise ImportError(
                    "running needs IREE's runtime: pip install iree-base-runtime"
                ) from error
            config = runtime.Config("local-task")
            context = runtime.SystemContext(config=config)
            module = runtime.VmModule.copy_buffer(context.instance, self.vmfb)
            context.add_vm_module(module)
            self._device = config.device
            self._loaded = context.modules[module.name]
        return self._loaded

    @property
    def device(self) -> Any:
        """Of IREE's runtime, where arrays are used without a copy."""
        self._load()
        return self._device

    def __iter__(self) -> Iterator[str]:
        return iter(
            name
            for name in self._load().vm_module.function_names
            if not name.startswith("__")
        )

    def __getitem__(self, name: str) -> Function:
        names = list(self)
        if name not in names:
            raise KeyError(name)
        return Function(self._load()[name], name)

    def __getattr__(self, name: str) -> Function:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"there is no function {name!r}; there is: {', '.join(self) or 'none'}"
            ) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]


def compile(
    mlir_text: str,
    *,
    route: str = "fast",
    library: Library | None = None,
    flags: Sequence[str] = (),
) -> Module:
    """Compiles a program for IREE's runtime on this CPU.

    mlir_text: a module in upstream's dialects and `scaling`. With `library`,
        text for iree-link instead, which may be in any of IREE's dialects and
        declares `util.func private @scaling.NAME`.
    route: "fast" (the dialect's ops as dispatches with code of our own) or
        "portable" (all of it in `linalg`).
    flags: more flags of iree-compile, behind FLAGS.

    Raises CompileError, a ValueError, with the compiler's diagnostics, ours or
    IREE's.
    """
    if route not in ("fast", "portable"):
        raise ValueError(f"route: {route!r} was given, allowed are 'fast', 'portable'")
    if isinstance(flags, str) or not all(isinstance(flag, str) for flag in flags):
        raise TypeError(f"flags: a list of texts is needed, {flags!r} was given")
    if library is not None:
        if not isinstance(library, Library):
            raise TypeError(
                f"library: what scaling.iree.library makes is needed, not "
                f"{type(library).__name__}"
            )
        if not isinstance(mlir_text, str):
            raise TypeError(
                f"mlir_text: text is needed, not {type(mlir_text).__name__}"
            )
        program = mlir_text
    elif route == "portable":
        program = portable(mlir_text)
    else:
        program, text, code = _make(mlir_text, "split")
        library = Library(text, code) if text else None
    with tempfile.TemporaryDirectory(prefix="scaling-iree-") as folder:
        source = Path(folder) / "program.mlir"
        source.write_text(program)
        if library is not None:
            library.save(folder)
            linked = Path(folder) / "linked.mlir"
            _run("iree-link", source, f"--library-path={folder}", "-o", linked)
            _check_linked(linked.read_text())
            source = linked
        vmfb = Path(folder) / "program.vmfb"
        _run(
            "iree-compile",
            source,
            *FLAGS,
            f"--iree-hal-executable-object-search-path={folder}",
            *flags,
            "-o",
            vmfb,
        )
        return Module(vmfb.read_bytes())
