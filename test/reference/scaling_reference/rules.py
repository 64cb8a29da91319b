"""Attributes of an iteration, its statistics and its update rule.

Follows docs/semantics.md, sections "Statistics" and "The rule".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Degree of homogeneity of every statistic.
DEGREE: dict[str, int] = {
    "sum": 1,
    "l1": 1,
    "l2": 1,
    "linf": 1,
    "mean_square": 2,
    "std": 1,
    "geomean": 1,
}

GUARDS = ("add_plan", "clamp_plan", "add_kernel")
TARGETS = ("one", "uniform", "slack", "min_stat")


@dataclass(frozen=True)
class Rule:
    """How the factor of one axis is updated."""

    stat: str = "sum"
    guard: tuple[str, float] | None = None
    target: str = "one"
    tau: float = 1.0
    reference: str = "kernel"
    omega: float = 1.0
    exponent: float = 1.0
    limit: tuple[float, ...] | None = None
    step: tuple[float, float] | None = None
    clamp: tuple[float, float] | None = None
    round: str | None = None

    def __post_init__(self) -> None:
        if self.stat not in DEGREE:
            raise ValueError(f"unknown statistic {self.stat!r}")
        if self.target not in TARGETS:
            raise ValueError(f"unknown target {self.target!r}")
        if self.reference not in ("kernel", "product"):
            raise ValueError(f"unknown reference {self.reference!r}")
        if self.round not in (None, "pow2"):
            raise ValueError(f"unknown rounding {self.round!r}")
        if self.limit is not None and len(self.limit) not in (2, 3):
            raise ValueError("limit is [lo, hi] or [lo, hi, below]")
        if self.guard is not None and self.guard[0] not in GUARDS:
            raise ValueError(f"unknown guard {self.guard[0]!r}")
        if self.guard is not None and self.guard[0] == "add_kernel":
            if not self.is_plain:
                raise ValueError(
                    "add_kernel needs exponent 1, degree 1, no limit and no rounding"
                )

    @property
    def degree(self) -> int:
        return DEGREE[self.stat]

    @property
    def is_plain(self) -> bool:
        """Whether the proposal needs the kernel statistic only (h1 = t/s)."""
        return (
            self.exponent == 1
            and self.degree == 1
            and self.limit is None
            and self.round is None
        )

    @property
    def keeps_unsupported(self) -> bool:
        """Whether a row without support keeps its factor."""
        return self.guard is None and self.limit is None


@dataclass(frozen=True)
class Stop:
    """When an iteration stops; all counts are half-steps.

    mode `fixed` uses half_steps and measure (with axis and norm),
    mode `until` uses what, axis, norm, tol, every, start, limit, relax, depth,
    mode `best` uses what, limit, patience, last.
    """

    mode: str = "fixed"
    half_steps: int = 0
    measure: str = "none"
    what: str = "marginal"
    axis: str = "both"
    norm: str = "l1"
    tol: float = 0.0
    every: int = 2
    start: int = 2
    limit: int = 0
    patience: str | None = None
    last: bool = True
    relax: str | None = None
    depth: int = 5

    def __post_init__(self) -> None:
        whats = {
            "fixed": ("marginal",),
            "until": ("marginal", "change", "ratio", "relative_change"),
            "best": ("imbalance", "imbalance_sum"),
        }
        if self.mode not in whats:
            raise ValueError(f"unknown stop mode {self.mode!r}")
        if self.what not in whats[self.mode]:
            raise ValueError(f"{self.mode} cannot judge {self.what!r}")
        if self.axis not in ("rows", "cols", "both"):
            raise ValueError(f"unknown axis {self.axis!r}")
        if self.norm not in ("l1", "l2", "linf", "mean"):
            raise ValueError(f"unknown norm {self.norm!r}")
        if self.measure not in ("none", "last"):
            raise ValueError(f"unknown measure {self.measure!r}")
        if self.patience not in (None, "first"):
            raise ValueError(f"unknown patience {self.patience!r}")
        if self.relax not in (None, "none", "auto", "anderson"):
            raise ValueError(f"unknown relax {self.relax!r}")
        if self.relax and (self.mode != "until" or self.what != "marginal"):
            raise ValueError("relax goes with until and marginal")
        if self.every < 1:
            raise ValueError("every must be positive")
        if self.mode == "best" and self.limit % 2:
            raise ValueError("best counts pairs: limit must be even")


def fixed(half_steps: int, **options: object) -> Stop:
    """`fixed N`."""
    return Stop(mode="fixed", half_steps=half_steps, **options)  # type: ignore


def until(**options: object) -> Stop:
    """`until ...`."""
    return Stop(mode="until", **options)  # type: ignore


def best(**options: object) -> Stop:
    """`best ...`."""
    return Stop(mode="best", **options)  # type: ignore


def logsumexp(x: Array) -> Array:
    """log sum_j exp x_ij over the last axis, -inf for rows without entries."""
    if x.shape[-1] == 0:
        return np.full(x.shape[:-1], -np.inf)
    top = np.max(x, axis=-1)
    shift = np.where(top == -np.inf, 0.0, top)
    return np.log(np.sum(np.exp(x - shift[..., None]), axis=-1)) + shift


def statistic(name: str, y: Array) -> Array:
    """The statistic of every row of y, whose columns are the unmasked entries."""
    count = y.shape[1]
    if name == "sum":
        return np.sum(y, axis=1)
    if name == "l1":
        return np.sum(np.abs(y), axis=1)
    if name == "l2":
        return np.sqrt(np.sum(y * y, axis=1))
    if name == "linf":
        return np.max(np.abs(y), axis=1, initial=0.0)
    if name == "mean_square":
        return np.sum(y * y, axis=1) / count if count else np.zeros(len(y))
    if name == "std":
        return np.std(y, axis=1, ddof=1) if count >= 2 else np.zeros(len(y))
    nonzero = y != 0
    found = np.sum(nonzero, axis=1)
    logs = np.log(np.abs(np.where(nonzero, y, 1.0)))
    mean = np.sum(logs, axis=1) / np.maximum(found, 1)
    return np.where(found > 0, np.exp(mean), 0.0)


def pow2_trunc(x: Array) -> Array:
    """2^trunc(log2 x), from the binary exponent and therefore exact.

    A floating-point log2 would round values just below a power of two up to it.
    """
    mantissa, exponent = np.frexp(x)
    floor = exponent - 1
    trunc = np.where((x < 1) & (mantissa != 0.5), floor + 1, floor)
    usable = np.isfinite(x) & (x > 0)
    return np.where(usable, np.ldexp(1.0, np.where(usable, trunc, 0)), x)


def clip_statistic(sigma: Array, limit: tuple[float, ...] | None) -> Array:
    """Step 2 of the rule: sigma < lo becomes below (lo), sigma > hi becomes hi."""
    if limit is None:
        return sigma
    low, high = limit[0], limit[1]
    below = limit[2] if len(limit) == 3 else low
    return np.where(sigma < low, below, np.where(sigma > high, high, sigma))


def update_kernel(s: Array, h: Array, t: Array, rule: Rule) -> Array:
    """New factors in the kernel domain; zero-weight entries are the caller's."""
    sigma = h**rule.degree * s
    seen = clip_statistic(sigma, rule.limit)
    if rule.round == "pow2":
        seen = pow2_trunc(seen)
    if rule.guard is None:
        new = t / s if rule.is_plain else h * (t / seen) ** rule.exponent
    elif rule.guard[0] == "add_plan":
        new = h * (t / (seen + rule.guard[1])) ** rule.exponent
    elif rule.guard[0] == "clamp_plan":
        new = h * (t / np.maximum(seen, rule.guard[1])) ** rule.exponent
    else:
        new = t / (s + rule.guard[1])
    if rule.step is not None:
        new = h * np.clip(new / h, *rule.step)
    if rule.tau != 1:
        reference = t if rule.reference == "product" else 1.0
        new = new**rule.tau * reference ** (1 - rule.tau)
    if rule.omega != 1:
        new = h ** (1 - rule.omega) * new**rule.omega
    if rule.clamp is not None:
        new = np.clip(new, *rule.clamp)
    if rule.keeps_unsupported:
        new = np.where((s == 0) & (t > 0), h, new)
    return new


def update_log(s: Array, h: Array, t: Array, rule: Rule) -> Array:
    """The same on logarithms: s = log-sum-exp, h = log factor, t stays linear."""
    log_t = np.log(t)
    sigma = h + s
    seen = sigma
    if rule.limit is not None:
        seen = clip_statistic(sigma, tuple(np.log(np.asarray(rule.limit))))
    if rule.round == "pow2":
        seen = np.log(pow2_trunc(np.exp(seen)))
    if rule.guard is None:
        new = log_t - s if rule.is_plain else h + rule.exponent * (log_t - seen)
    elif rule.guard[0] == "add_plan":
        guarded = np.logaddexp(seen, np.log(rule.guard[1]))
        new = h + rule.exponent * (log_t - guarded)
    elif rule.guard[0] == "clamp_plan":
        guarded = np.maximum(seen, np.log(rule.guard[1]))
        new = h + rule.exponent * (log_t - guarded)
    else:
        new = log_t - np.logaddexp(s, np.log(rule.guard[1]))
    if rule.step is not None:
        new = h + np.clip(new - h, *np.log(np.asarray(rule.step)))
    if rule.tau != 1:
        reference = log_t if rule.reference == "product" else 0.0
        new = rule.tau * new + (1 - rule.tau) * reference
    if rule.omega != 1:
        new = (1 - rule.omega) * h + rule.omega * new
    if rule.clamp is not None:
        new = np.clip(new, *np.log(np.asarray(rule.clamp)))
    if rule.keeps_unsupported:
        new = np.where((s == -np.inf) & (t > 0), h, new)
    return new
