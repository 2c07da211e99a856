from dataclasses import replace

import numpy as np
import pytest

import nlmevae
from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.polish import polish
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.uncertainty import uncertainty
from tests.helpers.cases import stage
from tests.helpers.linear_gaussian import exact_minus_two_ll, random_intercept_and_slope

#: The residual part of the information is its expectation over y, and the draws have an error of their own.
EXPECTED_NOT_OBSERVED = 0.08
#: Monolix's are by stochastic approximation, of an estimate that differs a little.
OTHER_METHOD = 0.10


def exact_covariance(problem, population):
    """Inverse Hessian of the exact log-likelihood in THETA, SIGMA and OMEGA (diagonal), by central differences."""
    free = [("thetas", (i,)) for i, t in enumerate(problem.model.thetas) if not t.fixed]
    free += [("sigma", (0, 0))]
    free += [("omega", (i, i)) for i in range(len(population.omega)) if problem.omega_mask[i, i]]
    start = np.array([getattr(population, field)[index] for field, index in free])

    def objective(x):
        moved = population
        for (field, index), value in zip(free, x, strict=True):
            array = getattr(moved, field).copy()
            array[index] = value
            moved = replace(moved, **{field: array})
        return exact_minus_two_ll(problem, moved).sum()

    h = 1e-3 * np.maximum(np.abs(start), 1e-2)
    n = len(start)
    hessian = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            corners = [
                si * sj * objective(start + si * h[i] * np.eye(n)[i] + sj * h[j] * np.eye(n)[j])
                for si in (1, -1)
                for sj in (1, -1)
            ]
            hessian[i, j] = sum(corners) / (4 * h[i] * h[j])
    return np.linalg.inv(hessian / 2)


@pytest.mark.parametrize("variant", [{}, {"covariate": True}])
def test_standard_errors_of_a_linear_model_are_those_of_its_exact_likelihood(variant):
    problem = random_intercept_and_slope(n_subjects=60, **variant)
    outcome = polish(problem, problem.initial, None, FitSettings(n_draws=2048), np.random.default_rng(1))
    exact = np.sqrt(np.diag(exact_covariance(problem, outcome.population)))
    errors = outcome.uncertainty.standard_errors
    assert errors[errors > 0] == pytest.approx(exact, rel=EXPECTED_NOT_OBSERVED)


def test_parameters_that_are_not_estimated_have_no_standard_error():
    problem = random_intercept_and_slope(fixed_thetas=(2,))
    outcome = polish(problem, problem.initial, None, FitSettings(n_draws=256), np.random.default_rng(1))
    assert outcome.uncertainty.standard_errors[1] == 0.0


def test_singular_information_gives_no_standard_errors_and_a_sentence(tmp_path):
    control_stream = stage("theophylline_base", tmp_path)[0]
    text = control_stream.read_text()
    control_stream.write_text(
        text.replace("V  = THETA(3)*EXP", "V  = THETA(3)*THETA(4)*EXP").replace(
            "(0, 30)    ; V (L)", "(0, 30)    ; V (L)\n  (0, 1)    ; TWIN"
        )
    )
    result = nlmevae.fit(control_stream)
    assert all(e.standard_error is None for e in result.estimates)
    assert any(w.startswith("Standard errors are not given") for w in result.warnings)


def test_standard_errors_of_the_effect_of_sex_on_warfarin_are_monolixs(tmp_path):
    control_stream = stage("warfarin", tmp_path)[0]
    text = control_stream.read_text()
    text = text.replace("V  = THETA(3)*EXP(", "V  = THETA(3)*EXP(THETA(7)*(1-SEX)+")
    text = text.replace("CL = THETA(4)*EXP(", "CL = THETA(4)*EXP(THETA(8)*(1-SEX)+")
    control_stream.write_text(text.replace("$OMEGA", "  -0.1 ; V_F\n  -0.1 ; CL_F\n$OMEGA"))
    errors = {e.label: e.standard_error for e in nlmevae.fit(control_stream).estimates}
    assert errors["V_F"] == pytest.approx(0.0851, rel=OTHER_METHOD)  # populationParameters.txt of w3
    assert errors["CL_F"] == pytest.approx(0.1412, rel=OTHER_METHOD)


def test_the_uncertainty_does_not_depend_on_bounds():
    problem = random_intercept_and_slope(n_subjects=30)
    outcome = polish(problem, problem.initial, None, FitSettings(n_draws=512), np.random.default_rng(1))
    at = outcome.population.thetas[0]
    theta = replace(problem.model.thetas[0], lower=at - 1e-9, init=at)
    bounded = replace(problem, model=replace(problem.model, thetas=(theta, *problem.model.thetas[1:])))
    from tests.estimation.test_polish import sample_at

    sample = sample_at(problem, outcome.population)
    limited = replace(sample, problem=bounded, coordinates=Coordinates.of(problem))
    expected = uncertainty(sample, outcome.population).covariance
    assert uncertainty(limited, outcome.population).covariance == pytest.approx(expected)
