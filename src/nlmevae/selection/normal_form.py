"""A program in units in which one effect costs one and every column has length one.

    beta_j = b_j scale_j,   objective = unit_cost (||c - R b||^2 + sum_u cost_u z_u) + offset

R is a pivoted Cholesky factor of the correlation-like Gram matrix, `rank` rows. The part of the objective that no
column can change is in `offset`, so a solver's tolerances act on what is left to decide. Columns that can never be
used are left out: those of banned units, empty ones, and those that depend on earlier columns of their own unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpstrf

from nlmevae.errors import SettingsError
from nlmevae.selection.program import Program

#: A column whose squared residual on the others is below this share of its length counts as dependent on them.
PIVOT = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalForm:
    """factor R (rank, n) of n usable columns; target c (rank,); cost (n_units,) in unit costs; columns: number of
    each usable column in the program; units: for each unit of the program the positions of its usable columns."""

    factor: np.ndarray
    target: np.ndarray
    cost: np.ndarray
    columns: np.ndarray
    units: tuple[tuple[int, ...], ...]
    scale: np.ndarray
    unit_cost: float
    offset: float

    @property
    def gram(self) -> np.ndarray:
        return self.factor.T @ self.factor

    @property
    def linear(self) -> np.ndarray:
        return self.factor.T @ self.target

    @property
    def nonsingular(self) -> bool:
        return self.factor.shape[0] == self.factor.shape[1]

    def objective(self, value: float) -> float:
        """Value in unit costs -> objective of the program."""
        return self.unit_cost * value + self.offset

    def value(self, objective: float) -> float:
        """Objective of the program -> value in unit costs."""
        return (objective - self.offset) / self.unit_cost


def normalise(program: Program) -> NormalForm:
    """Raises SettingsError where the program has no minimum: a linear term outside the range of the Gram matrix."""
    unit_cost = effect_cost(program)
    columns, units = _usable_columns(program)
    diagonal = np.diag(program.gram)[columns]
    scale = np.sqrt(unit_cost / diagonal)
    gram = program.gram[np.ix_(columns, columns)] / np.sqrt(np.outer(diagonal, diagonal))
    linear = program.linear[columns] * scale / unit_cost
    factor, target = _factor(gram, linear)
    if np.max(np.abs(factor.T @ target - linear), initial=0.0) > 1e-4 * max(1.0, np.max(np.abs(linear), initial=0.0)):
        raise SettingsError(
            "The selection step has no minimum: its linear term lies outside the range of its Gram matrix.",
            hint="build both from the same design columns",
        )
    return NormalForm(
        factor=factor,
        target=target,
        cost=np.asarray(program.cost, dtype=float) / unit_cost,
        columns=columns,
        units=units,
        scale=scale,
        unit_cost=unit_cost,
        offset=float(program.constant - unit_cost * target @ target),
    )


def effect_cost(program: Program) -> float:
    """What one effect costs, the scale of every tolerance: the median of the costs above zero, 1 if there is none."""
    positive = sorted(cost for cost in np.asarray(program.cost, dtype=float).tolist() if cost > 0)
    middle = len(positive) // 2
    return 0.5 * (positive[middle] + positive[-middle - 1]) if positive else 1.0


def refit(program: Program, support: np.ndarray) -> tuple[np.ndarray, float]:
    """Least squares on a support: beta (p,), exact zeros outside it, and the program's objective there.

    Columns that depend on earlier ones (PIVOT) keep a coefficient of zero.
    """
    beta = np.zeros(program.n_columns)
    spent = program.constant + float(np.asarray(program.cost)[support].sum())
    columns = np.array([j for u in np.flatnonzero(support) for j in program.units[u]], dtype=int)
    columns = columns[np.diag(program.gram)[columns] > 0]
    if not len(columns):
        return beta, spent
    length = np.sqrt(np.diag(program.gram)[columns])
    kept, upper = _pivoted(program.gram[np.ix_(columns, columns)] / np.outer(length, length))
    along = solve_triangular(upper, program.linear[columns[kept]] / length[kept], trans="T")
    beta[columns[kept]] = solve_triangular(upper, along) / length[kept]
    return beta, spent - float(along @ along)


def _usable_columns(program: Program) -> tuple[np.ndarray, tuple[tuple[int, ...], ...]]:
    columns: list[int] = []
    units = []
    for u, unit in enumerate(program.units):
        own = np.array([j for j in unit if program.gram[j, j] > 0], dtype=int)
        if u in program.rules.banned or not len(own):
            units.append(())
            continue
        length = np.sqrt(np.diag(program.gram)[own])
        kept, _ = _pivoted(program.gram[np.ix_(own, own)] / np.outer(length, length))
        units.append(tuple(range(len(columns), len(columns) + len(kept))))
        columns += [int(j) for j in own[np.sort(kept)]]
    return np.array(columns, dtype=int), tuple(units)


def _factor(gram: np.ndarray, linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R (rank, n) with R'R = gram and c (rank,) with R'c = linear on the pivot columns."""
    if not len(gram):
        return np.zeros((0, 0)), np.zeros(0)
    kept, upper = _pivoted(gram)
    target = solve_triangular(upper, linear[kept], trans="T")
    factor = solve_triangular(upper, gram[kept], trans="T")
    factor[:, kept] = upper
    return factor, target


def _pivoted(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pivot columns (rank,) of a positive semidefinite matrix of unit diagonal, and their upper Cholesky factor."""
    upper, pivots, rank, _ = dpstrf(gram, tol=PIVOT)
    return pivots[:rank] - 1, np.triu(upper)[:rank, :rank]
