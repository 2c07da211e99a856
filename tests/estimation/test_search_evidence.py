"""What a search says about its decisions, against the exact criterion of all supports."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nlmevae.estimation import search_evidence
from nlmevae.estimation.assemble import Estimation
from nlmevae.estimation.polish import polish
from nlmevae.estimation.search import SearchOutcome
from nlmevae.estimation.search_evidence import OTHER_CRITERIA, Evidence, evidence_of
from nlmevae.estimation.selector import Selector, penalties_of
from nlmevae.estimation.settings import FitSettings, SelectionSettings
from nlmevae.estimation.stages import Stages
from nlmevae.results.status import FitStatus
from nlmevae.selection.criterion import parse_criterion
from tests.helpers.effect_problems import ExactSearch, all_supports, intercept_and_slope_search

#: The Gaussian likelihoods hold sigma at its final value; a support further away has another one. Measured here: 0.25
#: of the criterion at most for supports that are near the best.
NEAR = 0.4
UNITS = ("A~X0", "A~X1", "A~X2", "B~X0", "B~X1", "B~X2")


def outcome_of(seed: int, *, resamples: int = 30, **options) -> SearchOutcome:
    """A polished search of six candidates in 30 subjects."""
    problem = intercept_and_slope_search(seed, **options)
    settings, selection = FitSettings(n_alternatives=0), SelectionSettings(resamples=resamples, criterion="bicc")
    selector = Selector.of(problem, selection)
    found = polish(problem, problem.initial, None, settings, np.random.default_rng(1), selector=selector)
    estimation = Estimation(
        problem=found.problem,
        population=found.population,
        posteriors=(found.weighted, found.modes),
        status=found.status,
        message=found.message,
        trace=found.trace,
        search=found.search,
    )
    return SearchOutcome(
        estimation=estimation, selector=selector, settings=settings, selection=selection, stages=Stages()
    )


@pytest.fixture(scope="module", params=[4, 7])
def outcome(request) -> SearchOutcome:
    return outcome_of(request.param)


@pytest.fixture(scope="module")
def evidence(outcome) -> Evidence:
    return evidence_of(outcome)


@pytest.fixture(scope="module")
def exact(outcome) -> dict[tuple[str, ...], tuple[float, int]]:
    """Support -> exact -2LL and its number of effects."""
    known = ExactSearch(outcome.problem)
    return {names(s): (known.minus_two_ll(s), int(s.sum())) for s in all_supports(6)}


def names(support: np.ndarray) -> tuple[str, ...]:
    return tuple(n for n, s in zip(UNITS, support, strict=True) if s)


def excess(exact, support: tuple[str, ...], penalty: float) -> float:
    """Of the criterion over the best support, at one penalty for every effect."""
    return exact[support][0] + penalty * len(support) - min(v + penalty * k for v, k in exact.values())


def test_the_search_ended_at_a_maximum(outcome):
    assert outcome.estimation.status is FitStatus.CONVERGED
    assert outcome.problem.support.any()


def test_margins_are_exact_differences(outcome, evidence, exact):
    support = outcome.problem.support
    here = exact[names(support)][0] + np.log(30) * support.sum()
    for u, margin in enumerate(evidence.margin):
        other = support.copy()
        other[u] = ~other[u]
        there = exact[names(other)][0] + np.log(30) * other.sum()
        tolerance = 0.06 if there - here < 5 else 0.05 * (there - here)
        assert margin == pytest.approx(there - here, abs=tolerance)


def test_every_point_of_the_path_is_the_best_support_in_its_interval(evidence, exact):
    assert len(evidence.path) > 2
    for point in evidence.path:
        high = min(point.high, point.low + 40.0)
        for share in (0.02, 0.5, 0.98):
            penalty = point.low + share * (high - point.low)
            assert excess(exact, point.support, penalty) < NEAR


def test_the_path_is_in_one_piece_from_weak_to_strong_penalties(evidence):
    path = evidence.path
    assert [p.low for p in path[1:]] == [p.high for p in path[:-1]]
    assert all(p.low < p.high for p in path)
    assert path[-1].high == np.inf
    sizes = [len(p.support) for p in path]
    assert sizes == sorted(sizes, reverse=True)
    assert path[-1].support == ()
    assert path[0].low == pytest.approx(0.2 * np.log(30))


def test_the_path_passes_the_chosen_support_at_the_criterions_penalty(outcome, evidence):
    at = [p for p in evidence.path if p.low < np.log(30) <= p.high]
    assert [p.support for p in at] == [names(outcome.problem.support)]


def test_path_coefficients_are_those_of_the_support(outcome, evidence):
    for point in evidence.path:
        assert set(point.beta) == {n.replace("~", "_") for n in point.support}
    chosen = next(p for p in evidence.path if p.support == names(outcome.problem.support))
    effects = outcome.problem.effects
    final = dict(zip(effects.names, effects.beta(outcome.estimation.population.thetas), strict=True))
    for name, value in chosen.beta.items():
        assert value == pytest.approx(final[name], abs=0.01)


@pytest.mark.parametrize("criterion", OTHER_CRITERIA)
def test_other_criteria_choose_what_they_would_have_chosen(outcome, evidence, exact, criterion):
    penalty = penalties_of(parse_criterion(criterion), outcome.problem, outcome.selection)
    assert np.ptp(penalty) == 0.0
    assert excess(exact, evidence.alternatives[criterion], float(penalty[0])) < NEAR


def test_the_own_criterion_is_among_the_alternatives_with_the_chosen_support(outcome, evidence):
    assert evidence.alternatives["bicc"] == names(outcome.problem.support)
    assert set(evidence.alternatives) == set(OTHER_CRITERIA)


def test_frequencies_are_shares_of_the_resamples_and_follow_the_margins(outcome, evidence):
    assert np.allclose(evidence.frequency * 30, np.round(evidence.frequency * 30))
    support = outcome.problem.support
    surest = np.argmax(np.where(support, evidence.margin, -np.inf))
    assert evidence.frequency[surest] > 0.75
    assert evidence.frequency[support].mean() > evidence.frequency[~support].mean() + 0.2


def test_resamples_use_the_seed_alone(outcome, evidence):
    again = evidence_of(outcome)
    np.testing.assert_array_equal(again.frequency, evidence.frequency)
    np.testing.assert_array_equal(again.margin, evidence.margin)
    other = replace(outcome, settings=replace(outcome.settings, seed=outcome.settings.seed + 1))
    assert (evidence_of(other).frequency != evidence.frequency).any()


def test_without_resamples_no_frequency_is_claimed(outcome):
    none = evidence_of(replace(outcome, selection=replace(outcome.selection, resamples=0)))
    assert np.isnan(none.frequency).all()
    assert np.isfinite(none.margin).all()


def test_without_a_polish_the_margins_are_those_of_the_posteriors_given(outcome, evidence):
    """As after the published method; at the maximum and with exact posteriors they are nearly the same."""
    alone = replace(outcome, estimation=replace(outcome.estimation, search=None))
    margin = evidence_of(alone).margin
    assert np.isfinite(margin).all()
    assert not np.array_equal(margin, evidence.margin)
    np.testing.assert_allclose(margin, evidence.margin, atol=NEAR, rtol=0.1)


@pytest.mark.parametrize("status", [FitStatus.INTERRUPTED, FitStatus.NUMERICAL_FAILURE])
def test_of_a_search_that_ended_early_only_the_margins_are_reported(outcome, status):
    ended = replace(outcome, estimation=replace(outcome.estimation, status=status))
    known = evidence_of(ended)
    assert (known.path, known.alternatives, known.warnings) == ((), {}, ())
    assert np.isnan(known.frequency).all()
    np.testing.assert_array_equal(known.margin, outcome.estimation.search.margins)


def test_nothing_is_known_of_a_search_that_never_came_to_the_polish(outcome):
    unknown = Evidence.unknown(replace(outcome, estimation=replace(outcome.estimation, search=None)))
    assert np.isnan(unknown.margin).all()
    assert np.isnan(unknown.frequency).all()


def test_the_evidence_calls_no_decoder(outcome, monkeypatch):
    def called(*_args, **_options):
        raise AssertionError("the decoder was called")

    decoder = type(outcome.problem.decoder)
    monkeypatch.setattr(decoder, "linearise", called)
    monkeypatch.setattr(decoder, "predict", called)
    assert evidence_of(outcome).path


def test_resamples_that_time_did_not_allow_are_not_hidden(outcome, monkeypatch):
    monkeypatch.setattr(search_evidence, "LONGEST", 0.0)
    assert any("Frequencies are those of" in warning for warning in evidence_of(outcome).warnings)
