"""Sections "Over-relaxation" and "Anderson's steps" of docs/semantics.md."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from .rules import Array

SWEEPS = 10
LARGEST = 1.985


class Relaxation:
    """The omega of one problem, from the residuals of its sweeps."""

    def __init__(self, tol: float, limit: int, judges_both: bool) -> None:
        self.limit = limit
        self.judges_both = judges_both
        self.bound = tol
        self.best = math.inf
        self.next_omega = 1.0
        #: The omega of the half-steps that follow.
        self.omega = 1.0
        self.holds = False
        self.forget()

    def forget(self) -> None:
        self.sample = math.nan
        self.rate = math.nan

    def judged(self, residual: float) -> float:
        """The residual a check compares with the tolerance."""
        if self.judges_both or self.omega == 1 or math.isnan(residual):
            return residual
        return math.inf

    def observe(self, done: int, due: bool, residual: float, across: float) -> None:
        """At a half-step of the watched axis; `done` half-steps are done.

        The residuals are the watched axis' and the other one's.
        """
        if due:
            if self.holds:
                self.holds = False
                self.bound /= 2
                self.forget()
            elif self.omega != 1 and not self.judges_both:
                self.holds = residual <= self.bound and across <= self.bound
        self.best = min(self.best, residual)
        if residual > 100 * self.best:
            self.next_omega, self.best = (1 + self.next_omega) / 2, residual
            self.holds = False
            self.forget()
        elif done // 2 % SWEEPS == 0 and not self.holds:
            self.learn(residual)
        plain = self.holds or done >= self.limit - 3
        self.omega = 1.0 if plain else self.next_omega

    def learn(self, residual: float) -> None:
        rate = math.nan
        if self.sample > 0 and residual >= 0:
            rate = (residual / self.sample) ** (1 / SWEEPS)
        omega = self.next_omega
        steady = abs(rate - self.rate) < 0.3 * (1 - rate)
        if steady and rate > omega - 1:
            theta = (rate + omega - 1) ** 2 / (rate * omega**2)
            better = 2 / (1 + math.sqrt(max(1 - theta, 0)))
            self.next_omega = max(omega, min(better, LARGEST))
        self.rate, self.sample = rate, residual


class Acceleration:
    """Anderson's steps of one problem along one axis, on logarithms."""

    def __init__(self, depth: int, limit: int) -> None:
        self.limit = limit
        self.best = math.inf
        #: The latest residual and what was made with it, if any.
        self.latest: tuple[Array, Array] | None = None
        #: Differences of successive residuals, and of what was made.
        self.turns: deque[Array] = deque(maxlen=depth)
        self.moves: deque[Array] = deque(maxlen=depth)

    def step(self, done: int, own: Array, made: Array) -> Array:
        """What follows `own`, of which a plain half-step makes `made`."""
        residual = _finite(made - own)
        square = float(residual @ residual)
        worse = square > 4 * self.best
        if worse:
            self.turns.clear()
            self.moves.clear()
        elif self.latest is not None:
            self.turns.append(residual - self.latest[0])
            self.moves.append(_finite(made - self.latest[1]))
        if done >= 2:
            self.best = square if worse else min(self.best, square)
            self.latest = residual, made
        if not self.turns or done >= self.limit - 3:
            return made
        turns, moves = np.array(self.turns), np.array(self.moves)
        system = turns @ turns.T
        ridge = 1e-10 * np.trace(system) + 1e-300
        system += ridge * np.eye(len(turns))
        weights = np.linalg.solve(system, turns @ residual)
        if not np.isfinite(np.sum(np.abs(weights))):
            return made
        return made - np.clip(weights @ moves, -16, 16)


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, 0.0)
