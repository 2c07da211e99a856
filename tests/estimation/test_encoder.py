"""The encoder: what it reads, where it starts, what it returns."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nlmevae.estimation import lstm
from nlmevae.estimation.encoder import Encoder, EncoderInput, encoder_input
from nlmevae.estimation.initial_weights import initial_weights
from nlmevae.threads import shared_by
from tests.helpers.forms import bolus, make_table

START = np.array([[0.0, 1.0, 3.0], [0.5, 1.0, 3.0], [0.2, 1.0, 3.0]])
SCALE = np.array([1.0, 1.0, 20.0])


def inputs(n_padding: int = 0, seed: int = 0) -> EncoderInput:
    """Three subjects with 4, 2 and 0 observations; `n_padding` more empty time steps."""
    rng = np.random.default_rng(seed)
    features = np.zeros((3, 4 + n_padding, 2))
    features[0, :4], features[1, :2] = rng.normal(size=(4, 2)), rng.normal(size=(2, 2))
    return EncoderInput(features=features, last=np.array([3, 1, 0]), covariates=rng.normal(size=(3, 1)))


def encoder(data: EncoderInput, *, seed: int = 1) -> Encoder:
    return Encoder(data, START, scale=SCALE, hidden=8, sd0=0.3, seed=seed)


def trained(data: EncoderInput) -> Encoder:
    """With weights far from where they start, so that nothing is small."""
    network = encoder(data)
    network.weights += np.random.default_rng(3).normal(size=network.weights.shape).astype("f") * 0.5
    return network


def test_before_training_q_is_the_start_with_the_chosen_spread():
    q = encoder(inputs()).posterior()
    np.testing.assert_allclose(q.mean, START, atol=0.02 * SCALE.max())
    np.testing.assert_allclose((q.mean - START) / SCALE, 0.0, atol=0.02)
    expected = np.broadcast_to(np.diag(0.3 * SCALE), (3, 3, 3))
    np.testing.assert_allclose(q.chol / SCALE[:, None], expected / SCALE[:, None], atol=0.02)


def test_padding_does_not_change_the_result():
    short, long = trained(inputs()).posterior(), trained(inputs(n_padding=7)).posterior()
    np.testing.assert_allclose(long.mean, short.mean, rtol=1e-6)
    np.testing.assert_allclose(long.chol, short.chol, rtol=1e-5)


def test_every_observation_up_to_the_last_counts():
    data = inputs()
    for subject, step in [(0, 0), (0, 3), (1, 1)]:
        changed = data.features.copy()
        changed[subject, step, 1] += 1.0
        moved = trained(replace(data, features=changed)).posterior().mean - trained(data).posterior().mean
        assert np.abs(moved[subject]).max() > 1e-4
        assert np.abs(np.delete(moved, subject, axis=0)).max() == 0.0


def test_covariates_reach_the_mean():
    data = inputs()
    other = replace(data, covariates=data.covariates + 1.0)
    assert np.abs(trained(other).posterior().mean - trained(data).posterior().mean).max() > 1e-3


def test_the_factor_is_lower_triangular_with_positive_diagonal():
    chol = trained(inputs()).posterior().chol
    assert (chol[:, *np.triu_indices(3, 1)] == 0).all()
    assert (np.diagonal(chol, axis1=1, axis2=2) > 0).all()
    assert (chol[:, *np.tril_indices(3, -1)] != 0).all()


def test_one_seed_gives_one_network_and_the_global_generators_are_left_alone():
    np.random.seed(99)
    before = np.random.get_state()[1].copy()
    first, second, third = encoder(inputs()), encoder(inputs()), encoder(inputs(), seed=2)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.testing.assert_array_equal(first.weights, second.weights)
    assert not np.array_equal(first.weights, third.weights)


@pytest.mark.parametrize(("n_outputs", "n_covariates", "hidden"), [(9, 0, 16), (2, 1, 25), (14, 3, 32)])
def test_the_initial_weights_are_torchs_of_the_same_seed(n_outputs, n_covariates, hidden):
    """Of 24 bits (6e-8) in the LSTM; torch's normal numbers come from approximate logarithms and sines."""
    torch.manual_seed(2**33 + 5)
    lstm, linear = nn.LSTM(5, hidden), nn.Linear(hidden + n_covariates, n_outputs)
    nn.init.normal_(linear.weight, std=1e-3)
    ours = initial_weights(5, hidden, n_covariates, n_outputs, seed=2**33 + 5)
    theirs = [*lstm.parameters(), linear.weight]
    for own, other in zip(ours, theirs, strict=False):
        np.testing.assert_allclose(own, other.detach().numpy(), rtol=0, atol=6e-8)
    assert (ours[-1] == 0).all()


class Reference(nn.Module):
    """The same network in torch, float64, with the weights of `network`; q and its derivatives by autograd."""

    def __init__(self, network: Encoder, data: EncoderInput, hidden: int) -> None:
        super().__init__()
        self.data, self.start, self.scale = data, torch.as_tensor(network.start), torch.as_tensor(network.scale)
        d = len(self.scale)
        self.lstm = nn.LSTM(data.features.shape[2], hidden, batch_first=True).double()
        self.linear = nn.Linear(hidden + data.covariates.shape[1], 2 * d + d * (d - 1) // 2).double()
        sizes = [p.numel() for p in self.parameters()]
        for parameter, values in zip(
            self.parameters(), torch.as_tensor(network.weights).double().split(sizes), strict=True
        ):
            parameter.data = values.reshape(parameter.shape).clone()

    def forward(self) -> tuple[torch.Tensor, torch.Tensor]:
        states, _ = self.lstm(torch.as_tensor(self.data.features))
        final = states[torch.arange(len(states)), torch.as_tensor(self.data.last)]
        out, d = self.linear(torch.cat([final, torch.as_tensor(self.data.covariates)], dim=1)), len(self.scale)
        unit = torch.diag_embed(out[:, d : 2 * d].exp())
        row, column = torch.tril_indices(d, d, -1)
        unit[:, row, column] = out[:, 2 * d :]
        return self.start + self.scale * out[:, :d], self.scale[:, None] * unit

    def gradient(self, by_loc: np.ndarray, by_tril: np.ndarray) -> np.ndarray:
        loc, tril = self()
        ((loc * torch.as_tensor(by_loc)).sum() + (tril * torch.as_tensor(by_tril)).sum()).backward()
        return torch.cat([p.grad.ravel() for p in self.parameters()]).numpy()


@pytest.mark.parametrize(("n", "longest", "n_features", "hidden", "n_covariates", "d"), [
    (12, 11, 5, 16, 0, 3), (3, 4, 2, 7, 1, 1), (150, 6, 3, 25, 2, 6), (1, 1, 2, 1, 0, 2),
])  # fmt: skip
def test_q_and_the_gradient_are_torchs(n, longest, n_features, hidden, n_covariates, d):
    """Within float32, against float64: 1e-6 of the largest value; 150 subjects are three parts."""
    rng = np.random.default_rng(n)
    length = rng.integers(1, longest + 1, n)
    features = rng.normal(size=(n, longest, n_features)) * (np.arange(longest) < length[:, None])[..., None]
    data = EncoderInput(features=features, last=length - 1, covariates=rng.normal(size=(n, n_covariates)))
    scale = rng.uniform(0.5, 20.0, d)
    network = Encoder(data, rng.normal(size=(n, d)), scale=scale, hidden=hidden, sd0=0.3, seed=1)
    network.weights += rng.normal(size=network.weights.shape).astype("f") * 0.3
    reference = Reference(network, data, hidden)
    q, (loc, tril) = network.posterior(), reference()
    for own, other in ((q.mean, loc), (q.chol, tril)):
        np.testing.assert_allclose(own, other.detach(), rtol=0, atol=1e-6 * np.abs(own).max())
    by_loc, by_tril = rng.normal(size=(n, d)), rng.normal(size=(n, d, d))
    expected = reference.gradient(by_loc, np.tril(by_tril))
    own = network.gradient(q, by_loc, by_tril)
    np.testing.assert_allclose(own, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_no_number_of_threads_changes_a_digit():
    rng = np.random.default_rng(0)
    data = EncoderInput(
        features=rng.normal(size=(200, 5, 2)), last=rng.integers(0, 5, 200), covariates=rng.normal(size=(200, 1))
    )
    found = []
    for threads in (1, 3):
        network = Encoder(data, np.zeros((200, 2)), scale=np.ones(2), hidden=8, sd0=0.3, seed=1)
        with shared_by(threads):
            q = network.posterior()
            found.append((q.mean, q.chol, network.gradient(q, q.mean, q.chol)))
    for one, several in zip(*found, strict=True):
        np.testing.assert_array_equal(one, several)


def test_the_hyperbolic_tangent_is_numpys():
    """Where it is largest, and between: 3 units in the last place; what is not a number stays so."""
    x = np.append(np.linspace(-12.0, 12.0, 20_001), [np.inf, -np.inf, np.nan]).astype(np.float32)
    own = np.array([lstm.tanh(value) for value in x])
    np.testing.assert_allclose(own, np.tanh(x.astype(float)), rtol=4e-7)


def test_weights_that_are_not_finite_are_seen_in_q():
    network = encoder(inputs())
    network.weights[0] = np.nan
    assert not network.posterior().ok.all()


def table(doses: list[list[float]], covariates: list[float]):
    """One observation at 1 and 2 of each subject; doses at the given times."""
    built = make_table(
        [
            {
                "events": [bolus(t, 100.0) for t in times],
                "observations": [(1.0, 1), (2.0, 1)],
                "covariates": [(0.0, (c,))],
            }
            for times, c in zip(doses, covariates, strict=True)
        ],
        covariate_names=("WT",),
    )
    return replace(built, ob_value=np.arange(built.n_obs_total, dtype=float))


def test_a_single_dose_adds_no_features_but_a_second_one_does():
    single = encoder_input(table([[0.0], [0.0]], [50.0, 70.0]), ["WT"])
    double = encoder_input(table([[0.0, 1.5], [0.0]], [50.0, 70.0]), ["WT"])
    assert single.features.shape == (2, 2, 2)
    assert double.features.shape == (2, 2, 4)


def test_covariates_are_standardised_and_a_constant_one_is_zero():
    np.testing.assert_allclose(encoder_input(table([[0.0]] * 2, [50.0, 70.0]), ["WT"]).covariates, [[-1.0], [1.0]])
    np.testing.assert_array_equal(encoder_input(table([[0.0]] * 2, [70.0, 70.0]), ["WT"]).covariates, [[0.0], [0.0]])
    assert encoder_input(table([[0.0]] * 2, [50.0, 70.0]), []).covariates.shape == (2, 0)


def test_time_is_relative_to_the_longest_and_values_are_standardised():
    features = encoder_input(table([[0.0]] * 2, [1.0, 2.0]), []).features
    np.testing.assert_allclose(features[:, :, 0], [[0.5, 1.0], [0.5, 1.0]])
    assert features[:, :, 1].mean() == pytest.approx(0.0, abs=1e-12)
    assert math.isclose(features[:, :, 1].std(), 1.0)


def test_doses_of_subjects_without_events_are_counted_right():
    mixed = encoder_input(table([[], [0.0], []], [1.0, 2.0, 3.0]), [])
    assert mixed.features.shape == (3, 2, 2)
    last_empty = encoder_input(table([[0.0, 1.0], []], [1.0, 2.0]), [])
    assert last_empty.features.shape == (2, 2, 4)


def test_the_deviation_from_the_typical_prediction_is_an_input_of_its_own():
    built = table([[0.0], [0.0]], [50.0, 70.0])
    features = encoder_input(built, [], np.array([2.0, np.nan, -2.0, 0.0])).features
    assert features.shape == (2, 2, 5)
    np.testing.assert_allclose(features[:, :, 4], np.array([[1.0, 0.0], [-1.0, 0.0]]) * np.sqrt(2.0))
