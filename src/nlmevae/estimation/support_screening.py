"""What adding or exchanging effects would change at fixed Omega: a quadratic form and its Schur complements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

DEPENDENT = 1e-9  # share of a column's information left by the others below which it is one of them
RIDGE = 1e-11
ENOUGH = 8  # exchanges considered for each unit that leaves


@dataclass(frozen=True, slots=True, kw_only=True)
class Quadratic:
    """beta'G beta - 2 q'beta + constant: gram (C, C), linear (C,)."""

    gram: np.ndarray
    linear: np.ndarray
    constant: float

    def minimum(self, columns: np.ndarray) -> float:
        """On the columns (C,) bool of a support."""
        _, along = self._factor(np.flatnonzero(columns))
        return self.constant - float(along @ along)

    def gains(self, columns: np.ndarray, units: tuple[tuple[int, ...], ...]) -> np.ndarray:
        """(n_units,) decrease when a unit joins `columns` (C,) bool; 0 for those already there."""
        used = np.flatnonzero(columns)
        factor, along = self._factor(used)
        known = solve_triangular(factor, self.gram[used], lower=True, check_finite=False)
        score = self.linear - along @ known
        diagonal = np.diag(self.gram)
        left = diagonal - (known**2).sum(axis=0)
        usable = (left > DEPENDENT * diagonal) & ~columns
        single = np.divide(score**2, left, out=np.zeros_like(score), where=usable)
        gains = np.zeros(len(units))
        for u, unit in enumerate(units):
            if len(unit) == 1:
                gains[u] = single[unit[0]]
            elif len(unit) > 1 and not columns[unit[0]]:
                own = list(unit)
                block = self.gram[np.ix_(own, own)] - known[:, own].T @ known[:, own]
                gains[u] = _explained(block, score[own], diagonal[own])
        return gains

    def exchanges(
        self, columns: np.ndarray, units: tuple[tuple[int, ...], ...], cost: np.ndarray, support: np.ndarray
    ) -> list[tuple[float, int, int]]:
        """(change of value plus cost, unit out, unit in) of all exchanges, best first."""
        here = self.minimum(columns)
        found = []
        for out in np.flatnonzero(support):
            without = columns.copy()
            without[list(units[out])] = False
            change = self.minimum(without) - here - cost[out] + cost - self.gains(without, units)
            change[support] = np.inf
            best = [u for u in np.argsort(change)[:ENOUGH] if np.isfinite(change[u])]
            found += [(float(change[u]), int(out), int(u)) for u in best]
        return sorted(found)

    def _factor(self, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower Cholesky factor L of the columns' Gram matrix and L^-1 linear."""
        gram = self.gram[np.ix_(used, used)]
        diagonal = np.diag(gram)
        factor = np.linalg.cholesky(gram + np.diag(RIDGE * diagonal + np.where(diagonal > 0, 0.0, 1.0)))
        return factor, solve_triangular(factor, self.linear[used], lower=True, check_finite=False)


def _explained(block: np.ndarray, score: np.ndarray, diagonal: np.ndarray) -> float:
    """score' block^-1 score, without directions that the support already spans."""
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    values, vectors = np.linalg.eigh(block * np.outer(scale, scale))
    along = vectors.T @ (scale * score)
    usable = values > DEPENDENT
    return float((along[usable] ** 2 / values[usable]).sum())
