"""Projects against Monolix's own results: predictions at its individual parameters, individual parameters at its random
effects, likelihood and criteria at its estimates, and where our fits end."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.helpers.printed_modes import differences
from tests.helpers.reference_projects import NAMES, stage

import nlmevae
from nlmevae import pipeline
from nlmevae.at_parameters import parameter_values
from nlmevae.diagnostics.fitted import population_at, problem_at
from nlmevae.estimation.parameter_count import count_parameters
from nlmevae.frontends.monolix.read import read_project
from nlmevae.likelihood.criteria import information_criteria
from nlmevae.results.model_at import model_at

#: Six digits are printed, of the parameters as of the predictions.
PRINTED = 1e-4
#: Monte-Carlo standard errors of both programs together.
NOISE = 3.0
#: Whose likelihood takes more than a few seconds.
SECONDS = ("parent_metabolite", "warfarin_w1", "warfarin_w3")


@pytest.mark.parametrize("name", NAMES)
def test_predictions_at_printed_modes_are_monolixs(name, tmp_path):
    case = stage(name, tmp_path)
    found = differences(read_project(case.path), case.folder)
    assert sum(d.n for d in found.values()) == case.folder.n_obs
    assert max(d.largest for d in found.values()) < PRINTED


@pytest.mark.parametrize("name", NAMES)
def test_individual_parameters_at_printed_random_effects_are_monolixs(name, tmp_path):
    """Covariates and distributions, which predictions at given parameters do not use."""
    case = stage(name, tmp_path)
    run = pipeline.prepare(case.path)
    model = model_at(run.model, parameter_values(case.values))
    labels = {n: label for b in model.omega for n, label in zip(b.names, b.labels, strict=True)}
    problem = problem_at(model, run.table, None)
    mean = problem.joint(population_at(model, None)).mean
    problem.decoder.close()
    effects, people = case.folder.random_effects, case.folder.individuals
    row = {label: k for k, label in enumerate(effects.texts("id"))}
    order = [row[label] for label in run.table.subject_labels]
    for k, latent in enumerate(problem.decoder.form.latents):
        name = labels[latent.eta].removeprefix("omega_")
        eta = np.array(effects.numbers(f"eta_{name}_mode"))[order]
        printed = np.array(people.numbers(f"{name}_mode"))[order]
        np.testing.assert_allclose(np.exp(mean[:, k] + eta), printed, rtol=PRINTED)


@pytest.mark.parametrize("name", NAMES)
def test_criteria_count_parameters_as_monolix_does(name, tmp_path):
    case = stage(name, tmp_path)
    run = pipeline.prepare(case.path)
    theirs = case.folder.likelihoods[0]
    found = information_criteria(
        theirs.minus_two_ll,
        count_parameters(run.model),
        n_subjects=run.table.n_subjects,
        n_obs_total=run.table.n_obs_total,
    )
    assert found.bicc == pytest.approx(theirs.bicc, abs=0.01)
    assert found.bic == pytest.approx(theirs.bic, abs=0.01)
    assert found.aic == pytest.approx(theirs.aic, abs=0.01)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SECONDS else n for n in NAMES])
def test_the_likelihood_at_monolixs_estimates_is_monolixs(name, tmp_path):
    case = stage(name, tmp_path)
    theirs = case.folder.likelihoods[0]
    found = nlmevae.likelihoods(case.path, params=case.values, methods=theirs.method).value(theirs.method)
    if theirs.method == "is":
        # Monolix states the standard error of the log-likelihood
        error = NOISE * math.hypot(found.mc_se, 2.0 * theirs.mc_se)
    else:
        error = 0.05  # linearised at modes of six digits
    assert abs(found.minus_two_ll - theirs.minus_two_ll) < error


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", [n for n in NAMES if n != "parent_metabolite"])
def test_fits_end_where_monolix_ends_or_lower(name, seed, tmp_path):
    case = stage(name, tmp_path)
    theirs = case.folder.likelihoods[0]
    result = nlmevae.fit(case.path, seed=seed)
    found = next(v for v in result.likelihoods if v.method == theirs.method)
    assert found.minus_two_ll < theirs.minus_two_ll + 0.5


@pytest.mark.slow
def test_the_fit_of_a_parent_and_its_metabolite_ends_where_monolix_ends(tmp_path):
    case = stage("parent_metabolite", tmp_path)
    assert nlmevae.fit(case.path, seed=1).minus_two_ll < case.folder.likelihoods[0].minus_two_ll + 0.5
