"""The encoder: what it reads, where it starts, what it returns."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from nlmevae.estimation.encoder import Encoder, EncoderInput, encoder_input
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
    q = encoder(inputs())().detached()
    np.testing.assert_allclose(q.mean, START, atol=0.02 * SCALE.max())
    np.testing.assert_allclose((q.mean - START) / SCALE, 0.0, atol=0.02)
    expected = np.broadcast_to(np.diag(0.3 * SCALE), (3, 3, 3))
    np.testing.assert_allclose(q.chol / SCALE[:, None], expected / SCALE[:, None], atol=0.02)


def test_padding_does_not_change_the_result():
    short, long = trained(inputs())().detached(), trained(inputs(n_padding=7))().detached()
    np.testing.assert_allclose(long.mean, short.mean, rtol=1e-6)
    np.testing.assert_allclose(long.chol, short.chol, rtol=1e-5)


def test_every_observation_up_to_the_last_counts():
    data = inputs()
    for subject, step in [(0, 0), (0, 3), (1, 1)]:
        changed = data.features.copy()
        changed[subject, step, 1] += 1.0
        moved = trained(replace(data, features=changed))().detached().mean - trained(data)().detached().mean
        assert np.abs(moved[subject]).max() > 1e-4
        assert np.abs(np.delete(moved, subject, axis=0)).max() == 0.0


def test_covariates_reach_the_mean():
    data = inputs()
    other = replace(data, covariates=data.covariates + 1.0)
    assert np.abs(trained(other)().detached().mean - trained(data)().detached().mean).max() > 1e-3


def test_the_factor_is_lower_triangular_with_positive_diagonal():
    chol = trained(inputs())().detached().chol
    assert (chol[:, *np.triu_indices(3, 1)] == 0).all()
    assert (np.diagonal(chol, axis1=1, axis2=2) > 0).all()
    assert (chol[:, *np.tril_indices(3, -1)] != 0).all()


def test_one_seed_gives_one_network_and_the_global_generator_is_left_alone():
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    first, second, third = encoder(inputs()), encoder(inputs()), encoder(inputs(), seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(first.weights, second.weights)
    assert not np.array_equal(first.weights, third.weights)


def test_backward_is_the_derivative_with_respect_to_the_weights():
    network = trained(inputs())
    rng = np.random.default_rng(0)
    by_loc, by_tril = rng.normal(size=(3, 3)), np.tril(rng.normal(size=(3, 3, 3)))

    def value() -> float:
        q = network().detached()
        return float((q.mean * by_loc).sum() + (q.chol * by_tril).sum())

    gradient = network.backward(network(), by_loc, by_tril).copy()
    for k in rng.choice(len(network.weights), 12, replace=False):
        old = network.weights[k]
        network.weights[k] = old + 1e-2
        up = value()
        network.weights[k] = old - 1e-2
        down = value()
        network.weights[k] = old
        assert gradient[k] == pytest.approx((up - down) / 2e-2, rel=5e-3, abs=5e-3)


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
