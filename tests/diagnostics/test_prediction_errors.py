import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import kstest, norm

from nlmevae.diagnostics.prediction_errors import prediction_errors


def errors(y, simulated, ptr, below=None, seed=1):
    below = np.zeros(len(y), dtype=bool) if below is None else below
    return prediction_errors(y, simulated, np.array(ptr), below=below, seed=seed)


def correlated(n_subjects, n_obs, n_draws, rng):
    root = rng.normal(size=(n_obs, n_obs)) + 2 * np.eye(n_obs)
    draws = 5.0 + rng.standard_normal((n_draws, n_subjects, n_obs)) @ root.T
    return draws.reshape(n_draws, -1), np.arange(0, n_subjects * n_obs + 1, n_obs), root


def test_of_gaussian_data_from_the_model_npde_is_standard_normal_and_uncorrelated():
    rng = np.random.default_rng(1)
    draws, ptr, _ = correlated(400, 3, 1001, rng)
    npde = errors(draws[0], draws[1:], ptr).npde
    assert kstest(npde, "norm").pvalue > 0.01
    correlation = np.corrcoef(npde.reshape(-1, 3), rowvar=False)
    assert np.abs(correlation - np.eye(3)).max() < 4 / np.sqrt(400)


def test_npde_is_the_whitened_residual_of_a_gaussian_model_up_to_simulation_error():
    rng = np.random.default_rng(2)
    draws, ptr, root = correlated(50, 3, 20001, rng)
    exact = np.linalg.solve(np.linalg.cholesky(root @ root.T), draws[0].reshape(-1, 3).T - 5.0).T.ravel()
    found = errors(draws[0], draws[1:], ptr)
    central = np.abs(exact) < 2
    # sd of Phi^-1(share) is sqrt(p (1 - p) / K) / phi: 0.02 at 2 SD with 20000 simulations
    assert found.npde[central] == pytest.approx(exact[central], abs=0.08)
    assert found.weighted == pytest.approx(exact, abs=0.1)


def test_npd_is_the_rank_among_the_simulations():
    y, simulated = np.array([2.5]), np.array([[1.0], [2.0], [3.0], [4.0]])
    assert errors(y, simulated, [0, 1]).npd == pytest.approx(ndtri(0.5))
    assert errors(y, simulated, [0, 1]).expected == pytest.approx(2.5)


def test_beyond_all_simulations_the_error_stays_finite():
    simulated = np.array([[1.0], [2.0], [3.0], [4.0]])
    assert errors(np.array([9.0]), simulated, [0, 1]).npd == pytest.approx(ndtri(1 - 1 / 8))
    assert errors(np.array([-9.0]), simulated, [0, 1]).npd == pytest.approx(ndtri(1 / 8))


def test_values_below_a_limit_get_errors_of_the_model_truncated_there():
    """y ~ N(0, 1), limit -0.5: with the limit in place of the value npd has to be standard normal all the same."""
    rng = np.random.default_rng(3)
    simulated = rng.standard_normal((2000, 1500))
    y = rng.standard_normal(1500)
    below = y < -0.5
    y[below] = -0.5
    found = errors(y, simulated, np.arange(1501), below)
    assert kstest(found.npd, "norm").pvalue > 0.01
    assert found.npd[below].max() < norm.ppf(norm.cdf(-0.5)) + 0.1


def test_too_few_simulations_give_no_npde_but_npd():
    rng = np.random.default_rng(4)
    found = errors(np.zeros(5), rng.standard_normal((5, 5)), [0, 5])
    assert np.isnan(found.npde).all()
    assert np.isfinite(found.npd).all()


def test_failed_simulations_of_one_subject_leave_the_others_alone():
    rng = np.random.default_rng(5)
    simulated = rng.standard_normal((100, 4))
    broken = simulated.copy()
    broken[:, 2] = np.nan
    found, whole = errors(np.zeros(4), broken, [0, 2, 4]), errors(np.zeros(4), simulated, [0, 2, 4])
    assert np.array_equal(found.npde[:2], whole.npde[:2])
    assert np.isnan(found.npd[2:]).all()


def test_subjects_without_observations_are_skipped():
    rng = np.random.default_rng(6)
    found = errors(np.zeros(2), rng.standard_normal((50, 2)), [0, 0, 2, 2])
    assert np.isfinite(found.npde).all()
