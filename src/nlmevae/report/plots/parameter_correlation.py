"""Correlations between the estimates, as a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nlmevae.report.plots.panel import empty, grid
from nlmevae.report.style import COLOUR, INK, Theme, in_house_style, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Up to here every cell has its number.
MOST_NUMBERS = 14


@in_house_style
def parameter_correlation_figure(correlation: np.ndarray, labels: Sequence[str], *, theme: Theme = COLOUR) -> Figure:
    """(P, P) correlation matrix of P estimates; only the lower triangle is drawn."""
    from matplotlib.figure import Figure

    n = len(labels)
    if n < 2:
        figure, (axes,) = grid(1, columns=1, height=1.5)
        empty(axes, "fewer than two estimates have a standard error")
        return figure
    size = float(np.clip(1.6 + 0.42 * n, 3.6, 7.6))
    figure = Figure(figsize=(size + 0.5, size - 0.4), layout="constrained")
    axes = figure.add_subplot()
    shown = np.where(np.tri(n, k=-1, dtype=bool), correlation, np.nan)
    colours = "RdBu_r" if theme.name == COLOUR.name else "Greys"
    values = shown if theme.name == COLOUR.name else np.abs(shown)
    image = axes.imshow(values, cmap=colours, vmin=-1.0 if theme.name == COLOUR.name else 0.0, vmax=1.0)
    axes.set_xticks(range(n), [shorten(text, 14) for text in labels], rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n), [shorten(text, 14) for text in labels])
    axes.set_xlim(-0.5, n - 1.5)
    axes.set_ylim(n - 0.5, 0.5)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=8)
    if n <= MOST_NUMBERS:
        for i in range(n):
            for j in range(i):
                if np.isfinite(shown[i, j]):
                    ink = "white" if abs(shown[i, j]) > 0.65 else INK
                    axes.text(
                        j, i, f"{shown[i, j]:.2f}".replace("-", "−"), ha="center", va="center", fontsize=7, color=ink
                    )
    bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02)
    bar.set_label("correlation" if theme.name == COLOUR.name else "|correlation|")
    bar.outline.set_visible(False)
    return figure
