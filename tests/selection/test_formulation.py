"""The Pyomo model: its big-M values, its rules and its file."""

from itertools import product

import numpy as np
import pytest

from nlmevae.errors import OutputError
from nlmevae.selection.formulation import formulate, intervals, n_variables, write_lp
from nlmevae.selection.incumbent import incumbent
from nlmevae.selection.normal_form import normalise, refit
from tests.helpers.selection_programs import RULES, obeys, program_of, random_program, ruled_program

pyo = pytest.importorskip("pyomo.environ")


def small_scale(seed=0, n_subjects=189):
    """Columns of standard deviation 0.031 and 5e-4 and a yes/no one; effects 3.8 and 900 on the first two."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([
        0.031 * rng.standard_normal(n_subjects),
        5e-4 * rng.standard_normal(n_subjects),
        rng.random(n_subjects) < 0.4,
    ])  # fmt: skip
    return program_of(x / 0.1, (x @ [3.8, 900.0, 0.0] + 0.1 * rng.standard_normal(n_subjects)) / 0.1)


def put(formulation, program, support):
    """Set the model's variables to the least-squares solution of a support; returns the model."""
    model, form = formulation.model, formulation.form
    beta, _ = refit(program, support)
    b = beta[form.columns] / form.scale
    for j in model.b:
        model.b[j].value = b[j]
    for u in model.z:
        model.z[u].value = int(support[u])
    if hasattr(model, "e"):
        residual = form.target - form.factor @ b
        for i in model.e:
            model.e[i].value = residual[i]
    if hasattr(model, "out"):
        for u in model.out:
            model.out[u].value = 1 - int(support[u])
    return model


def violation(model):
    worst = 0.0
    for c in model.component_data_objects(pyo.Constraint, active=True):
        body = pyo.value(c.body)
        worst = max(worst, (pyo.value(c.lower) - body) if c.lower is not None else 0.0)
        worst = max(worst, (body - pyo.value(c.upper)) if c.upper is not None else 0.0)
    for v in model.component_data_objects(pyo.Var):
        worst = max(worst, (v.lb - v.value) if v.lb is not None else 0.0, (v.value - v.ub) if v.ub is not None else 0.0)
    return worst


def supports(program):
    return [np.array(s, dtype=bool) for s in product([False, True], repeat=program.n_units)]


@pytest.mark.parametrize("residuals", ["variables", "expanded"])
def test_the_objective_of_the_model_is_that_of_the_program(residuals):
    program = random_program(0, n_columns=5)
    formulation = formulate(program, residuals=residuals)
    for support in supports(program)[::3]:
        model = put(formulation, program, support)
        assert formulation.form.objective(pyo.value(model.objective)) == pytest.approx(
            refit(program, support)[1], rel=1e-9
        )


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_solution_as_good_as_the_known_one_satisfies_the_model(kind, seed):
    program = ruled_program(kind, seed)
    formulation = formulate(program)
    known = incumbent(program)[1]
    inside = 0
    for support in supports(program):
        if obeys(program.rules, support) and refit(program, support)[1] <= known + 1e-9:
            inside += 1
            assert violation(put(formulation, program, support)) < 1e-7
    assert inside >= 1


@pytest.mark.parametrize("kind", [k for k in RULES if k != "none"])
def test_supports_that_break_a_rule_violate_the_model(kind):
    program = ruled_program(kind, 0)
    model = formulate(program).model
    for support in supports(program):
        if obeys(program.rules, support):
            continue
        for u in model.z:
            model.z[u].value = int(support[u])
        broken = [c for c in model.rules.values() if pyo.value(c.body) > pyo.value(c.upper) + 1e-9]
        outside = [u for u in model.z if not model.z[u].lb <= model.z[u].value <= model.z[u].ub]
        left_out = [u for u in np.flatnonzero(support) if u not in model.z]
        assert broken or outside or left_out


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_of_a_column_contains_its_coefficient_in_every_support_as_good(seed):
    program = random_program(seed, n_columns=7, correlation=0.9, signal=2.0)
    form = normalise(program)
    values = [(s, form.value(refit(program, s)[1])) for s in supports(program)]
    upper = sorted(v for _, v in values)[40]  # a poor known solution: 41 supports must survive it
    low, high = intervals(form, upper, form.cost)
    for support, value in values:
        if value <= upper:
            b = refit(program, support)[0][form.columns] / form.scale
            for u in np.flatnonzero(support):
                assert low[u] <= b[u] <= high[u]


def test_a_unit_that_cannot_pay_for_itself_is_fixed_out():
    program = random_program(0, n_columns=3, signal=0.0)
    form = normalise(program)
    low, high = intervals(form, 0.5, form.cost)
    assert np.all(low > high)


def test_big_m_follows_the_scale_of_each_column():
    """A constant M of 100 would cut off the effect of 900 on the column of standard deviation 5e-4."""
    program = small_scale()
    formulation = formulate(program)
    support = np.array([True, True, False])
    model = put(formulation, program, support)
    assert violation(model) < 1e-7
    assert refit(program, support)[0][1] == pytest.approx(900, rel=0.05)
    low, high = intervals(formulation.form, formulation.form.value(formulation.objective), formulation.form.cost)
    reach = high[1] * formulation.form.scale[1]
    assert 900 < reach < 5000
    assert np.all(high - low < 20)


def test_a_singular_gram_matrix_is_formulated_without_big_m():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 4))
    x[:, 3] = x[:, 0]
    program = program_of(x, x[:, 0] + rng.standard_normal(40))
    formulation = formulate(program)
    assert hasattr(formulation.model, "entering")
    assert not hasattr(formulation.model, "no_more")
    for support in supports(program):
        assert violation(put(formulation, program, support)) < 1e-7


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("residuals", ["variables", "expanded"])
def test_the_number_of_variables_is_known_beforehand(kind, residuals):
    program = ruled_program(kind, 0)
    model = formulate(program, residuals=residuals).model
    assert n_variables(program, residuals) == len(list(model.component_data_objects(pyo.Var)))


def test_the_lp_file_tells_the_way_back_to_the_programs_units(tmp_path):
    program = random_program(1, n_columns=3)
    path = write_lp(program, tmp_path / "step.lp")
    text = path.read_text()
    form = normalise(program)
    assert text.startswith(f"\\ objective of the selection step = {form.unit_cost!r} * ")
    assert f"b(2): {float(form.scale[2])!r} (column 2)" in text
    for word in ("min", "s.t.", "binary", "z(0)", "b(2)"):
        assert word in text


def test_the_lp_file_has_the_programs_optimum(tmp_path):
    """Read by a solver of its own, whose answer is translated by what the first line says."""
    gurobipy = pytest.importorskip("gurobipy", reason="gurobipy, which reads LP files, is not installed")
    program = random_program(1, n_columns=4, signal=2.0)
    path = write_lp(program, tmp_path / "step.lp")
    factor, offset = (float(w) for w in path.read_text().splitlines()[0].split("= ")[1].split(
        " * (value of this file's objective) + "))  # fmt: skip
    with gurobipy.Env(params={"OutputFlag": 0}) as env, gurobipy.read(str(path), env=env) as model:
        model.setParam("MIPGap", 0.0)
        model.optimize()
        value = model.ObjVal
    best = min(refit(program, s)[1] for s in supports(program))
    assert factor * value + offset == pytest.approx(best, abs=1e-5)


def test_an_lp_file_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        write_lp(random_program(0, n_columns=2), tmp_path / "absent" / "step.lp")
