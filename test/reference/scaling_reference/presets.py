"""Every preset as a plain function, and as a record of the generic iteration.

The functions are written from the recurrences of the projects they come from and
share nothing with `iterate`: two independent statements of the same thing. They
take one matrix (the hyper-connection ones any leading dimensions).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .forms import Form, ProjectResult, SinkhornResult, project, sinkhorn
from .iterate import IterateResult
from .ops import balance
from .rules import Array, Rule, Stop, best, fixed, until


class PlainScaling(NamedTuple):
    """Factors (multiplicative or additive, see the function), plan, iterations."""

    row: Array
    col: Array
    plan: Array
    iterations: int


def _lse(x: Array, axis: int) -> Array:
    top = np.max(x, axis=axis, keepdims=True)
    return np.squeeze(
        top + np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)), axis
    )


def _softmax(z: Array) -> Array:
    e = np.exp(z - np.max(z, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def _row_sum(p: Array) -> Array:
    return np.sum(p, axis=-1, keepdims=True)


def _col_sum(p: Array) -> Array:
    return np.sum(p, axis=-2, keepdims=True)


def mhc(z: ArrayLike, iterations: int = 20, eps: float = 1e-6) -> Array:
    """DeepSeek TileKernels, V4, vLLM, Liger: P = softmax_row(z) + eps;
    P /= colsum + eps; (T-1) x {P /= rowsum + eps; P /= colsum + eps}."""
    p = _softmax(np.asarray(z, np.float64)) + eps
    p = p / (_col_sum(p) + eps)
    for _ in range(iterations - 1):
        p = p / (_row_sum(p) + eps)
        p = p / (_col_sum(p) + eps)
    return p


def mhc_vjp(
    z: ArrayLike, cotangent: ArrayLike, iterations: int = 20, eps: float = 1e-6
) -> Array:
    """Reverse rule of `mhc`, replaying all its states:
    y = x/(s + eps): g_x = (g - sum(g y))/(s + eps); softmax: p (g - sum(g p))."""
    softmax = _softmax(np.asarray(z, np.float64))
    states = [(softmax + eps, _col_sum)]
    for k in range(2 * iterations - 1):
        p, along = states[-1]
        p = p / (along(p) + eps)
        states.append((p, _row_sum if k % 2 == 0 else _col_sum))
    g = np.asarray(cotangent, np.float64)
    for (x, along), (y, _) in zip(states[-2::-1], states[:0:-1], strict=True):
        g = (g - along(g * y)) / (along(x) + eps)
    return softmax * (g - _row_sum(g * softmax))


def mhc_sigmoid(z: ArrayLike, iterations: int = 20, eps: float = 1e-6) -> Array:
    """Hugging Face's first DeepSeek-V4: P = sigmoid(z) + eps;
    T x {P /= rowsum + eps; P /= colsum + eps}."""
    p = 1.0 / (1.0 + np.exp(-np.asarray(z, np.float64))) + eps
    for _ in range(iterations):
        p = p / (_row_sum(p) + eps)
        p = p / (_col_sum(p) + eps)
    return p


def mhc_clamp(z: ArrayLike, iterations: int = 20, eps: float = 1e-6) -> Array:
    """Megatron-LM: exp(z - rowmax); T x {row / clamp(sum, eps); col alike}."""
    z = np.asarray(z, np.float64)
    p = np.exp(z - np.max(z, axis=-1, keepdims=True))
    for _ in range(iterations):
        p = p / np.maximum(_row_sum(p), eps)
        p = p / np.maximum(_col_sum(p), eps)
    return p


def mhc_log(z: ArrayLike, iterations: int = 20) -> Array:
    """TransformerEngine: f = -LSE_row(z + g); g = -LSE_col(z + f); exp(z+f+g)."""
    z = np.asarray(z, np.float64)
    g = np.zeros(z.shape[:-2] + z.shape[-1:])
    f = np.zeros(z.shape[:-1])
    for _ in range(iterations):
        f = -_lse(z + g[..., None, :], -1)
        g = -_lse(z + f[..., :, None], -2)
    return np.exp(z + f[..., :, None] + g[..., None, :])


def mhc_columns(z: ArrayLike, iterations: int = 20, eps: float = 1e-12) -> Array:
    """lucidrains mHCv2: exp(z - colmax); T x {columns; rows}, / max(sum, eps)."""
    z = np.asarray(z, np.float64)
    p = np.exp(z - np.max(z, axis=-2, keepdims=True))
    for _ in range(iterations):
        p = p / np.maximum(_col_sum(p), eps)
        p = p / np.maximum(_row_sum(p), eps)
    return p


def mhc_static(z: ArrayLike, iterations: int = 10, tau: float = 0.05) -> Array:
    """tokenbender: Z = z/tau; u = -LSE_row(Z + v); v = -LSE_col(Z + u)."""
    return mhc_log(np.asarray(z, np.float64) / tau, iterations)


def mhc_recip(z: ArrayLike, iterations: int = 20, eps: float = 1e-6) -> Array:
    """sinkhorn-triton: A = exp(z); r = 1/(A c + eps); c = 1/(A' r + eps)."""
    a = np.exp(np.asarray(z, np.float64))
    c = np.ones(a.shape[:-2] + a.shape[-1:])
    r = np.ones(a.shape[:-1])
    for _ in range(iterations):
        r = 1.0 / (np.sum(a * c[..., None, :], axis=-1) + eps)
        c = 1.0 / (np.sum(a * r[..., :, None], axis=-2) + eps)
    return r[..., :, None] * a * c[..., None, :]


def sinkformer(scores: ArrayLike, max_iter: int = 3, eps: float = 1.0) -> Array:
    """sinkformers: half-steps u += eps (log mu - LSE_row((S+u+v)/eps)), then v;
    returns exp((S+u+v)/eps) n_k."""
    s = np.asarray(scores, np.float64)
    n, m = s.shape
    u, v = np.zeros(n), np.zeros(m)
    for i in range(max_iter):
        total = (s + u[:, None] + v) / eps
        if i % 2 == 0:
            u = u + eps * (np.log(1.0 / n) - _lse(total, 1))
        else:
            v = v + eps * (np.log(1.0 / m) - _lse(total, 0))
    return np.exp((s + u[:, None] + v) / eps) * m


def superglue(scores: ArrayLike, alpha: float = 1.0, iterations: int = 100) -> Array:
    """SuperGlue's log_optimal_transport: a dustbin row and column of alpha."""
    s = np.asarray(scores, np.float64)
    m, n = s.shape
    z = np.block([[s, np.full((m, 1), alpha)], [np.full((1, n + 1), alpha)]])
    norm = -np.log(m + n)
    log_mu = np.concatenate([np.full(m, norm), [np.log(n) + norm]])
    log_nu = np.concatenate([np.full(n, norm), [np.log(m) + norm]])
    u, v = np.zeros(m + 1), np.zeros(n + 1)
    for _ in range(iterations):
        u = log_mu - _lse(z + v, 1)
        v = log_nu - _lse(z + u[:, None], 0)
    return z + u[:, None] + v - norm


def swav(out: ArrayLike, iterations: int = 3, eps: float = 0.05) -> Array:
    """SwAV, DINOv2: Q = exp(out/eps)' over its sum; 3 x {prototypes to 1/K;
    samples to 1/B}; times B."""
    q = np.exp(np.asarray(out, np.float64) / eps).T
    k, b = q.shape
    q = q / np.sum(q)
    for _ in range(iterations):
        q = q / np.sum(q, axis=1, keepdims=True) / k
        q = q / np.sum(q, axis=0, keepdims=True) / b
    return (q * b).T


def sela(logits: ArrayLike, lam: float = 25.0, tol: float = 0.1) -> PlainScaling:
    """Self-label: PS = (softmax(logits)')^lam; r = (1/K)/(PS c);
    c' = (1/N)/(PS' r); every 10th time err = sum |c/c' - 1|; plan times N."""
    ps = (_softmax(np.asarray(logits, np.float64)).T) ** lam
    k, n = ps.shape
    c = np.full(n, 1.0 / n)
    error, count = np.inf, 0
    while error > tol:
        r = (1.0 / k) / (ps @ c)
        new = (1.0 / n) / (ps.T @ r)
        if count % 10 == 0:
            error = np.nansum(np.abs(c / new - 1))
        c = new
        count += 1
    return PlainScaling(c, r, (r[:, None] * ps * c).T * n, count)


def optvq(cost: ArrayLike, iterations: int = 5, multiplier: float = 10.0) -> Array:
    """OptVQ: standardized cost, Q = exp(-10 cost)' over sum + 1e-8;
    5 x {rows/(sum + 1e-8)/K; columns/(sum + 1e-8)/B}; times B."""
    a = np.asarray(cost, np.float64)
    a = (a - np.mean(a)) / (np.std(a, ddof=1) + 1e-6)
    q = np.exp(-(a - np.min(a)) * multiplier).T
    k, b = q.shape
    q = q / (np.sum(q) + 1e-8)
    for _ in range(iterations):
        q = q / (np.sum(q, axis=1, keepdims=True) + 1e-8) / k
        q = q / (np.sum(q, axis=0, keepdims=True) + 1e-8) / b
    return (q * b).T


def megatron_moe(logits: ArrayLike, tol: float = 1e-4) -> PlainScaling:
    """Megatron's sinkhorn: d0 = (1/T)/(sum_e d1 cost + 1e-8); d1 alike with 1/E;
    while mean |d1_old - d1| > tol."""
    cost = np.exp(np.asarray(logits, np.float64))
    d0, d1 = np.ones(cost.shape[0]), np.ones(cost.shape[1])
    eps, error, count = 1e-8, np.inf, 0
    while error > tol:
        d0 = (1 / d0.size) / (np.sum(d1 * cost, 1) + eps)
        new = (1 / d1.size) / (np.sum(d0[:, None] * cost, 0) + eps)
        error = np.mean(np.abs(d1 - new))
        d1 = new
        count += 1
    return PlainScaling(d0, d1, d1 * cost * d0[:, None], count)


def gumbel(log_alpha: ArrayLike, iterations: int = 20, tau: float = 1.0) -> Array:
    """gumbel_sinkhorn, noise already added: T x {X -= LSE_row; X -= LSE_col}."""
    x = np.asarray(log_alpha, np.float64) / tau
    for _ in range(iterations):
        x = x - _lse(x, -1)[..., :, None]
        x = x - _lse(x, -2)[..., None, :]
    return np.exp(x)


def sinkgd(x: ArrayLike, iterations: int = 5, eps: float = 1e-6) -> Array:
    """SinkGD: T x {X /= |row|_2 + eps; X /= |col|_2 + eps}."""
    x = np.asarray(x, np.float64)
    for _ in range(iterations):
        x = x / (np.linalg.norm(x, axis=1, keepdims=True) + eps)
        x = x / (np.linalg.norm(x, axis=0, keepdims=True) + eps)
    return x


class PlainBest(NamedTuple):
    """Scales that divide the columns (mu1) and rows (mu2), and their measure."""

    mu1: Array
    mu2: Array
    imbalance: float


def sinq(w: ArrayLike, order: int = 16) -> PlainBest:
    """SINQ's sinkhorn_log: both log scales from the same matrix, steps clamped to
    [.7, 2], logs to [-.3, 10], a sticky gate, the last update never judged."""
    w = np.asarray(w, np.float64)

    def clipped(x: Array, axis: int) -> Array:
        return np.clip(np.std(x, axis=axis, ddof=1), 1e-3, 1e3)

    def imbalance(x: Array) -> float:
        stds = np.concatenate([np.std(x, axis=axis, ddof=1) for axis in (0, 1)])
        return float(np.max(stds) / max(np.min(stds), 1e-12))

    l1, l2 = np.zeros(w.shape[1]), np.zeros(w.shape[0])
    record = PlainBest(np.exp(l1), np.exp(l2), imbalance(w))
    target = min(np.min(clipped(w, 1)), np.min(clipped(w, 0))) + 1e-6
    gate = 0.0
    for _ in range(order):
        current = w / np.exp(l1) / np.exp(l2)[:, None]
        measure = imbalance(current)
        if measure <= record.imbalance:
            record = PlainBest(np.exp(l1), np.exp(l2), measure)
        else:
            gate = 1.0
        step1 = np.log(np.clip(clipped(current, 0) / target, 0.7, 2.0))
        step2 = np.log(np.clip(clipped(current, 1) / target, 0.7, 2.0))
        l1 = np.clip(l1 + (1 - gate) * step1, -0.3, 10)
        l2 = np.clip(l2 + (1 - gate) * step2, -0.3, 10)
    return record


def kvarn(m: ArrayLike, iterations: int = 16) -> PlainBest:
    """KVarN: log scales, columns then rows on the new matrix, the best of all
    by max/max(min, 1e-8) of the column stds plus the same of the row stds."""
    m = np.asarray(m, np.float64)

    def imbalance(x: Array) -> float:
        total = 0.0
        for axis in (0, 1):
            std = np.std(x, axis=axis, ddof=1)
            total += np.max(std) / max(np.min(std), 1e-8)
        return float(total)

    col, row = np.zeros(m.shape[1]), np.zeros(m.shape[0])
    current = m
    record = PlainBest(np.exp(col), np.exp(row), imbalance(m))
    for _ in range(iterations):
        std = np.clip(np.std(current, axis=0, ddof=1), 1e-3, 1e3)
        col = np.clip(col + np.log(std), -0.3, 10)
        current = m / np.exp(col) / np.exp(row)[:, None]
        std = np.clip(np.std(current, axis=1, ddof=1), 1e-3, 1e3)
        row = np.clip(row + np.log(std), -0.3, 10)
        current = m / np.exp(col) / np.exp(row)[:, None]
        measure = imbalance(current)
        if measure <= record.imbalance:
            record = PlainBest(np.exp(col), np.exp(row), measure)
    return record


def ruiz(a: ArrayLike, iterations: int = 10) -> tuple[Array, Array]:
    """OSQP's Ruiz pass on one rectangular matrix: e = 1/sqrt(lim(row max)),
    d = 1/sqrt(lim(column max)), both from the same matrix; returns E, D."""
    a = np.abs(np.asarray(a, np.float64))

    def limited(x: Array) -> Array:
        x = np.where(x < 1e-4, 1.0, x)
        return np.where(x > 1e4, 1e4, x)

    row, col = np.ones(a.shape[0]), np.ones(a.shape[1])
    for _ in range(iterations):
        e = 1.0 / np.sqrt(limited(np.max(a, axis=1)))
        d = 1.0 / np.sqrt(limited(np.max(a, axis=0)))
        a = e[:, None] * a * d
        row, col = row * e, col * d
    return row, col


def gebal(a: ArrayLike) -> tuple[Array, Array]:
    """LAPACK's dgebal, job 'S', without its range checks: D^-1 A D and D."""
    a = np.array(a, np.float64)
    d = np.ones(len(a))
    converged = False
    while not converged:
        converged = True
        for i in range(len(a)):
            c, r = np.sqrt(np.sum(a[:, i] ** 2)), np.sqrt(np.sum(a[i] ** 2))
            if c == 0 or r == 0:
                continue
            before, f = c + r, 1.0
            while c < r / 2:
                f, c, r = f * 2, c * 2, r / 2
            while c / 2 >= r:
                f, c, r = f / 2, c / 2, r * 2
            if c + r < 0.95 * before:
                converged = False
                d[i] *= f
                a[i] /= f
                a[:, i] *= f
    return a, d


def geequb(a: ArrayLike) -> tuple[Array, Array]:
    """LAPACK's dgeequb: r_i = 2^trunc(log2 max_j |a_ij|), R = 1/clamp(r);
    c_j = 2^trunc(log2 max_i |a_ij| R_i), C = 1/clamp(c)."""
    a = np.abs(np.asarray(a, np.float64))
    small = np.finfo(np.float64).tiny
    r = 2.0 ** np.trunc(np.log2(np.max(a, axis=1)))
    row = 1.0 / np.clip(r, small, 1.0 / small)
    c = 2.0 ** np.trunc(np.log2(np.max(a * row[:, None], axis=0)))
    return row, 1.0 / np.clip(c, small, 1.0 / small)


def pot(
    a: Array,
    b: Array,
    cost: Array,
    reg: float,
    max_iter: int = 1000,
    stop_thr: float = 1e-9,
) -> PlainScaling:
    """POT sinkhorn_knopp: u = 1/n; v = b/K'u; u = a/Kv; every 10th iteration,
    the first included, ||colsum - b||_2 < stop_thr ends it."""
    k = np.exp(-cost / reg)
    n, m = k.shape
    u, v = np.full(n, 1.0 / n), np.full(m, 1.0 / m)
    done = 0
    for i in range(max_iter):
        v = b / (k.T @ u)
        u = a / (k @ v)
        done = i + 1
        if i % 10 == 0 and np.linalg.norm(v * (k.T @ u) - b) < stop_thr:
            break
    return PlainScaling(u, v, u[:, None] * k * v, done)


def pot_log(
    a: Array,
    b: Array,
    cost: Array,
    reg: float,
    max_iter: int = 1000,
    stop_thr: float = 1e-9,
) -> PlainScaling:
    """POT sinkhorn_log: v = log b - LSE_col(-M/reg + u), then u; log factors."""
    x = -cost / reg
    u, v = np.zeros(x.shape[0]), np.zeros(x.shape[1])
    done = 0
    for i in range(max_iter):
        v = np.log(b) - _lse(x + u[:, None], 0)
        u = np.log(a) - _lse(x + v, 1)
        done = i + 1
        plan = np.exp(x + u[:, None] + v)
        if i % 10 == 0 and np.linalg.norm(np.sum(plan, axis=0) - b) < stop_thr:
            break
    return PlainScaling(u, v, np.exp(x + u[:, None] + v), done)


def pot_stabilized(
    a: Array,
    b: Array,
    cost: Array,
    reg: float,
    max_iter: int = 1000,
    stop_thr: float = 1e-9,
    tau: float = 1e3,
) -> PlainScaling:
    """POT sinkhorn_stabilized: absorbs log u, log v into alpha, beta above tau and
    resets u, v to 1/n, 1/m; checks every 20th iteration; log factors."""
    n, m = cost.shape
    alpha, beta = np.zeros(n), np.zeros(m)
    u, v = np.full(n, 1.0 / n), np.full(m, 1.0 / m)
    k = np.exp(-cost / reg)
    done = 0

    def log_plan() -> Array:
        x = -(cost - alpha[:, None] - beta) / reg
        return x + np.log(u)[:, None] + np.log(v)

    for i in range(max_iter):
        v = b / (k.T @ u)
        u = a / (k @ v)
        done = i + 1
        if max(np.max(np.abs(u)), np.max(np.abs(v))) > tau:
            alpha, beta = alpha + reg * np.log(u), beta + reg * np.log(v)
            u, v = np.full(n, 1.0 / n), np.full(m, 1.0 / m)
            k = np.exp(-(cost - alpha[:, None] - beta) / reg)
        if i % 20 == 0:
            error = np.linalg.norm(np.sum(np.exp(log_plan()), axis=0) - b)
            if error <= stop_thr:
                break
    row, col = alpha / reg + np.log(u), beta / reg + np.log(v)
    return PlainScaling(row, col, np.exp(log_plan()), done)


def pot_unbalanced(
    a: Array,
    b: Array,
    cost: Array,
    reg: float,
    reg_m: tuple[float, float],
    reg_type: str = "kl",
    max_iter: int = 1000,
    stop_thr: float = 1e-6,
) -> PlainScaling:
    """POT sinkhorn_knopp_unbalanced: K = exp(-M/reg) (a b' for "kl");
    u = (a/Kv)^fi1; v = (b/K'u)^fi2; relative change of both, halved."""
    reference = a[:, None] * b if reg_type == "kl" else np.ones_like(cost)
    k = np.exp(-cost / reg) * reference
    fi = [r / (r + reg) if np.isfinite(r) else 1.0 for r in reg_m]
    u, v = np.ones(k.shape[0]), np.ones(k.shape[1])
    done = 0
    for i in range(max_iter):
        old_u, old_v = u, v
        u = (a / (k @ v)) ** fi[0]
        v = (b / (k.T @ u)) ** fi[1]
        done = i + 1
        error = 0.0
        for new, old in ((u, old_u), (v, old_v)):
            scale = max(np.max(np.abs(new)), np.max(np.abs(old)), 1.0)
            error += 0.5 * np.max(np.abs(new - old)) / scale
        if error < stop_thr:
            break
    return PlainScaling(u, v, u[:, None] * k * v, done)


def ott(
    a: Array,
    b: Array,
    cost: Array,
    eps: float,
    threshold: float = 1e-3,
    tau: tuple[float, float] = (1.0, 1.0),
    momentum: float = 1.0,
    inner: int = 10,
    max_iter: int = 2000,
) -> PlainScaling:
    """OTT-JAX, log domain: g1 = tau_b (eps log b - (eps LSE_col((f+g-C)/eps) - g)),
    g = (1-w) g + w g1; f alike with the new g; sum |colsum - b| after every block
    of `inner`. Potentials with the marginals inside."""
    f, g = np.zeros(cost.shape[0]), np.zeros(cost.shape[1])
    done = 0
    for i in range(max_iter):
        z = (f[:, None] + g - cost) / eps
        g1 = tau[1] * (eps * np.log(b) - (eps * _lse(z, 0) - g))
        g = (1 - momentum) * g + momentum * g1
        z = (f[:, None] + g - cost) / eps
        f1 = tau[0] * (eps * np.log(a) - (eps * _lse(z, 1) - f))
        f = (1 - momentum) * f + momentum * f1
        done = i + 1
        if done % inner == 0:
            plan = np.exp((f[:, None] + g - cost) / eps)
            if np.sum(np.abs(np.sum(plan, axis=0) - b)) < threshold:
                break
    return PlainScaling(f, g, np.exp((f[:, None] + g - cost) / eps), done)


def geomloss_epsilons(
    diameter: float, blur: float = 0.05, scaling: float = 0.5, p: int = 2
) -> list[float]:
    """diameter^p, a geometric descent from it, blur^p; the first comes twice."""
    start, stop = p * np.log(diameter), p * np.log(blur)
    descent = np.exp(np.arange(start, stop, p * np.log(scaling)))
    return [diameter**p, *(float(eps) for eps in descent), blur**p]


def geomloss(
    a: Array,
    b: Array,
    cost: Array,
    epsilons: Sequence[float],
    rho: float | None = None,
) -> PlainScaling:
    """GeomLoss sinkhorn_loop (x-y part): softmin start at the first eps, then one
    averaged simultaneous update per eps, one plain update at the end.

    P = a b exp((f+g-C)/eps): the marginals are outside the potentials.
    """

    def softmin(eps: float, matrix: Array, h: Array) -> Array:
        damping = 1.0 if rho is None else 1.0 / (1.0 + eps / rho)
        return -damping * eps * _lse(h - matrix / eps, 1)

    log_a, log_b = np.log(a), np.log(b)
    eps = epsilons[0]
    g = softmin(eps, cost.T, log_a)
    f = softmin(eps, cost, log_b)
    for eps in epsilons:
        new_f = softmin(eps, cost, log_b + g / eps)
        new_g = softmin(eps, cost.T, log_a + f / eps)
        f, g = 0.5 * (f + new_f), 0.5 * (g + new_g)
    f, g = softmin(eps, cost, log_b + g / eps), softmin(eps, cost.T, log_a + f / eps)
    plan = a[:, None] * b * np.exp((f[:, None] + g - cost) / eps)
    return PlainScaling(f, g, plan, len(epsilons))


def _both(rule: Rule) -> dict[str, Rule]:
    return {"rows": rule, "cols": rule}


_UNIFORM = Rule(target="uniform")
#: Limits that stand for "no iteration cap".
_UNCAPPED = 200_000

#: Every preset as (op, kind of input, form, rows, cols, order, stop, domain).
#: `needs` lists what has no default, `parameters` what a user of the preset sets.
PRESET_SPECS: dict[str, dict] = {
    "mhc": dict(
        op="project",
        kind="logits",
        form=Form(map="softmax_rows", entry_eps=1e-6),
        **_both(Rule(guard=("add_plan", 1e-6))),
        order="cols_first",
        stop=fixed(39),
        domain="kernel",
        needs=(),
        parameters=("half_steps = 2 T - 1", "epsilons"),
    ),
    "mhc_sigmoid": dict(
        op="project",
        kind="logits",
        form=Form(map="sigmoid", entry_eps=1e-6),
        **_both(Rule(guard=("add_plan", 1e-6))),
        order="rows_first",
        stop=fixed(40),
        domain="kernel",
        needs=(),
        parameters=("half_steps = 2 T", "epsilons"),
    ),
    "mhc_clamp": dict(
        op="project",
        kind="logits",
        form=Form(shift="row_max"),
        **_both(Rule(guard=("clamp_plan", 1e-6))),
        order="rows_first",
        stop=fixed(40),
        domain="kernel",
        needs=(),
        parameters=("half_steps = 2 T",),
    ),
    "mhc_log": dict(
        op="project",
        kind="logits",
        form=Form(),
        **_both(Rule()),
        order="rows_first",
        stop=fixed(40),
        domain="log",
        needs=(),
        parameters=("half_steps = 2 T",),
    ),
    "mhc_columns": dict(
        op="project",
        kind="logits",
        form=Form(shift="col_max"),
        **_both(Rule(guard=("clamp_plan", 1e-12))),
        order="cols_first",
        stop=fixed(40),
        domain="kernel",
        needs=(),
        parameters=("half_steps = 2 T",),
    ),
    "mhc_static": dict(
        op="project",
        kind="logits",
        form=Form(epsilon=0.05),
        **_both(Rule()),
        order="rows_first",
        stop=fixed(20),
        domain="log",
        needs=(),
        parameters=("half_steps = 2 T", "epsilon = tau"),
    ),
    "mhc_recip": dict(
        op="project",
        kind="logits",
        form=Form(),
        **_both(Rule(guard=("add_kernel", 1e-6))),
        order="rows_first",
        stop=fixed(40),
        domain="kernel",
        needs=(),
        parameters=("half_steps = 2 T",),
    ),
    "sinkformer": dict(
        op="project",
        kind="logits",
        form=Form(scale="cols"),
        **_both(_UNIFORM),
        order="rows_first",
        stop=fixed(3),
        domain="log",
        needs=(),
        parameters=("half_steps = max_iter", "epsilon"),
    ),
    "superglue": dict(
        op="project",
        kind="logits",
        form=Form(output="log_plan", scale="rows_plus_cols"),
        **_both(Rule(target="slack")),
        order="rows_first",
        stop=fixed(200),
        domain="log",
        needs=("slack",),
        parameters=("half_steps = 2 iterations",),
    ),
    "swav": dict(
        op="project",
        kind="logits",
        form=Form(epsilon=0.05, normalize_total=0.0, scale="rows"),
        **_both(_UNIFORM),
        order="cols_first",
        stop=fixed(6),
        domain="kernel",
        needs=(),
        parameters=("half_steps = 2 iterations", "epsilon"),
    ),
    "sela": dict(
        op="project",
        kind="logits",
        form=Form(start="uniform", epsilon=1 / 25, map="softmax_rows", scale="rows"),
        **_both(_UNIFORM),
        order="cols_first",
        stop=until(
            what="ratio",
            axis="rows",
            norm="l1",
            tol=0.1,
            every=20,
            start=2,
            limit=_UNCAPPED,
        ),
        domain="kernel",
        needs=(),
        parameters=("epsilon = 1/lambda", "tol"),
    ),
    "optvq": dict(
        op="project",
        kind="cost",
        form=Form(epsilon=0.1, standardize=True, normalize_total=1e-8, scale="rows"),
        **_both(Rule(target="uniform", guard=("add_plan", 1e-8))),
        order="cols_first",
        stop=fixed(10),
        domain="kernel",
        needs=(),
        parameters=("half_steps = 2 iterations", "epsilon = 1/multiplier"),
    ),
    "megatron_moe": dict(
        op="project",
        kind="logits",
        form=Form(),
        **_both(Rule(target="uniform", guard=("add_kernel", 1e-8))),
        order="rows_first",
        stop=until(
            what="change",
            axis="cols",
            norm="mean",
            tol=1e-4,
            every=2,
            start=2,
            limit=_UNCAPPED,
        ),
        domain="kernel",
        needs=(),
        parameters=("tol",),
    ),
    "gumbel": dict(
        op="project",
        kind="logits",
        form=Form(),
        **_both(Rule()),
        order="rows_first",
        stop=fixed(40),
        domain="log",
        needs=(),
        parameters=("half_steps = 2 iterations", "epsilon = tau"),
    ),
    "sinkgd": dict(
        op="balance",
        **_both(Rule(stat="l2", guard=("add_plan", 1e-6))),
        order="rows_first",
        stop=fixed(10),
        domain="kernel",
        needs=(),
        parameters=("half_steps = 2 iterations",),
    ),
    "sinq": dict(
        op="balance",
        **_both(
            Rule(
                stat="std",
                target="min_stat",
                limit=(1e-3, 1e3),
                step=(1 / 2.0, 1 / 0.7),
                clamp=(float(np.exp(-10)), float(np.exp(0.3))),
            )
        ),
        order="jacobi",
        stop=best(what="imbalance", limit=32, patience="first", last=False),
        domain="kernel",
        needs=(),
        parameters=("limit = 2 order",),
    ),
    "kvarn": dict(
        op="balance",
        **_both(
            Rule(
                stat="std",
                limit=(1e-3, 1e3),
                clamp=(float(np.exp(-10)), float(np.exp(0.3))),
            )
        ),
        order="cols_first",
        stop=best(what="imbalance_sum", limit=32),
        domain="kernel",
        needs=(),
        parameters=("limit = 2 iterations",),
    ),
    "ruiz": dict(
        op="balance",
        **_both(Rule(stat="linf", exponent=0.5, limit=(1e-4, 1e4, 1.0))),
        order="jacobi",
        stop=fixed(20),
        domain="kernel",
        needs=(),
        parameters=("half_steps = 2 iterations",),
    ),
    # Not a row/column iteration: its own op with its own loop, no attributes.
    "gebal": dict(op="similarity_balance", needs=(), parameters=()),
    "geequb": dict(
        op="balance",
        **_both(
            Rule(
                stat="linf",
                round="pow2",
                # LAPACK's bounds for f32, so that the factors are numbers there.
                clamp=(2.0**-126, 2.0**126),
            )
        ),
        order="rows_first",
        stop=fixed(2),
        domain="kernel",
        needs=(),
        parameters=(),
    ),
    "pot": dict(
        op="sinkhorn",
        kind="cost",
        form=Form(start="uniform"),
        **_both(_UNIFORM),
        order="cols_first",
        stop=until(
            what="marginal",
            axis="cols",
            norm="l2",
            tol=1e-9,
            every=20,
            start=2,
            limit=2000,
            relax="none",
        ),
        domain="kernel",
        needs=("epsilon",),
        parameters=("epsilon = reg", "tol = stopThr", "limit = 2 numItermax"),
    ),
    "pot_log": dict(
        op="sinkhorn",
        kind="cost",
        form=Form(),
        **_both(_UNIFORM),
        order="cols_first",
        stop=until(
            what="marginal",
            axis="cols",
            norm="l2",
            tol=1e-9,
            every=20,
            start=2,
            limit=2000,
            relax="none",
        ),
        domain="log",
        needs=("epsilon",),
        parameters=("epsilon = reg", "tol = stopThr", "limit = 2 numItermax"),
    ),
    "pot_stabilized": dict(
        op="sinkhorn",
        kind="cost",
        form=Form(start="uniform"),
        **_both(_UNIFORM),
        order="cols_first",
        stop=until(
            what="marginal",
            axis="cols",
            norm="l2",
            tol=1e-9,
            every=40,
            start=2,
            limit=2000,
            relax="none",
        ),
        domain="absorb",
        needs=("epsilon",),
        parameters=("epsilon = reg", "tol = stopThr", "limit = 2 numItermax"),
    ),
    "pot_unbalanced": dict(
        op="sinkhorn",
        kind="cost",
        form=Form(start="targets"),
        **_both(Rule(target="uniform", reference="product", tau=0.5)),
        order="rows_first",
        stop=until(
            what="relative_change",
            axis="both",
            tol=1e-6,
            every=2,
            start=2,
            limit=2000,
        ),
        domain="kernel",
        needs=("epsilon", "tau"),
        parameters=("epsilon = reg", "tau = reg_m/(reg_m + reg) per axis", "tol"),
    ),
    "ott": dict(
        op="sinkhorn",
        kind="cost",
        form=Form(),
        **_both(_UNIFORM),
        order="cols_first",
        stop=until(
            what="marginal",
            axis="cols",
            norm="l1",
            tol=1e-3,
            every=20,
            start=20,
            limit=4000,
            relax="none",
        ),
        domain="log",
        needs=("epsilon",),
        parameters=("epsilon (OTT's default is 0.05 std C)", "tau", "omega", "tol"),
    ),
    # The first temperature is taken twice: once for the softmin start.
    "geomloss": dict(
        op="sinkhorn",
        kind="cost",
        form=Form(
            start="targets",
            anneal=(1.0, 1.0, 1.0, 0.25, 0.0625, 0.015625, 0.00390625, 0.0025),
            extrapolate=True,
        ),
        **_both(Rule(target="uniform", reference="product", omega=0.5)),
        order="jacobi",
        stop=fixed(18),
        domain="log",
        needs=(),
        parameters=("anneal", "half_steps = 2 (len(anneal) + 1)"),
    ),
}

_RUNNERS: dict[str, Callable] = {"sinkhorn": sinkhorn, "project": project}


def run_preset(
    name: str,
    matrix: ArrayLike,
    *,
    form: dict | None = None,
    stop: dict | None = None,
    rows: dict | None = None,
    cols: dict | None = None,
    **operands: ArrayLike,
) -> SinkhornResult | ProjectResult | IterateResult:
    """Run a preset's record through the generic ops.

    `form`, `stop`, `rows` and `cols` replace fields of the record; the rest goes
    to the op. Not for `gebal`, which is `similarity_balance`.
    """
    spec = PRESET_SPECS[name]
    rules = {
        "rows": replace(spec["rows"], **(rows or {})),
        "cols": replace(spec["cols"], **(cols or {})),
    }
    ends: Stop = replace(spec["stop"], **(stop or {}))
    if spec["op"] == "balance":
        return balance(matrix, **rules, order=spec["order"], stop=ends, **operands)
    enters: Form = replace(spec["form"], **(form or {}))
    return _RUNNERS[spec["op"]](
        matrix,
        kind=spec["kind"],
        form=enters,
        domain=spec["domain"],
        **rules,
        order=spec["order"],
        stop=ends,
        **operands,
    )
