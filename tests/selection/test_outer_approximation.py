"""The exact selection step with HiGHS alone, against enumeration."""

import subprocess
import sys

import numpy as np
import pytest

from nlmevae.errors import SettingsError
from nlmevae.selection import outer_approximation
from nlmevae.selection.incumbent import smallest_support
from nlmevae.selection.normal_form import normalise, refit
from nlmevae.selection.outer_approximation import TOLERANCE, solve_outer_approximation
from nlmevae.selection.program import Budget, Program, Rules
from nlmevae.selection.solve import solve
from tests.helpers.selection_programs import (
    RULES,
    brute_force,
    coupled_program,
    obeys,
    program_of,
    random_program,
    ruled_program,
)

pytest.importorskip("highspy")
LONG = Budget(nodes=1_000_000, seconds=60.0)


def assert_optimal(program, solution, optimum=None):
    optimum = brute_force(program) if optimum is None else optimum
    cost = float(np.median(program.cost))
    assert solution.objective == pytest.approx(optimum, abs=1e-8 * max(cost, abs(optimum)))
    assert solution.certified
    assert solution.bound <= optimum + 1e-9 * max(cost, abs(optimum))
    assert solution.gap <= TOLERANCE * cost * (1 + 1e-6)
    assert obeys(program.rules, solution.support)
    out = [j for u in np.flatnonzero(~solution.support) for j in program.units[u]]
    assert np.all(solution.beta[out] == 0.0)


@pytest.mark.parametrize("n_subjects", [12, 30, 189, 2425])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("signal", [0.0, 1.0, 3.0])
def test_random_problems_are_solved_to_the_enumerated_optimum(n_subjects, correlation, signal):
    n_columns = 1 + (n_subjects + int(100 * correlation) + int(signal)) % 8
    program = random_program(
        n_subjects, n_subjects=n_subjects, n_columns=n_columns, correlation=correlation, signal=signal
    )
    assert_optimal(program, solve_outer_approximation(program, budget=LONG))


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_kind_of_rule_is_obeyed_exactly(kind, seed):
    program = ruled_program(kind, seed)
    assert_optimal(program, solve_outer_approximation(program, budget=LONG))


@pytest.mark.parametrize("seed", range(3))
def test_correlated_random_effects_couple_parameters_exactly(seed):
    program, _ = coupled_program(seed, n_subjects=60, n_covariates=4, correlation=0.8)
    assert_optimal(program, solve_outer_approximation(program, budget=LONG))


def duplicated(seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((40, 6))
    x[:, 4], x[:, 5] = x[:, 0], x[:, 1] - 2 * x[:, 2]
    return program_of(x, x[:, :3] @ [0.5, 0.4, -0.8] + rng.standard_normal(40))


@pytest.mark.parametrize("seed", range(3))
def test_duplicate_and_dependent_columns_are_no_obstacle(seed):
    program = duplicated(seed)
    assert_optimal(program, solve_outer_approximation(program, budget=LONG))


def test_more_candidates_than_subjects_are_solved():
    program = random_program(4, n_subjects=8, n_columns=10, signal=3.0, rules=Rules(at_most=3))
    assert_optimal(program, solve_outer_approximation(program, budget=LONG))


def test_forms_that_are_copies_of_each_other_cost_no_bound():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 4))
    x = np.repeat(x, 2, axis=1)  # two identical forms of each of four covariates
    forms = tuple((2 * i, 2 * i + 1) for i in range(4))
    program = program_of(x, x[:, ::2] @ [0.6, 0.0, -0.4, 0.2] + rng.standard_normal(60), rules=Rules(exclusive=forms))
    assert_optimal(program, solve_outer_approximation(program, budget=LONG))


def test_charges_may_differ_and_be_zero():
    program = random_program(3, n_columns=6, cost=np.array([0.0, 1.0, 2.0, 4.0, 8.0, 16.0]))
    solution = solve_outer_approximation(program, budget=LONG)
    assert solution.objective == pytest.approx(brute_force(program), rel=1e-10)
    assert solution.certified


def test_constant_columns_stay_out():
    program = random_program(0, n_columns=4, signal=2.0)
    gram, linear = program.gram.copy(), program.linear.copy()
    gram[2], gram[:, 2], linear[2] = 0.0, 0.0, 0.0
    program = Program(gram=gram, linear=linear, units=program.units, cost=program.cost, constant=program.constant)
    solution = solve_outer_approximation(program)
    assert not solution.support[2]
    assert_optimal(program, solution)


def test_a_small_random_effect_does_not_spoil_the_proof():
    """omega² a million times too small: the constant is huge against the charge of one effect."""
    program = random_program(11, n_columns=8, n_subjects=200)
    small = Program(gram=1e6 * program.gram, linear=1e6 * program.linear, units=program.units, cost=program.cost,
                    constant=1e6 * program.constant)  # fmt: skip
    solution = solve_outer_approximation(small, budget=LONG)
    assert solution.certified
    assert solution.objective == pytest.approx(brute_force(small), rel=1e-12)


def test_a_spent_budget_reports_an_honest_gap():
    program = random_program(0, n_columns=30, n_subjects=189, signal=1.0)
    solution = solve_outer_approximation(program, budget=Budget(seconds=0.05))
    assert not solution.certified
    assert solution.gap > 0
    optimum = solve(program, budget=LONG)
    assert solution.bound <= optimum.objective + 1e-9
    assert solution.objective >= optimum.objective - 1e-9


def test_the_same_program_gives_the_same_answer_from_any_start():
    program = random_program(2, n_columns=9, signal=1.0)
    cold = solve_outer_approximation(program, budget=LONG)
    warm = solve_outer_approximation(program, warm=np.ones(9, dtype=bool), budget=LONG)
    assert cold.objective == pytest.approx(warm.objective, abs=1e-9)
    assert np.array_equal(cold.support, solve_outer_approximation(program, budget=LONG).support)


@pytest.mark.parametrize("kind", RULES)
def test_from_the_worst_start_every_bound_on_the_way_holds(kind, monkeypatch):
    """The search by exchanges usually hands over the optimum; without it the masters must find it."""
    program = ruled_program(kind, 3)
    worst = smallest_support(program)
    monkeypatch.setattr(outer_approximation, "incumbent", lambda *_: (worst, refit(program, worst)[1]))
    bounds = []
    solve_master = outer_approximation._Master.solve

    def recorded(self, seconds, *, nodes):
        answer = solve_master(self, seconds, nodes=nodes)
        bounds.append(answer.bound)
        return answer

    monkeypatch.setattr(outer_approximation._Master, "solve", recorded)
    optimum = brute_force(program)
    assert_optimal(program, solve_outer_approximation(program, budget=LONG), optimum)
    assert all(b <= normalise(program).value(optimum) + 1e-7 for b in bounds)
    assert bounds


def test_contradicting_rules_are_refused():
    with pytest.raises(SettingsError, match="contradict"):
        solve_outer_approximation(random_program(0, rules=Rules(forced=(0,), banned=(0,))))


def test_nothing_is_printed():
    code = (
        "from tests.helpers.selection_programs import random_program\n"
        "from nlmevae.selection.outer_approximation import solve_outer_approximation\n"
        "assert solve_outer_approximation(random_program(0)).certified"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_fifty_candidates_agree_with_the_built_in_engine(seed):
    program = random_program(seed, n_columns=50, n_subjects=2425, signal=0.5)
    solution = solve_outer_approximation(program, budget=LONG)
    other = solve(program, budget=LONG)
    assert solution.certified
    assert solution.objective == pytest.approx(other.objective, abs=1e-6 * np.log(2425))
