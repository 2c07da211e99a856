"""The smallest programs, which need no preparation: least squares on every allowed support, all of them at once.

M steps, resamples and profiles of a search with a handful of candidates bring a new Gram matrix every time; then the
reduction to blocks and their tables take ten times as long as this. What could need care is left to them: columns that
are empty or nearly depend on each other, and effects that cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from nlmevae.selection.incumbent import is_allowed
from nlmevae.selection.normal_form import effect_cost
from nlmevae.selection.program import Program, Rules
from nlmevae.selection.table import best_support

MOST_UNITS, MOST_COLUMNS = 7, 16
#: Columns depend on each other, for this module, where a squared residual is below this share of the squared length.
INDEPENDENT = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Enumerated:
    """support (n_units,), beta (p,), objective, that of the best other support, and how many supports there are."""

    support: np.ndarray
    beta: np.ndarray
    objective: float
    runner_up: float
    n_supports: int


def enumerated(program: Program, warm: np.ndarray | None, *, tie: float) -> Enumerated | None:
    """The optimum among all supports, ties as in `best_support` within `tie` effect costs; None: not such a program."""
    diagonal, cost = np.diag(program.gram), np.asarray(program.cost, dtype=float)
    if not 0 < program.n_units <= MOST_UNITS or program.n_columns > MOST_COLUMNS:
        return None
    if diagonal.min() <= 0.0 or cost.min() <= 0.0:
        return None
    supports, inside = _allowed(program.rules, program.units)
    if not len(supports):
        return None
    length = np.sqrt(diagonal)
    correlation = program.gram / length / length[:, None]
    both = inside[:, :, None] & inside[:, None, :]
    try:
        factor = np.linalg.cholesky(np.where(both, correlation, np.eye(len(length))))
    except np.linalg.LinAlgError:
        return None
    if np.diagonal(factor, axis1=1, axis2=2).min() ** 2 < INDEPENDENT:
        return None
    linear = np.where(inside, program.linear / length, 0.0)
    along = np.linalg.solve(factor, linear[..., None])[..., 0]
    value = supports @ cost - (along * along).sum(axis=1)
    best, runner_up = best_support(value, supports, warm, tie * effect_cost(program))
    return Enumerated(
        support=supports[best].copy(),
        beta=np.linalg.solve(factor[best].T, along[best]) / length,
        objective=float(program.constant + value[best]),
        runner_up=float(program.constant + runner_up),
        n_supports=len(supports),
    )


@lru_cache(maxsize=64)
def _allowed(rules: Rules, units: tuple[tuple[int, ...], ...]) -> tuple[np.ndarray, np.ndarray]:
    """Supports (n, n_units) that the rules allow, and their columns (n, p)."""
    everything = np.array(list(product((False, True), repeat=len(units))))
    rules_only = Program(gram=np.zeros((0, 0)), linear=np.zeros(0), units=units, cost=np.zeros(len(units)), rules=rules)
    supports = everything[[is_allowed(rules_only, support) for support in everything]]
    inside = np.zeros((len(supports), sum(map(len, units))), dtype=bool)
    for u, columns in enumerate(units):
        inside[:, list(columns)] = supports[:, u, None]
    return supports, inside
