from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nlmevae.decoder.residual import ResidualModel
from nlmevae.decoder.residual_kernels import Observed
from nlmevae.ir import ErrorEffect, ObservationModel
from nlmevae.likelihood.importance import restrict, weighted_moments
from tests.helpers.linear_gaussian import random_intercept_and_slope
from tests.helpers.observed import FORMS, RHO, A, B, eps_blocks, residual_model


def several(problem):
    """Three endpoints, the second with a random effect on its residual error, and some censored values."""
    errors = [FORMS["additive"][0], replace(FORMS["combined1"][0], effect=ErrorEffect(eta="ETA(2)", scale=0.7))]
    errors.append(FORMS["correlated"][0])
    names = [ObservationModel(name=str(k), error=error) for k, error in enumerate(errors)]
    residual = ResidualModel.build(names, ["THETA(1)"], eps_blocks(2, RHO), ["ETA(1)", "ETA(2)"])
    n = problem.table.n_obs_total
    limits = np.column_stack([np.full((n, 2), np.nan), np.full(n, -np.inf)])
    limits[::4, :2] = -np.inf, 0.7
    limits[1::5, 2] = -2.0
    return residual, np.array([A, B, RHO]), Observed.of(problem.y, np.arange(n) % 3, limits)


@pytest.fixture(params=[*FORMS, "several"])
def joint(request):
    problem = random_intercept_and_slope(block=True)
    joint = problem.joint(problem.initial)
    if request.param == "several":
        residual, coefficients, observed = several(problem)
        return replace(joint, residual=residual, coefficients=coefficients, observed=observed)
    residual, coefficients = residual_model(request.param)
    return replace(joint, residual=residual, coefficients=coefficients)


def draws_of(joint, n_draws=7):
    rng = np.random.default_rng(0)
    z = joint.mean + rng.normal(size=(n_draws, *joint.mean.shape))
    return z, joint.predict(z)


def test_the_log_joint_is_the_sum_of_likelihood_and_prior(joint):
    z, prediction = draws_of(joint)
    prediction[2, 3], prediction[4, 5] = np.nan, 0.0  # a failed solve, and a zero that only some errors can weigh
    expected = joint.log_likelihood(prediction, z) + joint.log_prior(z)
    found = joint.log_joint(z, prediction)
    assert np.isneginf(found).any()
    assert (np.isneginf(found) == ~np.isfinite(expected)).all()
    usable = np.isfinite(expected)
    assert found[usable] == pytest.approx(expected[usable], rel=1e-12)


def inputs_jacobian(joint, z):
    return joint.decoder.linearise(joint.inputs(z), joint.rows(z)).jacobian.reshape(len(z), len(joint.y), -1)


def test_the_value_of_the_slopes_is_the_log_likelihood(joint):
    z, prediction = draws_of(joint)
    slopes = joint.slopes(z, prediction, inputs_jacobian(joint, z))
    assert slopes.value == pytest.approx(joint.log_likelihood(prediction, z), rel=1e-12)


def test_the_score_is_a_central_difference_of_the_log_likelihood(joint):
    z, prediction = draws_of(joint)
    score = joint.slopes(z, prediction, inputs_jacobian(joint, z), information=False).score
    for k in range(z.shape[-1]):
        step = np.zeros(z.shape[-1])
        step[k] = 1e-6
        up, down = (joint.log_likelihood(joint.predict(z + s * step), z + s * step) for s in (1, -1))
        # a prediction near 0 makes the proportional error change fast
        assert score[..., k] == pytest.approx((up - down) / 2e-6, rel=2e-4, abs=2e-4)


def test_without_interaction_the_sd_is_held(joint):
    z, prediction = draws_of(joint)
    jacobian = inputs_jacobian(joint, z)
    joint = replace(joint, observed=Observed.of(joint.y, joint.observed.endpoint))
    found = joint.slopes(z, prediction, jacobian, interaction=False, of_inputs=False)
    sd = joint.sd(prediction, z)
    design = jacobian / sd[..., None]
    scaled = (joint.y - prediction) / sd
    score = joint.per_subject(np.moveaxis(design * scaled[..., None], -1, 0))
    assert found.score == pytest.approx(np.moveaxis(score, 0, -1), rel=1e-9)
    outer = np.moveaxis(design[..., :, None] * design[..., None, :], (-2, -1), (0, 1))
    assert found.information == pytest.approx(np.moveaxis(joint.per_subject(outer), (0, 1), (-2, -1)), rel=1e-9)


def test_information_is_symmetric_and_not_negative(joint):
    z, prediction = draws_of(joint)
    information = joint.slopes(z, prediction, inputs_jacobian(joint, z)).information
    assert (information == np.swapaxes(information, -1, -2)).all()
    values = np.linalg.eigvalsh(information)
    assert (values[..., 0] > -1e-9 * values[..., -1] - 1e-12).all()


def test_a_subject_that_cannot_be_evaluated_has_no_slopes(joint):
    z, prediction = draws_of(joint)
    jacobian = inputs_jacobian(joint, z)
    jacobian[1, 0] = np.nan
    prediction[2, -1] = np.nan
    slopes = joint.slopes(z, prediction, jacobian)
    lost = np.zeros(slopes.value.shape, dtype=bool)
    lost[1, 0] = lost[2, -1] = True
    assert (np.isneginf(slopes.value) == lost).all()
    assert (np.isnan(slopes.score).all(axis=-1) == lost).all()
    assert (np.isnan(slopes.information).all(axis=(-2, -1)) == lost).all()


def test_the_density_of_some_subjects_is_theirs(joint):
    z, prediction = draws_of(joint)
    subjects = np.array([7, 2, 2, 11])
    part = restrict(joint, subjects)
    theirs = z[0, subjects]
    solution = part.decoder.linearise(part.inputs(theirs))
    whole = joint.slopes(z, prediction, inputs_jacobian(joint, z))
    found = part.slopes(theirs, solution.prediction, solution.jacobian)
    assert found.value == pytest.approx(whole.value[0, subjects])
    assert found.information == pytest.approx(whole.information[0, subjects])


def test_random_effects_on_the_residual_error_act_on_the_endpoint_that_has_them():
    problem = random_intercept_and_slope()
    residual, coefficients, observed = several(problem)
    joint = replace(problem.joint(problem.initial), residual=residual, coefficients=coefficients, observed=observed)
    z, prediction = draws_of(joint)
    moved = z + np.array([0.0, 1.0])
    ratio = joint.sd(prediction, moved) / joint.sd(prediction, z)
    assert ratio == pytest.approx(np.broadcast_to(np.where(observed.endpoint == 1, np.exp(0.7), 1.0), ratio.shape))


def test_simulated_values_have_the_sd_and_lie_above_the_floor():
    problem = random_intercept_and_slope(n_subjects=8)
    residual, coefficients, observed = several(problem)
    joint = replace(problem.joint(problem.initial), residual=residual, coefficients=coefficients, observed=observed)
    z = np.broadcast_to(joint.mean, (4000, *joint.mean.shape))
    prediction = joint.predict(z)
    y = joint.simulate(z, prediction, np.random.default_rng(0))
    above = np.isfinite(observed.floor)
    assert (y[:, above] > observed.floor[above]).all()
    scaled = ((y - prediction) / joint.sd(prediction, z))[:, ~above]
    # five standard errors of 4000 draws
    assert scaled.mean(axis=0) == pytest.approx(0.0, abs=5 / np.sqrt(4000))
    assert scaled.std(axis=0) == pytest.approx(1.0, abs=5 / np.sqrt(8000))


def test_weighted_moments_equal_numpys():
    rng = np.random.default_rng(2)
    z, weight = rng.normal(size=(50, 3, 2)), rng.random((50, 3))
    weight /= weight.sum(axis=0)
    mean, cov = weighted_moments(z, weight)
    for i in range(3):
        assert mean[i] == pytest.approx(np.average(z[:, i], axis=0, weights=weight[:, i]))
        assert cov[i] == pytest.approx(np.cov(z[:, i].T, aweights=weight[:, i], ddof=0))
