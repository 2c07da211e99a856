"""Normalised prediction distribution errors: plots, and the tests of Brendel et al. (2006, 2010)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nlmevae.report.plots.goodness_of_fit import residuals_over
from nlmevae.report.plots.normal_plot import normal_plot
from nlmevae.report.plots.panel import empty, grid, legend_below
from nlmevae.report.style import COLOUR, Theme, in_house_style, shorten
from nlmevae.results.diagnostics import Diagnostics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Shapiro and Wilk's p-value is reliable up to here (Royston 1995).
MOST_FOR_SHAPIRO = 5000
FEWEST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class NpdeTests:
    """Of the hypothesis that NPDE are N(0, 1): p-values, NaN where not computed.

    `mean`: t-test (p_mean). `variance`: chi-squared test that it is 1. `normality`: Shapiro and Wilk up to 5000 values,
    D'Agostino and Pearson above. `overall`: three times the smallest (Bonferroni), at most 1.
    """

    n: int
    mean_value: float
    variance_value: float
    mean: float
    variance: float
    normality: float

    @property
    def overall(self) -> float:
        return min(1.0, 3.0 * min(self.mean, self.variance, self.normality))


def npde_tests(values: np.ndarray) -> NpdeTests:
    """The three tests of Brendel et al. (2010, J Pharmacokinet Pharmacodyn 37:49-65) and their combination."""
    from scipy.stats import chi2, normaltest, shapiro, ttest_1samp

    x = values[np.isfinite(values)]
    n = len(x)
    if n < FEWEST or np.ptp(x) == 0.0:
        nan = float("nan")
        return NpdeTests(n=n, mean_value=float(x.mean()) if n else nan, variance_value=nan, mean=nan, variance=nan,
                         normality=nan)  # fmt: skip
    variance = float(x.var(ddof=1))
    statistic = (n - 1) * variance
    normal = shapiro(x) if n <= MOST_FOR_SHAPIRO else normaltest(x)
    return NpdeTests(
        n=n,
        mean_value=float(x.mean()),
        variance_value=variance,
        mean=float(ttest_1samp(x, 0.0).pvalue),
        variance=float(2.0 * min(chi2.cdf(statistic, n - 1), chi2.sf(statistic, n - 1))),
        normality=float(normal.pvalue),
    )


@in_house_style
def npde_figure(diagnostics: Diagnostics, endpoint: int = 0, *, theme: Theme = COLOUR) -> Figure:
    """Normal plot, histogram over N(0, 1), and NPDE over time and PRED, of one endpoint."""
    o = diagnostics.observations
    chosen = o.endpoint == endpoint
    npde = o.npde[chosen]
    figure, panels = grid(4, columns=2, height=2.6)
    normal_plot(panels[0], npde, name="NPDE", theme=theme)
    normal_histogram(panels[1], npde, name="NPDE", theme=theme)
    time = shorten(diagnostics.time_name, 20)
    residuals_over(panels[2], o.time[chosen], npde, name="NPDE", x_name=time, theme=theme)
    residuals_over(panels[3], o.pred[chosen], npde, name="NPDE", x_name="PRED", theme=theme)
    legend_below(figure, panels)
    return figure


def normal_histogram(
    axes: Axes, values: np.ndarray, *, name: str, theme: Theme, sd: float = 1.0, expected: str = "N(0, 1)"
) -> None:
    """Density histogram (bins by Freedman and Diaconis, at most 40) and the density of N(0, sd^2), called "
    "`expected`."""
    values = values[np.isfinite(values)]
    if len(values) < 3:
        empty(axes, f"fewer than 3 values of {name}")
        return
    n_bins = int(np.clip(len(np.histogram_bin_edges(values, bins="fd")) - 1, 5, 40)) if np.ptp(values) > 0.0 else 5
    axes.hist(values, bins=n_bins, density=True, color=theme.outer, edgecolor="white", linewidth=0.5)
    end = 1.05 * max(float(np.abs(values).max()), 3.2 * sd)
    x = np.linspace(-end, end, 201)
    if sd > 0.0:
        axes.plot(
            x, np.exp(-0.5 * (x / sd) ** 2) / (sd * np.sqrt(2.0 * np.pi)), color=theme.reference, linewidth=1.2,
            label=expected,
        )  # fmt: skip
    axes.set_xlim(-end, end)
    axes.set_xlabel(name)
    axes.set_ylabel("density")
