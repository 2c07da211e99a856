"""One product for all parameters that share a table: the M step of small searches."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nlmevae.selection.normal_form import PIVOT, refit
from nlmevae.selection.program import Program, Solution
from nlmevae.selection.solve import TIE, Prepared, TableEngine
from nlmevae.selection.table import SubsetTable, best_support


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStep:
    """Programs with one Gram matrix, one set of charges and one table.

    order (p,): columns of the program as the table has them; scale (p,): of those; units: their unit numbers.
    """

    prepared: Prepared
    table: SubsetTable
    order: np.ndarray
    scale: np.ndarray
    gram: np.ndarray
    units: np.ndarray
    starts: np.ndarray
    unit_cost: float
    rows: dict[int, tuple[np.ndarray, ...]] = field(default_factory=dict)

    @property
    def program(self) -> Program:
        return self.prepared.program

    @classmethod
    def of(cls, prepared: Prepared) -> TableStep | None:
        """None where the program is not one table and nothing else."""
        reduction = prepared.reduction
        plain = len(reduction.blocks) == 1 and not reduction.always.any() and not reduction.aliases
        if not plain or prepared.program.rules.at_most is not None:
            return None
        block = reduction.blocks[0]
        engine = prepared.engine(block)
        if not isinstance(engine, TableEngine):
            return None
        return cls(
            prepared=prepared, table=engine.table, order=block.columns, scale=block.scale, gram=block.gram,
            units=block.units, starts=block.starts, unit_cost=prepared.unit_cost,
        )  # fmt: skip

    def solve(
        self,
        linear: np.ndarray,
        constant: np.ndarray,
        cost_factor: np.ndarray,
        warm: np.ndarray | None,
        multiple: np.ndarray,
    ) -> list[Solution]:
        """linear (m, p), constant (m,), cost_factor (m,), warm (m, n_units) or None: m solutions, their objectives
        times multiple (m,)."""
        table, m = self.table, len(linear)
        scaled = linear[:, self.order] * self.scale
        factor = cost_factor * self.unit_cost
        value = table.cost[:, None] * factor
        value -= table.gains(scaled.T)
        best = value.argmin(axis=0)
        each = np.arange(m)
        low = value[best, each]
        value[best, each] = np.inf
        runner_up = value.min(axis=0) - low if len(value) > 1 else np.full(m, np.inf)
        value[best, each] = low
        solutions = []
        for k in range(m):
            chosen = int(best[k])
            if runner_up[k] <= TIE * factor[k]:
                preferred = None if warm is None else warm[k][self.units]
                chosen = best_support(value[:, k], table.supports, preferred, TIE * factor[k])[0]
            beta, objective = self._fit(chosen, scaled[k], linear[k], float(constant[k]), float(cost_factor[k]))
            objective *= float(multiple[k])
            solutions.append(
                Solution(
                    support=self._row(chosen)[0], beta=beta, objective=objective, bound=objective, certified=True,
                    solver="table", nodes=len(table.cost), seconds=0.0,
                    runner_up=objective + float(runner_up[k] * multiple[k]),
                )
            )  # fmt: skip
        return solutions

    def _fit(
        self, row: int, scaled: np.ndarray, linear: np.ndarray, constant: float, cost_factor: float
    ) -> tuple[np.ndarray, float]:
        """beta (p,) and objective of one support."""
        support, inside, columns, scale, gram = self._row(row)
        beta = np.zeros(len(linear))
        objective = constant + cost_factor * self.unit_cost * float(self.table.cost[row])
        if not len(inside):
            return beta, objective
        own = scaled[inside]
        fit = _cholesky(gram, own)
        if fit is None:
            return refit(self.prepared.program_with(linear, constant, cost_factor=cost_factor), support)
        beta[columns] = fit * scale
        return beta, objective - float(own @ fit)

    def _row(self, row: int) -> tuple[np.ndarray, ...]:
        """Support, columns in the table's order and in the program's, their scale and Gram matrix; few rows are ever
        asked for."""
        known = self.rows.get(row)
        if known is None:
            support = np.zeros(self.program.n_units, dtype=bool)
            support[self.units[self.table.units_of(row)]] = True
            support.flags.writeable = False
            inside = self.table.columns_of(row, self.starts)
            known = support, inside, self.order[inside], self.scale[inside], self.gram[inside[:, None], inside]
            self.rows[row] = known
        return known


def _cholesky(gram: np.ndarray, linear: np.ndarray) -> np.ndarray | None:
    """G^-1 q, or None where G is nearly singular."""
    from scipy.linalg.lapack import dposv

    factor, solution, info = dposv(gram, linear)
    return solution if info == 0 and factor.diagonal().min() ** 2 > PIVOT else None
