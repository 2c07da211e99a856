from dataclasses import replace

import numpy as np
import pytest

from nlmevae.decoder.residual import ResidualModel
from nlmevae.ir import ErrorCoefficient, ResidualError
from nlmevae.likelihood.importance import weighted_moments
from nlmevae.likelihood.residual_update import update_on_draws
from tests.helpers.linear_gaussian import random_intercept_and_slope


def coefficient(name: str, kind: str = "sigma") -> ErrorCoefficient:
    return ErrorCoefficient(parameter=name, kind=kind, scale=1.0, fixed=False)


A, B = coefficient("EPS(1)"), coefficient("EPS(2)")
ERRORS = {
    "additive": (ResidualError(kind="additive", a=A, b=None), (0, None)),
    "proportional": (ResidualError(kind="proportional", a=None, b=A), (None, 0)),
    "combined1": (ResidualError(kind="combined1", a=A, b=B), (0, 1)),
    "combined2": (ResidualError(kind="combined2", a=A, b=B), (0, 1)),
    "constant at zero": (ResidualError(kind="proportional", a=None, b=A, at_zero=1.0), (None, 0)),
}


@pytest.fixture(params=ERRORS)
def residual(request):
    error, where = ERRORS[request.param]
    return ResidualModel(error=error, where=where)


def draws_of(joint, n_draws=7):
    """Predictions with a failed solve, and a zero that only some error models can weigh."""
    rng = np.random.default_rng(0)
    z = joint.mean + rng.normal(size=(n_draws, *joint.mean.shape))
    prediction = joint.predict(z)
    prediction[2, 3], prediction[4, 5] = np.nan, 0.0
    return z, prediction


def test_the_log_joint_is_the_sum_of_likelihood_and_prior(residual):
    problem = random_intercept_and_slope(block=True)
    joint = replace(problem.joint(problem.initial), residual=residual, coefficients=(0.4, 0.3))
    z, prediction = draws_of(joint)
    expected = joint.log_likelihood(prediction) + joint.log_prior(z)
    found = joint.log_joint(z, prediction)
    assert np.isneginf(found).any()
    assert (np.isneginf(found) == ~np.isfinite(expected)).all()
    usable = np.isfinite(expected)
    assert found[usable] == pytest.approx(expected[usable], rel=1e-12)


def test_the_residual_error_of_weighted_draws_is_that_of_repeated_weights(residual):
    problem = random_intercept_and_slope()
    z, prediction = draws_of(problem.joint(problem.initial))
    weight = np.random.default_rng(1).random(z.shape[:2])
    weight[0, 0] = 0.0
    ptr = problem.table.ob_ptr
    expected = residual.update(problem.y, prediction, np.repeat(weight, np.diff(ptr), axis=1), 0.4, 0.3)
    assert update_on_draws(residual, problem.y, prediction, weight, ptr, (0.4, 0.3)) == pytest.approx(expected)


def test_weighted_moments_equal_numpys():
    rng = np.random.default_rng(2)
    z, weight = rng.normal(size=(50, 3, 2)), rng.random((50, 3))
    weight /= weight.sum(axis=0)
    mean, cov = weighted_moments(z, weight)
    for i in range(3):
        assert mean[i] == pytest.approx(np.average(z[:, i], axis=0, weights=weight[:, i]))
        assert cov[i] == pytest.approx(np.cov(z[:, i].T, aweights=weight[:, i], ddof=0))
