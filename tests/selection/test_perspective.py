"""Bounds of the residual sum of squares that hold for every support."""

from itertools import product

import numpy as np
import pytest

from nlmevae.selection.normal_form import normalise
from nlmevae.selection.perspective import (
    bound_of,
    cut_at,
    monotone_cut,
    point_of_support,
    point_of_weights,
    relax,
    split,
    strengthen,
)
from tests.helpers.selection_programs import obeys, objective_of, program_of, random_program, ruled_program


def allowed(program):
    supports = (np.array(s, dtype=bool) for s in product([False, True], repeat=program.n_units))
    return [s for s in supports if obeys(program.rules, s)]


def rss(program, form, support):
    return form.value(objective_of(program, support)) - form.cost[support].sum()


def assert_below(program, form, cut):
    for support in allowed(program):
        assert cut.level - cut.weight[support].sum() <= rss(program, form, support) + 1e-6


PROBLEMS = [
    random_program(0, n_columns=6, correlation=0.9),
    random_program(1, n_columns=6, correlation=0.0, signal=3.0),
    random_program(2, n_columns=6, n_subjects=12, correlation=0.5),
    ruled_program("exclusive", 3),
    ruled_program("several columns", 4),
    ruled_program("mixed", 5),
]


@pytest.mark.parametrize("program", PROBLEMS)
def test_a_cut_at_any_point_bounds_every_allowed_support(program):
    form = normalise(program)
    parts = split(form, program.rules.exclusive)
    rng = np.random.default_rng(0)
    for _ in range(10):
        assert_below(program, form, cut_at(parts, 3 * rng.standard_normal(len(form.columns))))
        assert_below(program, form, cut_at(parts, point_of_weights(parts, rng.random(program.n_units))))


@pytest.mark.parametrize("program", PROBLEMS)
def test_the_cut_of_an_allowed_support_is_exact_there(program):
    form = normalise(program)
    parts = split(form, program.rules.exclusive)
    for support in allowed(program)[::5]:
        cut = cut_at(parts, point_of_support(parts, support))
        usable = support & np.array([len(u) > 0 for u in form.units])
        assert cut.level - cut.weight[usable].sum() == pytest.approx(rss(program, form, support), abs=1e-6)


@pytest.mark.parametrize("program", PROBLEMS)
def test_what_is_left_of_the_gram_matrix_is_positive_semidefinite(program):
    parts = split(normalise(program), program.rules.exclusive)
    assert np.linalg.eigvalsh(parts.rest)[0] >= 0
    assert np.all(np.diag(parts.gram - parts.rest) > 0)


def test_the_split_takes_more_than_the_smallest_eigenvalue():
    parts = split(normalise(random_program(0, n_columns=10, n_subjects=200, correlation=0.9)), ())
    taken = np.trace(parts.gram - parts.rest)
    assert taken > 1.1 * 10 * np.linalg.eigvalsh(parts.gram)[0]


def test_the_root_bound_is_close_where_effects_are_clear():
    program = random_program(0, n_columns=10, n_subjects=2000, signal=3.0)
    form = normalise(program)
    parts = split(form, ())
    free = np.full(10, -1)
    bound = bound_of(parts, cut_at(parts, relax(parts, free, rounds=40)[1]), free)
    best = min(form.value(objective_of(program, s)) for s in allowed(program))
    assert best - 0.5 < bound <= best + 1e-9


@pytest.mark.parametrize("program", PROBLEMS)
def test_the_bound_of_a_branch_holds_for_every_support_in_it(program):
    form = normalise(program)
    parts = split(form, program.rules.exclusive)
    rng = np.random.default_rng(0)
    for _ in range(20):
        state = rng.integers(-1, 2, program.n_units)
        inside = [s for s in allowed(program) if np.all((state < 0) | (s == state))]
        bound = bound_of(parts, cut_at(parts, relax(parts, state, rounds=5)[1]), state)
        assert all(bound <= form.value(objective_of(program, s)) + 1e-6 for s in inside)


def test_columns_of_a_dependence_across_units_are_free_and_the_bound_holds():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 5))
    x[:, 4] = x[:, 0] + x[:, 1]
    program = program_of(x, x[:, 0] + rng.standard_normal(40))
    form = normalise(program)
    parts = split(form, ())
    assert parts.free.tolist() == [True, True, False, False, True]
    for support in allowed(program):
        assert_below(program, form, cut_at(parts, point_of_support(parts, support)))


def test_the_monotone_cut_bounds_every_support_and_is_exact_at_its_own():
    program = random_program(7, n_columns=6, signal=2.0)
    form = normalise(program)
    for support in allowed(program)[::7]:
        cut = monotone_cut(rss(program, form, support), support)
        assert_below(program, form, cut)
        assert cut.level - cut.weight[support].sum() == pytest.approx(rss(program, form, support))


def test_strengthening_keeps_the_bound_where_it_says_anything():
    program = ruled_program("forced", 2)
    form = normalise(program)
    parts = split(form, ())
    forced = np.isin(np.arange(7), program.rules.forced)
    for support in allowed(program)[::4]:
        cut = cut_at(parts, point_of_support(parts, support))
        strong = strengthen(cut, forced)
        for other in allowed(program):
            before, after = cut.level - cut.weight[other].sum(), strong.level - strong.weight[other].sum()
            assert after >= before - 1e-9
            assert after <= rss(program, form, other) + 1e-6
