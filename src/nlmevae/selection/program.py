"""The mixed-integer quadratic program of one selection step, and its answer.

    minimise  b'Gb - 2 q'b + s + sum_u cost_u z_u        over b (p,) and z (n_units,) in {0, 1}
    b_j != 0 only if the unit j belongs to is in (z_u = 1)

A unit is what enters or leaves as a whole: one column, or all indicator columns of a categorical covariate.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What supports are allowed, on unit numbers.

    forced: always in (their cost still counts). banned: never in. exclusive: at most one unit of each tuple
    (forms of one relation, forbidden pairs). requires: (a, b): a only together with b. at_most: largest number
    of units, None for no limit.
    """

    forced: tuple[int, ...] = ()
    banned: tuple[int, ...] = ()
    exclusive: tuple[tuple[int, ...], ...] = ()
    requires: tuple[tuple[int, int], ...] = ()
    at_most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """gram (p, p) symmetric positive semidefinite; linear (p,); constant; units: the columns of each unit, a
    partition of range(p); cost (n_units,) >= 0."""

    gram: np.ndarray
    linear: np.ndarray
    units: tuple[tuple[int, ...], ...]
    cost: np.ndarray
    constant: float = 0.0
    rules: Rules = field(default_factory=Rules)

    @property
    def n_columns(self) -> int:
        return len(self.linear)

    @property
    def n_units(self) -> int:
        return len(self.units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Where a search stops and reports its gap."""

    nodes: int = 200_000
    seconds: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """The incumbent with its certificate.

    support (n_units,) bool; beta (p,) least squares on the support, exact zeros elsewhere; objective
    recomputed from beta; bound: proven lower bound of the optimum; certified: objective - bound is within the
    tolerance; runner_up: objective of the best other support, NaN where the engine does not know it.
    """

    support: np.ndarray
    beta: np.ndarray
    objective: float
    bound: float
    certified: bool
    solver: str
    nodes: int
    seconds: float
    runner_up: float = float("nan")

    @property
    def gap(self) -> float:
        return max(self.objective - self.bound, 0.0)
