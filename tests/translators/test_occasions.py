"""Variability between occasions, there and back: golden files, the same model, predictions by hand, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from nlmevae import pipeline
from nlmevae.decoder.make import make_decoder
from nlmevae_translators import convert
from nlmevae_translators.proof import compare, effects_by_label
from nlmevae_translators.to_monolix.write import to_monolix
from tests.helpers.equal_models import Read, model_differences
from tests.helpers.round_trip import round_trip
from tests.translators.test_convert import CASES, FOLDER, refused, stream
from tests.translators.test_to_nonmem import INDIVIDUAL, check, written

THERE_AND_BACK = [case for case in CASES if (FOLDER / case / "back").is_dir()]
BETWEEN = "$OMEGA BLOCK(1) 0.02\n$OMEGA BLOCK(1) SAME\n$SIGMA 0.01"
RECORDS = f"$OMEGA 0.09 0.04\n{BETWEEN}"
CHOICE = "  IF (OCC.EQ.1) IOV = ETA(3)\n  IF (OCC.EQ.2) IOV = ETA(4)\n"
PK = f"{CHOICE}  CL = THETA(1)*EXP(ETA(1) + IOV)\n  V = THETA(2)*EXP(ETA(2))"
ROWS = ["1,0,100,.,1", "1,4,.,3,1", "1,12,.,2,2", "2,0,100,.,1", "2,3,.,4,1", "2,24,100,.,2", "2,30,.,3,2"]


def occasions(tmp_path, *, pk=PK, rows=ROWS, records=RECORDS, items="OCC", **changes):
    """A stream whose fifth item is the occasion."""
    path = stream(tmp_path, pk=pk, rows=rows, records=records, **changes)
    path.write_text(path.read_text().replace("DV WT", f"DV {items}"))
    return path


# golden files


@pytest.mark.parametrize("case", THERE_AND_BACK)
def test_the_way_back_is_as_expected_and_the_same_model(case, tmp_path):
    project = FOLDER / case / "expected" / "run.mlxtran"
    conversion = convert(project, to="nonmem")
    assert conversion.files == {p.name: p.read_text() for p in (FOLDER / case / "back").iterdir()}
    assert conversion.report.proof.holds
    assert conversion.report.exit_code == 0
    again = to_monolix(pipeline.prepare(FOLDER / case / "back" / "run.ctl"), name="run")
    for name, text in again.files.items():
        (tmp_path / name).write_text(text)
    assert model_differences(pipeline.read_model(project), pipeline.read_model(tmp_path / "run.mlxtran")) == []


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("run.mlxtran", "gamma_V = {value=0.17", "gamma_V = {value=0.18"),
        ("run.mlxtran", "corr2_CL_V = {value=0.2", "corr2_CL_V = {value=0.3"),
        ("run_data.csv", "1,8.000000016,.,2,.,2\n", ""),
        ("run_data.csv", "1,25,.,0,3.721,2", "1,23,.,0,3.721,2"),
    ],
)
def test_what_is_wrong_with_an_occasion_is_seen_by_the_proof(file, old, new, tmp_path):
    run = pipeline.prepare(FOLDER / "occasions_block" / "run.ctl")
    made = to_monolix(run, name="run")
    assert old in made.files[file]
    for name, text in made.files.items():
        (tmp_path / name).write_text(text.replace(old, new, 1) if name == file else text)
    two = pipeline.prepare(tmp_path / "run.mlxtran")
    assert not compare(run, two, effects_by_label(two.model, made.effects)).holds


# by hand


def test_the_next_occasions_clearance_holds_from_the_last_record_of_the_one_before(tmp_path):
    """One bolus, observed at 4 h (first occasion) and 12 h (second): NONMEM has the second clearance from 4 h on."""
    convert(occasions(tmp_path, rows=ROWS[:3]), out=tmp_path / "out")
    read = Read.of(pipeline.read_model(tmp_path / "out" / "run.mlxtran"))
    eta, names = np.array([0.1, 0.2, -0.3, 0.25]), [latent.eta for latent in read.form.latents]
    labels = [read.eta_labels[n] for n in names]
    assert labels == ["omega_CL", "omega_V", "gamma_CL", "gamma_CL"]
    decoder = make_decoder(read.form, read.table)
    mean = np.where([label.startswith("omega") for label in labels], np.log([3.0, 25.0, 1.0, 1.0]), 0.0)
    f = decoder.predict((mean + eta)[None]).prediction
    decoder.close()
    v = 25.0 * np.exp(0.2)
    k = 3.0 * np.exp(0.1 + np.array([-0.3, 0.25])) / v
    expected = 100.0 / v * np.exp(-4.0 * k[0]) * np.array([1.0, np.exp(-8.0 * k[1])])
    np.testing.assert_allclose(f, expected, rtol=1e-8)  # the occasion begins 8e-9 h late


# which occasion


def test_code_that_merges_values_makes_a_column_of_its_own(tmp_path):
    pk = PK.replace("OCC.EQ.1", "OCC.LE.2").replace("OCC.EQ.2", "OCC.GT.2")
    rows = [*ROWS[:2], "1,6,.,2.5,2", *(row[:-1] + row[-1].replace("2", "3") for row in ROWS[2:])]
    conversion = convert(occasions(tmp_path, pk=pk, rows=rows))
    assert conversion.report.proof.holds
    assert [line.split(",")[-1] for line in conversion.files["run_data.csv"].splitlines()[:4]] == ["OCC", "1", "1", "1"]


def test_columns_of_indicators_make_one_of_occasions(tmp_path):
    pk = "  CL = THETA(1)*EXP(ETA(1) + P1*ETA(3) + P2*ETA(4))\n  V = THETA(2)*EXP(ETA(2))"
    rows = [row[:-1] + ("1,0" if row[-1] == "1" else "0,1") for row in ROWS]
    conversion = convert(occasions(tmp_path, pk=pk, rows=rows, items="P1 P2"))
    assert conversion.report.proof.holds
    assert "varlevel={id, id*occ}, sd={omega_CL, gamma_CL}" in conversion.files["run.mlxtran"]


def test_branches_that_have_the_whole_parameter(tmp_path):
    pk = (
        "  IF (OCC.EQ.1) CL = THETA(1)*EXP(ETA(1) + ETA(3))\n  IF (OCC.EQ.2) CL = THETA(1)*EXP(ETA(1) + ETA(4))\n"
        "  V = THETA(2)*EXP(ETA(2))"
    )
    conversion = convert(occasions(tmp_path, pk=pk))
    assert conversion.report.proof.holds
    assert "varlevel={id, id*occ}, sd={omega_CL, gamma_CL}" in conversion.files["run.mlxtran"]


@pytest.mark.parametrize("sum_", ["0.5*IOV", "THETA(3)*IOV"])
def test_a_scaled_effect_is_a_parameter_that_the_model_reads(sum_, tmp_path):
    path = occasions(tmp_path, pk=PK.replace("+ IOV", f"+ {sum_}"), records=f"$THETA 0.7\n{RECORDS}")
    if "THETA" not in sum_:
        path.write_text(path.read_text().replace("$THETA 0.7\n", ""))
    conversion = convert(path)
    assert conversion.report.proof.holds
    line = "IOV = {distribution=normal, typical=IOV_pop, varlevel=id*occ, sd=gamma_IOV}"
    assert line in conversion.files["run.mlxtran"].splitlines()


def test_one_occasion_leaves_an_effect_as_any_other(tmp_path):
    conversion = convert(occasions(tmp_path, rows=[r for r in ROWS if r.endswith(",1")]))
    assert conversion.report.proof.holds
    assert "occ" not in conversion.files["run.mlxtran"]
    assert "ETA(4)" in [e.construct for e in conversion.report.of("rule")]


def test_a_variance_of_zero_between_occasions_is_nothing(tmp_path):
    conversion = convert(occasions(tmp_path, records=RECORDS.replace("0.02", "0 FIX")))
    assert conversion.report.proof.holds
    assert "occ" not in conversion.files["run.mlxtran"]


def test_a_reset_without_a_dose_at_the_start_of_an_occasion(tmp_path):
    rows = ["1,0,100,.,1,1", "1,4,.,3,1,0", "1,0,.,.,2,3", "1,0,90,.,2,1", "1,5,.,2,2,0"]
    conversion = convert(occasions(tmp_path, rows=rows, items="OCC EVID"))
    assert conversion.report.proof.holds
    assert "EVID" not in conversion.files["run_data.csv"]


def test_observations_of_two_occasions_at_one_time(tmp_path):
    rows = ["1,0,100,.,1", "1,4,.,3,1", "1,12,.,2,1", "1,12,.,1.9,2", "1,12,80,.,2", "1,20,.,4,2"]
    conversion = convert(occasions(tmp_path, rows=rows))
    assert conversion.report.proof.holds
    times = [line.split(",")[1] for line in conversion.files["run_data.csv"].splitlines()[1:]]
    assert times == ["0", "4", "12", "12.000000008", "12.000000008", "20"]


def test_a_reset_that_goes_on_in_time(tmp_path):
    rows = ["1,0,100,.,1,1", "1,4,.,3,1,0", "1,24,90,.,2,4", "1,29,.,2,2,0"]
    conversion = convert(occasions(tmp_path, rows=rows, items="OCC EVID"))
    assert conversion.report.proof.holds
    assert "1,24,90,3,.,2" in conversion.files["run_data.csv"]


# doses that records imply

IMPLIED = "OCC SS ADDL II"
ADDITIONAL = ["1,0,100,.,1,0,4,12", "1,4,.,3,1,0,0,0", "1,11,.,2,2,0,0,0", "1,40,.,2,2,0,0,0", "1,50,.,3,2,0,0,0"]
STEADY = ["1,0,100,.,1,0,0,0", "1,4,.,3,1,0,0,0", "1,24,80,.,2,1,2,12", "1,30,.,3,2,0,0,0", "1,50,.,3,2,0,0,0"]


@pytest.mark.parametrize("where", ["CL = THETA(1)*EXP(ETA(1) + IOV)", "CL = THETA(1)*EXP(ETA(1))\n  F1 = EXP(IOV)"])
def test_additional_doses_that_reach_the_next_occasion_are_lines_of_it(where, tmp_path):
    pk = PK.replace("CL = THETA(1)*EXP(ETA(1) + IOV)", where)
    conversion = convert(occasions(tmp_path, pk=pk, rows=ADDITIONAL, items=IMPLIED))
    assert conversion.report.proof.holds
    lines = conversion.files["run_data.csv"].splitlines()
    assert lines[0] == "ID,TIME,AMT,EVID,DV,OCC"
    doses = [line.split(",") for line in lines[1:] if line.split(",")[2] == "100"]
    assert [(d[1], d[-1]) for d in doses] == [("0", "1"), ("12", "2"), ("24", "2"), ("36", "2"), ("48", "2")]


def test_a_steady_state_that_begins_an_occasion_forgets_the_one_before(tmp_path):
    conversion = convert(occasions(tmp_path, rows=STEADY, items=IMPLIED))
    assert conversion.report.proof.holds
    assert conversion.report.exit_code == 1
    assert [e.construct for e in conversion.report.of("lossy")] == ["SS=1"]
    first = next(line for line in conversion.files["run_data.csv"].splitlines() if line.endswith(",2"))
    assert first.split(",")[:3] == ["1", "-216", "80"]


# refusals


def test_times_of_a_formula_that_go_back_at_some_occasions_only(tmp_path):
    """ID 4 in the middle of ID 3: the second occasion of the latter has one record, at the time 0 of its first one."""
    source = FOLDER / "occasions_formula"
    data = (source / "data.csv").read_text().replace("3,2,9.825,2", "4,2,9.825,2")
    (tmp_path / "data.csv").write_text(data)
    (tmp_path / "run.ctl").write_text((source / "run.ctl").read_text())
    conversion = convert(tmp_path / "run.ctl")
    assert refused(conversion) == [
        (
            "occasions",
            "the occasion on line 5 begins before the end of the one before it; in Monolix occasions follow one "
            "another, or all of them overlap. Let TIME go on over the occasions",
        )
    ]
    assert conversion.files == {}


@pytest.mark.parametrize(
    ("changes", "construct", "reason"),
    [
        (
            {"pk": "  CL = THETA(1)*EXP(ETA(1) + ETA(3))\n  V = THETA(2)*EXP(ETA(2) + ETA(4))"},
            "SAME of ETA(3), ETA(4)",
            "ETA(3) and ETA(4) act together on line 2: one variance for several parameters has no counterpart in "
            "Monolix, where only the occasions of one parameter share theirs",
        ),
        (
            {"rows": [*ROWS, "2,40,.,1,3"]},
            "occasions",
            "none of the effects between occasions acts on line 9; in Monolix every line belongs to an occasion and "
            "has one. Give the code an ETA for it, or leave the record out",
        ),
        (
            {"rows": [*ROWS, "2,40,.,1,1"]},
            "occasions",
            "line 9 goes back to occasion 1 after another; in Monolix an occasion is one period. Number the periods "
            "one after the other",
        ),
        (
            {
                "pk": PK.replace("ETA(2))", "ETA(2) + I2)").replace("  CL", "  IF (VIS.EQ.1) I2 = ETA(5)\n"
                "  IF (VIS.EQ.2) I2 = ETA(6)\n  CL"),
                "items": "OCC VIS",
                "rows": [f"{row},{1 + (k % 7 > 0)}" for k, row in enumerate(ROWS)],
                "records": RECORDS.replace("$SIGMA", "$OMEGA BLOCK(1) 0.01\n$OMEGA BLOCK(1) SAME\n$SIGMA"),
            },
            "SAME of ETA(5), ETA(6)",
            "these occasions are others than those of the blocks before; a project here has one level of occasions. "
            "Give the blocks one ETA per occasion in the same order",
        ),
    ],
)  # fmt: skip
def test_what_is_no_occasion_is_refused(changes, construct, reason, tmp_path):
    conversion = convert(occasions(tmp_path, **changes))
    assert refused(conversion) == [(construct, reason)]
    assert conversion.files == {}


def test_separate_variances_are_parameters_of_their_own_and_the_report_says_why():
    report = convert(FOLDER / "occasions_separate_omegas" / "run.ctl", proof=False).report
    reasons = {e.construct: e.reason for e in report.entries}
    assert reasons["ETA(3)"] == reasons["ETA(4)"]
    assert reasons["ETA(3)"].endswith(
        "Between occasions Monolix has one standard deviation (gamma) for all: write $OMEGA BLOCK SAME for that"
    )


def test_a_model_that_is_not_executed_itself_is_named_as_such(tmp_path):
    pk = PK + "\n  ALAG1 = 0.5\n  F1 = 0.8*EXP(IOV)"
    report = convert(occasions(tmp_path, pk=pk)).report
    assert report.proof.sentence.startswith("the model that is converted is not executed: F1 depends on OCC")
    assert report.exit_code == 2


# projects


BOTH = (
    INDIVIDUAL.replace("sd=omega_V}", "varlevel={id, id*occ}, sd={omega_V, gamma_V}}")
    .replace("sd=omega_Cl}", "varlevel={id, id*occ}, sd={omega_Cl, gamma_Cl}}")
    .replace("omega_V,", "omega_V, gamma_V, gamma_Cl, c1, c2,", 1)
    + "\ncorrelation = {level=id, r(V, Cl)=c1}\ncorrelation = {level=id*occ, r(V, Cl)=c2}"
)
VALUES = "gamma_V = {value=0.1}\ngamma_Cl = {value=0.15}\nc1 = {value=0.3}\nc2 = {value=-0.2}"
FIXED = VALUES.replace("0.1}", "0.1, method=FIXED}").replace("0.15}", "0.15, method=FIXED}")
LINES = ["1,0,100,.,1", "1,1,.,3.1,1", "1,6,.,1.9,2", "1,12,100,.,5", "1,14,.,3,5", "2,0,120,.,1", "2,2,.,3.3,1"]
WASHOUT = ["1,0,100,.,1", "1,6,.,3.1,1", "1,0,100,.,2", "1,4,.,3,2", "2,0,120,.,1", "2,8,.,1.1,1"]
EVENTS = ["1,0,100,.,1", "1,6,.,1.9,0", "1,0,100,.,4", "1,4,.,3,0", "2,0,120,.,1", "2,8,.,1.1,0"]
OCC = {"header": "ID,TIME,AMT,Y,OCC", "content": "OCC = {use=occasion}"}


@pytest.mark.parametrize(
    "changes",
    [
        {"individual": BOTH, "parameters": VALUES},
        {"individual": BOTH, "parameters": FIXED.replace("-0.2}", "-0.2, method=FIXED}")},
        {"individual": BOTH, "parameters": VALUES, "rows": WASHOUT},
        {"individual": INDIVIDUAL.replace("sd=omega_V}", "varlevel=id*occ, sd=omega_V}")},
        {"individual": BOTH.replace("logNormal, typical=V", "logitNormal, min=0, max=99, typical=V"),
         "parameters": VALUES},
    ],
)  # fmt: skip
def test_projects_with_occasions_are_the_same_model_as_streams(changes, tmp_path):
    rows = changes.pop("rows", LINES)
    check(round_trip(written(tmp_path, rows, **OCC, **changes), tmp_path))


def test_occasions_that_events_begin(tmp_path):
    header = {"header": "ID,TIME,AMT,Y,EVID", "content": "EVID = {use=eventidentifier}"}
    path = written(tmp_path, EVENTS, individual=BOTH, parameters=VALUES, **header)
    check(round_trip(path, tmp_path))


def test_covariates_of_occasions(tmp_path):
    individual = BOTH.replace("typical=V_pop,", "typical=V_pop, covariate={WT, FORM}, coefficient={b1, {0, b2}},")
    individual = individual.replace("input = {", "input = {WT, FORM, b1, b2, ").replace(
        "DEFINITION:", "FORM = {type=categorical, categories={'a', 'b'}}\nDEFINITION:"
    )
    rows = [f"{row},0.{row[-1]},{'ab'[row[-1] == '2']}" for row in LINES]
    path = written(
        tmp_path, rows, header="ID,TIME,AMT,Y,OCC,WT,FORM", individual=individual,
        content=f"{OCC['content']}\nWT={{use=covariate, type=continuous}}\nFORM={{use=covariate, type=categorical}}",
        covariate="[COVARIATE]\ninput = {WT, FORM}\nFORM = {type=categorical, categories={'a', 'b'}}",
        parameters=f"{VALUES}\nb1 = {{value=0.7}}\nb2 = {{value=-0.3}}",
    )  # fmt: skip
    trip = round_trip(path, tmp_path)
    check(trip)
    assert "MU_1 = LOG(THETA(1)) + THETA(2)*WT" in trip.text


def test_two_parameters_with_one_standard_deviation_between_occasions(tmp_path):
    individual = BOTH.replace("gamma_Cl", "gamma_V").replace("gamma_V, gamma_V, c1, c2", "gamma_V, c1").replace(
        "\ncorrelation = {level=id*occ, r(V, Cl)=c2}", ""
    )  # fmt: skip
    path = written(tmp_path, LINES, individual=individual, parameters="gamma_V = {value=0.1}\nc1 = {value=0.3}", **OCC)
    conversion = convert(path, to="nonmem")
    assert conversion.report.proof.holds
    assert conversion.files["small.ctl"].count("$OMEGA BLOCK(1) SAME ; gamma_V") == 5


def test_a_fraction_that_is_called_as_nonmem_calls_it(tmp_path):
    model = "PK:\ncompartment(cmt=1, volume=V, concentration=Cc)\niv(adm=1, cmt=1, p=F1)\nelimination(cmt=1, Cl)\n"
    individual = INDIVIDUAL.replace("omega_Cl}", "omega_Cl, F1_pop, gamma_F1}", 1) + (
        "\nF1 = {distribution=logitNormal, typical=F1_pop, varlevel=id*occ, sd=gamma_F1}"
    )
    path = written(
        tmp_path, LINES, individual=individual, model=f"{model}OUTPUT:\noutput = Cc\n", names="V, Cl, F1",
        parameters="F1_pop = {value=0.6}\ngamma_F1 = {value=0.3}", **OCC,
    )  # fmt: skip
    trip = round_trip(path, tmp_path)
    check(trip)
    assert any(
        line.startswith("  F1 = 1/(1 + EXP(") or line.startswith("  F1 = EXP(") for line in trip.text.splitlines()
    )
