"""The mean of the random effects' parameters at typical covariates: Monolix's ``medianCOV``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nlmevae.estimation.at_estimates import AtEstimates
from nlmevae.estimation.individual_parameters import changing_covariates
from nlmevae.estimation.mean_model import MeanModel
from nlmevae.estimation.problem import Problem

#: Relative, of means that are equal but for rounding.
_EQUAL_DIGITS = 12


def median_mean(at: AtEstimates, categorical: frozenset[str] = frozenset()) -> np.ndarray:
    """(N, d) mean of z at the median of every continuous covariate and the most frequent category of every categorical
    one. NaN where that is not defined: a covariate of it changes within a subject, or something without a random effect
    (a scale, ``S2 = V*WT``) depends on data items, of which nothing says whether they are covariates or regressors.

    Monolix takes median and frequency of the covariate that the model uses. The median of ``lw70 = log(wt/70)`` is not,
    for an even number of subjects, the function of the median: both middle values are put in and mu is averaged, which
    is the same since mu is a sum of terms of one covariate each. Categories with one effect count as one, as where the
    model regroups them.

    Args:
        categorical: covariates that are categories whatever the model's code says.
    """
    problem, thetas = at.problem, at.population.thetas
    table = problem.table
    acting = _acting(problem)
    if acting & changing_covariates(table) or _reads_elsewhere(problem):
        return np.full_like(at.joint.mean, np.nan)
    categories = _categories(problem) | categorical
    first = table.cov[table.cov_ptr[:-1]]

    def mean_at(values: dict[int, float]) -> np.ndarray:
        cov = table.cov.copy()
        for j, value in values.items():
            cov[:, j] = value
        return MeanModel.of(problem.model, problem.form, replace(table, cov=cov)).mean(thetas)

    low: dict[int, float] = {}
    high: dict[int, float] = {}
    for j, name in enumerate(table.covariate_names):
        known = np.sort(first[np.isfinite(first[:, j]), j])
        if name not in acting or not len(known):
            continue
        if name in categories or len(np.unique(known)) <= 2:
            low[j] = high[j] = _most_frequent(known, j, mean_at)
        else:
            low[j], high[j] = known[(len(known) - 1) // 2], known[len(known) // 2]
    return 0.5 * (mean_at(low) + mean_at(high))


def _most_frequent(values: np.ndarray, j: int, mean_at: Callable[[dict[int, float]], np.ndarray]) -> float:
    """A value of the most frequent category; of equally frequent ones the first."""
    levels, counts = np.unique(values, return_counts=True)
    groups: dict[tuple[float, ...], list[int]] = {}
    for k, level in enumerate(levels):
        effect = tuple(float(f"{v:.{_EQUAL_DIGITS}g}") for v in mean_at({j: float(level)})[0])
        groups.setdefault(effect, []).append(k)
    best = max(groups.values(), key=lambda members: counts[members].sum())
    return float(levels[best[0]])


def _acting(problem: Problem) -> set[str]:
    """Covariates of the parameters' means, in the spelling of the event table."""
    read = {c for p in problem.model.individual_parameters for c in p.covariates}
    return {name for name in problem.table.covariate_names if read & _spellings(problem, name)}


def _categories(problem: Problem) -> set[str]:
    """Covariates that the code reads as categories: IF (SEX.EQ.1)."""
    stated = {e.covariate for e in problem.model.covariate_effects if e.form == "categorical"}
    return {name for name in problem.table.covariate_names if stated & _spellings(problem, name)}


def _reads_elsewhere(problem: Problem) -> bool:
    """Data items act beside the means of the random effects' parameters."""
    function = problem.form.individual
    return bool(function.graph.inputs_of([node for _, node in function.outputs]) & set(problem.form.covariates))


def _spellings(problem: Problem, name: str) -> set[str]:
    """A data item's name and synonym."""
    for column in problem.model.data.columns:
        if name in (column.name, column.synonym):
            return {spelling for spelling in (column.name, column.synonym) if spelling}
    return {name}
