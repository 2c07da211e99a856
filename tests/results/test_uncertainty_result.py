"""What follows from a covariance is what simulation from it gives."""

from statistics import NormalDist

import numpy as np
import pytest

from nlmevae.results.uncertainty_result import Estimated, uncertainty_result

NAMES = ("THETA(1)", "SIGMA(1,1)", "OMEGA(1,1)", "OMEGA(2,1)", "OMEGA(2,2)")
#: Of 400 000 draws, and the delta method's own error at relative standard errors of 2 %.
SIMULATION = 0.01


def result_of(covariance, *, repeats=(), level=0.95):
    return uncertainty_result(
        Estimated(
            thetas=np.array([2.0]),
            sigma=np.array([[0.04]]),
            omega=np.array([[0.09, 0.03], [0.03, 0.04]]),
            log=np.array([True, True, True, False, True]),
        ),
        covariance,
        method="observed",
        status="",
        names=NAMES,
        mc_error=np.zeros(5),
        repeats=np.isin(range(5), repeats),
        level=level,
    )


def covariance(relative=0.02):
    errors = relative * np.array([2.0, 0.04, 0.09, 0.03, 0.04])
    return (0.3 + 0.7 * np.eye(5)) * np.outer(errors, errors)


def test_standard_errors_of_deviations_and_correlations_are_those_of_simulated_matrices():
    known = result_of(covariance())
    draws = np.random.default_rng(0).multivariate_normal([2.0, 0.04, 0.09, 0.03, 0.04], covariance(), 400_000)
    correlation = draws[:, 3] / np.sqrt(draws[:, 2] * draws[:, 4])
    assert known.sd_standard_errors[3] == pytest.approx(correlation.std(), rel=SIMULATION)
    assert known.sd_standard_errors[[1, 2, 4]] == pytest.approx(
        np.sqrt(draws[:, [1, 2, 4]]).std(axis=0), rel=SIMULATION
    )
    assert known.sd_standard_errors[0] == 0.0


def test_intervals_are_symmetric_on_their_scale():
    known = result_of(covariance(0.3))
    assert np.sqrt(known.intervals.prod(axis=1))[[0, 1, 2, 4]] == pytest.approx([2.0, 0.04, 0.09, 0.04])
    assert known.intervals[3].mean() == pytest.approx(0.03)
    assert known.symmetric_intervals.mean(axis=1) == pytest.approx([2.0, 0.04, 0.09, 0.03, 0.04])
    assert known.intervals[0, 1] == pytest.approx(2.0 * np.exp(NormalDist().inv_cdf(0.975) * 0.3))
    low, high = known.sd_intervals[3]
    assert np.arctanh([low, high]).mean() == pytest.approx(np.arctanh(0.5))
    assert -1 < low < high < 1
    assert known.sd_intervals[2] == pytest.approx(np.sqrt(known.intervals[2]))


def test_a_lower_level_gives_narrower_intervals():
    wide, narrow = (np.ptp(result_of(covariance(), level=level).intervals, axis=1) for level in (0.95, 0.5))
    assert narrow / wide == pytest.approx(NormalDist().inv_cdf(0.75) / NormalDist().inv_cdf(0.975), rel=0.01)


def test_a_repeated_block_counts_once_for_condition_and_inverse():
    shared = covariance()
    shared[4], shared[:, 4] = shared[2], shared[:, 2]
    shared[4, 4] = shared[2, 2]
    known = result_of(shared, repeats=(4,))
    assert len(known.eigenvalues) == 4
    assert known.eigenvalues == pytest.approx([0.7, 0.7, 0.7, 1.9])
    assert known.condition_number == pytest.approx(1.9 / 0.7)
    assert (known.inverse[4] == 0).all()
    assert (known.inverse @ shared)[:4, :4] == pytest.approx(np.eye(4), abs=1e-8)


def test_fixed_parameters_have_neither_interval_nor_share_in_the_condition():
    some = covariance()
    some[0], some[:, 0] = 0.0, 0.0
    known = result_of(some)
    assert np.isnan(known.intervals[0]).all()
    assert known.standard_errors[0] == 0.0
    assert not known.distinct[0]


def test_nothing_estimated_gives_empty_eigenvalues():
    known = result_of(np.zeros((5, 5)))
    assert len(known.eigenvalues) == 0
    assert np.isnan(known.condition_number)
