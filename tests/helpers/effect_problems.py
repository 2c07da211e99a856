"""Linear mixed models with candidate effects on their latents, and the exact criterion of every support.

y_ij = A_i + B_i t_ij + noise,   (A_i, B_i) ~ N(mean + beta c_i, Omega)
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize

from nlmevae.estimation.effects import Effects
from nlmevae.estimation.problem import Problem
from nlmevae.ir import Candidate, CandidateColumn, SearchSpace
from tests.helpers.linear_gaussian import random_intercept_and_slope


def effects_of(
    problem: Problem,
    values: np.ndarray,
    *,
    units: Sequence[tuple[str, tuple[int, ...]]] | None = None,
    forced: Sequence[int] = (),
    exclusive: tuple[tuple[int, ...], ...] = (),
) -> Effects:
    """Candidates with regressors from `values` (N, n_covariates).

    units: of each candidate its latent and its columns of `values`; by default every latent with every column.
    """
    latents = [latent.name for latent in problem.form.latents]
    if units is None:
        units = [(name, (j,)) for name in latents for j in range(values.shape[1])]
    candidates, columns, latent, unit = [], [], [], []
    for u, (name, used) in enumerate(units):
        label = f"{name}~" + "".join(f"X{j}" for j in used)
        names = [f"{name}_X{j}" if len(used) == 1 else f"{name}_GROUP{u}_{j}" for j in used]
        own = tuple(CandidateColumn(name=n, shape="linear", centre=0.0) for n in names)
        candidates.append(
            Candidate(
                name=label, parameter=name, covariate=label[2:], form="linear", columns=own, forced=u in tuple(forced)
            )
        )
        columns += [values[:, j] for j in used]
        latent += [latents.index(name)] * len(used)
        unit += [u] * len(used)
    return Effects(
        space=SearchSpace(candidates=tuple(candidates), exclusive=exclusive),
        values=np.column_stack(columns),
        latent=np.array(latent),
        unit=np.array(unit),
        theta=len(problem.model.thetas) + np.arange(len(columns)),
        names=tuple(column.name for candidate in candidates for column in candidate.columns),
    )


def intercept_and_slope_search(
    seed: int, *, n_subjects: int = 30, n_covariates: int = 3, strength: float = 0.35, block: bool = False, **options
) -> Problem:
    """Every covariate is a candidate on A and B; the first acts on A, the second on B. More options:
    `effects_of`, `fixed_omegas` and the others of `random_intercept_and_slope`."""
    own = {name: options.pop(name) for name in ("units", "forced", "exclusive") if name in options}
    problem = random_intercept_and_slope(n_subjects=n_subjects, seed=seed, block=block, **options)
    values = np.random.default_rng([seed, 1]).normal(size=(n_subjects, n_covariates))
    values -= values.mean(axis=0)
    table = problem.table
    subject = np.repeat(np.arange(n_subjects), np.diff(table.ob_ptr))
    shift = strength * (values[subject, 0] + table.ob_time * values[subject, 1])
    problem = replace(problem, table=replace(table, ob_value=table.ob_value + shift))
    return problem.searching(effects_of(problem, values, **own))


def all_supports(n_units: int) -> list[np.ndarray]:
    """(n_units,) bool each."""
    return [np.array(s) for s in itertools.product([False, True], repeat=n_units)]


class ExactSearch:
    """-2LL of `intercept_and_slope_search` problems, maximised over everything, for any support.

    Means and effects in closed form (generalised least squares) inside a general optimiser over the standard
    deviations (and the correlation of a block); nothing is shared with the estimator but the data.
    """

    def __init__(self, problem: Problem, *, block: bool = False) -> None:
        self.problem, self.block = problem, block
        self._known: dict[bytes, float] = {}
        self._start: np.ndarray | None = None
        ptr, n = problem.table.ob_ptr, problem.n_subjects
        most = int(np.diff(ptr).max())
        self.times, self.y, self.seen = np.zeros((n, most)), np.zeros((n, most)), np.zeros((n, most), dtype=bool)
        for i in range(n):
            rows, count = slice(ptr[i], ptr[i + 1]), ptr[i + 1] - ptr[i]
            self.times[i, :count] = problem.table.ob_time[rows]
            self.y[i, :count] = problem.table.ob_value[rows]
            self.seen[i, :count] = True
        # absent observations: no columns, variance 1, residual 0
        self.h = np.stack([np.ones_like(self.times), self.times], axis=2) * self.seen[:, :, None]
        own = self.h[:, :, :1] * problem.table.cov[:, None, :]  # `covariate=True`: X on A is in the model
        self.fixed = np.concatenate([self.h, own], axis=2)

    def minus_two_ll(self, support: np.ndarray) -> float:
        key = support.tobytes()
        if key not in self._known:
            self._known[key] = self._maximised(support)
        return self._known[key]

    def criterion(self, support: np.ndarray, penalty: np.ndarray) -> float:
        return self.minus_two_ll(support) + float(penalty[support].sum())

    def _maximised(self, support: np.ndarray) -> float:
        effects = self.problem.effects
        used = support[effects.unit]
        own = effects.values[:, None, used] * self.h[:, :, effects.latent[used]]
        design = np.concatenate([self.fixed, own], axis=2)
        start = np.log([0.7, 0.5, 0.3])
        start = np.append(start, 0.3) if self.block else start

        def value(x: np.ndarray) -> float:
            return self._profile(design, x)

        found = minimize(value, start if self._start is None else self._start, method="BFGS", options={"gtol": 1e-4})
        self._start = found.x
        return float(found.fun)

    def _profile(self, design: np.ndarray, x: np.ndarray) -> float:
        sd, a = np.exp(x[:2]), np.exp(x[2])
        correlation = np.tanh(x[3]) if self.block else 0.0
        omega = np.outer(sd, sd) * np.array([[1.0, correlation], [correlation, 1.0]])
        diagonal = np.where(self.seen, a**2, 1.0)[:, :, None] * np.eye(self.y.shape[1])
        covariance = self.h @ omega @ np.swapaxes(self.h, 1, 2) + diagonal
        root = np.linalg.cholesky(covariance)
        white = np.linalg.solve(root, np.concatenate([design, self.y[:, :, None]], axis=2))
        white = white.reshape(-1, white.shape[2])
        residual = white[:, -1] - white[:, :-1] @ np.linalg.lstsq(white[:, :-1], white[:, -1], rcond=None)[0]
        log_det = 2.0 * np.log(np.diagonal(root, axis1=1, axis2=2)).sum()
        return float(residual @ residual + log_det + self.seen.sum() * np.log(2 * np.pi))
