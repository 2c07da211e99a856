"""The run, iteration by iteration, as in the paper's figures 2 and 5: criterion, omega, covariate effects."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from nlmevae.report.effect_grid import EffectGrid, effect_grid
from nlmevae.report.inches import EDGE, below, figure_title, panel_title, panels, widest
from nlmevae.report.phases import mark_phases, phase_legend, settled_range
from nlmevae.report.style import EXCLUDED, EXCLUDED_BACKGROUND, LINES, QUIET, SELECTED, in_house_style, shorten
from nlmevae.results.selection_result import EffectResult, SelectionResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: A panel for every pair of parameter and covariate up to here, else one per parameter.
MOST_PANELS = 48
MOST_COLUMNS = 8
#: Coefficients below are zero.
SMALLEST_SCALE = 1e-9
#: Selected effects named in one panel.
MOST_NAMES = 8
LONGEST_NAME = 20

#: Inches: the overview with its titles; the legend below everything; the name of all coefficients beside them; what
#: is written below and beside panels; the margin on the right.
OVERVIEW = 2.85
LEGEND = 0.35
NAME = 0.12
BELOW_PANELS = 0.42
BESIDE_PANEL = 0.5
SIDE = 0.08


@in_house_style
def trace_figure(result: SelectionResult) -> Figure:
    """Above: criterion, number of effects, standard deviations of the random effects. Below: the coefficients."""
    from matplotlib.figure import Figure

    grid = effect_grid(result)
    small = len(grid.columns) <= MOST_COLUMNS and len(grid.columns) * len(grid.parameters) <= MOST_PANELS
    n_rows = len(grid.parameters) if small else math.ceil(len(grid.parameters) / 2)
    row_height = 1.35 if small else 2.2
    width = max(9.0, 1.75 * len(grid.columns) + 0.8) if small else 11.0
    figure = Figure(figsize=(width, OVERVIEW + row_height * n_rows + LEGEND))
    figure_title(
        figure,
        f"Covariate selection by {result.criterion}: {len(result.support)} of {len(result.effects)} effects selected",
    )
    _overview(figure, result)
    if small:
        _panel_per_pair(figure, result, grid)
    else:
        _panel_per_parameter(figure, result, grid)
    middle = (LEGEND + 0.5 * row_height * n_rows) / figure.get_figheight()
    figure.text(EDGE / width, middle, "coefficient β (grey: not selected)", fontsize=9, rotation=90, va="center")
    phase_legend(figure, result.trace.phase, note="with selection", place="lower center")
    return figure


def _overview(figure: Figure, result: SelectionResult) -> None:
    trace, time = result.trace, _time(result)
    bottom = figure.get_figheight() - OVERVIEW + BELOW_PANELS
    criterion, count, omega = panels(
        figure, (1, 3), left=BESIDE_PANEL, right=SIDE, top=0.5, bottom=bottom, gap=(BESIDE_PANEL, 0.0)
    )[0]
    criterion.plot(time, trace.objective, color=EXCLUDED, linewidth=1.0, label="−2 log-likelihood (bound)")
    criterion.plot(time, trace.criterion, color=SELECTED, linewidth=1.3, label="with the effects' penalties")
    criterion.set_ylim(settled_range(trace.phase, trace.objective, trace.criterion))
    criterion.legend(loc="upper right", bbox_to_anchor=(1.0, 0.97), framealpha=0.85, edgecolor="none")
    panel_title(criterion, f"Criterion {result.criterion}")
    count.step(time, trace.support.sum(axis=1), where="mid", color=SELECTED, linewidth=1.3)
    count.yaxis.get_major_locator().set_params(integer=True)
    count.set_ylim(0.0, 1.1 * max(trace.support.sum(axis=1).max(initial=0), 1))
    panel_title(count, "Effects in the model")
    for k, name in enumerate(result.parameters):
        dashes = ("-", "--", ":")[k // len(LINES) % 3]
        omega.plot(time, trace.omega_sd[:, k], dashes, color=LINES[k % len(LINES)], linewidth=1.2, label=name)
    n_lines = math.ceil(len(result.parameters) / 3)
    omega.set_ylim(0.0, (1.15 + 0.1 * n_lines) * _largest(trace.omega_sd))
    omega.legend(frameon=False, ncols=3, loc="upper right", bbox_to_anchor=(1.0, 0.97), handlelength=1.2)
    panel_title(omega, "Random effects: standard deviation ω")
    for axes in (criterion, count, omega):
        _time_axis(axes, result)
        below(axes, "iteration")


def _panel_per_pair(figure: Figure, result: SelectionResult, grid: EffectGrid) -> None:
    """Pairs of one covariate share their scale: the same unit of beta."""
    pairs = panels(
        figure, (len(grid.parameters), len(grid.columns)), left=NAME + BESIDE_PANEL, right=SIDE, top=OVERVIEW + 0.2,
        bottom=LEGEND + BELOW_PANELS, gap=(BESIDE_PANEL, 0.3), sharex="all", sharey="col",
    )  # fmt: skip
    place = {name: k for k, name in enumerate(result.coefficients)}
    for i, parameter in enumerate(grid.parameters):
        for j, column in enumerate(grid.columns):
            axes, effects = pairs[i, j], grid.cells.get((parameter, column), ())
            if not effects:
                axes.set_axis_off()
                continue
            _pair(axes, result, effects, place)
            panel_title(axes, f"{parameter} ~ {shorten(column, 14)}", pad=3, fontsize=8.5)
            if i == len(grid.parameters) - 1:
                below(axes, "iteration")
    for axes in pairs[0]:
        _open_flat_axis(axes)


def _open_flat_axis(axes: Axes) -> None:
    """Where nothing ever left zero, a scale of 1e-17 would be shown."""
    if max(map(abs, axes.get_ylim())) < SMALLEST_SCALE:
        axes.set_ylim(-1.0, 1.0)


def _pair(axes: Axes, result: SelectionResult, effects: tuple[EffectResult, ...], place: dict[str, int]) -> None:
    """All coefficients of the candidates of one pair."""
    time, number = _time(result), 0
    axes.axhline(0.0, color=QUIET, linewidth=0.6, zorder=0)
    for effect in sorted(effects, key=lambda e: e.selected):
        for coefficient in effect.coefficients:
            colour = LINES[number % len(LINES)] if effect.selected else EXCLUDED
            axes.plot(time, result.trace.beta[:, place[coefficient]], color=colour, linewidth=1.2)
            number += effect.selected
    if not any(e.selected for e in effects):
        axes.set_facecolor(EXCLUDED_BACKGROUND)
    _time_axis(axes, result)
    axes.tick_params(labelsize=7)


def _panel_per_parameter(figure: Figure, result: SelectionResult, grid: EffectGrid) -> None:
    names = [shorten(c, LONGEST_NAME) for e in result.effects if e.selected for c in e.coefficients]
    legend = 0.55 + widest(figure, names, size=8.0)
    rows = panels(
        figure, (math.ceil(len(grid.parameters) / 2), 2), left=NAME + BESIDE_PANEL, right=legend, top=OVERVIEW + 0.25,
        bottom=LEGEND + BELOW_PANELS, gap=(legend + BESIDE_PANEL, 0.35), sharex="all",
    )  # fmt: skip
    place = {name: k for k, name in enumerate(result.coefficients)}
    for axes, parameter in zip(rows.flat, grid.parameters, strict=False):
        effects = [e for (name, _), cell in grid.cells.items() if name == parameter for e in cell]
        _overlay(axes, result, effects, place)
        panel_title(axes, f"{parameter}: {sum(e.selected for e in effects)} of {len(effects)} effects selected")
    for axes in list(rows.flat)[len(grid.parameters) :]:
        axes.set_axis_off()
    for axes in rows[-1]:
        below(axes, "iteration")


def _overlay(axes: Axes, result: SelectionResult, effects: list[EffectResult], place: dict[str, int]) -> None:
    time, beta = _time(result), result.trace.beta
    excluded = [place[c] for e in effects if not e.selected for c in e.coefficients]
    chosen = [(c, place[c]) for e in effects if e.selected for c in e.coefficients]
    if excluded:
        axes.plot(time, beta[:, excluded], color=EXCLUDED, linewidth=0.5, alpha=0.6, zorder=1)
    for k, (name, column) in enumerate(chosen):
        label = shorten(name, LONGEST_NAME) if k < MOST_NAMES else None
        dashes = ("-", "--", ":")[k // len(LINES) % 3]
        axes.plot(time, beta[:, column], dashes, color=LINES[k % len(LINES)], linewidth=1.4, label=label, zorder=2)
    axes.axhline(0.0, color=QUIET, linewidth=0.6, zorder=0)
    _open_flat_axis(axes)
    if chosen:
        more = f"and {len(chosen) - MOST_NAMES} more" if len(chosen) > MOST_NAMES else None
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), title=more)
    _time_axis(axes, result)


def _time(result: SelectionResult) -> np.ndarray:
    return np.arange(1, len(result.trace.phase) + 1)


def _time_axis(axes: Axes, result: SelectionResult) -> None:
    """Phases as a strip along the upper edge, room below it."""
    axes.margins(y=0.12)
    mark_phases(axes, result.trace.phase)


def _largest(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size and finite.max() > 0.0 else 1.0
