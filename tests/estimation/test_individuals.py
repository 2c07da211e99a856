"""Individual results: parameters on their natural scale, subjects without observations, models without ETAs."""

import numpy as np
import pytest

from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.at_estimates import at_estimates
from nlmevae.estimation.individual_parameters import IndividualParameters
from nlmevae.estimation.individuals import gaussian_individuals, individual_results
from nlmevae.estimation.problem import make_problem
from nlmevae.likelihood.importance import importance_likelihood
from nlmevae.pipeline import prepare
from nlmevae.results.fit_result import QUANTILE_LEVELS
from tests.helpers.linear_gaussian import exact_posterior, random_intercept_and_slope, regression_problem

STREAM = """$PROBLEM derived values
$INPUT ID TIME AMT DV WT CRCL
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN1 TRANS2
$PK
CL = THETA(1)*EXP(ETA(1))
V = THETA(2)*WT*EXP(ETA(2))
S1 = V*EXP(ETA(3))
F1 = 0.5 + 0.01*CRCL
$ERROR
Y = F + EPS(1)
$THETA (0, 2) (0, 0.5)
$OMEGA 0.1 0.1
$OMEGA 0 FIX
$SIGMA 0.1
"""
ROWS = ["ID,TIME,AMT,DV,WT,CRCL"]
ROWS += [f"{i},0,100,.,{60 + i},80\n{i},1,0,{2 + i / 10},{60 + i},80" for i in range(1, 5)]


def individuals_of(problem, **options):
    here = at_estimates(problem, problem.initial, rng=np.random.default_rng(0))
    importance = importance_likelihood(here.joint, here.mode, here.modes.chol, rng=np.random.default_rng(0))
    return individual_results(problem, problem.initial, importance, here.mode, **options)


@pytest.fixture
def pk_problem(tmp_path):
    (tmp_path / "run1.ctl").write_text(STREAM)
    (tmp_path / "data.csv").write_text("\n".join(ROWS) + "\n")
    run = prepare(tmp_path / "run1.ctl")
    form = latent_form(run.model, run.table)
    return make_problem(run.model, form, run.table, make_decoder(form, run.table))


def test_values_the_model_derives_from_parameters_follow_them_without_copies(pk_problem):
    """S1 = V is a copy, F1 has no random effect, K = CL/V is what ADVAN1 TRANS2 makes of CL and V."""
    parameters = IndividualParameters.of(pk_problem)
    assert parameters.names[:2] == ("CL", "V")
    assert "S1" not in parameters.names
    assert "F1" not in parameters.names
    z = pk_problem.mean.mean(pk_problem.initial.thetas) + 0.3
    values = parameters.values(z, pk_problem.initial.thetas, np.arange(4))
    assert values[:, 0] == pytest.approx(2 * np.exp(0.3))
    assert values[:, 1] == pytest.approx(0.5 * np.arange(61, 65) * np.exp(0.3))
    for j in range(2, len(parameters.names)):
        assert values[:, j] == pytest.approx(values[:, 0] / values[:, 1])


def test_moments_are_those_of_the_exact_posterior():
    problem = random_intercept_and_slope()
    people = individuals_of(problem)
    mean, cov = exact_posterior(problem, problem.initial)
    prior = problem.mean.mean(problem.initial.thetas)
    assert people.eta_mode == pytest.approx(mean - prior, abs=1e-4)
    assert people.eta_sd == pytest.approx(np.sqrt(np.diagonal(cov, axis1=1, axis2=2)), rel=0.03)
    assert people.psi_mean == pytest.approx(mean, abs=0.01)  # identity parameters
    assert people.psi_sd == pytest.approx(people.eta_sd, rel=1e-9)
    assert people.psi_mode == pytest.approx(mean, abs=1e-4)
    assert people.psi_quantiles.shape == (len(QUANTILE_LEVELS), 20, 2)


def test_samples_of_parameters_belong_to_the_samples_of_random_effects():
    problem = random_intercept_and_slope()
    people = individuals_of(problem, n_samples=7, seed=3)
    assert people.eta_samples.shape == (7, 20, 2)
    prior = problem.mean.mean(problem.initial.thetas)
    assert people.psi_samples == pytest.approx(people.eta_samples + prior, abs=1e-12)
    np.testing.assert_array_equal(people.eta_samples, individuals_of(problem, n_samples=7, seed=3).eta_samples)


def test_a_model_without_random_effects_has_individuals_without_parameters():
    people = individuals_of(regression_problem(), n_samples=2)
    assert people.eta_mean.shape == (10, 0)
    assert people.psi.shape == (10, 0)
    assert people.eta_samples.shape == (2, 10, 0)


def test_a_run_that_ended_before_its_likelihood_knows_only_typical_values():
    problem = random_intercept_and_slope()
    people = gaussian_individuals(problem, problem.initial, None)
    assert people.psi == pytest.approx(np.broadcast_to([0.5, 0.2], (20, 2)))
    assert np.isnan(people.psi_sd).all()
    assert np.isnan(people.eta_sd).all()


def test_without_samples_derived_values_are_there_all_the_same(pk_problem):
    people = individuals_of(pk_problem)
    assert people.psi_samples.shape == (0, 4, len(people.psi_names))
    assert np.isfinite(people.psi_sd).all()


def test_an_eta_fixed_at_zero_is_zero_in_every_result(pk_problem):
    people = individuals_of(pk_problem, n_samples=2)
    assert people.eta_samples.shape == (2, 4, 3)
    for values in (people.eta_mean, people.eta_mode, people.eta_sd, people.eta_samples):
        assert (values[..., 2] == 0.0).all()
    assert (people.eta_sd[:, :2] > 0.0).all()
