"""The penalty path against the hull of all supports, margins against enumeration with one decision reversed."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from nlmevae.selection.path import FLOOR, margins, penalty_path
from nlmevae.selection.program import Rules
from nlmevae.selection.solve import solve
from tests.helpers.enumeration import enumerate_supports
from tests.helpers.selection_programs import RULES, program_of, random_program, ruled_program

SOLVERS = ("table", "bnb")


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("units", [None, ((0,), (1, 2), (3,), (4, 5), (6,))])
def test_each_point_is_optimal_in_its_interval_and_nowhere_else(solver, units):
    for seed in range(12):
        program = random_program(seed, n_columns=7, signal=2, units=units)
        supports, objectives = enumerate_supports(program)
        charges = supports @ program.cost
        fit = objectives - charges
        path = penalty_path(program, solver=solver)
        assert path[0].high == np.inf
        assert path[-1].low == FLOOR
        for left, right in pairwise(path):
            assert left.low == right.high
            assert left.cost < right.cost
        for multiple in np.geomspace(FLOOR * 1.001, 200, 60):
            lowest = (fit + multiple * charges).min()
            (point,) = [p for p in path if p.low < multiple <= p.high]
            assert point.fit + multiple * point.cost == pytest.approx(lowest, abs=1e-5 * multiple)


def test_a_path_can_end_at_a_size():
    program = random_program(1, n_columns=10, signal=3)
    whole, short = penalty_path(program), penalty_path(program, most_units=3)
    assert max(p.support.sum() for p in short) <= 3
    expected = [p.support.tolist() for p in whole if p.support.sum() <= 3]
    assert [p.support.tolist() for p in short] == expected[: len(short)]
    assert len(short) >= 2


def test_beta_and_fit_belong_to_the_support():
    program = random_program(2, n_columns=6, signal=2)
    for point in penalty_path(program):
        b = point.beta
        assert ((b != 0) == point.support).all()
        assert point.fit == pytest.approx(b @ program.gram @ b - 2 * program.linear @ b + program.constant, rel=1e-9)


def test_the_path_of_forced_units_starts_with_them():
    program = replace(random_program(3, n_columns=5, signal=2), rules=Rules(forced=(2,)))
    path = penalty_path(program)
    assert path[0].support.tolist() == [False, False, True, False, False]
    assert all(p.support[2] for p in path)


def test_a_larger_path_is_found_by_branch_and_bound():
    program = random_program(0, n_columns=24, n_subjects=300, signal=2)
    path = penalty_path(program, floor=0.5)
    assert all(p.certified for p in path)
    for point in path[1:-1]:
        middle = np.sqrt(point.low * point.high)
        again = solve(replace(program, cost=middle * program.cost))
        np.testing.assert_array_equal(again.support, point.support)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", RULES)
def test_margins(solver, kind):
    for seed in range(6):
        program = ruled_program(kind, seed)
        solution = solve(program, solver=solver)
        supports, objectives = enumerate_supports(program)
        rise = margins(program, solution, solver=solver)
        for unit in range(program.n_units):
            other = supports[:, unit] != solution.support[unit]
            if unit in program.rules.forced or unit in program.rules.banned or not other.any():
                assert np.isnan(rise[unit])
            else:
                assert rise[unit] == pytest.approx(objectives[other].min() - solution.objective, abs=1e-5)


def test_the_smallest_margin_is_the_distance_to_the_runner_up():
    program = random_program(4, n_columns=9, signal=1)
    solution = solve(program)
    assert margins(program, solution).min() == pytest.approx(solution.runner_up - solution.objective, abs=1e-6)


def test_margins_of_duplicates_and_empty_columns():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((60, 3))
    program = program_of(np.column_stack([x, x[:, 0], np.zeros(60)]), 2 * x[:, 0] + rng.standard_normal(60))
    solution = solve(program)
    rise = margins(program, solution)
    assert rise[0] == rise[3] == 0.0
    assert rise[4] == pytest.approx(program.cost[4])
