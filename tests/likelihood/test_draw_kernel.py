import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import chi2

from nlmevae.likelihood.draw_kernel import normal_quantile, student_draws
from nlmevae.likelihood.proposal import RADIUS_RANGE, RADIUS_STEP, student_radius


def test_normal_quantiles_equal_scipy_from_tail_to_tail():
    p = np.concatenate([np.logspace(-15, -1, 60), np.linspace(0.05, 0.95, 91), 1 - np.logspace(-15, -1, 60)])
    assert [normal_quantile(x) for x in p] == pytest.approx(ndtri(p), rel=1e-13, abs=1e-15)


def test_draws_are_affine_in_the_shifted_points_of_their_component():
    rng = np.random.default_rng(0)
    points, shift = rng.random((6, 3)), rng.random((3, 3))
    loc, chol = rng.normal(size=(2, 3, 2)), np.tril(rng.normal(size=(2, 3, 2, 2)))
    z = np.empty((6, 3, 2))
    table = 2.0 + np.arange(18)  # radius(v) = 2 + v + 8.5
    student_draws(points, shift, table, -8.5, 1.0, np.array([4, 6]), loc, chol, z)
    for k, i in np.ndindex(6, 3):
        c = int(k >= 4)
        normal = ndtri((points[k] + shift[i]) % 1.0)
        expected = loc[c, i] + (normal[2] + 10.5) * chol[c, i] @ normal[:2]
        assert z[k, i] == pytest.approx(expected, abs=1e-10)


def test_the_tabulated_radius_is_that_of_the_t_distribution():
    v = np.random.default_rng(0).normal(size=1000)
    nodes = RADIUS_STEP * np.arange(len(student_radius())) - RADIUS_RANGE
    exact = np.sqrt(20.0 / chi2.ppf(ndtr(v), 20))
    assert np.interp(v, nodes, student_radius()) == pytest.approx(exact, rel=1e-6)
    assert np.isfinite(student_radius()).all()
