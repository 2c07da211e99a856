"""Covariance of the estimates from information matrices (information.py), carried to THETA, SIGMA and OMEGA.

    observed       R^-1        inverse observed information
    cross-product  S^-1        inverse sum of the subjects' score products
    sandwich       R^-1 S R^-1 right also where the model's distributions are not (Huber 1967); NONMEM's default

A direction v without information (v'Rv = 0) leaves every parameter that it does not move as well known as before:
c'R^-c is the same for all generalised inverses R^- if c'v = 0. Parameters that it moves get no number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.guards import at_bound, latent_scale
from nlmevae.estimation.information import Information, jackknife, without_bounds
from nlmevae.estimation.newton import curvature
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.sample import Sample

CovarianceMethod = Literal["observed", "cross-product", "sandwich"]

STEP = 1e-4  # of a coordinate, for central differences of the map to the natural scale
SINGULAR = 1e-6  # eigenvalue of the scaled complete-data information: nothing is known even from known random effects
FLAT = 1e-4  # observed over complete-data information that is none
SURE = 3.0  # Monte-Carlo errors by which a share must exceed 0
INVOLVED = 1e-3  # of a parameter's complete-data standard error along a flat direction: it is moved by it
ZERO_SD, ZERO_SHARE = 0.05, 0.05  # a variance is at 0 if its SD is below this, in units of the latent's scale, and
# the data have less than this share of the information that known random effects would give
ZERO_INFORMATION = 1.0  # complete-data information about the log of a residual error coefficient that is at 0
LEAST_INFORMATION = 1e-5  # observed over complete-data information, for relative errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """covariance (P, P) of `Population.vector()`: zeros for what is not estimated, NaN for what the data do not
    determine. mc_error (P,) relative Monte-Carlo error of the standard errors. at_bound: indices of parameters that
    were held at their bound or at 0. flat: per direction without information the changes (P,) along it, flat_share its
    observed over its complete-data information: 0, or negative where the likelihood rises along it. gradient: (P,)
    derivatives of log L, 0 for what is not estimated."""

    method: CovarianceMethod
    covariance: np.ndarray
    mc_error: np.ndarray
    at_bound: tuple[int, ...] = ()
    flat: tuple[np.ndarray, ...] = ()
    flat_share: tuple[float, ...] = ()
    gradient: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def standard_errors(self) -> np.ndarray:
        """(P,)."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))


def uncertainty(
    problem: Problem, population: Population, information: Information, method: CovarianceMethod
) -> Uncertainty:
    """Of all parameters at `population`, the maximum of the likelihood whose information is given."""
    held = _Held.of(problem, population, information)
    part = _Part.of(information, ~held.coordinates, method)
    jacobian = natural_jacobian(information.coordinates, problem, population)[:, ~held.coordinates]
    jacobian[held.parameters] = 0.0
    along = jacobian @ part.flat
    reach = np.sqrt(np.einsum("pi,ij,pj->p", jacobian, part.prior, jacobian))
    unknown = (np.abs(along) > INVOLVED * reach[:, None]).any(axis=1)
    covariances = np.array([jacobian @ c @ jacobian.T for c in part.covariances(method)])
    errors = np.sqrt(np.maximum(np.diagonal(covariances[1:], axis1=1, axis2=2), 0.0))
    covariance = covariances[0]
    covariance[unknown, :] = covariance[:, unknown] = np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(np.diag(covariance) == 0, 0.0, jackknife(errors)[1] / np.sqrt(np.diag(covariance)))
    return Uncertainty(
        method=method,
        covariance=covariance,
        mc_error=relative,
        at_bound=tuple(np.flatnonzero(held.parameters).tolist()),
        flat=tuple(along.T),
        flat_share=tuple(part.flat_share.tolist()),
        gradient=natural_gradient(
            natural_jacobian(information.coordinates, problem, population), information.scores.sum(axis=0)
        ),
    )


def natural_gradient(jacobian: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(P,) derivatives of log L by the parameters from those by the coordinates, scores (p,), of which the parameters
    have the derivatives jacobian (P, p): jacobian' gradient = scores. One value that several parameters have (SAME)
    counts once in all of them together."""
    scale = np.linalg.norm(jacobian, axis=0)
    scale[scale == 0.0] = 1.0
    gradient = np.linalg.pinv((jacobian / scale).T) @ (scores / scale)
    return np.where((jacobian != 0.0).any(axis=1), gradient, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """coordinates (p,) and parameters (P,) bool: THETAs at a bound, variances and residual error coefficients at 0.
    The likelihood has no maximum inside along them, so its curvature says nothing about their uncertainty."""

    coordinates: np.ndarray
    parameters: np.ndarray

    @classmethod
    def of(cls, problem: Problem, population: Population, information: Information) -> _Held:
        places = information.coordinates
        n_theta, n_omega, _ = places.sizes
        complete = np.diag(information.complete)
        bounded = [at_bound(problem.model.thetas[i], population.thetas[i]) for i in places.theta]
        gone = collapsed_variances(problem, population, information)
        touched = [bool(np.abs(basis[gone]).any()) for basis in places.basis]
        residual = complete[n_theta + n_omega :] < ZERO_INFORMATION
        coordinates = np.concatenate([bounded, touched, residual]).astype(bool)
        jacobian = natural_jacobian(places, problem, population)
        jacobian[:, n_theta : n_theta + n_omega] = 0.0
        parameters = (jacobian[:, coordinates] != 0).any(axis=1)
        rows, columns = np.tril_indices(len(population.omega))
        etas = problem.latent_index[gone]
        parameters[-len(rows) or len(parameters) :] = np.isin(rows, etas) | np.isin(columns, etas)
        fixed = ~(natural_jacobian(places, problem, population) != 0).any(axis=1)
        return cls(coordinates=coordinates, parameters=parameters & ~fixed)


def collapsed_variances(problem: Problem, population: Population, information: Information) -> np.ndarray:
    """(d,) bool: latents whose estimated variance is not told from 0."""
    n_theta, n_omega, _ = information.coordinates.sizes
    share = np.diag(jackknife(information.observed)[0]) / np.maximum(np.diag(information.complete), 1e-300)
    small = np.sqrt(np.diag(problem.latent_omega(population))) < ZERO_SD * latent_scale(problem)
    weak = np.zeros(problem.n_latents, dtype=bool)
    for direction, known in zip(information.coordinates.basis, share[n_theta : n_theta + n_omega], strict=True):
        weak |= np.diag(direction).astype(bool) & (known < ZERO_SHARE)
    return small & weak


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Information about some coordinates: stacks observed, product (1 + R, k, k); prior (k, k) inverse complete-data
    information; axes (k, m) directions with information, in which that of the complete data is 1, and flat (k, k - m)
    without."""

    observed: np.ndarray
    product: np.ndarray
    prior: np.ndarray
    axes: np.ndarray
    flat: np.ndarray
    flat_share: np.ndarray

    @classmethod
    def of(cls, information: Information, kept: np.ndarray, method: CovarianceMethod) -> _Part:
        index = np.ix_(kept, kept)
        observed = information.observed[:, index[0], index[1]]
        product = information.product[:, index[0], index[1]]
        complete, scale = information.complete[index], information.scale[kept]
        values, vectors = np.linalg.eigh(complete / np.outer(scale, scale))
        real = values > SINGULAR
        whiten = vectors[:, real] / np.sqrt(values[real]) / scale[:, None]
        inverted = product if method == "cross-product" else observed
        share, rotation = np.linalg.eigh(whiten.T @ jackknife(inverted)[0] @ whiten)
        axes = whiten @ rotation
        noise = jackknife(np.einsum("ki,rkl,li->ri", axes, inverted, axes))[1]
        informed = share > np.maximum(FLAT, SURE * noise)
        return cls(
            observed=observed,
            product=product,
            prior=whiten @ whiten.T,
            axes=axes[:, informed],
            flat=np.hstack([vectors[:, ~real] / scale[:, None], axes[:, ~informed]]),
            flat_share=np.concatenate([np.zeros((~real).sum()), share[~informed]]),
        )

    def covariances(self, method: CovarianceMethod) -> np.ndarray:
        """(2 + R, k, k): without the bias of finite draws, then as from `jackknife`'s replicates."""
        stacks = zip(*(self._all(m) for m in (self.observed, self.product)), strict=True)
        return np.array([self._covariance(r, s, method) for r, s in stacks])

    def _covariance(self, observed: np.ndarray, product: np.ndarray, method: CovarianceMethod) -> np.ndarray:
        inner = product if method == "cross-product" else observed
        inverse = self.axes @ np.linalg.pinv(self.axes.T @ inner @ self.axes) @ self.axes.T
        return inverse @ product @ inverse if method == "sandwich" else inverse

    @staticmethod
    def _all(stack: np.ndarray) -> np.ndarray:
        return np.concatenate([jackknife(stack)[0][None], stack])


def variance_errors(sample: Sample, population: Population) -> np.ndarray:
    """(d,) relative standard error of every estimated variance; 0 for those that are not estimated."""
    slopes = curvature(sample, population, sample.weigh(population))
    scale = np.sqrt(np.maximum(np.diag(slopes.complete), 1e-300))
    values, vectors = np.linalg.eigh(slopes.observed / np.outer(scale, scale))
    spread = ((vectors / scale[:, None]) ** 2 / np.maximum(values, LEAST_INFORMATION)).sum(axis=1)
    n_theta, n_omega, _ = sample.coordinates.sizes
    errors = np.zeros(sample.problem.n_latents)
    for basis, variance in zip(sample.coordinates.basis, spread[n_theta : n_theta + n_omega], strict=True):
        diagonal = np.flatnonzero(np.diag(basis))
        errors[diagonal] = np.maximum(errors[diagonal], np.sqrt(variance))
    return errors


def natural_jacobian(coordinates: Coordinates, problem: Problem, population: Population) -> np.ndarray:
    """(P, p) derivative of `Population.vector()`; bounds do not limit a derivative."""
    problem = without_bounds(problem)
    columns = []
    for j in range(sum(coordinates.sizes)):
        step = np.zeros(sum(coordinates.sizes))
        step[j] = STEP
        up = coordinates.move(problem, population, step).vector()
        down = coordinates.move(problem, population, -step).vector()
        columns.append((up - down) / (2 * STEP))
    return np.array(columns).T.reshape(len(population.vector()), len(columns))
