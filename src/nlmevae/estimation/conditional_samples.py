"""Covariates against samples of the conditional distribution: correlation tests (COSSAC) and regressions (SAMBA).

Samples of p(z | y) do not shrink towards the mean as modes and means do, so tests on them are not biased (Lavielle and
Ribba, Pharm. Res. 33 (2016) 2979-2988). Each statistic is the mean over the samples.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.stats import f as f_distribution

from nlmevae.estimation.effects import Effects
from nlmevae.selection.stepwise import Effects as StepEffects
from nlmevae.selection.stepwise import Support

#: Up to this many candidates on one parameter all sets are compared, above they are entered one by one.
ALL_SETS_UP_TO = 12


def correlation_p_values(effects: Effects, support: Support, samples: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(n_units,) of the F test of each candidate's columns: on the random effects for those that are out, on the
    individual parameters for those that are in.

    Args:
        samples: (S, N, d) of z; mean: (N, d) of z without random effects.
    """
    found = np.ones(effects.n_units)
    for u in range(effects.n_units):
        columns = np.flatnonzero(effects.unit == u)
        k = effects.latent[columns[0]]
        values = samples[:, :, k] if support[u] else samples[:, :, k] - mean[None, :, k]
        found[u] = _f_test(effects.values[:, columns], values)
    return found


def _f_test(x: np.ndarray, y: np.ndarray) -> float:
    """p-value of the regression of y (S, N) on x (N, C) with an intercept, at the mean F over the samples. With one
    column it is the test of Pearson's correlation, with indicators of categories an analysis of variance."""
    n, c = x.shape
    if n - c - 1 < 1:
        return 1.0
    total = ((y - y.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    residual = _residual(x, y)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = ((total - residual) / c) / (residual / (n - c - 1))
    mean = float(np.mean(statistic))
    return float(f_distribution.sf(mean, c, n - c - 1)) if np.isfinite(mean) else 1.0


def _residual(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(S,) residual sums of squares of the regressions on x and a constant."""
    design = np.column_stack([np.ones(len(x)), x])
    basis, _ = np.linalg.qr(design)
    return (y**2).sum(axis=1) - ((y @ basis) ** 2).sum(axis=1)


def chosen_by_regression(effects: Effects, rules: StepEffects, penalty: np.ndarray, samples: np.ndarray) -> Support:
    """For each parameter the set of its candidates with the smallest N log(mean residual variance) + penalties: the
    complete-data likelihood of the parameter, averaged over the samples, with its variance at the maximum.

    Args:
        penalty: (n_units,); samples: (S, N, d) of z.
    """
    chosen = np.array(rules.forced)
    for k in np.unique(effects.latent):
        own = [u for u in range(effects.n_units) if effects.latent[np.flatnonzero(effects.unit == u)[0]] == k]
        regression = _Regression(effects, rules, penalty, samples[:, :, k], own)
        best = regression.all_sets() if len(own) <= ALL_SETS_UP_TO else regression.step_by_step()
        chosen[list(best)] = True
    return tuple(bool(c) for c in chosen)


class _Regression:
    """The sets of candidates on one parameter."""

    def __init__(
        self, effects: Effects, rules: StepEffects, penalty: np.ndarray, y: np.ndarray, own: list[int]
    ) -> None:
        self.effects, self.rules, self.penalty, self.y, self.own = effects, rules, penalty, y, own
        self.forced = frozenset(u for u in own if rules.forced[u])

    def value(self, units: frozenset[int]) -> float:
        """Infinite for sets that are not allowed, or have too many coefficients for the subjects."""
        columns = np.flatnonzero(np.isin(self.effects.unit, list(units)))
        n = self.y.shape[1]
        allowed = all(sum(v in units for v in group) < 2 for group in self.rules.exclusive)
        if not allowed or not self.forced <= units or len(columns) + 2 > n:
            return np.inf
        variance = float(np.mean(_residual(self.effects.values[:, columns], self.y))) / n
        return n * np.log(max(variance, 1e-300)) + float(self.penalty[list(units)].sum()) if variance >= 0.0 else np.inf

    def all_sets(self) -> frozenset[int]:
        sets = (frozenset(s) for size in range(len(self.own) + 1) for s in combinations(self.own, size))
        return min(sets, key=self.value)

    def step_by_step(self) -> frozenset[int]:
        """The best change of one candidate, until none helps."""
        current = self.forced
        while True:
            best = min((current ^ {u} for u in self.own), key=self.value)
            if self.value(best) >= self.value(current):
                return current
            current = best
