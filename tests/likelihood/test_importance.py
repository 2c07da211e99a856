import numpy as np
import pytest

from nlmevae.decoder.base import Solution
from nlmevae.estimation.refine import find_modes
from nlmevae.likelihood import importance
from nlmevae.likelihood.importance import (
    Draws,
    draw,
    importance_likelihood,
    mixture,
    restrict,
    weigh,
    weighted_moments,
)
from nlmevae.likelihood.proposal import Mixture
from tests.helpers.decay import decay_problem, quadrature_minus_two_ll
from tests.helpers.linear_gaussian import exact_minus_two_ll, exact_posterior, random_intercept_and_slope


def likelihood_of(problem, seed=0, n_draws=4096):
    joint = problem.joint(problem.initial)
    modes = find_modes(joint, joint.mean)
    return importance_likelihood(joint, modes.mean, modes.chol, n_draws=n_draws, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("options", [{}, {"block": True}, {"fixed_quadratic": True}, {"covariate": True}])
def test_linear_gaussian_likelihood_equals_the_exact_one(options):
    problem = random_intercept_and_slope(**options)
    result = likelihood_of(problem)
    exact = exact_minus_two_ll(problem, problem.initial)
    assert abs(result.total - exact.sum()) < 4 * result.mc_se
    assert result.mc_se < 0.02
    assert result.minus_two_ll == pytest.approx(exact, abs=0.02)


def test_posterior_moments_equal_the_exact_ones():
    problem = random_intercept_and_slope()
    result = likelihood_of(problem)
    mean, cov = exact_posterior(problem, problem.initial)
    assert result.mean == pytest.approx(mean, abs=0.01)
    assert result.cov == pytest.approx(cov, abs=0.01)


def test_the_reported_standard_error_is_the_spread_between_seeds():
    problem = random_intercept_and_slope()
    results = [likelihood_of(problem, seed, n_draws=512) for seed in range(24)]
    spread = np.std([r.total for r in results], ddof=1)
    assert 0.6 < np.mean([r.mc_se for r in results]) / spread < 1.6
    exact = exact_minus_two_ll(problem, problem.initial).sum()
    assert abs(np.mean([r.total for r in results]) - exact) < 4 * spread / np.sqrt(24)


def test_the_sum_over_many_subjects_has_no_bias_of_its_logarithms(monkeypatch):
    """Of 2000 copies of a subject whose proposal is eight times too wide: -2 log of the mean weight is too large by its
    relative variance on average, which would be 8 standard errors here."""
    problem = random_intercept_and_slope()
    joint = problem.joint(problem.initial)
    modes = find_modes(joint, joint.mean)

    def too_wide(joint, modes, moments=None):
        return Mixture(share=np.ones(1), loc=modes[0][0][None], chol=8.0 * modes[0][1][None])

    monkeypatch.setattr(importance, "_around", too_wide)
    monkeypatch.setattr(importance, "REPEATS", ())
    copies = np.zeros(2000, dtype=int)
    found = importance_likelihood(
        restrict(joint, copies), modes.mean[copies], modes.chol[copies], n_draws=256, rng=np.random.default_rng(0)
    )
    off = found.minus_two_ll - exact_minus_two_ll(problem, problem.initial)[0]
    error = off.std() / np.sqrt(len(off))
    assert abs(off.mean()) < 3 * error
    assert np.mean(off + found.variance / 4) > 4 * error


def test_a_wide_part_meets_the_far_end_of_a_posterior_that_data_hardly_inform():
    """Draws around the mode, whose scale is a third of the posterior's: the largest weight is that of many draws
    without the wide part, of few with it."""
    problem = random_intercept_and_slope()
    joint = problem.joint(problem.initial)
    mean, cov = exact_posterior(problem, problem.initial)
    narrow = mean, cov / 9.0
    ess = []
    for wide in (False, True):
        proposal = mixture(joint, mean, np.linalg.cholesky(narrow[1]), narrow, wide=wide)
        assert proposal.share.sum() == pytest.approx(1.0)
        ess.append(np.median(weigh(joint, draw(joint, proposal, 512, np.random.default_rng(0))).ess))
    assert ess[1] > 2 * ess[0]


def test_cached_draws_can_be_weighed_at_other_parameters_without_the_decoder():
    problem = random_intercept_and_slope(block=True)
    joint = problem.joint(problem.initial)
    modes = find_modes(joint, joint.mean)
    draws = draw(joint, mixture(joint, modes.mean, modes.chol), 512, np.random.default_rng(0))
    other = problem.initial.__class__(
        thetas=problem.initial.thetas + 0.1, omega=0.9 * problem.initial.omega, sigma=1.2 * problem.initial.sigma
    )
    solved = problem.decoder.n_solved
    weighted = weigh(problem.joint(other), draws)
    assert problem.decoder.n_solved == solved
    assert weighted.minus_two_ll == pytest.approx(exact_minus_two_ll(problem, other), abs=0.15)


def test_pooled_batches_keep_their_own_densities():
    problem = random_intercept_and_slope()
    joint = problem.joint(problem.initial)
    modes = find_modes(joint, joint.mean)
    narrow = draw(joint, mixture(joint, modes.mean, modes.chol), 512, np.random.default_rng(0))
    wide = draw(joint, mixture(joint, modes.mean + 0.3, 1.5 * modes.chol), 512, np.random.default_rng(1))
    pooled = weigh(joint, Draws.concat([narrow, wide]))
    assert pooled.minus_two_ll == pytest.approx(exact_minus_two_ll(problem, problem.initial), abs=0.15)
    mean, _ = weighted_moments(np.concatenate([narrow.z, wide.z]), pooled.weight)
    assert mean == pytest.approx(exact_posterior(problem, problem.initial)[0], abs=0.05)


def test_a_hopeless_proposal_is_flagged_and_more_draws_go_to_its_subject_only():
    problem = random_intercept_and_slope()
    joint = problem.joint(problem.initial)
    modes = find_modes(joint, joint.mean)
    mode, chol = modes.mean.copy(), modes.chol.copy()
    mode[4] += 2.5
    chol[4] *= 0.05
    poor = weigh(joint, draw(joint, mixture(joint, mode, chol), 512, np.random.default_rng(0)))
    assert poor.ess.argmin() == 4
    result = importance_likelihood(joint, mode, chol, n_draws=256, rng=np.random.default_rng(1))
    again = result.n_draws > result.n_draws.min()
    assert again.sum() <= 3
    exact = exact_minus_two_ll(problem, problem.initial)
    assert result.minus_two_ll == pytest.approx(exact, abs=0.1)


def test_restriction_to_subjects_is_the_same_density():
    problem = random_intercept_and_slope(fixed_quadratic=True)
    joint = problem.joint(problem.initial)
    subjects = np.array([3, 11, 7])
    part = restrict(joint, subjects)
    z = joint.mean + np.random.default_rng(0).normal(size=(6, joint.n_subjects, 2))
    whole = joint.log_likelihood(joint.predict(z)) + joint.log_prior(z)
    assert part.log_likelihood(part.predict(z[:, subjects])) + part.log_prior(z[:, subjects]) == pytest.approx(
        whole[:, subjects], abs=1e-12
    )


def test_draws_the_decoder_cannot_solve_have_weight_zero(monkeypatch):
    problem = random_intercept_and_slope()
    joint = problem.joint(problem.initial)
    modes = find_modes(joint, joint.mean)
    decoder_class = type(problem.decoder)
    solve = decoder_class.predict

    def sometimes_fails(self, x, rows=None):
        solution = solve(self, x, rows)
        prediction = solution.prediction.copy()
        prediction[solution.ptr[0] : solution.ptr[1]] = np.nan
        return Solution(
            prediction=prediction, jacobian=None, status=solution.status, n_steps=solution.n_steps, ptr=solution.ptr
        )

    monkeypatch.setattr(decoder_class, "predict", sometimes_fails)
    weighted = weigh(joint, draw(joint, mixture(joint, modes.mean, modes.chol), 256, np.random.default_rng(0)))
    assert weighted.weight[0, 0] == 0.0
    assert np.isfinite(weighted.minus_two_ll).all()
    assert weighted.weight.sum(axis=0) == pytest.approx(1.0)


def test_unusable_modes_fall_back_to_the_prior():
    problem = random_intercept_and_slope()
    joint = problem.joint(problem.initial)
    bad = np.full_like(joint.mean, np.nan)
    chol = np.full((joint.n_subjects, 2, 2), np.nan)
    result = importance_likelihood(joint, bad, chol, n_draws=2048, rng=np.random.default_rng(0))
    assert result.total == pytest.approx(exact_minus_two_ll(problem, problem.initial).sum(), abs=5 * result.mc_se)


@pytest.mark.parametrize("omega", [0.2, 1.0])
def test_nonlinear_likelihood_equals_quadrature(omega):
    problem = decay_problem(omega=omega)
    result = likelihood_of(problem)
    exact = quadrature_minus_two_ll(problem, problem.initial)
    assert abs(result.total - exact.sum()) < 4 * result.mc_se + 1e-3
    assert result.minus_two_ll == pytest.approx(exact, abs=0.02)
    assert (result.khat < 0.7).all()
