"""The tests in a Monolix results folder, on draws of every subject's conditional distribution.

None of these formulas is documented with all its details; each was found by recomputing what Monolix 5.1.1 and 2023R1
print (tests/diagnostics/test_hypothesis_tests.py), from their own simulated individual parameters:

    Pearson, Anova, t-Test     of the means over the draws of each subject
    correlation of two effects one-sample t test of the means over the draws of eta_1 eta_2
    Shapiro-Wilk               of each set of draws; mean of the statistics, the p-values combined as min n p_(k) / k
                               (Benjamini and Hochberg, J R Stat Soc B 57, 1995)
    symmetry of residuals      Miao, Gel and Gastwirth (2006): (mean - median) / J, J the mean distance from the median
    Wald                       normal, beta over its standard error
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

#: Variance of (mean - median) sqrt(n) / sd in a normal sample, n -> infinity: pi/2 - 1; Monolix has four digits of it.
_SYMMETRY_VARIANCE = 0.5708


@dataclass(frozen=True, slots=True)
class Found:
    """A statistic with its p-value; NaN where the test is not possible."""

    statistic: float
    p_value: float


NOTHING = Found(math.nan, math.nan)


def pearson(x: np.ndarray, y: np.ndarray) -> Found:
    """Of x (n,) and y (n,); Student's t of the correlation, n - 2 degrees of freedom. Pairs with a NaN are left out."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < 3 or np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return NOTHING
    r = float(np.corrcoef(x, y)[0, 1])
    if abs(r) >= 1.0:
        return Found(math.copysign(math.inf, r), 0.0)
    t = r * math.sqrt((len(x) - 2) / (1.0 - r * r))
    return Found(t, float(2.0 * stats.t.sf(abs(t), len(x) - 2)))


def anova(groups: np.ndarray, y: np.ndarray) -> Found:
    """One-way analysis of variance of y (n,) between equal values of groups (n,); F statistic."""
    known = np.isfinite(groups) & np.isfinite(y)
    groups, y = groups[known], y[known]
    parts = [y[groups == g] for g in np.unique(groups)]
    if len(parts) < 2 or len(y) <= len(parts) or np.ptp(y) == 0.0:
        return NOTHING
    found = stats.f_oneway(*parts)
    return Found(float(found.statistic), float(found.pvalue))


def product(first: np.ndarray, second: np.ndarray, expected: float = 0.0) -> Found:
    """Whether two random effects, draws (S, n) each, have the covariance `expected` of the model."""
    return _one_sample((first * second).mean(axis=0) - expected)


def _one_sample(values: np.ndarray) -> Found:
    values = values[np.isfinite(values)]
    if len(values) < 2 or np.ptp(values) == 0.0:
        return NOTHING
    found = stats.ttest_1samp(values, 0.0)
    return Found(float(found.statistic), float(found.pvalue))


def coefficients(design: np.ndarray, y: np.ndarray) -> list[Found]:
    """t test of each column of design (n, q) in a least-squares regression of y (n,) with a constant."""
    x = np.column_stack([np.ones(len(y)), design])
    freedom = len(y) - x.shape[1]
    if freedom < 1 or np.linalg.matrix_rank(x) < x.shape[1] or not np.isfinite(y).all():
        return [NOTHING] * design.shape[1]
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ (x.T @ y)
    residual = y - x @ beta
    variance = residual @ residual / freedom
    if variance <= 0.0:
        return [NOTHING] * design.shape[1]
    t = beta / np.sqrt(variance * np.diag(inverse))
    return [Found(float(v), float(2.0 * stats.t.sf(abs(v), freedom))) for v in t[1:]]


def shapiro(draws: np.ndarray) -> Found:
    """Normality of the values (S, n) or (n,), set by set."""
    sets = [v[np.isfinite(v)] for v in np.atleast_2d(draws)]
    if not sets or any(len(v) < 3 or np.ptp(v) == 0.0 for v in sets):
        return NOTHING
    found = [stats.shapiro(v) for v in sets]
    return Found(float(np.mean([f.statistic for f in found])), combined([float(f.pvalue) for f in found]))


def combined(p_values: list[float]) -> float:
    """min over k of n p_(k) / k, p_(1) the smallest of n."""
    ordered = np.sort(p_values)
    return float(np.min(len(ordered) * ordered / np.arange(1, len(ordered) + 1)))


def symmetry(values: np.ndarray) -> Found:
    """Of values (n,) around their median."""
    values = values[np.isfinite(values)]
    median = np.median(values) if len(values) else math.nan
    spread = math.sqrt(math.pi / 2.0) * float(np.mean(np.abs(values - median))) if len(values) > 2 else 0.0
    if not spread > 0.0:
        return NOTHING
    z = float((values.mean() - median) / spread * math.sqrt(len(values) / _SYMMETRY_VARIANCE))
    return Found(z, float(2.0 * stats.norm.sf(abs(z))))


def wald(value: float, error: float) -> Found:
    """Whether an estimate is 0."""
    if not error > 0.0:
        return NOTHING
    z = abs(value) / error
    return Found(z, float(2.0 * stats.norm.sf(z)))
