"""Programs as a primitive of JAX: shapes, batches, gradients and lowering."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.interpreters import ad, batching, mlir

from .. import _core, _jax
from .._arrays import FLOATS, Foreign
from .._calls import REPORT, Kind, Layout, refused
from .._gradients import (
    UNROLLED,
    Mode,
    check_differentiable,
    differentiable_results,
    vjp_passes,
    warn_of_fallback,
)
from .._programs import CompileError, get_program

TARGET = "scaling_call"


def _find(text: str, function: str, passes: str) -> Any:
    """The function of a program: what a call asks for once, and what lowering
    makes sure of."""
    program = get_program(
        text, name=function, linalg=False, threads=True, passes=passes
    )
    return _core.Function(program, function)


def _warn(function: str, report: bytes) -> None:
    """Of gradients that were to be implicit, from the thread that computed them."""
    codes = np.frombuffer(report, np.int32)
    warn_of_fallback(function.removesuffix("_vjp"), codes, level=1)


jax.ffi.register_ffi_target(TARGET, _jax.handler(_find, _warn), platform="cpu")


@dataclass(frozen=True)
class Call:
    """What is called, whatever the shapes."""

    key: str
    names: tuple[str, ...]
    kind: Kind = field(compare=False)
    #: What the gradient is of.
    mode: Mode = UNROLLED

    @property
    def reports(self) -> bool:
        """Whether a program for gradients says how it found them."""
        own = self.kind.results[-len(REPORT) :]
        return self.mode.name == "implicit" and own == REPORT

    @property
    def operands(self) -> list[Any]:
        """The operands that were given."""
        known = {operand.name: operand for operand in self.kind.operands}
        return [known[name] for name in self.names]

    def extra(self, value: Any) -> int:
        """By how much the last dimensions are larger than their letters say."""
        return value.with_slack if "slack" in self.names else 0

    def sizes(self, shapes: Sequence[tuple], batch_dims: int) -> dict[str, Any]:
        return {
            letter: size - self.extra(operand)
            for operand, shape in zip(self.operands, shapes)
            for letter, size in zip(operand.tail, shape[batch_dims:])
        }


class JaxArray(Foreign):
    """An array on its way through the functions of `scaling`."""

    def __init__(self, array: jax.Array) -> None:
        self.array = array
        self.dtype, self.shape, self.ndim = array.dtype, array.shape, array.ndim
        #: What the gradient of a call is of.
        self.mode = UNROLLED

    @staticmethod
    def run(call: Call, batch_dims: int, *arrays: Any) -> tuple:
        return _run(call, batch_dims, *arrays)

    def call(
        self, key: tuple, make: Callable[[], Kind], names: tuple, arrays: Sequence[Any]
    ) -> tuple:
        kind = make()
        call = Call(repr(key), names, kind, self.mode)
        operands = call.operands
        arrays = [
            array.array if isinstance(array, JaxArray) else jnp.asarray(array)
            for array in arrays
        ]
        stored = [a for a, o in zip(arrays, operands) if o.kind == "storage"]
        dtype = jnp.result_type(*stored)
        if not jnp.issubdtype(dtype, jnp.floating):
            if jnp.issubdtype(dtype, jnp.complexfloating):
                raise TypeError(
                    f"{names[0]}: the element type is {dtype}, allowed are floats and "
                    "integers"
                )
            dtype = jnp.result_type(float)
        if dtype.name not in FLOATS:
            raise TypeError(
                f"{names[0]}: the element type is {dtype}, allowed are "
                f"{', '.join(FLOATS)} and integers"
            )
        if kind.accumulate == "f64" and not jax.config.jax_enable_x64:
            raise ValueError(
                "accumulate: 'f64' was given, which JAX has with jax_enable_x64 only"
            )
        wide = dtype == np.float64 or kind.accumulate == "f64"
        dtypes = {"storage": dtype, "factor": np.dtype("f8" if wide else "f4")}
        rank = max(array.ndim - len(o.tail) for o, array in zip(operands, arrays))
        prepared = []
        for operand, array in zip(operands, arrays):
            if array.ndim < len(operand.tail):
                raise ValueError(
                    f"{operand.name}: the shape is {array.shape}, at least "
                    f"{len(operand.tail)} dimensions are needed"
                )
            if operand.kind == "mask":
                if array.dtype != bool:
                    raise TypeError(
                        f"{operand.name}: booleans are needed, {array.dtype} was given"
                    )
            else:
                array = array.astype(dtypes[operand.kind])
            missing = rank - (array.ndim - len(operand.tail))
            prepared.append(array.reshape((1,) * missing + array.shape))
        _check(call, prepared, rank)
        prepared = whole_batches(call, prepared, rank)
        results = self.run(call, rank, *prepared)
        batch = _batch(prepared, rank)
        return tuple(r.reshape(batch + r.shape[rank:]) for r in results)


def _batch(arrays: Sequence[Any], batch_dims: int) -> tuple:
    """The batch that the arrays have together; of size 1 where an array has no
    part in it."""
    batch: tuple = (1,) * batch_dims
    for array in arrays:
        batch = tuple(
            size if known == 1 else known
            for known, size in zip(batch, array.shape[:batch_dims])
        )
    return batch


def _check(call: Call, arrays: Sequence[Any], batch_dims: int) -> None:
    """Sizes that do not go together are said by the names of the operands."""
    known: dict[Any, tuple[Any, str]] = {}
    order = sorted(zip(call.operands, arrays), key=lambda x: -len(x[0].tail))
    for operand, array in order:
        extra = call.extra(operand)
        for letter, size in zip(operand.tail, array.shape[batch_dims:]):
            wanted, by = known.setdefault(letter, (size - extra, operand.name))
            if wanted != size - extra:
                raise ValueError(
                    f"{operand.name}: the shape is {array.shape}, but "
                    f"{wanted + extra} in place of {size} is needed to go with {by}"
                )
        for dim, size in enumerate(array.shape[:batch_dims]):
            if size == 1:
                continue
            wanted, by = known.setdefault(dim, (size, operand.name))
            if wanted != size:
                raise ValueError(
                    f"{operand.name}: the batch {array.shape[:batch_dims]} does not go "
                    f"with that of {by}"
                )


def whole_batches(call: Call, arrays: Sequence[Any], batch_dims: int) -> list[Any]:
    """What has part of a batch gets all of it; what has none stays."""
    batch = _batch(arrays, batch_dims)
    return [
        (
            array
            if array.shape[:batch_dims] == batch or _is_one(array.shape[:batch_dims])
            else jnp.broadcast_to(array, batch + array.shape[batch_dims:])
        )
        for array in arrays
    ]


def _is_one(sizes: Sequence[Any]) -> bool:
    return all(isinstance(size, int) and size == 1 for size in sizes)


_scaling = jax.extend.core.Primitive("scaling")
_scaling.multiple_results = True
_jitted = jax.jit(_scaling.bind, static_argnames=("call", "batch_dims", "wrt", "given"))
_scaling.def_impl(lambda *arrays, **parameters: _jitted(*arrays, **parameters))


@_scaling.def_abstract_eval
def _shapes(
    *arrays: Any, call: Call, batch_dims: int, wrt: tuple | None, given: tuple
) -> list[Any]:
    operands = arrays[: len(call.names)]
    if wrt is not None:
        chosen = [operands[call.names.index(name)] for name in wrt]
        found = [jax.core.ShapedArray(array.shape, array.dtype) for array in chosen]
        if call.reports:
            batch = _batch(operands, batch_dims)
            found.append(jax.core.ShapedArray(batch, np.dtype(np.int32)))
        return found
    batch = _batch(operands, batch_dims)
    sizes = call.sizes([array.shape for array in operands], batch_dims)
    storage = next(
        array.dtype
        for operand, array in zip(call.operands, operands)
        if operand.kind == "storage"
    )
    wide = storage == np.float64 or call.kind.accumulate == "f64"
    dtypes = {"storage": storage, "factor": np.dtype("f8" if wide else "f4")}
    return [
        jax.core.ShapedArray(
            batch + tuple(sizes[c] + call.extra(result) for c in result.tail),
            # Without jax_enable_x64 there are no i64.
            dtypes.get(result.kind)
            or jax.dtypes.canonicalize_dtype(_INTS[result.kind]),
        )
        for result in call.kind.results
    ]


_INTS = {"i32": np.int32, "i64": np.int64}


def stand_in(call: Call, operand: Any, aval: Any, batch_dims: int) -> np.ndarray:
    """An array of the shape that the program sees, without memory. A size that is
    not known yet is 0, which programs take for any."""
    own, tail = aval.shape[:batch_dims], aval.shape[batch_dims:]
    shape = [size if isinstance(size, int) else call.extra(operand) for size in tail]
    if not _is_one(own):
        known = all(isinstance(size, int) for size in own)
        shape.insert(0, math.prod(own) if known else 0)
    return np.broadcast_to(np.empty((), aval.dtype), shape)


def _lower(
    ctx: Any,
    *values: Any,
    call: Call,
    batch_dims: int,
    wrt: tuple | None,
    given: tuple,
) -> Any:
    kind, operands = call.kind, call.operands
    avals = ctx.avals_in[: len(operands)]
    arrays = [stand_in(call, *x, batch_dims) for x in zip(operands, avals)]
    layout = Layout(("jax", call.key), kind, call.names, arrays)
    if wrt is None:
        text, passes, function = (
            layout.text(kind, range(len(kind.results))),
            "",
            kind.op,
        )
        results = [bool(layout.batch)] * len(kind.results)
    else:
        chosen = [i for i, has in enumerate(given) if has]
        text = layout.text(kind, chosen, visibility="private ")
        passes = vjp_passes(kind, call.names, wrt, call.mode)
        function = f"{kind.op}_vjp"
        results = [layout.batched[name] for name in wrt]
        results += [bool(layout.batch)] * call.reports
    batched = [layout.batched[name] for name in call.names]
    batched += [bool(layout.batch)] * (len(values) - len(operands))
    if all(isinstance(size, int) for aval in ctx.avals_in for size in aval.shape):
        try:
            _find(text, function, passes)
        except CompileError as error:
            raise refused(kind, error) from error
    return jax.ffi.ffi_lowering(TARGET)(
        ctx,
        *values,
        program=text,
        function=function,
        passes=passes,
        batch_dims=np.int64(batch_dims),
        batched=np.array([*batched, *results], np.int64),
    )


mlir.register_lowering(_scaling, _lower, platform="cpu")


def _vmap(
    arrays: Sequence[Any],
    dims: Sequence[int | None],
    *,
    call: Call,
    batch_dims: int,
    wrt: tuple | None,
    given: tuple,
) -> tuple:
    """A batch dimension more, in front. Each of its elements has a gradient of its
    own, of what is shared too."""
    ((size, *_),) = {(a.shape[d],) for a, d in zip(arrays, dims) if d is not None}
    own = len(call.names)
    moved = []
    for i, (array, dim) in enumerate(zip(arrays, dims)):
        if dim is not None:
            array = jnp.moveaxis(array, dim, 0)
        else:
            needs_all = wrt is not None and (i >= own or call.names[i] in wrt)
            array = jnp.broadcast_to(array, (size if needs_all else 1, *array.shape))
        moved.append(array)
    batch_dims += 1
    whole = whole_batches(call, moved, batch_dims)
    results = _scaling.bind(
        *whole, call=call, batch_dims=batch_dims, wrt=wrt, given=given
    )
    if wrt is not None:
        shapes = [moved[call.names.index(name)].shape for name in wrt]
        sums = [_sum_to(result, shape) for result, shape in zip(results, shapes)]
        results = [*sums, *results[len(sums) :]]
    return results, [0] * len(results)


def _sum_to(array: Any, shape: tuple) -> Any:
    """Sums along what was of size 1."""
    axes = [i for i, (a, b) in enumerate(zip(array.shape, shape)) if a != b]
    return jnp.sum(array, axis=axes, keepdims=True) if axes else array


batching.primitive_batchers[_scaling] = _vmap


def _second_order(primals: tuple, tangents: tuple, *, call: Call, **_: Any) -> Any:
    """Of the first order is `_run`, whose gradient is this primitive as well."""
    raise NotImplementedError(
        f"scaling.{call.kind.op} has no second derivatives: its gradient cannot be "
        "differentiated; scaling.jax.composite has, of the plain recurrence"
    )


ad.primitive_jvps[_scaling] = _second_order


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _run(call: Call, batch_dims: int, *arrays: Any) -> tuple:
    """All results; operands have the same number of batch dimensions."""
    return tuple(
        _scaling.bind(*arrays, call=call, batch_dims=batch_dims, wrt=None, given=())
    )


def _forward(call: Call, batch_dims: int, *arrays: Any) -> tuple:
    check_differentiable(call.kind, call.mode)
    values = tuple(array.value for array in arrays)
    # What is known while tracing is kept as structure: () is wanted, None is not.
    wanted = tuple(() if array.perturbed else None for array in arrays)
    return _run(call, batch_dims, *values), (values, wanted)


def _backward(call: Call, batch_dims: int, kept: tuple, cotangents: tuple) -> tuple:
    values, wanted = kept
    wrt = tuple(
        operand.name
        for operand, want in zip(call.operands, wanted)
        if want is not None and operand.kind != "mask"
    )
    results = differentiable_results(call.kind)
    given = tuple(not isinstance(c, SymbolicZero) for c, _ in zip(cotangents, results))
    if not wrt or not any(given):
        return (None,) * len(values)
    batch = _batch(values, batch_dims)
    cotangents = [
        c if _is_one(batch) else jnp.broadcast_to(c, batch + c.shape[batch_dims:])
        for c, has in zip(cotangents, given)
        if has
    ]
    gradients = _scaling.bind(
        *values, *cotangents, call=call, batch_dims=batch_dims, wrt=wrt, given=given
    )
    found = dict(zip(wrt, gradients))
    return tuple(found.get(name) for name in call.names)


_run.defvjp(_forward, _backward, symbolic_zeros=True)
