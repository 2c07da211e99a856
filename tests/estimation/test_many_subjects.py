"""With many subjects: parts give what the whole gives, the number of threads changes no digit, memory is bounded."""

from dataclasses import fields

import numpy as np
import pytest

from nlmevae.decoder import residual_update
from nlmevae.estimation import information as information_module
from nlmevae.estimation import polish as polish_module
from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.information import Posteriors, information_at
from nlmevae.estimation.newton import curvature
from nlmevae.estimation.polish import polish
from nlmevae.estimation.sample import Sample, draw_batch, em_step
from nlmevae.estimation.settings import FitSettings
from nlmevae.likelihood import importance
from nlmevae.likelihood.importance import importance_likelihood, mixture, weighted_moments
from nlmevae.threads import shared_by
from tests.helpers.linear_gaussian import exact_minus_two_ll, exact_posterior, random_intercept_and_slope

N = 300
#: Sums over subjects in another order.
ROUNDING = 1e-12


@pytest.fixture
def small_parts(monkeypatch):
    """Sizes at which these few subjects are many."""
    monkeypatch.setattr(importance, "_SUBJECTS", 64)
    monkeypatch.setattr(residual_update, "_SHARED", 64)


def sample_of(problem, n_draws=64):
    joint = problem.joint(problem.initial)
    mean, cov = exact_posterior(problem, problem.initial)
    proposal = mixture(joint, mean, np.linalg.cholesky(cov))
    batch = draw_batch(problem, joint, mean, proposal, n_draws, np.random.default_rng(1))
    return Sample.of(problem, Coordinates.of(problem), batch)


def computed(problem):
    """Draws, densities, weights, one EM step and the curvature, as one vector."""
    sample = sample_of(problem)
    weighted = sample.weigh(problem.initial)
    slopes = curvature(sample, problem.initial, weighted)
    moved = em_step(sample, problem.initial, weighted)
    numbers = [getattr(weighted, f.name) for f in fields(weighted)]
    numbers += [weighted.khat(), weighted.best, slopes.scores, slopes.observed, slopes.noise, moved.vector()]
    return np.concatenate([np.ravel(n) for n in numbers])


@pytest.mark.parametrize("threads", [2, 4])
@pytest.mark.parametrize("options", [{}, {"fixed_quadratic": True}, {"empty_subject": True}])
def test_the_number_of_threads_changes_no_digit(small_parts, threads, options):
    problem = random_intercept_and_slope(n_subjects=N, **options)
    alone = computed(problem)
    with shared_by(threads):
        assert np.array_equal(computed(problem), alone, equal_nan=True)


def test_parts_of_the_subjects_give_the_numbers_of_the_whole(small_parts):
    problem = random_intercept_and_slope(n_subjects=N)
    sample = sample_of(problem)
    weighted = sample.weigh(problem.initial)
    draws = sample.draws(problem.initial)
    ratio = np.exp(weighted.log_joint - draws.log_q)
    assert weighted.weight == pytest.approx(ratio / ratio.sum(axis=0), rel=1e-10)
    mean, cov = weighted_moments(draws.z, weighted.weight)
    assert mean == pytest.approx(np.einsum("kn,knd->nd", weighted.weight, draws.z), rel=ROUNDING)
    away = draws.z - mean
    assert cov == pytest.approx(np.einsum("kn,knd,kne->nde", weighted.weight, away, away), rel=1e-9, abs=ROUNDING)


def test_statistics_are_sums_over_parts_of_the_subjects():
    problem = random_intercept_and_slope(n_subjects=N, covariate=True)
    sample = sample_of(problem)
    whole = curvature(sample, problem.initial, sample.weigh(problem.initial))
    complete, observed, scores = np.zeros_like(whole.complete), np.zeros_like(whole.observed), []
    total = np.zeros(len(whole.score))
    for subjects in np.array_split(np.arange(N), 7):
        part = problem.part(subjects)
        draws = sample.batch.draws
        rows = importance.observation_index(problem.table.ob_ptr, subjects)
        own = importance.Draws(
            z=draws.z[:, subjects], prediction=draws.prediction[:, rows], log_q=draws.log_q[:, subjects]
        )
        batch = type(sample.batch)(draws=own, proposal=None, structural=sample.batch.structural)
        here = Sample.of(part, sample.coordinates, batch)
        slopes = curvature(here, problem.initial, here.weigh(problem.initial))
        complete += slopes.complete
        observed += slopes.observed
        total += slopes.score
        scores.append(slopes.scores)
    size = np.abs(whole.complete).max()
    assert np.abs(complete - whole.complete).max() < ROUNDING * size
    assert np.abs(observed - whole.observed).max() < ROUNDING * size
    assert np.concatenate(scores) == pytest.approx(whole.scores, rel=1e-9, abs=ROUNDING)
    assert total == pytest.approx(whole.score, abs=ROUNDING * np.abs(whole.scores).sum())


def likelihood(problem, **options):
    joint = problem.joint(problem.initial)
    mean, cov = exact_posterior(problem, problem.initial)
    return importance_likelihood(
        joint, mean, np.linalg.cholesky(cov), n_draws=256, rng=np.random.default_rng(3), **options
    )


def test_a_likelihood_in_parts_is_exact_and_the_same_for_any_number_of_threads(monkeypatch):
    problem = random_intercept_and_slope(n_subjects=N, empty_subject=True)
    monkeypatch.setattr(importance, "_NUMBERS", 0)
    monkeypatch.setattr(importance, "_FEWEST", 64)
    shares = []
    found = likelihood(problem, report=shares.append)
    assert shares[-1] == 1.0
    exact = exact_minus_two_ll(problem, problem.initial)
    assert found.total == pytest.approx(exact.sum(), abs=5 * found.mc_se)
    assert found.minus_two_ll == pytest.approx(exact, abs=0.2)  # of 256 draws; three measured above 0.08
    assert len(found.draws.parts) >= 5
    assert sorted(np.concatenate([p.subjects for p in found.draws.parts])) == list(range(problem.n_subjects))
    summary = found.draws.summarise(lambda z, _: z, problem.n_latents, (0.5,))
    seen = np.diff(problem.table.ob_ptr) > 0
    assert summary.mean[seen] == pytest.approx(found.mean[seen], abs=1e-9)
    with shared_by(2):
        again = likelihood(problem)
    assert np.array_equal(again.minus_two_ll, found.minus_two_ll)
    assert np.array_equal(again.cov, found.cov)


@pytest.mark.parametrize("options", [{}, {"fixed_quadratic": True}, {"covariate": True}])
def test_an_information_in_parts_is_that_of_all_subjects(monkeypatch, options):
    problem = random_intercept_and_slope(n_subjects=N, **options)
    mean, cov = exact_posterior(problem, problem.initial)
    given = problem, problem.initial, Posteriors(mode=mean, mean=mean, cov=cov)
    whole = information_at(*given, n_draws=512, rng=np.random.default_rng(0))
    monkeypatch.setattr(information_module, "NUMBERS", 0)
    monkeypatch.setattr(information_module, "FEWEST", 64)
    parts = information_at(*given, n_draws=512, rng=np.random.default_rng(0))
    scale = np.sqrt(np.diag(whole.complete))
    unit = np.outer(scale, scale)
    for name in ("observed", "product"):
        # other random numbers: the Monte-Carlo error of test_information.py, over more subjects
        assert np.abs(getattr(parts, name)[0] - getattr(whole, name)[0]).max() < 0.01 * unit.max(), name
    assert parts.scores.shape == whole.scores.shape
    with shared_by(2):
        again = information_at(*given, n_draws=512, rng=np.random.default_rng(0))
    assert np.array_equal(again.observed, parts.observed)
    assert np.array_equal(again.product, parts.product)


def sizes_of_batches(monkeypatch) -> list[int]:
    """Draws per subject of every batch that the polish makes from now on."""
    sizes = []

    def drawn(problem, joint, mode, proposal, n_draws, rng):
        sizes.append(n_draws)
        return draw_batch(problem, joint, mode, proposal, n_draws, rng)

    monkeypatch.setattr(polish_module, "draw_batch", drawn)
    return sizes


def test_a_sample_has_a_largest_size_and_still_ends_at_the_maximum(monkeypatch):
    problem = random_intercept_and_slope(n_subjects=N)
    usual = polish(problem, problem.initial, None, FitSettings(), np.random.default_rng(0))
    sizes = sizes_of_batches(monkeypatch)
    monkeypatch.setattr(polish_module, "LARGEST_SAMPLE", 64 * N * problem.numbers_per_draw)
    limited = polish(problem, problem.initial, None, FitSettings(), np.random.default_rng(0))
    assert max(sizes) == 64
    assert limited.status.completed
    assert exact_minus_two_ll(problem, limited.population).sum() == pytest.approx(
        exact_minus_two_ll(problem, usual.population).sum(), abs=0.1
    )


def test_some_of_very_many_subjects_go_ahead_and_all_end_at_the_maximum(monkeypatch):
    problem = random_intercept_and_slope(n_subjects=N)
    usual = polish(problem, problem.initial, None, FitSettings(), np.random.default_rng(0))
    monkeypatch.setattr(polish_module, "MANY_SUBJECTS", N)
    ahead = polish(problem, problem.initial, None, FitSettings(), np.random.default_rng(0))
    start = [row for row in ahead.trace if row.extra.get("subjects")]
    assert [row.extra["subjects"] for row in start] == [N // 10]
    assert ahead.status.completed
    assert exact_minus_two_ll(problem, ahead.population).sum() == pytest.approx(
        exact_minus_two_ll(problem, usual.population).sum(), abs=0.05
    )


@pytest.mark.parametrize(("sharp", "test_draws"), [(0.0, 1024), (polish_module.SHARP_NOISE, 256)])
def test_many_subjects_begin_with_few_draws_and_end_at_the_maximum(monkeypatch, sharp, test_draws):
    """A batch of 256 draws is the test where its noise is small, else one of four times as many."""
    problem = random_intercept_and_slope(n_subjects=N)
    usual = polish(problem, problem.initial, None, FitSettings(), np.random.default_rng(0))
    sizes = sizes_of_batches(monkeypatch)
    monkeypatch.setattr(polish_module, "first_draws", lambda n_subjects, usual: 64)
    monkeypatch.setattr(polish_module, "SHARP_NOISE", sharp)
    ladder = polish(problem, problem.initial, None, FitSettings(), np.random.default_rng(0))
    assert sizes[0] == 64
    assert sizes == sorted(sizes)
    assert sizes[-1] == test_draws
    assert ladder.status.completed
    assert exact_minus_two_ll(problem, ladder.population).sum() == pytest.approx(
        exact_minus_two_ll(problem, usual.population).sum(), abs=0.05
    )
