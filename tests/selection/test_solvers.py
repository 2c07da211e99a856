"""The table of solvers: same answers, honest bounds, and sentences for what is missing."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from nlmevae.errors import MissingDependencyError, SettingsError
from nlmevae.selection import solvers
from nlmevae.selection.normal_form import refit
from nlmevae.selection.program import Budget, Program, Rules
from nlmevae.selection.solve import solve
from nlmevae.selection.solvers import OUTCOMES, SOLVERS, is_installed, solve_with
from tests.helpers.selection_programs import (
    RULES,
    brute_force,
    coupled_program,
    obeys,
    program_of,
    random_program,
    ruled_program,
)
from tests.selection.test_formulation import small_scale

LONG = Budget(nodes=1_000_000, seconds=60.0)


def installed(name):
    if not is_installed(name):
        pytest.skip(f"{SOLVERS[name].package} is not installed: {SOLVERS[name].install}")
    return name


@pytest.fixture(params=SOLVERS)
def solver(request):
    return installed(request.param)


@pytest.fixture(params=["scip", "gurobi"])
def quadratic(request):
    return installed(request.param)


def assert_optimal(program, solution, optimum):
    cost = float(np.median(program.cost))
    scale = max(cost, abs(optimum))
    assert solution.objective == pytest.approx(optimum, abs=1e-8 * scale)
    assert solution.certified
    assert solution.bound <= optimum + 1e-9 * scale
    assert solution.gap <= 1e-6 * cost * (1 + 1e-6)
    assert obeys(program.rules, solution.support)
    beta, objective = refit(program, solution.support)
    np.testing.assert_allclose(solution.beta, beta, rtol=1e-7)
    assert solution.objective == pytest.approx(objective, rel=1e-12)


@pytest.mark.parametrize("kind", RULES)
def test_every_solver_obeys_every_kind_of_rule_exactly(solver, kind):
    program = ruled_program(kind, 2)
    assert_optimal(program, solve(program, solver=solver, budget=LONG), brute_force(program))


@pytest.mark.parametrize(
    ("n_subjects", "correlation", "signal"),
    [(12, 0.9, 1.0), (30, 0.99, 3.0), (189, 0.0, 0.2), (189, 0.5, 1.0), (2425, 0.9, 1.0)],
)
def test_every_solver_finds_the_enumerated_optimum(solver, n_subjects, correlation, signal):
    program = random_program(n_subjects, n_subjects=n_subjects, n_columns=6, correlation=correlation, signal=signal)
    assert_optimal(program, solve(program, solver=solver, budget=LONG), brute_force(program))


def test_every_solver_solves_parameters_coupled_by_correlated_random_effects(solver):
    program, apart = coupled_program(0, n_subjects=60, n_covariates=3, correlation=0.8)
    optimum = brute_force(program)
    assert_optimal(program, solve(program, solver=solver, budget=LONG), optimum)
    uncoupled = solve(apart, solver=solver, budget=LONG).support
    assert refit(program, uncoupled)[1] > optimum + 1.0  # parameter by parameter is another answer


def test_every_solver_keeps_a_large_effect_of_a_small_column(solver):
    program = small_scale()
    solution = solve(program, solver=solver, budget=LONG)
    assert solution.support.tolist() == [True, True, False]
    assert solution.beta[1] == pytest.approx(900, rel=0.05)
    assert_optimal(program, solution, brute_force(program))


def test_every_solver_takes_a_singular_gram_matrix(solver):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 5))
    x[:, 3], x[:, 4] = x[:, 0], x[:, 1] - x[:, 2]
    program = program_of(x, x[:, :3] @ [0.7, 0.5, -0.5] + rng.standard_normal(40))
    assert_optimal(program, solve(program, solver=solver, budget=LONG), brute_force(program))


def test_every_solver_is_exact_where_the_constant_dwarfs_the_charge(solver):
    """A relative gap of 1e-4 of the whole objective would accept wrong supports here."""
    program = random_program(11, n_columns=6, n_subjects=200)
    scaled = Program(gram=1e4 * program.gram, linear=1e4 * program.linear, units=program.units, cost=program.cost,
                     constant=1e4 * program.constant + 1e6)  # fmt: skip
    solution = solve(scaled, solver=solver, budget=LONG)
    assert solution.objective == pytest.approx(brute_force(scaled), abs=1e-6)


def test_a_program_without_usable_columns_needs_no_search(solver):
    program = random_program(0, n_columns=2, rules=Rules(banned=(0, 1)))
    solution = solve(program, solver=solver)
    assert solution.certified
    assert not solution.support.any()
    assert solution.objective == pytest.approx(program.constant)


def test_contradicting_rules_are_refused_by_every_solver(solver):
    with pytest.raises(SettingsError, match="contradict"):
        solve(random_program(0, rules=Rules(forced=(0, 1), exclusive=((0, 1),))), solver=solver)


@pytest.mark.parametrize(("other", "seeds"), [("highs", range(0, 50, 3)), ("gurobi", range(50))])
def test_larger_problems_agree_with_the_built_in_engine(other, seeds):
    installed(other)
    for seed in seeds:
        program = random_program(
            seed, n_columns=12 + seed % 9, n_subjects=(600, 2425)[seed % 2], correlation=(0.3, 0.5, 0.8)[seed % 3],
            signal=(0.2, 0.6)[seed // 25],
        )  # fmt: skip
        mine = solve(program, budget=LONG)
        theirs = solve_with(program, other, budget=LONG)
        assert mine.certified, seed
        assert theirs.certified, seed
        assert theirs.objective == pytest.approx(mine.objective, abs=1e-6 * np.log(600)), seed


@pytest.mark.slow
@pytest.mark.parametrize("other", ["highs", "gurobi", "scip"])
@pytest.mark.parametrize("seed", range(16))
def test_hard_problems_agree_with_the_built_in_engine(other, seed):
    installed(other)
    program = random_program(
        seed, n_columns=12 + seed % 9, n_subjects=189, correlation=(0.5, 0.9)[seed % 2], signal=1.0
    )
    mine, theirs = solve(program, budget=LONG), solve_with(program, other, budget=LONG)
    assert mine.certified
    assert theirs.certified
    assert theirs.objective == pytest.approx(mine.objective, abs=1e-6 * np.log(189))


def test_solve_reaches_the_table_by_name():
    installed("highs")
    assert solve(random_program(0), solver="highs").solver == "highs"


# --- what is missing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "package", "title", "install"),
    [
        ("scip", "pyscipopt", "SCIP", "pip install 'nlmevae[scip]'"),
        ("gurobi", "gurobipy", "Gurobi", "pip install 'nlmevae[gurobi]'"),
        ("highs", "highspy", "HiGHS", "pip install highspy"),
    ],
)
def test_a_missing_package_is_one_sentence_with_the_command(monkeypatch, name, package, title, install):
    monkeypatch.setitem(sys.modules, package, None)
    assert not is_installed(name)
    with pytest.raises(MissingDependencyError) as caught:
        solve_with(random_program(0), name)
    assert caught.value.message == f"{title} is not installed"
    assert caught.value.hint == f"{install} (or leave --solver out: the built-in engine is exact)"
    assert str(caught.value).count("\n") == 1


def test_missing_pyomo_is_named_where_it_is_needed(monkeypatch):
    installed("scip")
    monkeypatch.setitem(sys.modules, "pyomo", None)
    with pytest.raises(MissingDependencyError, match="pip install pyomo"):
        solve_with(random_program(0), "scip")


def test_the_built_in_engine_needs_none_of_the_packages():
    code = (
        "import sys\n"
        "for name in ('pyomo', 'highspy', 'pyscipopt', 'gurobipy'): sys.modules[name] = None\n"
        "from tests.helpers.selection_programs import random_program\n"
        "from nlmevae.selection.solve import solve\n"
        "assert solve(random_program(0), solver='native').certified\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pyomo_and_the_solvers_are_imported_only_by_the_solves_that_need_them():
    code = (
        "import sys\n"
        "import nlmevae.selection.audit, nlmevae.selection.solvers, nlmevae.selection.formulation\n"
        "print(sorted({'pyomo', 'highspy', 'pyscipopt', 'gurobipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_solver_lists_the_known_ones():
    with pytest.raises(SettingsError, match="native, highs, scip, gurobi"):
        solve_with(random_program(0), "cplex")


# --- licences and statuses ---------------------------------------------------------------------------------------


class FakeGurobiError(Exception):
    def __init__(self, errno):
        super().__init__("Model too large for size-limited license; visit https://gurobi.com/unrestricted")
        self.errno = errno


@pytest.mark.parametrize(("errno", "said"), [(10010, "200 variables at most"), (10009, "no valid licence")])
def test_licence_errors_are_translated(errno, said):
    error = solvers._licence_error(SOLVERS["gurobi"], random_program(0, n_columns=6), FakeGurobiError(errno))
    assert isinstance(error, SettingsError)
    assert said in str(error)
    assert "the built-in engine is exact" in error.hint


def test_other_errors_of_a_solver_are_not_taken_for_licence_errors():
    assert solvers._licence_error(SOLVERS["gurobi"], random_program(0), ValueError("x")) is None


def test_a_hundred_effects_fit_gurobis_own_licence_and_one_more_is_refused():
    """One binary and one coefficient per effect: 200 variables."""
    installed("gurobi")
    from pyomo.contrib.solver.common.base import Availability
    from pyomo.contrib.solver.common.factory import SolverFactory

    if SolverFactory("gurobi_persistent").available() != Availability.LimitedLicense:
        pytest.skip("the Gurobi licence found here is not the size-limited one")
    solve_with(random_program(0, n_columns=100, n_subjects=2425, signal=0.0), "gurobi", budget=Budget(seconds=1.0))
    with pytest.raises(SettingsError, match=r"needs 202 variables .*size-limited"):
        solve_with(random_program(0, n_columns=101, n_subjects=2425, signal=0.0), "gurobi")


def test_every_status_of_pyomo_has_its_translation():
    pytest.importorskip("pyomo")
    from pyomo.contrib.solver.common.results import TerminationCondition

    assert {t.name for t in TerminationCondition} == set(OUTCOMES)


@pytest.mark.parametrize("condition", ["provenInfeasible", "unbounded", "error", "unknown"])
def test_a_solver_that_fails_leaves_the_known_solution_without_proof(monkeypatch, condition):
    installed("scip")
    results = SimpleNamespace(
        termination_condition=SimpleNamespace(name=condition),
        objective_bound=1e9,
        extra_info={},
        solution_loader=SimpleNamespace(get_number_of_solutions=lambda: 0),
    )
    monkeypatch.setattr(solvers, "_run", lambda *_: results)
    program = random_program(0)
    solution = solve_with(program, "scip")
    assert not solution.certified
    assert solution.bound == -np.inf
    assert solution.objective == pytest.approx(refit(program, solution.support)[1])


def test_a_solver_stopped_by_its_budget_reports_a_valid_bound(quadratic):
    program = random_program(3, n_columns=20, n_subjects=100, correlation=0.7, signal=1.0)
    solution = solve_with(program, quadratic, budget=Budget(nodes=1, seconds=30.0))
    optimum = solve(program, budget=LONG)
    assert solution.bound <= optimum.objective + 1e-6
    assert solution.objective >= optimum.objective - 1e-9
    assert not solution.certified


def test_only_supports_are_taken_from_a_solver(monkeypatch, quadratic):
    """Coefficients and objective in its answer may be anything."""
    real = solvers._run

    def spoiled(*arguments):
        results = real(*arguments)
        results.incumbent_objective = -1e9
        for j in arguments[1].model.b:
            arguments[1].model.b[j].value = 1e9
        return results

    monkeypatch.setattr(solvers, "_run", spoiled)
    program = random_program(0, signal=2.0)
    assert_optimal(program, solve_with(program, quadratic), brute_force(program))


def test_a_support_that_the_rules_forbid_is_not_taken_from_a_solver(monkeypatch):
    installed("scip")
    free = random_program(2, signal=2.0)
    best = np.flatnonzero(solve(free).support)
    program = random_program(2, signal=2.0, rules=Rules(exclusive=(tuple(range(6)),)))
    assert len(best) > 1  # forbidden together, and better than anything allowed
    results = SimpleNamespace(
        termination_condition=SimpleNamespace(name="maxTimeLimit"),
        objective_bound=0.0,
        extra_info={"NNodes": 3},
    )
    monkeypatch.setattr(solvers, "_run", lambda *_: results)
    monkeypatch.setattr(solvers, "_support", lambda *_: np.isin(np.arange(6), best))
    solution = solve_with(program, "scip")
    assert obeys(program.rules, solution.support)
    assert not solution.certified


def test_no_solver_prints(quadratic):
    code = (
        "from tests.helpers.selection_programs import random_program\n"
        "from nlmevae.selection.solvers import solve_with\n"
        f"assert solve_with(random_program(0), {quadratic!r}).certified"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""
