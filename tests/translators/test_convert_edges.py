"""Control streams whose projects were once not read back, or predicted something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nlmevae import pipeline
from nlmevae.diagnostics.fitted import population_at, problem_at
from nlmevae_translators import convert
from nlmevae_translators.proof import compare, effects_by_label
from nlmevae_translators.to_monolix.write import to_monolix
from tests.helpers.made_up_data import made_up_data
from tests.translators.test_convert import PK, ROWS, refused, stream

SYNTAX = Path(__file__).parents[2] / "fixtures" / "syntax" / "nonmem" / "accepted"
DES = """$PROBLEM urine
$INPUT ID TIME AMT DV CMT EVID MDV
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN13 TOL=8
$MODEL COMP=(CENTRAL) COMP=(URINE)
$PK
  CL = THETA(1)*EXP(ETA(1))
  V = THETA(2)
$DES
  DADT(1) = -CL/V*A(1)
  DADT(2) = CL/V*A(1)
$ERROR
  IPRED = A(1)/V
  IF (CMT.EQ.2) IPRED = A(2)
  Y = IPRED*(1 + EPS(1))
$THETA (0, 3) (0, 25)
$OMEGA 0.09
$SIGMA 0.01
$ESTIMATION METHOD=1 INTERACTION
"""
#: Urine is collected until 4 and from 4 on.
COLLECTED = [
    "{id},0,100,.,1,1,1", "{id},1,.,3,1,0,0", "{id},4,.,30,2,0,0", "{id},4,.,.,-2,2,1", "{id},4,.,.,2,2,1",
    "{id},6,.,1.5,1,0,0", "{id},8,.,20,2,0,0",
]  # fmt: skip


def test_a_slope_that_is_no_number_where_a_covariate_is_0_moves_nothing(tmp_path):
    pk = "  K = THETA(1) + ETA(1)\n  CL = THETA(2)*WT + ETA(2)\n  V = CL/K"
    report = convert(stream(tmp_path, pk=pk, error="  Y = F/WT + EPS(1)").parent / "run.ctl").report
    assert report.proof.holds


@pytest.mark.parametrize("fixed", ["0.000001 FIX", "(0, 0.000001)"])
def test_an_additive_error_that_is_small_beside_predictions_is_kept(fixed, tmp_path):
    path = stream(
        tmp_path,
        pk=PK.replace("S1", "X"),
        error="  W = SQRT(THETA(3)**2 + (THETA(4)*F)**2)\n  Y = F + W*EPS(1)",
        records=f"$THETA {fixed} (0, 0.4)\n$OMEGA 0.01 0.01\n$SIGMA 1 FIX",
    )
    path.write_text(path.read_text().replace("(0, 3) (0, 25)", "(0, 2E-6) (0, 5E-4)").replace("S1 = V", "S1 = V/1000"))
    conversion = convert(path)
    assert conversion.report.proof.holds
    assert "combined2(" in conversion.files["run.mlxtran"]


def collected(tmp_path, rows, urine="URINE"):
    (tmp_path / "data.csv").write_text("\n".join(["ID", *(r.format(id=i) for i in (1, 2) for r in rows)]) + "\n")
    (tmp_path / "run.ctl").write_text(DES.replace("URINE", urine))
    return convert(tmp_path / "run.ctl")


def test_a_compartment_turned_off_and_on_is_emptied(tmp_path):
    conversion = collected(tmp_path, COLLECTED)
    assert conversion.report.proof.holds
    assert "empty(adm=2, target=A_urine)" in conversion.files["run_model.txt"]
    assert "1,4,1,2,.," in conversion.files["run_data.csv"]


def test_what_is_observed_just_after_emptying_is_refused(tmp_path):
    found = refused(collected(tmp_path, [*COLLECTED[:5], "{id},4,.,0.5,2,0,0", *COLLECTED[5:]]))
    assert [construct for construct, _ in found] == ["observation at the time of a dose"]


def test_a_record_that_observes_and_turns_off_is_refused(tmp_path):
    rows = ["{id},0,.,.,2,2,1", *COLLECTED[:2], "{id},4,.,30,-2,0,0", *COLLECTED[4:]]
    found = refused(collected(tmp_path, rows, urine="URINE INITIALOFF NODOSE"))
    assert [construct for construct, _ in found] == ["CMT"]
    assert "line 5 observes" in found[0][1]


def test_a_compartment_that_stays_off_is_refused(tmp_path):
    found = refused(collected(tmp_path, [*COLLECTED[:4], *COLLECTED[5:6]]))
    assert [construct for construct, _ in found] == ["CMT"]


def test_equal_rows_of_data_are_no_difference(tmp_path):
    assert convert(stream(tmp_path, rows=[*ROWS[:3], *ROWS[2:3], *ROWS[3:]])).report.proof.holds


def test_entries_name_the_lines_of_their_own_constructs(tmp_path):
    conversion = collected(tmp_path, COLLECTED)
    text = DES.splitlines()
    lines = {e.construct.split(" ")[0]: text[e.source.line - 1] for e in conversion.report.entries}
    assert lines["$SUBROUTINES"] == "$SUBROUTINES ADVAN13 TOL=8"
    assert lines["residual"] == "  Y = IPRED*(1 + EPS(1))"
    assert lines["outcomes"] == "  Y = IPRED*(1 + EPS(1))"
    assert lines["$DATA,"] == "$DATA data.csv IGNORE=@"
    assert lines["$ESTIMATION"].startswith("$ESTIMATION")


def test_a_regressor_is_named_where_the_code_reads_it(tmp_path):
    rows = ["1,0,100,.,60", "1,1,.,3,65", "1,4,.,2,50", "2,0,100,.,80", "2,1,.,4,70", "2,4,.,3,81"]
    pk = "  CL = THETA(1)*EXP(ETA(1))\n  V = THETA(2)*WT/70*EXP(ETA(2))"
    conversion = convert(stream(tmp_path, pk=pk, rows=rows), proof=False)
    found = [e.source.line for e in conversion.report.entries if e.construct == "WT"]
    assert found
    assert set(found) == {7}


def test_a_censored_value_is_no_regressor_of_its_own_prediction(tmp_path):
    """M3 with DV against a limit: the branch says how the value counts, not what is predicted."""
    error = (
        "  IPRED = F\n  W = THETA(3)\n  IF (DV.GE.2) THEN\n    F_FLAG = 0\n    Y = IPRED + W*EPS(1)\n  ELSE\n"
        "    F_FLAG = 1\n    Y = PHI((2 - IPRED)/W)\n  ENDIF"
    )
    path = stream(tmp_path, error=error, records="$THETA (0, 0.3)\n$OMEGA 0.09 0.04\n$SIGMA 1 FIX")
    path.write_text(path.read_text().replace("INTERACTION", "INTERACTION LAPLACE"))
    rows = [r.replace(",.,3,", ",.,1,") for r in ROWS]
    (tmp_path / "data.csv").write_text("ID,TIME,AMT,DV,WT\n" + "\n".join(rows) + "\n")
    conversion = convert(path)
    assert conversion.report.proof.holds
    assert "CENS = {use=censored}" in conversion.files["run.mlxtran"]
    assert "regressor" not in conversion.files["run.mlxtran"]
    assert "if (" not in conversion.files["run_model.txt"]


def test_flags_that_observations_of_one_time_do_not_share_make_outcomes(tmp_path):
    """As in FREM: one line for each covariate, at one time."""
    one = ["{id},0,100,.,0", "{id},1,.,3,1", "{id},1,.,60,2", "{id},1,.,30,3", "{id},4,.,2,1"]
    error = "  Y = F*(1 + EPS(1))\n  IF (WT.EQ.2) Y = THETA(3) + ETA(3) + EPS(2)\n  IF (WT.EQ.3) Y = THETA(4) + EPS(2)"
    path = stream(
        tmp_path,
        error=error,
        rows=[row.format(id=k) for k in (1, 2) for row in one],
        records="$THETA (0, 70) (0, 30)\n$OMEGA 0.09 0.04 9\n$SIGMA 0.01 0.0001",
    )
    conversion = convert(path)
    assert conversion.report.proof.holds
    assert "DV = {use=observation, name={y1, y2, y3}" in conversion.files["run.mlxtran"]
    assert "regressor" not in conversion.files["run.mlxtran"]


def test_flags_without_a_prediction_of_their_own_in_a_model_of_logarithms_are_named(tmp_path):
    """As in FREM with a covariate that the code does not know: its values pass for logarithms of concentrations."""
    one = ["{id},0,100,.,0", "{id},1,.,-1,1", "{id},1,.,{sex},2", "{id},4,.,0.7,1"]
    error = "  IPRED = -4\n  IF (F.GT.0) IPRED = LOG(F)\n  Y = IPRED + EPS(1)\n  IF (WT.EQ.3) Y = THETA(3) + EPS(2)"
    rows = [row.format(id=k, sex=k - 1) for k in (1, 2) for row in one]
    path = stream(tmp_path, error=error, rows=rows, records="$THETA (0, 1)\n$OMEGA 0.09 0.04\n$SIGMA 0.01 0.0001")
    ((construct, reason),) = refused(convert(path))
    assert construct == "DV"
    assert reason.startswith("DV is 0 on line 4 and never negative on records with WT=2, but the code has a logarithm")


def test_errors_of_outcomes_that_the_data_do_not_have_are_named(tmp_path):
    error = "  Y = F*(1 + EPS(1))\n  IF (WT.EQ.2) Y = F + EPS(2)"
    report = convert(stream(tmp_path, error=error, records="$OMEGA 0.09 0.04\n$SIGMA 0.01 0.1")).report
    assert report.proof.holds
    assert [e.construct for e in report.of("lossy")] == ["EPS(2)"]


def test_a_parameter_that_is_assigned_twice_keeps_both_values(tmp_path):
    """S1 is of the first V, the rate constant of the second."""
    pk = "  CL = THETA(1)*EXP(ETA(1))\n  V = THETA(2)*EXP(ETA(2))\n  VOLS = V/2\n  V = THETA(2)*(WT/70)*EXP(ETA(2))"
    path = stream(tmp_path, pk=pk)
    path.write_text(path.read_text().replace("S1 = V", "S1 = VOLS"))
    conversion = convert(path)
    assert conversion.report.proof.holds
    assert "ETA(" not in conversion.files["run_model.txt"]


def test_a_variable_with_the_name_of_an_argument_is_not_read_by_it(tmp_path):
    """The first V reads a THETA that nothing else does; pkmodel(V=V2) reads the second."""
    text = (SYNTAX / "input_two_records.ctl").read_text().replace("$THETA (0, 30)", "$THETA (1, 30)")
    path = tmp_path / "run.ctl"
    path.write_text(f"{text}$PK\nVM = THETA(1)*EXP(ETA(1))\nV = THETA(3)*EXP(ETA(2))\nKM = THETA(2)*V\nS1 = V\n")
    made_up_data(pipeline.read_model(path), tmp_path / "data.csv")
    conversion = convert(path, proof=False)
    assert "pkmodel(V=V2, Cl=CL2)" in conversion.files["run_model.txt"]
    assert "THETA" not in conversion.files["run_model.txt"]


def test_a_covariate_of_0_whose_logarithm_is_none_stays_in_the_formula(tmp_path):
    pk = PK + "\n  IF (WT.LT.70) CL = CL*(1 + WT)**0.75\n  V = V*(WT + 0.1)**0"
    rows = [r.replace(",60", ",0") for r in ROWS]
    assert convert(stream(tmp_path, pk=pk, rows=rows)).report.proof.holds
    pk = "  TVCL = THETA(1) + WT**0.75\n  CL = TVCL*EXP(ETA(1))\n  V = (THETA(2)*(WT/70)**0.5 + 1)*EXP(ETA(2))"
    assert convert(stream(tmp_path, pk=pk, rows=rows)).report.proof.holds


def test_predictions_with_both_values_of_a_variable_are_those_by_hand(tmp_path):
    pk = "  CL = THETA(1)*EXP(ETA(1))\n  V = THETA(2)*EXP(ETA(2))\n  VOLS = V/2\n  V = THETA(2)*(WT/70)*EXP(ETA(2))"
    path = stream(tmp_path, pk=pk)
    path.write_text(path.read_text().replace("S1 = V", "S1 = VOLS"))
    run = pipeline.prepare(path)
    problem = problem_at(run.model, run.table, None)
    joint = problem.joint(population_at(run.model, None))
    found = joint.predict(joint.mean)
    problem.decoder.close()
    expected = [100.0 / 12.5 * np.exp(-3.0 / (25.0 * wt / 70.0) * t) for wt in (60.0, 80.0) for t in (1.0, 4.0)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_an_effect_that_nothing_observed_depends_on_is_left_out_by_name(tmp_path):
    """S3 scales a compartment without observations; its effect is correlated with one that acts."""
    pk = "  CL = THETA(1)*EXP(ETA(1))\n  V2 = THETA(2)\n  V3 = V2\n  Q = 1\n  KA = 1\n  S2 = V2\n  S3 = V3*EXP(ETA(2))"
    path = stream(tmp_path, pk=pk, records="$OMEGA BLOCK(2) 0.09 0.03 0.04\n$SIGMA 0.01")
    path.write_text(path.read_text().replace("  S1 = V\n", "").replace("ADVAN1 TRANS2", "ADVAN4 TRANS4"))
    conversion = convert(path)
    assert conversion.report.proof.holds
    assert [(e.construct, e.source.line) for e in conversion.report.of("lossy")] == [("ETA(2)", 12)]
    assert "S3" not in conversion.files["run.mlxtran"]


def test_densities_are_compared_at_the_same_predictions(tmp_path):
    """The last value is 3 where some 1e-20 are predicted, of which integrators have no digit, and the error is
    proportional."""
    rows = [*ROWS[:3], "1,400,.,3,60", *ROWS[3:]]
    path = stream(tmp_path, pk=PK.replace("THETA(1)", "THETA(1)*WT/70"), rows=rows)
    text = path.read_text().replace("ADVAN1 TRANS2", "ADVAN13 TOL=9\n$MODEL COMP=(CENTRAL)")
    path.write_text(text.replace("$ERROR", "$DES\n  DADT(1) = -CL/V*A(1)\n$ERROR"))
    proof = convert(path).report.proof
    assert proof.holds
    assert proof.density < 1e-12


#: Predictions of 1e-20 and less of values of 3.
VANISHED = {"pk": PK.replace("THETA(1)", "400*THETA(1)")}


def test_a_coefficient_of_the_error_that_has_no_square_is_refused(tmp_path):
    error = "  Y = F*(1D-300 + EPS(1)) + EPS(2)"
    path = stream(tmp_path, error=error, records="$OMEGA 0.09 0.04\n$SIGMA 0.04 0.1")
    ((construct, reason),) = refused(convert(path))
    assert construct == "EPS(1)"
    assert "Correct the factors in Y" in reason


def test_an_almost_singular_block_of_omega_is_the_same_and_a_wrong_one_is_seen(tmp_path):
    """As FREM estimates it; the smallest eigenvalue is 1e-10 of the largest."""
    run = pipeline.prepare(stream(tmp_path, records="$OMEGA BLOCK(2) 0.09 0.05999999998 0.04\n$SIGMA 0.01"))
    written = to_monolix(run, name="two")
    line = next(x for x in written.files["two.mlxtran"].splitlines() if x.startswith("corr_CL_V = {value="))
    for wrong in (line, line.replace("value=0.99", "value=0.98")):
        for name, text in written.files.items():
            (tmp_path / name).write_text(text.replace(line, wrong))
        two = pipeline.prepare(tmp_path / "two.mlxtran")
        assert compare(run, two, effects_by_label(two.model, written.effects)).holds == (wrong == line)


def test_values_where_0_is_predicted_are_named(tmp_path):
    """NONMEM's usual guard; Monolix has no proportional error of 0."""
    error = "  W = F\n  IF (F.EQ.0) W = 1\n  Y = F + W*EPS(1)"
    report = convert(stream(tmp_path, error=error, rows=["1,-1,.,0.2,60", *ROWS])).report
    assert report.failed
    assert "proof: failed: 0 is predicted on line 2, where the code has a number" in report.text
    assert convert(stream(tmp_path, error=error)).report.proof.holds


@pytest.mark.parametrize("wrong", ["b = {value=0.1001", "b = {value=0.2"])
def test_a_wrong_error_model_is_seen_where_predictions_vanish(wrong, tmp_path):
    run = pipeline.prepare(stream(tmp_path, **VANISHED))
    written = to_monolix(run, name="two")
    assert "b = {value=0.1," in written.files["two.mlxtran"]
    for name, text in written.files.items():
        (tmp_path / name).write_text(text.replace("b = {value=0.1,", f"{wrong},"))
    two = pipeline.prepare(tmp_path / "two.mlxtran")
    found = compare(run, two, effects_by_label(two.model, written.effects))
    assert found.largest < 1e-9
    assert not found.holds


WAYS = ["1,0,100,.,1", "1,1,.,3,0", "1,4,100,.,2", "1,5,.,4,0", "2,0,120,.,2", "2,1,.,4,0", "2,4,50,.,1", "2,8,.,3,0"]


@pytest.mark.parametrize(
    ("doses", "line"),
    [
        ("F1 = 1\n  IF (WT.EQ.2) F1 = THETA(3)", "iv(adm=2, cmt=1, p=F1)"),
        ("F1 = 1 - 0.4*(WT - 1)", "iv(adm=2, cmt=1, p=0.6)"),
        ("IF (WT.EQ.2) THEN\n    ALAG1 = THETA(3)\n  ELSE\n    ALAG1 = 0\n  ENDIF", "iv(adm=2, cmt=1, Tlag=ALAG1)"),
    ],
)
def test_an_item_that_chooses_how_doses_enter_makes_administrations(doses, line, tmp_path):
    """WT stands for a formulation that changes within subjects."""
    path = stream(tmp_path, pk=f"{PK}\n  {doses}", rows=WAYS)
    path.write_text(path.read_text().replace("(0, 25)", "(0, 25) (0, 0.6, 1)"))
    conversion = convert(path)
    assert conversion.report.proof.holds
    assert {"iv(adm=1, cmt=1)", line} <= set(conversion.files["run_model.txt"].splitlines())
    assert [row.split(",")[3] for row in conversion.files["run_data.csv"].splitlines()[1:]] == list("1.2.2.1.")
    assert "WT" not in conversion.files["run_model.txt"]


def test_a_covariate_that_acts_on_doses_and_has_no_categories_is_refused(tmp_path):
    rows = [f"{row[:-1]}{61.5 + k}" for k, row in enumerate(WAYS)]
    found = refused(convert(stream(tmp_path, pk=f"{PK}\n  F1 = (WT/70)**0.1", rows=rows)))
    assert [construct for construct, _ in found] == ["F1"]
    assert "changes within a subject, and acts on doses" in found[0][1]
