from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from nlmevae.decoder.base import Solution
from nlmevae.decoder.residual_kernels import Observed
from nlmevae.estimation.refine import best_start, find_modes, prior_candidates, search_modes
from tests.helpers.decay import decay_problem
from tests.helpers.linear_gaussian import LinearDecoder, exact_posterior, random_intercept_and_slope


def test_mode_and_curvature_of_a_linear_model_are_the_exact_posterior():
    problem = random_intercept_and_slope(block=True)
    joint = problem.joint(problem.initial)
    modes = find_modes(joint, joint.mean + 3.0, max_iterations=40, tolerance=1e-14)
    mean, cov = exact_posterior(problem, problem.initial)
    assert modes.mean == pytest.approx(mean, abs=1e-6)
    assert modes.posterior.cov == pytest.approx(cov, abs=1e-10)
    assert modes.ok.all()


def test_modes_of_a_nonlinear_model_equal_a_scalar_search():
    problem = decay_problem(omega=1.0)
    joint = problem.joint(problem.initial)
    start = best_start(joint, prior_candidates(joint, [], 32, np.random.default_rng(0)))
    modes = find_modes(joint, start, max_iterations=50, tolerance=1e-12)

    def minus_log_joint(z, i):
        everyone = joint.mean.copy()
        everyone[i] = z
        return -(joint.log_likelihood(joint.predict(everyone)) + joint.log_prior(everyone))[i]

    for i in range(problem.n_subjects):
        centre = modes.mean[i, 0]
        best = minimize_scalar(minus_log_joint, bracket=(centre - 0.5, centre + 0.5), args=(i,), tol=1e-10)
        assert centre == pytest.approx(best.x, abs=1e-4)
        assert modes.log_joint[i] == pytest.approx(-best.fun, abs=1e-8)


def test_subjects_at_their_mode_are_not_solved_again():
    problem = random_intercept_and_slope()
    joint = problem.joint(problem.initial)
    start = exact_posterior(problem, problem.initial)[0]
    start[3] += 2.0
    problem.decoder.n_solved = 0
    find_modes(joint, start)
    first_look_at_everyone = problem.n_subjects
    assert 1 <= problem.decoder.n_solved - first_look_at_everyone <= 4


def test_a_subject_that_cannot_be_solved_is_flagged_and_leaves_the_others_alone(monkeypatch):
    problem = random_intercept_and_slope()
    joint = problem.joint(problem.initial)
    expected = find_modes(joint, joint.mean, tolerance=1e-12)
    decoder_class = type(problem.decoder)
    solve = decoder_class.linearise

    def fails_for_subject_two(self, x, rows=None):
        solution = solve(self, x, rows)
        rows = np.arange(self.n_subjects) if rows is None else rows
        lost = np.repeat(rows == 2, np.diff(solution.ptr))
        return Solution(
            prediction=np.where(lost, np.nan, solution.prediction),
            jacobian=np.where(lost[:, None], 0.0, solution.jacobian),
            status=solution.status,
            n_steps=solution.n_steps,
            ptr=solution.ptr,
        )

    monkeypatch.setattr(decoder_class, "linearise", fails_for_subject_two)
    modes = find_modes(joint, joint.mean, tolerance=1e-12)
    assert np.flatnonzero(~modes.ok).tolist() == [2]
    others = modes.ok
    assert modes.mean[others] == pytest.approx(expected.mean[others], abs=1e-12)
    assert modes.minus_two_ll == np.inf


class SquareDecoder(LinearDecoder):
    """prediction = z_1 squared: z_1 and -z_1 fit equally well."""

    def linearise(self, x, rows=None):
        rows = np.arange(self.n_subjects) if rows is None else rows
        ptr = self.row_ptr(rows)
        z = np.repeat(x[:, 0], np.diff(ptr))
        ok = np.zeros(len(rows), dtype=np.int32)
        jacobian = np.stack([2 * z, np.zeros_like(z)], axis=1)
        return Solution(prediction=z**2, jacobian=jacobian, status=ok, n_steps=ok, ptr=ptr)


def test_two_modes_of_one_subject_are_both_found_and_ordered():
    problem = random_intercept_and_slope()
    decoder = SquareDecoder(problem.form, problem.table, problem.decoder.design)
    joint = replace(
        problem.joint(problem.initial), decoder=decoder, observed=Observed.of(np.ones(problem.table.n_obs_total))
    )
    best, second = search_modes(joint, [joint.mean - 1.5, joint.mean + 1.0], max_iterations=60, tolerance=1e-12)
    n_obs = np.diff(problem.table.ob_ptr)
    for modes, sign in ((best, 1), (second, -1)):  # the prior mean is positive
        z = modes.mean[:, 0]
        assert (sign * z > 0.5).all()
        assert 2 * n_obs * z * (1 - z**2) - (z - 0.5) == pytest.approx(0.0, abs=1e-4)
    assert (best.log_joint > second.log_joint).all()


def test_without_a_second_mode_the_runner_up_is_the_best_one():
    problem = random_intercept_and_slope()
    joint = problem.joint(problem.initial)
    best, second = search_modes(joint, [joint.mean + 1.0, joint.mean - 1.0], tolerance=1e-10)
    assert (best.mean == second.mean).all()


def test_best_start_ignores_candidates_that_are_not_finite():
    problem = random_intercept_and_slope()
    joint = problem.joint(problem.initial)
    exact = exact_posterior(problem, problem.initial)[0]
    candidates = np.stack([np.full_like(exact, np.nan), exact + 1.0, exact])
    assert best_start(joint, candidates) == pytest.approx(exact)


def test_a_start_near_the_known_mode_is_not_chosen_again():
    problem = random_intercept_and_slope()
    joint = problem.joint(problem.initial)
    known = find_modes(joint, joint.mean, tolerance=1e-10)
    candidates = np.stack([known.mean + 0.01, known.mean + 4.0])
    assert best_start(joint, candidates) == pytest.approx(known.mean + 0.01)
    assert best_start(joint, candidates, known=known) == pytest.approx(known.mean + 4.0)


def test_steps_are_limited_in_units_of_the_latent_scale():
    problem = random_intercept_and_slope()
    joint = replace(problem.joint(problem.initial), omega=1e6 * np.eye(2))
    modes = find_modes(joint, joint.mean + 1000.0, scale=np.array([1.0, 1.0]), max_iterations=1)
    assert np.abs(modes.mean - joint.mean - 1000.0).max() <= 2.0 + 1e-9
