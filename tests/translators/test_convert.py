"""Control streams to Monolix projects: what is written, that it is the same model, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nlmevae import pipeline
from nlmevae.cli.main import main
from nlmevae.errors import DataError, OutputError, SettingsError
from nlmevae_translators import convert
from nlmevae_translators.convert import moved_model
from nlmevae_translators.proof import compare, effects_by_label
from nlmevae_translators.to_monolix.write import to_monolix
from tests.helpers.equal_models import Read, model_differences, prediction_difference
from tests.helpers.made_up_data import made_up_data

FIXTURES = Path(__file__).parents[2] / "fixtures"
FOLDER = FIXTURES / "translate"
CASES = sorted(path.parent.name for path in FOLDER.glob("*/run.ctl"))
TWINS = sorted(path.parent.name for path in (FIXTURES / "twins").glob("*/run.ctl"))
LOSSY = {"steady_state", "other_effects"}
STREAM = """$PROBLEM one compartment
$INPUT ID TIME AMT DV WT
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN1 TRANS2
$PK
{pk}
  S1 = V
$ERROR
{error}
$THETA (0, 3) (0, 25)
{records}
$ESTIMATION METHOD=1 INTERACTION
"""
PK = "  CL = THETA(1)*EXP(ETA(1))\n  V = THETA(2)*EXP(ETA(2))"
ROWS = ["1,0,100,.,60", "1,1,.,3,60", "1,4,.,2,60", "2,0,100,.,80", "2,1,.,4,80", "2,4,.,3,80"]


def stream(tmp_path, *, pk=PK, error="  Y = F*(1 + EPS(1))", records="$OMEGA 0.09 0.04\n$SIGMA 0.01", rows=ROWS):
    (tmp_path / "data.csv").write_text("ID,TIME,AMT,DV,WT\n" + "\n".join(rows) + "\n")
    path = tmp_path / "run.ctl"
    path.write_text(STREAM.format(pk=pk, error=error, records=records))
    return path


def refused(conversion):
    return [(e.construct, e.reason) for e in conversion.report.of("refused")]


# the twins


@pytest.mark.parametrize("case", TWINS)
def test_a_converted_twin_is_the_other_twin(case, tmp_path):
    run = pipeline.prepare(FIXTURES / "twins" / case / "run.ctl")
    for name, text in to_monolix(run, name="run").files.items():
        (tmp_path / name).write_text(text)
    made = pipeline.read_model(tmp_path / "run.mlxtran")
    assert model_differences(pipeline.read_model(FIXTURES / "twins" / case / "project.mlxtran"), made) == []
    assert prediction_difference(Read.of(run.model), Read.of(made), np.random.default_rng(1)) < 1e-9


# golden files


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_is_the_same_model_and_as_expected(case):
    conversion = convert(FOLDER / case / "run.ctl")
    expected = {p.name: p.read_text() for p in (FOLDER / case / "expected").iterdir()}
    assert conversion.files == expected
    assert conversion.report.proof.holds
    assert conversion.report.exit_code == (1 if case in LOSSY else 0)


def test_every_entry_says_where_it_is_from():
    report = convert(FOLDER / "covariates_in_the_code" / "run.ctl", proof=False).report
    assert all(e.source is not None and e.reason for e in report.entries)
    assert any(e.target.startswith("run.mlxtran:") for e in report.entries)


# the proof sees what is wrong


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("run.mlxtran", "omega_CL = {value=0.3", "omega_CL = {value=0.31"),
        ("run.mlxtran", "V_pop = {value=25", "V_pop = {value=25.001"),
        ("run.mlxtran", "b = {value=0.15", "b = {value=0.1501"),
        ("run.mlxtran", "{0, beta_CL_SEX_1}", "{beta_CL_SEX_1, 0}"),
        ("run_model.txt", "theta7^SEX2", "theta7^(1-SEX2)"),
        ("run_data.csv", "1,0,100,", "1,0,101,"),
    ],
)
def test_a_wrong_number_anywhere_is_seen_by_the_proof(file, old, new, tmp_path):
    run = pipeline.prepare(FOLDER / "categories" / "run.ctl")
    written = to_monolix(run, name="run")
    assert old in written.files[file]
    for name, text in written.files.items():
        (tmp_path / name).write_text(text.replace(old, new) if name == file else text)
    two = pipeline.prepare(tmp_path / "run.mlxtran")
    assert not compare(run, two, effects_by_label(two.model, written.effects)).holds


def test_moved_thetas_stay_inside_their_bounds_and_fixed_ones_where_they_are():
    model = pipeline.read_model(FIXTURES / "twins" / "indirect_response" / "run.ctl")
    moved = moved_model(model, seed=3)
    for old, new in zip(model.thetas, moved.thetas, strict=True):
        assert old.lower <= new.init <= old.upper
        assert (new.init == old.init) == old.fixed


# refusals


@pytest.mark.parametrize(
    ("changes", "construct", "reason"),
    [
        ({"error": "  Y = F + F*EPS(1)*EXP(ETA(3))", "records": "$OMEGA 0.09 0.04 0.1\n$SIGMA 0.01"},
         "ETA(3)", "residual error has no counterpart"),
        ({"error": "  Y = F + F*EPS(1) + EPS(2)", "records": "$OMEGA 0.09 0.04\n$SIGMA BLOCK(2) 0.01 0.001 0.04"},
         "correlation of", "independent in Monolix"),
        ({"rows": [*ROWS[:3], "2,0,100,.,80", "2,0,.,4,80", "2,4,.,3,80"]},
         "observation at the time of a dose", "line 6"),
        ({"pk": PK + "\n  MTIME(1) = 2\n  IF (TIME.GT.MTIME(1)) V = V*MPAST(1)"}, "MTIME", "no counterpart"),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_is_refused_by_name_and_nothing_is_written(changes, construct, reason, tmp_path):
    conversion = convert(stream(tmp_path, **changes), out=tmp_path / "out")
    found = refused(conversion)
    assert len(found) == 1
    assert construct in found[0][0]
    assert reason in found[0][1]
    assert conversion.report.exit_code == 2
    assert conversion.files == {}
    assert not (tmp_path / "out").exists()


def test_bounds_that_monolix_does_not_have_are_lossy(tmp_path):
    path = stream(tmp_path)
    path.write_text(path.read_text().replace("(0, 25)", "(5, 25, 90)"))
    report = convert(path, proof=False).report
    assert [e.construct for e in report.of("lossy")] == ["THETA(2)"]
    assert report.exit_code == 1


def test_an_error_parameter_of_two_outcomes_is_lossy(tmp_path):
    pk = PK + "\n  A_0(1) = 5"
    error = "  IPRED = F\n  IF (WT.GT.70) IPRED = LOG(F + 1)\n  W = 0.1\n  Y = IPRED + W*EPS(1)"
    path = stream(tmp_path, pk=pk, error=error, records="$OMEGA 0.09 0.04\n$SIGMA 1")
    assert convert(path).report.proof.holds
    twice = Path(FOLDER / "two_outcomes" / "run.ctl").read_text().replace("EPS(2)", "EPS(1)").replace("0.02 4", "0.02")
    (tmp_path / "twice.ctl").write_text(twice.replace("data.csv", str(FOLDER / "two_outcomes" / "data.csv")))
    report = convert(tmp_path / "twice.ctl").report
    assert report.proof.holds
    assert ["shares a parameter" in e.reason for e in report.of("lossy")] == [True]


def test_a_prior_is_refused_and_left_out_only_where_that_is_allowed(tmp_path):
    prior = "$PRIOR NWPRI\n$THETAP 3 FIX 25 FIX\n$THETAPV BLOCK(2) FIX 0.1 0 0.1"
    path = stream(tmp_path, records=f"$OMEGA 0.09 0.04\n$SIGMA 0.01\n{prior}")
    assert convert(path).files == {}
    allowed = convert(path, allow_lossy=True)
    assert set(allowed.files) == {"run.mlxtran", "run_model.txt", "run_data.csv"}
    assert allowed.report.exit_code == 1
    assert allowed.files["run_model.txt"].startswith("; $PRIOR (run.ctl:")
    assert allowed.report.proof.holds


# special data


def test_a_changing_covariate_gets_the_value_of_the_next_record(tmp_path):
    rows = ["1,0,100,.,60", "1,1,.,3,65", "1,4,.,2,50", "2,0,100,.,80", "2,1,.,4,70", "2,4,.,3,81"]
    pk = "  CL = THETA(1)*WT/70*EXP(ETA(1))\n  V = THETA(2)*EXP(ETA(2))"
    conversion = convert(stream(tmp_path, pk=pk, rows=rows))
    assert conversion.report.proof.holds
    lines = conversion.files["run_data.csv"].splitlines()
    assert lines[0].split(",")[-1] == "WT_NEXT"
    assert [line.split(",")[-1] for line in lines[1:]] == ["65", "50", "50", "70", "81", "81"]


def test_a_volume_that_changes_is_read_at_the_record_itself(tmp_path):
    rows = ["1,0,100,.,60", "1,1,.,3,65", "1,4,.,2,50", "2,0,100,.,80", "2,1,.,4,70", "2,4,.,3,81"]
    pk = "  CL = THETA(1)*EXP(ETA(1))\n  V = THETA(2)*WT/70*EXP(ETA(2))"
    conversion = convert(stream(tmp_path, pk=pk, rows=rows))
    assert conversion.report.proof.holds
    assert "WT_NEXT" in conversion.files["run_data.csv"].splitlines()[0]
    assert "{use=regressor}" in conversion.files["run_model.txt"]


def test_equal_ids_that_are_two_subjects_stay_two(tmp_path):
    rows = [*ROWS, "1,0,100,.,70", "1,1,.,3,70", "1,4,.,2,70"]
    conversion = convert(stream(tmp_path, rows=rows))
    assert conversion.report.proof.holds
    assert "1_2,0,100," in conversion.files["run_data.csv"]


def test_one_subject_is_converted(tmp_path):
    assert convert(stream(tmp_path, rows=ROWS[:3])).report.proof.holds


# arguments


def test_final_estimates_become_initial_ones(tmp_path):
    path = stream(tmp_path)
    ext = tmp_path / "run.ext"
    names = ["THETA1", "THETA2", "SIGMA(1,1)", "OMEGA(1,1)", "OMEGA(2,1)", "OMEGA(2,2)", "OBJ"]
    values = [2.5, 31.0, 0.0225, 0.16, 0.0, 0.25, 10.0]
    ext.write_text(f"ITERATION {' '.join(names)}\n-1000000000 {' '.join(map(str, values))}\n")
    text = convert(path, from_results=ext).files["run.mlxtran"]
    for line in ("CL_pop = {value=2.5,", "V_pop = {value=31,", "omega_CL = {value=0.4,", "omega_V = {value=0.5,"):
        assert line in text
    assert "b = {value=0.15," in text


@pytest.mark.parametrize("argument", [{"to": "stan"}, {"to": "nonmem"}])
def test_a_wrong_language_is_a_settings_error(argument, tmp_path):
    with pytest.raises(SettingsError):
        convert(stream(tmp_path), **argument)


def test_given_data_that_are_missing_are_a_data_error(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        convert(stream(tmp_path), data=tmp_path / "other.csv")


def test_files_that_are_there_are_replaced_only_when_asked(tmp_path):
    path = stream(tmp_path)
    convert(path, out=tmp_path / "out", proof=False)
    with pytest.raises(OutputError, match="exists already"):
        convert(path, out=tmp_path / "out", proof=False)
    convert(path, out=tmp_path / "out", proof=False, overwrite=True)


def test_the_command_writes_files_and_report_and_ends_with_the_reports_code(tmp_path, capsys):
    path = stream(tmp_path)
    code = main(["convert", str(path), "--to", "mlxtran", "--report", str(tmp_path / "report.json")])
    assert code == 0
    assert (tmp_path / "run_mlxtran" / "run.mlxtran").is_file()
    assert "are the same" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text())["proof"]["holds"] is True
    assert main(["check", str(tmp_path / "run_mlxtran" / "run.mlxtran")]) == 0


def test_a_refusal_ends_with_2_and_says_that_nothing_is_written(tmp_path, capsys):
    path = stream(tmp_path, rows=[*ROWS[:3], "2,0,100,.,80", "2,0,.,4,80", "2,4,.,3,80"])
    assert main(["convert", str(path), "--to", "mlxtran", "--out", str(tmp_path / "out")]) == 2
    assert "nothing is written" in capsys.readouterr().out


# every construct that the front end takes


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((FIXTURES / "syntax/nonmem/accepted").glob("*.ctl")), ids=lambda p: p.stem)
def test_every_accepted_stream_is_converted_exactly_or_refused(path, tmp_path):
    model = pipeline.read_model(path)
    try:
        run = pipeline.prepare(model, data=made_up_data(model, tmp_path / "data.csv"))
    except Exception as error:
        pytest.skip(f"the data do not fit the model: {error}")
    report = convert(path, data=tmp_path / "data.csv").report
    assert report.of("refused") or report.proof.holds
    assert run.table.n_obs_total > 0


def test_a_number_that_is_not_finite_is_refused_by_name(tmp_path):
    """Found by mutation: 1E400 is infinite."""
    pk = "  CL = THETA(1)*EXP(ETA(1))\n  V = THETA(2)*EXP(ETA(2))*(WT/70 + 1E400)"
    ((construct, reason),) = refused(convert(stream(tmp_path, pk=pk), proof=False))
    assert construct == "a number of the code"
    assert reason.startswith("inf cannot be written")


def test_a_residual_error_that_starts_at_0_is_refused_by_name(tmp_path):
    error = "  W = SQRT(THETA(3)**2 + (THETA(4)*F)**2)\n  Y = F + W*EPS(1)"
    records = "$THETA (0, 0.1) (0, 0)\n$OMEGA 0.09 0.04\n$SIGMA 1 FIX"
    ((construct, reason),) = refused(convert(stream(tmp_path, error=error, records=records)))
    assert construct == "THETA(4)"
    assert "starts at 0" in reason
