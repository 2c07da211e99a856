"""The mean of the latents and its derivatives on the estimation scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nlmevae.codegen.latent_form import latent_form
from nlmevae.estimation.mean_model import MeanModel
from tests.helpers.code_models import make_model
from tests.helpers.linear_gaussian import _parameter, observation_table

WEIGHT = np.array([50.0, 70.0, 90.0])


def mean_model(*, fixed_thetas: tuple[int, ...] = ()) -> MeanModel:
    """A = log(THETA(1)) + THETA(2) log(X/70), B = THETA(3) X / (1 + THETA(4)), THETA(1) on the log scale."""
    model = make_model(
        error="A = LOG(THETA(1)) + THETA(2)*LOG(X/70) + ETA(1)\n"
        "B = THETA(3)*X/(1 + THETA(4)) + ETA(2)\nY = A + B*TIME + EPS(1)",
        thetas=[(0.0, 2.0, 10.0), (-1.0, 0.75), (-5.0, 0.1, 5.0), (0.0, 0.5)],
        items="ID TIME DV X",
        fixed_thetas=fixed_thetas,
    )
    model = replace(
        model,
        thetas=(replace(model.thetas[0], scale="log"), *model.thetas[1:]),
        individual_parameters=(
            _parameter("A", 1, ("THETA(1)", "THETA(2)"), ("X",)),
            replace(_parameter("B", 2, ("THETA(3)", "THETA(4)"), ("X",)), mu_linear=False),
        ),
    )
    table = observation_table(np.array([1, 1, 1]), np.zeros(3), np.zeros(3), items={"X": WEIGHT})
    return MeanModel.of(model, latent_form(model, table), table)


THETAS = np.array([2.0, 0.75, 0.1, 0.5])


def test_the_mean_is_the_formula_of_the_code():
    expected = np.column_stack([np.log(2.0) + 0.75 * np.log(WEIGHT / 70), 0.1 * WEIGHT / 1.5])
    np.testing.assert_allclose(mean_model().mean(THETAS), expected, rtol=1e-14)


def test_the_design_is_the_derivative_along_steps_on_the_estimation_scale():
    mean = mean_model()
    numeric = np.zeros((3, 2, 4))
    for k in range(4):
        delta = np.zeros(4)
        delta[k] = 1e-5
        numeric[:, :, k] = (mean.mean(mean.step(THETAS, delta)) - mean.mean(mean.step(THETAS, -delta))) / 2e-5
    np.testing.assert_allclose(mean.design(THETAS), numeric, atol=1e-8)


def test_fixed_thetas_have_no_column():
    mean = mean_model(fixed_thetas=(2,))
    assert list(mean.indices) == [0, 2, 3]
    assert mean.design(THETAS).shape == (3, 2, 3)


def test_steps_stop_at_the_bounds_and_room_says_how_far_that_is():
    mean = mean_model()
    low, high = mean.room(THETAS)
    np.testing.assert_allclose(mean.step(THETAS, high)[[0, 2]], [10.0, 5.0])
    np.testing.assert_allclose(mean.step(THETAS, low)[[1, 2, 3]], [-1.0, -5.0, 0.0])
    np.testing.assert_allclose(mean.step(THETAS, np.full(4, 100.0))[[0, 2]], [10.0, 5.0])


@pytest.mark.parametrize("delta", [1e9, -1e9])
def test_a_wild_step_stays_finite(delta):
    assert np.isfinite(mean_model().step(THETAS, np.full(4, delta))).all()


def test_it_is_linear_only_if_every_parameter_is():
    assert not mean_model().linear
