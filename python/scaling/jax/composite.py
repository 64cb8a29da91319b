"""Matrix scaling for JAX on any backend, and for everything that reads StableHLO.

    import scaling.jax.composite as portable

    p = portable.project(x, preset="mhc")

`project`, `sinkhorn` and `attention` take the arguments of the functions of the
same name in `scaling.jax`. Each is one `stablehlo.composite` of the name
"scaling.project" and so on, whose decomposition is the plain recurrence: whoever
does not know the name runs that, and `scaling-opt --scaling-import-stablehlo`
makes our op of it. Under jit, vmap and grad, forward mode excepted.

What the recurrence does not have is a ValueError: iterations with "until" or
"best", statistics other than sums, masks, start potentials, annealing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .. import _attention, _transport
from .._attributes import _parse
from .._calls import Layout, Status
from . import on_jax
from ._primitive import Call, JaxArray, stand_in, whole_batches

__all__ = ["attention", "project", "sinkhorn"]

_OPERAND = re.compile(r"(\w+)\(%(\w+) : tensor<[^>]*>\) ")
_ATTRIBUTE = re.compile(r"(\w+)\((#scaling\.\w+<[^>]*>|[^()]*)\)")
_OPERANDS = (
    "matrix", "row_marginal", "col_marginal", "slack", "epsilon", "query", "key", "value",
    "bias",
)  # fmt: skip


class _Plain(JaxArray):
    """An array on its way to a composite."""

    @staticmethod
    def run(call: Call, batch_dims: int, *arrays: Any) -> tuple:
        unknown = [name for name in call.names if name not in _OPERANDS]
        if unknown:
            raise ValueError(f"{unknown[0]}: composites have no such operand")
        operands = zip(call.operands, arrays)
        stand_ins = [stand_in(call, o, array, batch_dims) for o, array in operands]
        layout = Layout(("composite", call.key), call.kind, call.names, stand_ins)
        (line,), _ = call.kind.body(layout.writer, layout.types)
        keywords = " ".join(keyword for keyword, _ in _OPERAND.findall(line))
        text = line[list(_OPERAND.finditer(line))[-1].end() :]
        _check(text)
        return _run(call, text, keywords, batch_dims, *arrays)


def _bind(call: Call, text: str, keywords: str, batch_dims: int, *arrays: Any) -> tuple:
    """The composite; where it is batched, one of more batch dimensions."""

    def decomposition(*arrays: Any, **_: Any) -> tuple:
        return _decompose(call, text, batch_dims, *arrays)

    @jax.custom_batching.custom_vmap
    def bind(*arrays: Any) -> tuple:
        composite = jax.lax.composite(
            decomposition, name=f"scaling.{call.kind.op}", version=1
        )
        return tuple(
            composite(
                *arrays, attributes=text, operands=keywords, batch_dims=batch_dims
            )
        )

    @bind.def_vmap
    def batch(_: int, batched: Sequence[bool], *arrays: Any) -> tuple:
        moved = [array if has else array[None] for array, has in zip(arrays, batched)]
        moved = whole_batches(call, moved, batch_dims + 1)
        results = _bind(call, text, keywords, batch_dims + 1, *moved)
        return results, tuple(True for _ in results)

    return bind(*arrays)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3))
def _run(call: Call, text: str, keywords: str, batch_dims: int, *arrays: Any) -> tuple:
    return _bind(call, text, keywords, batch_dims, *arrays)


def _forward(
    call: Call, text: str, keywords: str, batch_dims: int, *arrays: Any
) -> tuple:
    return _run(call, text, keywords, batch_dims, *arrays), arrays


def _backward(
    call: Call, text: str, _: str, batch_dims: int, arrays: tuple, cotangents: tuple
) -> tuple:
    plain = partial(_decompose, call, text, batch_dims)
    return jax.vjp(plain, *arrays)[1](cotangents)


_run.defvjp(_forward, _backward)


class _Rule(NamedTuple):
    """What the recurrence knows of a rule."""

    target: str
    guard: tuple[str, float] | None
    tau: float
    product: bool
    omega: float


class _Text(NamedTuple):
    """An op's attributes."""

    input: str
    form: dict[str, str]
    rules: tuple[_Rule, _Rule]
    order: str
    half_steps: int
    log: bool
    logit_scale: float | None


def _refuse(name: str, value: object, allowed: str) -> None:
    raise ValueError(f"{name}: {value!r} has no portable form, only {allowed}")


def _rule(axis: str, text: str) -> _Rule:
    statistic, fields = _parse(text)
    if statistic != "sum":
        _refuse(f"{axis}: stat", statistic, "'sum'")
    guard = re.fullmatch(r"(\w+)\((.*)\)", fields.pop("guard", ""))
    rule = _Rule(
        fields.pop("target", "one"),
        guard and (guard[1], float(guard[2])),
        float(fields.pop("tau", 1)),
        fields.pop("reference", "kernel") == "product",
        float(fields.pop("omega", 1)),
    )
    for name, value in fields.items():
        _refuse(f"{axis}: {name}", value, "guard, target, tau, reference and omega")
    return rule


def _check(text: str) -> _Text:
    """The attributes, if the recurrence can do what they say."""
    found = dict(_ATTRIBUTE.findall(text))
    head, form = _parse(found["form"])
    stop, stop_fields = _parse(found["stop"])
    mode, _, count = stop.partition(" ")
    if mode != "fixed":
        _refuse("stop", mode, "'fixed': give half_steps")
    if "measure" in stop_fields:
        _refuse("stop: measure", stop_fields["measure"], "counts without a residual")
    for name in ("anneal", "extrapolate"):
        if name in form:
            _refuse(name, form[name] or True, "a single temperature")
    if found["order"] == "symmetric":
        _refuse("order", "symmetric", "'rows_first', 'cols_first' and 'jacobi'")
    scale = found.get("logit_scale")
    return _Text(
        head,
        form,
        (_rule("rows", found["rows"]), _rule("cols", found["cols"])),
        found["order"],
        int(count),
        _parse(found["numerics"])[0] != "kernel",
        None if scale is None else float(scale.partition(" ")[0]),
    )


def _decompose(call: Call, text: str, batch_dims: int, *arrays: Any) -> tuple:
    """The plain recurrence (docs/semantics.md)."""
    how = _check(text)
    given = dict(zip(call.names, arrays))
    storage = arrays[0].dtype
    wide = storage == np.float64 or call.kind.accumulate == "f64"
    dtype = np.dtype("f8" if wide else "f4")
    given = {name: array.astype(dtype) for name, array in given.items()}
    if call.kind.op == "attention":
        q, k = given["query"], given["key"]
        scale = 1 / np.sqrt(q.shape[-1]) if how.logit_scale is None else how.logit_scale
        matrix = scale * jnp.einsum("...nd,...md->...nm", q, k)
        matrix = matrix + given.get("bias", 0)
    else:
        matrix = given["matrix"]
    counts = matrix.shape[-2:]
    epsilon = given.get("epsilon", jnp.asarray(how.form.get("epsilon", 1), dtype))
    x, folds = _enter(how, matrix, epsilon[..., None, None], given.get("slack"))
    targets = [
        given.get(name, _target(how.rules[axis].target, axis, counts, x.shape, dtype))
        for axis, name in enumerate(("row_marginal", "col_marginal"))
    ]
    batch = jnp.broadcast_shapes(*[a.shape[:batch_dims] for a in arrays])
    start = tuple(
        jnp.broadcast_to(
            _start(how, targets[axis], counts[axis]), (*batch, x.shape[axis - 2])
        ).astype(dtype)
        for axis in (0, 1)
    )
    factors = _iterate(how, x, targets, start)
    finite = jnp.all(jnp.isfinite(factors[0]), -1) & jnp.all(
        jnp.isfinite(factors[1]), -1
    )
    # What diverged gives its start.
    row, col = (
        jnp.where(finite[..., None], factor, first)
        for factor, first in zip(factors, start)
    )
    status = jnp.where(finite, int(Status.FIXED), int(Status.DIVERGED))
    report = (
        jnp.full(batch, how.half_steps, np.int32),
        jnp.where(finite, -1, np.inf).astype(dtype),
        status.astype(np.int32),
    )
    if call.kind.op == "sinkhorn":
        if not how.log:
            row, col = jnp.log(row), jnp.log(col)
        units = epsilon[..., None]
        return (units * (row + folds[0]), units * (col + folds[1]), *report)
    plan = _leave(how, x, row, col, counts)
    if call.kind.op == "attention":
        plan = jnp.einsum("...nm,...mk->...nk", plan, given["value"])
    return (plan.astype(storage), *report)


def _enter(how: _Text, matrix: Any, epsilon: Any, slack: Any) -> tuple:
    """The iteration's matrix, and what takes its log factors to the input's."""
    form = how.form
    if "standardize" in form:
        n = matrix.shape[-1] * matrix.shape[-2]
        axes = {"axis": (-2, -1), "keepdims": True}
        std = jnp.std(matrix, ddof=1, **axes) if n > 1 else 0.0
        matrix = (matrix - jnp.mean(matrix, **axes)) / (std + 1e-6)
        matrix = matrix - jnp.min(matrix, **axes)
    x = -matrix if how.input == "cost" else matrix
    if slack is not None:
        fill = (-slack if how.input == "cost" else slack)[..., None, None]
        batch = jnp.broadcast_shapes(x.shape[:-2], slack.shape)
        n, m = x.shape[-2:]
        x = jnp.broadcast_to(x, (*batch, n, m))
        x = jnp.concatenate([x, jnp.broadcast_to(fill, (*batch, n, 1))], -1)
        x = jnp.concatenate([x, jnp.broadcast_to(fill, (*batch, 1, m + 1))], -2)
    row_fold, col_fold = jnp.zeros(()), jnp.zeros(())
    word = form.get("map", "exp") if how.input != "kernel" else "identity"
    if word == "softmax_rows":
        norm = jax.nn.logsumexp(x, axis=-1, keepdims=True)
        x, row_fold = (x - norm) / epsilon, -(norm / epsilon)[..., 0]
    elif word == "exp":
        x = x / epsilon
        shift = form.get("shift", "none")
        if shift != "none":
            top = jnp.max(x, -1 if shift == "row_max" else -2, keepdims=True)
            x = x - top
            if shift == "row_max":
                row_fold = -top[..., 0]
            else:
                col_fold = -top[..., 0, :]
    if word == "sigmoid":
        x = jax.nn.sigmoid(x / epsilon)
    elif word == "identity":
        x = jnp.log(x) if how.log else x
    elif not how.log:
        x = jnp.exp(x)
    x = x + float(form.get("entry_eps", 0))
    if "normalize_total" in form:
        total = jnp.sum(jnp.exp(x) if how.log else x, (-2, -1), keepdims=True)
        total = total + float(form["normalize_total"])
        x = x - jnp.log(total) if how.log else x / total
        row_fold = row_fold - jnp.log(total)[..., 0]
    return x, (row_fold, col_fold)


def _target(name: str, axis: int, counts: tuple, shape: tuple, dtype: Any) -> Any:
    size = shape[axis - 2]
    if name == "uniform":
        return jnp.full(size, 1 / size, dtype)
    if name == "slack":
        target = np.full(size, 1 / sum(counts))
        target[-1] = counts[1 - axis] / sum(counts)
        return jnp.asarray(target, dtype)
    return jnp.ones(size, dtype)


def _start(how: _Text, target: Any, count: int) -> Any:
    word = how.form.get("start", "neutral")
    if word == "targets":
        first = target
    else:
        first = jnp.ones(()) / (target.shape[-1] if word == "uniform" else 1)
    return jnp.log(first) if how.log else first


def _updated(how: _Text, axis: int, x: Any, t: Any, own: Any, other: Any) -> Any:
    """What the rule makes of the factor along an axis."""
    rule = how.rules[axis]
    scaled = other[..., None, :] if axis == 0 else other[..., :, None]
    kind, guard = rule.guard or ("", 0.0)
    if how.log:
        s = jax.nn.logsumexp(x + scaled, axis=-1 - axis)
        log_t = jnp.log(t)
        if kind == "add_kernel":
            new = log_t - jnp.logaddexp(s, np.log(guard))
        elif kind == "add_plan":
            new = own + log_t - jnp.logaddexp(own + s, np.log(guard))
        elif kind == "clamp_plan":
            new = own + log_t - jnp.maximum(own + s, np.log(guard))
        else:
            new = log_t - s
        if rule.tau != 1:
            new = rule.tau * new + (1 - rule.tau) * (log_t if rule.product else 0)
        if rule.omega != 1:
            new = (1 - rule.omega) * own + rule.omega * new
        return new if kind else jnp.where(s == -np.inf, own, new)
    s = jnp.sum(x * scaled, axis=-1 - axis)
    if kind == "add_kernel":
        new = t / (s + guard)
    elif kind == "add_plan":
        new = own * (t / (own * s + guard))
    elif kind == "clamp_plan":
        new = own * (t / jnp.maximum(own * s, guard))
    else:
        new = t / s
    if rule.tau != 1:
        new = new**rule.tau * (t if rule.product else 1) ** (1 - rule.tau)
    if rule.omega != 1:
        new = own ** (1 - rule.omega) * new**rule.omega
    return new if kind else jnp.where(s == 0, own, new)


def _iterate(how: _Text, x: Any, targets: Sequence[Any], start: tuple) -> tuple:
    def half_step(axis: int, factors: tuple) -> Any:
        return _updated(how, axis, x, targets[axis], factors[axis], factors[1 - axis])

    def step(axis: int, factors: tuple) -> tuple:
        new = half_step(axis, factors)
        return (new, factors[1]) if axis == 0 else (factors[0], new)

    first = 1 if how.order == "cols_first" else 0

    def pair(_: Any, factors: tuple) -> tuple:
        if how.order == "jacobi":
            return half_step(0, factors), half_step(1, factors)
        return step(1 - first, step(first, factors))

    factors = jax.lax.fori_loop(0, how.half_steps // 2, pair, start)
    if how.half_steps % 2:
        factors = pair(0, factors) if how.order == "jacobi" else step(first, factors)
    return factors


def _leave(how: _Text, x: Any, row: Any, col: Any, counts: tuple) -> Any:
    """The plan, or its logarithm."""
    n, m = counts
    scales = {"rows": n, "cols": m, "rows_plus_cols": n + m}
    scale = scales.get(how.form.get("scale", "one"), 1)
    row, col = row[..., :, None], col[..., None, :]
    if how.form.get("output") == "log_plan":
        if not how.log:
            row, x, col = jnp.log(row), jnp.log(x), jnp.log(col)
        return row + x + col + np.log(scale)
    return scale * (jnp.exp(row + x + col) if how.log else row * x * col)


attention = on_jax(_attention.attention, __name__, _Plain)
project = on_jax(_transport.project, __name__, _Plain)
sinkhorn = on_jax(_transport.sinkhorn, __name__, _Plain)
