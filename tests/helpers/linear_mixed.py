"""Linear mixed models with candidate effects, simulated, with dense marginal likelihoods as the oracle.

y_i = H_i z_i + N(0, I),   z_i ~ N(offset_i + B_i gamma + X_i beta, Omega)
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from nlmevae.estimation.gaussian_likelihood import EffectDesign, GaussianLikelihood
from nlmevae.estimation.observed_selection import EffectSearch, obeys
from nlmevae.estimation.profile import LinearMixedModel, basis_of, profile_all
from nlmevae.selection.program import Program, Rules, Solution

FLOOR = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """h: N matrices (n_i, d); y: N vectors; offset (N, d); base (N, d, q); latent (C,); values (N, C); posteriors
    mean (N, d) and cov (N, d, d) at `offset` and `omega`; mask (d, d) of estimated elements."""

    h: list[np.ndarray]
    y: list[np.ndarray]
    offset: np.ndarray
    base: np.ndarray
    latent: np.ndarray
    values: np.ndarray
    omega: np.ndarray
    mask: np.ndarray
    mean: np.ndarray
    cov: np.ndarray

    @property
    def likelihood(self) -> GaussianLikelihood:
        ok = np.ones(len(self.y), dtype=bool)
        return GaussianLikelihood.of(self.mean, self.cov, self.offset, self.omega, ok)

    @property
    def design(self) -> EffectDesign:
        return EffectDesign.of(self.offset, self.base, self.latent, self.values)

    @property
    def model(self) -> LinearMixedModel:
        floor = np.full(len(self.omega), FLOOR)
        return LinearMixedModel.of(self.likelihood, self.design, basis_of(self.mask), floor)

    @property
    def columns(self) -> np.ndarray:
        """(N, d, q + C) all columns, dense."""
        n, d = self.offset.shape
        own = np.zeros((n, d, len(self.latent)))
        own[:, self.latent, np.arange(len(self.latent))] = self.values
        return np.concatenate([self.base, own], axis=2)

    def search(self, *, cost: float | None = None, rules: Rules | None = None, units=None) -> EffectSearch:
        units = units or tuple((c,) for c in range(len(self.latent)))
        each = np.log(len(self.y)) if cost is None else cost
        return EffectSearch(
            model=self.model,
            units=units,
            cost=np.array([each * len(unit) for unit in units]),
            rules=rules or Rules(),
        )

    def minus_two_ll(self, mu: np.ndarray, omega: np.ndarray) -> float:
        """Of y, with dense covariance matrices, without the constant of 2 pi."""
        total = 0.0
        for h, y, m in zip(self.h, self.y, mu, strict=True):
            covariance = h @ omega @ h.T + np.eye(len(y))
            residual = y - h @ m
            total += np.linalg.slogdet(covariance)[1] + residual @ np.linalg.solve(covariance, residual)
        return float(total)

    def dense_optimum(self, columns: np.ndarray) -> float:
        """-2LL on a support (C,) bool by a general optimiser over gamma, beta and the Cholesky factor of Omega."""
        d, q = len(self.omega), self.base.shape[2]
        design = self.columns[:, :, np.r_[np.arange(q), q + np.flatnonzero(columns)]]
        free = [(i, j) for i in range(d) for j in range(i + 1) if self.mask[i, j]]

        def value(x: np.ndarray) -> float:
            factor = np.linalg.cholesky(np.where(self.mask, np.eye(d), self.omega))
            for (i, j), v in zip(free, x[design.shape[2] :], strict=True):
                factor[i, j] = v
            omega = np.where(self.mask, factor @ factor.T, self.omega)
            return self.minus_two_ll(self.offset + design @ x[: design.shape[2]], omega)

        root = np.linalg.cholesky(self.omega)
        start = np.r_[np.zeros(design.shape[2]), [root[i, j] for i, j in free]]
        return float(minimize(value, start, method="BFGS", options={"gtol": 1e-6}).fun)


def simulate(
    *,
    n_subjects: int = 30,
    d: int = 2,
    n_columns: int = 5,
    seed: int = 0,
    block: bool = False,
    fixed: tuple[int, ...] = (),
    information: float = 3.0,
    effect: float = 0.5,
    n_obs: int | None = None,
    true_variance: float = 0.12,
) -> Study:
    """`information`: of an observation about a latent, in units of the prior's; `fixed` latents have a known
    variance; `n_obs` per subject (default 0 to 2 d)."""
    rng = np.random.default_rng(seed)
    true = np.diag(true_variance * rng.uniform(0.5, 1.5, d))
    omega = np.diag(np.full(d, 0.15))
    if block:
        true[0, 1] = true[1, 0] = 0.5 * np.sqrt(true[0, 0] * true[1, 1])
        omega[0, 1] = omega[1, 0] = 0.01
    mask = (omega != 0) & ~np.isin(np.arange(d), fixed)[:, None]
    latent = rng.integers(0, d, n_columns)
    values = rng.normal(size=(n_subjects, n_columns))
    beta = np.where(np.arange(n_columns) < 2, effect * np.sqrt(np.diag(true))[latent], 0.0)
    mu = np.ones((n_subjects, d))
    np.add.at(mu.T, latent, (beta * values).T)
    z = mu + rng.multivariate_normal(np.zeros(d), true, n_subjects)
    counts = rng.integers(0, 2 * d + 1, n_subjects) if n_obs is None else np.full(n_subjects, n_obs)
    h = [rng.normal(size=(c, d)) * np.sqrt(information / 0.15 / d) for c in counts]
    y = [h[i] @ z[i] + rng.normal(size=counts[i]) for i in range(n_subjects)]
    offset = np.full((n_subjects, d), 0.9)
    precision = np.linalg.inv(omega)
    cov = np.array([np.linalg.inv(a.T @ a + precision) for a in h])
    natural = np.array([a.T @ b for a, b in zip(h, y, strict=True)]) + offset @ precision
    return Study(
        h=h,
        y=y,
        offset=offset,
        base=np.broadcast_to(np.eye(d), (n_subjects, d, d)).copy(),
        latent=latent,
        values=values,
        omega=omega,
        mask=mask,
        mean=(cov @ natural[:, :, None])[:, :, 0],
        cov=cov,
    )


def all_supports(search: EffectSearch) -> list[np.ndarray]:
    """Every support the rules allow."""
    every = (np.array(s) for s in itertools.product([False, True], repeat=search.n_units))
    return [s for s in every if obeys(search.rules, s)]


def enumerated(search: EffectSearch, omega: np.ndarray) -> dict[bytes, float]:
    """Support -> its exact profile criterion, the better of two starts."""
    supports = all_supports(search)
    columns = [search.columns(s) for s in supports]
    found = []
    for factor in (1.0, 0.1):
        start = np.repeat(factor * omega[None], len(supports), axis=0)
        found.append([p.minus_two_ll for p in profile_all(search.model, columns, start)])
    cost = [search.cost[s].sum() for s in supports]
    values = np.min(found, axis=0) + cost
    return {s.tobytes(): float(v) for s, v in zip(supports, values, strict=True)}


def brute_force(program: Program, *, warm: np.ndarray | None = None) -> Solution:
    """The integer program by trying every support."""
    best, best_value, best_beta = None, np.inf, None
    for support in itertools.product([False, True], repeat=program.n_units):
        if not obeys(program.rules, np.array(support)):
            continue
        columns = [j for u in np.flatnonzero(support) for j in program.units[u]]
        beta = np.zeros(program.n_columns)
        beta[columns] = np.linalg.lstsq(program.gram[np.ix_(columns, columns)], program.linear[columns], rcond=None)[0]
        value = beta @ program.gram @ beta - 2 * program.linear @ beta + program.constant
        value += program.cost[np.array(support)].sum()
        if value < best_value:
            best, best_value, best_beta = np.array(support), value, beta
    return Solution(
        support=best,
        beta=best_beta,
        objective=float(best_value),
        bound=float(best_value),
        certified=True,
        solver="brute",
        nodes=0,
        seconds=0.0,
    )
