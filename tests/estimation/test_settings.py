"""Settings and the schedules made from them."""

from __future__ import annotations

import numpy as np
import pytest

from nlmevae.errors import SettingsError
from nlmevae.estimation.schedule import PUBLISHED, SHORT, Schedule
from nlmevae.estimation.settings import FitSettings


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "focei"},
        {"backend": "gpu"},
        {"seed": -1},
        {"seed": 1.5},
        {"threads": 0},
        {"threads": True},
        {"rtol": 0.0},
        {"rtol": float("nan")},
        {"sd0": -0.1},
        {"training_lr": float("inf")},
        {"training_iterations": 0},
        {"n_draws": "many"},
        {"gain_tolerance": 0},
    ],
)
def test_an_impossible_value_names_the_setting_and_what_to_do(wrong):
    with pytest.raises(SettingsError) as caught:
        FitSettings(**wrong)
    assert next(iter(wrong)) in caught.value.message
    assert caught.value.hint


def test_the_published_schedule_is_the_authors():
    schedule = Schedule.of(FitSettings(method="vae"), n_latents=3, n_subjects=12)
    assert schedule == PUBLISHED
    assert (schedule.burn_in_iterations, schedule.training_iterations, schedule.steps) == (100, 300, 5)
    assert (schedule.burn_in_lr, schedule.training_lr, schedule.burn_in_kl) == (8e-3, 5e-3, 1e-3)


def test_the_default_is_short_and_its_network_grows_with_the_problem():
    assert Schedule.of(FitSettings(), n_latents=3, n_subjects=12) == SHORT
    assert Schedule.of(FitSettings(), n_latents=5, n_subjects=12).hidden == 25
    assert Schedule.of(FitSettings(), n_latents=2, n_subjects=639).hidden == 25


@pytest.mark.parametrize(("n_subjects", "draws"), [(1, 8), (60, 8), (61, 6), (120, 4), (240, 2), (5000, 2)])
def test_many_subjects_need_fewer_draws_each(n_subjects, draws):
    assert Schedule.of(FitSettings(), n_latents=3, n_subjects=n_subjects).draws == draws


def test_the_users_choices_win():
    settings = FitSettings(hidden=7, sd0=0.2, burn_in_iterations=0, training_iterations=3, smoothing=2)
    schedule = Schedule.of(settings, n_latents=9, n_subjects=999)
    assert (schedule.hidden, schedule.sd0, schedule.total) == (7, 0.2, 3)


def test_the_kl_weight_grows_linearly_to_one():
    weights = [PUBLISHED.kl_weight(k) for k in range(60)]
    np.testing.assert_allclose(weights[:50], np.linspace(0.01, 1, 50))
    assert weights[50:] == [1.0] * 10


@pytest.mark.parametrize("ramp", [0, 1])
def test_without_a_ramp_the_full_kl_counts_from_the_start(ramp):
    schedule = Schedule.of(FitSettings(kl_ramp=ramp), n_latents=3, n_subjects=12)
    assert schedule.kl_weight(0) == 1.0


def test_smoothing_weights_make_a_plain_average():
    average = 0.0
    for k in range(PUBLISHED.training_iterations):
        weight = PUBLISHED.average_weight(k)
        average = (1 - weight) * average + weight * k
    assert average == pytest.approx(np.mean(np.arange(250, 300)))
