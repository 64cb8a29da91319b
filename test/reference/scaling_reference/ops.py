"""The other named ops and the helpers that consume a plan."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .forms import Form, ProjectResult, plan, project
from .iterate import IterateResult, iterate
from .rules import Array, Rule, Stop, fixed


def balance(
    matrix: ArrayLike,
    *,
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
) -> IterateResult:
    """Row and column factors of a matrix that is scaled as it is."""
    return iterate(
        matrix,
        domain="kernel",
        rows=rows,
        cols=cols,
        order=order,
        stop=stop,
        row_target=row_target,
        col_target=col_target,
        row_start=row_start,
        col_start=col_start,
        row_mask=row_mask,
        col_mask=col_mask,
    )


def normalize(
    matrix: ArrayLike,
    axis: str,
    rule: Rule,
    *,
    domain: str = "kernel",
    target: ArrayLike | None = None,
    row_mask: ArrayLike | None = None,
    col_mask: ArrayLike | None = None,
) -> Array:
    """One half-step along `axis` ("rows" or "cols"), applied to the matrix."""
    result = iterate(
        matrix,
        domain=domain,
        rows=rule if axis == "rows" else Rule(),
        cols=rule if axis == "cols" else Rule(),
        order=f"{axis}_first",
        stop=fixed(1),
        row_target=target if axis == "rows" else None,
        col_target=target if axis == "cols" else None,
        row_mask=row_mask,
        col_mask=col_mask,
    )
    return plan(matrix, result.row, result.col, domain)


def softmax(logits: ArrayLike, axis: str = "rows") -> Array:
    """Softmax over every row (column): one half-step in the log domain."""
    return normalize(logits, axis, Rule(), domain="log")


class AttentionResult(NamedTuple):
    """Output [..., n_q, d_v], attention weights and how the iteration ended."""

    output: Array
    weights: Array
    half_steps: NDArray[np.int32]
    residual: Array
    status: NDArray[np.int32]


def attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    bias: ArrayLike | None = None,
    row_mask: ArrayLike | None = None,
    col_mask: ArrayLike | None = None,
    *,
    scale: float | None = None,
    form: Form = Form(scale="cols"),
    domain: str = "log",
    rows: Rule = Rule(target="uniform"),
    cols: Rule = Rule(target="uniform"),
    order: str = "rows_first",
    stop: Stop = fixed(3),
) -> AttentionResult:
    """A = project(scale Q K^T + bias), output A V; scale defaults to 1/sqrt(d).

    The defaults are Sinkformer's: row sums n_k/n_q after an odd number of
    half-steps. `rows=Rule()`, `form=Form()` and `stop=fixed(1)` is softmax.
    """
    q, k, v = (np.asarray(x, dtype=np.float64) for x in (q, k, v))
    factor = 1.0 / np.sqrt(q.shape[-1]) if scale is None else scale
    logits = factor * pairwise(q, k, "dot")
    if bias is not None:
        logits = logits + np.asarray(bias, dtype=np.float64)
    result: ProjectResult = project(
        logits,
        kind="logits",
        form=form,
        domain=domain,
        rows=rows,
        cols=cols,
        order=order,
        stop=stop,
        row_mask=row_mask,
        col_mask=col_mask,
    )
    return AttentionResult(apply(result.plan, v), *result)


def pairwise(x: ArrayLike, y: ArrayLike, metric: str) -> Array:
    """metric(x_i, y_j) for x [..., n, d], y [..., m, d].

    sqeuclidean sum (x-y)^2 (no 1/2); euclidean its root; l1 sum |x-y|;
    dot x.y; cosine 1 - x.y/(|x||y|).
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    a, b = x[..., :, None, :], y[..., None, :, :]
    if metric == "sqeuclidean":
        return np.sum((a - b) ** 2, axis=-1)
    if metric == "euclidean":
        return np.sqrt(np.sum((a - b) ** 2, axis=-1))
    if metric == "l1":
        return np.sum(np.abs(a - b), axis=-1)
    dot = np.sum(a * b, axis=-1)
    if metric == "dot":
        return dot
    if metric == "cosine":
        norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
        return 1.0 - dot / norms
    raise ValueError(f"unknown metric {metric!r}")


class SimilarityResult(NamedTuple):
    """D^-1 A D, the diagonal of D, the sweeps done, and 0 or 3 (diverged)."""

    matrix: Array
    scale: Array
    sweeps: NDArray[np.int32]
    status: NDArray[np.int32]


def _norm2(x: Array) -> float:
    """The 2-norm, scaled by a power of two as dnrm2 does not to overflow."""
    top = np.max(np.abs(x))
    if top == 0 or not np.isfinite(top):
        return float(top)
    exponent = np.frexp(top)[1]
    return float(np.ldexp(np.linalg.norm(np.ldexp(x, -exponent)), exponent))


def _similarity_one(a: Array) -> tuple[Array, Array, int, int]:
    tiny, eps = np.finfo(np.float64).tiny, np.finfo(np.float64).eps
    # LAPACK's dlamch('P') is eps as numpy has it: radix times the unit roundoff.
    sfmin1 = tiny / eps
    sfmax1 = 1.0 / sfmin1
    sfmin2, sfmax2 = 2.0 * sfmin1, sfmax1 / 2.0
    start = a
    a = a.copy()
    n = a.shape[0]
    scale = np.ones(n)
    sweeps = 0
    changed = True
    while changed:
        changed = False
        sweeps += 1
        for i in range(n):
            c, r = _norm2(a[:, i]), _norm2(a[i, :])
            ca, ra = np.max(np.abs(a[:, i])), np.max(np.abs(a[i, :]))
            if not np.isfinite(c + ca + r + ra):
                return start, np.ones(n), sweeps, 3
            if c == 0 or r == 0:
                continue
            g, f, s = r / 2, 1.0, c + r
            while c < g and max(f, c, ca) < sfmax2 and min(r, g, ra) > sfmin2:
                f, c, ca = f * 2, c * 2, ca * 2
                r, g, ra = r / 2, g / 2, ra / 2
            g = c / 2
            while g >= r and max(r, ra) < sfmax2 and min(f, c, g, ca) > sfmin2:
                f, c, g, ca = f / 2, c / 2, g / 2, ca / 2
                r, ra = r * 2, ra * 2
            if c + r >= 0.95 * s:
                continue
            if f < 1 and scale[i] < 1 and f * scale[i] <= sfmin1:
                continue
            if f > 1 and scale[i] > 1 and scale[i] >= sfmax1 / f:
                continue
            scale[i] *= f
            a[i, :] /= f
            a[:, i] *= f
            changed = True
    return a, scale, sweeps, 0


def similarity_balance(a: ArrayLike) -> SimilarityResult:
    """LAPACK gebal, job 'S' (3.5.0 and later): A <- D^-1 A D, powers of two.

    Sweeps over i until nothing changes; 2-norms with the diagonal included;
    a similarity, so that every index scales its row and its column before the
    next one. An input that is not finite comes back as it is, with status 3.
    """
    a = np.asarray(a, dtype=np.float64)
    batch = a.shape[:-2]
    result = SimilarityResult(
        np.empty_like(a),
        np.empty(a.shape[:-1]),
        np.empty(batch, np.int32),
        np.empty(batch, np.int32),
    )
    for index in np.ndindex(*batch):
        with np.errstate(all="ignore"):
            values = _similarity_one(a[index])
        for output, value in zip(result, values, strict=True):
            output[index] = value
    return result


def apply(p: ArrayLike, v: ArrayLike, *, transpose: bool = False) -> Array:
    """P V, or P^T V."""
    p = np.asarray(p, dtype=np.float64)
    return (np.swapaxes(p, -1, -2) if transpose else p) @ np.asarray(v, np.float64)


def transport_cost(p: ArrayLike, cost: ArrayLike) -> Array:
    """<P, C>; entries without mass cost nothing, whatever C is there."""
    p, cost = np.asarray(p, np.float64), np.asarray(cost, np.float64)
    with np.errstate(invalid="ignore"):
        return np.sum(np.where(p == 0, 0.0, p * cost), axis=(-2, -1))


def mass(p: ArrayLike) -> Array:
    """The sum of all entries."""
    return np.sum(np.asarray(p, np.float64), axis=(-2, -1))


def dual_value(
    f: ArrayLike,
    g: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    p: ArrayLike,
    epsilon: ArrayLike,
) -> Array:
    """sum a (f - eps log a) + sum b (g - eps log b) + eps (sum a sum b - sum P).

    OTT's balanced objective, for potentials with the marginals inside.
    """
    epsilon = np.asarray(epsilon, np.float64)

    def part(weight: ArrayLike, potential: ArrayLike) -> Array:
        weight, potential = np.asarray(weight, np.float64), np.asarray(potential)
        with np.errstate(all="ignore"):
            terms = weight * (potential - epsilon[..., None] * np.log(weight))
        return np.sum(np.where(weight == 0, 0.0, terms), axis=-1)

    product = np.sum(a, axis=-1) * np.sum(b, axis=-1)
    return part(a, f) + part(b, g) + epsilon * (product - mass(p))


def row_argmax(p: ArrayLike) -> NDArray[np.int64]:
    """The column of every row's largest entry, the first of equals."""
    return np.argmax(np.asarray(p), axis=-1)
