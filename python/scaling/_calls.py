"""From a call in Python to a program for its shapes, and back."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from ._arrays import FLOATS, Foreign, as_array, native
from ._programs import CompileError, get_program
from . import _core

#: Sizes up to this are always part of a program; larger ones only of the first
#: few programs of a kind, whose successors are for any size.
SMALL_SIZE = 32
STATIC_SHAPES = 16
#: How many exact shapes are remembered.
BOUND_LIMIT = 4096


class ConvergenceWarning(UserWarning):
    """An iteration that ended at its limit, or whose numbers left their range."""


class Status(IntEnum):
    """How an iteration ended."""

    FIXED = 0
    CONVERGED = 1
    LIMIT = 2
    DIVERGED = 3


@dataclass(frozen=True, slots=True)
class Info:
    """How an iteration ended: scalars, or arrays of the batch's shape.

    half_steps: how many were done (int32).
    residual: what the last check measured; −1 where nothing was (a fixed count
        without `measure`), +inf after divergence.
    status: a `Status` as int32: fixed 0, converged 1, limit 2, diverged 3.
    """

    half_steps: Any
    residual: Any
    status: Any

    @property
    def converged(self) -> bool:
        """Whether every problem ended by its tolerance."""
        return bool(np.all(np.equal(self.status, Status.CONVERGED)))


@dataclass(frozen=True)
class Operand:
    """An operand: its last dimensions as letters, and what its elements are:
    `storage` (the matrix' own type), `factor` (what is accumulated in), `mask`."""

    name: str
    tail: str
    kind: str = "factor"
    #: How many entries a slack adds.
    with_slack: int = 0
    #: What callers know it by, where that is another name.
    argument: str = ""

    @property
    def shown(self) -> str:
        return self.argument or self.name


@dataclass(frozen=True)
class Result:
    """A result of a program: its last dimensions, and its kind of elements."""

    tail: str
    kind: str
    with_slack: int = 0


REPORT = (Result("", "i32"), Result("", "factor"), Result("", "i32"))


class Writer:
    """What a program's text is made of for given shapes."""

    def __init__(
        self,
        element: str,
        factor: str,
        batch: Sequence[int | None],
        sizes: dict[str, int | None],
        slack: bool,
        operands: dict[str, tuple[str, bool]],
        kinds: dict[str, str],
    ) -> None:
        #: Per operand its letters, and whether it has the batch.
        self.operands = operands
        self.kinds = kinds
        self.elements = {"storage": element, "factor": factor, "mask": "i1"}
        self.batch = list(batch)
        self.sizes = sizes
        self.slack = slack

    def element(self, kind: str) -> str:
        return self.elements.get(kind, kind)

    def type(
        self, tail: str, kind: str, with_slack: int = 0, batched: bool = True
    ) -> str:
        extra = with_slack if self.slack else 0
        shape = list(self.batch) if batched else []
        for letter in tail:
            size = self.sizes[letter]
            shape.append(None if size is None else size + extra)
        sizes = "".join("?x" if s is None else f"{s}x" for s in shape)
        return f"tensor<{sizes}{self.element(kind)}>"

    def maps(self, tails: Sequence[tuple[str, bool]], space: str) -> str:
        """Indexing maps of operands with these letters over `space`."""
        batch = "z" if self.batch else ""
        loops = ", ".join(batch + space)
        maps = [
            f"affine_map<({loops}) -> ({', '.join((batch if batched else '') + tail)})>"
            for tail, batched in tails
        ]
        kinds = ", ".join(['"parallel"'] * len(batch + space))
        return f"{{indexing_maps = [{', '.join(maps)}], iterator_types = [{kinds}]}}"

    def empty(self, name: str, tail: str, kind: str) -> list[str]:
        """Lines that make a tensor of the batch, with any contents."""
        lines, dims = [], []
        open_sizes = [("z", None)] if self.batch else []
        open_sizes += [(c, self.sizes[c]) for c in tail]
        for letter, size in open_sizes:
            if size is not None:
                continue
            for source, (own, batched) in self.operands.items():
                letters = ("z" if batched else "") + own
                if letter in letters:
                    break
            index = letters.index(letter)
            lines += [
                f"  %{name}_c{letter} = arith.constant {index} : index",
                f"  %{name}_{letter} = tensor.dim %{source}, %{name}_c{letter} : "
                + self.type(own, self.kinds[source], batched=batched),
            ]
            dims.append(f"%{name}_{letter}")
        type = self.type(tail, kind)
        return [*lines, f"  %{name} = tensor.empty({', '.join(dims)}) : {type}"]

    def filled(self, name: str, tail: str, kind: str, value: str) -> list[str]:
        """Lines that make a tensor of the batch, all of whose elements are
        `value`."""
        element, type = self.element(kind), self.type(tail, kind)
        return [
            *self.empty(f"{name}_empty", tail, kind),
            f"  %{name}_value = arith.constant {value} : {element}",
            f"  %{name} = linalg.fill ins(%{name}_value : {element}) "
            f"outs(%{name}_empty : {type}) -> {type}",
        ]


class Bound:
    """A program for one exact set of shapes, ready to be called."""

    __slots__ = ("call", "adapt", "reshape", "is_best", "op")

    def __init__(self, call: Any, adapt: Any, reshape: Any, is_best: bool, op: str):
        self.call = call
        #: Per array: nothing, or what makes it what the program takes.
        self.adapt = adapt
        #: Per result: nothing, or the shape it is returned in.
        self.reshape = reshape
        self.is_best = is_best
        self.op = op

    def __call__(self, arrays: list[np.ndarray]) -> tuple:
        if self.adapt is not None:
            arrays = [
                array if adapt is None else adapt(array)
                for array, adapt in zip(arrays, self.adapt)
            ]
        for i, array in enumerate(arrays):
            flags = array.flags
            if not (flags.c_contiguous and flags.aligned):
                arrays[i] = np.array(array, order="C")
        *results, status = self.call(*arrays)
        if status >= Status.LIMIT and not (self.is_best and status == Status.LIMIT):
            _warn(self.op, results[-2:], status)
        if self.reshape is not None:
            results = [
                result if shape is None else result.reshape(shape)
                for result, shape in zip(results, self.reshape)
            ]
        return results


def _warn(op: str, report: Sequence[np.ndarray], status: int) -> None:
    residual, statuses = (np.asarray(x) for x in report)
    count = int(np.sum(statuses == status))
    which = f" in {count} of {statuses.size} problems" if statuses.size > 1 else ""
    if status == Status.DIVERGED:
        text = f"scaling.{op} diverged{which}: factors left the range of numbers"
    else:
        worst = float(np.max(residual[statuses == status]))
        text = f"scaling.{op} did not converge{which}"
        # Sweeps of "gebal" have none.
        if not worst < 0:
            text += f": the residual is {worst:.3g}"
    # The caller of the public function, which `vjp` may have called.
    level = 5 if tape.calls is None else 6
    warnings.warn(text, ConvergenceWarning, stacklevel=level)


@dataclass(frozen=True)
class Kind:
    """What is known of an operation before its shapes are."""

    op: str
    operands: tuple[Operand, ...]
    #: Which of the operands set the element type.
    results: tuple[Result, ...]
    #: Text of the body for a Writer: from operand names to the types of their
    #: arguments; must end with the values that are returned.
    body: Callable[[Writer, dict[str, str]], tuple[list[str], list[str]]]
    accumulate: str = ""
    is_best: bool = False


class _Tape(threading.local):
    """The calls of this thread, where somebody wants to differentiate them: the
    arguments of `call`."""

    calls: list[tuple] | None = None


tape = _Tape()

_bound: dict[tuple, Bound] = {}
#: Per kind of call, the shapes that have programs of their own.
_shapes: dict[tuple, set] = {}


def array_of(name: str, value: Any) -> np.ndarray:
    return value if type(value) is np.ndarray else as_array(name, value)


def call(
    key: tuple, make: Callable[[], Kind], names: tuple, arrays: list[np.ndarray]
) -> tuple:
    """Calls the program for `key` and the arrays; `make` says what it does where
    there is none yet."""
    if isinstance(arrays[0], Foreign):
        return arrays[0].call(key, make, names, arrays)
    if tape.calls is not None:
        tape.calls.append((key, make, names, list(arrays)))
    exact = (key, *[(array.dtype, array.shape) for array in arrays])
    try:
        bound = _bound.get(exact)
    except TypeError:
        # A list among the attributes: nothing is found by it.
        return _bind(None, make(), names, arrays)(arrays)
    if bound is None:
        bound = _bind(key, make(), names, arrays)
        if len(_bound) >= BOUND_LIMIT:
            _bound.clear()
        _bound[exact] = bound
    return bound(arrays)


def _sizes_of(
    kind: Kind, names: Sequence[str], arrays: Sequence[np.ndarray]
) -> tuple[dict[str, int], tuple[int, ...], bool]:
    """The size of every letter, and the batch's shape."""
    slack = "slack" in names
    operands = {operand.name: operand for operand in kind.operands}
    sizes: dict[str, tuple[int, str]] = {}
    batch: tuple[int, ...] = ()
    # Matrices first: what they say is what vectors must fit.
    order = sorted(zip(names, arrays), key=lambda x: -len(operands[x[0]].tail))
    for name, array in order:
        operand = operands[name]
        rank = len(operand.tail)
        if array.ndim < rank:
            needed = "1 dimension is" if rank == 1 else f"{rank} dimensions are"
            raise ValueError(
                f"{operand.shown}: the shape is {array.shape}, at least {needed} needed"
            )
        split = array.ndim - rank
        extra = operand.with_slack if slack else 0
        for letter, size in zip(operand.tail, array.shape[split:]):
            known, by = sizes.setdefault(letter, (size - extra, operand.shown))
            if known != size - extra:
                raise ValueError(
                    f"{operand.shown}: the shape is {array.shape}, but {known + extra} "
                    f"in place of {size} is needed to go with {by}"
                )
        try:
            batch = np.broadcast_shapes(batch, array.shape[:split])
        except ValueError:
            raise ValueError(
                f"{operand.shown}: the batch {array.shape[:split]} does not go with "
                f"the batch {batch} of the others"
            ) from None
    return {letter: size for letter, (size, _) in sizes.items()}, batch, slack


def _adaptor(
    dtype: np.dtype, shape: tuple[int, ...] | None, flat: tuple[int, ...] | None
) -> Callable[[np.ndarray], np.ndarray]:
    def adapt(array: np.ndarray) -> np.ndarray:
        if array.dtype != dtype:
            array = array.astype(dtype)
        if shape is not None:
            array = np.broadcast_to(array, shape)
        if flat is not None:
            array = array.reshape(flat)
        return array

    return adapt


def _element_type(names: Sequence[str], arrays: Sequence[np.ndarray]) -> np.dtype:
    """One float type for all of the matrices, as NumPy promotes."""
    types = [native(name, array[:0] if array.ndim else array).dtype
             for name, array in zip(names, arrays)]  # fmt: skip
    try:
        dtype = np.result_type(*types)
    except TypeError:
        dtype = None
    if dtype is None or dtype.name not in FLOATS:
        given = ", ".join(f"{n}: {t}" for n, t in zip(names, types))
        raise TypeError(f"there is no common element type of {given}")
    return dtype


class Layout:
    """How arrays go into a program for their shapes, and results come back."""

    def __init__(
        self,
        key: Any,
        kind: Kind,
        names: Sequence[str],
        arrays: Sequence[np.ndarray],
    ) -> None:
        operands = {operand.name: operand for operand in kind.operands}
        stored = [i for i, n in enumerate(names) if operands[n].kind == "storage"]
        dtype = _element_type(
            [operands[names[i]].shown for i in stored], [arrays[i] for i in stored]
        )
        factor = np.dtype(
            np.float64
            if dtype == np.float64 or kind.accumulate == "f64"
            else np.float32
        )
        sizes, batch, slack = _sizes_of(kind, names, arrays)
        self.operands = operands
        self.sizes, self.batch, self.slack = sizes, batch, slack
        #: NumPy's type of each kind of elements.
        self.dtypes = {"storage": dtype, "factor": factor, "mask": np.dtype(bool)}

        # One batch dimension or none: what has part of a batch gets all of it.
        flat_batch = (int(np.prod(batch)),) if batch else ()
        #: Per array: nothing, or what makes it what the program takes.
        self.adapt: list[Any] = []
        self.batched: dict[str, bool] = {}
        for name, array in zip(names, arrays):
            operand = operands[name]
            split = array.ndim - len(operand.tail)
            own, tail = array.shape[:split], array.shape[split:]
            target = self.dtypes[operand.kind]
            if operand.kind == "mask" and array.dtype != target:
                raise TypeError(
                    f"{operand.shown}: booleans are needed, {array.dtype} was given"
                )
            if operand.kind == "factor":
                native(operand.shown, array[:0] if array.ndim else array)
            self.batched[name] = bool(own)
            shape = batch + tail if own and own != batch else None
            flat = flat_batch + tail if own and len(batch) != 1 else None
            if array.dtype == target and shape is None and flat is None:
                self.adapt.append(None)
            else:
                self.adapt.append(_adaptor(target, shape, flat))

        # The shape class: small sizes as they are; of large ones a few.
        # A program for sizes that are 0 is one for any size.
        shown: dict[str, int | None] = {c: size or None for c, size in sizes.items()}
        if any(size > SMALL_SIZE for size in sizes.values()):
            shapes = _shapes.setdefault(
                (key, dtype, bool(batch), tuple(sorted(self.batched.items()))), set()
            )
            exact = tuple(sorted(sizes.items()))
            if exact not in shapes and len(shapes) >= STATIC_SHAPES:
                shown = dict.fromkeys(sizes)
            else:
                shapes.add(exact)

        self.writer = Writer(
            FLOATS[dtype.name],
            FLOATS[factor.name],
            [None] if batch else [],
            shown,
            slack,
            {name: (operands[name].tail, self.batched[name]) for name in names},
            {name: operands[name].kind for name in names},
        )
        #: Per operand the type of the program's argument.
        self.types = {
            name: self.writer.type(
                operands[name].tail,
                operands[name].kind,
                operands[name].with_slack,
                self.batched[name],
            )
            for name in names
        }

    def shape(self, value: Operand | Result) -> tuple[int, ...]:
        """The whole shape of an operand or result, batch included."""
        extra = value.with_slack if self.slack else 0
        return self.batch + tuple(self.sizes[c] + extra for c in value.tail)

    def program(
        self,
        kind: Kind,
        chosen: Sequence[int],
        visibility: str = "",
        passes: str = "",
    ) -> Any:
        """The program of the kind's results at the positions `chosen`."""
        text = self.text(kind, chosen, visibility)
        try:
            return get_program(
                text, name=kind.op, linalg=False, threads=True, passes=passes
            )
        except CompileError as error:
            raise refused(kind, error) from error

    def text(self, kind: Kind, chosen: Sequence[int], visibility: str = "") -> str:
        """The program's text."""
        lines, values = kind.body(self.writer, self.types)
        values = [values[i] for i in chosen]
        results = [kind.results[i] for i in chosen]
        result_types = ", ".join(
            self.writer.type(r.tail, r.kind, r.with_slack) for r in results
        )
        arguments = ", ".join(f"%{name}: {type}" for name, type in self.types.items())
        return "\n".join(
            [
                f"func.func {visibility}@{kind.op}({arguments}) -> ({result_types}) {{",
                *lines,
                f"  return {', '.join(values)} : {result_types}",
                "}",
                "",
            ]
        )


def refused(kind: Kind, error: CompileError) -> ValueError:
    """What the compiler said, to the caller of the function."""
    return ValueError(f"scaling.{kind.op}: {_first_error(error)}")


def _bind(
    key: tuple | None, kind: Kind, names: Sequence[str], arrays: Sequence[np.ndarray]
) -> Bound:
    layout = Layout(key, kind, names, arrays)
    program = layout.program(kind, range(len(kind.results)))
    function = _core.Function(program, kind.op)
    reshape = None
    if len(layout.batch) > 1:
        reshape = [layout.shape(result) for result in kind.results]
    return Bound(
        function.call_with_status,
        None if all(a is None for a in layout.adapt) else layout.adapt,
        reshape,
        kind.is_best,
        kind.op,
    )


def _first_error(error: CompileError) -> str:
    """What is wrong, without where in a text that the caller has not seen."""
    for line in str(error).splitlines():
        _, found, message = line.partition("error: ")
        if found:
            return re.sub(r"^'scaling\.\w+' op ", "", message)
    return str(error)
