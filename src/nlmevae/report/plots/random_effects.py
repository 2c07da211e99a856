"""Random effects: their distribution beside the model's, their correlations, and how well each subject's is known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from nlmevae.report.plots.normal_plot import normal_plot
from nlmevae.report.plots.panel import empty, grid, legend_below, note, points, span
from nlmevae.report.plots.prediction_errors import normal_histogram
from nlmevae.report.style import COLOUR, EXCLUDED_BACKGROUND, QUIET, Theme, in_house_style, shorten
from nlmevae.results.fit_result import FitResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: A scatter-plot matrix of more is not readable.
MOST_PAIRS = 7


def varying(fit: FitResult) -> list[int]:
    """Indices of random effects with a variance above 0."""
    return [k for k in range(len(fit.eta_names)) if fit.omega[k, k] > 0.0]


def effect_name(fit: FitResult, k: int) -> str:
    """``ETA(1) IIV_KA``."""
    label = fit.eta_labels[k]
    return fit.eta_names[k] if label == fit.eta_names[k] else f"{fit.eta_names[k]} {shorten(label, 16)}"


@in_house_style
def eta_distribution_figure(fit: FitResult, *, theme: Theme = COLOUR) -> Figure:
    """For each random effect the conditional means as a histogram beside N(0, omega^2), and their normal plot."""
    shown = varying(fit)
    figure, panels = grid(max(2 * len(shown), 1), columns=4, height=2.0)
    if not shown:
        empty(panels[0], "the model has no random effects")
        return figure
    seen = fit.individuals.n_obs > 0
    for position, k in enumerate(shown):
        histogram, normal = panels[2 * position], panels[2 * position + 1]
        values, sd = fit.individuals.eta_mean[seen, k], math.sqrt(fit.omega[k, k])
        normal_histogram(histogram, values, name=effect_name(fit, k), theme=theme, sd=sd, expected="N(0, ω²)")
        if math.isfinite(fit.eta_shrinkage_sd[k]):
            note(histogram, f"shrinkage {fit.eta_shrinkage_sd[k]:.0f} %")
        histogram.set_ylim(top=1.15 * histogram.get_ylim()[1])
        normal_plot(normal, values, name=effect_name(fit, k), theme=theme, sd=sd)
    legend_below(figure, panels)
    return figure


@in_house_style
def eta_pairs_figure(fit: FitResult, *, theme: Theme = COLOUR) -> Figure:
    """Scatter-plot matrix of the conditional means. Above the diagonal: their correlation, and the model's."""
    from matplotlib.figure import Figure

    shown = varying(fit)[:MOST_PAIRS]
    if len(shown) < 2:
        figure, (axes,) = grid(1, columns=1, height=1.5)
        empty(axes, "fewer than two random effects")
        return figure
    size = min(7.6, 1.9 * len(shown))
    figure = Figure(figsize=(size, size), layout="constrained")
    panels = figure.subplots(len(shown), len(shown), squeeze=False)
    means = fit.individuals.eta_mean[fit.individuals.n_obs > 0]
    for i, row in enumerate(shown):
        for j, column in enumerate(shown):
            _pair(panels[i, j], fit, means, row, column, theme)
            panels[i, j].tick_params(labelsize=7, labelleft=j == 0 and i > 0, labelbottom=i == len(shown) - 1)
        panels[i, 0].set_ylabel(effect_name(fit, row), fontsize=8)
        panels[-1, i].set_xlabel(effect_name(fit, row), fontsize=8)
    return figure


def _pair(axes: Axes, fit: FitResult, means: np.ndarray, row: int, column: int, theme: Theme) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    if row == column:
        axes.hist(
            means[:, row], bins=min(20, max(5, len(means) // 5)), color=theme.outer, edgecolor="white", linewidth=0.4
        )
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlim(span(means[:, row]))
    elif row > column:
        points(axes, means[:, column], means[:, row], color=theme.points)
        axes.axhline(0.0, color=QUIET, linewidth=0.5, zorder=0)
        axes.axvline(0.0, color=QUIET, linewidth=0.5, zorder=0)
        axes.set_xlim(span(means[:, column]))
        axes.set_ylim(span(means[:, row]))
    else:
        _correlation(axes, fit, means, row, column)


def _correlation(axes: Axes, fit: FitResult, means: np.ndarray, row: int, column: int) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_facecolor(EXCLUDED_BACKGROUND)
    model = fit.omega[row, column] / math.sqrt(fit.omega[row, row] * fit.omega[column, column])
    axes.text(0.5, 0.58, f"r = {correlation(means[:, row], means[:, column])}", ha="center", va="center", fontsize=11)
    words = "model: 0" if model == 0.0 else f"model: {model:.2f}"
    axes.text(0.5, 0.34, words, ha="center", va="center", fontsize=7.5, color=QUIET)


def correlation(x: np.ndarray, y: np.ndarray) -> str:
    """Pearson's, two decimals; ``n/a`` for fewer than three pairs or a constant."""
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < 3 or np.ptp(x[known]) == 0.0 or np.ptp(y[known]) == 0.0:
        return "n/a"
    return f"{np.corrcoef(x[known], y[known])[0, 1]:.2f}".replace("-", "−")


@in_house_style
def eta_precision_figure(fit: FitResult, *, theme: Theme = COLOUR) -> Figure:
    """Posterior standard deviation of every subject's random effects relative to omega: 0, the data say all; 1, they
    say nothing. Boxes: quartiles; whiskers: 5 and 95 %."""
    shown = varying(fit)
    figure, (axes,) = grid(1, columns=1, height=0.9 + 0.34 * max(len(shown), 1))
    if not shown:
        empty(axes, "the model has no random effects")
        return figure
    ratios = []
    for k in shown:
        with np.errstate(invalid="ignore"):
            ratio = np.sqrt(fit.individuals.eta_cov[:, k, k] / fit.omega[k, k])
        ratios.append(ratio[np.isfinite(ratio)])
    if not any(len(r) for r in ratios):
        empty(axes, "no posterior was computed")
        return figure
    places = np.arange(len(shown))[::-1]
    axes.boxplot(
        ratios, positions=places, orientation="horizontal", whis=(5, 95), widths=0.55, patch_artist=True,
        boxprops={"facecolor": theme.outer, "edgecolor": QUIET, "linewidth": 0.7},
        medianprops={"color": theme.reference, "linewidth": 1.3}, whiskerprops={"color": QUIET, "linewidth": 0.8},
        capprops={"color": QUIET, "linewidth": 0.8},
        flierprops={
            "marker": "o", "markersize": 2.5, "markerfacecolor": theme.points, "markeredgewidth": 0, "alpha": 0.5,
        },
    )  # fmt: skip
    axes.axvline(1.0, color=theme.reference, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    axes.set_yticks(places, [effect_name(fit, k) for k in shown])
    axes.set_xlim(0.0, max(1.08, 1.05 * max(float(r.max()) for r in ratios if len(r))))
    axes.set_xlabel("posterior SD / ω")
    axes.tick_params(axis="y", length=0)
    return figure
