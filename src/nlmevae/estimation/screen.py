"""Other places to start from: typical values scattered around the control stream's.

Some models have a second optimum that no local method leaves (absorption and elimination exchange
their roles). A few dozen scattered typical values, scored without random effects, cost less than one
iteration of the finish; the best of them are worth a few iterations of their own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlmevae.estimation.guards import latent_scale
from nlmevae.estimation.m_step import with_residual
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem
from nlmevae.likelihood.proposal import lattice

N_POINTS = 64  # measured: enough for three and four latents
SPREAD = np.log(8.0)  # of a typical value either way, in units of the latent's scale
WIDE_SD = 0.5  # of every free random effect at a new start, in the same units
DISTANT = 0.25  # share of the spread by which kept starts differ in at least one typical value
RESIDUAL_PASSES = 3  # of fitting the residual error to the scattered predictions


def scattered_starts(problem: Problem, rng: np.random.Generator, *, keep: int) -> list[Population]:
    """The `keep` best of 64 scattered populations by pooled likelihood, best first, no two close together.

    Every latent's mean moves by up to a factor 8 either way. A point's score is the likelihood of all data
    at the typical predictions, with the residual error fitted to them: between-subject variability
    counts as residual error, alike for all points.
    """
    movable = typical_thetas(problem)
    if not len(movable) or not keep:
        return []
    points = (lattice(N_POINTS, len(movable)) + rng.random(len(movable))) % 1.0
    steps = np.zeros((N_POINTS, len(problem.mean.indices)))
    steps[:, movable] = SPREAD * (2.0 * points - 1.0) * units(problem)[movable]
    candidates = [_scored(problem, problem.mean.step(problem.initial.thetas, step)) for step in steps]
    kept: list[int] = []
    for k in np.argsort([score for score, _ in candidates]):
        distant = all(np.abs(points[k] - points[other]).max() > DISTANT for other in kept)
        if np.isfinite(candidates[k][0]) and distant and len(kept) < keep:
            kept.append(int(k))
    return [candidates[k][1] for k in kept]


def typical_thetas(problem: Problem) -> np.ndarray:
    """Positions, among the estimated THETAs of mu, of typical values (not of covariate effects)."""
    roles = [problem.model.thetas[i].role for i in problem.mean.indices]
    return np.array([j for j, role in enumerate(roles) if role == "typical_value"], dtype=int)


def units(problem: Problem) -> np.ndarray:
    """(q,) step of each THETA that moves the latent it acts on most by one unit of its scale."""
    design = np.abs(problem.mean.design(problem.initial.thetas)).max(axis=0)
    effect = (design / latent_scale(problem)[:, None]).max(axis=0)
    return np.where(effect > 0, 1.0 / np.where(effect > 0, effect, 1.0), 0.0)


def _scored(problem: Problem, thetas: np.ndarray) -> tuple[float, Population]:
    """-2 log-likelihood at the typical predictions, and the population with its residual error and wide Omega."""
    population = replace(problem.initial, thetas=thetas)
    joint = problem.joint(population)
    prediction = joint.predict(joint.mean)
    usable = np.isfinite(prediction)
    if not usable.all():
        return np.inf, population
    multiplier = joint.multiplier(joint.mean)
    for _ in range(RESIDUAL_PASSES):
        population = with_residual(population, problem, prediction, np.ones_like(prediction), multiplier=multiplier)
    score = -2.0 * float(problem.joint(population).log_likelihood(prediction, joint.mean).sum())
    return score, replace(population, omega=_wide(problem))


def _wide(problem: Problem) -> np.ndarray:
    """Omega with variances of at least WIDE_SD**2 where it is estimated."""
    omega = problem.initial.omega.copy()
    free = np.diag(problem.omega_mask)
    index = problem.latent_index[free]
    smallest = (WIDE_SD * latent_scale(problem)[free]) ** 2
    omega[index, index] = np.maximum(omega[index, index], smallest)
    return omega
