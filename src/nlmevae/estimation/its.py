"""Guarded Laplace EM (NONMEM's ITS), the deterministic approach to the neighbourhood of the optimum.

One iteration: conditional modes from many starts, then (beta, Omega) profiled on the likelihood that is
Gaussian around each mode, and sigma from sigma points of the Laplace posterior. A covariate search chooses its
support on the same Gaussian likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.guards import ITS_LIMITS, latent_scale, limit_change
from nlmevae.estimation.m_step import m_step, update_mean_and_omega
from nlmevae.estimation.population import Population
from nlmevae.estimation.posterior import SufficientStatistics
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.refine import Modes, best_start, prior_candidates, search_modes
from nlmevae.estimation.sample import Motion, finite_prediction, mode_shift, moving_predictions, structural_step
from nlmevae.estimation.selector import Selector
from nlmevae.likelihood.joint import JointDensity

AFTER_M_STEP = replace(ITS_LIMITS, residual=None)  # EM steps leave the residual error where the M step has put it
EM_STEPS = 15  # on the Gaussian likelihoods: not to the end, which far from the optimum lies too far away
# Times the penalty of effects on the way. Far from the optimum the Gaussian likelihoods are rough, and effects that
# enter there together keep each other in (simulated neonates: two on T50, 7 above the best BICc known).
CAUTION = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ItsState:
    """`modes` and `second` (runner-up modes) belong to the parameters before the update; `laplace` is
    Laplace's -2LL there. `problem` has the support chosen on the way."""

    problem: Problem
    population: Population
    modes: Modes
    second: Modes
    laplace: float


def its_iteration(
    problem: Problem,
    coordinates: Coordinates,
    population: Population,
    starts: list[np.ndarray],
    known: Modes | None,
    rng: np.random.Generator,
    *,
    n_starts: int,
    max_refine: int,
    selector: Selector | None = None,
) -> ItsState:
    """One guarded iteration; modes are sought from each of `starts` (N, d) and from the best of the prior
    mean and `n_starts` prior draws that is not near the `known` modes."""
    joint = problem.joint(population)
    scale = latent_scale(problem)
    fresh = best_start(joint, prior_candidates(joint, [], n_starts, rng), known=known)
    modes, second = search_modes(joint, [*starts, fresh], scale=scale, max_iterations=max_refine)
    if selector is not None and modes.ok.any():
        mean, cov = usable_moments(joint, modes)
        found = selector.observed(problem, population, mean, cov, modes.ok, penalty_factor=CAUTION)
        problem = found.problem
        population = problem.restricted(population)
        coordinates = Coordinates.of(problem)
    return ItsState(
        problem=problem,
        population=_update(problem, coordinates, population, joint, modes, scale),
        modes=modes,
        second=second,
        laplace=modes.minus_two_ll,
    )


def _update(
    problem: Problem,
    coordinates: Coordinates,
    population: Population,
    joint: JointDensity,
    modes: Modes,
    scale: np.ndarray,
) -> Population:
    if not modes.ok.any():
        return population
    mean, cov = usable_moments(joint, modes)
    shift = mode_shift(joint, mean) if problem.structural_free.any() else None
    points = _sigma_points(joint, mean, modes, shift)
    precision = np.linalg.inv(joint.omega)
    information = np.linalg.inv(cov)
    likelihood = information - precision
    natural = _times(information, mean) - joint.mean @ precision
    statistics = SufficientStatistics(
        z_mean=mean,
        z_cov=cov,
        prediction=finite_prediction(points.prediction),
        weight=np.repeat(points.share, np.diff(problem.table.ob_ptr), axis=1),
        multiplier=joint.multiplier(points.z),
    )
    updated = limit_change(
        population, m_step(statistics, population, problem, shared=False), problem, ITS_LIMITS, scale
    )
    for _ in range(EM_STEPS):
        precision = np.linalg.inv(problem.latent_omega(updated))
        cov = np.linalg.inv(likelihood + precision)
        mean = _times(cov, natural + problem.mean.mean(updated.thetas) @ precision)
        moved = update_mean_and_omega(mean, cov, updated, problem, shared=False)
        updated = limit_change(population, moved, problem, AFTER_M_STEP, scale)
    if shift is None:
        return updated
    draws = points.z, points.prediction, points.share
    moved = structural_step(problem, coordinates, updated, draws, mean, Motion(shift=shift, jacobian=points.jacobian))
    return limit_change(population, moved, problem, ITS_LIMITS, scale)


def usable_moments(joint: JointDensity, modes: Modes) -> tuple[np.ndarray, np.ndarray]:
    """Mode and Laplace covariance; the prior for subjects without a mode, which then carry no information."""
    cov = modes.chol @ np.swapaxes(modes.chol, -1, -2)
    ok = modes.ok
    return np.where(ok[:, None], modes.mean, joint.mean), np.where(ok[:, None, None], cov, joint.omega)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SigmaPoints:
    """z (2d + 1, N, d), predictions (2d + 1, M), weights `share` (2d + 1, N) and structural derivatives (2d + 1, M, s)
    at the mode and at mean +- sqrt(d) chol columns."""

    z: np.ndarray
    prediction: np.ndarray
    share: np.ndarray
    jacobian: np.ndarray | None


def _sigma_points(joint: JointDensity, mean: np.ndarray, modes: Modes, shift: np.ndarray | None) -> _SigmaPoints:
    """A point that fits worse than the Gaussian approximation says loses weight to the mode: where the
    likelihood has kinks (lag times) the approximation is far too wide and would inflate sigma.
    """
    d = joint.n_latents
    offsets = np.sqrt(d) * np.moveaxis(np.where(modes.ok[:, None, None], modes.chol, 0.0), -1, 0)
    z = np.concatenate([mean[None], mean + offsets, mean - offsets])
    prediction, jacobian = (joint.predict(z), None) if shift is None else moving_predictions(joint, z, shift)
    with np.errstate(all="ignore"):
        log_joint = joint.log_joint(z, prediction)
        ratio = np.exp(np.minimum(log_joint[1:] - log_joint[0] + 0.5 * d, 0.0))
    share = np.where(np.isfinite(ratio) & modes.ok, ratio, 0.0) / (2 * d)
    share = np.concatenate([np.where(modes.ok, 1.0 - share.sum(axis=0), 0.0)[None], share])
    return _SigmaPoints(z=z, prediction=prediction, share=share, jacobian=jacobian)


def _times(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return (matrix @ vector[..., None])[..., 0]
