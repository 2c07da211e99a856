"""The exact selection step with a linear integer solver alone (HiGHS): outer approximation.

    minimise   sum_u cost_u z_u + rss        over z in {0, 1} under all rules, rss >= 0
    subject to rss >= level_k - sum_u z_u weight_k,u       one cut k per visited point (`perspective`)

Cuts are first collected over the branches of a small tree and at continuous masters; then each integer optimum of the
master is evaluated by least squares, cut off, and the master solved again until its bound meets the best support. A
support that comes back, which only the solver's tolerances can cause, is excluded: its exact objective is known. HiGHS
cannot solve mixed-integer quadratic programs itself.
"""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from nlmevae.selection.incumbent import incumbent
from nlmevae.selection.normal_form import NormalForm, normalise, refit
from nlmevae.selection.perspective import (
    Cut,
    Split,
    bound_of,
    cut_at,
    monotone_cut,
    point_of_support,
    point_of_weights,
    relax,
    split,
    strengthen,
)
from nlmevae.selection.program import Budget, Program, Rules, Solution

#: Agreement of bound and objective that counts as proof, in units of one effect's cost.
TOLERANCE = 1e-6
#: Cuts before the integer master: branches relaxed, with how many rounds each, and continuous masters.
_BRANCHES = 200
_BRANCH_ROUNDS = 12
_ROOT_ROUNDS = 30
#: HiGHS' feasibility tolerances; the bound is lowered by the first.
_ROW_TOLERANCE = 1e-9


@dataclass(slots=True)
class _Search:
    """The incumbent and the bound of a running search, both in unit costs."""

    support: np.ndarray
    objective: float
    value: float
    tolerance: float
    bound: float = -np.inf

    @property
    def proven(self) -> bool:
        return self.value - self.bound <= self.tolerance

    def raise_bound(self, bound: float) -> None:
        self.bound = min(max(self.bound, bound), self.value)


def solve_outer_approximation(
    program: Program,
    *,
    warm: np.ndarray | None = None,
    budget: Budget | None = None,
    tolerance: float = TOLERANCE,
) -> Solution:
    """Solve to proof or to the end of the budget (then `certified` is False and bound and gap say how far).

    Args:
        warm: (n_units,) bool, a support to start from; ignored where the rules forbid it.
        tolerance: largest gap that counts as proven, in units of one effect's cost.

    Raises:
        SettingsError: the rules contradict each other, or the program has no minimum.
    """
    start = time.perf_counter()
    budget = budget or Budget()
    form = normalise(program)
    support, objective = incumbent(program, warm)
    search = _Search(support=support, objective=objective, value=form.value(objective), tolerance=tolerance)
    nodes = 0
    if len(form.columns):
        master = _Master(form, program.rules, shift=search.value)
        parts = split(form, program.rules.exclusive)
        deadline = start + budget.seconds
        _collect_root_cuts(master, parts, search, deadline)
        if not search.proven:
            nodes = _integer_rounds(master, parts, search, program, deadline, budget.nodes)
    else:
        search.raise_bound(search.value)
    beta, objective = refit(program, search.support)
    return Solution(
        support=search.support,
        beta=beta,
        objective=objective,
        bound=min(form.objective(search.bound), objective),
        certified=search.proven,
        solver="highs",
        nodes=nodes,
        seconds=time.perf_counter() - start,
    )


def _collect_root_cuts(master: _Master, parts: Split, search: _Search, deadline: float) -> None:
    _branch(master, parts, search, deadline)
    master.add(cut_at(parts, point_of_support(parts, search.support)))
    before = -np.inf
    for _ in range(_ROOT_ROUNDS):
        answer = master.solve(deadline - time.perf_counter(), nodes=None)
        if answer is None:
            return
        search.raise_bound(answer.bound)
        if search.proven or answer.bound - before < 1e-3 * max(search.value - answer.bound, 1.0):
            return
        before = answer.bound
        master.add(cut_at(parts, point_of_weights(parts, answer.z)))


def _branch(master: _Master, parts: Split, search: _Search, deadline: float) -> None:
    """The cuts of a best-first branching on the units' relaxations. No branch is closed by it: the master, which
    knows the rules, proves."""
    branches = [(-np.inf, 0, master.state)]
    for visited in range(_BRANCHES):
        if not branches or branches[0][0] > search.value or time.perf_counter() > deadline:
            return
        _, _, state = heapq.heappop(branches)
        z, b = relax(parts, state, rounds=_BRANCH_ROUNDS)
        cut = cut_at(parts, b)
        master.add(cut)
        bound = bound_of(parts, cut, state)
        free = np.flatnonzero(state < 0)
        if bound > search.value - search.tolerance or not len(free):
            continue
        unit = free[np.argmin(np.abs(z[free] - 0.5))]
        for number, value in enumerate((0, 1)):
            child = state.copy()
            child[unit] = value
            heapq.heappush(branches, (bound, 2 * visited + number + 1, child))


def _integer_rounds(
    master: _Master, parts: Split, search: _Search, program: Program, deadline: float, nodes: int
) -> int:
    """Master, evaluate, cut, until proven or out of budget. Returns the nodes used."""
    seen: set[bytes] = set()
    used = 0
    master.make_integer()
    while not search.proven and used < nodes:
        answer = master.solve(deadline - time.perf_counter(), nodes=nodes - used)
        if answer is None:
            return used
        used += answer.nodes
        search.raise_bound(answer.bound)
        if answer.z is None or search.proven:
            return used
        support = answer.z > 0.5
        if support.tobytes() in seen:
            master.exclude(support)
            continue
        seen.add(support.tobytes())
        objective = refit(program, support)[1]
        value = parts.form.value(objective)
        _cut_off(master, parts, support, value - float(parts.form.cost[support].sum()), search.value)
        if value < search.value:
            search.support, search.objective, search.value = support, objective, value
    return used


def _cut_off(master: _Master, parts: Split, support: np.ndarray, rss: float, upper: float) -> None:
    """The perspective cut of a support, and where free columns leave it loose the monotone one of the largest
    superset that still cannot beat `upper`."""
    bbar = point_of_support(parts, support)
    master.add(cut_at(parts, bbar))
    tight = parts.total - float(parts.linear @ bbar)
    if rss - tight <= 1e-9 * max(1.0, rss):
        return
    paid = float(parts.form.cost[support].sum())
    largest, level = support.copy(), rss
    for u in np.flatnonzero(~support):
        trial = largest.copy()
        trial[u] = True
        fitted = _rss(parts, trial)
        if fitted + paid >= upper:
            largest, level = trial, fitted
    master.add(monotone_cut(level, largest))


def _rss(parts: Split, support: np.ndarray) -> float:
    columns = [j for u in np.flatnonzero(support) for j in parts.form.units[u]]
    factor, target = parts.form.factor[:, columns], parts.form.target
    residual = target - factor @ np.linalg.lstsq(factor, target, rcond=1e-10)[0]
    return float(residual @ residual)


@dataclass(frozen=True, slots=True)
class _Answer:
    """bound of the master in unit costs; z (n_units,), None if the master has no solution left; nodes."""

    bound: float
    z: np.ndarray | None
    nodes: int


class _Master:
    """The linear master in HiGHS: one column per unit and one for rss. `shift` is taken off the objective, so
    that tolerances act on the distance to the incumbent."""

    def __init__(self, form: NormalForm, rules: Rules, *, shift: float) -> None:
        import highspy

        self._n = len(form.units)
        self._shift = shift
        self._forced = np.zeros(self._n, dtype=bool)
        self._forced[list(rules.forced)] = True
        self.state = np.where(self._forced, 1, -1)
        self.state[list(rules.banned)] = 0
        with _silent():  # a new solver announces itself on standard output before it can be told not to
            self._highs = highspy.Highs()
        self._integer = highspy.HighsVarType.kInteger
        self._statuses = highspy.HighsModelStatus
        for name, value in {
            "output_flag": False,
            "mip_rel_gap": 0.0,
            "mip_abs_gap": 1e-7,
            "primal_feasibility_tolerance": _ROW_TOLERANCE,
            "dual_feasibility_tolerance": _ROW_TOLERANCE,
            "mip_feasibility_tolerance": _ROW_TOLERANCE,
            "random_seed": 0,
            "parallel": "off",
            # the master is small and solved often: what heuristics and symmetry find does not pay for their time
            "mip_detect_symmetry": False,
            "mip_heuristic_effort": 0.0,
            "mip_heuristic_run_feasibility_jump": False,
            "mip_heuristic_run_rins": False,
            "mip_heuristic_run_rens": False,
            "mip_heuristic_run_root_reduced_cost": False,
        }.items():
            self._highs.setOptionValue(name, value)
        for u in range(self._n):
            self._highs.addVar(float(self._forced[u]), 0.0 if u in rules.banned else 1.0)
            self._highs.changeColCost(u, float(form.cost[u]))
        self._highs.addVar(0.0, highspy.kHighsInf)
        self._highs.changeColCost(self._n, 1.0)
        self._highs.changeObjectiveOffset(-shift)
        self._add_rules(rules)

    def _add_rules(self, rules: Rules) -> None:
        for group in rules.exclusive:
            members = sorted(set(group))
            self._row(-np.inf, 1.0, members, [1.0] * len(members))
        for a, b in rules.requires:
            self._row(-np.inf, 0.0, [a, b], [1.0, -1.0])
        if rules.at_most is not None:
            self._row(-np.inf, float(rules.at_most), list(range(self._n)), [1.0] * self._n)

    def add(self, cut: Cut) -> None:
        cut = strengthen(cut, self._forced)
        if cut.level <= 0:
            return
        used = np.flatnonzero(cut.weight > 1e-12 * max(1.0, cut.level))
        dropped = float(cut.weight.sum() - cut.weight[used].sum())
        self._row(cut.level - dropped, np.inf, [*used, self._n], [*cut.weight[used], 1.0])

    def exclude(self, support: np.ndarray) -> None:
        """No longer this support: at least one unit differs."""
        self._row(1.0 - support.sum(), np.inf, list(range(self._n)), list(np.where(support, -1.0, 1.0)))

    def make_integer(self) -> None:
        for u in range(self._n):
            self._highs.changeColIntegrality(u, self._integer)

    def solve(self, seconds: float, *, nodes: int | None) -> _Answer | None:
        """None if nothing came back in time; an infeasible master (all supports excluded) has an infinite bound."""
        if seconds <= 0:
            return None
        highs = self._highs
        highs.setOptionValue("time_limit", highs.getRunTime() + seconds)
        if nodes is not None:
            highs.setOptionValue("mip_max_nodes", min(nodes, 2**31 - 1))
        highs.run()
        status, info = highs.getModelStatus(), highs.getInfo()
        if status == self._statuses.kInfeasible:
            return _Answer(np.inf, None, 0)
        if status == self._statuses.kOptimal and nodes is None:
            bound = info.objective_function_value
        elif nodes is not None and np.isfinite(info.mip_dual_bound):
            bound = info.mip_dual_bound
        else:
            return None
        z = np.array(highs.getSolution().col_value[: self._n])
        finished = status == self._statuses.kOptimal
        return _Answer(bound + self._shift - _ROW_TOLERANCE, z if finished else None, max(info.mip_node_count, 0))

    def _row(self, low: float, high: float, index: list[int], value: list[float]) -> None:
        self._highs.addRow(low, high, len(index), np.array(index, dtype=np.int32), np.array(value, dtype=float))


@contextmanager
def _silent() -> Iterator[None]:
    """Standard output of compiled code goes nowhere."""
    try:
        kept = os.dup(1)
    except OSError:  # there is no standard output
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
