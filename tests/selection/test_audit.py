"""A second solver confirms, refutes, or says that it could not."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from nlmevae.errors import MissingDependencyError, SettingsError
from nlmevae.selection.audit import audit
from nlmevae.selection.normal_form import refit
from nlmevae.selection.program import Budget, Rules
from nlmevae.selection.solve import solve
from nlmevae.selection.solvers import SOLVERS, is_installed, solve_with
from tests.helpers.selection_programs import program_of, random_program

AUDITORS = ["highs", "scip", "gurobi"]


@pytest.fixture(params=AUDITORS)
def auditor(request):
    if not is_installed(request.param):
        pytest.skip(f"{SOLVERS[request.param].package} is not installed: {SOLVERS[request.param].install}")
    return request.param


@pytest.fixture
def program():
    return random_program(4, n_columns=7, signal=2.0)


def other_support(program, solution):
    """The audited solution with one unit changed, its numbers consistent."""
    support = solution.support.copy()
    support[0] = not support[0]
    beta, objective = refit(program, support)
    return replace(solution, support=support, beta=beta, objective=objective)


def test_the_built_in_optimum_is_confirmed(program, auditor):
    solution = solve(program)
    report = audit(program, solution, auditor)
    assert report.agrees is True
    assert report.difference == pytest.approx(0.0, abs=1e-9 * abs(solution.objective))
    assert report.solver == auditor
    assert report.sentence.startswith(f"{SOLVERS[auditor].title} proved the same optimum")
    assert report.exchangeable == ((), ())


def test_a_worse_support_is_refuted_by_how_much(program, auditor):
    solution = solve(program)
    wrong = other_support(program, solution)
    report = audit(program, wrong, auditor)
    assert report.agrees is False
    assert report.difference == pytest.approx(wrong.objective - solution.objective, rel=1e-9)
    assert "found a better support" in report.sentence


def test_a_tie_agrees_and_names_the_exchangeable_units(auditor):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 4))
    x[:, 3] = x[:, 1]
    program = program_of(x, 1.5 * x[:, 1] + rng.standard_normal(40))
    first = solve(program)
    support = first.support.copy()
    support[[1, 3]] = support[[3, 1]]
    assert support.sum() == first.support.sum()
    exchanged = replace(first, support=support, beta=refit(program, support)[0], objective=refit(program, support)[1])
    reports = [audit(program, solution, auditor) for solution in (first, exchanged)]
    assert all(r.agrees for r in reports)
    named = [r for r in reports if any(r.exchangeable)]
    assert len(named) == 1
    assert sorted(named[0].exchangeable) == [(1,), (3,)]
    assert "exchangeable" in named[0].sentence


def test_an_objective_that_its_support_does_not_have_is_refuted(program, auditor):
    solution = solve(program)
    report = audit(program, replace(solution, objective=solution.objective - 0.01), auditor)
    assert report.agrees is False
    assert "least squares on its support gives" in report.sentence


def test_a_support_that_breaks_a_rule_is_refuted(auditor):
    free = random_program(4, n_columns=7, signal=2.0)
    solution = solve(free)
    chosen = int(np.flatnonzero(solution.support)[0])
    ruled = random_program(4, n_columns=7, signal=2.0, rules=Rules(banned=(chosen,)))
    report = audit(ruled, solution, auditor)
    assert report.agrees is False
    assert report.sentence == "The audited support breaks a rule."


def test_an_auditor_out_of_time_neither_confirms_nor_refutes(auditor):
    program = random_program(0, n_columns=14, n_subjects=100, correlation=0.7)
    report = audit(program, solve(program), auditor, budget=Budget(nodes=1, seconds=5.0))
    assert report.agrees is None
    assert "not confirmed, not refuted" in report.sentence


def test_auto_takes_scip_where_installed_and_highs_otherwise(program, monkeypatch):
    solution = solve(program)
    if is_installed("scip"):
        assert audit(program, solution).solver == "scip"
    monkeypatch.setitem(sys.modules, "pyscipopt", None)
    assert audit(program, solution).solver == "highs"


def test_auto_does_not_take_the_solver_that_is_audited(program):
    if not is_installed("scip"):
        pytest.skip("pyscipopt is not installed: pip install 'nlmevae[scip]'")
    assert audit(program, solve_with(program, "scip")).solver == "highs"


def test_a_solver_that_audits_itself_says_so(program):
    report = audit(program, solve_with(program, "highs"), "highs")
    assert report.agrees
    assert "no independent check" in report.sentence


def test_the_built_in_engine_does_not_audit_itself_but_others(program):
    with pytest.raises(SettingsError, match="cannot audit its own answer"):
        audit(program, solve(program), "native")
    assert audit(program, solve_with(program, "highs"), "native").agrees


def test_a_missing_auditor_is_an_error_with_the_command(program, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyscipopt", None)
    with pytest.raises(MissingDependencyError, match="nlmevae\\[scip\\]"):
        audit(program, solve(program), "scip")


def test_an_unknown_auditor_lists_the_known_ones(program):
    with pytest.raises(SettingsError, match="native, highs, scip, gurobi"):
        audit(program, solve(program), "cplex")
