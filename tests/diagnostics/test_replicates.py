import numpy as np
import pytest

from nlmevae.diagnostics import replicates as module
from nlmevae.diagnostics.replicates import replicates, simulate_observations
from tests.helpers.linear_gaussian import random_intercept_and_slope


@pytest.fixture(scope="module")
def problem():
    return random_intercept_and_slope(n_subjects=12, block=True, empty_subject=True)


@pytest.fixture(scope="module")
def joint(problem):
    return problem.joint(problem.initial)


def test_simulated_observations_have_the_mean_and_covariance_of_the_model(problem, joint):
    y = simulate_observations(joint, 4000, seed=1).y
    rows = slice(0, problem.table.ob_ptr[1])
    h = problem.decoder.design[rows]
    covariance = h @ joint.omega @ h.T + joint.coefficients[0] ** 2 * np.eye(len(h))
    # standard errors: sqrt(V / K) of means, about V sqrt(2 / K) of covariances; four of them
    assert y[:, rows].mean(axis=0) == pytest.approx(h @ joint.mean[0], abs=4 * np.sqrt(covariance.max() / 4000))
    assert np.cov(y[:, rows], rowvar=False) == pytest.approx(covariance, abs=4 * covariance.max() * np.sqrt(2 / 4000))


def test_a_replicate_depends_on_seed_and_number_only(joint, monkeypatch):
    whole = [r.y for r in replicates(joint, 5, seed=3)]
    assert np.array_equal(next(replicates(joint, 1, seed=3, first=4)).y, whole[4])
    monkeypatch.setattr(module, "_PREDICTIONS_AT_ONCE", 1)
    assert all(np.array_equal(r.y, y) for r, y in zip(replicates(joint, 5, seed=3), whole, strict=True))
    assert not np.array_equal(next(replicates(joint, 1, seed=4)).y, whole[0])


def test_without_random_effects_and_error_it_is_the_population_prediction(joint):
    replicate = next(replicates(joint, 1, seed=1, random_effects=False, residual_error=False))
    assert np.array_equal(replicate.y, joint.predict(joint.mean))


def test_switching_the_error_off_leaves_the_random_effects_as_they_were(joint):
    on, off = (next(replicates(joint, 1, seed=1, residual_error=flag)) for flag in (True, False))
    assert np.array_equal(on.z, off.z)
    assert np.array_equal(off.y, on.prediction)


def test_steps_are_told(joint):
    told = []
    simulate_observations(joint, 3, seed=1, steps=lambda *step: told.append(step))
    assert told == [("simulating", 1, 3), ("simulating", 2, 3), ("simulating", 3, 3)]
