"""The ELBO: its gradient, its tightness where the posterior is Gaussian, failed subjects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nlmevae.decoder.base import Solution, SolveStatus
from nlmevae.estimation.objective import antithetic_noise, elbo, kl_divergence
from tests.helpers.analytic_decoder import theophylline
from tests.helpers.linear_gaussian import (
    LinearDecoder,
    exact_minus_two_ll,
    exact_posterior,
    random_intercept_and_slope,
)


def gaussians(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    tril = np.tril(0.2 * rng.normal(size=(n, d, d)))
    tril[:, range(d), range(d)] = rng.uniform(0.1, 0.4, (n, d))
    return 0.3 * rng.normal(size=(n, d)), tril, rng.standard_normal((2, n, d))


@pytest.mark.parametrize("kl_weight", [0.01, 1.0])
def test_the_gradient_is_the_derivative_of_the_value(kl_weight):
    problem = theophylline()
    joint = problem.joint(problem.initial)
    shift, tril, noise = gaussians(12, 3)
    loc = joint.mean + shift

    def value(loc: np.ndarray, tril: np.ndarray) -> float:
        found = elbo(joint, loc, tril, noise, kl_weight=kl_weight)
        return found.log_likelihood - kl_weight * found.kl

    found = elbo(joint, loc, tril, noise, kl_weight=kl_weight)
    for index in [(0, 0), (3, 1), (11, 2)]:
        step = np.zeros_like(loc)
        step[index] = 1e-6
        numeric = (value(loc + step, tril) - value(loc - step, tril)) / 2e-6
        assert found.loc[index] == pytest.approx(numeric, rel=1e-5, abs=1e-5)
    for index in [(0, 0, 0), (3, 1, 0), (7, 2, 1), (11, 2, 2)]:
        step = np.zeros_like(tril)
        step[index] = 1e-6
        numeric = (value(loc, tril + step) - value(loc, tril - step)) / 2e-6
        assert found.scale_tril[index] == pytest.approx(numeric, rel=1e-5, abs=1e-5)


def test_the_gradient_of_structural_thetas_is_the_derivative_too():
    problem = random_intercept_and_slope(fixed_quadratic=True)
    loc, tril, noise = gaussians(20, 2)

    def value(theta: float) -> float:
        thetas = problem.initial.thetas.copy()
        thetas[2] = theta
        return elbo(problem.joint(replace(problem.initial, thetas=thetas)), loc, tril, noise).value

    found = elbo(problem.joint(problem.initial), loc, tril, noise)
    theta = problem.initial.thetas[2]
    assert found.structural == pytest.approx((value(theta + 1e-5) - value(theta - 1e-5)) / 2e-5, rel=1e-6)


def test_the_kl_divergence_is_torchs():
    problem = random_intercept_and_slope(block=True)
    joint = problem.joint(problem.initial)
    loc, tril, _ = gaussians(20, 2)
    q = torch.distributions.MultivariateNormal(torch.as_tensor(loc), scale_tril=torch.as_tensor(tril))
    p = torch.distributions.MultivariateNormal(torch.as_tensor(joint.mean), torch.as_tensor(joint.omega))
    expected = float(torch.distributions.kl_divergence(q, p).sum())
    assert kl_divergence(joint, loc, tril)[0] == pytest.approx(expected, rel=1e-12)


def expected_value(problem, loc: np.ndarray, tril: np.ndarray) -> float:
    """E over the noise, exact for a log-likelihood quadratic in z: the 2d points +-sqrt(d) e_k."""
    joint = problem.joint(problem.initial)
    d = loc.shape[1]
    values = []
    for k in range(d):
        for sign in (-1.0, 1.0):
            noise = np.zeros((1, *loc.shape))
            noise[0, :, k] = sign * np.sqrt(d)
            values.append(elbo(joint, loc, tril, noise).value)
    return float(np.mean(values))


@pytest.mark.parametrize("block", [False, True])
def test_at_the_exact_posterior_the_elbo_is_the_log_evidence(block):
    problem = random_intercept_and_slope(block=block)
    mean, cov = exact_posterior(problem, problem.initial)
    evidence = -0.5 * exact_minus_two_ll(problem, problem.initial).sum()
    assert expected_value(problem, mean, np.linalg.cholesky(cov)) == pytest.approx(evidence, abs=1e-8)


def test_elsewhere_it_is_a_lower_bound():
    problem = random_intercept_and_slope()
    mean = exact_posterior(problem, problem.initial)[0]
    evidence = -0.5 * exact_minus_two_ll(problem, problem.initial).sum()
    for seed in range(5):
        shift, tril, _ = gaussians(20, 2, seed)
        assert expected_value(problem, mean + 0.1 * shift, tril) < evidence


class FailingDecoder(LinearDecoder):
    """Fails for subject 2."""

    def linearise(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        solution = super().linearise(x, rows)
        failed = (np.arange(self.n_subjects) if rows is None else rows) == 2
        lost = np.repeat(failed, np.diff(solution.ptr))
        prediction, jacobian = solution.prediction.copy(), solution.jacobian.copy()
        status = solution.status.copy()
        prediction[lost], jacobian[lost], status[failed] = np.nan, 0.0, SolveStatus.NON_FINITE
        return replace(solution, prediction=prediction, jacobian=jacobian, status=status)


def test_a_failed_subject_is_counted_and_keeps_only_its_kl_term():
    problem = random_intercept_and_slope()
    decoder = FailingDecoder(problem.form, problem.table, problem.decoder.design)
    failing = replace(problem, decoder=decoder)
    loc, tril, noise = gaussians(20, 2)
    whole = elbo(problem.joint(problem.initial), loc, tril, noise)
    found = elbo(failing.joint(problem.initial), loc, tril, noise)
    others = np.arange(20) != 2
    assert list(np.flatnonzero(found.failed)) == [2]
    np.testing.assert_array_equal(found.loc[others], whole.loc[others])
    _, kl_loc, kl_tril = kl_divergence(problem.joint(problem.initial), loc, tril)
    np.testing.assert_array_equal(found.loc[2], -kl_loc[2])
    np.testing.assert_array_equal(found.scale_tril[2], -kl_tril[2])
    assert np.isfinite(found.value)


def test_a_draw_that_fails_leaves_the_others_in_charge():
    problem = theophylline()
    joint = problem.joint(problem.initial)
    shift, tril, noise = gaussians(12, 3)
    loc = joint.mean + shift
    noise[1, 4] = 1e6
    with np.errstate(all="ignore"):
        both = elbo(joint, loc, tril, noise)
        first = elbo(joint, loc, tril, noise[:1])
    assert not both.failed.any()
    np.testing.assert_allclose(both.loc[4], first.loc[4], rtol=1e-12)


def test_antithetic_draws_are_standard_normal_and_cancel():
    noise = antithetic_noise(np.random.default_rng(0), 4, (5000, 2))
    np.testing.assert_allclose(noise.sum(axis=0), 0.0, atol=1e-14)
    assert noise.std() == pytest.approx(1.0, abs=0.02)
    assert antithetic_noise(np.random.default_rng(0), 1, (3, 2)).shape == (1, 3, 2)


def test_overflow_in_the_model_never_reaches_the_gradient():
    problem = theophylline()
    joint = problem.joint(problem.initial)
    shift, tril, noise = gaussians(12, 3)
    loc = joint.mean + shift
    loc[4] += 800.0
    with np.errstate(all="ignore"):
        found = elbo(joint, loc, tril, noise)
    assert np.isfinite(found.loc).all()
    assert np.isfinite(found.scale_tril).all()
    assert found.failed[4]
