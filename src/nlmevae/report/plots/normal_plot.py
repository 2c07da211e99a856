"""Normal quantile-quantile plots with the band in which they lie when the values are independent normal ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nlmevae.report.plots.panel import empty, points
from nlmevae.report.style import QUIET, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEWEST = 3
#: Places at which the band is computed, at most: it is smooth, and a quantile of the beta distribution takes time.
MOST_PLACES = 100


def plotting_positions(n: int) -> np.ndarray:
    """(n,) probabilities of the order statistics, (i - 3/8) / (n + 1/4) (Blom 1958)."""
    return (np.arange(1, n + 1) - 0.375) / (n + 0.25)


def band_places(n: int) -> np.ndarray:
    """At most `MOST_PLACES` of the ranks 1 .. n, the first and the last among them, even over the quantiles."""
    from scipy.special import ndtr, ndtri

    ends = ndtri(plotting_positions(n)[[0, -1]])
    spread = n * ndtr(np.linspace(*ends, min(n, MOST_PLACES))) + 0.5
    return np.unique(np.concatenate([[1, n], np.round(spread).clip(1, n)]).astype(int))


def order_statistic_band(n: int, i: np.ndarray, *, confidence: float = 0.95) -> np.ndarray:
    """(len(i), 2) pointwise interval of the i-th smallest (from 1) of n standard normal values: quantiles of
    Beta(i, n + 1 - i) through the normal quantile function (David and Nagaraja 2003, Order Statistics, section 2.1)."""
    from scipy.special import ndtri
    from scipy.stats import beta

    tail = (1.0 - confidence) / 2.0
    return np.column_stack([ndtri(beta.ppf(p, i, n + 1 - i)) for p in (tail, 1.0 - tail)])


def normal_plot(axes: Axes, values: np.ndarray, *, name: str, theme: Theme, sd: float = 1.0) -> None:
    """Sorted `values` over quantiles of N(0, sd^2), the identity line and the 95 % band."""
    from scipy.special import ndtri

    values = np.sort(values[np.isfinite(values)])
    if len(values) < FEWEST:
        empty(axes, f"fewer than {FEWEST} values of {name}")
        return
    n = len(values)
    expected = sd * ndtri(plotting_positions(n))
    i = band_places(n)
    band = sd * order_statistic_band(n, i)
    axes.fill_between(expected[i - 1], band[:, 0], band[:, 1], color=theme.outer, alpha=0.5, linewidth=0, zorder=0)
    end = 1.05 * max(abs(expected[0]), abs(expected[-1]))
    axes.plot([-end, end], [-end, end], color=theme.reference, linewidth=0.9, zorder=1)
    points(axes, expected, values, color=theme.points)
    axes.axhline(0.0, color=QUIET, linewidth=0.4, zorder=0)
    axes.set_xlim(-end, end)
    axes.set_xlabel("normal quantiles")
    axes.set_ylabel(name)
