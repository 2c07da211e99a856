"""The latent form keeps what the decoder needs and nothing else."""

import dataclasses

import numpy as np
import pytest
import torch
from tests.helpers.pk_models import event_table, log_normal, oral_model, times

from nlmevae.codegen.graph import Function, Graph
from nlmevae.codegen.latent_form import latent_form
from nlmevae.codegen.print_torch import emit_torch, link_torch
from nlmevae.codegen.show import generated_code
from nlmevae.errors import SemanticError, UnsupportedError
from nlmevae.ir import (
    Assign,
    Binary,
    Call,
    Compare,
    CovarianceBlock,
    If,
    IndividualParameter,
    Number,
    Program,
    StructuralModel,
    Symbol,
    Transform,
)


def call(function, *values):
    return [float(v) for v in link_torch(function)(*(torch.tensor(v, dtype=torch.float64) for v in values))]


def test_the_decoder_of_a_mu_referenced_model_reads_no_theta():
    form = latent_form(oral_model(), event_table())
    assert form.input_names == ("Z(1)", "Z(2)", "Z(3)")
    assert form.structural == ()
    assert form.parameters == ("KA", "K", "S2")
    assert call(form.individual, 0.0, 1.0, 2.0) == pytest.approx([1.0, np.e, np.e**2])


def test_mu_is_the_transformed_typical_value():
    form = latent_form(oral_model(), event_table())
    assert form.mu.inputs == ("THETA(1)", "THETA(2)", "THETA(3)")
    assert call(form.mu, 1.5, 0.08, 32.0) == pytest.approx(np.log([1.5, 0.08, 32.0]))


def test_a_theta_without_random_effect_becomes_a_decoder_input():
    model = oral_model()
    pk = (Assign("KA", Symbol("THETA(1)")), *model.program.pk[1:])
    model = dataclasses.replace(
        model,
        program=dataclasses.replace(model.program, pk=pk),
        omega=model.omega[1:],
        individual_parameters=model.individual_parameters[1:],
    )
    form = latent_form(model, event_table())
    assert form.input_names == ("Z(1)", "Z(2)", "THETA(1)")
    assert call(form.individual, 0.0, 0.0, 1.7)[form.parameters.index("KA")] == 1.7


def test_a_fixed_theta_is_a_constant():
    model = oral_model()
    pk = (Assign("KA", Symbol("THETA(1)")), *model.program.pk[1:])
    model = dataclasses.replace(
        model,
        program=dataclasses.replace(model.program, pk=pk),
        thetas=(dataclasses.replace(model.thetas[0], fixed=True), *model.thetas[1:]),
        omega=model.omega[1:],
        individual_parameters=model.individual_parameters[1:],
    )
    form = latent_form(model, event_table())
    assert form.structural == ()
    assert call(form.individual, 0.0, 0.0)[form.parameters.index("KA")] == 1.5


def test_an_effect_without_a_parameter_is_a_latent_with_mean_zero():
    """KA = THETA(1)*(1 + ETA(1)); ETA(4) is read by $ERROR only, as is ETA(5) by the residual error alone."""
    model = oral_model()
    proportional = times(Symbol("THETA(1)"), Binary("+", Number(1.0), Symbol("ETA(1)")))
    error = (
        Assign("IPRED", times(Symbol("F"), Call("EXP", (Symbol("ETA(4)"),)))),
        Assign("Y", Binary("+", Symbol("IPRED"), times(Symbol("EPS(1)"), Call("EXP", (Symbol("ETA(5)"),))))),
    )
    more = tuple(CovarianceBlock(names=(f"ETA({k})",), matrix=((0.1,),)) for k in (4, 5))
    model = dataclasses.replace(
        model,
        program=dataclasses.replace(model.program, pk=(Assign("KA", proportional), *model.program.pk[1:]), error=error),
        omega=(*model.omega, *more),
        individual_parameters=model.individual_parameters[1:],
    )
    form = latent_form(model, event_table())
    assert [latent.name for latent in form.latents] == ["ETA(1)", "K", "V", "ETA(4)", "ETA(5)"]
    assert form.structural == ("THETA(1)",)
    assert call(form.mu, 0.08, 32.0) == pytest.approx([0.0, np.log(0.08), np.log(32.0), 0.0, 0.0])
    values = dict(zip(form.parameters, call(form.individual, 0.5, 0.0, 0.0, 0.2, 0.0, 1.5), strict=True))
    assert values["KA"] == pytest.approx(1.5 * 1.5)
    assert values["ETA(4)"] == 0.2
    inputs = {**dict.fromkeys(form.output.inputs, 1.0), "ETA(4)": 0.2}
    assert call(form.output, *inputs.values()) == pytest.approx([np.exp(0.2)])


def test_a_random_effect_fixed_at_zero_is_no_latent_variable():
    model = oral_model()
    zero = CovarianceBlock(names=("ETA(1)",), matrix=((0.0,),), fixed=True)
    form = latent_form(dataclasses.replace(model, omega=(zero, *model.omega[1:])), event_table())
    assert [latent.eta for latent in form.latents] == ["ETA(2)", "ETA(3)"]
    assert form.structural == ("THETA(1)",)


def test_covariates_in_typical_values_move_mu_and_not_the_decoder():
    typical = times(Symbol("THETA(1)"), Binary("/", Symbol("WT"), Number(70.0)))
    model = oral_model()
    pk = (Assign("KA", times(typical, Call("EXP", (Symbol("ETA(1)"),)))), *model.program.pk[1:])
    model = dataclasses.replace(model, program=dataclasses.replace(model.program, pk=pk))
    form = latent_form(model, event_table(covariates={"WT": np.array([50.0, 70.0, 90.0])}))
    assert form.individual.inputs == ("Z(1)", "Z(2)", "Z(3)", "WT")
    assert form.individual.graph.inputs_of(form.individual.output_nodes) == {"Z(1)", "Z(2)", "Z(3)"}
    mu = dict(zip(form.mu.inputs, (1.5, 0.08, 32.0, 50.0), strict=True))
    assert call(form.mu, *mu.values())[0] == pytest.approx(np.log(1.5 * 50 / 70))


def test_a_typical_value_that_differs_by_branch_is_a_select_in_mu():
    condition = Compare("==", Symbol("SEX"), Number(1.0))
    branch = If(arms=((condition, (Assign("KA", log_normal(1, 1)),)),), orelse=(Assign("KA", log_normal(2, 1)),))
    model = oral_model()
    model = dataclasses.replace(model, program=dataclasses.replace(model.program, pk=(branch, *model.program.pk[1:])))
    form = latent_form(model, event_table(covariates={"SEX": np.array([0.0, 1.0, 1.0])}))
    assert call(form.mu, 1.5, 0.08, 32.0, 1.0)[0] == pytest.approx(np.log(1.5))
    assert call(form.mu, 1.5, 0.08, 32.0, 0.0)[0] == pytest.approx(np.log(0.08))
    assert call(form.individual, 0.3, 0.0, 0.0, 1.0)[0] == pytest.approx(np.exp(0.3))


def test_a_lagged_dose_with_a_changing_bioavailability_is_refused():
    rows = {"FED": np.array([0.0, 1.0, 1.0, 1.0])}
    table = dataclasses.replace(
        event_table(covariates={"FED": np.zeros(3)}),
        cov=rows["FED"][:, None],
        cov_time=np.array([1.0, 2.0, 0.0, 0.0]),
        cov_ptr=np.array([0, 2, 3, 4], dtype=np.int32),
    )
    fraction = Assign("F1", Binary("+", Number(0.5), times(Symbol("FED"), Number(0.3))))
    latent_form(_with_fraction(oral_model(bioavailability=True), fraction), table)
    with pytest.raises(UnsupportedError, match="F1 depends on FED"):
        latent_form(_with_fraction(oral_model(bioavailability=True, lag=True), fraction), table)


def _with_fraction(model, fraction):
    pk = tuple(fraction if s.target == "F1" else s for s in model.program.pk)
    return dataclasses.replace(model, program=dataclasses.replace(model.program, pk=pk))


def test_an_initial_amount_is_zero_where_its_condition_does_not_hold():
    condition = Compare("==", Symbol("SEX"), Number(1.0))
    model = oral_model(extra_pk=(If(arms=((condition, (Assign("A_0(1)", Number(5.0)),)),)),))
    depot = dataclasses.replace(model.structural.compartments[0], initial="A_0(1)")
    structural = dataclasses.replace(model.structural, compartments=(depot, model.structural.compartments[1]))
    form = latent_form(
        dataclasses.replace(model, structural=structural),
        event_table(covariates={"SEX": np.array([1.0, 0.0, 0.0])}),
    )
    at = form.parameters.index("A_0(1)")
    assert [call(form.individual, 0.0, 0.0, 0.0, sex)[at] for sex in (1.0, 0.0)] == [5.0, 0.0]


@pytest.mark.parametrize(
    ("transform", "psi", "z"),
    [
        (Transform(kind="identity"), 1.7, 1.7),
        (Transform(kind="log"), 1.7, np.log(1.7)),
        (Transform(kind="log", lower=0.5), 1.7, np.log(1.2)),
        (Transform(kind="logit", lower=0.0, upper=2.0), 1.7, np.log(1.7 / 0.3)),
    ],
)
def test_transforms_and_their_inverses_agree_with_their_definitions(transform, psi, z):
    model = oral_model()
    parameter = dataclasses.replace(model.individual_parameters[0], transform=transform)
    model = dataclasses.replace(model, individual_parameters=(parameter, *model.individual_parameters[1:]))
    form = latent_form(model, event_table())
    assert call(form.individual, z, 0.0, 0.0)[0] == pytest.approx(psi)
    assert call(form.mu, psi, 0.08, 32.0)[0] == pytest.approx(z)


def test_a_name_without_a_value_on_the_branch_taken_is_not_a_number():
    late = If(arms=((Compare(">", Symbol("F"), Number(0.0)), (Assign("IPRED", Call("LOG", (Symbol("F"),))),)),))
    error = (late, Assign("Y", Binary("+", Symbol("IPRED"), Symbol("EPS(1)"))))
    form = latent_form(oral_model(error=error), event_table())
    inputs = dict.fromkeys(form.output.inputs, 1.0)
    assert call(form.output, *{**inputs, "A(2)": np.e}.values()) == pytest.approx([1.0])
    assert np.isnan(call(form.output, *{**inputs, "A(2)": -1.0}.values())).all()


def test_complementary_if_blocks_give_one_parameter():
    def block(level, theta):
        return If(arms=((Compare("==", Symbol("SEX"), Number(level)), (Assign("KA", log_normal(theta, 1)),)),))

    model = oral_model()
    pk = (block(1.0, 1), block(2.0, 2), *model.program.pk[1:])
    model = dataclasses.replace(model, program=dataclasses.replace(model.program, pk=pk))
    form = latent_form(model, event_table(covariates={"SEX": np.array([1.0, 2.0, 1.0])}))
    assert call(form.mu, 1.5, 0.08, 32.0, 1.0)[0] == pytest.approx(np.log(1.5))
    assert call(form.mu, 1.5, 0.08, 32.0, 2.0)[0] == pytest.approx(np.log(0.08))
    assert np.isnan(call(form.mu, 1.5, 0.08, 32.0, 3.0)[0])


def test_code_kept_only_for_tables_is_not_executed():
    dose_time = If(arms=((Compare(">", Symbol("AMT"), Number(0.0)), (Assign("BTIME", Symbol("TIME")),)),))
    after = Assign("TAD", Binary("-", Symbol("TIME"), Symbol("BTIME")))
    form = latent_form(oral_model(extra_pk=(dose_time, after)), event_table())
    assert form.parameters == ("KA", "K", "S2")


def test_a_name_that_never_gets_a_value_is_an_error():
    error = (Assign("Y", Binary("+", Symbol("NOWHERE"), Symbol("EPS(1)"))),)
    with pytest.raises(SemanticError, match="NOWHERE is read here"):
        latent_form(oral_model(error=error), event_table())


def test_a_formula_model_has_its_parameters_as_inputs_of_the_output():
    decay = Call("EXP", (Binary("*", Binary("-", Number(0.0), Symbol("K")), Symbol("TIME")),))
    program = Program(
        error=(
            Assign("K", log_normal(1, 1)),
            Assign("A", Binary("+", Symbol("THETA(2)"), Symbol("ETA(2)"))),
            Assign("Y", Binary("+", times(Symbol("A"), decay), Symbol("EPS(1)"))),
        )
    )
    identity = IndividualParameter(
        name="A", eta="ETA(2)", transform=Transform(kind="identity"), mu_linear=True, thetas=("THETA(2)",)
    )
    base = oral_model()
    model = dataclasses.replace(
        base,
        program=program,
        structural=StructuralModel(),
        thetas=base.thetas[:2],
        omega=base.omega[:2],
        individual_parameters=(dataclasses.replace(base.individual_parameters[0], name="K"), identity),
    )
    time = np.array([0.5, 1.0, 2.0])
    table = event_table(n_subjects=1, observations=time, doses=(), observed=0, record_items={"TIME": time})
    form = latent_form(model, table)
    assert form.n_compartments == 0
    assert form.observed == (0,)
    assert form.parameters == ("K", "A")
    assert form.output.inputs == ("T", "K", "A", "TIME")
    assert call(form.output, 0.0, 0.3, 5.0, 2.0) == pytest.approx([5 * np.exp(-0.6)])


def test_generated_code_is_legal_python_with_the_models_own_names():
    text = generated_code(oral_model(), event_table())
    compile(text, "generated", "exec")
    assert "DADT_2_" in text
    assert "Z(1) = log(KA) = mu(1) + ETA(1)" in text


def test_a_shared_subexpression_is_computed_once():
    form = latent_form(oral_model(lag=True), event_table())
    assert emit_torch(form.individual).count("torch.exp(Z_1_)") == 1


def test_torch_code_stays_in_double_precision_where_both_branches_are_numbers():
    graph = Graph()
    x = graph.input("x")
    node = graph.select(graph.apply("lt", x, graph.constant(0.0)), graph.constant(0.1), graph.constant(0.2))
    function = Function(name="f", graph=graph, inputs=("x",), outputs=(("o", node),))
    assert call(function, -1.0) == [0.1]
    assert call(function, 1.0) == [0.2]


def test_torch_code_of_a_constant_that_is_not_a_number_runs():
    graph = Graph()
    x = graph.input("x")
    node = graph.add(x, graph.apply("log", graph.constant(-1.0)))
    function = Function(name="f", graph=graph, inputs=("x",), outputs=(("o", node),))
    assert np.isnan(call(function, 1.0)[0])
