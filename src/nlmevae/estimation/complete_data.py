"""The covariate step of the paper's M step (equation 13) as a quadratic program, at the current Omega.

    sum_i (m_i - mu_i)' Omega^-1 (m_i - mu_i) + sum_u penalty_u z_u,      mu_i = mu_i(theta) + beta c_i

m_i is the posterior mean. The model's own fixed effects are always in: they are projected out first (Schur
complement), which is exact where mu is linear in them and a Gauss-Newton step elsewhere.
"""

from __future__ import annotations

import numpy as np

from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem
from nlmevae.selection.program import Program, Rules

ROUNDING = 1e-12  # relative to the diagonal


def complete_data_program(
    problem: Problem, population: Population, target: np.ndarray, penalty: np.ndarray, rules: Rules
) -> Program:
    """The program over all candidate coefficients in units of their parameter's omega; target (N, d), penalty
    (n_units,).

    In these units the matrix does not change from one M step to the next where Omega is diagonal and mu linear.
    """
    effects = problem.effects
    seen = np.diff(problem.table.ob_ptr) > 0
    none = np.zeros(effects.n_units, dtype=bool)
    thetas = effects.on_support(population.thetas, none)
    covariance = problem.latent_omega(population)
    sd = np.sqrt(np.diag(covariance))
    precision = np.linalg.inv(covariance / np.outer(sd, sd))
    residual = (target - problem.mean.mean(thetas))[seen] / sd
    design = problem.mean.base_design(thetas)[seen] / sd[:, None]
    x, latent = effects.values[seen], effects.latent
    squares = (design**2).sum(axis=(0, 1))
    scale = np.sqrt(np.where(squares > 0.0, squares, 1.0))
    weighted = precision @ (design / scale)
    base = np.einsum("ndq,ndr->qr", design / scale, weighted)
    cross = np.empty((len(base), len(latent)))
    for k in np.unique(latent):
        columns = latent == k
        cross[:, columns] = weighted[:, k].T @ x[:, columns]
    pulled = residual @ precision
    base_linear = np.einsum("ndq,nd->q", weighted, residual)
    projection = np.linalg.lstsq(base, np.column_stack([cross, base_linear]), rcond=1e-12)[0]
    gram = precision[np.ix_(latent, latent)] * (x.T @ x) - cross.T @ projection[:, :-1]
    return Program(
        gram=_separated(0.5 * (gram + gram.T)),
        linear=(x * pulled[:, latent]).sum(axis=0) - cross.T @ projection[:, -1],
        constant=float((pulled * residual).sum() - base_linear @ projection[:, -1]),
        units=tuple(tuple(np.flatnonzero(effects.unit == u).tolist()) for u in range(effects.n_units)),
        cost=penalty,
        rules=rules,
    )


def _separated(gram: np.ndarray) -> np.ndarray:
    """Rounding errors between parameters that do not interact would make one large program of small ones."""
    size = np.sqrt(np.maximum(np.diag(gram), 0.0))
    return np.where(np.abs(gram) > ROUNDING * np.outer(size, size), gram, 0.0)
