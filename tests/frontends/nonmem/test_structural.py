"""The linear models' rate constants and equations, against published closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from nlmevae.frontends.nonmem.read import lower_control_stream
from nlmevae.frontends.nonmem.records import source_text
from nlmevae.ir import Model, names_assigned
from nlmevae.ir.evaluate import run
from tests.helpers.control_streams import accepted

DOSE = 100.0
TIMES = np.array([0.25, 1.0, 3.0, 8.0, 24.0])


def linear(advan: int, trans: int, pk: str) -> Model:
    """An ADVAN model whose $PK is `pk` (names = numbers) with one ETA on the first of them."""
    first, *rest = pk.splitlines()
    text = f"""$PROBLEM x
$INPUT ID TIME AMT DV
$DATA d.csv
$SUBROUTINES ADVAN{advan} TRANS{trans}
$PK
{first}*THETA(1)*EXP(ETA(1))
{chr(10).join(rest)}
$ERROR
Y = F + EPS(1)
$THETA 1
$OMEGA 0.1
$SIGMA 0.1
"""
    return lower_control_stream(source_text(text, "x.ctl"))


def individual(model: Model) -> dict[str, float]:
    return run(model.program.pk, {"THETA(1)": 1.0, "ETA(1)": 0.0})


def observed_amount(model: Model) -> np.ndarray:
    """Amount in the default observation compartment after a bolus into the default dose compartment."""
    values = individual(model)
    n = len(model.structural.compartments)

    def rhs(t: float, a: np.ndarray) -> list[float]:
        env = values | {f"A({k + 1})": a[k] for k in range(n)} | {"T": t}
        after = run(model.program.des, env)
        return [after[f"DADT({k + 1})"] for k in range(n)]

    start = np.zeros(n)
    start[model.structural.default_dose - 1] = DOSE
    solution = solve_ivp(rhs, (0.0, TIMES[-1]), start, t_eval=TIMES, rtol=1e-10, atol=1e-10, method="LSODA")
    return solution.y[model.structural.default_observation - 1]


def rates(model: Model) -> list[float]:
    values = individual(model)
    return [float(values[name]) for name in model.structural.rate_constants]


def macro_constants(k: float, k_out: float, k_back: float) -> tuple[float, float]:
    """alpha and beta of a two-compartment model (Gibaldi and Perrier, Pharmacokinetics, 1982, chapter 2)."""
    total = k + k_out + k_back
    root = np.sqrt(total * total - 4.0 * k * k_back)
    return 0.5 * (total + root), 0.5 * (total - root)


def test_one_compartment_decays_exponentially():
    model = linear(1, 2, "CL = 4\nV = 30")
    assert rates(model) == [4.0 / 30.0]
    np.testing.assert_allclose(observed_amount(model), DOSE * np.exp(-4.0 / 30.0 * TIMES), rtol=1e-7)


@pytest.mark.parametrize(("trans", "pk"), [(2, "CL = 4\nV = 30\nKA = 1.2"), (1, "K = 4/30\nKA = 1.2")])
def test_absorption_follows_the_bateman_equation(trans, pk):
    model = linear(2, trans, pk)
    ka, k = 1.2, 4.0 / 30.0
    assert rates(model) == pytest.approx([ka, k])
    expected = DOSE * ka / (ka - k) * (np.exp(-k * TIMES) - np.exp(-ka * TIMES))
    np.testing.assert_allclose(observed_amount(model), expected, rtol=1e-7)
    assert (model.structural.default_dose, model.structural.default_observation) == (1, 2)


@pytest.mark.parametrize(
    ("trans", "pk"),
    [
        (4, "CL = 4\nV1 = 10\nQ = 2\nV2 = 20"),
        (3, "CL = 4\nV = 10\nQ = 2\nVSS = 30"),
        (1, "K = 0.4\nK12 = 0.2\nK21 = 0.1"),
    ],
)
def test_two_compartments_are_biexponential(trans, pk):
    model = linear(3, trans, pk)
    assert rates(model) == pytest.approx([0.4, 0.2, 0.1])
    alpha, beta = macro_constants(0.4, 0.2, 0.1)
    fast, slow = (alpha - 0.1) / (alpha - beta), (0.1 - beta) / (alpha - beta)
    expected = DOSE * (fast * np.exp(-alpha * TIMES) + slow * np.exp(-beta * TIMES))
    np.testing.assert_allclose(observed_amount(model), expected, rtol=1e-7)
    assert (model.structural.default_dose, model.structural.default_observation) == (1, 1)


@pytest.mark.parametrize(
    ("trans", "pk"),
    [
        (4, "CL = 4\nV2 = 10\nQ = 2\nV3 = 20\nKA = 1.5"),
        (3, "CL = 4\nV = 10\nQ = 2\nVSS = 30\nKA = 1.5"),
        (1, "K = 0.4\nK23 = 0.2\nK32 = 0.1\nKA = 1.5"),
    ],
)
def test_two_compartments_with_absorption_are_triexponential(trans, pk):
    model = linear(4, trans, pk)
    ka, k21 = 1.5, 0.1
    assert rates(model) == pytest.approx([ka, 0.4, 0.2, k21])
    alpha, beta = macro_constants(0.4, 0.2, k21)
    expected = (
        ka
        * DOSE
        * (
            (k21 - alpha) / ((ka - alpha) * (beta - alpha)) * np.exp(-alpha * TIMES)
            + (k21 - beta) / ((ka - beta) * (alpha - beta)) * np.exp(-beta * TIMES)
            + (k21 - ka) / ((alpha - ka) * (beta - ka)) * np.exp(-ka * TIMES)
        )
    )
    np.testing.assert_allclose(observed_amount(model), expected, rtol=1e-7)
    assert (model.structural.default_dose, model.structural.default_observation) == (1, 2)


def exponents(model: Model) -> np.ndarray:
    """Eigenvalues of minus the rate matrix, the largest first."""
    values, structural = individual(model), model.structural
    matrix = np.zeros((len(structural.compartments),) * 2)
    for name, (source, to) in zip(structural.rate_constants, structural.flows, strict=True):
        matrix[source - 1, source - 1] += values[name]
        if to:
            matrix[to - 1, source - 1] -= values[name]
    return np.sort(np.linalg.eigvals(matrix))[::-1]


@pytest.mark.parametrize(
    ("advan", "trans", "pk"),
    [
        (3, 6, "ALPHA = 1.1\nBETA = 0.2\nK21 = 0.5"),
        (4, 6, "ALPHA = 1.1\nBETA = 0.2\nK32 = 0.5\nKA = 3"),
        (3, 5, "AOB = 2.5\nALPHA = 1.1\nBETA = 0.2"),
        (4, 5, "AOB = 2.5\nALPHA = 1.1\nBETA = 0.2\nKA = 3"),
        (11, 6, "ALPHA = 1.1\nBETA = 0.2\nGAMMA = 0.02\nK21 = 0.5\nK31 = 0.05"),
        (12, 6, "ALPHA = 1.1\nBETA = 0.2\nGAMMA = 0.02\nK32 = 0.5\nK42 = 0.05\nKA = 3"),
    ],
)
def test_exponents_are_those_the_parameters_state(advan, trans, pk):
    model = linear(advan, trans, pk)
    stated = [1.1, 0.2] + [0.02] * (advan > 10) + [3.0] * (advan in (4, 12))
    np.testing.assert_allclose(exponents(model), np.sort(stated)[::-1], rtol=1e-12)
    back = {3: "K21", 4: "K32", 11: "K21", 12: "K32"}[advan]
    expected = 0.5 if trans == 6 else (2.5 * 0.2 + 1.1) / 3.5
    assert individual(model)[back] == pytest.approx(expected, rel=1e-14)


def test_the_ratio_of_coefficients_is_that_of_the_curve():
    """TRANS5: amount after a bolus = A exp(-ALPHA t) + B exp(-BETA t), A/B = AOB."""
    model = linear(3, 5, "AOB = 2.5\nALPHA = 1.1\nBETA = 0.2")
    expected = DOSE * (2.5 * np.exp(-1.1 * TIMES) + np.exp(-0.2 * TIMES)) / 3.5
    np.testing.assert_allclose(observed_amount(model), expected, rtol=1e-7)


@pytest.mark.parametrize(
    ("advan", "pk", "expected"),
    [
        (11, "CL = 4\nV1 = 10\nQ2 = 2\nV2 = 20\nQ3 = 3\nV3 = 60", [0.4, 0.2, 0.1, 0.3, 0.05]),
        (12, "KA = 3\nCL = 4\nV2 = 10\nQ3 = 2\nV3 = 20\nQ4 = 3\nV4 = 60", [3.0, 0.4, 0.2, 0.1, 0.3, 0.05]),
    ],
)
def test_three_compartments_by_clearances_and_volumes(advan, pk, expected):
    model = linear(advan, 4, pk)
    assert rates(model) == pytest.approx(expected)
    assert (model.structural.default_dose, model.structural.default_observation) == (1, advan - 10)


def test_flows_of_a_general_linear_model_follow_from_the_names_of_its_rate_constants():
    structural = accepted("advan5").structural
    assert structural.rate_constants == ("K13", "K34", "K42", "K20", "K2T5", "K5T0")
    assert structural.flows == ((1, 3), (3, 4), (4, 2), (2, 0), (2, 5), (5, 0))
    assert (structural.default_dose, structural.default_observation, structural.closed_form) == (1, 2, "linear")
    assert [c.scale for c in structural.compartments] == [None, "S2", None, None, "S5"]
    model = accepted("advan7")
    assert model.structural.flows == ((1, 2), (2, 0))
    assert (model.structural.default_dose, model.structural.default_observation) == (1, 2)


def test_compartments_of_two_digits_are_read_where_only_one_reading_exists():
    flows = general_linear("K10 = THETA(1)*EXP(ETA(1))\nK1T12 = 2\nK12T1 = 3\nK123 = 4\nK139 = 5\nK213 = 6", 12)
    assert flows.structural.flows == ((1, 0), (1, 12), (12, 1), (12, 3), (2, 0))
    assert general_linear("K10 = THETA(1)*EXP(ETA(1))\nK123 = 4", 3).structural.flows == ((1, 0),)


def general_linear(pk: str, n: int) -> Model:
    text = f"""$PROBLEM x
$INPUT ID TIME AMT DV
$DATA d.csv
$SUBROUTINES ADVAN7
$MODEL NCOMP={n}
$PK
{pk}
$ERROR
Y = F + EPS(1)
$THETA 1
$OMEGA 0.1
$SIGMA 0.1
"""
    return lower_control_stream(source_text(text, "x.ctl"))


def test_michaelis_menten_elimination_is_that_of_amounts():
    model = accepted("advan10")
    values = run(model.program.pk, {"THETA(1)": 12.0, "THETA(2)": 3.0, "THETA(3)": 10.0, "ETA(1)": 0.0, "ETA(2)": 0.0})
    slope = run(model.program.des, values | {"A(1)": 20.0})["DADT(1)"]
    assert slope == pytest.approx(-12.0 * 20.0 / (30.0 + 20.0))
    assert (model.structural.closed_form, model.structural.compartments[0].scale) == (None, "S1")


def test_sc_is_the_scale_of_the_central_compartment():
    assert accepted("scale_of_central").structural.compartments[0].scale == "SC"
    depot, central, *_ = accepted("advan12_trans4").structural.compartments
    assert (depot.scale, central.scale) == (None, "SC")


def test_parameters_of_the_output_compartment_are_noted():
    (note,) = [d for d in accepted("output_fraction").diagnostics if d.code == "output-compartment"]
    assert (note.severity, "F0" in note.message) == ("note", True)


def test_the_initialisation_block_runs_at_every_record():
    model = accepted("initial_flag")
    assert [c.initial for c in model.structural.compartments] == ["A_0(1)", "A_0(2)"]
    env = {"THETA(1)": 0.3, "THETA(2)": 0.1, "THETA(3)": 50.0, "ETA(1)": 0.0, "ETA(2)": 0.0}
    for weight, first, second in ((60.0, 0.0, 50.0), (84.0, 0.0, 60.0), (105.0, 2.0, 75.0)):
        values = run(model.program.pk, env | {"WT": weight, "A_0(1)": 0.0})
        assert (values["A_0(1)"], values["A_0(2)"]) == pytest.approx((first, second))


@pytest.mark.parametrize(
    ("name", "closed_form", "constants", "compartments"),
    [
        ("minimal", "one", ("K",), ("CENTRAL",)),
        ("lower_case", "one_absorption", ("KA", "K"), ("DEPOT", "CENTRAL")),
        ("advan3_trans3", "two", ("K", "K12", "K21"), ("CENTRAL", "PERIPHERAL")),
        ("advan11_trans6", "three", ("K", "K12", "K21", "K13", "K31"), ("CENTRAL", "PERIPH1", "PERIPH2")),
        (
            "advan12_trans4",
            "three_absorption",
            ("KA", "K", "K23", "K32", "K24", "K42"),
            ("DEPOT", "CENTRAL", "PERIPH1", "PERIPH2"),
        ),
        ("advan4_trans4", "two_absorption", ("KA", "K", "K23", "K32"), ("DEPOT", "CENTRAL", "PERIPHERAL")),
    ],
)
def test_linear_models_name_their_closed_form(name, closed_form, constants, compartments):
    structural = accepted(name).structural
    assert structural.closed_form == closed_form
    assert structural.rate_constants == constants
    assert tuple(c.name for c in structural.compartments) == compartments
    assert set(constants) <= names_assigned(accepted(name).program.pk)


def test_a_users_variable_is_never_overwritten_by_a_rate_constant():
    model = accepted("advan3_trans4")
    assert model.structural.rate_constants == ("K_", "K12", "K21")
    env = {f"THETA({k})": v for k, v in zip(range(1, 5), (4.0, 10.0, 2.0, 20.0), strict=True)} | {"ETA(1)": 0.0}
    values = run(model.program.pk, env)
    assert (values["K"], values["K_"]) == (9.6, 0.4)


def test_dosing_parameters_are_set_on_their_compartments():
    depot, central = accepted("advan2_trans1").structural.compartments
    assert (depot.lag, depot.bioavailability, depot.scale) == ("ALAG1", "F1", None)
    assert (central.lag, central.bioavailability, central.scale) == (None, None, "S2")


def test_equations_take_their_compartments_from_the_model_record():
    structural = accepted("des_compartments").structural
    assert [c.name for c in structural.compartments] == ["GUT", "CENTRAL", "EFFECT", "COMP4"]
    assert (structural.default_dose, structural.default_observation) == (1, 3)
    assert [c.initial for c in structural.compartments] == [None, None, "A_0(3)", None]
    assert structural.compartments[1].scale == "S2"
    assert (structural.closed_form, structural.stiff, structural.rtol) == (None, False, pytest.approx(1e-6))


def test_compartments_named_depot_and_central_are_the_defaults():
    structural = accepted("des_central").structural
    assert (structural.default_dose, structural.default_observation) == (3, 2)
    assert structural.stiff
    assert structural.rtol == pytest.approx(1e-7)


@pytest.mark.parametrize(("advan", "stiff"), [(6, False), (8, True), (9, True), (13, True), (14, True), (15, True)])
def test_stiff_solvers_are_remembered(advan, stiff):
    text = f"""$PROBLEM x
$INPUT ID TIME AMT DV
$DATA d.csv
$SUBROUTINES ADVAN={"ADVAN"}{advan}, TRANS1 TOL=4
$MODEL NCOMPARTMENTS=1
$PK
K = THETA(1)*EXP(ETA(1))
$DES
DADT(1) = -K*A(1)
$ERROR
Y = F + EPS(1)
$THETA 1
$OMEGA 0.1
$SIGMA 0.1
"""
    structural = lower_control_stream(source_text(text, "x.ctl")).structural
    assert (structural.stiff, structural.solver_name) == (stiff, f"ADVAN{advan}")
    assert structural.compartments[0].name == "COMP1"


def test_a_formula_model_has_no_compartments_and_all_its_code_in_error():
    model = accepted("pred_model")
    assert model.structural.compartments == ()
    assert (model.program.pk, model.program.des) == ((), ())
    assert [s.target for s in model.program.error] == ["E0", "EMAX", "ED50", "IPRED", "W", "Y"]


def test_a_modelled_duration_without_a_rate_column_is_a_variable():
    model = linear(1, 2, "CL = 4\nV = 30\nD1 = 2")
    assert model.structural.compartments[0].duration is None
