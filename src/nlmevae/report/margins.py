"""Margins of the decisions of a covariate selection."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nlmevae.report.plots.panel import empty, grid
from nlmevae.report.selection_path import bar_colour
from nlmevae.report.style import EXCLUDED, NEAR, QUIET, SELECTED, in_house_style, shorten
from nlmevae.results.selection_result import EffectResult, SelectionResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: More are not readable on one page; those with the smallest margins are shown.
LARGEST = 40
BORDERLINE = 2.0


@in_house_style
def margins_figure(result: SelectionResult) -> Figure:
    """A bar for each decision with a known margin: selected effects first, smallest margin first among each."""
    known = sorted((e for e in result.effects if not math.isnan(e.margin)), key=lambda e: e.margin)[:LARGEST]
    shown = sorted(known, key=lambda e: (not e.selected, e.margin))
    figure, (axes,) = grid(1, columns=1, height=1.1 + 0.2 * max(len(shown), 2))
    if not shown:
        empty(axes, "no margin was computed")
        return figure
    _bars(axes, shown)
    axes.axvline(BORDERLINE, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_xlabel("margin, in units of the criterion")
    _legend(axes, shown)
    return figure


def _bars(axes: Axes, shown: list[EffectResult]) -> None:
    for row, effect in enumerate(shown):
        axes.barh(row, effect.margin, height=0.66, color=bar_colour(effect))
    axes.set_yticks(range(len(shown)), [shorten(e.name, 28) for e in shown], fontsize=7.5)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0.0, max(2.6, 1.05 * max(e.margin for e in shown)))
    axes.tick_params(axis="y", length=0)


def _legend(axes: Axes, shown: list[EffectResult]) -> None:
    from matplotlib.patches import Patch

    used = {bar_colour(e) for e in shown}
    texts = ((SELECTED, "selected"), (NEAR, "not selected, but borderline"), (EXCLUDED, "not selected"))
    handles = [Patch(color=colour, label=text) for colour, text in texts if colour in used]
    axes.figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
