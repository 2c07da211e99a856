"""Analytic score and Hessian of the sample -2LL in the coordinates of the free parameters.

Per subject log L_i = log sum_k exp(l_ik) + const, so with weights w_ik (Louis 1982)

    score_i    = sum_k w_ik l'_ik
    -Hessian_i = sum_k w_ik (-l''_ik) - sum_k w_ik l'_ik l'_ik' + score_i score_i'

-l'' of the residual part and of structural THETAs is replaced by its expectation over y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.estimation.population import Population
from nlmevae.estimation.sample import Sample, finite_prediction
from nlmevae.likelihood.importance import Weighted
from nlmevae.likelihood.joint import JointDensity

# Observed over complete-data information; a smaller eigenvalue is not trusted. The ridges of a model with
# five parameters and seven observations per subject have .005 to .01: EM alone would need hundreds of steps.
SMALLEST_SHARE = 0.005
NOISY_SHARE = 0.05  # the same in directions whose score is within its Monte-Carlo error: noise is not followed far
CHUNK_DRAWS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Curvature:
    """Of the log-likelihood: scores (N, p) of the subjects, complete-data information (p, p), observed
    information (p, p), Monte-Carlo covariance of the score (p, p) as if draws were independent."""

    scores: np.ndarray
    complete: np.ndarray
    observed: np.ndarray
    noise: np.ndarray

    @property
    def score(self) -> np.ndarray:
        """(p,) of all subjects together."""
        return self.scores.sum(axis=0)

    def newton_step(self, share: float = SMALLEST_SHARE) -> np.ndarray:
        """Solve observed step = score, in no direction longer than 1 / `share` EM steps, and in those where
        the score may be noise than 1 / NOISY_SHARE."""
        modes = self._eigenmodes()
        floor = np.where(modes.score**2 > modes.noise, share, max(share, NOISY_SHARE))
        return modes.axes @ (modes.score / np.maximum(modes.share, floor))

    def expected_gain(self, share: float = SMALLEST_SHARE) -> float:
        """Decrease of -2LL that a full Newton step promises, g'H^-1 g; it includes the noise of the score."""
        modes = self._eigenmodes()
        return float((modes.score**2 / np.maximum(modes.share, share)).sum())

    def noise_gain(self, share: float = SMALLEST_SHARE) -> float:
        """Expected decrease of -2LL from fitting the noise of the draws: tr(observed^-1 noise)."""
        modes = self._eigenmodes()
        return float((modes.noise / np.maximum(modes.share, share)).sum())

    def _eigenmodes(self) -> _Eigenmodes:
        scale = np.sqrt(np.maximum(np.diag(self.complete), 1e-300))
        values, vectors = np.linalg.eigh(self.complete / np.outer(scale, scale))
        whiten = (vectors / np.sqrt(np.maximum(values, 1e-8))) / scale[:, None]
        share, directions = np.linalg.eigh(whiten.T @ self.observed @ whiten)
        axes = whiten @ directions
        return _Eigenmodes(
            axes=axes, share=share, score=axes.T @ self.score, noise=np.einsum("pj,pq,qj->j", axes, self.noise, axes)
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
    problem, coordinates = sample.problem, sample.coordinates
    joint = problem.joint(population)
    n_theta, n_omega, n_rho = coordinates.sizes
    p = n_theta + n_omega + n_rho
    inverse = np.linalg.inv(np.linalg.cholesky(joint.omega))
    design = inverse @ _drift(sample, population)
    per_subject = np.zeros((joint.n_subjects, p))
    twice = np.zeros((joint.n_subjects, p))  # sum of w^2 l'
    squares, noise = np.zeros((p, p)), np.zeros((p, p))
    complete = np.zeros((p, p))
    white_mean = np.zeros((joint.n_subjects, joint.n_latents))
    white_square = np.zeros((joint.n_latents, joint.n_latents))
    draws = sample.draws(population)
    prediction = finite_prediction(draws.prediction)
    for start in range(0, len(draws.z), CHUNK_DRAWS):
        part = slice(start, start + CHUNK_DRAWS)
        w = np.ascontiguousarray(weighted.weight[part].T)
        white = np.ascontiguousarray(((draws.z[part] - joint.mean) @ inverse.T).transpose(1, 0, 2))
        scores = np.empty((*w.shape, p))
        scores[..., :n_theta] = white @ design
        scores[..., n_theta : n_theta + n_omega] = _omega_scores(white, coordinates.basis)
        _add_residual(sample, population, joint, part, prediction[part], weighted.weight[part], scores, complete)
        heavy = scores * w[..., None]
        per_subject += heavy.sum(axis=1)
        squares += _gram(heavy, scores)
        twice += (heavy * w[..., None]).sum(axis=1)
        noise += _gram(heavy, heavy)
        white_mean += (white * w[..., None]).sum(axis=1)
        white_square += _gram(white * w[..., None], white)
    _add_gaussian(complete, design, coordinates.basis, white_mean, white_square)
    cross = twice.T @ per_subject
    weight_square = (weighted.weight**2).sum(axis=0)
    return Curvature(
        scores=per_subject,
        complete=complete,
        observed=complete - squares + per_subject.T @ per_subject,
        noise=noise - cross - cross.T + (per_subject * weight_square[:, None]).T @ per_subject,
    )


def _gram(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Sum over the leading axes of outer products of the last."""
    n = left.shape[0] * left.shape[1]
    return left.reshape(n, left.shape[2]).T @ right.reshape(n, right.shape[2])


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


def _omega_scores(white: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """(N, K, q): (w'B_j w - tr B_j) / 2 for whitened deviations w (N, K, d)."""
    d = white.shape[-1]
    rows, columns = np.tril_indices(d)
    products = white[..., rows] * white[..., columns]
    multiple = np.where(rows == columns, 1.0, 2.0)
    pairs = basis[:, rows, columns] * multiple
    return 0.5 * (products @ pairs.T - np.einsum("jaa->j", basis))


def _add_gaussian(
    complete: np.ndarray, design: np.ndarray, basis: np.ndarray, mean: np.ndarray, square: np.ndarray
) -> None:
    """-l'' of log N(z; mean, Omega): exact. `mean` (N, d) and `square` (d, d) are those of whitened z."""
    t, q = design.shape[-1], len(basis)
    complete[:t, :t] += np.einsum("ndt,ndu->tu", design, design)
    if q:
        cross = np.einsum("ndt,jde,ne->tj", design, basis, mean, optimize=True)
        complete[:t, t : t + q] += cross
        complete[t : t + q, :t] += cross.T
        complete[t : t + q, t : t + q] += 0.5 * np.einsum("iab,bc,jca->ij", basis, square, basis, optimize=True)


def _add_residual(
    sample: Sample,
    population: Population,
    joint: JointDensity,
    part: slice,
    prediction: np.ndarray,
    weight: np.ndarray,
    scores: np.ndarray,
    complete: np.ndarray,
) -> None:
    """Columns of log a, log b and of structural THETAs; their expected information."""
    problem, coordinates = sample.problem, sample.coordinates
    free = coordinates.residual
    n_theta, n_omega, n_rho = coordinates.sizes
    observation_weight = np.repeat(weight, np.diff(problem.table.ob_ptr), axis=1)
    if n_rho:
        rho = slice(n_theta + n_omega, None)
        score = problem.residual.score(joint.y, prediction, *joint.coefficients)
        for column, j in enumerate(free):
            scores[..., n_theta + n_omega + column] = joint.per_subject(score[..., j]).T
        information = problem.residual.information(prediction, *joint.coefficients)
        total = np.einsum("km,kmij->ij", observation_weight, information)
        complete[rho, rho] += total[np.ix_(free, free)]
    moving = np.flatnonzero(coordinates.structural)
    if sample.batch.jacobian is None or not len(moving):
        return
    slope = coordinates.slope(population.thetas)[moving]
    jacobian = sample.batch.jacobian[part][..., coordinates.column[moving]] * slope
    dlogp = problem.residual.dlogp_df(joint.y, prediction, *joint.coefficients)
    for column, t in enumerate(moving):
        scores[..., t] += joint.per_subject(dlogp * jacobian[..., column]).T
    information = observation_weight * problem.residual.expected_information(prediction, *joint.coefficients)
    flat = jacobian.reshape(-1, len(moving))
    complete[np.ix_(moving, moving)] += flat.T @ (flat * information.reshape(-1, 1))
