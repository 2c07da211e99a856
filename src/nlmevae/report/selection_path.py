"""The selection path: which effects are in the model as all penalties grow in proportion."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from nlmevae.report.inches import below, beside, figure_title, panels, widest
from nlmevae.report.style import EXCLUDED, FORCED, INK, NEAR, QUIET, SELECTED, bare, in_house_style, shorten
from nlmevae.results.selection_result import EffectResult, PathStep, SelectionResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: More effects are not readable on one page; those that stay longest are shown.
LARGEST = 40
LONGEST_NAME = 28

#: Inches: the title and the names of known penalties above the panels; the margin on the right.
ABOVE_PANELS = 0.74
SIDE = 0.08

#: Penalties readers know, as marks for orientation: AIC, and chi-squared with one degree of freedom.
KNOWN_PENALTIES = ((2.0, "AIC"), (3.84, "p = 0.05"), (6.63, "p = 0.01"), (10.83, "p = 0.001"))


@in_house_style
def path_figure(result: SelectionResult) -> Figure:
    """Above: number of effects over the penalty. Below: a bar for every effect while it is in the model; the
    criterion of this run is the vertical line."""
    from matplotlib.figure import Figure

    span = penalty_range(result.path)
    names = longest_staying(result, LARGEST)
    labels = [shorten(name, LONGEST_NAME) for name in names]
    figure = Figure(figsize=(8.0, 2.6 + 0.23 * max(len(names), 3)))
    count, bars = panels(
        figure, (2, 1), left=0.17 + max(widest(figure, labels, size=7.5), 0.55), right=SIDE, top=ABOVE_PANELS,
        bottom=0.75, gap=(0.0, 0.15), heights=[1.3, 0.25 * max(len(names), 3) + 0.4], sharex="all",
    )[:, 0]  # fmt: skip
    _count(count, result, span)
    _bars(bars, result, names, span)
    for axes in (count, bars):
        _criterion_mark(axes, result)
    _marks(count, result, span)
    title = f"Selection path: {len(result.support)} effects selected by {result.criterion}"
    n_ever = len({name for step in result.path for name in step.support})
    if n_ever > len(names):
        title += f"; the {len(names)} that stay longest of {n_ever}"
    figure_title(figure, title)
    _legend(figure, result, names)
    return figure


def penalty_range(path: tuple[PathStep, ...]) -> tuple[float, float]:
    """The penalties to show: from where the path begins, or a little below its first change, to 12 at least."""
    ends = [p for step in path for p in (step.low, step.high) if 0.0 < p < math.inf]
    first = min(step.low for step in path)
    return max(first if first > 0.0 else min([1.0, *ends]) / 1.25, 0.01), max([12.0, *ends]) * 1.25


def longest_staying(result: SelectionResult, largest: int) -> tuple[str, ...]:
    """Names of at most `largest` effects, the one that bears the highest penalty first."""
    last: dict[str, float] = {}
    for step in result.path:
        for name in step.support:
            last[name] = max(last.get(name, 0.0), step.high)
    order = {effect.name: k for k, effect in enumerate(result.effects)}
    return tuple(sorted(last, key=lambda name: (-last[name], order.get(name, 0)))[:largest])


def intervals(path: tuple[PathStep, ...], name: str, span: tuple[float, float]) -> list[tuple[float, float]]:
    """(start, length) of the penalties within `span` at which the effect is in; neighbours are joined."""
    inside = sorted((max(s.low, span[0]), min(s.high, span[1])) for s in path if name in s.support)
    joined: list[list[float]] = []
    for low, high in inside:
        if high <= low:
            continue
        if joined and low <= joined[-1][1] * (1 + 1e-9):
            joined[-1][1] = max(joined[-1][1], high)
        else:
            joined.append([low, high])
    return [(low, high - low) for low, high in joined]


def _count(axes: Axes, result: SelectionResult, span: tuple[float, float]) -> None:
    steps = sorted(result.path, key=lambda s: s.low)
    edges = [max(steps[0].low, span[0]), *(min(s.high, span[1]) for s in steps)]
    axes.stairs([len(s.support) for s in steps], edges, baseline=None, color=INK, linewidth=1.3)
    axes.set_ylim(bottom=0)
    axes.yaxis.get_major_locator().set_params(integer=True)
    beside(axes, "effects in\nthe model", distance=0.37)
    bare(axes)


def _bars(axes: Axes, result: SelectionResult, names: tuple[str, ...], span: tuple[float, float]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    known = {effect.name: effect for effect in result.effects}
    for row, name in enumerate(names):
        axes.broken_barh(intervals(result.path, name, span), (row - 0.36, 0.72), color=bar_colour(known.get(name)))
    axes.set_yticks(range(len(names)), [shorten(name, LONGEST_NAME) for name in names], fontsize=7.5)
    axes.set_ylim(max(len(names), 3) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.set_xlim(*span)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    below(axes, "penalty of an effect with one coefficient; all penalties in proportion")
    axes.tick_params(axis="y", length=0)
    bare(axes)


def bar_colour(effect: EffectResult | None) -> str:
    """Forced, selected, nearly selected (margin under 2), other."""
    if effect is None:
        return EXCLUDED
    if effect.forced:
        return FORCED
    return SELECTED if effect.selected else NEAR if effect.borderline else EXCLUDED


def criterion_penalty(result: SelectionResult) -> float:
    """What this run charged for an effect with one coefficient (the median, where effects differ)."""
    values = [e.penalty / len(e.coefficients) for e in result.effects if math.isfinite(e.penalty) and e.coefficients]
    return float(np.median(values)) if values else math.nan


def _criterion_mark(axes: Axes, result: SelectionResult) -> None:
    value = criterion_penalty(result)
    if not math.isnan(value):
        axes.axvline(value, color=SELECTED, linewidth=1.2, zorder=0)


def _marks(axes: Axes, result: SelectionResult, span: tuple[float, float]) -> None:
    """Names above the upper panel, those that would overlap left out."""
    own = criterion_penalty(result)
    marks = [] if math.isnan(own) else [(own, result.criterion, SELECTED)]
    for value, name in KNOWN_PENALTIES:
        if all(abs(math.log(value / other)) > 0.045 * math.log(span[1] / span[0]) for other, _, _ in marks):
            marks.append((value, name, QUIET))
    for value, name, colour in marks:
        if colour == QUIET:
            axes.axvline(value, color=QUIET, linewidth=0.6, linestyle=":", zorder=0)
        axes.annotate(
            name, (value, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 3), textcoords="offset points",
            rotation=45, ha="left", va="bottom", fontsize=7.5, color=colour,
        )  # fmt: skip


def _legend(figure: Figure, result: SelectionResult, names: tuple[str, ...]) -> None:
    from matplotlib.patches import Patch

    known = {effect.name: effect for effect in result.effects}
    used = {bar_colour(known.get(name)) for name in names}
    texts = (
        (FORCED, "forced into the model"),
        (SELECTED, "selected"),
        (NEAR, "not selected, but borderline"),
        (EXCLUDED, "not selected"),
    )
    handles = [Patch(color=colour, label=text) for colour, text in texts if colour in used]
    figure.legend(handles=handles, loc="lower center", ncols=4, frameon=False)
