"""All subsets of a block, tabulated once; then every right-hand side costs one product.

The fit of a support S is a sum of squares of Gram-Schmidt directions: adding columns c to S adds (v . q)^2 with
v = (e_c - G_SS^-1 G_Sc) / norm for each. The table holds those directions for every support that the rules allow:
first the supports without unit 1, then those with it; each of them without unit 2, with it; and so on. Proven by
completeness, and it knows the runner-up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nlmevae.selection.components import Block
from nlmevae.selection.normal_form import PIVOT

#: Largest number of supports that are tabulated.
LARGEST = 2**15


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """Supports [start, stop) are supports [0, stop - start) with one unit added: its directions are these rows."""

    start: int
    stop: int
    n_columns: int
    rows: slice


@dataclass(frozen=True, kw_only=True)
class SubsetTable:
    """directions (n_rows, p); supports (n, n_units) bool; cost (n,), infinite where a rule is broken."""

    directions: np.ndarray
    steps: tuple[_Step, ...]
    supports: np.ndarray
    cost: np.ndarray

    @classmethod
    def of(cls, block: Block) -> SubsetTable:
        """Tabulate a block of at most LARGEST supports."""
        p = len(block.gram)
        residuals = np.eye(p)[None]  # (supports so far, columns not yet seen, p)
        supports = np.zeros((1, block.n_units), dtype=bool)
        rows: list[np.ndarray] = []
        steps: list[_Step] = []
        for first, last in zip(block.atom_starts[:-1], block.atom_starts[1:], strict=True):
            done, own, n_rows = residuals, supports, len(supports)
            n_seen = block.starts[first]
            later = slice(block.starts[last] - n_seen, None)
            grown, grown_supports = [done[:, later]], [own]
            for u in range(first, last):
                columns = slice(block.starts[u] - n_seen, block.starts[u + 1] - n_seen)
                added, rest = _add(block.gram, done, columns, later)
                begin = sum(len(r) for r in rows)
                rows.append(added)
                start = n_rows * (1 + u - first)
                steps.append(_Step(start=start, stop=start + n_rows, n_columns=columns.stop - columns.start,
                                   rows=slice(begin, begin + len(added))))  # fmt: skip
                grown.append(rest)
                grown_supports.append(own | (np.arange(block.n_units) == u))
            residuals, supports = np.concatenate(grown), np.concatenate(grown_supports)
        return cls(
            directions=np.concatenate(rows), steps=tuple(steps), supports=supports, cost=_costs(block, supports)
        )  # fmt: skip

    @cached_property
    def sizes(self) -> np.ndarray:
        """(n,) units in each support."""
        return self.supports.sum(axis=1)

    def units_of(self, row: int) -> np.ndarray:
        """Units of one support."""
        return np.flatnonzero(self.supports[row])

    def columns_of(self, row: int, starts: np.ndarray) -> np.ndarray:
        """Columns of one support."""
        if starts[-1] == len(starts) - 1:
            return self.units_of(row)
        return np.flatnonzero(np.repeat(self.supports[row], np.diff(starts)))

    def gains(self, linear: np.ndarray) -> np.ndarray:
        """What each support takes off the constant: (n,) for linear (p,), or (n, m) for (p, m)."""
        along = self.directions @ linear
        np.multiply(along, along, out=along)
        gain = np.zeros((len(self.supports), *along.shape[1:]))
        for step in self.steps:
            n = step.stop - step.start
            new = along[step.rows]
            if step.n_columns == 1:
                np.add(gain[:n], new, out=gain[step.start : step.stop])
            else:
                np.add(gain[:n], new.reshape(n, step.n_columns, *new.shape[1:]).sum(axis=1),
                       out=gain[step.start : step.stop])  # fmt: skip
        return gain

    def allowed(self, state: np.ndarray) -> np.ndarray:
        """(n,) bool: supports with the units of state 1 and without those of state 0."""
        return ~((self.supports & (state == 0)).any(axis=1) | (~self.supports & (state == 1)).any(axis=1))


def best_support(
    value: np.ndarray, supports: np.ndarray, warm: np.ndarray | None, tolerance: float
) -> tuple[int, float]:
    """Which of the supports (n, n_units) has the smallest value (n,), and the value of the next. Among those within
    `tolerance`: fewer units, then `warm`, then the units that come first."""
    if len(value) == 1:
        return 0, np.inf
    first = int(value.argmin())
    low = value[first]
    runner_up = min(value[:first].min(initial=np.inf), value[first + 1 :].min(initial=np.inf))
    if runner_up > low + tolerance or not np.isfinite(runner_up):
        return first, float(runner_up)
    tied = np.flatnonzero(value <= low + tolerance)
    sizes = supports[tied].sum(axis=1)
    tied = tied[sizes == sizes.min()]
    if warm is not None:
        same = tied[(supports[tied] == warm).all(axis=1)]
        tied = same if len(same) else tied
    order = np.lexsort(tuple(~supports[tied][:, ::-1].T))
    best = int(tied[order[0]])
    return best, float(runner_up if best == first else low)


def _add(gram: np.ndarray, residuals: np.ndarray, columns: slice, later: slice) -> tuple[np.ndarray, np.ndarray]:
    """Directions of the columns of one unit added to every support, support by support (n * m, p), and the residuals
    of the later columns after it."""
    n, _, p = residuals.shape
    added = []
    work = residuals
    for c in range(columns.start, columns.stop):
        direction = work[:, c]
        along = direction @ gram
        square = np.einsum("ij,ij->i", direction, along)
        norm = np.divide(1.0, np.sqrt(np.maximum(square, PIVOT)), out=np.zeros(n), where=square > PIVOT)
        unit = direction * norm[:, None]
        added.append(unit)
        overlap = np.einsum("ij,ikj->ik", along * norm[:, None], work)
        work = work - overlap[:, :, None] * unit[:, None]
    return np.stack(added, axis=1).reshape(n * len(added), p), work[:, later]


def _costs(block: Block, supports: np.ndarray) -> np.ndarray:
    cost = supports @ block.cost
    broken = np.zeros(len(cost), dtype=bool)
    for a, b in block.conflicts:
        broken |= supports[:, a] & supports[:, b]
    for a, b in block.requires:
        broken |= supports[:, a] & ~supports[:, b]
    if block.at_most is not None:
        broken |= supports.sum(axis=1) > block.at_most
    cost[broken] = np.inf
    return cost
