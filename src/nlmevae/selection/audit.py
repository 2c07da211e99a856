"""A second, independent solver for a solved selection step: does it find the same optimum?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.errors import SettingsError
from nlmevae.selection.incumbent import is_allowed
from nlmevae.selection.normal_form import effect_cost, refit
from nlmevae.selection.program import Budget, Program, Solution
from nlmevae.selection.solve import solve
from nlmevae.selection.solvers import SOLVERS, TOLERANCE, is_installed, spec_of

#: An audit is done once: it may take a minute.
BUDGET = Budget(nodes=10_000_000, seconds=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What the auditor found.

    Attributes:
        agrees: True: both objectives are the same within 1e-6 of one effect's cost and the auditor proved it.
            False: they differ, or the audited solution breaks a rule or misstates its own objective.
            None: the auditor was stopped before its proof and had found nothing better.
        objective: of the auditor's best support; difference: audited minus that (above zero: the auditor's is better).
        solver: who audited.
        sentence: for the log.
        exchangeable: units only in the audited support and units only in the auditor's, if both are equally good.
    """

    agrees: bool | None
    objective: float
    difference: float
    solver: str
    sentence: str
    exchangeable: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())


def audit(program: Program, solution: Solution, solver: str = "auto", *, budget: Budget = BUDGET) -> AuditReport:
    """Solve again with another solver and compare. It is not told the audited support.

    Args:
        solver: "highs", "scip", "gurobi", "native" or "auto" (SCIP where installed, else HiGHS).

    Raises:
        SettingsError: unknown solver, or a model too large for its licence.
        MissingDependencyError: its package is not installed.
    """
    name = _auditor(solution) if solver == "auto" else spec_of(solver).name
    if name == "native" and solution.solver not in SOLVERS:
        raise SettingsError(
            "The built-in engine cannot audit its own answer.", hint="choose one of highs, scip, gurobi, auto"
        )
    tolerance = TOLERANCE * effect_cost(program)
    other = solve(program, solver=name, budget=budget)
    difference = solution.objective - other.objective
    title = SOLVERS[name].title
    wrong = _misstatement(program, solution, tolerance)
    exchangeable: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    if wrong:
        agrees, sentence = False, wrong
    elif difference > tolerance:
        agrees = False
        sentence = f"{title} found a better support, {difference:.6g} below the audited objective."
    elif not other.certified:
        agrees = None
        sentence = (
            f"{title} was stopped after {other.seconds:.1f} s with a gap of {other.gap:.3g} and had found nothing "
            "better: not confirmed, not refuted."
        )
    elif difference < -tolerance:
        agrees = False
        sentence = f"{title} claims an optimum {-difference:.6g} above the audited objective: its proof is wrong."
    else:
        agrees = True
        exchangeable = _exchange(solution.support, other.support)
        sentence = _agreement(title, other, exchangeable)
    if name == solution.solver:
        sentence += " It is the solver that was audited: no independent check."
    return AuditReport(
        agrees=agrees,
        objective=other.objective,
        difference=difference,
        solver=name,
        sentence=sentence,
        exchangeable=exchangeable,
    )


def _auditor(solution: Solution) -> str:
    return next((n for n in ("scip", "highs") if n != solution.solver and is_installed(n)), "highs")


def _misstatement(program: Program, solution: Solution, tolerance: float) -> str:
    """What is wrong with the audited solution by itself, "" if nothing."""
    support = np.asarray(solution.support, dtype=bool)
    if not is_allowed(program, support):
        return "The audited support breaks a rule."
    objective = refit(program, support)[1]
    if abs(objective - solution.objective) > tolerance + 1e-9 * abs(objective):
        return f"The audited objective is {solution.objective:.9g}, least squares on its support gives {objective:.9g}."
    return ""


def _exchange(audited: np.ndarray, other: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    only = np.flatnonzero(audited & ~other), np.flatnonzero(other & ~audited)
    return tuple(int(u) for u in only[0]), tuple(int(u) for u in only[1])


def _agreement(title: str, other: Solution, exchangeable: tuple[tuple[int, ...], tuple[int, ...]]) -> str:
    if not any(exchangeable):
        return f"{title} proved the same optimum in {other.seconds:.1f} s."
    mine, theirs = (", ".join(map(str, units)) or "none" for units in exchangeable)
    return (
        f"{title} proved the same objective in {other.seconds:.1f} s with another support; the data cannot tell "
        f"units {mine} from units {theirs}: they are exchangeable."
    )
