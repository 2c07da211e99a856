"""Censored and truncated normal values against scipy, and their slopes against differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_ndtr
from scipy.stats import norm, truncnorm

from nlmevae.decoder.interval_kernels import interval_terms, log_normal_cdf, log_normal_interval

INF = np.inf


@pytest.mark.parametrize("x", [-1e6, -300.0, -38.0, -30.0, -29.99, -8.0, -1.0, 0.0, 1e-9, 0.7, 5.0, 9.0, 40.0])
def test_the_log_of_the_normal_distribution_function(x):
    assert log_normal_cdf(x) == pytest.approx(log_ndtr(x), rel=2e-14, abs=1e-300)


def test_its_limits():
    assert log_normal_cdf(-INF) == -INF
    assert log_normal_cdf(INF) == 0.0


@pytest.mark.parametrize(
    ("low", "high"),
    [(-1.0, 1.0), (-INF, -2.0), (2.0, INF), (-INF, INF), (3.0, 4.0), (-12.0, -11.0), (20.0, 30.0), (-0.1, 8.0)],
)
def test_the_log_probability_of_an_interval(low, high):
    expected = (
        norm.logsf(low) + np.log1p(-np.exp(norm.logsf(high) - norm.logsf(low)))
        if low > 0
        else (norm.logcdf(high) + np.log1p(-np.exp(norm.logcdf(low) - norm.logcdf(high))))
    )
    assert log_normal_interval(low, high) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_a_narrow_interval_is_density_times_width():
    for middle in (-9.0, 0.3, 35.0):
        expected = norm.logpdf(middle) + np.log(1e-7)
        assert log_normal_interval(middle - 5e-8, middle + 5e-8) == pytest.approx(expected, rel=1e-7)


def test_an_interval_far_in_the_tail_keeps_its_digits():
    """Phi(-40) - Phi(-41) is about Phi(-40); its logarithm is exact to rounding."""
    expected = log_ndtr(-40.0) + np.log1p(-np.exp(log_ndtr(-41.0) - log_ndtr(-40.0)))
    assert log_normal_interval(-41.0, -40.0) == pytest.approx(expected, rel=1e-14)


CASES = {
    "left": (0.0, 1.5, 0.8, -INF, 1.0, -INF),
    "left, surprising": (0.0, 40.0, 0.8, -INF, 1.0, -INF),
    "left, certain": (0.0, 0.01, 0.1, -INF, 1.0, -INF),
    "right": (0.0, 1.5, 0.8, 2.0, INF, -INF),
    "interval": (0.0, 1.5, 0.8, 0.0, 1.0, -INF),
    "interval around": (0.0, 0.5, 0.8, 0.0, 1.0, -INF),
    "positive": (0.0, 0.7, 0.8, 0.0, 1.0, 0.0),
    "value": (1.1, 1.5, 0.8, np.nan, np.nan, -INF),
    "value above a floor": (1.1, 0.5, 0.8, np.nan, np.nan, 0.2),
    "value above a floor, from below": (1.1, -2.0, 0.8, np.nan, np.nan, 0.0),
}


def by_scipy(y, f, sd, lower, upper, floor):
    given = norm.logsf(floor, f, sd) if np.isfinite(floor) else 0.0
    if np.isnan(lower):
        return norm.logpdf(y, f, sd) - given
    return log_normal_interval((lower - f) / sd, (upper - f) / sd) - given


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_density_and_its_slopes(case):
    y, f, sd, *limits = case
    found = interval_terms(*case)
    assert found.log_density == pytest.approx(by_scipy(*case), rel=1e-12)
    h = 1e-6
    by_f = (by_scipy(y, f + h, sd, *limits) - by_scipy(y, f - h, sd, *limits)) / (2 * h)
    assert found.pull / sd == pytest.approx(by_f, rel=1e-6, abs=1e-8)
    by_s = (by_scipy(y, f, sd * np.exp(h), *limits) - by_scipy(y, f, sd * np.exp(-h), *limits)) / (2 * h)
    assert found.surplus == pytest.approx(by_s, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_information_in_f_is_minus_the_second_derivative(case):
    y, f, sd, *limits = case
    h = 1e-4 * sd
    value = [by_scipy(y, f + k * h, sd, *limits) for k in (-1, 0, 1)]
    second = -(value[0] - 2 * value[1] + value[2]) / h**2
    assert interval_terms(*case).ff / sd**2 == pytest.approx(second, rel=1e-4, abs=1e-5)


def test_a_value_above_a_floor_has_the_truncated_density():
    expected = truncnorm.logpdf(1.1, (0.2 - 0.5) / 0.8, INF, loc=0.5, scale=0.8)
    assert interval_terms(*CASES["value above a floor"]).log_density == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("f", [-3.0, 0.2, 1.0, 4.0])
@pytest.mark.parametrize("limit", [0.5, 2.0])
def test_information_over_seen_and_censored_values_is_the_fishers(f, limit):
    """E[score score'] over the values above the limit (seen) and below it (censored) equals E[information]."""
    sd, nodes, weights = 0.8, *np.polynomial.legendre.leggauss(400)
    low, high = limit, max(limit, f) + 12 * sd
    y = 0.5 * (high - low) * nodes + 0.5 * (high + low)
    mass = 0.5 * (high - low) * weights * norm.pdf(y, f, sd)
    terms = [interval_terms(v, f, sd, np.nan, np.nan, -INF) for v in y]
    terms.append(interval_terms(0.0, f, sd, -INF, limit, -INF))
    mass = np.append(mass, norm.cdf(limit, f, sd))
    score = np.array([[t.pull, t.surplus] for t in terms])
    information = np.array([[[t.ff, t.fs], [t.fs, t.ss]] for t in terms])
    assert mass.sum() == pytest.approx(1.0, abs=1e-9)
    np.testing.assert_allclose(
        np.einsum("k,ki,kj->ij", mass, score, score), np.einsum("k,kij->ij", mass, information), rtol=1e-6, atol=1e-7
    )


def test_information_is_never_negative():
    rng = np.random.default_rng(0)
    for _ in range(2000):
        f, sd, lower = rng.normal(0, 5), rng.lognormal(), rng.choice([-INF, 0.0])
        floor = rng.choice([-INF, 0.0])
        known = rng.random() < 0.5
        t = interval_terms(1.0, f, sd, np.nan if known else lower, np.nan if known else 1.0, floor)
        assert t.ff >= 0.0
        assert t.ss >= 0.0
        assert t.ff * t.ss - t.fs**2 >= -1e-9 * (1.0 + t.ff * t.ss)


def test_an_empty_interval_has_no_probability():
    assert interval_terms(0.0, 1.0, 1.0, 2.0, 2.0, -INF).log_density == -INF
    assert interval_terms(0.0, 1.0, 1.0, 3.0, 2.0, -INF).log_density == -INF
