"""Limits on how far one iteration may move the population parameters.

Laplace and Monte-Carlo EM steps far from the optimum rest on poor posteriors; unlimited they can
explode or shrink a variance to zero, from which EM cannot return. Limits apply to one iteration and
vanish near the optimum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nlmevae.estimation.population import Population, repeated_blocks
from nlmevae.estimation.problem import Problem
from nlmevae.ir import PopulationParameter

OMEGA_SD_RANGE = (1e-3, 5.0)  # in units of the latent's scale
SMALLEST_CORRELATION_EIGENVALUE = 1e-4
AT_BOUND = 1e-6  # distance from a bound, relative to it (to the initial estimate at 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """mean: largest change of a typical value, in units of the latent's scale; the others are
    factors on standard deviations. residual None: the residual error has not moved."""

    mean: float
    omega_growth: float
    omega_shrink: float
    residual: float | None


ITS_LIMITS = Limits(mean=1.5, omega_growth=2.0, omega_shrink=1.3, residual=3.0)
EM_LIMITS = Limits(mean=1.5, omega_growth=3.0, omega_shrink=1.5, residual=3.0)


def latent_scale(problem: Problem) -> np.ndarray:
    """(d,) size of one unit of each latent: 1 on the log and logit scales, else its initial size; what moves the
    predictions (effect_unit.py) for a latent without a mean."""
    mean = np.abs(problem.mean.mean(problem.initial.thetas)).max(axis=0, initial=0.0)
    sd = np.sqrt(np.diag(problem.latent_omega(problem.initial)))
    natural = np.array([latent.transform.kind == "identity" for latent in problem.form.latents], dtype=bool)
    unit = np.where(natural, np.maximum(mean, sd), 1.0)
    unit = np.where(np.isnan(problem.effect_unit), unit, problem.effect_unit)
    for copies in repeated_blocks(problem.model.omega):  # what shares a variance shares its limits
        if len(copies) == 1:
            continue
        members = [np.flatnonzero(np.isin(problem.latent_index, same)) for same in zip(*copies, strict=True)]
        for same in members:
            unit[same] = unit[same].max(initial=0.0)
    return unit


def limit_change(old: Population, new: Population, problem: Problem, limits: Limits, scale: np.ndarray) -> Population:
    """`new`, moved towards `old` where it exceeds the limits; fixed parameters are not touched.

    `scale` (d,) as from `latent_scale`.
    """
    limited = _limit_thetas(old, new, problem, limits.mean, scale)
    limited = replace(limited, omega=_limit_omega(old.omega, new.omega, problem, limits, scale))
    return limited if limits.residual is None else _limit_residual(old, limited, problem, limits.residual)


def widened(population: Population, problem: Problem, scale: np.ndarray) -> Population:
    """Free OMEGA with standard deviations doubled, up to one unit of the latent's scale (d,).

    A start for annealing: a wide prior lets every subject find its mode before the limits on shrinking
    let Omega down again.
    """
    index = np.ix_(problem.latent_index, problem.latent_index)
    sd = np.sqrt(np.diag(population.omega[index]))
    factor = np.clip(scale / sd, 1.0, 2.0)
    omega = population.omega.copy()
    omega[index] = np.where(problem.omega_mask, omega[index] * np.outer(factor, factor), omega[index])
    return replace(population, omega=omega)


def at_bound(theta: PopulationParameter, value: float) -> bool:
    """Whether the value of an estimated THETA is one of its bounds."""
    return not theta.fixed and any(
        np.isfinite(b) and abs(value - b) <= AT_BOUND * (abs(b) or abs(theta.init) or 1.0)
        for b in (theta.lower, theta.upper)
    )


def within_bounds(thetas: np.ndarray, problem: Problem) -> np.ndarray:
    """Free THETAs clipped to the bounds the model states."""
    free = np.array([not t.fixed for t in problem.model.thetas], dtype=bool)
    lower = np.array([t.lower for t in problem.model.thetas], dtype=float)
    upper = np.array([t.upper for t in problem.model.thetas], dtype=float)
    return np.where(free, np.clip(thetas, lower, upper), thetas)


def _limit_thetas(old: Population, new: Population, problem: Problem, largest: float, scale: np.ndarray) -> Population:
    """Shorten the step of all THETAs until no typical value moves by more than `largest`."""
    thetas = within_bounds(new.thetas, problem)
    start = problem.mean.mean(old.thetas)
    for _ in range(8):
        change = np.abs((problem.mean.mean(thetas) - start) / scale)
        longest = float(np.max(change, initial=0.0))
        if longest <= largest * (1 + 1e-9):
            return replace(new, thetas=thetas)
        share = 0.5 if not np.isfinite(longest) else max(0.98 * largest / longest, 0.01)
        thetas = _between(old.thetas, thetas, share, problem)
    return replace(new, thetas=old.thetas)


def _between(old: np.ndarray, new: np.ndarray, share: float, problem: Problem) -> np.ndarray:
    """`share` of the way from old to new: on the log scale for THETAs that are estimated there."""
    log_scale = np.array([t.scale == "log" for t in problem.model.thetas], dtype=bool) & (old > 0) & (new > 0)
    ratio = np.where(log_scale, new, 1.0) / np.where(log_scale, old, 1.0)
    return np.where(log_scale, old * ratio**share, old + share * (new - old))


def _limit_omega(old: np.ndarray, new: np.ndarray, problem: Problem, limits: Limits, scale: np.ndarray) -> np.ndarray:
    if not problem.n_latents:
        return new
    index = problem.latent_index[:, None], problem.latent_index
    before, after = old[index], new[index]
    sd_old = np.sqrt(before.diagonal())
    sd_new = np.sqrt(np.maximum(after.diagonal(), 1e-300))
    sd = np.minimum(np.maximum(sd_new, sd_old / limits.omega_shrink), sd_old * limits.omega_growth)
    sd = np.minimum(np.maximum(sd, OMEGA_SD_RANGE[0] * scale), OMEGA_SD_RANGE[1] * scale)
    correlation = _positive_correlation(after / (sd_new[:, None] * sd_new))
    sd = np.where(problem.omega_mask.diagonal(), sd, sd_new)
    limited = np.where(problem.omega_mask, correlation * (sd[:, None] * sd), after)
    result = new.copy()
    result[index] = limited
    return result


def _positive_correlation(correlation: np.ndarray) -> np.ndarray:
    """Drawn towards no correlation as far as needed, which keeps zeros."""
    smallest = float(np.linalg.eigvalsh(correlation)[0])
    if smallest >= SMALLEST_CORRELATION_EIGENVALUE:
        return correlation
    share = (SMALLEST_CORRELATION_EIGENVALUE - smallest) / (1.0 - smallest)
    return (1.0 - share) * correlation + share * np.eye(len(correlation))


def _limit_residual(old: Population, new: Population, problem: Problem, factor: float) -> Population:
    residual = problem.residual
    before = residual.coordinates(residual.coefficients(old.thetas, old.sigma))
    after = residual.coordinates(residual.coefficients(new.thetas, new.sigma))
    limited = np.clip(after, before - np.log(factor), before + np.log(factor))
    if np.array_equal(limited, after):
        return new
    thetas, sigma = residual.with_coefficients(new.thetas, new.sigma, residual.from_coordinates(limited))
    return replace(new, thetas=within_bounds(thetas, problem), sigma=sigma)
