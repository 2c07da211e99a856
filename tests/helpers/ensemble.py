"""An MCMC sampler that shares nothing with importance sampling: the affine-invariant ensemble of Goodman and Weare.

J. Goodman, J. Weare, Comm. App. Math. Comp. Sci. 5 (2010) 65-80: stretch moves of one half of the walkers along lines
through walkers of the other half. Needs no tuning and no gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

STRETCH = 2.0


def sample(
    log_density: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    *,
    steps: int,
    warm_up: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """(steps, W, d) draws of exp(log_density), log_density: (n, d) -> (n,), after `warm_up` steps from start (W, d)."""
    walkers = np.array(start)
    value = log_density(walkers)
    half, d = len(walkers) // 2, walkers.shape[1]
    kept = np.empty((steps, *walkers.shape))
    for step in range(-warm_up, steps):
        for own, other in ((slice(None, half), slice(half, None)), (slice(half, None), slice(None, half))):
            partner = walkers[other][rng.integers(0, len(walkers) - half if own.start is None else half, half)]
            z = ((STRETCH - 1.0) * rng.random(half) + 1.0) ** 2 / STRETCH
            proposal = partner + z[:, None] * (walkers[own] - partner)
            proposed = log_density(proposal)
            accept = np.log(rng.random(half)) < (d - 1) * np.log(z) + proposed - value[own]
            walkers[own] = np.where(accept[:, None], proposal, walkers[own])
            value[own] = np.where(accept, proposed, value[own])
        if step >= 0:
            kept[step] = walkers
    return kept


def moments(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (d,), standard deviation (d,) and standard error of the mean in standard deviations (d,), the last from the
    spread of 20 batches."""
    flat = draws.reshape(-1, draws.shape[-1])
    sd = flat.std(axis=0)
    batches = np.array([batch.mean(axis=(0, 1)) for batch in np.array_split(draws, 20)])
    return flat.mean(axis=0), sd, batches.std(axis=0, ddof=1) / np.sqrt(20) / sd
