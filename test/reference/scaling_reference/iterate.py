"""The generic iteration of docs/semantics.md, one problem at a time, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .relax import Acceleration, Relaxation
from .rules import (
    Array,
    Rule,
    Stop,
    clip_statistic,
    logsumexp,
    statistic,
    update_kernel,
    update_log,
)

FIXED, CONVERGED, LIMIT, DIVERGED = 0, 1, 2, 3
DOMAINS = ("kernel", "log", "absorb")
ORDERS = ("rows_first", "cols_first", "jacobi", "symmetric")
STARTS = ("neutral", "uniform", "targets")
AXES = {"rows": (0,), "cols": (1,), "both": (0, 1)}


class IterateResult(NamedTuple):
    """Factors (logarithms in the log domains) and how the iteration ended."""

    row: Array
    col: Array
    half_steps: NDArray[np.int32]
    residual: Array
    status: NDArray[np.int32]


@dataclass
class _Outcome:
    factors: list[Array]
    half_steps: int
    residual: float
    status: int


@dataclass
class _Problem:
    """One matrix with everything that belongs to it; index 0 is rows, 1 columns."""

    matrix: Array
    log: bool
    rules: tuple[Rule, Rule]
    order: str
    keep: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    targets: tuple[Array, Array] = field(init=False)
    factors: list[Array] = field(init=False)

    def start(self, axis: int, name: str) -> Array:
        """Start factors that are not given: neutral, 1/n, or the targets."""
        values = np.ones(self.keep[axis].shape)
        if name == "uniform":
            values = values / max(int(np.sum(self.keep[axis])), 1)
        elif name == "targets":
            values = self.targets[axis]
        return np.log(values) if self.log else values

    @property
    def zero(self) -> float:
        return -np.inf if self.log else 0.0

    def active(self, axis: int) -> NDArray[np.bool_]:
        """Entries that have weight: unmasked with a nonzero target."""
        return self.keep[axis] & (self.targets[axis] != 0)

    def statistic(self, axis: int) -> Array:
        """Statistic of the matrix scaled by the other axis' factor only."""
        matrix = self.matrix if axis == 0 else self.matrix.T
        other = 1 - axis
        kept = self.keep[other]
        matrix, factor = matrix[:, kept], self.factors[other][kept]
        if self.log:
            return logsumexp(matrix + factor)
        return statistic(self.rules[axis].stat, matrix * factor)

    def plan_statistic(self, axis: int) -> Array:
        """sigma = h^d s, as the plan itself would show it (linear units)."""
        s, h = self.statistic(axis), self.factors[axis]
        if self.log:
            return np.exp(h + s)
        return h ** self.rules[axis].degree * s

    def updated(self, axis: int, rule: Rule | None = None) -> Array:
        rule = rule or self.rules[axis]
        update = update_log if self.log else update_kernel
        new = update(self.statistic(axis), self.factors[axis], self.targets[axis], rule)
        return np.where(self.active(axis), new, self.zero)

    def axis_at(self, half_step: int) -> int:
        """Axis of the half-step number half_step (Gauss-Seidel orders)."""
        first = 1 if self.order == "cols_first" else 0
        return (first + half_step) % 2

    def advance(
        self, half_step: int, rules: tuple[Rule, Rule] | None = None
    ) -> dict[int, Array]:
        """Do one half-step (jacobi: two); returns the factors it replaced."""
        rules = rules or self.rules
        if self.order == "jacobi":
            return self.jacobi(rules)
        if self.order == "symmetric":
            return self.symmetric(rules[0])
        axis = self.axis_at(half_step)
        old = self.factors[axis]
        self.factors[axis] = self.updated(axis, rules[axis])
        return {axis: old}

    def jacobi(self, rules: tuple[Rule, Rule]) -> dict[int, Array]:
        old = list(self.factors)
        self.factors = [self.updated(axis, rules[axis]) for axis in (0, 1)]
        return {0: old[0], 1: old[1]}

    def symmetric(self, rule: Rule) -> dict[int, Array]:
        """The geometric mean of the old factor and what the rule makes of it."""
        old = self.factors[0]
        new = self.updated(0, replace(rule, omega=rule.omega / 2))
        self.factors = [new, new]
        return {0: old, 1: old}

    def finite(self) -> bool:
        return all(
            bool(np.all(np.isfinite(self.factors[axis][self.active(axis)])))
            for axis in (0, 1)
        )

    def rescale(self, ratio: float) -> None:
        """Multiply the log factors, taken without the marginals, by ratio."""
        for axis in (0, 1):
            log_t = np.log(self.targets[axis])
            new = log_t + (self.factors[axis] - log_t) * ratio
            self.factors[axis] = np.where(self.active(axis), new, self.zero)


def _norm(values: Array, norm: str) -> float:
    values = np.abs(values)
    if values.size == 0:
        return 0.0
    if norm == "l1":
        return float(np.sum(values))
    if norm == "l2":
        return float(np.sqrt(np.sum(values * values)))
    if norm == "linf":
        return float(np.max(values))
    return float(np.mean(values))


def _violation(problem: _Problem, axis: int, stop: Stop) -> float:
    violation = problem.plan_statistic(axis) - problem.targets[axis]
    return _norm(violation[problem.active(axis)], stop.norm)


def _marginal(problem: _Problem, stop: Stop) -> float:
    return sum(_violation(problem, axis, stop) for axis in AXES[stop.axis])


def _change(problem: _Problem, stop: Stop, replaced: dict[int, Array]) -> float:
    """Residual of the `what`s that compare successive factors."""
    total = 0.0
    axes = AXES[stop.axis]
    for axis in axes:
        if axis not in replaced:
            # Nothing to compare with: no half-step along this axis was done.
            return float("inf")
        active = problem.active(axis)
        old, new = replaced[axis][active], problem.factors[axis][active]
        if stop.what == "change":
            total += _norm(new - old, stop.norm)
        elif stop.what == "ratio":
            ratio = np.exp(old - new) - 1 if problem.log else old / new - 1
            total += _norm(ratio, stop.norm)
        else:
            if problem.log:
                old, new = np.exp(old), np.exp(new)
            if problem.rules[axis].reference == "product":
                target = problem.targets[axis][active]
                old, new = old / target, new / target
            scale = max(_norm(new, "linf"), _norm(old, "linf"), 1.0)
            total += _norm(new - old, "linf") / scale / len(axes)
    return total


def _imbalance(problem: _Problem, what: str) -> float:
    stats = [problem.plan_statistic(axis)[problem.active(axis)] for axis in (0, 1)]

    def spread(values: Array, floor: float) -> float:
        if values.size == 0:
            return 0.0
        return float(np.max(values) / max(np.min(values), floor))

    if any(np.any(np.isnan(values)) for values in stats):
        return float("nan")
    if what == "imbalance":
        return spread(np.concatenate(stats), 1e-12)
    return spread(stats[1], 1e-8) + spread(stats[0], 1e-8)


def _anneal(problem: _Problem, epsilons: Sequence[float]) -> int:
    """A pair of half-steps for each epsilon but the last, whose factors are
    left; returns the number of half-steps."""
    final = problem.matrix
    rows, cols = problem.rules
    plain = (replace(rows, omega=1.0), replace(cols, omega=1.0))
    for pair, (epsilon, following) in enumerate(zip(epsilons, epsilons[1:])):
        problem.matrix = final * (epsilons[-1] / epsilon)
        for half_step in (0, 1):
            if half_step == 0 or problem.order != "jacobi":
                problem.advance(half_step, plain if pair == 0 else None)
        problem.rescale(epsilon / following)
    problem.matrix = final
    return 2 * max(len(epsilons) - 1, 0)


def _run_fixed(
    problem: _Problem, stop: Stop, anneal: Sequence[float], extrapolate: bool
) -> _Outcome:
    final = problem.matrix
    rows, cols = problem.rules
    plain = (replace(rows, omega=1.0), replace(cols, omega=1.0))
    done = 0
    while done < stop.half_steps - (2 if extrapolate else 0):
        pair = done // 2
        if anneal and done % 2 == 0:
            problem.matrix = final * (anneal[-1] / anneal[pair])
            if pair > 0:
                problem.rescale(anneal[pair - 1] / anneal[pair])
        problem.advance(done, plain if anneal and pair == 0 else None)
        done += 2 if problem.order == "jacobi" else 1
    if extrapolate:
        problem.matrix = final
        problem.jacobi(plain)
        done += 2
    residual = -1.0
    if stop.measure == "last":
        residual = _marginal(problem, stop)
    diverged = not problem.finite() or np.isnan(residual)
    status = DIVERGED if diverged else FIXED
    return _Outcome(problem.factors, done, residual, status)


def _can_relax(rules: tuple[Rule, Rule], order: str, stop: Stop) -> bool:
    """Whether automatic over-relaxation is defined."""
    plain = all(replace(rule, target="one") == Rule() for rule in rules)
    marginal = stop.mode == "until" and stop.what == "marginal"
    return plain and marginal and order in ("rows_first", "cols_first")


def _relaxation(problem: _Problem, stop: Stop) -> Relaxation | None:
    asked = stop.relax in (None, "auto")
    if not asked or not _can_relax(problem.rules, problem.order, stop):
        return None
    return Relaxation(stop.tol, stop.limit, stop.axis == "both")


def _across(problem: _Problem, axis: int, stop: Stop) -> float:
    """The violation of an axis that is not judged, rows without support aside."""
    sigma, target = problem.plan_statistic(axis), problem.targets[axis]
    counts = problem.active(axis) & (problem.statistic(axis) != problem.zero)
    return _norm((sigma - target)[counts], stop.norm)


def _run_until(problem: _Problem, stop: Stop) -> _Outcome:
    done = 0
    replaced: dict[int, Array] = {}
    relaxation = _relaxation(problem, stop)
    acceleration = None
    if stop.relax == "anderson":
        acceleration = Acceleration(stop.depth, stop.limit)
    rules = problem.rules
    jacobi = problem.order == "jacobi"
    simultaneous = jacobi or problem.order == "symmetric"
    judged = AXES[stop.axis]
    while True:
        cadence = done >= stop.start and (done - stop.start) % stop.every == 0
        if stop.what == "marginal":
            one = judged == (problem.axis_at(done),)
            fits = simultaneous or len(judged) == 2 or one
        elif simultaneous:
            fits = done > 0
        elif len(judged) == 2:
            fits = done > 0 and done % 2 == 0
        else:
            fits = done > 0 and judged == (problem.axis_at(done - 1),)
        last = done >= stop.limit
        if (cadence and fits) or last:
            if stop.what == "marginal":
                residual = _marginal(problem, stop)
            else:
                residual = _change(problem, stop, replaced)
            if relaxation and not last:
                residual = relaxation.judged(residual)
            if not problem.finite() or np.isnan(residual):
                return _Outcome(problem.factors, done, residual, DIVERGED)
            if residual <= stop.tol:
                return _Outcome(problem.factors, done, residual, CONVERGED)
            if last:
                return _Outcome(problem.factors, done, residual, LIMIT)
        now = rules
        watched = problem.axis_at(0) if len(judged) == 2 else judged[0]
        if relaxation and problem.axis_at(done) == watched:
            across = _across(problem, 1 - watched, stop)
            own = _violation(problem, watched, stop)
            relaxation.observe(done, cadence and fits, own, across)
            omega = relaxation.omega
            rules = tuple(replace(rule, omega=omega) for rule in problem.rules)
        replaced.update(problem.advance(done, now))
        accelerated = AXES[stop.axis][-1]
        if acceleration and problem.axis_at(done) == accelerated:
            own, made = replaced[accelerated], problem.factors[accelerated]
            if problem.log:
                made = acceleration.step(done, own, made)
            else:
                made = np.exp(acceleration.step(done, np.log(own), np.log(made)))
            problem.factors[accelerated] = made
        done += 2 if jacobi else 1


def _run_best(problem: _Problem, stop: Stop) -> _Outcome:
    kept = _Outcome(list(problem.factors), 0, float("inf"), LIMIT)
    done = 0
    while True:
        measure = _imbalance(problem, stop.what)
        if not problem.finite() or np.isnan(measure):
            return _Outcome(problem.factors, done, measure, DIVERGED)
        if measure <= kept.residual:
            kept = _Outcome(list(problem.factors), done, measure, LIMIT)
        elif stop.patience == "first":
            return kept
        if done >= stop.limit or (done + 2 >= stop.limit and not stop.last):
            return kept
        problem.advance(done)
        if problem.order != "jacobi":
            problem.advance(done + 1)
        done += 2


def _target(
    name: str,
    given: Array | None,
    keep: NDArray[np.bool_],
    other_keep: NDArray[np.bool_],
) -> Array:
    """Targets of one axis, without `min_stat`, which needs the matrix."""
    if given is not None:
        # A negative weight has no meaning: NaN makes the iteration diverge.
        target = np.where(given < 0, np.nan, given)
    elif name == "uniform":
        target = np.full(keep.shape, 1.0 / max(int(np.sum(keep)), 1))
    elif name == "slack":
        # The last entry is the slack one; the counts are those of the input.
        own, other = int(np.sum(keep[:-1])), int(np.sum(other_keep[:-1]))
        target = np.full(keep.shape, 1.0 / (own + other))
        target[-1] = other / (own + other)
    else:
        target = np.ones(keep.shape)
    return np.where(keep, target, 0.0)


def _smallest_statistic(problem: _Problem) -> float:
    """`min_stat`: the smallest clipped statistic of the start, plus 1e-6."""
    values = [
        clip_statistic(
            problem.plan_statistic(axis)[problem.keep[axis]], problem.rules[axis].limit
        )
        for axis in (0, 1)
    ]
    return float(np.min(np.concatenate(values), initial=np.inf)) + 1e-6


def _run(
    problem: _Problem,
    stop: Stop,
    given: tuple[Array | None, Array | None],
    starts: tuple[Array | None, Array | None],
    start_name: str,
    anneal: Sequence[float],
    extrapolate: bool,
) -> _Outcome:
    rows, cols = problem.keep
    problem.targets = (
        _target(problem.rules[0].target, given[0], rows, cols),
        _target(problem.rules[1].target, given[1], cols, rows),
    )
    start = [
        np.where(
            problem.active(axis),
            problem.start(axis, start_name) if starts[axis] is None else starts[axis],
            problem.zero,
        )
        for axis in (0, 1)
    ]
    problem.factors = list(start)
    smallest = _smallest_statistic(problem)
    problem.targets = tuple(  # type: ignore[assignment]
        (
            np.where(problem.keep[axis], smallest, 0.0)
            if problem.rules[axis].target == "min_stat" and given[axis] is None
            else problem.targets[axis]
        )
        for axis in (0, 1)
    )
    if stop.mode == "fixed":
        outcome = _run_fixed(problem, stop, anneal, extrapolate)
    elif stop.mode == "until":
        done = _anneal(problem, anneal)
        outcome = _run_until(problem, stop)
        outcome.half_steps += done
    else:
        outcome = _run_best(problem, stop)
    if outcome.status == DIVERGED:
        outcome.factors, outcome.residual = start, float("inf")
    return outcome


def common_batch(operands: Sequence[tuple[object, int]]) -> tuple[int, ...]:
    """The batch shape of (operand, inner rank) pairs; the longest one rules.

    Batch dimensions are right-aligned, and only missing leading ones broadcast.
    """
    shapes = [
        np.shape(operand)[: np.ndim(operand) - rank]  # type: ignore[arg-type]
        for operand, rank in operands
        if operand is not None
    ]
    batch = max(shapes, key=len)
    for shape in shapes:
        if shape != batch[len(batch) - len(shape) :]:
            raise ValueError(f"batch {shape} is not a suffix of {batch}")
    return batch


def element(operand: Array | None, rank: int, index: tuple[int, ...]) -> Array | None:
    """The part of an operand that belongs to one batch element."""
    if operand is None:
        return None
    own = operand.ndim - rank
    return operand[index[len(index) - own :]]


def _validate(
    domain: str,
    rules: tuple[Rule, Rule],
    order: str,
    stop: Stop,
    start: str,
    anneal: Sequence[float],
    extrapolate: bool,
) -> None:
    if domain not in DOMAINS:
        raise ValueError(f"unknown domain {domain!r}")
    if order not in ORDERS:
        raise ValueError(f"unknown order {order!r}")
    if start not in STARTS:
        raise ValueError(f"unknown start {start!r}")
    if domain != "kernel" and any(rule.stat != "sum" for rule in rules):
        raise ValueError("only sum exists in the log domain")
    asked = stop.relax in ("auto", "anderson")
    if asked and not _can_relax(rules, order, stop):
        raise ValueError("relax needs plain sums, one axis after the other")
    if order == "jacobi" and (stop.half_steps % 2 or stop.limit % 2):
        raise ValueError("jacobi updates count as two half-steps")
    if order == "symmetric" and (rules[0] != rules[1] or stop.mode == "best"):
        raise ValueError("symmetric needs one rule, and no best")
    if order == "symmetric" and anneal:
        raise ValueError("symmetric does not go with annealing")
    if not anneal and not extrapolate:
        return
    if domain == "kernel":
        raise ValueError("annealing needs the log domain")
    if not anneal:
        raise ValueError("extrapolate needs anneal")
    if stop.mode == "until" and not extrapolate:
        return
    pairs = len(anneal) + (1 if extrapolate else 0)
    if stop.mode != "fixed" or stop.half_steps != 2 * pairs:
        raise ValueError("annealing needs a fixed count: two half-steps per pair")


def _as_float(operand: ArrayLike | None) -> Array | None:
    return None if operand is None else np.asarray(operand, dtype=np.float64)


def iterate(
    matrix: ArrayLike,
    *,
    domain: str,
    rows: Rule,
    cols: Rule,
    order: str,
    stop: Stop,
    row_target: ArrayLike | None = None,
    col_target: ArrayLike | None = None,
    row_start: ArrayLike | None = None,
    col_start: ArrayLike | None = None,
    row_mask: ArrayLike | None = None,
    col_mask: ArrayLike | None = None,
    start: str = "neutral",
    anneal: Sequence[float] = (),
    extrapolate: bool = False,
) -> IterateResult:
    """Iterate on `matrix` [..., n, m]; every batch element is run alone.

    Masks are True where an entry takes part. Start factors are logarithms in the
    log domains; those not given are `start`: neutral, uniform (1/n) or targets.
    With `anneal`, `matrix` is the one of the last temperature.
    """
    _validate(domain, (rows, cols), order, stop, start, anneal, extrapolate)
    matrix = np.asarray(matrix, dtype=np.float64)
    n, m = matrix.shape[-2:]
    if order == "symmetric":
        if n != m:
            raise ValueError("symmetric needs a square matrix")
        # What belongs to the rows serves both axes.
        col_target, col_start, col_mask = row_target, row_start, row_mask
    targets = (_as_float(row_target), _as_float(col_target))
    starts = (_as_float(row_start), _as_float(col_start))
    masks = (
        np.ones(n, bool) if row_mask is None else np.asarray(row_mask, bool),
        np.ones(m, bool) if col_mask is None else np.asarray(col_mask, bool),
    )
    vectors = [(vector, 1) for vector in (*targets, *starts, *masks)]
    batch = common_batch([(matrix, 2), *vectors])

    result = IterateResult(
        np.empty((*batch, n)),
        np.empty((*batch, m)),
        np.empty(batch, np.int32),
        np.empty(batch),
        np.empty(batch, np.int32),
    )
    for index in np.ndindex(*batch):
        problem = _Problem(
            element(matrix, 2, index),
            domain != "kernel",
            (rows, cols),
            order,
            tuple(element(mask, 1, index) for mask in masks),  # type: ignore
        )
        with np.errstate(all="ignore"):
            outcome = _run(
                problem,
                stop,
                tuple(element(target, 1, index) for target in targets),  # type: ignore
                tuple(element(s, 1, index) for s in starts),  # type: ignore
                start,
                anneal,
                extrapolate,
            )
        result.row[index], result.col[index] = outcome.factors
        result.half_steps[index] = outcome.half_steps
        result.residual[index] = outcome.residual
        result.status[index] = outcome.status
    return result
