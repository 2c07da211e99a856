"""The path against the lower envelope of all supports."""

import numpy as np
import pytest

from nlmevae.estimation.observed_selection import choose
from nlmevae.estimation.selection_path import LOWEST, path, supports_by_criterion
from nlmevae.selection.program import Rules
from tests.helpers.linear_mixed import enumerated, simulate


def studies():
    for case in (
        {"n_subjects": 12, "d": 2, "n_columns": 5, "n_obs": 4},
        {"n_subjects": 120, "d": 2, "n_columns": 6},
        {"n_subjects": 120, "d": 3, "n_columns": 6, "block": True, "effect": 0.3},
    ):
        study = simulate(**case, seed=1)
        yield study, study.search(rules=Rules(forced=(2,), at_most=max(2, case["n_subjects"] // 5)))


@pytest.mark.parametrize("number", range(3))
def test_every_point_is_the_best_support_for_its_factors(number):
    study, search = list(studies())[number]
    table = enumerated(search, study.omega)
    cost = {key: search.cost[np.frombuffer(key, dtype=bool)].sum() for key in table}
    points = path(search, study.omega, support=choose(search, study.omega).support)
    assert points[0].low == LOWEST
    assert points[-1].high == np.inf
    assert [p.high for p in points[:-1]] == [p.low for p in points[1:]]
    for factor in np.geomspace(LOWEST * 1.001, 20.0, 60):
        point = next(p for p in points if p.low < factor <= p.high)
        best = min(value + (factor - 1.0) * cost[key] for key, value in table.items())
        found = point.profile.minus_two_ll + factor * search.cost[point.support].sum()
        assert found == pytest.approx(best, abs=3e-3)


def test_the_path_goes_down_to_the_forced_effects():
    study, search = list(studies())[1]
    points = path(search, study.omega)
    assert np.flatnonzero(points[-1].support).tolist() == [2]
    sizes = [p.support.sum() for p in points]
    assert sizes == sorted(sizes, reverse=True)


def test_no_time_leaves_the_supports_known_at_the_start():
    study, search = list(studies())[1]
    points = path(search, study.omega, seconds=0.0)
    assert points[-1].high == np.inf


def test_each_criterion_gets_the_support_its_penalties_choose():
    study, search = list(studies())[1]
    penalties = {"weak": np.full(6, 0.5), "strong": np.full(6, 50.0), "own": search.cost}
    found = supports_by_criterion(search, study.omega, penalties)
    for name, penalty in penalties.items():
        table = enumerated(study.search(rules=search.rules), study.omega)
        value = {k: v + (penalty - search.cost)[np.frombuffer(k, dtype=bool)].sum() for k, v in table.items()}
        assert value[found[name].tobytes()] == pytest.approx(min(value.values()), abs=2e-3)
    assert np.array_equal(found["own"], choose(search, study.omega).support)


def test_there_is_at_most_one_effect_for_five_subjects():
    study = simulate(n_subjects=12, d=2, n_columns=10, n_obs=4)
    points = path(study.search(), study.omega)
    assert max(p.support.sum() for p in points) <= 2
