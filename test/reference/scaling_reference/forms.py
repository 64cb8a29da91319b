"""`sinkhorn` and `project`: how a cost, logits or a kernel enters and leaves.

Follows docs/semantics.md, section "How the matrix enters and leaves".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .iterate import IterateResult, common_batch, element, iterate
from .rules import Array, Rule, Stop, logsumexp

INPUTS = ("cost", "logits", "kernel")
MAPS = ("exp", "softmax_rows", "sigmoid", "identity")


@dataclass(frozen=True)
class Form:
    """How the iteration's matrix is made from the input, and the plan's output."""

    epsilon: float = 1.0
    standardize: bool = False
    map: str = "exp"
    shift: str = "none"
    entry_eps: float = 0.0
    normalize_total: float | None = None
    output: str = "plan"
    scale: str = "none"
    start: str = "neutral"
    anneal: tuple[float, ...] = ()
    extrapolate: bool = False

    def __post_init__(self) -> None:
        if self.map not in MAPS:
            raise ValueError(f"unknown map {self.map!r}")
        if self.shift not in ("none", "row_max", "col_max"):
            raise ValueError(f"unknown shift {self.shift!r}")
        if self.output not in ("plan", "log_plan"):
            raise ValueError(f"unknown output {self.output!r}")
        if self.scale not in ("none", "rows", "cols", "rows_plus_cols"):
            raise ValueError(f"unknown scale {self.scale!r}")


class SinkhornResult(NamedTuple):
    """Potentials with P_ij = exp((f_i + g_j - C_ij)/eps)."""

    f: Array
    g: Array
    half_steps: NDArray[np.int32]
    residual: Array
    status: NDArray[np.int32]


class ProjectResult(NamedTuple):
    """The plan (or its logarithm) and how the iteration ended."""

    plan: Array
    half_steps: NDArray[np.int32]
    residual: Array
    status: NDArray[np.int32]


class _Entered(NamedTuple):
    """The iteration's matrix and what takes its log factors to the input's."""

    matrix: Array
    row_fold: Array
    col_fold: Array


def standardized(a: Array, keep: NDArray[np.bool_]) -> Array:
    """(A - mean A)/(std A + 1e-6), std unbiased, then minus its minimum."""
    kept = a[keep]
    std = np.std(kept, ddof=1) if kept.size >= 2 else 0.0
    scaled = (a - np.mean(kept)) / (std + 1e-6)
    return scaled - np.min(scaled[keep])


def _maximum(x: Array, keep: NDArray[np.bool_], axis: int) -> Array:
    """Maximum of the kept entries along axis; 0 where there is no finite one."""
    top = np.max(np.where(keep, x, -np.inf), axis=axis, initial=-np.inf)
    return np.where(np.isfinite(top), top, 0.0)


def _enter(
    matrix: Array,
    kind: str,
    form: Form,
    epsilon: float,
    slack: float | None,
    row_mask: NDArray[np.bool_],
    col_mask: NDArray[np.bool_],
    log: bool,
) -> _Entered:
    """Masked rows and columns take no part in anything computed here."""
    if kind == "kernel" and form.map != "identity":
        raise ValueError("a kernel enters by the identity map")
    if kind != "kernel" and form.map == "identity":
        raise ValueError("the identity map is for a kernel")
    if log and (form.entry_eps or form.map == "sigmoid"):
        raise ValueError("entry_eps and sigmoid need the kernel domain")
    keep = row_mask[:, None] & col_mask[None, :]
    if form.standardize:
        matrix = standardized(matrix, keep[: matrix.shape[0], : matrix.shape[1]])
    x = -matrix if kind == "cost" else matrix
    if slack is not None:
        if form.map not in ("exp", "identity"):
            raise ValueError("slack needs the map exp or a kernel")
        # Appended before the shift, which is then taken from it too.
        x = np.pad(
            x, ((0, 1), (0, 1)), constant_values=-slack if kind == "cost" else slack
        )
    n, m = x.shape
    row_fold, col_fold = np.zeros(n), np.zeros(m)
    if form.map == "softmax_rows":
        norm = logsumexp(np.where(keep, x, -np.inf))
        norm = np.where(np.isfinite(norm), norm, 0.0)
        x, row_fold = (x - norm[:, None]) / epsilon, -norm / epsilon
        entered = x if log else np.exp(x)
    elif form.map == "exp":
        x = x / epsilon
        if form.shift == "row_max":
            row_fold = -_maximum(x, keep, 1)
        elif form.shift == "col_max":
            col_fold = -_maximum(x, keep, 0)
        x = x + row_fold[:, None] + col_fold[None, :]
        entered = x if log else np.exp(x)
    elif form.map == "sigmoid":
        entered = 1.0 / (1.0 + np.exp(-x / epsilon))
    else:
        entered = np.log(x) if log else x
    entered = entered + form.entry_eps
    if form.normalize_total is not None:
        linear = np.exp(entered[keep]) if log else entered[keep]
        total = np.sum(linear) + form.normalize_total
        entered = entered - np.log(total) if log else entered / total
        row_fold = row_fold - np.log(total)
    return _Entered(entered, row_fold, col_fold)


class _Solved(NamedTuple):
    entered: Array
    factors: IterateResult
    row_fold: Array
    col_fold: Array
    epsilon: Array
    row_count: Array
    col_count: Array


def _solve(
    matrix: ArrayLike,
    kind: str,
    form: Form,
    domain: str,
    rows: Rule,
    cols: Rule,
    order: str,
    stop: Stop,
    epsilon: ArrayLike | None,
    slack: ArrayLike | None,
    row_target: ArrayLike | None,
    col_target: ArrayLike | None,
    f_start: ArrayLike | None,
    g_start: ArrayLike | None,
    row_mask: ArrayLike | None,
    col_mask: ArrayLike | None,
) -> _Solved:
    if kind not in INPUTS:
        raise ValueError(f"unknown input {kind!r}")
    log = domain != "kernel"
    matrix = np.asarray(matrix, dtype=np.float64)
    n, m = matrix.shape[-2:]
    extra = 0 if slack is None else 1
    if order == "symmetric":
        # What belongs to the rows serves both axes.
        col_target, g_start, col_mask = row_target, f_start, row_mask
    # The slack row and column are appended to the masks, too.
    row_mask = np.ones(n, bool) if row_mask is None else np.asarray(row_mask, bool)
    col_mask = np.ones(m, bool) if col_mask is None else np.asarray(col_mask, bool)
    if epsilon is None:
        epsilon = form.anneal[-1] if form.anneal else form.epsilon
    epsilon = np.asarray(epsilon, dtype=np.float64)
    # A temperature that is not positive makes the iteration diverge; potentials
    # are then those of the temperature 1.
    strict = np.where(epsilon > 0, epsilon, np.nan)
    epsilon = np.where(epsilon > 0, epsilon, 1.0)
    slack_array = None if slack is None else np.asarray(slack, dtype=np.float64)

    vectors = (row_target, col_target, f_start, g_start, row_mask, col_mask)
    batch = common_batch(
        [(matrix, 2), (epsilon, 0), (slack_array, 0), *((v, 1) for v in vectors)]
    )
    n, m = n + extra, m + extra
    entered = np.empty((*batch, n, m))
    row_fold, col_fold = np.empty((*batch, n)), np.empty((*batch, m))
    row_keep, col_keep = np.empty((*batch, n), bool), np.empty((*batch, m), bool)
    for index in np.ndindex(*batch):
        row_keep[index] = np.pad(
            element(row_mask, 1, index), (0, extra), constant_values=True
        )
        col_keep[index] = np.pad(
            element(col_mask, 1, index), (0, extra), constant_values=True
        )
        alpha = element(slack_array, 0, index)
        with np.errstate(all="ignore"):
            entered[index], row_fold[index], col_fold[index] = _enter(
                element(matrix, 2, index),
                kind,
                form,
                float(element(strict, 0, index)),
                None if alpha is None else float(alpha),
                row_keep[index],
                col_keep[index],
                log,
            )
    epsilon = np.broadcast_to(epsilon, batch)
    # An operand replaces the last temperature; the others scale with it, and a
    # schedule starts with the whole matrix of the first.
    ratio = form.anneal[-1] / form.anneal[0] if form.anneal else 1.0

    def given_start(potential: ArrayLike | None, fold: Array) -> Array | None:
        if potential is None:
            return None
        factor = np.asarray(potential, np.float64) / epsilon[..., None] - fold
        factor = factor * ratio
        return factor if log else np.exp(factor)

    factors = iterate(
        entered,
        domain=domain,
        rows=rows,
        cols=cols,
        order=order,
        stop=stop,
        row_target=row_target,
        col_target=col_target,
        row_start=given_start(f_start, row_fold),
        col_start=given_start(g_start, col_fold),
        row_mask=row_keep,
        col_mask=col_keep,
        start=form.start,
        anneal=form.anneal,
        extrapolate=form.extrapolate,
    )
    return _Solved(
        entered,
        factors,
        row_fold,
        col_fold,
        epsilon,
        np.sum(row_keep, axis=-1) - extra,
        np.sum(col_keep, axis=-1) - extra,
    )


def sinkhorn(
    matrix: ArrayLike,
    *,
    kind: str = "cost",
    form: Form = Form(),
    domain: str = "log",
    rows: Rule = Rule(),
    cols: Rule = Rule(),
    order: str = "rows_first",
    stop: Stop,
    epsilon: ArrayLike | None = None,
    slack: ArrayLike | None = None,
    row_target: ArrayLike | None = None,
    col_target: ArrayLike | None = None,
    f_start: ArrayLike | None = None,
    g_start: ArrayLike | None = None,
    row_mask: ArrayLike | None = None,
    col_mask: ArrayLike | None = None,
) -> SinkhornResult:
    """Potentials f = eps F, g = eps G, with shift and total folded back.

    P_ij = exp((f_i + g_j - C_ij)/eps), with the marginals inside f and g. The
    constant of `normalize_total` goes to f.
    """
    if form.standardize or form.map == "sigmoid" or form.entry_eps:
        raise ValueError("this form has no potentials")
    solved = _solve(
        matrix,
        kind,
        form,
        domain,
        rows,
        cols,
        order,
        stop,
        epsilon,
        slack,
        row_target,
        col_target,
        f_start,
        g_start,
        row_mask,
        col_mask,
    )
    row, col = solved.factors.row, solved.factors.col
    if domain == "kernel":
        with np.errstate(divide="ignore"):
            row, col = np.log(row), np.log(col)
    epsilon = solved.epsilon[..., None]
    return SinkhornResult(
        epsilon * (row + solved.row_fold),
        epsilon * (col + solved.col_fold),
        *solved.factors[2:],
    )


def plan(matrix: ArrayLike, row: ArrayLike, col: ArrayLike, domain: str) -> Array:
    """u_i K_ij v_j or exp(F_i + X_ij + G_j); exactly 0 where a factor is zero."""
    matrix = np.asarray(matrix, dtype=np.float64)
    row, col = np.asarray(row)[..., :, None], np.asarray(col)[..., None, :]
    with np.errstate(all="ignore"):
        if domain == "kernel":
            scaled, empty = row * matrix * col, (row == 0) | (col == 0)
        else:
            scaled = np.exp(row + matrix + col)
            empty = (row == -np.inf) | (col == -np.inf)
    return np.where(empty, 0.0, scaled)


def log_plan(matrix: ArrayLike, row: ArrayLike, col: ArrayLike, domain: str) -> Array:
    """The logarithm of the plan; -inf where a factor is zero."""
    matrix = np.asarray(matrix, dtype=np.float64)
    row, col = np.asarray(row)[..., :, None], np.asarray(col)[..., None, :]
    with np.errstate(all="ignore"):
        if domain == "kernel":
            row, matrix, col = np.log(row), np.log(matrix), np.log(col)
        scaled = row + matrix + col
    return np.where((row == -np.inf) | (col == -np.inf), -np.inf, scaled)


def project(
    matrix: ArrayLike,
    *,
    kind: str = "logits",
    form: Form = Form(),
    domain: str = "log",
    rows: Rule = Rule(),
    cols: Rule = Rule(),
    order: str = "rows_first",
    stop: Stop,
    epsilon: ArrayLike | None = None,
    slack: ArrayLike | None = None,
    row_target: ArrayLike | None = None,
    col_target: ArrayLike | None = None,
    f_start: ArrayLike | None = None,
    g_start: ArrayLike | None = None,
    row_mask: ArrayLike | None = None,
    col_mask: ArrayLike | None = None,
) -> ProjectResult:
    """The scaled matrix itself, or its logarithm, times `form.scale`."""
    solved = _solve(
        matrix,
        kind,
        form,
        domain,
        rows,
        cols,
        order,
        stop,
        epsilon,
        slack,
        row_target,
        col_target,
        f_start,
        g_start,
        row_mask,
        col_mask,
    )
    n, m = solved.row_count, solved.col_count
    scales = {"none": np.ones_like(n), "rows": n, "cols": m, "rows_plus_cols": n + m}
    scale = scales[form.scale][..., None, None]
    operands = (solved.entered, solved.factors.row, solved.factors.col, domain)
    if form.output == "plan":
        output = plan(*operands) * scale
    else:
        output = log_plan(*operands) + np.log(scale)
    return ProjectResult(output, *solved.factors[2:])
