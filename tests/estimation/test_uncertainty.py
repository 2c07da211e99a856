"""Standard errors: exact ones of linear models, NONMEM's and Monolix's of published ones, none where there are none."""

from dataclasses import replace

import numpy as np
import pytest

import nlmevae
from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.covariance_step import CovarianceStep, covariance_result, run_covariance_step, vector_names
from nlmevae.estimation.information import Posteriors, information_at
from nlmevae.estimation.polish import polish
from nlmevae.estimation.problem import make_problem
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.uncertainty import natural_jacobian, uncertainty
from nlmevae.frontends.nonmem.read import parse_control_stream
from nlmevae.ir import CovarianceRequest
from nlmevae.pipeline import prepare
from nlmevae.results.status import FitStatus
from tests.helpers.cases import stage
from tests.helpers.exact_information import exact_information, exact_maximum, exact_scores
from tests.helpers.linear_gaussian import exact_minus_two_ll, exact_posterior, random_intercept_and_slope
from tests.helpers.results import estimate

#: 1024 draws per subject; measured below 1 %.
MONTE_CARLO = 0.02
#: Monolix's are by stochastic approximation, of an estimate that differs a little.
OTHER_METHOD = 0.10
#: FOCE with interaction has another likelihood and other estimates; measured within 7 % (sandwich), 21 % (the others).
OTHER_LIKELIHOOD = 0.20
NONMEM = {
    "THETA(1)": 2.09967e-4, "THETA(2)": 2.68946e-2, "THETA(3)": 8.37555e-2,
    "SIGMA(1,1)": 2.27991e-3, "OMEGA(1,1)": 1.34156e-2, "OMEGA(2,2)": 7.47591e-3,
}  # fmt: skip


def linear_information(problem, population):
    mean, cov = exact_posterior(problem, population)
    posteriors = Posteriors(mode=mean, mean=mean, cov=cov)
    return information_at(problem, population, posteriors, n_draws=1024, rng=np.random.default_rng(0))


def exact_covariance(problem, population, method):
    """Of the natural parameters, from the exact likelihood."""
    bread = np.linalg.inv(exact_information(problem, population, exact_minus_two_ll))
    scores = exact_scores(problem, population, exact_minus_two_ll)
    meat = scores.T @ scores
    inner = {"observed": bread, "cross-product": np.linalg.inv(meat), "sandwich": bread @ meat @ bread}[method]
    jacobian = natural_jacobian(Coordinates.of(problem), problem, population)
    return jacobian @ inner @ jacobian.T


@pytest.fixture(scope="module", params=[{}, {"block": True}, {"fixed_quadratic": True}], ids=str)
def linear(request):
    problem = random_intercept_and_slope(n_subjects=20, **request.param)
    population = exact_maximum(problem, exact_minus_two_ll)
    return problem, population, linear_information(problem, population)


@pytest.mark.parametrize("method", ["observed", "cross-product", "sandwich"])
def test_the_covariance_of_a_linear_model_is_that_of_its_exact_likelihood(linear, method):
    problem, population, information = linear
    known = uncertainty(problem, population, information, method)
    exact = exact_covariance(problem, population, method)
    errors = np.sqrt(np.diag(exact))
    assert known.standard_errors == pytest.approx(errors, rel=MONTE_CARLO)
    free = errors > 0
    scale = np.outer(errors[free], errors[free])
    assert np.abs(known.covariance - exact)[np.ix_(free, free)] / scale == pytest.approx(0.0, abs=2 * MONTE_CARLO)


def test_the_gradient_is_that_of_the_exact_likelihood():
    problem = random_intercept_and_slope(n_subjects=20, block=True, fixed_thetas=(2,))
    population = problem.initial
    known = uncertainty(problem, population, linear_information(problem, population), "observed")
    exact = central_gradient(problem, population)
    assert known.gradient[1] == 0.0
    estimated = known.gradient != 0
    size = np.abs(exact[estimated])
    assert np.abs(known.gradient - exact)[estimated] == pytest.approx(0.0, abs=MONTE_CARLO * size.max())


def central_gradient(problem, population):
    """Of log L by the natural parameters; off-diagonal elements move both halves of the matrix."""
    n_theta, n_eps, n_eta = len(population.thetas), len(population.sigma), len(population.omega)

    def moved(k, step):
        thetas, sigma, omega = population.thetas.copy(), population.sigma.copy(), population.omega.copy()
        if k < n_theta:
            thetas[k] += step
        elif k < n_theta + n_eps * (n_eps + 1) // 2:
            add(sigma, k - n_theta, step)
        else:
            add(omega, k - n_theta - n_eps * (n_eps + 1) // 2, step)
        return exact_minus_two_ll(problem, replace(population, thetas=thetas, sigma=sigma, omega=omega)).sum()

    def add(matrix, k, step):
        i, j = (rows[k] for rows in np.tril_indices(len(matrix)))
        matrix[i, j] += step
        matrix[j, i] = matrix[i, j]

    n = n_theta + n_eps * (n_eps + 1) // 2 + n_eta * (n_eta + 1) // 2
    return np.array([-0.5 * (moved(k, 1e-5) - moved(k, -1e-5)) / 2e-5 for k in range(n)])


def test_parameters_that_are_not_estimated_have_no_standard_error():
    problem = random_intercept_and_slope(fixed_thetas=(2,))
    known = uncertainty(problem, problem.initial, linear_information(problem, problem.initial), "observed")
    assert known.standard_errors[1] == 0.0
    assert known.mc_error[1] == 0.0


def test_the_uncertainty_does_not_depend_on_bounds():
    problem = random_intercept_and_slope(n_subjects=20)
    free = uncertainty(problem, problem.initial, linear_information(problem, problem.initial), "observed")
    at = problem.initial.thetas[0]
    theta = replace(problem.model.thetas[0], lower=at - 1e-3)
    bounded = replace(problem, model=replace(problem.model, thetas=(theta, *problem.model.thetas[1:])))
    near = uncertainty(bounded, problem.initial, linear_information(bounded, problem.initial), "observed")
    assert near.covariance == pytest.approx(free.covariance)


def test_a_theta_at_its_bound_is_held_and_the_others_are_those_of_the_model_with_it_fixed():
    problem = random_intercept_and_slope(n_subjects=20, upper=0.5)
    fixed = random_intercept_and_slope(n_subjects=20, fixed_thetas=(1,))
    assert problem.initial.thetas[0] == 0.5
    held = uncertainty(problem, problem.initial, linear_information(problem, problem.initial), "observed")
    other = uncertainty(fixed, problem.initial, linear_information(fixed, problem.initial), "observed")
    assert held.at_bound == (0,)
    assert held.standard_errors[0] == 0.0
    assert held.covariance == pytest.approx(other.covariance, rel=1e-6)


# models from text ---------------------------------------------------------------------------------------


def problem_of(stream, text):
    run = prepare(parse_control_stream(text, str(stream)))
    form = latent_form(run.model, run.table)
    return make_problem(run.model, form, run.table, make_decoder(form, run.table, backend="auto", rtol=None))


def polished(stream, text=None):
    """Problem, population and posteriors at the maximum of the likelihood, without the VAE."""
    problem = problem_of(stream, text or stream.read_text())
    found = polish(problem, problem.initial, None, FitSettings(n_alternatives=0), np.random.default_rng(1))
    posteriors = Posteriors(mode=found.modes.mean, mean=found.weighted.mean, cov=found.weighted.cov)
    return problem, found.population, posteriors


def named_errors(problem, known):
    return dict(zip(vector_names(problem.model), known.standard_errors, strict=True))


def test_standard_errors_of_phenobarbital_are_nonmems(tmp_path):
    problem, population, posteriors = polished(stage("phenobarbital_real", tmp_path)[0])
    known = run_covariance_step(problem, population, posteriors, "sandwich", np.random.default_rng(1))
    errors = named_errors(problem, known)
    assert {name: errors[name] for name in NONMEM} == pytest.approx(NONMEM, rel=OTHER_LIKELIHOOD)
    assert np.nanmax(known.mc_error) < MONTE_CARLO


def test_parameters_the_data_do_not_separate_get_no_number_and_the_others_keep_theirs(tmp_path):
    stream = stage("theophylline_base", tmp_path)[0]
    text = stream.read_text()
    problem, population, posteriors = polished(stream, text)
    alone = named_errors(problem, run_covariance_step(problem, population, posteriors, "observed", rng()))
    twins = text.replace("V  = THETA(3)*EXP", "V  = THETA(3)*THETA(4)*EXP")
    twins = twins.replace("(0, 30)    ; V (L)", "(0, 30)    ; V (L)\n  (0, 1)    ; TWIN")
    two = problem_of(stream, twins)
    there = replace(population, thetas=np.append(population.thetas, 1.0))
    known = run_covariance_step(two, there, posteriors, "observed", rng())
    errors = named_errors(two, known)
    assert np.isnan([errors.pop("THETA(3)"), errors.pop("THETA(4)")]).all()
    alone.pop("THETA(3)")
    assert errors == pytest.approx(alone, rel=3 * MONTE_CARLO)  # other draws
    sentence = covariance_result(two, there, known, estimates_of(two), reason="").status
    assert "THETA(3) (V)" in sentence.split("do not determine")[1]
    assert "THETA(4) (TWIN) by -10.0 %" in sentence or "THETA(3) (V) by -10.0 %" in sentence
    assert "KA" not in sentence


def test_a_variance_at_zero_is_held_and_the_others_are_those_of_the_model_without_it(tmp_path):
    stream = stage("theophylline_base", tmp_path)[0]
    text = stream.read_text()
    without = text.replace("0.05       ; IIV_V", "0 FIX")
    fixed, population, posteriors = polished(stream, without)
    alone = run_covariance_step(fixed, population, posteriors, "observed", rng())
    problem = problem_of(stream, text)
    omega = population.omega.copy()
    omega[2, 2] = 1e-5
    mean = problem.mean.mean(population.thetas)
    there = Posteriors(
        mode=np.column_stack([posteriors.mode, mean[:, 2]]),
        mean=np.column_stack([posteriors.mean, mean[:, 2]]),
        cov=np.array([np.block([[c, np.zeros((2, 1))], [np.zeros((1, 2)), 1e-5]]) for c in posteriors.cov]),
    )
    known = run_covariance_step(problem, replace(population, omega=omega), there, "observed", rng())
    assert [vector_names(problem.model)[i] for i in known.at_bound] == ["OMEGA(3,3)"]
    assert known.standard_errors == pytest.approx(alone.standard_errors, rel=2 * MONTE_CARLO)
    assert known.standard_errors[2] > 0  # V, whose random effect it is


def rng():
    return np.random.default_rng(3)


def estimates_of(problem):
    """Estimates with the names and labels of the model; values are not read."""
    labels = {t.name: t.label for t in problem.model.thetas}
    return tuple(
        estimate(name, labels.get(name, name), name[:5].lower(), 1, 1, init=1.0, value=1.0)
        for name in vector_names(problem.model)
    )


@pytest.mark.slow
def test_standard_errors_of_the_effect_of_sex_on_warfarin_are_monolixs(tmp_path):
    stream = stage("warfarin", tmp_path)[0]
    text = stream.read_text()
    text = text.replace("V  = THETA(3)*EXP(", "V  = THETA(3)*EXP(THETA(7)*(1-SEX)+")
    text = text.replace("CL = THETA(4)*EXP(", "CL = THETA(4)*EXP(THETA(8)*(1-SEX)+")
    stream.write_text(text.replace("$OMEGA", "  -0.1 ; V_F\n  -0.1 ; CL_F\n$OMEGA"))
    errors = {e.label: e.standard_error for e in nlmevae.fit(stream, covariance="observed").estimates}
    assert errors["V_F"] == pytest.approx(0.0851, rel=OTHER_METHOD)  # populationParameters.txt of w3
    assert errors["CL_F"] == pytest.approx(0.1412, rel=OTHER_METHOD)


# what is asked for --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "record", "method"),
    [
        ("auto", None, "observed"),
        ("auto", CovarianceRequest(), "sandwich"),
        ("auto", CovarianceRequest(matrix="R"), "observed"),
        ("auto", CovarianceRequest(matrix="S"), "cross-product"),
        ("auto", CovarianceRequest(omitted=True), None),
        ("none", CovarianceRequest(matrix="R"), None),
        ("observed", CovarianceRequest(matrix="S", omitted=True), "observed"),
    ],
)
def test_the_setting_wins_over_the_record_and_the_record_over_the_default(setting, record, method):
    model = replace(random_intercept_and_slope(n_subjects=6).model, covariance=record)
    assert CovarianceStep.of(model, FitSettings(covariance=setting)).method == method


def test_a_fit_that_did_not_converge_has_standard_errors_only_if_they_are_asked_for_all_the_same():
    step = CovarianceStep(method="sandwich", unconditional=False)
    assert "did not converge" in step.refusal(FitStatus.NOT_CONVERGED, maximum=True)
    assert step.refusal(FitStatus.CONVERGED, maximum=True) == ""
    asked = CovarianceStep(method="sandwich", unconditional=True)
    assert asked.refusal(FitStatus.NOT_CONVERGED, maximum=True) == ""
    assert "bound of the likelihood" in asked.refusal(FitStatus.FINISHED_SCHEDULE, maximum=False)
