"""Observations over predictions, and weighted residuals: the basic goodness-of-fit plots, of one endpoint."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from nlmevae.report.plots.normal_plot import normal_plot
from nlmevae.report.plots.panel import (
    empty,
    grid,
    legend_below,
    log_span,
    note,
    plain_log,
    points,
    residual_lines,
    span,
    symmetric,
)
from nlmevae.report.plots.trend import trend
from nlmevae.report.style import COLOUR, QUIET, Theme, in_house_style, shorten
from nlmevae.results.diagnostics import Diagnostics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: E|r| of a standard normal r.
MEAN_ABSOLUTE = math.sqrt(2.0 / math.pi)


@in_house_style
def predictions_figure(diagnostics: Diagnostics, endpoint: int = 0, *, theme: Theme = COLOUR) -> Figure:
    """DV over PRED and over IPRED, linear and (unless DV is a logarithm already) on logarithmic axes. Line of
    identity, trend, censored observations at their limit."""
    chosen = diagnostics.observations.endpoint == endpoint
    kind = diagnostics.endpoints[endpoint]
    logarithmic = not kind.log_scale and bool((diagnostics.observations.dv[chosen] > 0.0).any())
    figure, panels = grid(4 if logarithmic else 2, columns=2, height=3.2)
    pairs = (("PRED", diagnostics.observations.pred), ("IPRED", diagnostics.observations.ipred))
    for k, axes in enumerate(panels):
        name, predicted = pairs[k % 2]
        _observed_over(axes, diagnostics, chosen, predicted, theme, logarithmic=k > 1)
        axes.set_xlabel(f"{'population' if name == 'PRED' else 'individual'} prediction {name}")
        axes.set_ylabel(f"observed {shorten(kind.name, 24)}")
    legend_below(figure, panels)
    return figure


def _observed_over(
    axes: Axes, diagnostics: Diagnostics, chosen: np.ndarray, predicted: np.ndarray, theme: Theme, *, logarithmic: bool
) -> None:
    x, y = predicted[chosen], diagnostics.observations.dv[chosen]
    limit = diagnostics.observations.censored[chosen]
    shown = np.isfinite(x) & np.isfinite(y) & ((x > 0.0) & (y > 0.0) if logarithmic else True)
    if not shown.any():
        empty(axes, "no observation with a prediction" + (" above 0" if logarithmic else ""))
        return
    measured = shown & ~limit if (shown & ~limit).any() else shown
    low, high = (log_span if logarithmic else span)(x[measured], y[measured], y[shown])
    x = np.where(
        limit, np.clip(x, low, high), x
    )  # a limit says "somewhere below": its prediction must not set the scale
    axes.plot([low, high], [low, high], color=theme.reference, linewidth=0.9, zorder=3, label="identity")
    _two_layers(axes, x, y, shown, limit, theme)
    scale = (np.log, np.exp) if logarithmic else (np.asarray, np.asarray)
    at, value = trend(scale[0](x[shown & ~limit]), scale[0](y[shown & ~limit]))
    axes.plot(
        scale[1](at), scale[1](value), color=theme.trend, linewidth=1.5, zorder=4, label="trend (local regression)"
    )
    if logarithmic:
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal", adjustable="box")
    if logarithmic:
        plain_log(axes.xaxis)
        plain_log(axes.yaxis)
    left_out = int((np.isfinite(x) & np.isfinite(y)).sum() - shown.sum())
    if left_out:
        note(axes, f"{left_out} not above 0 left out")


def _two_layers(axes: Axes, x: np.ndarray, y: np.ndarray, shown: np.ndarray, limit: np.ndarray, theme: Theme) -> None:
    points(axes, x[shown & ~limit], y[shown & ~limit], color=theme.points, label="observed")
    if (shown & limit).any():
        both = shown & limit
        points(
            axes, x[both], y[both], color=theme.censored, total=len(x), marker="v", label="beyond the limit of "
            "quantification"
        )  # fmt: skip


@in_house_style
def residuals_figure(diagnostics: Diagnostics, endpoint: int = 0, *, theme: Theme = COLOUR) -> Figure:
    """CWRES over time and PRED, |IWRES| over IPRED, IWRES over time, normal plots of both. Dashed lines hold 95 % of
    standard normal values; censored observations have no residual."""
    o = diagnostics.observations
    chosen = o.endpoint == endpoint
    figure, panels = grid(6, columns=3, height=2.4)
    over = (
        (panels[0], o.time, "CWRES", o.cwres, shorten(diagnostics.time_name, 20)),
        (panels[1], o.pred, "CWRES", o.cwres, "PRED"),
        (panels[3], o.time, "IWRES", o.iwres, shorten(diagnostics.time_name, 20)),
    )
    for axes, x, name, residual, x_name in over:
        residuals_over(axes, x[chosen], residual[chosen], name=name, x_name=x_name, theme=theme)
    _absolute(panels[2], o.ipred[chosen], o.iwres[chosen], theme)
    normal_plot(panels[4], o.cwres[chosen], name="CWRES", theme=theme)
    normal_plot(panels[5], o.iwres[chosen], name="IWRES", theme=theme)
    legend_below(figure, panels)
    return figure


def residuals_over(axes: Axes, x: np.ndarray, residual: np.ndarray, *, name: str, x_name: str, theme: Theme) -> None:
    """One panel: points, zero, ±1.96, trend."""
    if not (np.isfinite(x) & np.isfinite(residual)).any():
        empty(axes, f"no {name} was computed")
        return
    residual_lines(axes, theme.reference)
    points(axes, x, residual, color=theme.points)
    at, value = trend(x, residual)
    axes.plot(at, value, color=theme.trend, linewidth=1.5, zorder=4, label="trend (local regression)")
    axes.set_ylim(symmetric(residual))
    axes.set_xlim(span(x[np.isfinite(x) & np.isfinite(residual)]))
    axes.set_xlabel(x_name)
    axes.set_ylabel(name)


def _absolute(axes: Axes, ipred: np.ndarray, iwres: np.ndarray, theme: Theme) -> None:
    size = np.abs(iwres)
    known = np.isfinite(ipred) & np.isfinite(size)
    if not known.any():
        empty(axes, "no IWRES was computed")
        return
    axes.axhline(
        MEAN_ABSOLUTE, color=QUIET, linewidth=0.9, linestyle=(0, (1, 1.5)), zorder=1, label="expected |IWRES|, 0.80"
    )
    points(axes, ipred, size, color=theme.points)
    at, value = trend(ipred, size)
    axes.plot(at, value, color=theme.trend, linewidth=1.5, zorder=4, label="trend (local regression)")
    axes.set_ylim(0.0, max(3.0, 1.06 * float(size[known].max())))
    axes.set_xlim(span(ipred[known]))
    axes.set_xlabel("IPRED")
    axes.set_ylabel("|IWRES|")
