"""Pareto tail index of importance weights: is the Monte-Carlo error of an estimate to be trusted?

Vehtari, Simpson, Gelman, Yao, Gabry, "Pareto smoothed importance sampling" (2024): k-hat > 0.7 means
the estimate and its standard error are unreliable at this number of draws. The generalised Pareto
fit is Zhang and Stephens, Technometrics 51 (2009) 316-325.
"""

from __future__ import annotations

import numpy as np

from nlmevae.threads import each, parts

RELIABLE = 0.7  # Vehtari et al. section 3: above it the error decreases too slowly with the draws
NO_TAIL = 2.0  # largest weight over the tail's smallest below which there is no tail to extrapolate
_COLUMNS = 512  # that one thread takes at a time
PRIOR_SHAPE, PRIOR_WEIGHT = 0.5, 10  # Vehtari et al. appendix C: weak prior on k for short tails


def pareto_khat(log_weights: np.ndarray) -> np.ndarray:
    """k-hat of every column of log_weights (K, N), any constant added; (N,).

    At most 0 where the largest weight is below twice the cutoff of the tail: the fit would describe
    the shape of weights that hardly differ. NaN where fewer than 5 tail draws or no finite weight exist.
    """
    n_draws = len(log_weights)
    n_tail = min(n_draws // 5, int(np.ceil(3.0 * np.sqrt(n_draws))))
    if n_tail < 5:
        return np.full(log_weights.shape[1], np.nan)
    found = each(lambda some: _khat(log_weights[:, some], n_tail), parts(log_weights.shape[1], _COLUMNS))
    return np.concatenate(found) if found else np.empty(0)


def _khat(log_weights: np.ndarray, n_tail: int) -> np.ndarray:
    n_draws = len(log_weights)
    largest = np.partition(log_weights, n_draws - n_tail - 1, axis=0)[n_draws - n_tail - 1 :]
    with np.errstate(invalid="ignore"):
        weights = np.exp(largest - largest.max(axis=0))
    exceedances = np.sort(weights[1:] - weights[0], axis=0).T
    shape = fit_generalised_pareto(exceedances)
    khat = (n_tail * shape + PRIOR_WEIGHT * PRIOR_SHAPE) / (n_tail + PRIOR_WEIGHT)
    return np.where(NO_TAIL * weights[0] > 1.0, np.minimum(khat, 0.0), khat)


def fit_generalised_pareto(exceedances: np.ndarray) -> np.ndarray:
    """Shape k of each row of exceedances (N, n), sorted ascending and not negative: (N,).

    Posterior mean of b = -k/sigma over the grid of Zhang and Stephens' equation 5, then k(b).
    """
    n = exceedances.shape[1]
    top = exceedances[:, -1]
    usable = np.isfinite(top) & (top > 0)
    x = np.where(usable[:, None], exceedances, 1.0)
    quartile = np.maximum(x[:, int(n / 4 + 0.5) - 1], 1e-12 * x[:, -1])
    n_grid = 30 + int(np.sqrt(n))
    steps = 1.0 - np.sqrt(n_grid / (np.arange(1, n_grid + 1) - 0.5))
    grid = 1.0 / x[:, -1:] + steps / (3.0 * quartile[:, None])
    shape = np.log1p(-grid[..., None] * x[:, None, :]).mean(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        profile = n * (np.log(-grid / shape) - shape - 1.0)
    profile = np.where(np.isfinite(profile), profile, -np.inf)
    weight = np.exp(profile - profile.max(axis=1, keepdims=True))
    b = (grid * weight).sum(axis=1) / weight.sum(axis=1)
    k = np.log1p(-b[:, None] * x).mean(axis=1)
    return np.where(usable, k, np.where(np.isfinite(top), 0.0, np.nan))
