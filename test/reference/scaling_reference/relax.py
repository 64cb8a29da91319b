"""Automatic over-relaxation of docs/semantics.md, section "Over-relaxation"."""

from __future__ import annotations

import math

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
