"""Candidate effects arranged as parameters by covariates, as the paper's figures 2, 4 and 5 show them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nlmevae.results.selection_result import EffectResult, SelectionResult


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectGrid:
    """`cells`: (parameter, column) -> candidates of that pair (several where forms compete). A column is a
    covariate, or one category of it (``RACE=2``) where categories are chosen one by one."""

    parameters: tuple[str, ...]
    columns: tuple[str, ...]
    cells: dict[tuple[str, str], tuple[EffectResult, ...]]


def effect_grid(result: SelectionResult) -> EffectGrid:
    """All candidates; parameters in the model's order, columns in the search space's."""
    cells: dict[tuple[str, str], list[EffectResult]] = {}
    for effect in result.effects:
        cells.setdefault((effect.parameter, column_of(effect)), []).append(effect)
    present = {parameter for parameter, _ in cells}
    known = [p for p in result.parameters if p in present]
    return EffectGrid(
        parameters=tuple(dict.fromkeys([*known, *(p for p, _ in cells)])),
        columns=tuple(dict.fromkeys(column for _, column in cells)),
        cells={pair: tuple(effects) for pair, effects in cells.items()},
    )


def column_of(effect: EffectResult) -> str:
    """``WT`` of ``CL~WT:power``, ``RACE=2`` of ``CL~RACE=2``."""
    return effect.name.rpartition("~")[2].partition(":")[0] or effect.covariate


def decisive(effects: Sequence[EffectResult]) -> EffectResult:
    """Of the candidates of one pair the selected one, else the one that came nearest."""
    return min(effects, key=lambda e: (not e.selected, math.inf if math.isnan(e.margin) else e.margin))


def most_telling_columns(grid: EffectGrid, largest: int) -> tuple[str, ...]:
    """At most `largest` columns: those with selected effects first, then those with the nearest excluded ones; in
    the grid's order."""

    def rank(column: str) -> tuple[bool, float]:
        effects = [decisive(c) for (_, name), c in grid.cells.items() if name == column]
        margins = [e.margin for e in effects if not e.selected and not math.isnan(e.margin)]
        return not any(e.selected for e in effects), min(margins, default=math.inf)

    chosen = set(sorted(grid.columns, key=rank)[:largest])
    return tuple(column for column in grid.columns if column in chosen)
