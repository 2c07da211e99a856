"""Residual error: densities against scipy, coefficients against the model they are read from and written to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from tests.helpers.observed import FORMS, A, B, by_hand, eps_blocks, residual_model, theta_error

from nlmevae.decoder.residual import ResidualModel
from nlmevae.decoder.residual_kernels import Observed
from nlmevae.ir import ErrorCoefficient, ErrorCorrelation, ErrorEffect, ObservationModel, ResidualError

F = np.array([0.3, -0.7, 2.0, 5.0, 11.0, 40.0])


@pytest.fixture
def observed():
    return Observed.of(F + np.random.default_rng(1).normal(size=6))


@pytest.fixture
def predictions():
    return F + 0.2 * np.random.default_rng(2).normal(size=(7, 6))


@pytest.mark.parametrize("form", FORMS)
def test_the_density_is_the_normal_one(form, observed, predictions):
    model, c = residual_model(form)
    sd = by_hand(form, predictions)
    np.testing.assert_allclose(model.sd(predictions, observed, c), sd, rtol=1e-13)
    expected = norm.logpdf(observed.y, predictions, sd)
    np.testing.assert_allclose(model.log_density(predictions, observed, c), expected, rtol=1e-12)


def test_every_observation_has_the_error_of_its_endpoint():
    forms = ["additive", "combined2", "power"]
    models = [residual_model(form)[0] for form in forms]
    sigma, thetas = eps_blocks(2), ["THETA(1)"]
    observations = [
        ObservationModel(name=form, error=m.endpoints[0].error) for form, m in zip(forms, models, strict=True)
    ]
    model = ResidualModel.build(observations, thetas, sigma)
    which = np.array([2, 0, 1, 1, 0, 2])
    f = np.abs(F)
    found = model.sd(f, Observed.of(f, which), model.coefficients(np.array([0.7]), np.diag([A**2, B**2])))
    expected = np.choose(which, [by_hand(form, f) for form in forms])
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    assert len(model.parts) == 3  # EPS(1), EPS(2) and the exponent, however many endpoints use them


def test_a_random_effect_multiplies_the_sd(observed):
    a, effect = ErrorCoefficient(parameter="EPS(1)", kind="sigma"), ErrorEffect(eta="ETA(3)", scale=2.0)
    errors = [ResidualError(kind="additive", a=a, effect=effect), ResidualError(kind="additive", a=a)]
    observations = [ObservationModel(name=str(k), error=error) for k, error in enumerate(errors)]
    model = ResidualModel.build(observations, [], eps_blocks(1), ["ETA(1)", "ETA(3)"])
    observed = Observed.of(observed.y, np.array([0, 1, 0, 0, 1, 0]))
    z = np.array([[9.0, 0.1], [9.0, -0.3]])
    log = model.multiplier(z, observed, np.array([0, 0, 0, 1, 1, 1]))
    np.testing.assert_allclose(log, [0.2, 0.0, 0.2, -0.6, 0.0, -0.6])
    np.testing.assert_allclose(model.sd(F, observed, np.array([A]), log), A * np.exp(log))
    assert residual_model("additive")[0].multiplier(z, observed, np.zeros(6, dtype=int)) is None


# predictions of zero ---------------------------------------------------------------------------------------
def test_without_spread_at_zero_the_density_is_zero_there():
    model, c = residual_model("proportional")
    assert np.isneginf(model.log_density(np.zeros(2), Observed.of(np.array([1.0, 0.0])), c)).all()


def test_a_prediction_that_is_not_a_number_has_no_density():
    for form in FORMS:
        model, c = residual_model(form)
        assert np.isnan(model.log_density(np.full(1, np.nan), Observed.of(np.ones(1)), c)).all()


@pytest.mark.parametrize("kind", ["proportional", "combined1", "combined2"])
def test_a_number_substituted_at_zero_is_the_sd_there(kind):
    """W = THETA(2) * F; IF (F.EQ.0) W = 2; Y = F + W * EPS(1), with the variance of EPS(1) fixed to 1."""
    model, c = theta_error(kind, at_zero=2.0)
    f, y = np.array([0.0, 3.0]), np.array([1.0, 3.5])
    np.testing.assert_allclose(model.sd(f, Observed.of(y), c), [2.0, by_hand(kind, f)[1]])
    assert np.isfinite(model.log_density(f, Observed.of(y), c)).all()


def test_a_number_substituted_at_zero_times_eps_moves_with_its_variance():
    """W = 3 * F; IF (F.EQ.0) W = 2; Y = F + W * EPS(1): sd is 2 sd(EPS) at zero."""
    b = ErrorCoefficient(parameter="EPS(1)", kind="sigma", scale=3.0)
    error = ResidualError(kind="proportional", b=b, at_zero=2.0)
    model = ResidualModel.build([ObservationModel(name="Y", error=error)], [], eps_blocks(1))
    np.testing.assert_allclose(model.sd(np.zeros(1), Observed.of(np.zeros(1)), np.array([B])), 2.0 * B)


# coefficients ----------------------------------------------------------------------------------------------
def test_coefficients_are_read_from_the_model_and_written_back():
    a = ErrorCoefficient(parameter="EPS(2)", kind="sigma", scale=2.0)
    b = ErrorCoefficient(parameter="THETA(3)", kind="theta", scale=0.5)
    observation = ObservationModel(name="Y", error=ResidualError(kind="combined1", a=a, b=b))
    model = ResidualModel.build([observation], ["THETA(1)", "THETA(2)", "THETA(3)"], eps_blocks(2))
    thetas, sigma = np.array([1.0, 2.0, -0.3]), np.diag([1.0, 0.09])
    np.testing.assert_allclose(model.coefficients(thetas, sigma), [0.3, 0.3])
    assert [model.of_endpoint(0, name, np.array([0.3, 0.3])) for name in ("a", "b", "power")] == [0.6, 0.15, 1.0]
    new_thetas, new_sigma = model.with_coefficients(thetas, sigma, np.array([0.4, 0.5]))
    np.testing.assert_allclose(new_thetas, [1.0, 2.0, -0.5])  # a negative coefficient stays negative
    np.testing.assert_allclose(new_sigma, np.diag([1.0, 0.16]))
    np.testing.assert_array_equal(thetas, [1.0, 2.0, -0.3])
    np.testing.assert_array_equal(sigma, np.diag([1.0, 0.09]))


def test_a_correlation_is_read_and_written_with_its_variances():
    model, c = residual_model("correlated")
    assert c[2] == pytest.approx(0.5)
    _, sigma = model.with_coefficients(np.zeros(0), np.eye(2), np.array([0.2, 0.3, -0.6]))
    np.testing.assert_allclose(sigma, [[0.04, -0.036], [-0.036, 0.09]])
    fixed = tuple(replace(part, fixed=True) for part in model.parts)
    _, sigma = replace(model, parts=fixed).with_coefficients(np.zeros(0), np.eye(2), np.array([0.2, 0.3, -0.6]))
    np.testing.assert_array_equal(sigma, np.eye(2))


def test_a_repeated_variance_is_one_coefficient_written_everywhere():
    blocks = eps_blocks(2)
    blocks = (blocks[0], replace(blocks[1], same_as=0))
    errors = [ResidualError(kind="additive", a=ErrorCoefficient(parameter=f"EPS({k})", kind="sigma")) for k in (1, 2)]
    model = ResidualModel.build([ObservationModel(name="Y", error=error) for error in errors], [], blocks)
    assert len(model.parts) == 1
    _, sigma = model.with_coefficients(np.zeros(0), np.eye(2), np.array([3.0]))
    np.testing.assert_array_equal(sigma, 9.0 * np.eye(2))


def test_coordinates_and_their_inverse():
    model, c = residual_model("correlated")
    np.testing.assert_allclose(model.coordinates(c), [np.log(A), np.log(B), np.arctanh(0.5)])
    model, c = residual_model("combined1 power")
    np.testing.assert_allclose(model.coordinates(c), [np.log(A), np.log(B), 0.7])
    np.testing.assert_allclose(model.from_coordinates(model.coordinates(c)), c, rtol=1e-15)


def test_the_sign_of_a_correlation_is_that_of_the_code():
    """Y = F - F*EPS(2) + EPS(1) turns the correlation around."""
    model, c = residual_model("correlated")
    error = model.endpoints[0].error
    turned = replace(error, correlation=ErrorCorrelation(names=("EPS(1)", "EPS(2)"), sign=-1.0))
    other = ResidualModel.build([ObservationModel(name="Y", error=turned)], [], eps_blocks(2, 0.5))
    found = other.sd(F, Observed.of(F), c)
    np.testing.assert_allclose(found**2, A**2 - 2 * 0.5 * A * B * F + B**2 * F**2)
