"""Analytic score and Hessian of the sample -2LL in the coordinates of the free parameters.

Per subject log L_i = log sum_k exp(l_ik) + const, so with weights w_ik (Louis 1982)

    score_i    = sum_k w_ik l'_ik
    -Hessian_i = sum_k w_ik (-l''_ik) - sum_k w_ik l'_ik l'_ik' + score_i score_i'

-l'' of the residual part and of structural THETAs is replaced by its expectation over y. A subject's score is linear
in a few numbers per draw (score_kernel.py), whose weighted moments are all that is computed from the draws.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nlmevae.estimation.m_step import bounded_minimum
from nlmevae.estimation.population import Population
from nlmevae.estimation.sample import Batch, Sample
from nlmevae.likelihood.importance import Weighted
from nlmevae.likelihood.joint import JointDensity
from nlmevae.likelihood.score_kernel import OmegaDirections, ScoreMoments, score_moments

# Observed over complete-data information; a smaller eigenvalue is not trusted. The ridges of a model with
# five parameters and seven observations per subject have .005 to .01: EM alone would need hundreds of steps.
SMALLEST_SHARE = 0.005
NOISY_SHARE = 0.05  # the same in directions whose score is within its Monte-Carlo error: noise is not followed far


@dataclass(frozen=True, slots=True, kw_only=True)
class Curvature:
    """Of the log-likelihood: scores (N, p) of the subjects, complete-data information (p, p), observed
    information (p, p), Monte-Carlo covariance of the score (p, p) as if draws were independent. lower, upper (p,):
    steps that the bounds of THETAs leave. A THETA at a bound that its score points beyond is held there: steps,
    promised gains and shares are those of the others."""

    scores: np.ndarray
    complete: np.ndarray
    observed: np.ndarray
    noise: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @property
    def score(self) -> np.ndarray:
        """(p,) of all subjects together."""
        return self.scores.sum(axis=0)

    def newton_step(self, share: float = SMALLEST_SHARE, *, noisy_share: float = NOISY_SHARE) -> np.ndarray:
        """Solve observed step = score within the bounds, in no direction longer than 1 / `share` EM steps, and in
        those where the score may be noise than 1 / `noisy_share`."""
        modes, free = self._eigenmodes(), self.free
        floor = np.where(modes.score**2 > modes.noise, share, max(share, noisy_share))
        step = np.zeros(len(free))
        step[free] = modes.axes @ (modes.score / np.maximum(modes.share, floor))
        if ((step >= self.lower).all() and (step <= self.upper).all()) or not np.isfinite(step).all():
            return step
        dual = self.complete[np.ix_(free, free)] @ modes.axes
        matrix = (dual * np.maximum(modes.share, floor)) @ dual.T
        step[free] = bounded_minimum(matrix, self.score[free], self.lower[free], self.upper[free])
        return step

    @property
    def free(self) -> np.ndarray:
        """(p,) bool: not held at a bound, and acting on some subject (not: a coefficient of a category nobody has)."""
        acts = np.diag(self.complete) > 0.0
        return acts & ~((self.lower >= 0.0) & (self.score <= 0.0) | (self.upper <= 0.0) & (self.score >= 0.0))

    @property
    def smallest_share(self) -> float:
        """Observed over complete-data information in the direction the data say least about."""
        return float(self._eigenmodes().share.min(initial=1.0))

    def expected_gain(self, share: float = SMALLEST_SHARE) -> float:
        """Decrease of -2LL that a full Newton step promises, g'H^-1 g; it includes the noise of the score."""
        modes = self._eigenmodes()
        return float((modes.score**2 / np.maximum(modes.share, share)).sum())

    def noise_gain(self, share: float = SMALLEST_SHARE) -> float:
        """Expected decrease of -2LL from fitting the noise of the draws: tr(observed^-1 noise)."""
        modes = self._eigenmodes()
        return float((modes.noise / np.maximum(modes.share, share)).sum())

    def _eigenmodes(self) -> _Eigenmodes:
        free = self.free
        complete, observed, noise = (m[np.ix_(free, free)] for m in (self.complete, self.observed, self.noise))
        scale = np.sqrt(np.maximum(np.diag(complete), 1e-300))
        values, vectors = np.linalg.eigh(complete / np.outer(scale, scale))
        whiten = (vectors / np.sqrt(np.maximum(values, 1e-8))) / scale[:, None]
        share, directions = np.linalg.eigh(whiten.T @ observed @ whiten)
        axes = whiten @ directions
        return _Eigenmodes(
            axes=axes,
            share=share,
            score=axes.T @ self.score[free],
            noise=np.einsum("pj,pq,qj->j", axes, noise, axes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Eigenmodes:
    """Directions `axes` (p, p columns) in which the complete information is 1 and the observed one diagonal:
    `share` (p,). `score`, `noise` (its variance) (p,) are those along them."""

    axes: np.ndarray
    share: np.ndarray
    score: np.ndarray
    noise: np.ndarray


def curvature(sample: Sample, population: Population, weighted: Weighted) -> Curvature:
    """Score and information at `population`; the decoder is not called."""
    problem, joint = sample.problem, sample.problem.joint(population)
    own = _score_moments(sample, population, joint, weighted.weight)
    weight_square = problem.everyone((weighted.weight**2).sum(axis=0), "squared weights")
    moments = ScoreMoments(*(problem.everyone(m, "scores") for m in own))
    if problem.share is not None:
        sample = replace(sample, problem=problem.whole, batch=_of_everyone(sample))
        joint = problem.whole.joint(population)
    factor, directions = _factor(sample, population, joint), sample.coordinates.directions(joint.omega)
    complete = _complete(sample, population, joint, moments, directions)
    transposed = np.ascontiguousarray(np.swapaxes(factor, -1, -2))
    scores = _times(transposed, moments.first)
    cross = _times(transposed, moments.first_square).T @ scores
    lower, upper = sample.coordinates.room(sample.problem, population)
    return Curvature(
        lower=lower,
        upper=upper,
        scores=scores,
        complete=complete,
        observed=complete
        + _structured_curvature(sample, joint, moments, directions)
        - _sum_of_squares(transposed, moments.second)
        + scores.T @ scores,
        noise=_sum_of_squares(transposed, moments.second_square)
        - cross
        - cross.T
        + (scores * weight_square[:, None]).T @ scores,
    )


def _of_everyone(sample: Sample) -> Batch:
    """What the derivatives below need of all processes' draws: how z follows structural THETAs."""
    shift = sample.batch.shift
    return replace(sample.batch, shift=None if shift is None else sample.problem.everyone(shift, "shifts"))


def subject_scores(sample: Sample, population: Population, weighted: Weighted) -> np.ndarray:
    """(N, p) d log p(y_i) / d coordinates (Fisher's identity): the exact derivative of the sample likelihood."""
    joint = sample.problem.joint(population)
    moments = _score_moments(sample, population, joint, weighted.weight)
    factor = _factor(sample, population, joint)
    return _times(np.ascontiguousarray(np.swapaxes(factor, -1, -2)), moments.first)


def _score_moments(sample: Sample, population: Population, joint: JointDensity, weight: np.ndarray) -> ScoreMoments:
    coordinates, draws = sample.coordinates, sample.draws(population)
    columns = coordinates.column[coordinates.structural]
    jacobian = sample.batch.jacobian
    jacobian = np.zeros((0, 0, 0)) if jacobian is None else np.ascontiguousarray(jacobian[..., columns])
    return score_moments(
        np.ascontiguousarray(draws.z),
        draws.prediction,
        weight,
        jacobian,
        (np.ascontiguousarray(joint.mean), joint.whiten, OmegaDirections.of(coordinates.directions(joint.omega))),
        (joint.observed, sample.problem.table.ob_ptr),
        [
            (error, np.ascontiguousarray(joint.residual.slot_map(e)[:, coordinates.residual]))
            for e, error in enumerate(joint.residual.numbers(joint.coefficients))
        ],
    )


def _factor(sample: Sample, population: Population, joint: JointDensity) -> np.ndarray:
    """(N, F, p): a subject's score is its transpose times the numbers of score_kernel.py."""
    coordinates = sample.coordinates
    n_theta, n_omega, n_residual = coordinates.sizes
    moving = np.flatnonzero(coordinates.structural) if sample.batch.jacobian is not None else np.zeros(0, dtype=int)
    n_subjects, d = joint.mean.shape
    rest = n_omega + n_residual
    factor = np.zeros((n_subjects, d + rest + len(moving), n_theta + rest))
    factor[:, :d, :n_theta] = joint.whiten @ _drift(sample, population)
    factor[:, np.arange(d, d + rest), np.arange(n_theta, n_theta + rest)] = 1.0
    factor[:, d + rest + np.arange(len(moving)), moving] = coordinates.slope(population.thetas)[moving]
    return factor


def _times(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return (matrix @ vector[..., None])[..., 0]


def _sum_of_squares(transposed: np.ndarray, second: np.ndarray) -> np.ndarray:
    """sum_i B_i' S_i B_i for transposed B (N, p, F) and S (N, F, F)."""
    n, p, f = transposed.shape
    left = (transposed @ second).transpose(1, 0, 2).reshape(p, n * f)
    return left @ transposed.transpose(1, 0, 2).reshape(p, n * f).T


def _drift(sample: Sample, population: Population) -> np.ndarray:
    """(N, d, T) d (mean - z) / du: THETAs move the mean and, if the decoder reads them, also the draws."""
    coordinates = sample.coordinates
    drift = coordinates.mean_jacobian(sample.problem, population.thetas)
    if sample.batch.shift is None:
        return drift
    moving = coordinates.structural
    slope = coordinates.slope(population.thetas)[moving]
    drift[..., moving] -= sample.batch.shift[..., coordinates.column[moving]] * slope
    return drift


def _complete(
    sample: Sample, population: Population, joint: JointDensity, moments: ScoreMoments, directions: np.ndarray
) -> np.ndarray:
    """(p, p) complete-data information: exact for the mean and Omega, expected over y for the rest; also expected for
    blocks with elements kept at 0 (see `_structured_curvature`)."""
    coordinates = sample.coordinates
    n_theta, n_omega, n_residual = coordinates.sizes
    d = joint.n_latents
    complete = np.zeros((n_theta + n_omega + n_residual,) * 2)
    design = joint.whiten @ _drift(sample, population)
    _add_gaussian(complete, design, directions, moments.first[:, :d], moments.second[:, :d, :d].sum(axis=0))
    structured = n_theta + np.flatnonzero(coordinates.structured)
    if len(structured):
        b = directions[coordinates.structured]
        complete[np.ix_(structured, structured)] = 0.5 * joint.n_subjects * np.einsum("iab,jba->ij", b, b)
    rho = slice(n_theta + n_omega, None)
    complete[rho, rho] += moments.residual.sum(axis=0)
    if sample.batch.jacobian is not None:
        moving = np.flatnonzero(coordinates.structural)
        slope = coordinates.slope(population.thetas)[moving]
        complete[np.ix_(moving, moving)] += moments.structural.sum(axis=0) * np.outer(slope, slope)
    return complete


def _structured_curvature(
    sample: Sample, joint: JointDensity, moments: ScoreMoments, directions: np.ndarray
) -> np.ndarray:
    """(p, p) what -l'' has beyond its expectation where Omega moves along a line, Omega + x D:
    tr(B_i S B_j) - n tr(B_i B_j), S the sum of squares of whitened z."""
    coordinates, d = sample.coordinates, joint.n_latents
    extra = np.zeros((sum(coordinates.sizes),) * 2)
    structured = coordinates.sizes[0] + np.flatnonzero(coordinates.structured)
    if len(structured):
        b = directions[coordinates.structured]
        excess = moments.second[:, :d, :d].sum(axis=0) - joint.n_subjects * np.eye(d)
        extra[np.ix_(structured, structured)] = np.einsum("iab,bc,jca->ij", b, excess, b, optimize=True)
    return extra


def _add_gaussian(
    complete: np.ndarray, design: np.ndarray, basis: np.ndarray, mean: np.ndarray, square: np.ndarray
) -> None:
    """-l'' of log N(z; mean, Omega): exact. `mean` (N, d) and `square` (d, d) are those of whitened z."""
    t, q = design.shape[-1], len(basis)
    flat = design.reshape(design.shape[0] * design.shape[1], t)  # also where every THETA is fixed
    complete[:t, :t] += flat.T @ flat
    if q:
        cross = np.einsum("ndt,jde,ne->tj", design, basis, mean, optimize=True)
        complete[:t, t : t + q] += cross
        complete[t : t + q, :t] += cross.T
        complete[t : t + q, t : t + q] += 0.5 * np.einsum("iab,bc,jca->ij", basis, square, basis, optimize=True)
