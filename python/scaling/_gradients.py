"""Vector-Jacobian products of calls: what every binding's gradients are made of.

A binding that computes something with `_calls.call(key, make, names, arrays)`
gets the gradients of the same call from

    gradients = call_vjp(key, make, names, arrays, wrt, cotangents)

`wrt` are names of operands (among `names`) that hold floats; `cotangents` one
array, or None for zero, per *differentiable* result: those of the kind without
its report of how the iteration ended. There is one gradient per name in `wrt`,
with the shape of that operand's array and its element type (float64 for one
that is no float), in contiguous memory of its own. A `Mode` says what is
differentiated of an iteration.

The program is that of the call after `--scaling-differentiate`: it does the
forward half-steps again, so that nothing needs to be kept but the operands.
`check_differentiable` says beforehand what has no gradient. Both raise
ValueError.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import InitVar, dataclass
from typing import Any

import numpy as np

from . import _core
from ._arrays import FLOATS
from ._calls import BOUND_LIMIT, REPORT, ConvergenceWarning, Kind, Layout, Result


def differentiable_results(kind: Kind) -> tuple[Result, ...]:
    """The kind's results that have cotangents: all but the report."""
    count = len(REPORT)
    return kind.results[:-count] if kind.results[-count:] == REPORT else kind.results


MODES = ("unrolled", "envelope", "implicit")


@dataclass(frozen=True)
class Mode:
    """What is differentiated of an iteration (`--scaling-differentiate`)."""

    name: str = "unrolled"
    #: implicit: up to where an iteration counts as converged.
    residual: float = 1e-4
    #: What the caller names it.
    argument: InitVar[str] = "mode"

    def __post_init__(self, argument: str) -> None:
        if self.name not in MODES:
            allowed = ", ".join(map(repr, MODES))
            raise ValueError(
                f"{argument}: {self.name!r} was given, allowed are {allowed}"
            )
        if not self.residual >= 0:
            raise ValueError(
                f"max_residual: {self.residual} was given, it is not to be negative"
            )


UNROLLED = Mode()
#: How the gradient of a problem was found, as programs report it.
IMPLICIT = 1
_FELL_BACK = {
    0: "the iteration has not converged",
    2: "the linear system was not solved",
}


#: Between the attributes of an op and the mode of its gradient, in one text.
_SEPARATOR = " gradient "


def with_gradient(text: str, gradient: str) -> str:
    """The attributes of an op with what its gradient is of."""
    mode = Mode(gradient, argument="gradient")
    if mode.name == "envelope":
        raise ValueError(
            "gradient: 'envelope' is of dual values, which this op does not compute"
        )
    return text if mode == UNROLLED else f"{text}{_SEPARATOR}{mode.name}"


def split_gradient(text: str) -> tuple[str, Mode]:
    """The attributes alone, and what the gradient is of."""
    text, _, mode = text.partition(_SEPARATOR)
    return text, Mode(mode) if mode else UNROLLED


def check_differentiable(kind: Kind, mode: Mode = UNROLLED) -> None:
    """Refuses what no program can be compiled for."""
    if kind.is_best and mode.name != "envelope":
        raise ValueError(
            f"scaling.{kind.op}: stop: 'best' has no gradient: which factors are the "
            "best is a choice; allowed are fixed and until"
        )
    for result in differentiable_results(kind):
        if result.kind not in ("storage", "factor"):
            raise ValueError(
                f"scaling.{kind.op}: kind: 'argmax' has no gradient: which entry is "
                "the largest is a choice"
            )


def vjp_passes(
    kind: Kind, names: Sequence[str], wrt: Sequence[str], mode: Mode = UNROLLED
) -> str:
    """What makes `@op_vjp` of the private `@op`, which then goes."""
    positions = ",".join(str(tuple(names).index(name)) for name in wrt)
    options = f"functions={kind.op} wrt={positions}"
    if mode.name != "unrolled":
        options += f" mode={mode.name}"
    if mode.name == "implicit":
        options += f" residual={mode.residual!r}"
    return f"scaling-differentiate{{{options}}},symbol-dce"


def warn_of_fallback(op: str, report: np.ndarray, level: int) -> None:
    """Says where an implicit gradient was asked for, and it is unrolled."""
    for code, why in _FELL_BACK.items():
        count = int(np.sum(report == code))
        if count:
            which = f" in {count} of {report.size} problems" if report.size > 1 else ""
            warnings.warn(
                f"scaling.{op}: the gradient is unrolled{which}: {why}",
                ConvergenceWarning,
                stacklevel=level + 1,
            )


class BoundVJP:
    """A gradient's program for one exact set of shapes, ready to be called."""

    def __init__(
        self,
        key: tuple | None,
        kind: Kind,
        names: Sequence[str],
        arrays: Sequence[np.ndarray],
        wrt: Sequence[str],
        given: Sequence[bool],
        mode: Mode = UNROLLED,
    ) -> None:
        check_differentiable(kind, mode)
        self.op = kind.op
        results = differentiable_results(kind)
        layout = Layout(key, kind, names, arrays)
        for name in wrt:
            if layout.operands[name].kind == "mask":
                raise ValueError(f"wrt: {name} is a mask, which has no gradient")
        chosen = [i for i, has in enumerate(given) if has]
        program = layout.program(
            kind,
            chosen,
            visibility="private ",
            passes=vjp_passes(kind, names, wrt, mode),
        )
        self.call = _core.Function(program, f"{kind.op}_vjp").call
        self.adapt, self.batch = layout.adapt, layout.batch
        flat = (-1,) if layout.batch else ()
        #: Per cotangent: the shape it must have, what the program takes, and its
        #: element type.
        self.cotangents = []
        for i in chosen:
            shape = layout.shape(results[i])
            tail = shape[len(layout.batch) :]
            batch = flat and (int(np.prod(layout.batch)),)
            self.cotangents.append(
                (shape, batch + tail, layout.dtypes[results[i].kind])
            )
        #: Per gradient: its shape with the whole batch, or None where the array's
        #: own is that; the array's shape, and element type.
        self.gradients = []
        for name in wrt:
            array = arrays[tuple(names).index(name)]
            whole = layout.shape(layout.operands[name])
            own = array.shape
            if not layout.batched[name]:
                whole = own
            dtype = array.dtype if array.dtype.name in FLOATS else np.dtype(np.float64)
            self.gradients.append((whole, own, dtype))

    def __call__(
        self, arrays: Sequence[np.ndarray], cotangents: Sequence[np.ndarray]
    ) -> tuple[tuple[np.ndarray, ...], np.ndarray | None]:
        """The gradients, and of implicit ones how they were found: per problem
        `IMPLICIT` or why not."""
        prepared = [
            _contiguous(array if adapt is None else adapt(array))
            for array, adapt in zip(arrays, self.adapt)
        ]
        for cotangent, (shape, flat, dtype) in zip(cotangents, self.cotangents):
            if cotangent.shape != shape:
                raise ValueError(
                    f"cotangent: the shape is {cotangent.shape}, that of the value, "
                    f"{shape}, is needed"
                )
            cotangent = cotangent.astype(dtype, copy=False).reshape(flat)
            prepared.append(_contiguous(cotangent))
        results = self.call(*prepared)
        gradients = tuple(
            _restored(result, *how) for result, how in zip(results, self.gradients)
        )
        reports = results[len(gradients) :]
        return gradients, reports[0].reshape(self.batch) if reports else None


def _contiguous(array: np.ndarray) -> np.ndarray:
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else np.array(array, order="C")


def _restored(
    gradient: np.ndarray, whole: tuple, own: tuple, dtype: np.dtype
) -> np.ndarray:
    """In the operand's own shape: what was repeated for a batch is summed."""
    gradient = gradient.reshape(whole)
    if whole != own:
        lead = len(whole) - len(own)
        axes = tuple(range(lead)) + tuple(
            lead + i for i, size in enumerate(own) if size == 1 and whole[lead + i] != 1
        )
        wide = np.float64 if gradient.dtype == np.float64 else np.float32
        gradient = gradient.sum(axes, keepdims=True, dtype=wide).reshape(own)
    return gradient.astype(dtype, copy=False)


_bound: dict[tuple, BoundVJP] = {}


def bind_vjp(
    key: tuple,
    make: Callable[[], Kind],
    names: tuple,
    arrays: Sequence[np.ndarray],
    wrt: tuple,
    given: tuple[bool, ...],
    mode: Mode = UNROLLED,
) -> BoundVJP:
    """The program for gradients of a call; `given` says which of the cotangents
    are not zero."""
    exact = (key, wrt, given, mode, *[(array.dtype, array.shape) for array in arrays])
    try:
        bound = _bound.get(exact)
    except TypeError:
        # A list among the attributes: nothing is found by it.
        return BoundVJP(None, make(), names, arrays, wrt, given, mode)
    if bound is None:
        bound = BoundVJP(key, make(), names, arrays, wrt, given, mode)
        if len(_bound) >= BOUND_LIMIT:
            _bound.clear()
        _bound[exact] = bound
    return bound


def call_vjp(
    key: tuple,
    make: Callable[[], Kind],
    names: tuple,
    arrays: Sequence[np.ndarray],
    wrt: Sequence[str],
    cotangents: Sequence[np.ndarray | None],
    mode: Mode = UNROLLED,
) -> tuple[np.ndarray, ...]:
    """Gradients of Σ cotangent·result with respect to the operands `wrt`."""
    given = tuple(cotangent is not None for cotangent in cotangents)
    if not any(given) or not wrt:
        return tuple(
            np.zeros(array.shape, array.dtype if array.dtype.name in FLOATS else None)
            for array in (arrays[names.index(name)] for name in wrt)
        )
    bound = bind_vjp(key, make, names, arrays, tuple(wrt), given, mode)
    gradients, report = bound(arrays, [c for c in cotangents if c is not None])
    if report is not None:
        warn_of_fallback(bound.op, report, 2)
    return gradients
