"""The choice against enumeration of all supports with the profile criterion."""

from dataclasses import replace

import numpy as np
import pytest

from nlmevae.estimation.observed_selection import (
    Exploration,
    choose,
    frozen_latents,
    obeys,
    reverse,
    without_gains,
)
from nlmevae.selection.program import Rules
from tests.helpers.linear_mixed import brute_force, enumerated, simulate

RULES = Rules(forced=(4,), exclusive=((0, 1),), requires=((2, 3),), at_most=3)
#: N >= 100 goes through the integer programs, smaller studies through all supports.
CASES = [
    {"n_subjects": 12, "d": 2, "n_columns": 6, "n_obs": 6},
    {"n_subjects": 30, "d": 3, "n_columns": 6, "information": 0.5},
    {"n_subjects": 120, "d": 1, "n_columns": 6, "information": 0.3},
    {"n_subjects": 120, "d": 2, "n_columns": 6, "information": 30.0},
    {"n_subjects": 120, "d": 3, "n_columns": 7, "block": True},
    {"n_subjects": 150, "d": 2, "n_columns": 7, "n_obs": 1, "effect": 0.25},
]


@pytest.mark.parametrize("rules", [Rules(), RULES], ids=["free", "rules"])
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_the_choice_is_the_best_of_all_supports(case, seed, rules):
    study = simulate(**case, seed=seed)
    search = study.search(rules=replace(rules, at_most=min(rules.at_most or 9, max(2, case["n_subjects"] // 5))))
    table = enumerated(search, study.omega)
    choice = choose(search, study.omega, solver=brute_force)
    assert obeys(search.rules, choice.support)
    assert choice.criterion == pytest.approx(min(table.values()), abs=2e-3)
    for u in np.flatnonzero(choice.exact):
        other = reverse(search.rules, choice.support, u).tobytes()
        if other in table:
            assert choice.margins[u] == pytest.approx(table[other] - choice.criterion, abs=0.02)


@pytest.mark.parametrize("seed", range(6))
def test_the_choice_does_not_depend_on_the_start(seed):
    study = simulate(n_subjects=110, d=2, n_columns=12, seed=seed, effect=0.35)
    search = study.search()
    ends = [
        choose(search, factor * study.omega, previous=start)
        for factor, start in ((1.0, None), (0.3, np.zeros(12, dtype=bool)), (2.0, np.ones(12, dtype=bool)))
    ]
    assert np.array_equal(ends[0].support, ends[1].support)
    assert np.array_equal(ends[0].support, ends[2].support)
    assert ends[0].criterion == pytest.approx(ends[2].criterion, abs=1e-5)


def test_the_certificate_is_of_the_program_at_the_choice():
    study = simulate(n_subjects=110, d=2, n_columns=10, seed=3)
    choice = choose(study.search(), study.omega)
    assert choice.solution.certified
    assert np.array_equal(choice.solution.support, choice.support)
    assert choice.solution.objective == pytest.approx(choice.criterion, abs=1e-5)
    assert choice.solution.beta == pytest.approx(choice.profile.beta, abs=1e-4)
    assert choice.n_uncertified == 0
    assert choice.n_programs >= 2


def test_every_program_goes_to_the_given_solver():
    study, calls = simulate(n_subjects=110, d=2, n_columns=5), []

    def solver(program, *, warm):
        calls.append(warm)
        return brute_force(program, warm=warm)

    assert choose(study.search(), study.omega, solver=solver).n_programs == len(calls) > 0


@pytest.mark.parametrize("kept", [0, 5])
def test_of_two_equal_effects_the_previous_one_stays(kept):
    study = simulate(n_subjects=120, d=2, n_columns=5, effect=1.0)
    values = np.column_stack([study.values, study.values[:, 0]])
    study = replace(study, values=values, latent=np.append(study.latent, study.latent[0]))
    previous = np.arange(6) == kept
    choice = choose(study.search(), study.omega, previous=previous)
    assert choice.support[kept]
    assert choice.support[[0, 5]].sum() == 1


def test_a_categorical_effect_enters_with_all_its_columns():
    study = simulate(n_subjects=120, d=2, n_columns=6, effect=1.0)
    search = study.search(units=((0, 3, 4), (1,), (2, 5)))
    choice = choose(search, study.omega)
    assert choice.support[0]
    assert (choice.profile.beta[[0, 3, 4]] != 0).all()
    assert choice.criterion == pytest.approx(min(enumerated(search, study.omega).values()), abs=2e-3)


def test_margins_are_positive_and_missing_where_nothing_is_decided():
    study = simulate(n_subjects=120, d=2, n_columns=16)
    choice = choose(study.search(rules=Rules(forced=(3,), banned=(5,))), study.omega)
    assert np.isnan(choice.margins[[3, 5]]).all()
    decided = np.delete(np.arange(16), [3, 5])
    assert (choice.margins[decided] > -1e-3).all()
    assert choice.exact[choice.support & (np.arange(16) != 3)].all()


def test_holding_omega_makes_the_margin_of_an_addition_too_large():
    study = simulate(n_subjects=110, d=2, n_columns=16, seed=2)
    search = study.search()
    choice = choose(search, study.omega)
    run = Exploration(search, choice.profile.omega)
    for u in np.flatnonzero(~choice.exact):
        other = reverse(search.rules, choice.support, u)
        run.profile([other], choice.profile.omega)
        assert choice.margins[u] >= run.criterion(other) - choice.criterion - 1e-4


def collapsed_study():
    study = simulate(n_subjects=120, d=2, n_columns=6, effect=1.0, seed=1)
    return replace(study, latent=np.array([0, 0, 0, 1, 1, 1])), np.diag([0.15, 1e-4])


def test_latents_without_variance_or_information_are_frozen():
    study, omega = collapsed_study()
    assert frozen_latents(study.model, omega, np.ones(2)).tolist() == [False, True]
    assert frozen_latents(study.model, omega, np.array([1.0, 1e-2])).tolist() == [False, True]  # by shrinkage
    assert not frozen_latents(study.model, study.omega, np.ones(2)).any()


def test_a_frozen_latent_gains_no_effect_but_may_keep_its_own():
    study, omega = collapsed_study()
    search = study.search(rules=Rules(forced=(3,)))
    frozen = np.array([False, True])
    assert without_gains(search, frozen, None).rules.banned == (4, 5)
    assert without_gains(search, frozen, np.arange(6) == 4).rules.banned == (5,)
    choice = choose(search, omega, scale=np.ones(2))
    assert choice.support[3]
    assert not choice.support[4:].any()


def test_reversing_a_decision_takes_along_what_the_rules_demand():
    rules = Rules(exclusive=((0, 1, 2),), requires=((3, 0), (4, 3)))
    support = np.array([True, False, False, True, True])
    assert reverse(rules, support, 1).tolist() == [False, True, False, False, False]
    assert reverse(rules, support, 0).tolist() == [False] * 5
    assert reverse(rules, support, 3).tolist() == [True, False, False, False, False]
    only_one = np.array([False, True, False, False, False])
    assert reverse(rules, only_one, 4).tolist() == [True, False, False, True, True]


def test_a_previous_support_that_the_rules_forbid_is_not_kept():
    study = simulate(n_subjects=120, d=2, n_columns=5)
    search = study.search(rules=Rules(banned=(4,), forced=(3,)))
    choice = choose(search, study.omega, previous=np.arange(5) == 4)
    assert choice.support[3]
    assert not choice.support[4]
