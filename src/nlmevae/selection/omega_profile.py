"""The joint (beta, Omega) step for a diagonal Omega: no fixed point of alternating steps, the optimum itself.

With omega_k at its best the objective of parameter k is

    N log(r_S + t_k) + N + charges(S),      r_S = mean squared residual on support S, t_k = mean posterior variance,

concave in (r, charges): its minimum is a vertex of the lower convex hull of {(charges_S, r_S)}, and every vertex is
the solution of the ordinary step at some omega. With a table the minimum is read off; otherwise vertices are found by
dichotomic search, and an interval is left when the objective at the corner of its supporting lines, a lower bound by
concavity, is no better than the best vertex.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from nlmevae.errors import SettingsError
from nlmevae.selection.design import CovariateDesign, Moments, SubProgram
from nlmevae.selection.normal_form import refit
from nlmevae.selection.program import Budget
from nlmevae.selection.table_step import TableStep


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfiledStep:
    """intercept (d,), beta (d, C), support (n_units,) as in an M step; omega (d,) variances; objective: sum over
    parameters of N log omega + N + charges; n_solves: exact solves it took."""

    intercept: np.ndarray
    beta: np.ndarray
    support: np.ndarray
    omega: np.ndarray
    objective: float
    certified: bool
    n_solves: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vertex:
    """support, its charges and mean squared residual, the omega it was optimal at."""

    support: np.ndarray
    cost: float
    residual: float
    omega: float
    certified: bool


def profiled_step(
    design: CovariateDesign,
    target: np.ndarray | Moments,
    *,
    posterior_variance: np.ndarray,
    floor: float | np.ndarray = 0.0,
    penalty_factor: float = 1.0,
    warm: np.ndarray | None = None,
    budget: Budget | None = None,
) -> ProfiledStep:
    """minimise over z_pop, beta and omega (d,) together.

    Args:
        target: posterior means mu (N, d), or their moments.
        posterior_variance: (d,) t_k, mean over subjects.
        floor: smallest variance, (d,) or one for all; with t_k = 0 it keeps the objective finite.

    Raises:
        SettingsError: rules tie parameters together.
    """
    began = time.perf_counter()
    if not design.separable:
        raise SettingsError(
            "Rules tie covariates of several parameters together: variances cannot be profiled one by one.",
            hint="Use the step at a fixed Omega.",
        )
    moments = target if isinstance(target, Moments) else design.moments(target)
    floor = np.broadcast_to(np.asarray(floor, dtype=np.float64), (design.n_parameters,))
    beta = np.zeros((design.n_parameters, len(design.parameter)))
    support = np.zeros(len(design.units), dtype=bool)
    omega = np.zeros(design.n_parameters)
    total, certified, n_solves = 0.0, True, 0
    for k in range(design.n_parameters):
        search = _Search(
            own=design.alone(k), n=design.n_subjects, linear=moments.cross[design.alone(k).columns, k],
            square=float(moments.covariance[k, k]), extra=float(posterior_variance[k]), floor=float(floor[k]),
            penalty_factor=penalty_factor, budget=budget,
        )  # fmt: skip
        best = search.best(None if warm is None else warm[list(search.own.units)])
        coefficients, _ = refit(search.own.prepared.program_with(search.linear, search.square), best.support)
        beta[k, search.own.columns] = coefficients
        support[list(search.own.units)] = best.support
        omega[k] = max(best.residual + search.extra, search.floor)
        total += search.value(best) + design.n_subjects
        certified, n_solves = certified and best.certified, n_solves + search.n_solves
    return ProfiledStep(
        intercept=moments.mean - beta @ design.mean, beta=beta, support=support, omega=omega, objective=total,
        certified=certified, n_solves=n_solves, seconds=time.perf_counter() - began,
    )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class _Search:
    """One parameter."""

    own: SubProgram
    n: int
    linear: np.ndarray
    square: float
    extra: float
    floor: float
    penalty_factor: float
    budget: Budget | None
    n_solves: int = 0

    def best(self, warm: np.ndarray | None) -> _Vertex:
        step = TableStep.of(self.own.prepared)
        return self._read_off(step) if step is not None else self._search_hull(warm)

    def value(self, vertex: _Vertex) -> float:
        return self._value(vertex.cost, vertex.residual)

    def _value(self, cost: float, residual: float) -> float:
        return self.n * float(np.log(max(residual + self.extra, self.floor, 1e-300))) + self.penalty_factor * cost

    def _read_off(self, step: TableStep) -> _Vertex:
        self.n_solves += 1
        residual = np.maximum(self.square - step.table.gains(self.linear[step.order] * step.scale), 0.0)
        cost = step.unit_cost * step.table.cost
        variance = np.maximum(np.maximum(residual + self.extra, self.floor), 1e-300)
        row = int(np.argmin(self.n * np.log(variance) + self.penalty_factor * cost))
        support = np.zeros(step.program.n_units, dtype=bool)
        support[step.units[step.table.units_of(row)]] = True
        return _Vertex(
            support=support, cost=float(cost[row]), residual=float(residual[row]), omega=float(variance[row]),
            certified=True,
        )  # fmt: skip

    def _search_hull(self, warm: np.ndarray | None) -> _Vertex:
        program = self.own.prepared.program_with(self.linear, self.square)
        always = self.own.prepared.reduction.always
        least_fit = refit(program, always)[1] - float(program.cost[always].sum())
        small = self._solve(least_fit + self.extra, warm)
        full = self.square - float(self.linear @ np.linalg.lstsq(program.gram, self.linear, rcond=1e-10)[0])
        large = self._solve(max(full + self.extra, self.floor, 1e-6 * small.omega), warm)
        best, open_intervals = min(small, large, key=self.value), [(small, large)]
        while open_intervals:
            small, large = open_intervals.pop()
            if large.cost <= small.cost or small.residual <= large.residual:
                continue
            if self._corner(small, large) >= self.value(best) - 1e-9:
                continue
            slope = (small.residual - large.residual) / (large.cost - small.cost)
            found = self._solve(slope * self.n / self.penalty_factor, small.support)
            best = min(best, found, key=self.value)
            below = small.residual + slope * small.cost - found.residual - slope * found.cost
            if below > 1e-9 * slope * (1.0 + abs(small.cost)):
                open_intervals += [(small, found), (found, large)]
        return best

    def _corner(self, small: _Vertex, large: _Vertex) -> float:
        """The objective where the supporting lines of two vertices meet."""
        a, b = (self.penalty_factor * v.omega / self.n for v in (small, large))  # slopes, a >= b
        if a - b <= 1e-12 * a:
            return -np.inf
        cost = (small.residual + a * small.cost - large.residual - b * large.cost) / (a - b)
        return self._value(cost, small.residual + a * (small.cost - cost))

    def _solve(self, omega: float, warm: np.ndarray | None) -> _Vertex:
        self.n_solves += 1
        factor = self.penalty_factor * omega / self.n
        found = self.own.prepared.solve(
            linear=self.linear, constant=self.square, cost_factor=factor, warm=warm, budget=self.budget
        )
        cost = float(self.own.prepared.program.cost[found.support].sum())
        return _Vertex(
            support=found.support, cost=cost, residual=max(found.objective - factor * cost, 0.0), omega=omega,
            certified=found.certified,
        )  # fmt: skip
