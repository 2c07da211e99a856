"""The units every solver works in, and the least-squares refit every answer goes through."""

import numpy as np
import pytest

from nlmevae.errors import SettingsError
from nlmevae.selection.normal_form import effect_cost, normalise, refit
from nlmevae.selection.program import Program, Rules
from tests.helpers.selection_programs import objective_of, program_of, random_program


def value_at(form, b, support):
    return float(np.sum((form.target - form.factor @ b) ** 2) + form.cost[support].sum())


@pytest.mark.parametrize("seed", range(4))
def test_the_objective_is_the_same_in_both_units_at_any_point(seed):
    program = random_program(seed, n_columns=5)
    form = normalise(program)
    rng = np.random.default_rng(seed)
    b, support = rng.standard_normal(5), rng.random(5) < 0.5
    beta = np.zeros(5)
    beta[form.columns] = b * form.scale
    direct = beta @ program.gram @ beta - 2 * program.linear @ beta + program.constant + program.cost[support].sum()
    assert form.objective(value_at(form, b, support)) == pytest.approx(direct, rel=1e-10)
    assert form.value(direct) == pytest.approx(value_at(form, b, support), abs=1e-8)


def test_one_effect_costs_one_and_columns_have_length_one():
    form = normalise(random_program(3, n_columns=5))
    np.testing.assert_allclose(form.cost, 1.0)
    np.testing.assert_allclose(np.sum(form.factor**2, axis=0), 1.0)


def test_the_least_value_without_charges_is_zero():
    form = normalise(random_program(1, n_columns=6))
    b = np.linalg.solve(form.gram, form.linear)
    assert np.sum((form.target - form.factor @ b) ** 2) == pytest.approx(0.0, abs=1e-18)


def test_banned_empty_and_dependent_columns_of_one_unit_are_left_out():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 5))
    x[:, 1] = 7.0  # constant
    x[:, 3] = 2 * x[:, 2]  # depends on its own unit
    program = program_of(x, rng.standard_normal(40), ((0,), (1,), (2, 3), (4,)), Rules(banned=(3,)))
    gram = program.gram.copy()
    gram[1] = gram[:, 1] = 0.0
    form = normalise(Program(gram=gram, linear=program.linear, units=program.units, cost=program.cost,
                             rules=program.rules))  # fmt: skip
    assert len(form.columns) == 2
    assert form.columns[0] == 0
    assert [len(u) for u in form.units] == [1, 0, 1, 0]
    assert form.nonsingular


def test_dependence_across_units_makes_the_form_singular_but_keeps_the_objective():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 4))
    x[:, 3] = x[:, 0] - x[:, 1]
    program = program_of(x, rng.standard_normal(30))
    form = normalise(program)
    assert not form.nonsingular
    b = rng.standard_normal(4)
    beta = b * form.scale
    direct = beta @ program.gram @ beta - 2 * program.linear @ beta + program.constant
    assert form.objective(value_at(form, b, np.zeros(4, dtype=bool))) == pytest.approx(direct, rel=1e-9)


def test_a_linear_term_outside_the_range_of_the_gram_matrix_is_refused():
    gram = np.ones((2, 2))
    with pytest.raises(SettingsError, match="no minimum"):
        normalise(Program(gram=gram, linear=np.array([1.0, -1.0]), units=((0,), (1,)), cost=np.ones(2)))


def test_the_cost_of_one_effect_is_the_median_of_the_positive_ones():
    program = random_program(0, n_columns=4, cost=np.array([0.0, 3.0, 5.0, 9.0]))
    assert effect_cost(program) == 5.0
    assert effect_cost(random_program(0, n_columns=2, cost=np.zeros(2))) == 1.0


def test_refit_is_least_squares_with_exact_zeros_elsewhere():
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((50, 4)) * [1, 1e-4, 1e3, 1], rng.standard_normal(50)
    program = program_of(x, y)
    support = np.array([True, True, False, True])
    beta, objective = refit(program, support)
    fitted = np.linalg.lstsq(x[:, support] - x[:, support].mean(axis=0), y - y.mean(), rcond=None)[0]
    np.testing.assert_allclose(beta[support], fitted, rtol=1e-9)
    assert beta[2] == 0.0
    assert objective == pytest.approx(objective_of(program, support), rel=1e-12)


def test_refit_of_a_dependent_support_has_the_least_squares_objective():
    rng = np.random.default_rng(6)
    x = rng.standard_normal((30, 3))
    x[:, 2] = x[:, 0] + x[:, 1]
    program = program_of(x, rng.standard_normal(30))
    beta, objective = refit(program, np.ones(3, dtype=bool))
    assert np.sum(beta != 0) == 2
    assert objective == pytest.approx(objective_of(program, np.ones(3, dtype=bool)), rel=1e-10)
