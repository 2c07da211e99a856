"""Every solver of the selection step, what it can do, and how its answers are read.

The integer solver decides only the support. Coefficients and objective come from a least-squares refit, so that no
tolerance of a solver reaches a result; its bound is translated back into the program's units. Solver packages are
looked for before use: a missing one is one sentence with the command that installs it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from nlmevae.errors import MissingDependencyError, SettingsError
from nlmevae.selection.formulation import Formulation, Residuals, formulate, n_variables
from nlmevae.selection.incumbent import is_allowed
from nlmevae.selection.normal_form import effect_cost, refit
from nlmevae.selection.outer_approximation import solve_outer_approximation
from nlmevae.selection.program import Budget, Program, Solution

if TYPE_CHECKING:
    from pyomo.contrib.solver.common.results import Results

#: Agreement of bound and objective that counts as proof, in units of one effect's cost.
TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class SolverSpec:
    """What a solver is and can do.

    Attributes:
        name: as in the settings. title: as in sentences.
        kind: "built-in", "outer approximation" (linear integer solver and our cuts) or "quadratic" (the whole model).
        package: import name of what it needs, "" for nothing. install: command that brings it.
        pyomo_name: its name in Pyomo's solver factory, "" if it is not reached through Pyomo.
        quadratic_integers: solves mixed-integer quadratic programs itself.
        free_quadratic_size: largest number of variables in a model with a quadratic term that the licence in the
            package's own wheel allows, None for no limit.
        tolerance: what counts as solved.
        options: solver options, by the solver's own names. node_option: its option for the largest number of nodes.
    """

    name: str
    title: str
    kind: str
    package: str
    install: str
    pyomo_name: str
    quadratic_integers: bool
    free_quadratic_size: int | None
    tolerance: str
    options: tuple[tuple[str, Any], ...] = ()
    node_option: str = ""


SOLVERS = {
    spec.name: spec
    for spec in (
        SolverSpec(
            name="native",
            title="the built-in engine",
            kind="built-in",
            package="",
            install="",
            pyomo_name="",
            quadratic_integers=True,
            free_quadratic_size=None,
            tolerance="bound within 1e-6 of one effect's penalty, bounds by closed formulas",
        ),
        SolverSpec(
            name="highs",
            title="HiGHS",
            kind="outer approximation",
            package="highspy",
            install="pip install highspy",
            pyomo_name="",
            quadratic_integers=False,
            free_quadratic_size=None,
            tolerance="bound within 1e-6 of one effect's penalty, rows and integers to 1e-9",
        ),
        SolverSpec(
            name="scip",
            title="SCIP",
            kind="quadratic",
            package="pyscipopt",
            install="pip install 'nlmevae[scip]'",
            pyomo_name="scip_direct",
            quadratic_integers=True,
            free_quadratic_size=None,
            tolerance="relative gap 0, absolute gap 1e-6 of one effect's penalty, feasibility 1e-8",
            options=(("numerics/feastol", 1e-8), ("randomization/randomseedshift", 0)),
            node_option="limits/nodes",
        ),
        SolverSpec(
            name="gurobi",
            title="Gurobi",
            kind="quadratic",
            package="gurobipy",
            install="pip install 'nlmevae[gurobi]'",
            pyomo_name="gurobi_persistent",
            quadratic_integers=True,
            free_quadratic_size=200,
            tolerance="relative gap 0, absolute gap 1e-6 of one effect's penalty, feasibility and integers 1e-9",
            options=(("FeasibilityTol", 1e-9), ("IntFeasTol", 1e-9), ("OptimalityTol", 1e-9), ("Seed", 0)),
            node_option="NodeLimit",
        ),
    )
}


class Outcome(Enum):
    """How an outside solver ended; the value completes "the solver ..."."""

    PROVEN = "proved its answer"
    STOPPED = "stopped at its limit"
    FAILED = "failed"


#: Pyomo's termination conditions, by name. The rules always leave a support, so a solver that finds the model
#: infeasible or unbounded has failed numerically.
OUTCOMES = {
    "convergenceCriteriaSatisfied": Outcome.PROVEN,
    "maxTimeLimit": Outcome.STOPPED,
    "iterationLimit": Outcome.STOPPED,
    "objectiveLimit": Outcome.STOPPED,
    "minStepLength": Outcome.FAILED,
    "unbounded": Outcome.FAILED,
    "provenInfeasible": Outcome.FAILED,
    "locallyInfeasible": Outcome.FAILED,
    "infeasibleOrUnbounded": Outcome.FAILED,
    "error": Outcome.FAILED,
    "interrupted": Outcome.STOPPED,
    "licensingProblems": Outcome.FAILED,
    "emptyModel": Outcome.FAILED,
    "unknown": Outcome.FAILED,
}


def spec_of(name: str) -> SolverSpec:
    """The row of the table; SettingsError for a name that is not in it."""
    if name not in SOLVERS:
        raise SettingsError(
            f"{name!r} is not a solver of the selection step.", hint=f"choose one of {', '.join(SOLVERS)}"
        )
    return SOLVERS[name]


def is_installed(name: str) -> bool:
    """Is everything there that this solver needs?"""
    spec = spec_of(name)
    return all(_found(package) for package in _needs(spec))


def require(name: str) -> SolverSpec:
    """The row of the table, its packages present; MissingDependencyError with the install command otherwise."""
    spec = spec_of(name)
    for package in _needs(spec):
        if not _found(package):
            missing, install = (
                (f"{spec.title} is not installed", spec.install)
                if package == spec.package
                else (f"{spec.title} is reached through Pyomo, which is not installed", "pip install pyomo")
            )
            raise MissingDependencyError(
                missing, hint=f"{install} (or leave --solver out: the built-in engine is exact)"
            )
    return spec


def solve_with(
    program: Program,
    solver: str,
    *,
    warm: np.ndarray | None = None,
    budget: Budget | None = None,
    tolerance: float = TOLERANCE,
) -> Solution:
    """Solve with an outside solver; `nlmevae.selection.solve.solve` takes every name and the built-in engine's.

    Args:
        solver: a name in SOLVERS of another kind than "built-in".
        warm: (n_units,) bool, a known support.
        budget: time and nodes; at their end the solution has certified=False and says its gap.
        tolerance: largest gap that counts as proven, in units of one effect's cost.

    Raises:
        SettingsError: unknown solver, contradicting rules, a model too large for the licence.
        MissingDependencyError: the solver's package is not installed.
    """
    spec = require(solver)
    budget = budget or Budget()
    if spec.kind == "built-in":
        raise SettingsError(f"{spec.name!r} is not an outside solver.", hint="the built-in engine solves by default")
    if spec.kind == "outer approximation":
        return solve_outer_approximation(program, warm=warm, budget=budget, tolerance=tolerance)
    return _solve_quadratic(spec, program, warm, budget, tolerance)


def _needs(spec: SolverSpec) -> list[str]:
    return [p for p in (spec.package, "pyomo" if spec.pyomo_name else "") if p]


def _found(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _solve_quadratic(
    spec: SolverSpec, program: Program, warm: np.ndarray | None, budget: Budget, tolerance: float
) -> Solution:
    """The Pyomo model to a solver of mixed-integer quadratic programs, the support back."""
    start = time.perf_counter()
    formulation = formulate(program, warm=warm, residuals=_residuals(spec, program))
    support, objective, bound, nodes = formulation.support, formulation.objective, -np.inf, 0
    if not len(formulation.form.columns):
        bound = objective
    else:
        results = _run(spec, formulation, program, budget)
        outcome = OUTCOMES.get(results.termination_condition.name, Outcome.FAILED)
        nodes = _nodes(results)
        if outcome is not Outcome.FAILED and results.objective_bound is not None:
            bound = formulation.form.objective(results.objective_bound)
        found = _support(results, formulation, program.n_units)
        if found is not None and is_allowed(program, found):
            value = refit(program, found)[1]
            if value < objective:
                support, objective = found, value
    beta, objective = refit(program, support)
    bound = min(bound, objective)
    return Solution(
        support=support,
        beta=beta,
        objective=objective,
        bound=bound,
        certified=bool(objective - bound <= tolerance * effect_cost(program) * (1 + 1e-6)),
        solver=spec.name,
        nodes=nodes,
        seconds=time.perf_counter() - start,
    )


def _residuals(spec: SolverSpec, program: Program) -> Residuals:
    """Residual variables unless only the smaller model fits the licence that comes with the package."""
    limit = spec.free_quadratic_size
    return "variables" if limit is None or n_variables(program, "variables") <= limit else "expanded"


def _run(spec: SolverSpec, formulation: Formulation, program: Program, budget: Budget) -> Results:
    from pyomo.contrib.solver.common.factory import SolverFactory

    options = dict(spec.options)
    options[spec.node_option] = budget.nodes
    try:
        return SolverFactory(spec.pyomo_name).solve(
            formulation.model,
            load_solutions=False,
            raise_exception_on_nonoptimal_result=False,
            warmstart_discrete_vars=True,
            rel_gap=0.0,
            abs_gap=TOLERANCE,
            threads=1,
            time_limit=budget.seconds,
            solver_options=options,
        )
    except Exception as error:
        refused = _licence_error(spec, program, error)
        if refused is None:
            raise
        raise refused from error


def _licence_error(spec: SolverSpec, program: Program, error: Exception) -> SettingsError | None:
    """Gurobi's errors 10010 (model too large for the licence) and 10009 (no licence), in the user's words."""
    code = getattr(error, "errno", None)
    instead = "or leave --solver out: the built-in engine is exact"
    if code == 10010:
        n = n_variables(program, "expanded")
        return SettingsError(
            f"This selection step needs {n} variables (one per effect and one per coefficient), and the "
            f"{spec.title} licence found here is the size-limited one: {spec.free_quadratic_size} variables at most "
            "in a model with any quadratic term.",
            hint=f"install a full licence, take solver 'scip' or 'highs', {instead}",
        )
    if code == 10009:
        return SettingsError(f"{spec.title} found no valid licence: {error}.", hint=f"install a licence, {instead}")
    return None


def _support(results: Results, formulation: Formulation, n_units: int) -> np.ndarray | None:
    if not results.solution_loader.get_number_of_solutions():
        return None
    z = formulation.model.z
    values = results.solution_loader.get_vars([z[u] for u in z])
    support = np.zeros(n_units, dtype=bool)
    for u in z:
        support[u] = values[z[u]] > 0.5
    return support


def _nodes(results: Results) -> int:
    for name in ("NNodes", "NodeCount"):
        if name in results.extra_info:
            return int(results.extra_info[name])
    return 0
