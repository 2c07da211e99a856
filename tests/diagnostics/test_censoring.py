import numpy as np

from nlmevae.diagnostics.censoring import censored_by, censoring
from tests.helpers.pheno import pheno_run

INF, NAN = np.inf, np.nan


def test_without_intervals_nothing_is_censored():
    found = censoring(pheno_run().table)
    assert not found.censored.any()
    assert np.all(found.limit == -INF)


def test_known_values_get_the_largest_limit_they_exceed():
    """Two limits, of two assays."""
    lower, upper = np.array([-INF, -INF, NAN, NAN, NAN]), np.array([1.0, 5.0, NAN, NAN, NAN])
    found = censored_by(lower, upper, np.array([1.0, 5.0, 0.5, 3.0, 9.0]), np.zeros(5))
    assert list(found.limit) == [1, 5, 1, 1, 5]
    assert list(found.below) == [True, True, False, False, False]


def test_kinds_have_limits_of_their_own():
    lower, upper = np.array([-INF, NAN, NAN]), np.array([1.0, NAN, NAN])
    found = censored_by(lower, upper, np.array([1.0, 2.0, 2.0]), np.array([0, 0, 1]))
    assert list(found.limit) == [1, 1, -INF]


def test_an_interval_from_zero_is_open_for_positive_data_only():
    lower, upper = np.array([0.0, NAN]), np.array([1.0, NAN])
    assert list(censored_by(lower, upper, np.array([1.0, 2.0]), np.zeros(2)).below) == [True, False]
    assert list(censored_by(lower, upper, np.array([1.0, -2.0]), np.zeros(2)).below) == [False, False]


def test_values_above_a_limit_are_censored_but_not_below():
    lower, upper = np.array([50.0, NAN]), np.array([INF, NAN])
    found = censored_by(lower, upper, np.array([50.0, 2.0]), np.zeros(2))
    assert list(found.censored) == [True, False]
    assert not found.below.any()
    assert np.all(found.limit == -INF)
