"""The plain recurrence of docs/semantics.md in jax.numpy: what composites come
with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._attributes import _parse
from .._calls import Status
from ._primitive import Call

_ATTRIBUTE = re.compile(r"(\w+)\((#scaling\.\w+<[^>]*>|[^()]*)\)")


class _Rule(NamedTuple):
    """What the recurrence knows of a rule."""

    target: str
    guard: tuple[str, float] | None
    tau: float
    product: bool
    omega: float


class _Stop(NamedTuple):
    """When to stop: after so many half-steps, or once `what` is at most `tol`."""

    limit: int
    tol: float | None
    what: str | None
    axes: tuple[int, ...]
    norm: str
    every: int
    start: int


class _Text(NamedTuple):
    """An op's attributes."""

    input: str
    form: dict[str, str]
    rules: tuple[_Rule, _Rule]
    order: str
    stop: _Stop
    log: bool
    logit_scale: float | None


class _Side(NamedTuple):
    """What belongs to an axis: targets, 1 in place of those that do not count;
    which entries count, None where all do; and which are not masked."""

    target: Any
    counts: Any
    mask: Any


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
    if rule.target == "min_stat":
        _refuse(f"{axis}: target", rule.target, "'one', 'uniform' and 'slack'")
    for name, value in fields.items():
        _refuse(f"{axis}: {name}", value, "guard, target, tau, reference and omega")
    return rule


def _stop(text: str) -> _Stop:
    head, fields = _parse(text)
    mode, _, value = head.partition(" ")
    axis = fields.get("axis", "both")
    axes = {"rows": (0,), "cols": (1,), "both": (0, 1)}[axis]
    norm = fields.get("norm", "l1")
    if mode == "fixed":
        what = "marginal" if "measure" in fields else None
        return _Stop(int(value), None, what, axes, norm, 1, 0)
    if mode != "until":
        _refuse("stop", mode, "'fixed' and 'until'")
    what = fields.get("what", "marginal")
    if what == "relative_change":
        _refuse("stop: what", what, "'marginal', 'change' and 'ratio'")
    every, start = int(fields.get("every", 2)), int(fields.get("start", 2))
    limit = int(fields.get("limit", 2000))
    return _Stop(limit, float(value), what, axes, norm, every, start)


def check(text: str, masked: bool) -> _Text:
    """The attributes, if the recurrence can do what they say."""
    found = dict(_ATTRIBUTE.findall(text))
    head, form = _parse(found["form"])
    for name in ("anneal", "extrapolate"):
        if name in form:
            _refuse(name, form[name] or True, "a single temperature")
    if found["order"] == "symmetric":
        _refuse("order", "symmetric", "'rows_first', 'cols_first' and 'jacobi'")
    if masked and "standardize" in form:
        _refuse("standardize", True, "matrices without masks")
    scale = found.get("logit_scale")
    return _Text(
        head,
        form,
        (_rule("rows", found["rows"]), _rule("cols", found["cols"])),
        found["order"],
        _stop(found["stop"]),
        _parse(found["numerics"])[0] != "kernel",
        None if scale is None else float(scale.partition(" ")[0]),
    )


def decompose(
    call: Call, text: str, batch_dims: int, differentiable: bool, *arrays: Any
) -> tuple:
    """The op's results. `differentiable`: in reverse mode too, where all half-steps
    up to the limit are looked at."""
    given = dict(zip(call.names, arrays))
    masks = [given.pop(name, None) for name in ("row_mask", "col_mask")]
    how = check(text, any(mask is not None for mask in masks))
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
    counts = tuple(
        size if mask is None else jnp.sum(mask[..., :size], -1, keepdims=True)
        for size, mask in zip(matrix.shape[-2:], masks)
    )
    epsilon = given.get("epsilon", jnp.asarray(how.form.get("epsilon", 1), dtype))
    x, folds = _enter(how, matrix, epsilon[..., None, None], given.get("slack"), masks)
    sides = tuple(
        _side(how, axis, given.get(name), x.shape, counts, masks[axis], dtype)
        for axis, name in enumerate(("row_marginal", "col_marginal"))
    )
    batch = jnp.broadcast_shapes(*[a.shape[:batch_dims] for a in arrays])
    start = tuple(
        jnp.broadcast_to(
            _start(how, sides[axis], x.shape[axis - 2]), (*batch, x.shape[axis - 2])
        ).astype(dtype)
        for axis in (0, 1)
    )
    end = _Iteration(how, x, sides, start, differentiable).run()
    status, residual = end.status, end.residual
    fine = _all_finite(end.factors, sides) & ~jnp.isnan(residual)
    # What diverged gives its start.
    row, col = (
        jnp.where(fine[..., None], factor, first)
        for factor, first in zip(end.factors, start)
    )
    report = (
        end.half_steps,
        jnp.where(fine, residual, np.inf).astype(dtype),
        jnp.where(fine, status, int(Status.DIVERGED)).astype(np.int32),
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


def _all_finite(factors: Sequence[Any], sides: Sequence[_Side]) -> Any:
    """Per problem; those of entries that do not count are not looked at."""
    rows, cols = (
        jnp.all(_counted(jnp.isfinite(factor), side, True), -1)
        for factor, side in zip(factors, sides)
    )
    return rows & cols


def _counted(values: Any, side: _Side, other: Any) -> Any:
    return values if side.counts is None else jnp.where(side.counts, values, other)


def _enter(
    how: _Text, matrix: Any, epsilon: Any, slack: Any, masks: Sequence[Any]
) -> tuple:
    """The iteration's matrix, and what takes its log factors to the input's. Where
    an entry is masked it holds a number that does no harm."""
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
    rows, cols = masks

    def of_rows(values: Any) -> Any:
        """Entries that rows are looked at for; other columns are left out, and
        other rows are zero."""
        values = (
            values if cols is None else jnp.where(cols[..., None, :], values, -np.inf)
        )
        return values if rows is None else jnp.where(rows[..., None], values, 0)

    def of_cols(values: Any) -> Any:
        values = values if rows is None else jnp.where(rows[..., None], values, -np.inf)
        return values if cols is None else jnp.where(cols[..., None, :], values, 0)

    def of_both(values: Any, other: float) -> Any:
        values = (
            values if cols is None else jnp.where(cols[..., None, :], values, other)
        )
        return values if rows is None else jnp.where(rows[..., None], values, other)

    word = form.get("map", "exp") if how.input != "kernel" else "identity"
    if word == "softmax_rows":
        norm = jax.nn.logsumexp(of_rows(x), axis=-1, keepdims=True)
        x, row_fold = (x - norm) / epsilon, -(norm / epsilon)[..., 0]
    elif word == "exp":
        x = x / epsilon
        shift = form.get("shift", "none")
        if shift != "none":
            if shift == "row_max":
                top = jnp.max(of_rows(x), -1, keepdims=True)
            else:
                top = jnp.max(of_cols(x), -2, keepdims=True)
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
        entries = of_both(jnp.exp(x) if how.log else x, 0)
        total = jnp.sum(entries, (-2, -1), keepdims=True)
        total = total + float(form["normalize_total"])
        x = x - jnp.log(total) if how.log else x / total
        row_fold = row_fold - jnp.log(total)[..., 0]
    return of_both(x, 0 if how.log else 1), (row_fold, col_fold)


def _side(
    how: _Text,
    axis: int,
    target: Any,
    shape: tuple,
    counts: tuple,
    mask: Any,
    dtype: Any,
) -> _Side:
    size, name = shape[axis - 2], how.rules[axis].target
    if target is not None:
        # A negative weight has no meaning.
        target = jnp.where(target < 0, np.nan, target)
        present = target != 0
        present = present if mask is None else present & mask
        return _Side(jnp.where(present, target, 1), present, mask)
    if name == "uniform":
        own = size if mask is None else jnp.sum(mask, -1, keepdims=True)
        target = jnp.ones(size, dtype) / own
    elif name == "slack":
        both = counts[0] + counts[1]
        last = jnp.arange(size) == size - 1
        target = jnp.where(last, counts[1 - axis] / both, 1 / both).astype(dtype)
    else:
        target = jnp.ones(size, dtype)
    return _Side(target.astype(dtype), mask, mask)


def _start(how: _Text, side: _Side, size: int) -> Any:
    word = how.form.get("start", "neutral")
    if word == "targets":
        first = side.target
    else:
        own = size if side.mask is None else jnp.sum(side.mask, -1, keepdims=True)
        first = jnp.ones(size) / (own if word == "uniform" else 1)
    first = jnp.log(first) if how.log else first
    return _counted(first, side, -np.inf if how.log else 0)


def _statistic(how: _Text, axis: int, x: Any, other: Any) -> Any:
    """The sums along an axis, or their logarithms."""
    scaled = other[..., None, :] if axis == 0 else other[..., :, None]
    if how.log:
        return jax.nn.logsumexp(x + scaled, axis=-1 - axis)
    return jnp.sum(x * scaled, axis=-1 - axis)


def _updated(how: _Text, axis: int, s: Any, t: Any, own: Any) -> Any:
    """What the rule makes of the factor along an axis."""
    rule = how.rules[axis]
    kind, guard = rule.guard or ("", 0.0)
    if how.log:
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


class _State(NamedTuple):
    """Where an iteration is, per problem: the factors, and how it ended."""

    factors: tuple
    #: How the factors of both axes changed last.
    changes: tuple
    done: Any
    half_steps: Any
    residual: Any
    status: Any


class _Iteration:
    """Half-steps, and the checks between them. What is done stays as it is."""

    def __init__(
        self,
        how: _Text,
        x: Any,
        sides: Sequence[_Side],
        start: tuple,
        differentiable: bool,
    ) -> None:
        self.how, self.x, self.sides, self.start = how, x, sides, start
        self.differentiable = differentiable
        self.first = 1 if how.order == "cols_first" else 0

    def run(self) -> _State:
        stop = self.how.stop
        batch, dtype = self.start[0].shape[:-1], self.x.dtype
        state = _State(
            self.start,
            (jnp.full(batch, np.inf, dtype),) * 2,
            jnp.zeros(batch, bool),
            jnp.full(batch, stop.limit, np.int32),
            jnp.full(batch, -1, dtype),
            jnp.full(batch, int(Status.FIXED), np.int32),
        )
        pairs = stop.limit // 2
        if stop.tol is None or self.differentiable:
            pair = self.pair
            if stop.tol is not None:
                pair = jax.checkpoint(self.pair_unless_done)
            state = jax.lax.fori_loop(0, pairs, pair, state)
        else:
            _, state = jax.lax.while_loop(
                lambda loop: (loop[0] < pairs) & ~jnp.all(loop[1].done),
                lambda loop: (loop[0] + 1, self.pair(loop[0], loop[1])),
                (jnp.zeros((), np.int32), state),
            )
        if stop.limit % 2:
            state = self.step(0, 2 * pairs, state)
        if stop.what is None:
            return state
        last = self.residual(state)
        if stop.tol is None:
            return state._replace(residual=last)
        word = jnp.where(last <= stop.tol, int(Status.CONVERGED), int(Status.LIMIT))
        return state._replace(
            residual=jnp.where(state.done, state.residual, last),
            status=jnp.where(state.done, state.status, word),
        )

    def pair(self, index: Any, state: _State) -> _State:
        state = self.step(0, 2 * index, state)
        return (
            state if self.how.order == "jacobi" else self.step(1, 2 * index + 1, state)
        )

    def pair_unless_done(self, index: Any, state: _State) -> _State:
        return jax.lax.cond(
            jnp.all(state.done), lambda state: state, partial(self.pair, index), state
        )

    def step(self, place: int, done: Any, state: _State) -> _State:
        """The half-step number `done`, the first or second of a pair; with jacobi,
        both. The check before it comes first."""
        stop = self.how.stop
        axes = (0, 1) if self.how.order == "jacobi" else ((self.first + place) % 2,)
        if stop.tol is not None and self.fits(place, axes):
            state = self.judged(done, state)
        factors, changes = list(state.factors), list(state.changes)
        for axis in axes:
            own, side = state.factors[axis], self.sides[axis]
            s = _statistic(self.how, axis, self.x, state.factors[1 - axis])
            new = _updated(self.how, axis, s, side.target, own)
            new = _counted(new, side, -np.inf if self.how.log else 0)
            if stop.what in ("change", "ratio"):
                change = self.change(axis, own, new)
                changes[axis] = jnp.where(state.done, state.changes[axis], change)
            factors[axis] = jnp.where(state.done[..., None], own, new)
        return state._replace(factors=tuple(factors), changes=tuple(changes))

    def fits(self, place: int, axes: tuple) -> bool:
        """Whether a check in front of this half-step looks at what is judged."""
        judged = self.how.stop.axes
        if self.how.order == "jacobi":
            return True
        if self.how.stop.what == "marginal":
            return len(judged) == 2 or judged == axes
        # The half-step before went along the other axis.
        return place == 0 if len(judged) == 2 else judged != axes

    def judged(self, done: Any, state: _State) -> _State:
        stop = self.how.stop
        residual = self.residual(state)
        due = (done >= stop.start) & ((done - stop.start) % stop.every == 0)
        if stop.what != "marginal":
            due &= done > 0
        passed = residual <= stop.tol
        lost = jnp.isnan(residual) | ~_all_finite(state.factors, self.sides)
        ends = due & (passed | lost) & ~state.done
        return state._replace(
            done=state.done | ends,
            half_steps=jnp.where(ends, done, state.half_steps).astype(np.int32),
            residual=jnp.where(ends, residual, state.residual),
            status=jnp.where(ends, int(Status.CONVERGED), state.status),
        )

    def residual(self, state: _State) -> Any:
        stop = self.how.stop
        if stop.what != "marginal":
            return sum(state.changes[axis] for axis in stop.axes)
        return sum(self.violation(axis, state.factors) for axis in stop.axes)

    def violation(self, axis: int, factors: tuple) -> Any:
        side, own = self.sides[axis], factors[axis]
        s = _statistic(self.how, axis, self.x, factors[1 - axis])
        sums = jnp.exp(own + s) if self.how.log else own * s
        return self.norm(sums - side.target, side)

    def change(self, axis: int, old: Any, new: Any) -> Any:
        if self.how.stop.what == "change":
            values = new - old
        else:
            values = jnp.exp(old - new) - 1 if self.how.log else old / new - 1
        return self.norm(values, self.sides[axis])

    def norm(self, values: Any, side: _Side) -> Any:
        norm = self.how.stop.norm
        values = jnp.abs(_counted(jax.lax.stop_gradient(values), side, 0))
        if norm == "linf":
            return jnp.max(values, -1)
        if norm == "l2":
            return jnp.sqrt(jnp.sum(values * values, -1))
        total = jnp.sum(values, -1)
        if norm == "l1":
            return total
        if side.counts is None:
            return total / values.shape[-1]
        return total / jnp.maximum(jnp.sum(side.counts, -1), 1)


def _leave(how: _Text, x: Any, row: Any, col: Any, counts: tuple) -> Any:
    """The plan, or its logarithm."""
    n, m = counts
    scales = {"rows": n, "cols": m, "rows_plus_cols": n + m}
    scale = scales.get(how.form.get("scale", "one"), 1)
    if not isinstance(scale, int):
        scale = scale[..., None]
    row, col = row[..., :, None], col[..., None, :]
    if how.form.get("output") == "log_plan":
        if not how.log:
            row, x, col = jnp.log(row), jnp.log(x), jnp.log(col)
        return row + x + col + jnp.log(scale)
    return scale * (jnp.exp(row + x + col) if how.log else row * x * col)
