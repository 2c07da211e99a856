"""Correlation tests and regressions on samples, against scipy's tests and against all sets."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import f_oneway, pearsonr

from nlmevae.estimation.conditional_samples import chosen_by_regression, correlation_p_values
from nlmevae.estimation.effects import Effects
from nlmevae.ir import Candidate, CandidateColumn, SearchSpace
from nlmevae.selection.stepwise import Effects as StepEffects

N = 40


def effects_of(columns: list[np.ndarray], latent: list[int], unit: list[int]) -> Effects:
    candidates = tuple(
        Candidate(
            name=f"P~{u}", parameter="P", covariate=f"C{u}", form="power",
            columns=tuple(CandidateColumn(name=f"{u}_{c}", shape="log") for c in range(unit.count(u))),
        )
        for u in range(max(unit) + 1)
    )  # fmt: skip
    return Effects(
        space=SearchSpace(candidates=candidates),
        values=np.column_stack(columns),
        latent=np.array(latent),
        unit=np.array(unit),
        theta=np.arange(len(columns)),
        names=tuple(f"b{k}" for k in range(len(columns))),
    )


def test_one_column_is_pearsons_test_and_indicators_an_analysis_of_variance():
    rng = np.random.default_rng(1)
    x = rng.normal(size=N)
    group = rng.integers(0, 3, N)
    effects = effects_of([x, 1.0 * (group == 1), 1.0 * (group == 2)], [0, 1, 1], [0, 1, 1])
    z = rng.normal(size=(1, N, 2)) + 0.3 * x[None, :, None]
    found = correlation_p_values(effects, (False, False), z, np.zeros((N, 2)))
    assert found[0] == pytest.approx(pearsonr(x, z[0, :, 0]).pvalue)
    assert found[1] == pytest.approx(f_oneway(*(z[0, group == g, 1] for g in range(3))).pvalue)


def test_effects_that_are_in_are_tested_on_individual_parameters():
    rng = np.random.default_rng(2)
    x = rng.normal(size=N)
    mean = (2.0 * x)[:, None]
    z = mean[None] + 0.5 * rng.normal(size=(5, N, 1))
    effects = effects_of([x], [0], [0])
    assert correlation_p_values(effects, (True,), z, mean)[0] < 1e-10
    assert correlation_p_values(effects, (False,), z, mean)[0] > 0.01


def test_regression_chooses_the_best_of_all_sets():
    """By the same criterion from ordinary least squares, for two parameters with three candidates each."""
    rng = np.random.default_rng(3)
    columns = [rng.normal(size=N) for _ in range(6)]
    effects = effects_of(columns, [0, 0, 0, 1, 1, 1], list(range(6)))
    z = rng.normal(size=(20, N, 2))
    z[:, :, 0] += 1.2 * columns[0] + 0.4 * columns[2]
    penalty = np.full(6, np.log(N))
    rules = StepEffects(size=(1,) * 6, forced=(False,) * 6)

    def value(k, inside):
        x = np.column_stack([np.ones(N), *(columns[u] for u in inside)])
        rss = [np.sum((s - x @ np.linalg.lstsq(x, s, rcond=None)[0]) ** 2) for s in z[:, :, k]]
        return N * np.log(np.mean(rss) / N) + np.log(N) * len(inside)

    expected = [False] * 6
    for k in (0, 1):
        sets = [[3 * k + u for u in range(3) if keep[u]] for keep in product((False, True), repeat=3)]
        for u in min(sets, key=lambda s: value(k, s)):
            expected[u] = True
    assert chosen_by_regression(effects, rules, penalty, z) == tuple(expected)


def test_many_candidates_are_entered_one_by_one_and_rules_hold():
    rng = np.random.default_rng(4)
    columns = [rng.normal(size=N) for _ in range(14)]
    effects = effects_of(columns, [0] * 14, list(range(14)))
    z = (3.0 * columns[5] + 3.0 * columns[9])[None, :, None] + rng.normal(size=(10, N, 1))
    rules = StepEffects(size=(1,) * 14, forced=(True, *[False] * 13), exclusive=((5, 9),))
    found = chosen_by_regression(effects, rules, np.full(14, np.log(N)), z)
    assert found[0]
    assert found[5] != found[9]
    free = StepEffects(size=(1,) * 14, forced=(False,) * 14)
    found = chosen_by_regression(effects, free, np.full(14, np.log(N)), z)
    assert found[5]
    assert found[9]
