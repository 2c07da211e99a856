"""Conditional modes: argmax_z p(y_i | z) p(z) for all subjects at once.

Damped Gauss-Newton (Levenberg-Marquardt) with the expected information of FOCE with interaction,
J'(1/v + 2 (v'/2v)^2) J + Omega^-1. Every iteration is one `decoder.linearise` of the rows that still
move.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from scipy.special import ndtri

from nlmevae.estimation.posterior import Posterior
from nlmevae.likelihood.climb import RIDGE, descend
from nlmevae.likelihood.importance import restrict
from nlmevae.likelihood.joint import JointDensity
from nlmevae.likelihood.proposal import lattice, safe_cholesky

KNOWN_REGION = 2.0  # posterior standard deviations around a mode where no other mode is sought
SMALLEST_LOG_MASS = 8.0  # of a second mode relative to the first, in logarithms


@dataclass(frozen=True, slots=True, kw_only=True)
class Modes:
    """mean (N, d) modes; chol (N, d, d) of the inverse information there; log_joint (N,) log p(y, mode);
    decrement (N,) g'H^-1 g left; ok (N,) False where the joint density could not be evaluated."""

    mean: np.ndarray
    chol: np.ndarray
    log_joint: np.ndarray
    decrement: np.ndarray
    ok: np.ndarray

    def of_subjects(self, subjects: np.ndarray | slice) -> Modes:
        """Of some rows."""
        return _pick(self, subjects)

    def of_everyone(self, everyone: Callable[[np.ndarray, str], np.ndarray]) -> Modes:
        """Of the subjects of all processes, from those of this one."""
        return Modes(**{f.name: everyone(getattr(self, f.name), f"mode {f.name}") for f in fields(self)})

    @property
    def posterior(self) -> Posterior:
        return Posterior(mean=self.mean, chol=self.chol, kind="map", ok=self.ok)

    @property
    def minus_two_ll(self) -> float:
        """Laplace's approximation of -2LL; inf if a subject failed."""
        if not self.ok.all():
            return float("inf")
        log_det = np.log(np.diagonal(self.chol, axis1=-2, axis2=-1)).sum()
        return float(-2.0 * (self.log_joint.sum() + log_det) - self.mean.size * np.log(2 * np.pi))


def find_modes(
    joint: JointDensity,
    start: np.ndarray,
    *,
    subjects: np.ndarray | None = None,
    scale: np.ndarray | float = 1.0,
    max_iterations: int = 20,
    tolerance: float = 1e-4,
) -> Modes:
    """Climb from start (R, d), row r for subject subjects[r] (default: all subjects in order).

    `scale` (d,) is the size of one unit of each latent; a row is done when the expected gain g'H^-1 g
    is below `tolerance`. Arrays of the result have R rows.
    """
    precision = np.linalg.inv(joint.omega)
    subjects = np.arange(joint.n_subjects) if subjects is None else subjects
    found = descend(
        lambda z, rows: _evaluate(joint, z, subjects[rows], precision),
        start,
        scale=scale,
        max_iterations=max_iterations,
        tolerance=tolerance,
    )
    chol, positive = safe_cholesky(_inverse(found.curvature))
    ok = np.isfinite(found.value) & positive
    return Modes(mean=found.z, chol=chol, log_joint=-found.value, decrement=found.decrement, ok=ok)


def search_modes(joint: JointDensity, starts: list[np.ndarray], **options) -> tuple[Modes, Modes]:
    """The best mode reached from several starts (N, d) each, and the best other one.

    The runner-up equals the best where no other mode was found that is more than a posterior standard
    deviation away and has more than e^-8 of its mass. `options` as for `find_modes`.
    """
    n, d = joint.mean.shape
    found = find_modes(joint, np.concatenate(starts), subjects=np.tile(np.arange(n), len(starts)), **options)
    value = np.where(found.ok, found.log_joint, -np.inf).reshape(-1, n)
    subject = np.arange(n)
    best = value.argmax(axis=0)
    mean, chol = found.mean.reshape(len(starts), n, d), found.chol.reshape(len(starts), n, d, d)
    away = np.linalg.solve(chol[best, subject], (mean - mean[best, subject])[..., None])[..., 0]
    mass = value + np.log(np.diagonal(chol, axis1=-2, axis2=-1)).sum(axis=-1)
    other = (np.abs(away).max(axis=-1, initial=0.0) > 1.0) & (mass > mass[best, subject] - SMALLEST_LOG_MASS)
    second = np.where(other, mass, -np.inf).argmax(axis=0)
    second = np.where(other.any(axis=0), second, best)
    return _pick(found, best * n + subject), _pick(found, second * n + subject)


def _pick(modes: Modes, rows: np.ndarray | slice) -> Modes:
    return Modes(
        mean=modes.mean[rows],
        chol=modes.chol[rows],
        log_joint=modes.log_joint[rows],
        decrement=modes.decrement[rows],
        ok=modes.ok[rows],
    )


def best_start(joint: JointDensity, candidates: np.ndarray, *, known: Modes | None = None) -> np.ndarray:
    """(N, d): per subject the candidate of (S, N, d) with the highest joint density.

    Non-finite candidates lose, and so do candidates within two posterior standard deviations of the
    `known` mode, which would only lead there again; where all lose the first is returned.
    """
    finite = np.isfinite(candidates).all(axis=-1)
    usable = np.where(finite[..., None], candidates, joint.mean)
    log_joint = np.where(finite, joint.log_joint(usable, joint.for_draws.predict(usable)), -np.inf)
    if known is not None:
        away = np.linalg.inv(known.chol) @ np.moveaxis(usable - known.mean, 0, -1)
        log_joint[np.abs(away).max(axis=1, initial=0.0).T < KNOWN_REGION] = -np.inf
    return usable[log_joint.argmax(axis=0), np.arange(joint.n_subjects)]


def best_starts(joint: JointDensity, candidates: np.ndarray, n: int) -> list[np.ndarray]:
    """The `n` candidates of (S, N, d) with the highest joint density per subject, (N, d) each, best first."""
    log_joint = joint.log_joint(candidates, joint.for_draws.predict(candidates))
    order = np.argsort(-np.where(np.isfinite(log_joint), log_joint, -np.inf), axis=0, kind="stable")[:n]
    return [candidates[rank, np.arange(joint.n_subjects)] for rank in order]


def prior_candidates(
    joint: JointDensity, extra: list[np.ndarray], n_draws: int, rng: np.random.Generator
) -> np.ndarray:
    """(S, N, d): the prior mean, quasi-random draws of the prior, and `extra` starts (N, d) each.

    Every second draw is twice as far out: early Omega is often too small to reach another mode.
    """
    n, d = joint.mean.shape
    points = (lattice(n_draws, d)[:, None, :] + rng.random((n, d))) % 1.0
    normal = ndtri(np.clip(points, 1e-6, 1 - 1e-6))
    normal[1::2] *= 2.0
    # einsum: the digits of a row do not depend on how many others there are, as those of a matrix product do
    draws = joint.mean + np.einsum("knd,ed->kne", normal, np.linalg.cholesky(joint.omega))
    return np.concatenate([joint.mean[None], draws, *[e[None] for e in extra]])


def _evaluate(
    joint: JointDensity, z: np.ndarray, rows: np.ndarray, precision: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-log p(y, z) (R,), its gradient (R, d) and expected information (R, d, d); inf where not defined."""
    d = joint.n_latents
    part = restrict(joint, rows)
    solution = part.decoder.linearise(part.inputs(z))
    slopes = part.slopes(z, solution.prediction, solution.jacobian)
    prior_gradient = np.einsum("nd,de->ne", z - part.mean, precision)  # see prior_candidates
    value = -(slopes.value - 0.5 * ((z - part.mean) * prior_gradient).sum(axis=1) + _prior_constant(joint))
    return value, prior_gradient - slopes.score[:, :d], slopes.information[:, :d, :d] + precision


def _prior_constant(joint: JointDensity) -> float:
    return -0.5 * (joint.n_latents * np.log(2 * np.pi) + np.linalg.slogdet(joint.omega)[1])


def _inverse(hessian: np.ndarray) -> np.ndarray:
    """Of curvatures that are singular in their digits, that with a ridge (`climb.RIDGE`)."""
    finite = np.isfinite(hessian).all(axis=(-2, -1))
    usable = np.where(finite[:, None, None], hessian, np.eye(hessian.shape[-1]))
    try:
        return np.linalg.inv(usable)
    except np.linalg.LinAlgError:
        diagonal = np.einsum("nii->ni", usable)
        return np.linalg.inv(usable + RIDGE * diagonal[:, :, None] * np.eye(hessian.shape[-1]))
