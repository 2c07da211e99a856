"""Frequencies over resamples of subjects."""

import numpy as np
import pytest

from nlmevae.estimation.observed_selection import choose
from nlmevae.estimation.selection_stability import stability
from nlmevae.selection.program import Rules
from tests.helpers.linear_mixed import simulate


@pytest.fixture(scope="module")
def chosen():
    study = simulate(n_subjects=120, d=2, n_columns=6, effect=0.8, seed=1)
    search = study.search(rules=Rules(forced=(4,), banned=(5,)))
    return search, choose(search, study.omega)


@pytest.mark.parametrize("profile_omega", [False, True])
def test_strong_effects_are_chosen_in_every_resample(chosen, profile_omega):
    search, choice = chosen
    result = stability(
        search,
        choice.profile.omega,
        choice.support,
        rng=np.random.default_rng(0),
        resamples=30,
        profile_omega=profile_omega,
    )
    assert result.n_done == 30
    assert (result.frequency[[0, 1, 4]] > 0.95).all()
    assert result.frequency[5] == 0.0
    assert (result.frequency[[2, 3]] < 0.6).all()
    assert 0.0 < result.same <= result.frequency[choice.support].min()


def test_a_generator_in_the_same_state_gives_the_same_frequencies(chosen):
    search, choice = chosen
    runs = [
        stability(search, choice.profile.omega, choice.support, rng=np.random.default_rng(7), resamples=8)
        for _ in range(2)
    ]
    assert np.array_equal(runs[0].frequency, runs[1].frequency)


def test_no_time_gives_no_frequencies(chosen):
    search, choice = chosen
    result = stability(search, choice.profile.omega, choice.support, rng=np.random.default_rng(0), seconds=0.0)
    assert result.n_done == 0
    assert np.isnan(result.frequency).all()


def test_a_resample_of_every_subject_once_chooses_the_support_itself(chosen):
    search, choice = chosen

    class Identity:
        def integers(self, n, *, size):
            return np.arange(size)

    result = stability(search, choice.profile.omega, choice.support, rng=Identity(), resamples=1)
    assert result.same == 1.0
