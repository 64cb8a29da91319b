"""Gradients of the functions, for NumPy users."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._arrays import FLOATS, as_array
from ._attention import attention, pairwise
from ._calls import tape
from ._gradients import (
    IMPLICIT,
    Mode,
    bind_vjp,
    differentiable_results,
    warn_of_fallback,
)
from ._normalize import BalanceResult, balance, normalize
from ._transport import SinkhornResult, apply, plan, project, sinkhorn

#: What has gradients, and its parameters.
_FUNCTIONS = {
    function: tuple(inspect.signature(function).parameters)
    for function in (
        sinkhorn, project, plan, apply, pairwise, normalize, balance, attention,
    )
}  # fmt: skip
#: Operands that a parameter of another name may be.
_OPERANDS = {
    "temperature": ("epsilon",),
    "operand": ("operand_nk", "operand_mk"),
    "target": ("row_target", "col_target"),
}


def vjp(
    function: Callable[..., Any],
    *arrays: Any,
    wrt: str | int | Sequence[str | int] | None = None,
    mode: str = "unrolled",
    max_residual: float = 1e-4,
    **keywords: Any,
) -> tuple[Any, Pullback]:
    """A function's value, and the way from a cotangent of it to gradients.

        p, pullback = scaling.vjp(scaling.project, x, temperature=0.5)
        (x_bar,) = pullback(p_bar)

    function: scaling.sinkhorn, project, plan, apply, pairwise, normalize, balance
        or attention; arrays and keywords are its arguments.
    wrt: what gradients are wanted of, by name ("matrix", "temperature", "value",
        ...) or position; default: all of the arguments that are arrays of floats,
        in the order they are given in. Numbers have gradients where they are named.

    Returns the value, as the function returns it, and `pullback`. Its argument is
    an array of the value's shape: what some number changes by per change of the
    value. Of `sinkhorn` it is a pair for f and g, of `balance` a triple for matrix,
    row_scale, col_scale, in which None is zero; counts, residuals and status have
    no cotangents. `pullback` returns one gradient per argument in `wrt`, of its
    shape and element type. A result of `sinkhorn` as an argument counts as two: f
    and g.

    mode: what is differentiated of an iteration (docs/semantics.md, "Derivatives").
        "unrolled": the half-steps that were taken.
        "implicit": what the factors solve, where row and column sums are off by no
            more than `max_residual`, relative. Where they are, it is unrolled, and a
            ConvergenceWarning says so; after a call `pullback.implicit` has for every
            problem whether it was implicit.
        "envelope": nothing, which is right for `apply(kind="dual")` alone.

    The arrays are not copied: they must be the same when `pullback` is called.
    ValueError for what has no gradient: stop "best", "argmax", masks, annealing; and
    for what has none in this mode.
    """
    how = Mode(mode, max_residual)
    parameters = _FUNCTIONS.get(function) if callable(function) else None
    if parameters is None:
        names = ", ".join(f"scaling.{f.__name__}" for f in _FUNCTIONS)
        raise TypeError(f"function: {function!r} was given, allowed are {names}")
    outer, tape.calls = tape.calls, []
    try:
        value = function(*arrays, **keywords)
        ((key, make, names, operands),) = tape.calls
    finally:
        tape.calls = outer
    given = dict(zip(parameters, arrays)) | keywords
    chosen = _chosen(given, wrt, parameters, names)
    results = differentiable_results(make())
    # What cannot be differentiated is refused here, not later.
    bind_vjp(key, make, names, operands, chosen, (True,) * len(results), how)
    return value, Pullback((key, make, names, operands, chosen), len(results), how)


class Pullback:
    """The way from a cotangent of a value to gradients; see `vjp`."""

    def __init__(self, call: tuple, count: int, mode: Mode) -> None:
        self._call, self._count, self._mode = call, count, mode
        #: Of mode "implicit", after a call: whether each problem's gradient is.
        self.implicit: Any = None

    def __call__(self, cotangent: Any) -> tuple[np.ndarray, ...]:
        cotangents = _cotangents(cotangent, self._count)
        has = tuple(c is not None for c in cotangents)
        if not any(has):
            raise ValueError("cotangent: None was given, an array is needed")
        bound = bind_vjp(*self._call, has, self._mode)
        operands = self._call[3]
        gradients, report = bound(operands, [c for c in cotangents if c is not None])
        if report is not None:
            self.implicit = report == IMPLICIT
            warn_of_fallback(bound.op, report, 2)
        return gradients


def _is_float_array(value: Any) -> bool:
    if isinstance(value, SinkhornResult):
        return True
    if value is None or isinstance(value, (bool, int, float, str)):
        return False
    try:
        return as_array("", value).dtype.name in FLOATS
    except (TypeError, ValueError):
        return False


def _chosen(
    given: dict[str, Any],
    wrt: Any,
    parameters: Sequence[str],
    names: Sequence[str],
) -> tuple[str, ...]:
    """The operands that gradients are wanted of."""

    def named(parameter: str) -> list[str]:
        return [n for n in _OPERANDS.get(parameter, (parameter,)) if n in names]

    def operands(parameter: str) -> list[str]:
        if isinstance(given[parameter], SinkhornResult):
            return ["f", "g"]
        return named(parameter)

    if wrt is None:
        chosen = [
            operand
            for parameter, value in given.items()
            if _is_float_array(value)
            for operand in operands(parameter)
        ]
        if not chosen:
            raise TypeError("wrt: no argument is an array of floats")
        return tuple(chosen)
    chosen = []
    for which in [wrt] if isinstance(wrt, (str, int)) else wrt:
        if isinstance(which, str):
            found = named(which)
        elif 0 <= operator.index(which) < len(given):
            found = operands(list(given)[which])
        else:
            raise ValueError(
                f"wrt: there is no argument {which}, only 0 to {len(given) - 1}"
            )
        if not found:
            arguments = ", ".join(filter(named, parameters))
            raise ValueError(
                f"wrt: {which!r} was given, which is no array among the arguments; "
                f"there are {arguments}"
            )
        chosen += found
    if not chosen:
        raise ValueError("wrt: it is empty, one argument at least is needed")
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"wrt: {wrt!r} was given, which has an argument twice")
    return tuple(chosen)


def _cotangents(cotangent: Any, count: int) -> list[np.ndarray | None]:
    if isinstance(cotangent, SinkhornResult):
        cotangent = (cotangent.f, cotangent.g)
    elif isinstance(cotangent, BalanceResult):
        cotangent = (cotangent.matrix, cotangent.row_scale, cotangent.col_scale)
    if count == 1:
        cotangent = (cotangent,)
    elif not isinstance(cotangent, (tuple, list)) or len(cotangent) != count:
        raise TypeError(
            f"cotangent: {count} arrays are needed, one per array of the value, "
            f"{type(cotangent).__name__} was given"
        )
    found: list[np.ndarray | None] = []
    for part in cotangent:
        array = None if part is None else as_array("cotangent", part)
        if array is not None and (
            array.dtype.name not in FLOATS and array.dtype.kind not in "iu"
        ):
            raise TypeError(f"cotangent: the element type is {array.dtype}")
        found.append(array)
    return found
