"""The covariate step of the M step (equation 13) for a fixed design: mu_i = z_pop + sum_c beta_c x_ic + residual.

Column c belongs to one parameter; the same covariate is one column per parameter it may act on. Centring, Gram matrix,
tables and splits are made once, so a step costs the same for any number of subjects. Where Omega is diagonal every
parameter is a program of its own, whose Gram matrix is a multiple of the columns' covariance: only the linear term and
the charge's size omega_k change between steps, and parameters with the same candidates share their engine. Parameters
with correlated random effects, or with rules between them, are one program with Gram matrix W kron X'X, W = Omega^-1.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from nlmevae.errors import SettingsError
from nlmevae.selection.program import Budget, Program, Rules, Solution
from nlmevae.selection.solve import Prepared, Solver
from nlmevae.selection.table_step import TableStep

#: A column whose variance is below this share of its mean square is constant.
_CONSTANT = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """All that a step needs of the target mu (N, d): cross (C, d) = mean of (x - mean x)(mu - mean mu)';
    covariance (d, d) with divisor N; mean (d,)."""

    cross: np.ndarray
    covariance: np.ndarray
    mean: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A set of parameters solved as one program: its units, and the solution in units of -2 log-likelihood."""

    parameters: tuple[int, ...]
    units: tuple[int, ...]
    solution: Solution


@dataclass(frozen=True, slots=True, kw_only=True)
class MStep:
    """intercept (d,) = z_pop; beta (d, C), exact zeros where a column is out or belongs to another parameter;
    support (n_units,) bool; residual (d, d): mean of the squared residuals of mu; objective and bound: sum of
    squares by Omega^-1 plus all charges."""

    intercept: np.ndarray
    beta: np.ndarray
    support: np.ndarray
    residual: np.ndarray
    objective: float
    bound: float
    certified: bool
    parts: tuple[Part, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SubProgram:
    """The candidates of some parameters, with unit numbers and columns of the design."""

    parameters: tuple[int, ...]
    units: tuple[int, ...]
    columns: np.ndarray
    prepared: Prepared


class CovariateDesign:
    """Columns, units, charges and rules, prepared once.

    Attributes:
        mean (C,): of the columns; covariance (C, C) with divisor N, zero rows for constant columns.
        constant: numbers of the constant columns, which are never used.
    """

    def __init__(
        self, mean: np.ndarray, covariance: np.ndarray, n_subjects: int, parameter: np.ndarray, n_parameters: int,
        units: tuple[tuple[int, ...], ...], cost: np.ndarray, rules: Rules,
    ) -> None:  # fmt: skip
        self.mean = mean
        self.covariance = covariance
        self.n_subjects = n_subjects
        self.parameter = parameter
        self.n_parameters = n_parameters
        self.units = units
        self.cost = cost
        self.rules = rules
        self.constant = tuple(np.flatnonzero(np.diag(covariance) == 0).tolist())
        self._unit_parameter = np.array([parameter[list(u)].max(initial=0) for u in units], dtype=int)
        self._linked = self._parameters_linked_by_rules()
        self._solver = Solver()
        self._alone: dict[int, SubProgram] = {}
        self._shared: dict[tuple[int, ...], tuple[list[tuple], list[int]]] = {}

    @classmethod
    def of(
        cls,
        columns: np.ndarray,
        *,
        parameter: np.ndarray,
        units: tuple[tuple[int, ...], ...],
        cost: np.ndarray,
        rules: Rules | None = None,
        n_parameters: int | None = None,
    ) -> CovariateDesign:
        """From the regressors of N subjects.

        Args:
            columns: (N, C) float64, one column per coefficient.
            parameter: (C,) number of the parameter each column acts on.
            units: columns that enter together, a partition of range(C), each within one parameter.
            cost: (n_units,) charges, units of -2 log-likelihood.

        Raises:
            SettingsError: missing or infinite values, units across parameters, wrong shapes.
        """
        columns = np.asarray(columns, dtype=np.float64)
        parameter = np.asarray(parameter, dtype=int)
        _check(columns, parameter, units, cost)
        mean = columns.mean(axis=0)
        centred = columns - mean
        varying = (centred**2).mean(axis=0) > _CONSTANT * (columns**2).mean(axis=0)
        centred[:, ~varying] = 0.0
        design = cls(
            mean, centred.T @ centred / len(columns), len(columns), parameter,
            int(n_parameters if n_parameters is not None else parameter.max(initial=-1) + 1),
            tuple(tuple(int(c) for c in u) for u in units), np.asarray(cost, dtype=np.float64), rules or Rules(),
        )  # fmt: skip
        design._distinct, design._which = _distinct_columns(centred)
        return design

    @property
    def separable(self) -> bool:
        """No rule ties parameters together."""
        return int(self._linked.sum()) == self.n_parameters

    def moments(self, target: np.ndarray) -> Moments:
        """Reduce mu (N, d): the only work that grows with N."""
        target = np.asarray(target, dtype=np.float64)
        mean = target.mean(axis=0)
        centred = target - mean
        return Moments(
            cross=(self._distinct.T @ centred / len(target))[self._which],
            covariance=centred.T @ centred / len(target),
            mean=mean,
        )

    def m_step(
        self,
        target: np.ndarray | Moments,
        omega: np.ndarray,
        *,
        penalty_factor: float = 1.0,
        warm: np.ndarray | None = None,
        budget: Budget | None = None,
    ) -> MStep:
        """minimise sum_i (mu_i - z_pop - beta x_i)' Omega^-1 (...) + penalty_factor * sum of charges.

        Args:
            target: mu (N, d), or its moments.
            omega: (d, d) positive definite.
            warm: (n_units,) bool, the previous support.

        Raises:
            SettingsError: Omega is not positive definite.
        """
        began = time.perf_counter()
        moments = target if isinstance(target, Moments) else self.moments(target)
        omega = np.asarray(omega, dtype=np.float64)
        parts: list[Part] = []
        coefficient = np.zeros(len(self.parameter))
        singles, joint = self._groups(omega)
        self._solve_singles(singles, moments, omega, penalty_factor, warm, budget, parts, coefficient)
        for parameters in joint:
            self._solve_joint(parameters, moments, omega, penalty_factor, warm, budget, parts, coefficient)
        return self._assemble(moments, parts, coefficient, began)

    def alone(self, k: int) -> SubProgram:
        """The program of one parameter, per subject and unit variance: gram = covariance of its columns."""
        if k not in self._alone:
            self._alone[k] = self._sub_program((k,), self.covariance)
        return self._alone[k]

    def _groups(self, omega: np.ndarray) -> tuple[list[int], list[tuple[int, ...]]]:
        """Parameters on their own, and sets of parameters coupled by Omega or by rules."""
        variance = np.diag(omega)
        if not (variance > 0).all():
            raise SettingsError("Omega is not positive definite.", hint="Keep variances away from zero.")
        touch = (omega != 0) | self._linked
        if touch.sum() == len(omega):
            return list(range(self.n_parameters)), []
        groups, left = [], set(range(self.n_parameters))
        while left:
            group, new = set(), {min(left)}
            while new:
                group |= new
                new = {int(j) for i in new for j in np.flatnonzero(touch[i])} - group
            left -= group
            groups.append(tuple(sorted(group)))
        return [g[0] for g in groups if len(g) == 1], [g for g in groups if len(g) > 1]

    def _solve_singles(
        self, singles: list[int], moments: Moments, omega: np.ndarray, penalty_factor: float,
        warm: np.ndarray | None, budget: Budget | None, parts: list[Part], coefficient: np.ndarray,
    ) -> None:  # fmt: skip
        """Per parameter: (N / omega_k) times the program with charges omega_k / N."""
        factor = self.n_subjects / np.diag(omega)
        tables, others = self._by_engine(tuple(singles))
        found: dict[int, Solution] = {}
        for step, members, columns, units in tables:
            solutions = step.solve(
                moments.cross[columns, members[:, None]],
                moments.covariance[members, members],
                penalty_factor / factor[members],
                None if warm is None else warm[units],
                factor[members],
            )
            found.update(zip(members.tolist(), solutions, strict=True))
        for k in others:
            own = self.alone(k)
            solution = own.prepared.solve(
                linear=moments.cross[own.columns, k],
                constant=moments.covariance[k, k],
                cost_factor=penalty_factor / factor[k],
                warm=None if warm is None else warm[list(own.units)],
                budget=budget,
            )
            found[k] = _scaled(solution, factor[k])
        for k in singles:
            own = self.alone(k)
            coefficient[own.columns] = found[k].beta
            parts.append(Part(parameters=own.parameters, units=own.units, solution=found[k]))

    def _by_engine(self, singles: tuple[int, ...]) -> tuple[list[tuple], list[int]]:
        """Parameters that share a table: (step, parameters, their columns, their units); and the others."""
        if singles not in self._shared:
            tables: dict[int, tuple[TableStep, list[int]]] = {}
            others = []
            for k in singles:
                step = TableStep.of(self.alone(k).prepared)
                if step is None:
                    others.append(k)
                else:
                    tables.setdefault(id(step.table), (step, []))[1].append(k)
            grouped = [
                (step, np.array(ks), np.array([self.alone(k).columns for k in ks]),
                 np.array([self.alone(k).units for k in ks]))
                for step, ks in tables.values()
            ]  # fmt: skip
            self._shared[singles] = grouped, others
        return self._shared[singles]

    def _solve_joint(
        self, parameters: tuple[int, ...], moments: Moments, omega: np.ndarray, penalty_factor: float,
        warm: np.ndarray | None, budget: Budget | None, parts: list[Part], coefficient: np.ndarray,
    ) -> None:  # fmt: skip
        own = list(parameters)
        block = omega[np.ix_(own, own)]
        try:
            np.linalg.cholesky(block)
        except np.linalg.LinAlgError:
            raise SettingsError("Omega is not positive definite.", hint="Keep correlations within (-1, 1).") from None
        weight = np.zeros_like(omega)
        weight[np.ix_(own, own)] = self.n_subjects * np.linalg.inv(block)
        units, columns = self._members(parameters)
        where = self.parameter[columns]
        pulled = moments.cross[columns] @ weight
        program = Program(
            gram=weight[np.ix_(where, where)] * self.covariance[np.ix_(columns, columns)],
            linear=pulled[np.arange(len(columns)), where],
            units=self._renumbered(units, columns),
            cost=penalty_factor * self.cost[list(units)],
            constant=float((weight * moments.covariance).sum()),
            rules=_sub_rules(self.rules, units),
        )
        solution = self._solver.solve(program, warm=None if warm is None else warm[list(units)], budget=budget)
        coefficient[columns] = solution.beta
        parts.append(Part(parameters=parameters, units=units, solution=solution))

    def _assemble(self, moments: Moments, parts: list[Part], coefficient: np.ndarray, began: float) -> MStep:
        beta = np.zeros((self.n_parameters, len(coefficient)))
        beta[self.parameter, np.arange(len(coefficient))] = coefficient
        support = np.zeros(len(self.units), dtype=bool)
        for part in parts:
            support[list(part.units)] = part.solution.support
        used = np.flatnonzero(coefficient)
        explained = beta[:, used] @ moments.cross[used]
        residual = moments.covariance - explained - explained.T
        residual += beta[:, used] @ self.covariance[np.ix_(used, used)] @ beta[:, used].T
        return MStep(
            intercept=moments.mean - beta[:, used] @ self.mean[used],
            beta=beta,
            support=support,
            residual=residual,
            objective=sum(p.solution.objective for p in parts),
            bound=sum(p.solution.bound for p in parts),
            certified=all(p.solution.certified for p in parts),
            parts=tuple(parts),
            seconds=time.perf_counter() - began,
        )

    def _sub_program(self, parameters: tuple[int, ...], covariance: np.ndarray) -> SubProgram:
        units, columns = self._members(parameters)
        program = Program(
            gram=covariance[np.ix_(columns, columns)],
            linear=np.zeros(len(columns)),
            units=self._renumbered(units, columns),
            cost=self.cost[list(units)],
            rules=_sub_rules(self.rules, units),
        )
        return SubProgram(parameters=parameters, units=units, columns=columns,
                          prepared=Prepared(program, engines=self._solver.engines))  # fmt: skip

    def _members(self, parameters: tuple[int, ...]) -> tuple[tuple[int, ...], np.ndarray]:
        units = tuple(int(u) for u in np.flatnonzero(np.isin(self._unit_parameter, parameters)))
        return units, np.array([c for u in units for c in self.units[u]], dtype=int)

    def _renumbered(self, units: tuple[int, ...], columns: np.ndarray) -> tuple[tuple[int, ...], ...]:
        position = {int(c): i for i, c in enumerate(columns)}
        return tuple(tuple(position[c] for c in self.units[u]) for u in units)

    def _parameters_linked_by_rules(self) -> np.ndarray:
        """(d, d) bool: do rules tie these parameters together?"""
        linked = np.eye(self.n_parameters, dtype=bool)
        if self.rules.at_most is not None:
            linked[:] = True
        for group in (*self.rules.exclusive, *self.rules.requires):
            owners = np.unique(self._unit_parameter[list(group)])
            linked[np.ix_(owners, owners)] = True
        return linked


def _scaled(solution: Solution, factor: float) -> Solution:
    return Solution(
        support=solution.support, beta=solution.beta, objective=factor * solution.objective,
        bound=factor * solution.bound, certified=solution.certified, solver=solution.solver, nodes=solution.nodes,
        seconds=solution.seconds, runner_up=factor * solution.runner_up,
    )  # fmt: skip


def _check(
    columns: np.ndarray, parameter: np.ndarray, units: tuple[tuple[int, ...], ...], cost: np.ndarray
) -> None:  # fmt: skip
    if not np.isfinite(columns).all():
        raise SettingsError(
            "Covariate columns contain missing or infinite values.",
            hint="Impute or leave out missing covariates before the search.",
        )
    if sorted(c for unit in units for c in unit) != list(range(columns.shape[1])) or len(cost) != len(units):
        raise SettingsError("The units do not partition the covariate columns.", hint="Name every column in one unit.")
    if len(parameter) != columns.shape[1] or any(len({int(parameter[c]) for c in u}) > 1 for u in units):
        raise SettingsError(
            "An effect's columns belong to several parameters.", hint="Make one effect for each parameter."
        )


def _sub_rules(rules: Rules, units: tuple[int, ...]) -> Rules:
    """Rules among these units, renumbered."""
    position = {u: i for i, u in enumerate(units)}
    return Rules(
        forced=tuple(position[u] for u in rules.forced if u in position),
        banned=tuple(position[u] for u in rules.banned if u in position),
        exclusive=tuple(g for g in (tuple(position[u] for u in g if u in position) for g in rules.exclusive) if g),
        requires=tuple((position[a], position[b]) for a, b in rules.requires if a in position and b in position),
        at_most=rules.at_most,
    )


def _distinct_columns(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The columns that differ, and for each column which of them it is."""
    seen: dict[bytes, int] = {}
    which = np.array([seen.setdefault(column.tobytes(), len(seen)) for column in centred.T.copy()], dtype=int)
    first = [int(np.argmax(which == i)) for i in range(len(seen))]
    return np.ascontiguousarray(centred[:, first]), which
