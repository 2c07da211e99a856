"""Normal plots: positions and band, against closed forms and simulation."""

import numpy as np
import pytest
from scipy.stats import norm

from nlmevae.report.plots.normal_plot import band_places, normal_plot, order_statistic_band, plotting_positions
from nlmevae.report.plots.panel import grid
from nlmevae.report.style import COLOUR
from tests.helpers.figures import dots, texts


def test_the_band_of_the_smallest_value_is_that_of_a_minimum():
    """P(min of n <= u) = 1 - (1 - u)^n for uniform values."""
    n = 20
    low, high = order_statistic_band(n, np.array([1]))[0]
    assert 1 - (1 - norm.cdf(low)) ** n == pytest.approx(0.025, rel=1e-9)
    assert 1 - (1 - norm.cdf(high)) ** n == pytest.approx(0.975, rel=1e-9)


def test_the_band_holds_95_percent_of_simulated_order_statistics():
    rng = np.random.default_rng(3)
    n = 15
    sorted_values = np.sort(rng.normal(size=(4000, n)), axis=1)
    band = order_statistic_band(n, np.arange(1, n + 1))
    inside = ((sorted_values > band[:, 0]) & (sorted_values < band[:, 1])).mean(axis=0)
    # standard error of a share of 0.95 among 4000 is 0.0034
    assert inside == pytest.approx(np.full(n, 0.95), abs=0.015)


@pytest.mark.parametrize("n", [3, 40, 3131])
def test_the_band_reaches_from_the_smallest_to_the_largest_value(n):
    places = band_places(n)
    assert (places[0], places[-1]) == (1, n)
    assert len(places) <= 102
    _, (axes,) = grid(1, columns=1)
    normal_plot(axes, np.linspace(-1, 1, n), name="CWRES", theme=COLOUR)
    band = axes.collections[0].get_paths()[0].vertices[:, 0]
    expected = norm.ppf(plotting_positions(n))
    assert (band.min(), band.max()) == pytest.approx((expected[0], expected[-1]))


def test_positions_are_symmetric_and_inside():
    p = plotting_positions(7)
    np.testing.assert_allclose(p + p[::-1], 1.0)
    assert 0 < p[0] < p[-1] < 1


def test_values_are_drawn_over_their_normal_quantiles():
    values = np.array([3.0, -1.0, np.nan, 0.5, 0.0])
    _, (axes,) = grid(1, columns=1)
    normal_plot(axes, values, name="CWRES", theme=COLOUR, sd=2.0)
    np.testing.assert_allclose(dots(axes)[:, 1], [-1.0, 0.0, 0.5, 3.0])
    np.testing.assert_allclose(dots(axes)[:, 0], 2.0 * norm.ppf(plotting_positions(4)))


def test_with_fewer_than_three_values_the_panel_says_so():
    figure, (axes,) = grid(1, columns=1)
    normal_plot(axes, np.array([1.0, np.nan]), name="NPDE", theme=COLOUR)
    assert "fewer than 3 values of NPDE" in texts(figure)
