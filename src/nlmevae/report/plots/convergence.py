"""Objective and parameters along the iterations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nlmevae.report.phases import mark_phases, phase_legend, settled_range
from nlmevae.report.plots.panel import empty, grid, span
from nlmevae.report.style import COLOUR, QUIET, Theme, in_house_style, shorten
from nlmevae.results.fit_result import Estimate, FitResult, TraceRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Panels of parameters in one figure.
MOST_PANELS = 16
#: In these the objective is -2 ELBO, else -2 log-likelihood.
BOUND_PHASES = ("burn-in", "vae")


@in_house_style
def objective_figure(fit: FitResult, *, theme: Theme = COLOUR) -> Figure:
    """The objective over all iterations, and that of the last phase enlarged if there are others."""
    rows = fit.trace
    last_rows = _last_phase(rows) if rows else ()
    figure, panels = grid(2 if len(last_rows) < len(rows) else 1, columns=2, height=2.7)
    if not rows:
        empty(panels[0], "no iteration was recorded")
        return figure
    _objective(panels[0], rows, theme)
    panels[0].set_title("all iterations")
    if len(panels) > 1:
        _objective(panels[1], last_rows, theme, start=len(rows) - len(last_rows) + 1)
        panels[1].set_title(f"last phase: {shorten(rows[-1].phase, 24)}")
    phase_legend(figure, [row.phase for row in rows])
    return figure


@in_house_style
def convergence_figure(fit: FitResult, *, page: int = 0, theme: Theme = COLOUR) -> Figure:
    """Every estimated parameter over the iterations, `MOST_PANELS` on each page (from 0); the dashed line is the
    estimate. Of a covariate search only the iterations with the final model's parameters have values."""
    shown = estimated_in_trace(fit)[page * MOST_PANELS : (page + 1) * MOST_PANELS]
    figure, panels = grid(max(len(shown), 1), columns=4, height=1.55)
    rows = comparable_rows(fit)
    if not shown or not rows:
        empty(panels[0], "no parameter was estimated" if rows else "no iteration was recorded")
        return figure
    values = np.array([row.parameters for row in rows])
    phases = [row.phase for row in rows]
    for axes, (column, estimate) in zip(panels, shown, strict=True):
        _parameter(axes, values[:, column], estimate, phases, theme)
    for axes in panels[-4:]:
        axes.set_xlabel("iteration")
    phase_legend(figure, phases)
    return figure


def n_pages(fit: FitResult) -> int:
    """How many pages `convergence_figure` has."""
    return max(1, -(-len(estimated_in_trace(fit)) // MOST_PANELS))


def estimated_in_trace(fit: FitResult) -> list[tuple[int, Estimate]]:
    """(column of `TraceRow.parameters`, estimate) of what is estimated: THETA, SIGMA, OMEGA there."""
    order = [e for kind in ("theta", "sigma", "omega") for e in fit.estimates if e.kind == kind]
    columns = {e.name: k for k, e in enumerate(order)}
    return [(columns[e.name], e) for e in fit.estimates if not e.fixed]


def comparable_rows(fit: FitResult) -> list[TraceRow]:
    """Rows that have the final model's parameters."""
    return [row for row in fit.trace if len(row.parameters) == len(fit.estimates)]


def _last_phase(rows: tuple[TraceRow, ...]) -> tuple[TraceRow, ...]:
    last = rows[-1].phase
    first = next((k + 1 for k in range(len(rows) - 1, -1, -1) if rows[k].phase != last), 0)
    return rows[first:]


def _objective(axes: Axes, rows: tuple[TraceRow, ...], theme: Theme, *, start: int = 1) -> None:
    phases = [row.phase for row in rows]
    values = np.array([row.objective for row in rows])
    number = start + np.arange(len(rows))
    bound = np.array([phase in BOUND_PHASES for phase in phases])
    if bound.any():
        axes.plot(number, np.where(bound, values, np.nan), color=QUIET, linewidth=1.2, label="−2 ELBO")
    if not bound.all():
        marker = "o" if (~bound).sum() < 25 else ""
        axes.plot(
            number, np.where(bound, np.nan, values), color=theme.individual, linewidth=1.2, marker=marker,
            markersize=3, label="−2 log-likelihood of the draws",
        )  # fmt: skip
    mark_phases(axes, phases, start=start)
    axes.set_ylim(settled_range(phases, values))
    axes.yaxis.get_major_formatter().set_useOffset(False)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("iteration")
    axes.set_ylabel("objective")
    axes.legend(framealpha=0.85, edgecolor="none", loc="upper right", bbox_to_anchor=(1.0, 0.96))


def _parameter(axes: Axes, values: np.ndarray, estimate: Estimate, phases: list[str], theme: Theme) -> None:
    axes.plot(np.arange(1, len(values) + 1), values, color=theme.individual, linewidth=1.1)
    axes.axhline(estimate.value, color=theme.reference, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    mark_phases(axes, phases)
    low, high = span(values, np.array([estimate.value]), room=0.08)
    axes.set_ylim(low, high + 0.08 * (high - low))
    axes.set_title(_title(estimate), fontsize=8)
    axes.tick_params(labelsize=7)
    axes.yaxis.get_major_formatter().set_useOffset(False)
    axes.xaxis.get_major_locator().set_params(integer=True, nbins=4)


def _title(estimate: Estimate) -> str:
    kind = {"theta": "", "omega": "var. ", "sigma": "var. "}[estimate.kind]
    if estimate.row != estimate.column and estimate.kind != "theta":
        kind = "cov. "
    return f"{kind}{shorten(estimate.label, 22)}"
