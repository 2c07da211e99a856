"""Summaries of a bootstrap against numpy and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nlmevae.results.bootstrap_result import bca_interval, summarise
from nlmevae.results.fit_record import FitRecord, StudyParameter

CL = StudyParameter(name="THETA(1)", label="CL", value=2.0, estimated=True)
FIXED = StudyParameter(name="THETA(2)", label="F", value=1.0, estimated=False)


def records(values, status="CONVERGED", first=1):
    return tuple(
        FitRecord(number=k, status=status, minus_two_ll=1.0, values=(float(v), 1.0))
        for k, v in enumerate(values, first)
    )


def test_moments_and_percentiles_are_numpys():
    values = np.random.default_rng(1).gamma(3.0, size=57)
    (found,) = summarise((CL, FIXED), records(values), {})
    assert found.n == 57
    assert found.mean == pytest.approx(np.mean(values), rel=1e-14)
    assert found.median == np.median(values)
    assert found.standard_error == pytest.approx(np.std(values, ddof=1), rel=1e-14)
    assert found.bias == pytest.approx(np.mean(values) - 2.0, rel=1e-12)
    assert found.percentiles == tuple(np.percentile(values, [2.5, 5, 95, 97.5]))


def test_failed_fits_are_left_out():
    good, bad = records([1.0, 2.0, 3.0]), records([1e9], status="NOT_CONVERGED", first=4)
    nothing = (FitRecord(number=5, status="REFUSED", message="no"),)
    (found,) = summarise((CL, FIXED), (*good, *bad, *nothing), {})
    assert (found.n, found.mean) == (3, 2.0)


@pytest.mark.parametrize("values", [[], [3.0]])
def test_without_two_fits_there_is_no_standard_error(values):
    (found,) = summarise((CL, FIXED), records(values), {"THETA(1)": 0.1})
    assert math.isnan(found.standard_error)
    assert all(map(math.isnan, (*found.percentiles, *found.bca)))


def test_bca_limits_are_scipys_for_the_mean_of_skewed_numbers():
    x = np.random.default_rng(2).exponential(size=40)
    theirs = stats.bootstrap(
        (x,), np.mean, n_resamples=4000, method="BCa", confidence_level=0.95, rng=np.random.default_rng(3)
    )
    without_one = (x.sum() - x) / (len(x) - 1)
    difference = without_one.mean() - without_one
    acceleration = (difference**3).sum() / (6 * (difference**2).sum() ** 1.5)
    found = bca_interval(theirs.bootstrap_distribution, float(x.mean()), acceleration)
    # scipy takes order statistics where we go linearly between them: 4000 values lie close there
    assert found == pytest.approx(tuple(theirs.confidence_interval), abs=0.01)


def test_without_bias_and_acceleration_bca_is_the_percentile_interval():
    values = np.arange(-500, 501) / 100.0
    assert bca_interval(values, 0.0, 0.0) == pytest.approx(np.percentile(values, [2.5, 97.5]), rel=1e-10)


@pytest.mark.parametrize(("estimate", "acceleration"), [(10.0, 0.0), (-1.0, 0.0), (0.5, math.nan)])
def test_bca_is_not_invented(estimate, acceleration):
    assert all(map(math.isnan, bca_interval(np.linspace(0, 1, 50), estimate, acceleration)))
