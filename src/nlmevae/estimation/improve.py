"""EM and Newton steps on cached draws: the sample likelihood to its maximum without calling the decoder."""

from __future__ import annotations

import numpy as np

from nlmevae.estimation.guards import EM_LIMITS, latent_scale, limit_change
from nlmevae.estimation.newton import NOISY_SHARE, SMALLEST_SHARE, curvature
from nlmevae.estimation.population import Population
from nlmevae.estimation.sample import Sample, em_step
from nlmevae.likelihood.importance import Weighted

EM_STEPS, NEWTON_STEPS = 10, 3
SHARES = (SMALLEST_SHARE, 0.02, 0.1, 0.5)  # of Newton steps, from the boldest to nearly an EM step
EM_ENOUGH = 0.05  # gain of an EM step below which Newton steps are faster
ESS_FLOOR, ESS_SHARE = 0.1, 0.1  # cached draws are exhausted when a tenth of the subjects drop below


def improve(
    sample: Sample,
    population: Population,
    weighted: Weighted,
    *,
    newton_steps: int = NEWTON_STEPS,
    bold: bool = False,
) -> tuple[Population, Weighted]:
    """EM, then Newton steps on the sample likelihood; it never increases -2LL of these draws.

    Stops early when the draws no longer represent the posteriors (effective sample sizes collapse). `bold`: also
    where the score may be noise the steps are long; for large samples.
    """
    start, reference = population, weighted
    scale = latent_scale(sample.problem)
    for _ in range(EM_STEPS):
        trial = limit_change(start, em_step(sample, population, weighted), sample.problem, EM_LIMITS, scale)
        new = sample.weigh(trial)
        if not _acceptable(new, weighted, reference):
            break
        gained = weighted.total - new.total
        population, weighted = trial, new
        if gained < EM_ENOUGH:
            break
    for _ in range(newton_steps):
        accepted = _newton(sample, population, weighted, start, reference, scale, bold=bold)
        if accepted is None:
            break
        gained = weighted.total - accepted[1].total
        population, weighted = accepted
        if gained < 1e-3:
            break
    return population, weighted


def _newton(
    sample: Sample,
    population: Population,
    weighted: Weighted,
    start: Population,
    reference: Weighted,
    scale: np.ndarray,
    *,
    bold: bool,
) -> tuple[Population, Weighted] | None:
    """The boldest acceptable Newton step. Bolder ones go further along the directions of least information;
    what limits them is that the draws no longer represent the posteriors there."""
    slopes = curvature(sample, population, weighted)
    for share in SHARES:
        step = slopes.newton_step(share, noisy_share=share if bold else NOISY_SHARE)
        if not np.isfinite(step).all():
            return None
        trial = sample.coordinates.move(sample.problem, population, step)
        trial = limit_change(start, trial, sample.problem, EM_LIMITS, scale)
        new = sample.weigh(trial)
        if _acceptable(new, weighted, reference):
            return trial, new
    return None


def _acceptable(new: Weighted, old: Weighted, reference: Weighted) -> bool:
    collapsed = (new.ess < ESS_FLOOR) & (reference.ess >= ESS_FLOOR)
    return bool(new.total <= old.total) and collapsed.sum() <= ESS_SHARE * len(new.ess)
