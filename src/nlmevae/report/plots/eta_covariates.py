"""Random effects over covariates: what the model has not explained yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nlmevae.report.plots.panel import empty, grid, legend_below, note, points, span
from nlmevae.report.plots.random_effects import correlation, effect_name, varying
from nlmevae.report.plots.trend import trend
from nlmevae.report.style import COLOUR, QUIET, Theme, in_house_style, shorten
from nlmevae.results.diagnostics import Diagnostics
from nlmevae.results.fit_result import FitResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS, MOST_COLUMNS = 5, 4


@in_house_style
def eta_covariates_figure(
    fit: FitResult,
    diagnostics: Diagnostics,
    covariates: Sequence[int],
    etas: Sequence[int] | None = None,
    *,
    theme: Theme = COLOUR,
) -> Figure:
    """A row for each covariate (indices into `diagnostics.covariates`), a column for each random effect: scatter with
    trend and correlation, or boxes where the covariate is a category."""
    etas = varying(fit) if etas is None else etas
    n_columns = max(len(etas), 1)
    figure, panels = grid(max(len(covariates) * len(etas), 1), columns=n_columns, height=1.75, width=_width(n_columns))
    if not len(covariates) or not len(etas):
        empty(panels[0], "no covariate in the data" if not len(covariates) else "the model has no random effects")
        return figure
    seen = fit.individuals.n_obs > 0
    for i, c in enumerate(covariates):
        for j, k in enumerate(etas):
            axes = panels[i * len(etas) + j]
            x, y = diagnostics.covariates.values[seen, c], fit.individuals.eta_mean[seen, k]
            draw = _boxes if diagnostics.covariates.categorical[c] else _scatter
            draw(axes, x, y, theme)
            axes.set_xlabel(shorten(diagnostics.covariates.names[c], 18), fontsize=8)
            axes.set_ylabel(effect_name(fit, k) if j == 0 or len(etas) > 1 else "", fontsize=8)
            axes.tick_params(labelsize=7)
    legend_below(figure, panels)
    return figure


def _width(n_columns: int) -> float:
    return 7.6 if n_columns > 1 else 4.2


def _scatter(axes: Axes, x: np.ndarray, y: np.ndarray, theme: Theme) -> None:
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < 2:
        empty(axes, "no subject with a value")
        return
    axes.axhline(0.0, color=theme.reference, linewidth=0.7, zorder=1)
    points(axes, x, y, color=theme.points)
    at, value = trend(x, y)
    axes.plot(at, value, color=theme.trend, linewidth=1.4, zorder=4, label="trend (local regression)")
    axes.set_xlim(span(x[known]))
    low, high = span(y[known])
    axes.set_ylim(low, high + 0.16 * (high - low))
    axes.locator_params(axis="x", nbins=5)
    note(axes, f"r = {correlation(x, y)}")


def _boxes(axes: Axes, x: np.ndarray, y: np.ndarray, theme: Theme) -> None:
    known = np.isfinite(x) & np.isfinite(y)
    levels = np.unique(x[known])
    if not len(levels):
        empty(axes, "no subject with a value")
        return
    groups = [y[known & (x == level)] for level in levels]
    axes.axhline(0.0, color=theme.reference, linewidth=0.7, zorder=1)
    axes.boxplot(
        groups, positions=np.arange(len(levels)), widths=0.5, whis=(5, 95), patch_artist=True, showfliers=False,
        boxprops={"facecolor": theme.outer, "edgecolor": QUIET, "linewidth": 0.7},
        medianprops={"color": theme.reference, "linewidth": 1.3},
        whiskerprops={"color": QUIET, "linewidth": 0.8}, capprops={"color": QUIET, "linewidth": 0.8},
    )  # fmt: skip
    for k, group in enumerate(groups):
        jitter = 0.16 * np.sin(12.9898 * np.arange(len(group)))
        points(axes, k + jitter, group, color=theme.points, total=len(x), zorder=3)
    labels = [f"{level:g}\nn = {len(group)}" for level, group in zip(levels, groups, strict=True)]
    axes.set_xticks(np.arange(len(levels)), labels)
    axes.set_xlim(-0.6, len(levels) - 0.4)
    axes.set_ylim(span(y[known]))
