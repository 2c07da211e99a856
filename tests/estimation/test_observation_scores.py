"""Scores, updates and estimates with every kind of observation model at once."""

from __future__ import annotations

import numpy as np
import pytest

from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.at_estimates import at_estimates
from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.newton import curvature
from nlmevae.estimation.problem import make_problem
from nlmevae.estimation.sample import Sample, draw_batch, em_step
from nlmevae.likelihood.importance import mixture
from nlmevae.pipeline import prepare

#: Two endpoints: correlated EPS and censored values on one, a power and a random effect on the size of the other.
#: THETA(2) has no random effect: the decoder reads it.
STREAM = """$PROBLEM everything
$INPUT ID TIME DV DVID CENS
$DATA data.csv IGNORE=@
$PRED
K = THETA(1)*EXP(ETA(1))
A = THETA(2)
F1 = A*EXP(-K*TIME)
IF (DVID.EQ.1) THEN
  Y = F1 + EPS(1) + F1*EPS(2)
ELSE
  F2 = A - F1
  W = THETA(3)*F2**THETA(4)*EXP(ETA(2))
  Y = F2 + W*EPS(3)
ENDIF
$THETA (0,0.5) (0,10) (0,0.3) (0,0.6)
$OMEGA 0.1 0.2
$SIGMA BLOCK(2) 0.04 0.005 0.02
$SIGMA 1 FIX
"""


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    folder = tmp_path_factory.mktemp("everything")
    rng = np.random.default_rng(3)
    rows = []
    for i in range(1, 26):
        rate, size = 0.5 * np.exp(0.3 * rng.normal()), np.exp(0.4 * rng.normal())
        for t in (0.5, 1.0, 2.0, 4.0, 7.0):
            f1 = 10.0 * np.exp(-rate * t)
            f2 = 10.0 - f1
            first = f1 + rng.multivariate_normal([0, 0], [[0.04, 0.005], [0.005, 0.02]]) @ [1.0, f1]
            second = f2 + 0.3 * f2**0.6 * size * rng.normal()
            rows.append(f"{i},{t},{max(first, 1.0):.6g},1,{int(first < 1.0)}")
            rows.append(f"{i},{t},{second:.6g},2,0")
    (folder / "data.csv").write_text("\n".join(rows) + "\n")
    (folder / "run.ctl").write_text(STREAM)
    run = prepare(folder / "run.ctl")
    form = latent_form(run.model, run.table)
    return make_problem(run.model, form, run.table, make_decoder(form, run.table))


@pytest.fixture(scope="module")
def sample(problem):
    rng = np.random.default_rng(0)
    here = at_estimates(problem, problem.initial, rng=rng)
    proposal = mixture(here.joint, here.modes.mean, here.modes.chol)
    batch = draw_batch(problem, here.joint, here.modes.mean, proposal, 256, rng)
    return Sample.of(problem, Coordinates.of(problem), batch)


def test_the_model_is_what_the_stream_says(problem):
    first, second = problem.model.observations
    assert (first.error.kind, first.error.correlation.names) == ("combined2", ("EPS(1)", "EPS(2)"))
    assert (second.error.power.parameter, second.error.effect.eta) == ("THETA(4)", "ETA(2)")
    assert problem.table.censored.sum() > 10
    assert [latent.eta for latent in problem.form.latents] == ["ETA(1)", "ETA(2)"]
    assert problem.structural_index.tolist() == [1]


def test_the_score_is_a_finite_difference_of_the_sample_likelihood(problem, sample):
    """In all coordinates: means, OMEGA, standard deviations, exponent, correlation and the structural THETA."""
    population = problem.initial
    score = curvature(sample, population, sample.weigh(population)).score
    assert len(score) == 2 + 2 + 5
    for j, direction in enumerate(1e-5 * np.eye(len(score))):
        up = sample.weigh(sample.coordinates.move(problem, population, direction)).total
        down = sample.weigh(sample.coordinates.move(problem, population, -direction)).total
        assert score[j] == pytest.approx(-0.5 * (up - down) / 2e-5, rel=2e-5, abs=2e-4)


def test_em_steps_never_raise_the_sample_likelihood(problem, sample):
    population, values = problem.initial, []
    for _ in range(6):
        weighted = sample.weigh(population)
        values.append(weighted.total)
        population = em_step(sample, population, weighted)
    assert (np.diff(values) < 1e-6).all()
    assert values[0] - values[-1] > 1.0


def test_em_steps_write_what_they_find_into_thetas_and_sigma(problem, sample):
    population = problem.initial
    moved = em_step(sample, population, sample.weigh(population))
    assert (np.diag(moved.sigma)[:2] != np.diag(population.sigma)[:2]).all()
    assert moved.sigma[0, 1] == moved.sigma[1, 0]
    assert moved.sigma[0, 1] != population.sigma[0, 1]
    assert moved.sigma[2, 2] == 1.0
    assert (moved.thetas != population.thetas).all()
    assert np.linalg.eigvalsh(moved.sigma)[0] > 0.0
