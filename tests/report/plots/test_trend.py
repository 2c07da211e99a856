"""Local regression, against weighted least squares done point by point with numpy's polyfit."""

import numpy as np
import pytest

from nlmevae.report.plots.trend import trend


def brute_force(x, y, at, share):
    """Cleveland's definition, one weighted polynomial fit for each place."""
    n_near = int(np.ceil(share * len(x)))
    values = []
    for point in at:
        distance = np.abs(x - point)
        reach = np.sort(distance)[n_near - 1] * (1 + 1e-9)
        weight = np.where(distance <= reach, (1 - np.minimum(distance / reach, 1) ** 3) ** 3, 0.0)
        values.append(np.polyfit(x - point, y, 1, w=np.sqrt(weight))[1])
    return np.array(values)


@pytest.mark.parametrize("n", [40, 200])
@pytest.mark.parametrize("share", [0.4, 2 / 3])
def test_the_trend_is_the_weighted_least_squares_line_at_every_place(n, share):
    rng = np.random.default_rng(n)
    x = rng.uniform(0, 10, n)
    y = np.sin(x) + rng.normal(0, 0.3, n)
    at, value = trend(x, y, share=share)
    assert at[0] == x.min()
    assert at[-1] == x.max()
    np.testing.assert_allclose(value, brute_force(x, y, at, share), rtol=1e-6, atol=1e-8)


def test_points_on_a_line_have_that_line_as_their_trend():
    x = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 9.0, 9.0, 9.0])
    at, value = trend(x, 3.0 - 2.0 * x)
    assert list(at) == [0.0, 1.0, 2.0, 4.0, 9.0]
    np.testing.assert_allclose(value, 3.0 - 2.0 * at, atol=1e-9)


def test_missing_values_are_left_out():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=50), rng.normal(size=50)
    holed = np.concatenate([x, [np.nan, 1.0, 2.0]]), np.concatenate([y, [0.0, np.nan, np.inf]])
    np.testing.assert_array_equal(trend(x, y), trend(*holed))


@pytest.mark.parametrize("x", [np.zeros(0), np.arange(9.0), np.repeat([1.0, 2.0, 3.0], 20)])
def test_too_few_points_or_places_have_no_trend(x):
    at, value = trend(x, x)
    assert len(at) == len(value) == 0
