"""What the exact engines are asked and what they answer, for one block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nlmevae.selection.program import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One right-hand side for a block: minimise b'Gb - 2 linear'b + cost_factor sum_u cost_u z_u.

    linear (p,) of the scaled columns; warm (n,) bool or None; state (n,) of 1 in, 0 out, -1 free, or None;
    tolerance, tie: largest proven gap and smallest difference, absolute.
    """

    linear: np.ndarray
    cost_factor: float
    warm: np.ndarray | None
    state: np.ndarray | None
    tolerance: float
    tie: float
    budget: Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """value = cost - fit of the support; bound below the optimum; runner_up: value of the next support, NaN if it is
    not known."""

    support: np.ndarray
    value: float
    bound: float
    nodes: int
    runner_up: float


class Engine(Protocol):
    """A way to minimise one block."""

    name: str

    def minimise(self, request: Request) -> Answer | None:
        """None: no support obeys the rules and the state."""
