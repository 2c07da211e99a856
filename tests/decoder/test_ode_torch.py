"""The torchode back end agrees with closed forms, central differences, and survives a failing row."""

import numpy as np
import pytest
import torch
from tests.helpers.pk_models import event_table, oral_model

from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.base import SolveStatus
from nlmevae.decoder.ode_torch import TorchodeDecoder

TYPICAL = np.log([1.5, 0.08, 32.0])
#: torchode's fourth-order dense output at rtol 1e-8, relative to the largest prediction
INTERPOLATION = 1e-6
EVENTS = (
    (0.0, 1, 1, 300.0, 0.0),
    (3.0, 1, 1, 200.0, 0.0),
    (6.0, 2, 1, 300.0, 100.0),
    (7.0, 5, 0, 0.0, 0.0),
    (7.0, 1, 1, 100.0, 0.0),
)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def draws(n, seed=0):
    return TYPICAL + 0.3 * np.random.default_rng(seed).normal(size=(n, 3))


def test_one_bolus_matches_the_bateman_function():
    table = event_table()
    decoder = TorchodeDecoder(latent_form(oral_model(), table), table)
    x = draws(3)
    ka, k, v = np.exp(x).T[:, :, None]
    t = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 24.0])
    expected = 300 * ka / v / (ka - k) * (np.exp(-k * t) - np.exp(-ka * t))
    solution = decoder.predict(x)
    np.testing.assert_allclose(solution.prediction, expected.ravel(), rtol=INTERPOLATION)


@pytest.mark.parametrize(
    "events", [pytest.param(EVENTS[:1], marks=pytest.mark.slow), EVENTS], ids=["one dose", "every kind of event"]
)
def test_jacobians_match_central_differences_with_lag_bioavailability_infusion_and_reset(events):
    table = event_table(n_subjects=2, doses=events, observations=(0.5, 2.0, 4.0, 6.5, 8.0))
    decoder = TorchodeDecoder(latent_form(oral_model(lag=True, bioavailability=True), table), table)
    x, step = draws(2), 1e-5
    solution = decoder.linearise(x)
    for j in range(3):
        shift = step * np.eye(3)[j]
        slope = (decoder.predict(x + shift).prediction - decoder.predict(x - shift).prediction) / (2 * step)
        np.testing.assert_allclose(solution.jacobian[:, j], slope, atol=3e-5 * np.abs(solution.jacobian).max())


def test_reverse_mode_equals_forward_mode():
    table = event_table(n_subjects=2, doses=EVENTS[:3])
    decoder = TorchodeDecoder(latent_form(oral_model(lag=True), table), table)
    x = draws(2)
    tensor = torch.tensor(x, requires_grad=True)
    decoder.decode(tensor).sum().backward()
    jacobian = decoder.linearise(x).jacobian.reshape(2, -1, 3).sum(1)
    np.testing.assert_allclose(tensor.grad.numpy(), jacobian, rtol=1e-8, atol=1e-10)


def test_a_row_that_fails_is_marked_and_the_others_are_unharmed():
    table = event_table(n_subjects=3)
    decoder = TorchodeDecoder(latent_form(oral_model(), table), table, max_steps=200)
    x = draws(3)
    alone = decoder.predict(x[[0, 2]], np.array([0, 2])).prediction
    x[1, 0] = 12.0  # KA = 160,000 per hour: more steps than allowed
    solution = decoder.predict(x)
    assert solution.status.tolist() == [SolveStatus.OK, SolveStatus.MAX_STEPS, SolveStatus.OK]
    assert np.isnan(solution.prediction[6:12]).all()
    np.testing.assert_allclose(np.delete(solution.prediction, np.s_[6:12]), alone, rtol=1e-5)


def test_rows_repeat_subjects_for_monte_carlo():
    table = event_table(n_subjects=2)
    decoder = TorchodeDecoder(latent_form(oral_model(), table), table)
    x = draws(2)
    twice = decoder.predict(np.vstack([x, x]), np.array([0, 1, 0, 1])).prediction.reshape(2, -1)
    np.testing.assert_allclose(twice[0], twice[1], rtol=1e-12)
