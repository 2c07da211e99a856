"""Compartments turned on and off, and the output compartment: every back end against scipy, gradients against central
differences, and numbers that NONMEM printed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from tests.helpers.switching import TYPICAL, data_text, predictions, random_records, stream

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.read import read_dataset
from nlmevae.decoder.make import make_decoder
from nlmevae.frontends.nonmem.read import parse_control_stream

BACKENDS = ("closed_form", "compiled", "torchode")
#: relative to doses of about 100: integration to 1e-10 over twenty intervals
TOLERANCE = 1e-7
STEP = 1e-4


def prepared(folder, text: str, data: str):
    (folder / "data.csv").write_text(data)
    model = parse_control_stream(text, str(folder / "run.ctl"))
    table = event_table(model, read_dataset(model))
    return latent_form(model, table), table


def decoder(form, table, backend: str):
    options = {} if backend == "closed_form" else {"rtol": 1e-10}
    return make_decoder(form, table, backend=backend, **options)


@pytest.mark.parametrize(
    ("backend", "n"),
    [
        ("closed_form", 12),
        ("compiled", 12),
        pytest.param("torchode", 2, marks=pytest.mark.slow),
    ],
)
def test_random_records_give_what_scipy_says(backend, n, tmp_path):
    rng = np.random.default_rng(5)
    subjects = [random_records(rng) for _ in range(n)]
    form, table = prepared(tmp_path, stream(equations=backend != "closed_form"), data_text(subjects))
    assert table.output
    assert not table.static
    psi = TYPICAL * np.exp(0.2 * np.random.default_rng(1).standard_normal((n, len(TYPICAL))))
    found = decoder(form, table, backend).linearise(np.log(psi))
    assert (found.status == 0).all()
    expected = at(subjects, psi)
    if n > 2:  # all compartments are seen on and off
        seen = [np.count_nonzero(expected[table.ob_cmt == c]) for c in range(1, 6)]
        assert min(seen) > 10
        assert np.count_nonzero(expected == 0.0) > 30
    np.testing.assert_allclose(found.prediction, expected, rtol=TOLERANCE, atol=100 * TOLERANCE)
    for k in range(psi.shape[1]):
        step = np.exp(STEP * np.eye(psi.shape[1])[k])
        slope = (at(subjects, psi * step) - at(subjects, psi / step)) / (2 * STEP)
        np.testing.assert_allclose(found.jacobian[:, k], slope, rtol=1e-5, atol=1e-4)  # STEP**2 of curvature


def at(subjects: list[list[dict]], psi: np.ndarray) -> np.ndarray:
    return np.concatenate([predictions(records, p) for records, p in zip(subjects, psi, strict=True)])


# what NONMEM printed ------------------------------------------------------------------------------------
PARENT = """$PROBLEM parent drug in plasma and urine
$INPUT ID TIME AMT UVOL DV CMT EVID
$DATA data.csv IGNORE=@
$SUBROUTINES {solver}
{model}$PK
KA = THETA(1)
V2 = THETA(2)*EXP(ETA(1))
CLP = THETA(3)*EXP(ETA(2))
CLB = THETA(4)
{more}
S2 = V2
S3 = UVOL
{equations}$ERROR
Y = F*(1 + EPS(1))
$THETA (0, 0.8) (0, 43) (0, 20) (0, 15) {theta}
$OMEGA 0.05 0.05
$SIGMA 0.01
"""
ONE = "K = (CLP + CLB)/V2\nF0 = CLP/(CLP + CLB)"
MODEL = "$MODEL COMP=(DEPOT) COMP=(PLASMA DEFOBS)"
TWO = f"{MODEL} COMP=(URINE INITIALOFF NODOSE) COMP=(METAB)\n"
METABOLITE = "K12 = KA\nK24 = CLB/V2\nK23 = CLP/V2\nK45 = THETA(5)\nS5 = UVOL"
EQUATIONS = "$DES\nDADT(1) = -KA*A(1)\nDADT(2) = KA*A(1) - K*A(2)\n"
MORE_EQUATIONS = (
    "$DES\nDADT(1) = -KA*A(1)\nDADT(2) = KA*A(1) - K23*A(2) - K24*A(2)\nDADT(3) = K23*A(2)\n"
    "DADT(4) = K24*A(2) - K45*A(4)\n"
)
COLLECTED = (
    "2,0,30000,1,0,1,1\n2,0.171,0,1,0,3,2\n2,2,0,1,1,2,0\n2,2,0,93.1,1,-3,0\n2,2,0,1,0,3,2\n2,3.15,0,1,1,2,0\n"
    "2,3.15,0,133.6,1,-3,0\n"
)
BOTH = (
    "2,0,30000,1,0,1,1\n2,0.171,0,1,0,3,2\n2,0.171,0,1,0,5,2\n2,2,0,1,1,2,0\n2,2,0,1,1,4,0\n2,2,0,93.1,1,-3,0\n"
    "2,2,0,93.1,1,-5,0\n2,2,0,1,0,3,2\n2,2,0,1,0,5,2\n2,3.15,0,1,1,2,0\n2,3.15,0,1,1,4,0\n2,3.15,0,133.6,1,-3,0\n"
    "2,3.15,0,133.6,1,-5,0\n"
)
#: SIMP of sim_parent_a2.tab, sim_metab_a5.tab and sim_metab_a6.tab of NONMEM 7.4's examples, five digits
PRINTED = [222.26, 86.699, 138.40, 31.006]
PRINTED_BOTH = [222.26, 700.30, 86.699, 58.416, 138.40, 457.60, 31.006, 25.071]


@pytest.mark.parametrize(
    ("backend", "solver", "model", "more", "equations"),
    [
        ("closed_form", "ADVAN2", "", ONE, ""),
        ("compiled", "ADVAN2", "", ONE, ""),
        ("torchode", "ADVAN2", "", ONE, ""),
        ("closed_form", "ADVAN5", MODEL + "\n", "K12 = KA\n" + ONE.replace("K =", "K20 ="), ""),
        ("compiled", "ADVAN6 TOL=9", MODEL + "\n", ONE, EQUATIONS),
        ("torchode", "ADVAN6 TOL=9", MODEL + "\n", ONE, EQUATIONS),
    ],
)
def test_urine_collections_give_what_nonmem_printed(backend, solver, model, more, equations, tmp_path):
    text = PARENT.format(solver=solver, model=model, more=more, equations=equations, theta="")
    form, table = prepared(tmp_path, text, "ID,TIME,AMT,UVOL,DV,CMT,EVID\n" + COLLECTED)
    found = decoder(form, table, backend).predict(np.array([[np.log(43), np.log(20), 0.8, 15.0]]))
    np.testing.assert_allclose(found.prediction, PRINTED, rtol=5e-5)


@pytest.mark.parametrize("number", [100, 1000])
def test_100_and_1000_are_the_output_compartment_too(number, tmp_path):
    text = PARENT.format(solver="ADVAN2", model="", more=ONE, equations="", theta="")
    data = COLLECTED.replace(",3,2\n", f",{number},2\n").replace("-3,0\n", f"-{number},0\n")
    form, table = prepared(tmp_path, text, "ID,TIME,AMT,UVOL,DV,CMT,EVID\n" + data)
    found = decoder(form, table, "closed_form").predict(np.array([[np.log(43), np.log(20), 0.8, 15.0]]))
    np.testing.assert_allclose(found.prediction, PRINTED, rtol=5e-5)


@pytest.mark.parametrize(
    ("backend", "solver", "equations"),
    [("closed_form", "ADVAN5", ""), ("compiled", "ADVAN5", ""), ("compiled", "ADVAN6 TOL=9", MORE_EQUATIONS)],
)
def test_an_output_type_compartment_beside_it_gives_what_nonmem_printed(backend, solver, equations, tmp_path):
    """What 3 holds when it is turned off is not counted as eliminated by 5."""
    text = PARENT.format(solver=solver, model=TWO, more=METABOLITE, equations=equations, theta="(0, 5)")
    form, table = prepared(tmp_path, text, "ID,TIME,AMT,UVOL,DV,CMT,EVID\n" + BOTH)
    found = decoder(form, table, backend).predict(np.array([[np.log(43), np.log(20), 0.8, 15.0, 5.0]]))
    np.testing.assert_allclose(found.prediction, PRINTED_BOTH, rtol=5e-5)


# mass balance -------------------------------------------------------------------------------------------
ONE_COMPARTMENT = """$PROBLEM output
$INPUT ID TIME AMT RATE SS II WT DV CMT EVID
$DATA data.csv IGNORE=@
$SUBROUTINES {solver}
$PK
{parameters}
{more}
$ERROR
Y = F + EPS(1)
$THETA (0, 8) (0, 30)
$OMEGA 0.1 0.1
$SIGMA 1
"""
SATURABLE = "VM = THETA(1)*EXP(ETA(1))\nKM = THETA(2)*EXP(ETA(2))"
LINEAR = "CL = THETA(1)*EXP(ETA(1))\nV = THETA(2)*EXP(ETA(2))"
HEADER = "ID,TIME,AMT,RATE,SS,II,WT,DV,CMT,EVID\n"


@pytest.mark.parametrize("backend", ["compiled", "torchode"])
def test_saturable_elimination_ends_in_the_output_compartment(backend, tmp_path):
    text = ONE_COMPARTMENT.format(solver="ADVAN10 TOL=9", parameters=SATURABLE, more="F2 = 0.25")
    data = (
        "1,0,100,0,0,0,1,0,1,1\n1,1,0,0,0,0,1,0,2,2\n1,2,80,20,0,0,1,0,1,1\n1,3,0,0,0,0,1,1,2,0\n"
        "1,4,50,0,0,0,1,0,1,1\n1,9,0,0,0,0,1,1,2,0\n1,9,0,0,0,0,1,0,-2,2\n1,11,0,0,0,0,1,0,2,2\n1,12,0,0,0,0,1,1,2,0\n"
    )
    form, table = prepared(tmp_path, text, HEADER + data)
    x = np.log([[9.0, 25.0]])
    found = decoder(form, table, backend).linearise(x)
    np.testing.assert_allclose(found.prediction, saturable(*np.exp(x[0])), rtol=1e-7)
    for k, step in enumerate(STEP * np.eye(2)):
        slope = (saturable(*np.exp(x[0] + step)) - saturable(*np.exp(x[0] - step))) / (2 * STEP)
        np.testing.assert_allclose(found.jacobian[:, k], slope, rtol=1e-5, atol=1e-6)


def saturable(vm: float, km: float) -> np.ndarray:
    """A quarter of what was put in and is there no more, by the mass balance."""

    def later(amount: float, rate: float, span: tuple[float, float]) -> float:
        slope = lambda _, y: rate - vm * y / (km + y)  # noqa: E731
        return solve_ivp(slope, span, [amount], method="DOP853", rtol=1e-12, atol=1e-12).y[0, -1]

    at_1 = later(100.0, 0.0, (0, 1))
    at_3 = later(later(at_1, 0.0, (1, 2)), 20.0, (2, 3))
    at_4 = later(at_3, 20.0, (3, 4))
    at_9 = later(later(at_4 + 50.0, 20.0, (4, 6)), 0.0, (6, 9))
    at_11 = later(at_9, 0.0, (9, 11))
    at_12 = later(at_11, 0.0, (11, 12))
    return 0.25 * np.array([at_1 + 20.0 - at_3, at_1 + 80.0 + 50.0 - at_9, at_11 - at_12])


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_output_fraction_that_changes_applies_to_what_leaves_meanwhile(backend, tmp_path):
    text = ONE_COMPARTMENT.format(solver="ADVAN1 TRANS2", parameters=LINEAR, more="F0 = WT/100\nS0 = 10")
    data = "1,0,100,0,0,0,50,0,1,1\n1,0,0,0,0,0,50,0,2,2\n1,3,0,0,0,0,20,0,1,2\n1,5,0,0,0,0,80,1,2,0\n"
    form, table = prepared(tmp_path, text, HEADER + data)
    found = decoder(form, table, backend).predict(np.log([[3.0, 20.0]]))
    left = 100 * np.exp(-0.15 * np.array([0.0, 3.0, 5.0]))
    collected = 0.2 * (left[0] - left[1]) + 0.8 * (left[1] - left[2])
    np.testing.assert_allclose(found.prediction, collected / 10, rtol=1e-8)


@pytest.mark.parametrize("backend", ["closed_form", "compiled", pytest.param("torchode", marks=pytest.mark.slow)])
def test_in_an_interval_of_the_steady_state_a_dose_is_eliminated(backend, tmp_path):
    """The output compartment, which has no steady state, is off where the others reach theirs."""
    text = ONE_COMPARTMENT.format(solver="ADVAN1 TRANS2", parameters=LINEAR, more="F0 = 0.4")
    data = (
        "1,0,0,0,0,0,1,0,1,2\n1,24,60,0,1,12,1,0,1,1\n1,24,0,0,0,0,1,1,1,0\n1,24,0,0,0,0,1,0,2,2\n1,36,0,0,0,0,1,1,-2,0\n"
        "1,36,60,10,1,12,1,0,1,1\n1,36,0,0,0,0,1,0,2,2\n1,48,0,0,0,0,1,1,2,0\n"
    )
    form, table = prepared(tmp_path, text, HEADER + data)
    found = decoder(form, table, backend).linearise(np.log([[3.0, 20.0]]))
    held = np.exp(-12 * 3.0 / 20.0)
    np.testing.assert_allclose(found.prediction, [60 / (1 - held), 24.0, 24.0], rtol=1e-7)
    np.testing.assert_allclose(found.jacobian[1:], 0.0, atol=1e-5)


def test_a_depot_that_is_off_until_its_first_dose_leaves_the_model_as_it_is(tmp_path):
    text = PARENT.format(
        solver="ADVAN6 TOL=9", model="$MODEL COMP=(DEPOT INITIALOFF) COMP=(PLASMA DEFOBS NOOFF)\n", more=ONE,
        equations=EQUATIONS, theta="",
    )  # fmt: skip
    data = "1,0,0,1,1,2,0\n1,1,100,1,0,1,1\n1,2,0,1,1,2,0\n"
    form, table = prepared(tmp_path, text, "ID,TIME,AMT,UVOL,DV,CMT,EVID\n" + data)
    assert table.static
    assert form.n_compartments == 2
