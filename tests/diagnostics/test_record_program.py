from pathlib import Path

import numpy as np
import pytest

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.derived_items import run_records
from nlmevae.decoder.make import make_decoder
from nlmevae.diagnostics.record_program import RecordProgram
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import make_problem
from nlmevae.pipeline import prepare
from tests.helpers.control_streams import code
from tests.helpers.model_times import RECORDS, STREAM
from tests.helpers.pheno import nonmem_table, pheno_at_nonmems_estimates, pheno_run
from tests.helpers.switching import data_text, random_records, stream

FIXTURES = Path(__file__).parents[2] / "fixtures"
STREAMS = [p for p in sorted(FIXTURES.glob("*/*.ctl")) if list(p.parent.glob("*.csv")) and p.parent.name != "tmdd"]


def values_at(run, etas, thetas):
    program = RecordProgram(model=run.model, dataset=run.dataset, table=run.table, thetas=thetas)
    return program.values(etas)


def test_predictions_at_all_records_of_phenobarbital_are_nonmems():
    """Dose records too: PRED and CIPREDI of 744 records, five digits."""
    at, run, table = pheno_at_nonmems_estimates(), pheno_run(), nonmem_table()
    assert values_at(run, 0 * at.eta_mode, at.population.thetas)["Y"] == pytest.approx(table["PRED"], rel=6e-5)
    assert values_at(run, at.eta_mode, at.population.thetas)["Y"] == pytest.approx(table["CIPREDI"], rel=6e-5)


@pytest.mark.parametrize("path", STREAMS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_the_code_run_record_by_record_gives_the_prediction_of_the_decoder(path):
    """Two ways that share the integrator only: the code as written at every record, and the latent form."""
    agree_with_the_decoder(path)


def agree_with_the_decoder(path):
    run = prepare(path)
    form = latent_form(run.model, run.table)
    population = Population.initial(run.model)
    decoder = make_decoder(form, run.table)
    problem = make_problem(run.model, form, run.table, decoder)
    rng = np.random.default_rng(0)
    eta = 0.3 * rng.standard_normal((problem.n_subjects, problem.n_latents))
    etas = np.zeros((problem.n_subjects, len(run.model.etas)))
    etas[:, problem.latent_index] = eta
    joint = problem.joint(population)
    expected = joint.predict(joint.mean + eta)
    found = values_at(run, etas, population.thetas)["Y"][run.table.ob_row]
    decoder.close()
    size = np.abs(expected).max()
    # integrators: 1e-8 of the amounts
    known = ~run.table.censored  # Y of a censored record is a probability
    np.testing.assert_allclose(found[known], expected[known], rtol=2e-6, atol=1e-7 * size)


OCCASIONS = """CL = THETA(1)*EXP(ETA(1))*(WT/70)**0.75
V = THETA(2)*EXP(ETA(2))
KA = THETA(3) + ETA(3)
KIOV = 0
IF (OCC.EQ.1) KIOV = ETA(4)
IF (OCC.EQ.2) KIOV = ETA(5)
CL = CL*EXP(KIOV)
F1 = 1/(1 + EXP(-ETA(6)))
S2 = V
"""
FORMS = {
    "occasions and a covariate that changes": OCCASIONS,
    "a lag and a shared effect": OCCASIONS.replace("F1 = 1/(1 + EXP(-ETA(6)))", "ALAG1 = 0.2*EXP(ETA(6))"),
}
DATA = """ID,TIME,AMT,DV,WT,OCC
1,0,100,.,70,1
1,1,.,3.2,70,1
1,4,.,4.0,75,1
1,12,100,.,80,2
1,13,.,4.1,80,2
2,0,100,.,55,1
2,2,.,4.5,55,1
2,24,.,0.4,60,2
"""


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_every_kind_of_random_effect_gives_the_prediction_of_the_decoder(form, tmp_path):
    (tmp_path / "data.csv").write_text(DATA)
    (tmp_path / "run1.ctl").write_text(
        "$PROBLEM\n$INPUT ID TIME AMT DV WT OCC\n$DATA data.csv IGNORE=@\n$SUBROUTINES ADVAN2 TRANS2\n"
        f"$PK\n{form}$ERROR\nY = F*(1 + EPS(1))\n$THETA (0, 2) (0, 20) (0, 1.5)\n"
        "$OMEGA 0.09 0.04 0.04\n$OMEGA BLOCK(1) 0.02\n$OMEGA BLOCK(1) SAME\n$OMEGA 0.1\n$SIGMA 0.04\n"
    )
    agree_with_the_decoder(tmp_path / "run1.ctl")


@pytest.mark.parametrize("second", ["MTIME(1) + THETA(2)", "6", "7.5", "13", "-1"])
def test_pk_is_evaluated_at_model_times_between_records(second, tmp_path):
    """Model times between records and at a dose, an observation, a reset, before all."""
    two = RECORDS.format(40) + ("\n" + RECORDS).replace("\n1,", "\n2,")[1:].format(70)
    (tmp_path / "data.csv").write_text("ID,TIME,AMT,RATE,ADDL,II,EVID,CMT,DV,MDV,WT\n" + two)
    text = STREAM.replace("MTIME(1) + THETA(2)", second)
    if second[0] != "M":
        text = text.replace("(0, 3) (0, 0.5)", "3 FIX (0, 0.5)")
    (tmp_path / "run1.ctl").write_text(text)
    agree_with_the_decoder(tmp_path / "run1.ctl")


BILE = """$PROBLEM bile
$INPUT ID TIME AMT II ADDL EVID DV
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN6 TOL=9
$MODEL COMP=(DEPOT) COMP=(CENTRAL) COMP=(PERIPH) COMP=(GALL)
$PK
KA = THETA(1)*EXP(ETA(1))
{times}
$DES
FLAG = {flag}
DADT(1) = -KA*A(1) + 10*A(4)*FLAG
DADT(2) = KA*A(1) - A(2) - A(2) + A(3) - A(2)
DADT(3) = A(2) - A(3)
DADT(4) = A(2) - 10*A(4)*FLAG
$ERROR
A1 = A(1)
A2 = A(2)
A3 = A(3)
A4 = A(4)
Y = F + EPS(1)
$THETA 1
$OMEGA 1
$SIGMA 0.4
"""
#: Of NONMEM's table mtimess.tab, which comes with its help (enterohepatic circulation examples): TIME, A1 to A4.
BILE_AMOUNTS = np.array([
    [4, 24.713, 12.526, 10.881, 1.2666],
    [8, 6.4321, 4.5466, 6.0244, 0.46681],
    [12, 100.12, 0.48683, 1.0575, 8.1373],
    [16, 29.213, 14.449, 11.948, 1.4596],
    [20, 7.4454, 5.2546, 6.9510, 0.53951],
    [24, 100.14, 0.56265, 1.2220, 9.4045],
    [44, 7.6278, 5.3821, 7.1177, 0.55259],
    [48, 100.14, 0.57630, 1.2516, 9.6326],
])  # fmt: skip


def test_amounts_with_model_times_are_nonmems(tmp_path):
    """The gall bladder empties from 3 to 8 hours after every dose; NONMEM's example moves MTIME(1) and MTIME(2) on,
    here every dose has two of its own. 8, 20 and 44 are model times and records."""
    times = "\n".join(f"MTIME({2 * k + 1}) = {12 * k + 3}\nMTIME({2 * k + 2}) = {12 * k + 8}" for k in range(4))
    flag = " + ".join(f"MPAST({2 * k + 1}) - MPAST({2 * k + 2})" for k in range(4))
    (tmp_path / "run1.ctl").write_text(BILE.format(times=times, flag=flag))
    records = "".join(f"1,{t:g},0,0,0,2,.\n" for t in BILE_AMOUNTS[:, 0])
    (tmp_path / "data.csv").write_text(f"ID,TIME,AMT,II,ADDL,EVID,DV\n1,0,100,12,100,1,.\n{records}1,49,0,0,0,0,1\n")
    found = values_at(prepare(tmp_path / "run1.ctl"), np.zeros((1, 1)), np.ones(1))
    amounts = np.column_stack([found[f"A{n}"][1:-1] for n in (1, 2, 3, 4)])
    np.testing.assert_allclose(amounts, BILE_AMOUNTS[:, 1:], rtol=6e-5)  # five digits


def test_flags_of_records_are_those_of_their_time(tmp_path):
    (tmp_path / "data.csv").write_text("ID,TIME,AMT,RATE,ADDL,II,EVID,CMT,DV,MDV,WT\n" + RECORDS.format(70))
    text = STREAM.replace("MTDIFF = 1", "MTDIFF = 1\nP1 = MPAST(1)\nP2 = MPAST(2)\nT1 = MTIME(1)")
    (tmp_path / "run1.ctl").write_text(text)
    run = prepare(tmp_path / "run1.ctl")
    found = values_at(run, np.array([[np.log(5 / 4), 0.0]]), np.array([4.0, 3.0, 0.5, 2.0, 3.0]))
    time = run.dataset.column("TIME")
    assert found["T1"] == pytest.approx(5.0)
    np.testing.assert_array_equal(found["P1"], time >= found["T1"][0])
    np.testing.assert_array_equal(found["P2"], time >= found["T1"][0] + 3)


def test_a_variable_keeps_its_value_from_record_to_record_within_a_subject():
    """Time after dose, as people write it; before the first dose there is no value."""
    statements = code("IF (AMT.GT.0) TDOS = TIME\nTAD = TIME - TDOS")
    ptr = np.array([0, 4, 6])
    inputs = {
        "AMT": np.array([1.0, 0, 0, 2, 0, 1]),
        "TIME": np.array([0.0, 1, 5, 6, 2, 3]),
    }
    found = run_records(statements, ptr, inputs)
    assert list(found["TDOS"][:4]) == [0, 0, 0, 6]
    assert list(found["TAD"][:4]) == [0, 1, 5, 0]
    assert np.isnan(found["TAD"][4])
    assert found["TAD"][5] == 0


def test_subjects_without_records_and_single_records_are_fine():
    found = run_records(code("X = TIME + 1"), np.array([0, 1, 1, 2]), {"TIME": np.array([1.0, 5.0])})
    assert list(found["X"]) == [2.0, 6.0]


@pytest.mark.parametrize("equations", [False, True])
def test_compartments_turned_on_and_off_are_so_record_by_record(equations, tmp_path):
    rng = np.random.default_rng(5)
    (tmp_path / "data.csv").write_text(data_text([random_records(rng) for _ in range(6)]))
    (tmp_path / "run.ctl").write_text(stream(equations=equations))
    agree_with_the_decoder(tmp_path / "run.ctl")


def test_records_that_turn_a_compartment_on_show_the_default_one(tmp_path):
    """F at 0.171 and 2 is that in plasma: 83.140 and 222.26 in sim_parent_a2.tab of NONMEM 7.4's examples."""
    records = "1,0,3E4,1,1,0\n1,0.171,0,3,2,0\n1,2,0,-3,0,1\n1,2,0,3,2,0\n"
    (tmp_path / "data.csv").write_text("ID,TIME,AMT,CMT,EVID,DV\n" + records)
    (tmp_path / "run.ctl").write_text(
        "$PROBLEM urine\n$INPUT ID TIME AMT CMT EVID DV\n$DATA data.csv IGNORE=@\n$SUBROUTINES ADVAN2\n$PK\n"
        "KA = THETA(1)\nV = THETA(2)\nK = THETA(3)*EXP(ETA(1))/V\nS2 = V\nF0 = 20/35\nS0 = 93.1\n$ERROR\n"
        "Y = F*(1 + EPS(1))\n$THETA (0, 0.8) (0, 43) (0, 35)\n$OMEGA 0.1\n$SIGMA 0.1\n"
    )
    run = prepare(tmp_path / "run.ctl")
    found = values_at(run, np.zeros((1, 1)), np.array([0.8, 43.0, 35.0]))["F"]
    assert found[1:] == pytest.approx([83.140, 86.699, 222.26], rel=5e-5)
