"""Unconstrained coordinates of the free population parameters, for Newton steps.

u      one per free THETA outside the residual error: log THETA or THETA
x      Omega = L exp(sum_j x_j B_j) L' around the current Cholesky factor L; the symmetric basis B
       respects blocks, FIX and SAME, so every step keeps Omega positive definite. Blocks with elements kept
       at 0: Omega + sum_j x_j D_j, D_j an element in units of its standard deviations
rho    the free residual error coefficients in their coordinates (`ResidualModel`): log of standard deviations, ...
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nlmevae.estimation.guards import within_bounds
from nlmevae.estimation.population import Population, repeated_blocks
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.structured_omega import positive_share
from nlmevae.ir import PopulationParameter, free_elements

LARGEST_LOG_OMEGA = 20.0  # of one step, in any direction of Omega: keeps exp finite, no limit in practice


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinates:
    """theta (T,) THETA indices; log (T,) bool; column (T,) structural decoder input or -1;
    basis (q, d, d) 0/1 directions of OMEGA; structured (q,) bool, True in blocks with elements kept at 0;
    residual indices of the free ones among the residual error's coefficients."""

    theta: np.ndarray
    log: np.ndarray
    column: np.ndarray
    basis: np.ndarray
    structured: np.ndarray
    residual: np.ndarray

    @classmethod
    def of(cls, problem: Problem) -> Coordinates:
        mean = problem.mean
        scales = dict(zip(mean.indices.tolist(), mean.log_scale.tolist(), strict=True))
        for index, free in zip(problem.structural_index.tolist(), problem.structural_free, strict=True):
            if free:
                scales.setdefault(index, _moves_on_log_scale(problem.model.thetas[index]))
        theta = sorted(scales)
        column = {int(i): c for c, i in enumerate(problem.structural_index)}
        basis = omega_basis(problem)
        return cls(
            theta=np.array(theta, dtype=int),
            log=np.array([scales[i] for i in theta], dtype=bool),
            column=np.array([column.get(i, -1) for i in theta], dtype=int),
            basis=basis,
            structured=_is_structured(basis, problem),
            residual=np.flatnonzero(problem.residual.free),
        )

    @property
    def sizes(self) -> tuple[int, int, int]:
        return len(self.theta), len(self.basis), len(self.residual)

    @property
    def structural(self) -> np.ndarray:
        """(T,) bool: THETAs the decoder reads itself."""
        return self.column >= 0

    def slope(self, thetas: np.ndarray) -> np.ndarray:
        """(T,) d THETA / du."""
        return np.where(self.log, thetas[self.theta], 1.0)

    def move_thetas(self, thetas: np.ndarray, step: np.ndarray, problem: Problem) -> np.ndarray:
        """THETAs after a step du (T,), inside their bounds."""
        moved = thetas.copy()
        current = thetas[self.theta]
        moved[self.theta] = np.where(self.log, current * np.exp(np.clip(step, -20, 20)), current + step)
        return within_bounds(moved, problem)

    def room(self, problem: Problem, population: Population) -> tuple[np.ndarray, np.ndarray]:
        """(T + q + r,) smallest and largest step in all coordinates; only the bounds of THETAs limit them."""
        thetas = [problem.model.thetas[i] for i in self.theta]
        current = population.thetas[self.theta]
        low, high = (np.array([getattr(t, side) for t in thetas], dtype=float) for side in ("lower", "upper"))
        with np.errstate(divide="ignore", invalid="ignore"):
            low = np.where(self.log, np.log(np.maximum(low, 0.0) / current), low - current)
            high = np.where(self.log, np.log(np.maximum(high, 0.0) / current), high - current)
        free = np.full(sum(self.sizes[1:]), np.inf)
        return np.append(np.minimum(low, 0.0), -free), np.append(np.maximum(high, 0.0), free)

    def mean_jacobian(self, problem: Problem, thetas: np.ndarray) -> np.ndarray:
        """(N, d, T) d mean / du; 0 for THETAs only the decoder reads."""
        jacobian = np.zeros((problem.n_subjects, problem.n_latents, len(self.theta)))
        jacobian[:, :, np.searchsorted(self.theta, problem.mean.indices)] = problem.mean.design(thetas)
        return jacobian

    def move(self, problem: Problem, population: Population, step: np.ndarray) -> Population:
        """The population after a step (T + q + r,) in all coordinates."""
        n_theta, n_omega, _ = self.sizes
        thetas = self.move_thetas(population.thetas, step[:n_theta], problem)
        omega = self._move_omega(problem, population.omega, step[n_theta : n_theta + n_omega])
        sigma = population.sigma
        if len(self.residual):
            residual = problem.residual
            moved = residual.coordinates(residual.coefficients(thetas, sigma))
            moved[self.residual] += step[n_theta + n_omega :]
            thetas, sigma = residual.with_coefficients(thetas, sigma, residual.from_coordinates(moved))
        return replace(population, thetas=within_bounds(thetas, problem), omega=omega, sigma=sigma)

    def _move_omega(self, problem: Problem, omega: np.ndarray, step: np.ndarray) -> np.ndarray:
        if not len(step):
            return omega
        index = np.ix_(problem.latent_index, problem.latent_index)
        chol = np.linalg.cholesky(omega[index])
        directions, kept = self.directions(omega[index]), self.structured
        values, vectors = np.linalg.eigh(np.tensordot(step[~kept], directions[~kept], axes=1))
        change = (vectors * np.exp(np.clip(values, -LARGEST_LOG_OMEGA, LARGEST_LOG_OMEGA))) @ vectors.T
        if kept.any():
            added = np.tensordot(step[kept], directions[kept], axes=1)
            change = change + positive_share(added) * added
        moved = omega.copy()
        moved[index] = np.where(problem.omega_mask, chol @ change @ chol.T, omega[index])
        return moved

    def directions(self, omega: np.ndarray) -> np.ndarray:
        """(q, d, d) B_j with dOmega / dx_j = L B_j L' at the latents' omega (d, d)."""
        if not self.structured.any():
            return self.basis
        sd = np.sqrt(np.diag(omega))
        whiten = np.linalg.inv(np.linalg.cholesky(omega))
        elements = whiten @ (self.basis * np.outer(sd, sd)) @ whiten.T
        return np.where(self.structured[:, None, None], elements, self.basis)


def omega_basis(problem: Problem) -> np.ndarray:
    """(q, d, d) symmetric directions, one per free element of OMEGA; SAME blocks move together."""
    d = problem.n_latents
    latent_of_eta = {int(eta): k for k, eta in enumerate(problem.latent_index)}
    directions = []
    for copies in repeated_blocks(problem.model.omega):
        for i in range(len(copies[0])):
            for j in range(i + 1):
                direction = np.zeros((d, d))
                for row, column in ((latent_of_eta.get(e[i]), latent_of_eta.get(e[j])) for e in copies):
                    if row is not None and column is not None and problem.omega_mask[row, column]:
                        direction[row, column] = direction[column, row] = 1.0
                directions.append(direction)
    used = [direction for direction in directions if direction.any()]
    return np.array(used).reshape(len(used), d, d)


def _is_structured(basis: np.ndarray, problem: Problem) -> np.ndarray:
    """(q,) bool: the direction belongs to a block that has elements kept at 0."""
    structured = []
    etas = problem.model.etas
    blocks = {eta: block for block in problem.model.omega for eta in block.names}
    for direction in basis:
        eta = etas[problem.latent_index[int(np.argmax(direction.any(axis=1)))]]
        structured.append(not np.all(free_elements(blocks[eta])))
    return np.array(structured, dtype=bool)


def _moves_on_log_scale(theta: PopulationParameter) -> bool:
    return theta.scale == "log" or (theta.lower >= 0 and theta.init > 0)
