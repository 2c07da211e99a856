"""Visual predictive checks: quantiles of the data over those of simulated data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nlmevae.report.plots.panel import empty, grid, legend_below, log_span, note, percent, plain_log, points, span
from nlmevae.report.style import COLOUR, QUIET, Theme, in_house_style, shorten
from nlmevae.results.diagnostics import Diagnostics, PredictiveChecks, VisualPredictiveCheck

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Values that span more than this ratio are also shown on a logarithmic axis.
WIDE = 10.0


@in_house_style
def vpc_figure(
    diagnostics: Diagnostics | PredictiveChecks,
    checks: Sequence[VisualPredictiveCheck],
    *,
    logarithmic: bool = False,
    theme: Theme = COLOUR,
) -> Figure:
    """One panel per check (strata of one endpoint). Bands: simulated intervals of each quantile. Lines: quantiles of
    the data, the middle one solid; a cross where one is outside its band. Ticks above: edges of the bins."""
    columns = 1 if len(checks) == 1 else 2
    figure, panels = grid(max(len(checks), 1), columns=columns, height=3.2 if columns == 1 else 2.7)
    if not checks:
        empty(panels[0], "no predictive check was computed")
        return figure
    for axes, check in zip(panels, checks, strict=True):
        _panel(axes, check, theme, logarithmic=logarithmic)
        axes.set_xlabel(shorten(diagnostics.time_name, 24))
        name = shorten(diagnostics.endpoints[check.endpoint].name, 24)
        axes.set_ylabel(f"prediction-corrected {name}" if check.prediction_corrected else name)
        if check.stratum:
            axes.set_title(shorten(check.stratum, 48))
    legend_below(figure, panels, columns=3)
    return figure


@in_house_style
def censored_share_figure(
    diagnostics: Diagnostics | PredictiveChecks, checks: Sequence[VisualPredictiveCheck], *, theme: Theme = COLOUR
) -> Figure:
    """Share of observations beyond the limit of quantification over time, observed and simulated."""
    with_limit = [c for c in checks if c.below is not None]
    figure, panels = grid(max(len(with_limit), 1), columns=2 if len(with_limit) > 1 else 1, height=2.2)
    if not with_limit:
        empty(panels[0], "no observation is beyond a limit of quantification")
        return figure
    for axes, check in zip(panels, with_limit, strict=True):
        observed, low, middle, high = check.below.T
        x = check.middle
        _band(axes, check, low, high, color=theme.outer, label=f"{percent(check.confidence)} interval of simulations")
        axes.plot(x, middle, color=theme.individual, linewidth=0.9, label="median of simulations")
        axes.plot(x, observed, color=theme.reference, linewidth=1.3, marker="o", markersize=3, label="observed")
        axes.set_ylim(0.0, min(1.0, max(0.1, 1.15 * float(np.nanmax(check.below)))))
        axes.set_xlim(span(check.edges, room=0.02))
        axes.set_xlabel(shorten(diagnostics.time_name, 24))
        axes.set_ylabel("share beyond the limit")
        if check.stratum:
            axes.set_title(shorten(check.stratum, 48))
    legend_below(figure, panels)
    return figure


def spans_decades(check: VisualPredictiveCheck) -> bool:
    """Is a logarithmic axis worth a second figure?"""
    positive = check.value[np.isfinite(check.value) & (check.value > 0.0)]
    return len(positive) > 1 and float(np.quantile(positive, 0.99) / np.quantile(positive, 0.01)) > WIDE


def outside(check: VisualPredictiveCheck) -> np.ndarray:
    """(B, Q) True where the observed quantile is not in its simulated interval."""
    with np.errstate(invalid="ignore"):
        return (check.observed < check.simulated[:, :, 0]) | (check.observed > check.simulated[:, :, 2])


def _panel(axes: Axes, check: VisualPredictiveCheck, theme: Theme, *, logarithmic: bool) -> None:
    if not len(check.middle) or not np.isfinite(check.observed).any():
        empty(axes, "no observation in this stratum")
        return
    shown = np.isfinite(check.value) & ((check.value > 0.0) if logarithmic else True)
    middle = int(np.argmin(np.abs(check.levels - 0.5)))
    others = f"{percent(check.levels[0])} and {percent(check.levels[-1])}" if len(check.levels) > 1 else ""
    points(
        axes,
        check.time[shown],
        check.value[shown],
        color=theme.points,
        total=4 * len(check.value),
        label="data",
        zorder=3,
    )
    bottom = _axes_limits(axes, check, shown, logarithmic=logarithmic)
    for q in range(len(check.levels)):
        colour = theme.middle if q == middle else theme.outer
        words = "median" if q == middle else others
        label = f"{percent(check.confidence)} interval of simulated {words}"
        low, high = (np.maximum(check.simulated[:, q, side], bottom) for side in (0, 2))
        _band(axes, check, low, high, color=colour, label=label)
    for q in range(len(check.levels)):
        style = "-" if q == middle else (0, (5, 2))
        words = "observed median" if q == middle else f"observed {others}"
        axes.plot(
            check.middle, check.observed[:, q], color=theme.reference, linewidth=1.4 if q == middle else 1.1,
            linestyle=style, marker="" if len(check.middle) > 1 else "_", markersize=14, label=words, zorder=4,
        )  # fmt: skip
    bins, quantiles = np.nonzero(outside(check))
    if len(bins):
        axes.plot(
            check.middle[bins], check.observed[bins, quantiles], "x", color=theme.outside, markersize=5,
            markeredgewidth=1.4, label="observed outside its interval", zorder=5,
        )  # fmt: skip
    if (~shown & np.isfinite(check.value)).any():
        note(axes, f"{int((~shown & np.isfinite(check.value)).sum())} not above 0 left out")


def _axes_limits(axes: Axes, check: VisualPredictiveCheck, shown: np.ndarray, *, logarithmic: bool) -> float:
    """Set limits and bin edges; the lower end of a logarithmic axis, where bands that reach 0 end, else -inf."""
    values = (check.value[shown], check.observed.ravel(), check.simulated.ravel())
    if logarithmic:
        axes.set_yscale("log")
        axes.set_ylim(log_span(*values))
        plain_log(axes.yaxis)
    else:
        low, high = span(*values)
        axes.set_ylim(0.0 if low > -0.06 * high and not (np.concatenate(values) < 0.0).any() else low, high)
    axes.set_xlim(span(check.edges, room=0.02))
    axes.plot(
        check.edges, np.ones(len(check.edges)), marker=3, markersize=5, color=QUIET, linestyle="none",
        transform=axes.get_xaxis_transform(), clip_on=False,
    )  # fmt: skip
    return axes.get_ylim()[0] if logarithmic else -np.inf


def _band(
    axes: Axes, check: VisualPredictiveCheck, low: np.ndarray, high: np.ndarray, *, color: str, label: str
) -> None:
    """Through the middles of the bins; a single bin is filled from edge to edge."""
    x = check.middle
    if len(x) == 1:
        x, low, high = check.edges, np.repeat(low, 2), np.repeat(high, 2)
    axes.fill_between(x, low, high, color=color, alpha=0.65, linewidth=0, label=label, zorder=2)
