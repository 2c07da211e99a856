"""What a search charges and allows, and that it ends at the best of all supports by the exact likelihood."""

from __future__ import annotations

import numpy as np
import pytest

from nlmevae.errors import SettingsError
from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.observed_selection import obeys, reverse
from nlmevae.estimation.polish import polish
from nlmevae.estimation.polish_outcome import PolishOutcome
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.refine import find_modes
from nlmevae.estimation.sample import Sample, draw_batch
from nlmevae.estimation.selector import FEWEST, SUBJECTS_PER_EFFECT, SearchState, Selector, rules_of
from nlmevae.estimation.settings import FitSettings, SelectionSettings
from nlmevae.likelihood.importance import mixture
from nlmevae.results.status import FitStatus
from nlmevae.selection.program import Rules
from tests.helpers.effect_problems import ExactSearch, all_supports, intercept_and_slope_search
from tests.helpers.linear_gaussian import exact_minus_two_ll, exact_posterior

#: Of a margin by cached draws against the exact difference of two maxima (measured: 0.03 where Omega is regular).
MARGIN = 0.06
GROUPS = (("A", (0, 1)), ("B", (2,)), ("B", (0, 1)))


def searched(problem: Problem, *, seed: int = 1, **selection) -> tuple[PolishOutcome, Selector]:
    """The polish of a search, from the initial estimates."""
    selector = Selector.of(problem, SelectionSettings(**selection))
    settings = FitSettings(n_alternatives=0)
    return polish(problem, problem.initial, None, settings, np.random.default_rng(seed), selector=selector), selector


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        ("bicc", [2 * np.log(30), np.log(30), 2 * np.log(30)]),
        ("bic", [2 * np.log(30), np.log(30), 2 * np.log(30)]),
        ("aic", [4.0, 2.0, 4.0]),
        ("lrt:0.05", [5.991464547, 3.841458821, 5.991464547]),
        ("lrt:0.01", [9.210340372, 6.634896601, 9.210340372]),
        ("ebic", [2 * np.log(30) + 2 * np.log(3), np.log(30) + 2 * np.log(3), 2 * np.log(30) + 2 * np.log(3)]),
        ("mbic", [2 * np.log(30), np.log(30), 2 * np.log(30)]),
    ],
)
def test_every_criterion_charges_what_it_says(criterion, expected):
    """Quantiles of chi-squared with 2, 1 and 2 degrees of freedom from published tables."""
    selector = Selector.of(intercept_and_slope_search(0, units=GROUPS), SelectionSettings(criterion=criterion))
    np.testing.assert_allclose(selector.penalty, expected, rtol=1e-9)


def test_the_users_penalty_replaces_that_of_one_effect():
    problem = intercept_and_slope_search(0, units=GROUPS)
    selector = Selector.of(problem, SelectionSettings(penalties=(("B~X2", 7.5),)))
    np.testing.assert_allclose(selector.penalty, [2 * np.log(30), 7.5, 2 * np.log(30)])
    assert selector.total_penalty(problem.on_support(np.array([True, True, False]))) == pytest.approx(
        2 * np.log(30) + 7.5
    )


def test_a_penalty_of_what_is_no_candidate_is_an_error():
    with pytest.raises(SettingsError, match="no candidate effect 'B~X9'") as error:
        Selector.of(intercept_and_slope_search(0), SelectionSettings(penalties=(("B~X9", 1.0),)))
    assert "A~X0" in error.value.hint


@pytest.mark.parametrize(("n_subjects", "expected"), [(6, FEWEST), (14, FEWEST), (29, 5), (30, None)])
def test_a_small_study_has_at_most_one_effect_for_every_five_subjects(n_subjects, expected):
    assert SUBJECTS_PER_EFFECT == 5
    problem = intercept_and_slope_search(0, n_subjects=max(n_subjects, 6))
    assert rules_of(problem.effects, n_subjects).at_most == expected


def test_forced_effects_may_be_more_than_a_small_study_would_have():
    problem = intercept_and_slope_search(0, n_subjects=10, forced=(0, 1, 2, 4, 5))
    rules = rules_of(problem.effects, 10)
    assert (rules.forced, rules.at_most) == ((0, 1, 2, 4, 5), 5)
    outcome, _ = searched(problem)
    assert outcome.problem.support.tolist() == [True, True, True, False, True, True]


def test_exclusive_candidates_are_rules():
    problem = intercept_and_slope_search(0, exclusive=((0, 1), (3, 4, 5)))
    assert rules_of(problem.effects, 30).exclusive == ((0, 1), (3, 4, 5))


class Enumerated:
    """All supports of one problem that the rules allow, by the exact criterion."""

    def __init__(self, problem: Problem, selector: Selector, *, block: bool = False) -> None:
        exact = ExactSearch(problem, block=block)
        self.rules = selector.rules
        allowed = [s for s in all_supports(problem.effects.n_units) if obeys(self.rules, s)]
        self.values = {s.tobytes(): exact.criterion(s, selector.penalty) for s in allowed}

    @property
    def best(self) -> np.ndarray:
        return np.frombuffer(min(self.values, key=self.values.get), dtype=bool)

    def excess(self, support: np.ndarray) -> float:
        """Over the best one."""
        return self.values[support.tobytes()] - min(self.values.values())

    def margins(self, support: np.ndarray) -> np.ndarray:
        """(n_units,) NaN where the reversal is not allowed."""
        other = [reverse(self.rules, support, u).tobytes() for u in range(len(support))]
        return np.array([self.values.get(s, np.nan) for s in other]) - self.values[support.tobytes()]


@pytest.fixture(scope="module")
def fourth() -> Enumerated:
    """Of `intercept_and_slope_search(4)`. A test makes a selector of its own: they count what they solve."""
    problem = intercept_and_slope_search(4)
    return Enumerated(problem, Selector.of(problem, SelectionSettings()))


SEARCHES = {
    **{f"seed {seed}": {"seed": seed} for seed in range(4)},
    "aic, seed 1": {"seed": 1, "criterion": "aic"},
    "groups": {"seed": 5, "units": GROUPS, "criterion": "aic"},
    "exclusive": {"seed": 4, "exclusive": ((0, 1, 2), (3, 4)), "criterion": "aic"},
    "forced": {"seed": 4, "forced": (2,)},
    "covariate in the model": {"seed": 2, "covariate": True},
    "block": {"seed": 3, "block": True, "n_subjects": 40},
    "few subjects": {"seed": 4, "n_subjects": 16, "strength": 0.8},
}


@pytest.mark.parametrize("name", SEARCHES)
def test_the_search_ends_at_the_best_of_all_supports_with_exact_margins(name):
    options = dict(SEARCHES[name])
    selection = {"criterion": options.pop("criterion", "bicc")}
    problem = intercept_and_slope_search(options.pop("seed"), **options)
    outcome, selector = searched(problem, **selection)
    exact = Enumerated(problem, selector, block="block" in options)
    support = outcome.problem.support
    assert outcome.status is FitStatus.CONVERGED
    assert exact.excess(support) < 0.03
    value = outcome.minus_two_ll + selector.total_penalty(outcome.problem)
    assert value == pytest.approx(exact.values[support.tobytes()], abs=0.05)
    margins, expected = outcome.search.margins, exact.margins(support)
    checked = sorted(outcome.search.checked)
    assert checked, "no decision was close"
    np.testing.assert_allclose(margins[checked], expected[checked], atol=MARGIN)
    assert np.isnan(margins[list(selector.rules.forced)]).all()


def test_the_search_charges_the_users_penalty():
    problem = intercept_and_slope_search(4)
    chosen = searched(problem)[0].problem.support
    assert chosen[0]
    assert chosen[4]
    dear, _ = searched(problem, penalties=(("A~X0", 60.0),))
    cheap, _ = searched(problem, penalties=(("B~X0", 0.01),))
    assert not dear.problem.support[0]
    assert cheap.problem.support[3]


def polished(problem: Problem) -> tuple[Problem, np.ndarray, Sample]:
    """The maximum on the problem's own support, and draws there."""
    settings = FitSettings(n_alternatives=0, gain_tolerance=0.005)
    population = polish(problem, problem.initial, None, settings, np.random.default_rng(0)).population
    joint = problem.joint(population)
    modes = find_modes(joint, joint.mean)
    proposal = mixture(joint, modes.mean, modes.chol)
    batch = draw_batch(problem, joint, modes.mean, proposal, 1024, np.random.default_rng(1))
    return population, Sample.of(problem, Coordinates.of(problem), batch)


def test_the_check_on_the_exact_likelihood_finds_the_best_neighbour(fourth):
    """From every support one decision away from the best one."""
    problem = intercept_and_slope_search(4)
    selector = Selector.of(problem, SelectionSettings())
    exact, best = fourth, fourth.best
    for unit in (0, 1, 4, 5):
        start = problem.on_support(reverse(selector.rules, best, unit))
        if exact.excess(start.support) < 0.1:
            continue
        population, sample = polished(start)
        found = selector.better_neighbour(SearchState(sample=sample), sample, population)
        assert found is not None
        moved, there = found
        margins = exact.margins(start.support)
        assert exact.values[moved.support.tobytes()] - exact.values[start.support.tobytes()] == pytest.approx(
            np.nanmin(margins), abs=MARGIN
        )
        outside = ~moved.support[moved.effects.unit]
        assert (there.thetas[moved.effects.theta[outside]] == 0.0).all()


def test_at_the_best_support_there_is_no_better_neighbour(fourth):
    problem = intercept_and_slope_search(4)
    selector = Selector.of(problem, SelectionSettings())
    best = problem.on_support(fourth.best)
    population, sample = polished(best)
    state = SearchState(sample=sample)
    assert selector.better_neighbour(state, sample, population) is None
    close = sorted(state.checked)
    np.testing.assert_allclose(state.margins[close], fourth.margins(best.support)[close], atol=MARGIN)


def test_a_support_that_was_given_up_is_not_taken_again(fourth):
    problem = intercept_and_slope_search(4)
    selector = Selector.of(problem, SelectionSettings())
    best = fourth.best
    start = problem.on_support(reverse(selector.rules, best, 0))
    population, sample = polished(start)
    state = SearchState(sample=sample, left={best.tobytes()})
    found = selector.better_neighbour(state, sample, population)
    assert found is None or not np.array_equal(found[0].support, best)


def test_reversals_that_the_rules_forbid_are_not_checked():
    problem = intercept_and_slope_search(4, forced=(2,))
    selector = Selector.of(problem, SelectionSettings(criterion="aic"))
    selector.rules = Rules(forced=(2,), at_most=2)
    start = problem.on_support(np.array([True, False, True, False, False, False]))
    population, sample = polished(start)
    state = SearchState(sample=sample)
    found = selector.better_neighbour(state, sample, population)
    assert set(state.checked) <= {0}
    assert found is None


def test_observed_information_gives_the_profile_with_the_support():
    """On a linear model the Gaussian likelihood is the exact one: its choice at the maximum is the best support, and
    its fixed effects and Omega those of the maximum there (sigma is not moved)."""
    problem = intercept_and_slope_search(4)
    outcome, selector = searched(problem)
    start = problem.on_support(np.zeros(6, dtype=bool))
    population = start.restricted(outcome.population)
    mean, cov = exact_posterior(start, population)
    found = selector.observed(start, population, mean, cov, np.ones(30, dtype=bool))
    assert found.problem.support.tolist() == outcome.problem.support.tolist()
    here = exact_minus_two_ll(outcome.problem, outcome.population).sum()
    there = exact_minus_two_ll(found.problem, found.population).sum()
    assert there == pytest.approx(here, abs=0.02)
    assert there <= here + 1e-6  # the polish ends within its tolerance; the profile is exact
    outside = ~found.problem.support[found.problem.effects.unit]
    assert (found.population.thetas[found.problem.effects.theta[outside]] == 0.0).all()


def test_subjects_without_a_mode_count_as_without_data():
    problem = intercept_and_slope_search(4)
    selector = Selector.of(problem, SelectionSettings(criterion="bicc"))
    mean, cov = exact_posterior(problem, problem.initial)
    ok = np.arange(30) >= 4
    wrong = mean.copy()
    wrong[:4] += 5.0
    one = selector.observed(problem, problem.initial, mean, cov, ok)
    two = selector.observed(problem, problem.initial, wrong, cov, ok)
    assert one.choice.criterion == pytest.approx(two.choice.criterion)
    np.testing.assert_allclose(one.population.thetas, two.population.thetas)


def test_every_program_of_a_search_is_counted_and_proven():
    outcome, selector = searched(intercept_and_slope_search(4))
    count = selector.count
    assert count.solves >= outcome.n_outer
    assert (count.uncertified, count.largest_gap) == (0, 0.0)
    program, solution = count.last
    assert program.n_units == 6
    assert solution.certified


def test_penalties_are_annealed_but_the_final_search_charges_them_in_full():
    problem = intercept_and_slope_search(4)
    selector = Selector.of(problem, SelectionSettings(criterion="bicc"))
    mean, cov = exact_posterior(problem, problem.initial)
    ok = np.ones(30, dtype=bool)
    sizes = [
        selector.observed(problem, problem.initial, mean, cov, ok, penalty_factor=f).problem.support.sum()
        for f in (0.0, 1.0, 100.0)
    ]
    assert sizes[0] == 6
    assert sizes[0] > sizes[1] > sizes[2] == 0
    np.testing.assert_allclose(selector.penalty, np.log(30))
