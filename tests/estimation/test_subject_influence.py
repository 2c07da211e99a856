"""The influence of subjects on the estimates against that of the closed form, and accelerations from it."""

from __future__ import annotations

import numpy as np
import pytest

from nlmevae.diagnostics.fitted import problem_at
from nlmevae.estimation.covariance_step import vector_names
from nlmevae.estimation.influence import accelerations, influences
from nlmevae.estimation.information import Posteriors
from nlmevae.estimation.population import Population
from nlmevae.pipeline import fit, prepare
from tests.helpers.one_way import maximum_likelihood, write_one_way

N, EACH = 25, 4
QUICK = {"burn_in_iterations": 4, "training_iterations": 6, "n_alternatives": 0, "covariance": "none"}


@pytest.fixture(scope="module")
def at_maximum(tmp_path_factory):
    """The problem at its closed-form maximum, with its exact posteriors."""
    path = write_one_way(tmp_path_factory.mktemp("influence"), n_subjects=N, n_each=EACH)
    run = prepare(path)
    y = run.table.ob_value.reshape(N, EACH)
    mean, between, within = maximum_likelihood(y)
    problem = problem_at(run.model, run.table, None)
    population = Population(thetas=np.array([mean]), omega=np.array([[between]]), sigma=np.array([[within]]))
    weight = between / (between + within / EACH)
    centre = problem.mean.mean(population.thetas) + weight * (y.mean(axis=1) - mean)[:, None]
    cov = np.full((N, 1, 1), between * (1.0 - weight))
    yield path, y, problem, population, Posteriors(mode=centre, mean=centre, cov=cov)
    problem.decoder.close()


def weighted_maximum(y, weights):
    """Of the likelihood in which subject i counts weights[i] times: the closed form of a balanced design."""
    total = weights.sum()
    means = y.mean(axis=1)
    level = weights @ means / total
    within = weights @ ((y - means[:, None]) ** 2).sum(axis=1) / (total * (EACH - 1))
    between = (EACH * weights @ (means - level) ** 2 / total - within) / EACH
    return np.array([level, between, within])


def test_influences_are_derivatives_of_the_closed_form_by_the_weights(at_maximum):
    _, y, problem, population, posteriors = at_maximum
    found = influences(problem, population, posteriors)
    names = vector_names(problem.model)
    rows = [names.index(name) for name in ("THETA(1)", "OMEGA(1,1)", "SIGMA(1,1)")]
    expected = []
    for i in range(N):
        step = np.zeros(N)
        step[i] = 1e-5
        expected.append((weighted_maximum(y, 1 + step) - weighted_maximum(y, 1 - step)) / 2e-5)
    expected = np.array(expected).T
    # Monte-Carlo noise of 1024 draws, relative to the largest influence
    for row, exact in zip(found[rows], expected, strict=True):
        assert np.abs(row - exact).max() < 0.03 * np.abs(exact).max()


def test_accelerations_are_skewness_of_the_influences(at_maximum):
    path, y, problem, _, _ = at_maximum
    found = accelerations(problem, fit(path, **QUICK))
    means = y.mean(axis=1)
    influence = (means - means.mean()) / N
    exact = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5)
    assert found["THETA(1)"] == pytest.approx(exact, abs=0.003)
    assert set(found) == {"THETA(1)", "OMEGA(1,1)", "SIGMA(1,1)"}
