"""Branch and bound against enumeration, with every kind of rule and with dependent columns."""

import numpy as np
import pytest

from nlmevae.selection.branch_and_bound import TreeEngine, pieces_of
from nlmevae.selection.components import reduce
from nlmevae.selection.program import Budget, Program, Rules
from nlmevae.selection.solve import Prepared, solve
from tests.helpers.enumeration import best
from tests.helpers.selection_programs import RULES, program_of, random_program, ruled_program

TIE = 1e-6


def check(program, solution):
    _, objective, _ = best(program)
    size = max(1.0, float(np.median(program.cost)))
    assert solution.objective == pytest.approx(objective, abs=2e-6 * size)
    assert solution.certified
    assert solution.bound <= objective + 1e-9 * max(size, abs(objective))
    assert solution.gap <= 1.01e-6 * size


@pytest.mark.parametrize("kind", RULES)
def test_every_kind_of_rule(kind):
    for seed in range(25):
        program = ruled_program(kind, seed)
        check(program, solve(program, solver="bnb"))


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("n_subjects", [12, 30, 189, 2425])
def test_random_regressions(correlation, n_subjects):
    for seed in range(12):
        program = random_program(
            seed, n_columns=4 + seed % 6, n_subjects=n_subjects, correlation=correlation, signal=[0, 1, 3][seed % 3]
        )  # fmt: skip
        check(program, solve(program, solver="bnb"))


def test_wide_alternatives_and_limits_together():
    units = ((0, 1), (2,), (3, 4), (5,), (6,), (7, 8))
    rules = Rules(exclusive=((0, 1, 2), (3, 4)), requires=((5, 3),), at_most=2)
    for seed in range(25):
        program = random_program(seed, n_columns=9, signal=3, correlation=0.8, units=units, rules=rules)
        check(program, solve(program, solver="bnb"))


def test_overlapping_alternatives():
    rules = Rules(exclusive=((0, 1, 2), (2, 3), (3, 4, 5), (0, 5)))
    for seed in range(25):
        program = random_program(seed, n_columns=8, signal=3, correlation=0.9, rules=rules)
        check(program, solve(program, solver="bnb"))


def body_measures(seed, *, n=60, noise=0):
    """log weight, log height, log BMI (an exact dependence), sex as two indicator columns with a third level's
    missing, and noise columns."""
    rng = np.random.default_rng(seed)
    weight, height = rng.normal(4.3, 0.2, n), rng.normal(0.53, 0.05, n)
    group = rng.integers(0, 3, n)
    columns = [weight, height, weight - 2 * height, group == 1, group == 2, *rng.standard_normal((noise, n))]
    y = 0.9 * (weight - 4.3) / 0.2 - 0.5 * (height - 0.53) / 0.05 + rng.standard_normal(n)
    units = ((0,), (1,), (2,), (3, 4), *((5 + j,) for j in range(noise)))
    return program_of(np.column_stack(columns).astype(float), y, units=units)


def test_an_exact_dependence_is_taken_apart():
    for seed in range(10):
        program = body_measures(seed, noise=3)
        (block,) = reduce(program, joined=True).blocks
        assert len(pieces_of(block)) == 3
        assert all(piece.parts is not None for piece in pieces_of(block))
        check(program, solve(program, solver="bnb"))


def test_a_dependence_with_a_wide_unit():
    """The third column of unit 2 is unit 0 plus unit 1: with all in, it adds nothing; without unit 0 it does."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((50, 6))
        x = np.column_stack([x, x[:, 0] + x[:, 1]])
        y = x @ np.array([0.4, 0, 0, 0.4, 0, 0, 0.4]) + rng.standard_normal(50)
        program = program_of(x, y, units=((0,), (1,), (2, 6), (3,), (4,), (5,)))
        check(program, solve(program, solver="bnb"))


def test_a_whole_set_of_indicators_is_a_dependence_within_its_unit():
    rng = np.random.default_rng(3)
    level = rng.integers(0, 3, 60)
    x = np.column_stack([*(level == k for k in range(3)), *rng.standard_normal((4, 60))]).astype(float)
    y = (level == 1) * 1.5 + rng.standard_normal(60)
    program = program_of(x, y, units=((0, 1, 2), (3,), (4,), (5,), (6,)))
    solution = solve(program, solver="bnb")
    check(program, solution)
    assert np.isfinite(solution.beta).all()


def test_more_columns_than_subjects():
    for seed in range(4):
        program = random_program(seed, n_subjects=8, n_columns=10, signal=2)
        check(program, solve(program, solver="bnb"))


def test_a_spent_budget_gives_the_incumbent_and_a_valid_bound():
    program = random_program(1, n_subjects=100, n_columns=35, correlation=0.9, signal=3)
    rough = solve(program, solver="bnb", budget=Budget(nodes=1))
    exact = solve(program, solver="bnb", budget=Budget(nodes=500_000, seconds=30))
    assert exact.certified
    assert not rough.certified
    assert rough.bound <= exact.objective <= rough.objective + TIE
    assert rough.gap > 0


def test_states_are_kept():
    program = random_program(8, n_columns=9, correlation=0.7, signal=2)
    prepared, table = Prepared(program, solver="bnb"), Prepared(program, solver="table")
    rng = np.random.default_rng(0)
    for _ in range(30):
        state = rng.choice([-1, -1, 0, 1], size=9)
        found, known = prepared.solve(state=state), table.solve(state=state)
        assert (found.support[state == 1]).all()
        assert not found.support[state == 0].any()
        assert found.objective == pytest.approx(known.objective, abs=1e-5)


def test_warm_and_cold_starts_end_the_same():
    rng = np.random.default_rng(2)
    for seed in range(10):
        program = random_program(seed, n_columns=30, n_subjects=150, signal=2)
        cold = solve(program)
        warm = solve(program, warm=rng.random(30) < 0.3)
        assert cold.solver == "bnb"
        assert warm.objective == pytest.approx(cold.objective, abs=1e-6)
        np.testing.assert_array_equal(warm.support, cold.support)


def test_the_bound_of_every_piece_counts():
    """Two pieces: the optimum is in the second only."""
    program = body_measures(0)
    (block,) = reduce(program, joined=True).blocks
    pieces = pieces_of(block)
    values = []
    for piece in pieces:
        engine = TreeEngine(block, pieces=(piece,))
        values.append(engine.minimise(request(program, block)).bound)
    whole = TreeEngine(block).minimise(request(program, block))
    assert whole.bound == pytest.approx(min(whole.value, *values), abs=1e-5)


def request(program: Program, block):
    from nlmevae.selection.engine import Request
    from nlmevae.selection.normal_form import effect_cost

    return Request(
        linear=program.linear[block.columns] * block.scale, cost_factor=effect_cost(program), warm=None, state=None,
        tolerance=1e-6, tie=1e-9, budget=Budget(),
    )  # fmt: skip


def test_a_search_without_nodes_is_the_local_search_and_proves_nothing():
    program = random_program(5, n_subjects=189, n_columns=20, correlation=0.5)
    rough = solve(program, solver="bnb", budget=Budget(nodes=0))
    exact = solve(program, solver="bnb")
    assert not rough.certified
    assert rough.bound == -np.inf
    assert rough.nodes == 0
    assert rough.objective >= exact.objective - 1e-9
