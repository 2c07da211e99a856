"""The sample likelihood: -2LL as a smooth function of the population parameters on fixed draws.

z and the predictions at z are cached, so (beta, Omega, sigma) can be optimised to convergence without
solving the model.

THETAs the decoder reads itself (theta_s) need a model of how predictions change. The draws move along
with them, z(theta_s) = z + A_i (theta_s - theta_0) with A_i = d mode_i / d theta_s, and predictions follow
to first order. A translation of the draws leaves the estimate unbiased, and z that follow theta_s carry
almost no information about it, so EM and Newton steps see nearly all of the marginal curvature. With
z held fixed they would see only the few per cent that remain when the individual fits cannot adapt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.m_step import bounded_minimum, update_mean_and_omega, with_residual
from nlmevae.estimation.population import Population
from nlmevae.estimation.posterior import SufficientStatistics
from nlmevae.estimation.problem import Problem
from nlmevae.likelihood.importance import Draws, Weighted, weighted_moments, weights_of
from nlmevae.likelihood.joint import JointDensity
from nlmevae.likelihood.proposal import Mixture, allocate

#: Draws of all subjects together, and of each between these, where an answer needs not be exact yet.
FEW_TOGETHER, FEW_DRAWS = 150_000, (64, 256)
STRUCTURAL_TRUST = 0.7  # largest step of a log THETA the decoder reads (others: relative to their size)


def few_draws(n_subjects: int) -> int:
    """Draws per subject that tell the direction of a step and decisions that are not close."""
    fewest, most = FEW_DRAWS
    return int(np.clip(FEW_TOGETHER // max(n_subjects, 1) // 8 * 8, fewest, most))


def first_draws(n_subjects: int, usual: int) -> int:
    """Draws per subject far from the optimum: few of many subjects, else the usual number."""
    few = few_draws(n_subjects)
    return few if few < min(FEW_DRAWS[1], usual) else usual


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Draws from `proposal`, solved at the structural THETAs `structural` (s,).

    Only if one of those is estimated: `shift` (N, d, s) = d z / d theta_s and `jacobian` (K, M, s) the
    total derivative of the predictions along it.
    """

    draws: Draws
    proposal: Mixture | None
    structural: np.ndarray
    shift: np.ndarray | None = None
    jacobian: np.ndarray | None = None

    def log_density(self, z: np.ndarray, structural: np.ndarray) -> np.ndarray:
        """(K, N) density at z (K, N, d) of the proposal, carried along to `structural`."""
        if self.shift is None:
            return self.proposal.log_density(z)
        return self.proposal.log_density(z - self.shift @ (structural - self.structural))

    def first(self, n_draws: int) -> Batch:
        """About `n_draws` of them, in the proportions of the proposal's components; all of them if there are not more.

        The first of each component: of the lattice only runs of neighbours are spread evenly.
        """
        if self.proposal is None or n_draws >= len(self.draws.z):
            return self
        ends = np.cumsum(allocate(self.proposal.share, len(self.draws.z)))
        starts, wanted = np.concatenate([[0], ends[:-1]]), allocate(self.proposal.share, n_draws)
        rows = np.concatenate([np.arange(s, s + n) for s, n in zip(starts, wanted, strict=True)])
        draws, jacobian = self.draws, None if self.jacobian is None else self.jacobian[rows]
        few = Draws(z=draws.z[rows], prediction=draws.prediction[rows], log_q=draws.log_q[rows])
        return replace(self, draws=few, jacobian=jacobian)

    def at(self, structural: np.ndarray) -> Draws:
        """The draws carried to other structural THETAs."""
        change = structural - self.structural
        if self.jacobian is None or not change.any():
            return self.draws
        return replace(
            self.draws,
            z=self.draws.z + self.shift @ change,
            prediction=self.draws.prediction + self.jacobian @ change,
        )


def draw_batch(
    problem: Problem,
    joint: JointDensity,
    mode: np.ndarray,
    proposal: Mixture,
    n_draws: int,
    rng: np.random.Generator,
) -> Batch:
    """Draw and solve; derivatives only where a structural THETA is estimated."""
    z, log_q = proposal.draw(n_draws, rng)
    proposal = proposal.rounded(n_draws)
    if not problem.structural_free.any():
        draws = Draws(z=z, prediction=joint.for_draws.predict(z), log_q=log_q)
        return Batch(draws=draws, proposal=proposal, structural=joint.structural)
    shift = mode_shift(joint, mode)
    prediction, jacobian = moving_predictions(joint, z, shift)
    draws = Draws(z=z, prediction=prediction, log_q=log_q)
    return Batch(draws=draws, proposal=proposal, structural=joint.structural, shift=shift, jacobian=jacobian)


def solved_at(batch: Batch, joint: JointDensity) -> Batch:
    """The batch carried to the structural THETAs of `joint` and solved there: what `Batch.at` does to first order."""
    change = joint.structural - batch.structural
    if batch.shift is None or not change.any():
        return batch
    moved = batch.shift @ change
    z = batch.draws.z + moved
    prediction, jacobian = moving_predictions(joint, z, batch.shift)
    return replace(
        batch,
        draws=replace(batch.draws, z=z, prediction=prediction),
        proposal=None if batch.proposal is None else replace(batch.proposal, loc=batch.proposal.loc + moved),
        structural=joint.structural,
        jacobian=jacobian,
    )


def mode_shift(joint: JointDensity, mode: np.ndarray) -> np.ndarray:
    """(N, d, s) d mode / d theta_s = -(I_zz + Omega^-1)^-1 I_zs with I the expected information of y_i; 0 where not
    computable, and for random effects on the residual error, which predictions do not move with."""
    d = joint.n_latents
    usable = np.where(np.isfinite(mode), mode, joint.mean)
    solution = joint.decoder.linearise(joint.inputs(usable))
    information = joint.slopes(usable, solution.prediction, solution.jacobian).information
    both = np.where(np.isfinite(information).all(axis=(1, 2), keepdims=True), information, 0.0)[:, :d]
    shift = -np.linalg.solve(both[..., :d] + np.linalg.inv(joint.omega), both[..., d:])
    shift[:, [point.effect for point in joint.residual.endpoints if point.effect >= 0]] = 0.0
    return shift


def moving_predictions(joint: JointDensity, z: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (K, M) at z (K, N, d) and their total derivatives (K, M, s) when z follows theta_s."""
    d = joint.n_latents
    solution = joint.decoder.for_draws.linearise(joint.inputs(z), joint.rows(z))
    jacobian = solution.jacobian.reshape(len(z), len(joint.y), -1)
    along = shift[joint.decoder.table.ob_subject]
    total = jacobian[..., d:] + np.einsum("kmd,mds->kms", jacobian[..., :d], along, optimize=True)
    return solution.prediction.reshape(len(z), -1), np.nan_to_num(total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """How draws follow the structural THETAs: `shift` (N, d, s) of z, `jacobian` (K, M, s) of predictions."""

    shift: np.ndarray
    jacobian: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The draws of one batch, or of a pool (pool.py), with what turns them into a likelihood."""

    problem: Problem
    coordinates: Coordinates
    batch: Batch

    @classmethod
    def of(cls, problem: Problem, coordinates: Coordinates, batch: Batch) -> Sample:
        """One batch."""
        return cls(problem=problem, coordinates=coordinates, batch=batch)

    def draws(self, population: Population) -> Draws:
        """z and predictions at the structural THETAs of `population`."""
        return self.batch.at(population.thetas[self.problem.structural_index])

    def weigh(self, population: Population) -> Weighted:
        """Weights and -2LL at `population`; the decoder is not called. Numbers per subject are of all processes'."""
        joint, draws = self.problem.joint(population), self.draws(population)
        found = weights_of(joint.log_joint(draws.z, draws.prediction), draws.log_q)
        own = np.column_stack([found.minus_two_ll, found.variance, found.ess])
        minus_two_ll, variance, ess = np.ascontiguousarray(self.problem.everyone(own, "likelihoods").T)
        return replace(found, minus_two_ll=minus_two_ll, variance=variance, ess=ess)

    def statistics(self, population: Population, weighted: Weighted) -> SufficientStatistics:
        """What the M step reads, from the weighted draws."""
        draws = self.draws(population)
        mean, cov = weighted_moments(draws.z, weighted.weight)
        return SufficientStatistics(
            z_mean=mean,
            z_cov=cov,
            prediction=finite_prediction(draws.prediction),
            weight=np.repeat(weighted.weight, np.diff(self.problem.table.ob_ptr), axis=1),
            multiplier=self.problem.joint(population).multiplier(draws.z),
        )


def finite_prediction(prediction: np.ndarray) -> np.ndarray:
    """Failed solves have weight 0 but would still turn sums into NaN: any finite number will do."""
    return prediction if np.isfinite(prediction).all() else np.where(np.isfinite(prediction), prediction, 1.0)


def em_step(sample: Sample, population: Population, weighted: Weighted) -> Population:
    """One M step at the current weights, then a Gauss-Newton step of the structural THETAs."""
    problem, draws = sample.problem, sample.draws(population)
    mean, cov = (problem.everyone(m, "moments") for m in weighted_moments(draws.z, weighted.weight))
    updated = update_mean_and_omega(mean, cov, population, problem.whole, shared=False)
    multiplier = problem.joint(population).multiplier(draws.z)
    updated = with_residual(
        updated, problem, draws.prediction, weighted.weight, ptr=problem.table.ob_ptr, multiplier=multiplier
    )
    if sample.batch.jacobian is None:
        return updated
    motion = Motion(shift=sample.batch.shift, jacobian=sample.batch.jacobian)
    return structural_step(
        problem, sample.coordinates, updated, (draws.z, draws.prediction, weighted.weight), mean, motion
    )


def structural_step(
    problem: Problem,
    coordinates: Coordinates,
    population: Population,
    draws: tuple[np.ndarray, np.ndarray, np.ndarray],
    z_mean: np.ndarray,
    motion: Motion,
) -> Population:
    """Scoring step of the THETAs the decoder reads: score and expected information of log p(y, z(theta_s)).

    Args:
        draws: z (K, N, d), predictions (K, M), weights (K, N).
        z_mean: (N, d) weighted mean of z, of all processes' subjects.
    """
    which = coordinates.structural
    if not which.any():
        return population
    slope, column = coordinates.slope(population.thetas)[which], coordinates.column[which]
    slopes = _weighted_slopes(problem.joint(population), draws, motion.jacobian[..., column] * slope)
    total, matrix = (problem.everyone(s, "slopes").sum(axis=0) for s in slopes)
    shift, problem = problem.everyone(motion.shift, "shifts"), problem.whole
    precision = np.linalg.inv(problem.latent_omega(population))
    drift = coordinates.mean_jacobian(problem, population.thetas)[..., which] - shift[..., column] * slope
    pulled = drift.transpose(0, 2, 1) @ precision
    total += np.einsum("ntd,nd->t", pulled, z_mean - problem.mean.mean(population.thetas))
    matrix += np.einsum("ntd,ndu->tu", pulled, drift)
    step = np.zeros(len(coordinates.theta))
    low, high = (room[: len(which)][which] for room in coordinates.room(problem, population))
    step[which] = _trusted(bounded_minimum(matrix, total, low, high), population, coordinates)
    return replace(population, thetas=coordinates.move_thetas(population.thetas, step, problem))


def _weighted_slopes(
    joint: JointDensity, draws: tuple[np.ndarray, np.ndarray, np.ndarray], design: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted scores (N, t) and expected informations (N, t, t) of log p(y | z) as predictions move along `design`
    (K, M, t)."""
    z, prediction, weight = draws
    slopes = joint.slopes(z, prediction, design, of_inputs=False)
    used = (weight > 0.0)[..., None]
    score = np.where(used, slopes.score, 0.0)
    information = np.where(used[..., None], slopes.information, 0.0)
    return np.einsum("kn,kns->ns", weight, score), np.einsum("kn,knst->nst", weight, information)


def _trusted(step: np.ndarray, population: Population, coordinates: Coordinates) -> np.ndarray:
    moving = coordinates.structural
    size = np.where(coordinates.log, 1.0, np.maximum(np.abs(population.thetas[coordinates.theta]), 1e-3))[moving]
    longest = np.abs(step / size).max()
    return step if longest <= STRUCTURAL_TRUST else step * (STRUCTURAL_TRUST / longest)
