"""The maximisation step, the paper's equation 10, in closed form.

With E[z_i] and Cov[z_i] of the posterior, maximise over theta = (z_pop, beta, Omega, sigma)

    Q = sum_i E[log N(z_i; mu_i(theta), Omega)] + sum_ij E[log p(y_ij | f_ij, sigma)]

    mean of z   generalised least squares (one step where mu is linear, Gauss-Newton otherwise)
    Omega       mean over subjects of Cov[z_i] + (E[z_i] - mu_i)(E[z_i] - mu_i)', inside its blocks; over subjects
                and occasions for blocks that repeat another (SAME)
    sigma       decoder/residual_update.py

Subjects without observations, and occasions a subject does not have, carry no information and are left out
(informed.py).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlmevae.decoder.residual_update import update
from nlmevae.estimation.mean_model import MeanModel
from nlmevae.estimation.population import Population, repeated_blocks
from nlmevae.estimation.posterior import SufficientStatistics
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.structured_omega import structured_fit

MAX_ROUNDS = 20  # of mean and Omega in turn; 2 where they do not interact
SETTLED = 1e-9  # step of the mean, in standard errors of the complete data
HALVINGS = 12


def m_step(
    statistics: SufficientStatistics, population: Population, problem: Problem, *, shared: bool = True
) -> Population:
    """The maximiser of Q; FIXED parameters stay, bounds hold. `shared` as in `update_mean_and_omega`."""
    updated = update_mean_and_omega(statistics.z_mean, statistics.z_cov, population, problem, shared=shared)
    return with_residual(updated, problem, statistics.prediction, statistics.weight, multiplier=statistics.multiplier)


def with_residual(
    population: Population,
    problem: Problem,
    prediction: np.ndarray,
    weight: np.ndarray,
    *,
    ptr: np.ndarray | None = None,
    multiplier: np.ndarray | None = None,
) -> Population:
    """`population` with the residual error that fits the weighted predictions, arguments as for
    `decoder.residual_update.update`."""
    residual = problem.residual
    before = residual.coefficients(population.thetas, population.sigma)
    after = update(
        residual,
        problem.observed,
        prediction,
        weight,
        before,
        ptr=ptr,
        multiplier=multiplier,
        everyone=None if problem.share is None else lambda own: problem.everyone(own, "residual sums"),
    )
    thetas, sigma = residual.with_coefficients(population.thetas, population.sigma, after)
    return replace(population, thetas=thetas, sigma=sigma)


def update_mean_and_omega(
    z_mean: np.ndarray, z_cov: np.ndarray, population: Population, problem: Problem, *, shared: bool = True
) -> Population:
    """(z_pop, beta) and Omega in turn until neither moves; they only interact where Omega has covariances or parameters
    share a THETA, else one round is enough. Not `shared`: THETAs that the decoder reads too stay, for a step that also
    sees what they do to the predictions."""
    informed = problem.informed
    if not informed.any():
        return population
    thetas, omega, mean = population.thetas, population.omega, problem.mean
    moving = np.full(len(mean.indices), True) if shared else ~problem.shared
    if informed.all():
        count, spread = np.full(z_cov.shape[1:], len(z_cov)), z_cov.sum(axis=0)
    else:
        both = informed[:, :, None] & informed[:, None, :]
        count, spread = both.sum(axis=0), np.where(both, z_cov, 0.0).sum(axis=0)
    apart = np.count_nonzero(problem.omega_mask) == problem.omega_mask.trace() and mean.apart
    for _ in range(MAX_ROUNDS):
        latent, before = omega[problem.latent_index[:, None], problem.latent_index], thetas
        thetas, size = fit_mean(mean, thetas, z_mean, np.linalg.inv(latent), informed, moving)
        if size < SETTLED and omega is not population.omega:
            break
        residual = np.where(informed, z_mean - mean.mean(thetas), 0.0)
        omega = with_latent_omega(omega, residual.T @ residual + spread, count, problem)
        if apart and np.count_nonzero(latent) == len(latent) and mean.reached(before, thetas):
            break
    return replace(population, thetas=thetas, omega=omega)


def fit_mean(
    mean: MeanModel,
    thetas: np.ndarray,
    target: np.ndarray,
    precision: np.ndarray,
    informed: np.ndarray,
    moving: np.ndarray,
) -> tuple[np.ndarray, float]:
    """THETAs after one generalised least-squares step towards `target` (N, d), and the step's size.

    Exact where mu is linear; else a Gauss-Newton step, halved until the sum of squares falls. `informed` (N, d): the
    components that count; `moving` (q,): the THETAs that may move.
    """
    if not moving.any():
        return thetas, 0.0
    design = np.where(informed[:, :, None] & moving, mean.design(thetas), 0.0)
    residual = np.where(informed, target - mean.mean(thetas), 0.0)
    rows = design.reshape(-1, design.shape[2])
    weighted = (precision @ design).reshape(rows.shape)
    matrix, gradient = rows.T @ weighted, residual.ravel() @ weighted
    delta = bounded_minimum(matrix, gradient, *mean.room(thetas))
    size = float(np.sqrt(max(delta @ matrix @ delta, 0.0)))
    if mean.linear:
        return mean.step(thetas, delta), size
    before = ((residual @ precision) * residual).sum()
    for _ in range(HALVINGS):
        moved = mean.step(thetas, delta)
        error = np.where(informed, target - mean.mean(moved), 0.0)
        if ((error @ precision) * error).sum() <= before:
            return moved, size
        delta = 0.5 * delta
    return thetas, 0.0


def bounded_minimum(matrix: np.ndarray, gradient: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """x that minimises x'Ax/2 - g'x within bounds, by an active set: violated bounds become active, an
    active bound is released where the gradient points inwards."""
    x = _solve(matrix, gradient)
    if ((x >= lower) & (x <= upper)).all():
        return x
    active = np.zeros(len(gradient), dtype=bool)
    for _ in range(3 * len(gradient) + 3):
        free = ~active
        rest = gradient[free] - matrix[np.ix_(free, active)] @ x[active]
        x[free] = _solve(matrix[np.ix_(free, free)], rest)
        outside = free & ((x < lower) | (x > upper))
        x = np.clip(x, lower, upper)
        if outside.any():
            active |= outside
            continue
        pull = gradient - matrix @ x
        inwards = active & (((x <= lower) & (pull > 0)) | ((x >= upper) & (pull < 0))) & (lower < upper)
        if not inwards.any():
            break
        active[np.argmax(np.where(inwards, np.abs(pull), -1.0))] = False
    return x


def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Minimum-norm solution on the scale of unit diagonals: a direction without information does not move."""
    diagonal = matrix.diagonal()
    acts = diagonal > 0.0  # not so: a coefficient of a category that no subject has
    scale = np.sqrt(np.where(acts, diagonal, 1.0))
    unit = matrix / (scale[:, None] * scale)
    return np.where(acts, np.linalg.lstsq(unit, right / scale, rcond=1e-10)[0] / scale, 0.0)


def with_latent_omega(omega: np.ndarray, scatter: np.ndarray, count: np.ndarray, problem: Problem) -> np.ndarray:
    """`omega` with its estimated elements from `scatter` (d, d), sums over `count` (d, d) subjects; blocks that repeat
    another (SAME) share their sums. What nobody is informed about stays, elements kept at 0 too."""
    index = problem.latent_index[:, None], problem.latent_index
    total, number = np.zeros_like(omega), np.zeros_like(omega)
    total[index], number[index] = scatter, count
    free = np.zeros_like(omega, dtype=bool)
    free[index] = problem.omega_mask
    groups = [[_block(etas) for etas in copies] for copies in repeated_blocks(problem.model.omega)]
    for copies in (copies for copies in groups if len(copies) > 1):
        for table in (total, number):
            common = np.sum([table[where] for where in copies], axis=0)
            for where in copies:
                table[where] = common
    mean = total / np.maximum(number, 1)
    updated = np.where(free & (number > 0), mean, omega)
    for copies in groups:
        first = copies[0]
        if not free[first].all() and (number[first] > 0).all():
            fitted = structured_fit(mean[first], omega[first], free[first])
            for where in copies:
                updated[where] = fitted
    return updated


def _block(etas: list[int]) -> tuple[slice, slice]:
    """Where neighbouring effects have their covariances."""
    where = slice(etas[0], etas[-1] + 1)
    return where, where
