"""A published fit with two endpoints and values below the limit of quantification."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from tests.helpers.parent_metabolite import write_stream
from tests.helpers.reference import reference

from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.at_estimates import at_estimates
from nlmevae.estimation.problem import make_problem
from nlmevae.likelihood.importance import importance_likelihood
from nlmevae.pipeline import prepare

#: Monolix 2023R1, importance sampling at its estimates: -2LL and its Monte-Carlo standard error
MONOLIX, MONOLIX_SE = 8406.011668, 0.368383


def likelihood_at_monolixs_estimates(folder, *, as_interval: bool):
    run = prepare(write_stream(folder, as_interval=as_interval))
    form = latent_form(run.model, run.table)
    problem = make_problem(run.model, form, run.table, make_decoder(form, run.table))
    rng = np.random.default_rng(1)
    here = at_estimates(problem, problem.initial, rng=rng)
    found = importance_likelihood(here.joint, here.modes.mean, here.modes.chol, n_draws=1024, rng=rng)
    return problem, found


@pytest.fixture(scope="module")
def by_columns(tmp_path_factory):
    return likelihood_at_monolixs_estimates(tmp_path_factory.mktemp("columns"), as_interval=False)


def test_two_endpoints_with_censored_values_have_monolixs_likelihood(by_columns):
    problem, found = by_columns
    assert [o.error.kind for o in problem.model.observations] == ["combined1"] * 2
    assert np.bincount(problem.observed.endpoint).tolist() == [1280, 1440]
    assert int(problem.table.censored.sum()) == 113
    error = np.hypot(found.mc_se, MONOLIX_SE)
    assert found.total == pytest.approx(MONOLIX, abs=3 * error)


def test_every_subject_has_monolixs_likelihood(by_columns):
    with (reference("parent_metabolite") / "monolix" / "LogLikelihood" / "individualLL.txt").open() as file:
        expected = [float(row["importanceSampling"]) for row in csv.DictReader(file)]
    # Monolix states .368 for the sum of 80 subjects: about .04 for each, and much more for a few of them
    assert by_columns[1].minus_two_ll == pytest.approx(expected, abs=0.4)


def test_nonmem_code_for_the_interval_is_the_same_model(by_columns, tmp_path):
    _, found = likelihood_at_monolixs_estimates(tmp_path, as_interval=True)
    assert found.total == pytest.approx(by_columns[1].total, abs=1e-9)
