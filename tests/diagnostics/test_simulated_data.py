import numpy as np
import pytest

from nlmevae.diagnostics.parameter_draws import ParameterDraws
from nlmevae.diagnostics.simulated_data import simulated_data
from nlmevae.errors import SettingsError
from nlmevae.estimation.population import Population
from tests.helpers.linear_gaussian import random_intercept_and_slope


@pytest.fixture(scope="module")
def problem():
    return random_intercept_and_slope(n_subjects=15, block=True)


def test_predictions_parameters_and_values_fit_together(problem):
    joint = problem.joint(problem.initial)
    for one in simulated_data(problem, problem.initial, 3, seed=5):
        assert one.pred == pytest.approx(joint.predict(joint.mean))
        assert one.ipred == pytest.approx(joint.predict(one.psi))  # the parameters are not transformed
        assert not np.array_equal(one.dv, one.ipred)


def test_switching_parts_off_leaves_the_rest(problem):
    full = next(simulated_data(problem, problem.initial, 1))
    quiet = next(simulated_data(problem, problem.initial, 1, residual_error=False))
    typical = next(simulated_data(problem, problem.initial, 1, random_effects=False))
    assert np.array_equal(quiet.dv, full.ipred)
    assert np.array_equal(typical.ipred, full.pred)
    assert typical.dv - typical.ipred == pytest.approx(full.dv - full.ipred)


def covariance(problem, sd=0.1):
    """Only the first THETA is uncertain."""
    matrix = np.zeros((len(problem.initial.vector()),) * 2)
    matrix[0, 0] = sd**2
    return matrix


def test_drawn_parameters_have_the_covariance_of_the_estimates(problem):
    rng = np.random.default_rng(0)
    root = 0.01 * rng.normal(size=(6, 6))  # two THETAs, one SIGMA, three OMEGAs
    draws = ParameterDraws.of(problem.model, problem.initial, root @ root.T)
    found = np.array([draws.draw(k, seed=1).vector() for k in range(4000)])
    scale = (root @ root.T).max()
    # standard errors: sqrt(V / K) and about V sqrt(2 / K); four of them
    assert found.mean(axis=0) == pytest.approx(problem.initial.vector(), abs=4 * np.sqrt(scale / 4000))
    assert np.cov(found, rowvar=False) == pytest.approx(root @ root.T, abs=4 * scale * np.sqrt(2 / 4000))


def test_draws_that_are_no_parameters_are_not_used(problem):
    """A variance of 1 with standard error 2 would be negative in a third of the draws."""
    wide = np.zeros((6, 6))
    wide[3, 3] = 4.0
    draws = ParameterDraws.of(problem.model, problem.initial, wide)
    assert all(np.linalg.eigvalsh(draws.draw(k, seed=1).omega)[0] > 0 for k in range(100))


def test_every_replicate_has_parameters_of_its_own(problem):
    draws = ParameterDraws.of(problem.model, problem.initial, covariance(problem))
    made = list(simulated_data(problem, problem.initial, 200, uncertainty=draws, random_effects=False))
    assert np.std([one.psi[0, 0] for one in made]) == pytest.approx(0.1, rel=0.2)  # 4 / sqrt(2 * 200)
    again = list(simulated_data(problem, problem.initial, 2, uncertainty=draws, random_effects=False))
    assert np.array_equal(made[1].dv, again[1].dv)


def test_a_covariance_without_a_number_or_of_another_model_is_refused(problem):
    for matrix in (np.full((6, 6), np.nan), np.zeros((3, 3))):
        with pytest.raises(SettingsError, match="covariance"):
            ParameterDraws.of(problem.model, problem.initial, matrix)


def test_draws_that_can_never_be_parameters_end_with_a_message(problem):
    centre = Population(thetas=problem.initial.thetas, omega=-np.eye(2), sigma=problem.initial.sigma)
    draws = ParameterDraws(
        population=centre,
        root=np.zeros((6, 6)),
        lower=np.full(2, 100.0),
        upper=np.full(2, 200.0),
    )
    with pytest.raises(SettingsError, match="bounds"):
        draws.draw(0, seed=1)
