"""The one call that everything uses: exact on any program, its certificate honest, its answers reproducible."""

import subprocess
import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from nlmevae.errors import SettingsError
from nlmevae.selection.components import reduce
from nlmevae.selection.enumeration import enumerated
from nlmevae.selection.program import Program, Rules
from nlmevae.selection.solve import Prepared, Solver, solve
from tests.helpers.enumeration import allowed, best, enumerate_supports
from tests.helpers.selection_programs import coupled_program, program_of, random_program

#: Of one effect's cost.
SAME = 2e-6


def check(program, solution):
    _, objective, second = best(program)
    size = max(float(np.median(program.cost)), 1e-3)
    assert solution.objective == pytest.approx(objective, abs=SAME * size)
    assert solution.certified
    assert solution.bound <= objective + 1e-9 * max(size, abs(objective))
    assert allowed(program.rules, solution.support)
    if np.isfinite(solution.runner_up):
        assert solution.runner_up == pytest.approx(second, abs=SAME * size)
    inside = np.zeros(program.n_columns, dtype=bool)
    inside[[c for u in np.flatnonzero(solution.support) for c in program.units[u]]] = True
    assert (solution.beta[~inside] == 0).all()
    b = solution.beta
    value = b @ program.gram @ b - 2 * program.linear @ b + program.constant + program.cost[solution.support].sum()
    assert solution.objective == pytest.approx(value, abs=1e-7 * max(size, abs(program.constant)))


def random_rules(rng, n):
    rules = Rules()
    if rng.random() < 0.3:
        rules = replace(rules, forced=(int(rng.integers(n)),))
    if rng.random() < 0.3:
        rules = replace(rules, exclusive=(tuple(rng.choice(n, min(n, 3), replace=False).tolist()),))
    if rng.random() < 0.2:
        rules = replace(rules, at_most=int(rng.integers(1, n + 1)))
    if rng.random() < 0.2 and n > 1:
        rules = replace(rules, requires=(tuple(rng.choice(n, 2, replace=False).tolist()),))
    free = set(range(n)) - set(rules.forced) - {u for pair in rules.requires for u in pair}
    if rng.random() < 0.2 and free:
        rules = replace(rules, banned=(min(free),))
    return rules


def some_program(seed):
    """Anything: sizes, correlations, units, rules, costs, more columns than subjects."""
    rng = np.random.default_rng(seed)
    p = int(rng.integers(1, 8))
    edges = np.flatnonzero(np.append(True, rng.random(p - 1) < 0.8)) if rng.random() < 0.4 else np.arange(p)
    units = tuple(tuple(range(a, b)) for a, b in zip(edges, [*edges[1:], p], strict=True))
    program = random_program(
        seed, n_columns=p, n_subjects=int(rng.choice([5, 12, 30, 189, 2425])), units=units,
        correlation=float(rng.choice([0, 0.5, 0.9, 0.99])), signal=float(rng.choice([0, 0.6, 3])),
        rules=random_rules(rng, len(units)) if rng.random() < 0.5 else None,
    )  # fmt: skip
    if not any(allowed(program.rules, np.array(s, bool)) for s in product([0, 1], repeat=program.n_units)):
        program = replace(program, rules=Rules())
    if rng.random() < 0.3:
        program = replace(program, cost=program.cost * rng.choice([0.0, 0.3, 1.0, 3.0], len(units)))
    return program


@pytest.mark.parametrize("batch", range(20))
def test_two_thousand_random_programs(batch):
    for seed in range(100 * batch, 100 * batch + 100):
        program = some_program(seed)
        check(program, solve(program))


@pytest.mark.parametrize("batch", range(5))
def test_both_engines_on_the_same_programs(batch):
    for seed in range(60 * batch, 60 * batch + 60):
        program = some_program(seed)
        check(program, solve(program, solver="bnb"))


def test_the_engines_agree_where_enumeration_is_slow():
    for seed in range(12):
        program = random_program(seed, n_columns=12 + seed % 4, n_subjects=189, correlation=0.8, signal=2)
        table, tree = solve(program, solver="table"), solve(program, solver="bnb")
        np.testing.assert_array_equal(table.support, tree.support)
        assert table.objective == pytest.approx(tree.objective, rel=1e-12)


def test_the_smallest_programs_have_the_same_answer_enumerated_and_tabulated():
    taken = 0
    for seed in range(200):
        program = some_program(seed)
        found, table = enumerated(program, None, tie=1e-9), solve(program, solver="table")
        if found is None:
            continue
        taken += 1
        assert found.objective == pytest.approx(table.objective, rel=1e-9)
        assert found.runner_up == pytest.approx(best(program)[2], rel=1e-9)
        np.testing.assert_array_equal(found.support, table.support)
        np.testing.assert_allclose(found.beta, table.beta, rtol=1e-6)
    assert taken > 100


def test_of_twins_exactly_the_better_one_enters():
    """Two candidates with correlation 0.98, one of which acts."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((300, 8))
        x[:, 1] = 0.98 * x[:, 0] + np.sqrt(1 - 0.98**2) * x[:, 1]
        program = program_of(x, 0.5 * x[:, 0] + rng.standard_normal(300))
        for solver in ("table", "bnb"):
            solution = solve(program, solver=solver)
            check(program, solution)
            assert solution.support[:2].sum() == 1


def test_of_exact_duplicates_one_enters_and_the_warm_one_is_kept():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 4))
    x = np.column_stack([x, -3 * x[:, 1], x[:, 1] + 5])
    program = program_of(x, x[:, 1] + rng.standard_normal(80))
    assert reduce(program, joined=False).aliases == {1: (4, 5)}
    for solver in ("auto", "bnb"):
        solution = solve(program, solver=solver)
        check(program, solution)
        assert solution.support.tolist() == [False, True, False, False, False, False]
        warm = np.array([0, 0, 0, 0, 1, 0], bool)
        other = solve(program, solver=solver, warm=warm)
        assert other.support[4]
        assert not other.support[[1, 5]].any()
        assert other.objective == pytest.approx(solution.objective, rel=1e-12)
        assert not other.runner_up > other.objective + 1e-9


def test_duplicates_under_different_rules_stay_apart():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((80, 3))
    x = np.column_stack([x, x[:, 0]])
    program = program_of(x, x[:, 0] + x[:, 1] + rng.standard_normal(80), rules=Rules(exclusive=((0, 1),)))
    for solver in ("table", "bnb"):
        solution = solve(program, solver=solver)
        check(program, solution)
        assert solution.support[3]


def test_near_duplicates_do_no_harm():
    rng = np.random.default_rng(4)
    for distance in (1e-3, 1e-4, 1e-6, 1e-8):
        x = rng.standard_normal((60, 5))
        x = np.column_stack([x, x[:, 0] + distance * rng.standard_normal(60)])
        program = program_of(x, x[:, 0] + rng.standard_normal(60))
        for solver in ("table", "bnb"):
            solution = solve(program, solver=solver)
            assert np.isfinite(solution.beta).all()
            assert solution.support.sum() == 1
            assert solution.certified


def test_constant_columns_never_enter():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.standard_normal((40, 3)), np.full(40, 7.0)])
    program = program_of(x, x[:, 0] + rng.standard_normal(40))
    program = replace(program, gram=program.gram * np.outer([1, 1, 1, 0], [1, 1, 1, 0]))
    for solver in ("auto", "table", "bnb"):
        solution = solve(program, solver=solver)
        assert not solution.support[3]
        assert np.isfinite(solution.objective)
    forced = solve(replace(program, rules=Rules(forced=(3,))))
    assert forced.support[3]
    assert forced.beta[3] == 0.0


def test_all_columns_constant():
    program = Program(gram=np.zeros((2, 2)), linear=np.zeros(2), constant=3.0, units=((0,), (1,)), cost=np.ones(2))
    solution = solve(program)
    assert not solution.support.any()
    assert solution.objective == 3.0


def test_no_candidates_at_all():
    program = Program(gram=np.zeros((0, 0)), linear=np.zeros(0), constant=2.0, units=(), cost=np.zeros(0))
    assert solve(program).objective == 2.0


@pytest.mark.parametrize("solver", ["table", "bnb"])
def test_scales_do_not_matter(solver):
    rng = np.random.default_rng(6)
    for seed in range(15):
        program = random_program(seed, n_columns=8, signal=2)
        scale = 10.0 ** rng.uniform(-6, 6, 8)
        scaled = replace(program, gram=program.gram * np.outer(scale, scale), linear=program.linear * scale)
        one, other = solve(program, solver=solver), solve(scaled, solver=solver)
        np.testing.assert_array_equal(one.support, other.support)
        np.testing.assert_allclose(other.beta * scale, one.beta, rtol=1e-7)
        assert other.objective == pytest.approx(one.objective, rel=1e-10)


def test_the_order_of_columns_does_not_matter():
    rng = np.random.default_rng(7)
    for seed in range(15):
        program = random_program(seed, n_columns=9, signal=2)
        order = rng.permutation(9)
        moved = replace(program, gram=program.gram[np.ix_(order, order)], linear=program.linear[order])
        np.testing.assert_array_equal(solve(moved).support, solve(program).support[order])


def test_a_small_column_with_a_large_coefficient_is_found():
    """A column of standard deviation 5e-4 with coefficient 914: a constant big-M of 100 cuts it off."""
    rng = np.random.default_rng(5)
    x = np.column_stack([0.031 * rng.standard_normal(189), 5e-4 * rng.standard_normal(189), rng.integers(0, 2, 189)])
    y = x[:, :2] @ np.array([30.0, 2000.0]) + 0.3 * rng.standard_normal(189)
    program = program_of(x, y / 0.3)
    for solver in ("table", "bnb"):
        solution = solve(program, solver=solver)
        check(program, solution)
        assert solution.support.tolist() == [True, True, False]
        assert solution.beta[1] * 0.3 == pytest.approx(2000, rel=0.1)


@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_charges_of_any_size(factor):
    program = random_program(3, n_columns=8, signal=2)
    for solver in ("table", "bnb"):
        scaled = replace(
            program, gram=program.gram * factor, linear=program.linear * factor, cost=program.cost * factor,
            constant=program.constant * factor,
        )  # fmt: skip
        np.testing.assert_array_equal(solve(scaled, solver=solver).support, solve(program, solver=solver).support)


def test_uncorrelated_parts_are_solved_apart():
    parts = [random_program(seed, n_columns=10) for seed in range(3)]
    n = 30
    gram, linear = np.zeros((n, n)), np.zeros(n)
    for k, part in enumerate(parts):
        own = np.arange(k, n, 3)  # interleaved
        gram[np.ix_(own, own)], linear[own] = part.gram, part.linear
    program = Program(
        gram=gram, linear=linear, constant=sum(p.constant for p in parts), units=tuple((j,) for j in range(n)),
        cost=np.full(n, parts[0].cost[0]),
    )  # fmt: skip
    solution = solve(program)
    assert len(reduce(program, joined=False).blocks) == 3
    assert solution.solver == "table"
    assert solution.objective == pytest.approx(sum(solve(p).objective for p in parts), rel=1e-12)
    for k, part in enumerate(parts):
        np.testing.assert_array_equal(solution.support[k::3], solve(part).support)
    limited = solve(replace(program, rules=Rules(at_most=int(solution.support.sum()) - 1)))
    assert limited.support.sum() == solution.support.sum() - 1
    assert limited.certified


def test_a_limit_over_uncorrelated_parts_is_exact():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        a, b = random_program(seed, n_columns=4, signal=3), random_program(seed + 50, n_columns=4, signal=3)
        gram = np.zeros((8, 8))
        gram[:4, :4], gram[4:, 4:] = a.gram, b.gram
        program = Program(
            gram=gram, linear=np.concatenate([a.linear, b.linear]), constant=a.constant + b.constant,
            units=tuple((j,) for j in range(8)), cost=np.full(8, a.cost[0]), rules=Rules(at_most=int(rng.integers(4))),
        )  # fmt: skip
        for solver in ("auto", "bnb"):
            check(program, solve(program, solver=solver))


def test_correlated_random_effects_couple_parameters():
    """The shortcut that ignores the correlation picks another support."""
    differ = 0
    for seed in range(20):
        program, diagonal = coupled_program(seed, n_subjects=60, n_covariates=4, correlation=0.8)
        for solver in ("table", "bnb"):
            solution = solve(program, solver=solver)
            check(program, solution)
        differ += not np.array_equal(solve(diagonal).support, solution.support)
    assert differ >= 5


def test_free_units_enter_and_are_certified():
    program = replace(random_program(2, n_columns=6), cost=np.zeros(6))
    solution = solve(program)
    assert solution.support.all()
    assert solution.certified


def test_rules_that_contradict_each_other_are_refused():
    program = random_program(0, n_columns=4, rules=Rules(forced=(0, 1), exclusive=((0, 1),)))
    with pytest.raises(SettingsError, match="contradict"):
        solve(program)


def test_missing_numbers_are_refused():
    program = random_program(0, n_columns=4)
    with pytest.raises(SettingsError, match="not finite"):
        solve(replace(program, linear=np.array([1.0, np.nan, 0, 0])))
    with pytest.raises(SettingsError, match="negative"):
        solve(replace(program, cost=np.array([1.0, -1, 0, 0])))
    with pytest.raises(SettingsError, match="partition"):
        solve(replace(program, units=((0,), (1,), (2,), (2,))))


def test_a_solver_with_memory_gives_the_same_answers():
    solver = Solver()
    program = random_program(0, n_columns=8, signal=2)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        factor = float(10 ** rng.uniform(-2, 2))  # another omega, another annealing factor
        again = replace(
            program, gram=program.gram * factor, linear=program.linear * factor * rng.uniform(0.5, 2),
            cost=program.cost * rng.uniform(0.5, 5), constant=program.constant * factor * 4,
        )  # fmt: skip
        fresh, known = solve(again), solver.solve(again)
        np.testing.assert_array_equal(fresh.support, known.support)
        assert known.objective == pytest.approx(fresh.objective, rel=1e-12)
    assert len(solver.engines) == 1
    other = random_program(99, n_columns=8)
    assert solver.solve(other).objective == solve(other).objective
    assert len(solver.engines) == 2


def test_the_same_question_has_the_same_answer():
    program = random_program(5, n_columns=25, n_subjects=100, signal=2)
    one, other = solve(program), solve(program)
    np.testing.assert_array_equal(one.beta, other.beta)
    assert (one.bound, one.nodes) == (other.bound, other.nodes)


def test_small_searches_do_not_load_the_compiler():
    code = """
import sys, numpy as np
from nlmevae.selection.program import Program
from nlmevae.selection.solve import solve
from nlmevae.selection.design import CovariateDesign
from nlmevae.selection.path import penalty_path, margins
p = 15
x = np.random.default_rng(0).standard_normal((50, p))
x -= x.mean(axis=0)
program = Program(gram=x.T @ x, linear=x.T @ x[:, 0], units=tuple((j,) for j in range(p)), cost=np.ones(p))
print(solve(program).solver, len(penalty_path(program)))
print(*sorted({m.split('.')[0] for m in sys.modules} & {'numba', 'llvmlite', 'torch', 'pandas', 'pyomo', 'highspy'}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    first, second = done.stdout.split("\n")[:2]
    assert first.startswith("table")
    assert second == ""


def test_the_table_can_answer_all_objectives():
    program = random_program(9, n_columns=6, signal=2)
    _, objectives = enumerate_supports(program)
    prepared = Prepared(program)
    assert prepared.solve().objective == pytest.approx(objectives.min(), rel=1e-10)
    assert prepared.solve(cost_factor=1e9).support.sum() == 0
    assert prepared.solve(cost_factor=1e-9).support.all()
