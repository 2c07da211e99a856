"""Old control streams in today's style: what is written, that it is the same model, and what is left as it was."""

from __future__ import annotations

import json
import random
import re

import pytest

from nlmevae import pipeline
from nlmevae.cli.main import main
from nlmevae.errors import NlmevaeError, OutputError, SettingsError
from nlmevae_translators import modernise
from nlmevae_translators.proof import compare
from tests.helpers.made_up_data import made_up_data
from tests.translators.write_modern import FOLDER, golden

CASES = sorted(path.stem for path in FOLDER.glob("*.ctl"))
NOTHING_TO_DO = {"left_as_they_are", "modern"}
LOSSY = {"occasions_if"}
QUICK = ("logit", "changing_covariate", "formula_oral", "occasions_if")
FIXTURES = FOLDER.parents[1]


def case(name, tmp_path, *changes):
    """A copy of a case, the first of each pair of `changes` replaced by the second."""
    text = (FOLDER / f"{name}.ctl").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    for data in FOLDER.glob("*.csv"):
        (tmp_path / data.name).write_text(data.read_text())
    path = tmp_path / "run.ctl"
    path.write_text(text)
    return path


def entries(conversion, word):
    return [e for e in conversion.report.entries if word in e.construct or word in e.reason]


# golden files


@pytest.mark.parametrize("name", CASES)
def test_what_is_written_is_as_expected(name):
    conversion = modernise(FOLDER / f"{name}.ctl", proof=False)
    made = golden(conversion)
    expected = {file: (FOLDER / "expected" / file).read_text() for file in made}
    assert made == expected
    assert (conversion.files == {}) == (name in NOTHING_TO_DO)
    assert conversion.report.exit_code == (1 if name in LOSSY else 0)


@pytest.mark.parametrize("name", QUICK)
def test_it_predicts_the_same(name):
    proof = modernise(FOLDER / f"{name}.ctl").report.proof
    assert proof.holds
    assert proof.largest < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*CASES} - NOTHING_TO_DO - {*QUICK}))
def test_every_case_predicts_the_same(name):
    assert modernise(FOLDER / f"{name}.ctl").report.proof.holds


@pytest.mark.parametrize("name", CASES)
def test_a_second_time_nothing_is_left_to_do(name, tmp_path):
    conversion = modernise(FOLDER / f"{name}.ctl", proof=False)
    for data in FOLDER.glob("*.csv"):
        (tmp_path / data.name).write_text(data.read_text())
    for file, text in conversion.files.items():
        (tmp_path / file).write_text(text)
    if conversion.files:
        assert modernise(tmp_path / conversion.main, proof=False).files == {}


@pytest.mark.parametrize("name", CASES)
def test_individual_parameters_and_thetas_stay_what_they_were(name):
    text = (FOLDER / "expected" / f"{name}.ctl") if name not in NOTHING_TO_DO else FOLDER / f"{name}.ctl"
    old, new = pipeline.read_model(FOLDER / f"{name}.ctl"), pipeline.read_model(text)
    for before, after in zip(old.individual_parameters, new.individual_parameters, strict=True):
        assert (before.name, before.eta, before.thetas) == (after.name, after.eta, after.thetas)
        assert before.transform.kind == after.transform.kind
    assert [(t.init, t.fixed, t.role) for t in old.thetas] == [(t.init, t.fixed, t.role) for t in new.thetas]


# the proof sees what is wrong


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("MU_1 = LOG(TVCL)", "MU_1 = LOG(1.00001*TVCL)"),
        ("V = EXP(MU_2 + ETA(2))", "V = EXP(MU_2 + 1.01*ETA(2))"),
        ("Y = F + F*EPS(1)", "Y = F + 1.001*F*EPS(1)"),
    ],
)
def test_a_wrong_line_is_seen_by_the_proof(old, new, tmp_path):
    one = case("typical_values", tmp_path)
    text = (FOLDER / "expected" / "typical_values.ctl").read_text()
    assert old in text
    (tmp_path / "new.ctl").write_text(text.replace(old, new))
    run, two = pipeline.prepare(one), pipeline.prepare(tmp_path / "new.ctl")
    assert not compare(run, two, {eta: eta for eta in run.model.etas}).holds


# what is left as it was


def test_without_bounds_a_theta_whose_logarithm_is_taken_gets_one(tmp_path):
    conversion = modernise(case("exponential", tmp_path), proof=False)
    assert "$THETA (0, 3) ; CL" in conversion.files["run.ctl"]
    assert [e.construct for e in entries(conversion, "lower bound 0")] == ["THETA(1)", "THETA(2)"]


def test_a_theta_that_is_negative_has_no_logarithm(tmp_path):
    path = case("exponential", tmp_path, ("THETA(1)*EXP", "(-THETA(1))*EXP"), ("$THETA 3", "$THETA -3"))
    text = modernise(path, proof=False).files["run.ctl"]
    assert "MU_1 = LOG((-THETA(1)))" in text
    path = case("exponential", tmp_path, ("$THETA 3", "$THETA -3"))
    conversion = modernise(path, proof=False)
    assert "CL = THETA(1)*EXP(ETA(1))" in conversion.files["run.ctl"]
    assert "falls as ETA rises" in entries(conversion, "ETA(1)")[0].reason


def test_a_definition_that_changes_within_subjects_is_left(tmp_path):
    path = case("categories", tmp_path, ("SEX.EQ", "OCC.EQ"))
    conversion = modernise(path, proof=False)
    assert "MU_" not in conversion.files["run.ctl"]
    assert "changes within subjects with OCC" in entries(conversion, "ETA(1)")[0].reason


@pytest.mark.parametrize(
    "change",
    [
        ("IF (OCC.EQ.2) IOV = ETA(4)", "IF (OCC.EQ.2) IOV = 2*ETA(4)"),
        ("IOV = ETA(4)", "IOV = ETA(4) + 0.1"),
        ("Y = F + F*EPS(1)", "IPRED = F*EXP(ETA(4))\n  Y = IPRED + IPRED*EPS(1)"),
        ("KA = THETA(3)", "KA = THETA(3)*EXP(ETA(4))"),
        ("KA = THETA(3)", "KA = THETA(3)\n  IF (OCC.GT.3) KA = 1"),
    ],
)
def test_occasions_that_are_not_alike_are_not_tied(change, tmp_path):
    path = case("occasions_if", tmp_path, change)
    conversion = modernise(path, proof=False)
    assert "SAME" not in conversion.files["run.ctl"]
    assert conversion.report.exit_code == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("formula.csv", "unsorted.csv"), "TIME does not grow within subjects"),
        (("DOSE WT", "WT DOSE"), "DOSE changes within subjects"),
        (("KE = CL/V", "KE = CL/V\n  D1 = KE"), "D1 is another variable there"),
        (("WT RACE=DROP", "WT CMT"), "the data item CMT would then act"),
        (("IPRED = CP", "CL = CP"), "no variable is the solution of ADVAN1 or ADVAN2"),
    ],
)
def test_a_formula_that_the_data_do_not_let_be_compartments_stays(change, reason, tmp_path):
    path = case("formula_oral", tmp_path, change)
    rows = ["ID,TIME,DV,DOSE,WT,RACE", "1,4,3,100,60,1", "1,1,3,100,60,1", "2,1,4,100,60,1"]
    (tmp_path / "unsorted.csv").write_text("\n".join(rows) + "\n")
    if "DOSE changes" in reason:
        (tmp_path / "formula.csv").write_text("ID,TIME,DV,WT,DOSE,RACE\n1,1,3,60,100,1\n1,4,3,60,200,1\n2,1,4,60,9,1\n")
    conversion = modernise(path, proof=False)
    assert "$PRED" in conversion.files["run.ctl"]
    assert reason in entries(conversion, "$PRED")[0].reason


# text


def test_other_bytes_stay_and_line_ends_too(tmp_path):
    path = case("exponential", tmp_path, ("; clearance", "; Kl\N{LATIN SMALL LETTER A WITH DIAERESIS}rung"))
    path.write_bytes(path.read_text().replace("\n", "\r\n").encode("latin-1"))
    modernise(path, out=tmp_path / "out", proof=False)
    written = (tmp_path / "out" / "run.ctl").read_bytes()
    assert b"MU_1 = LOG(THETA(1))\r\n  CL = EXP(MU_1 + ETA(1))   ; Kl\xe4rung\r\n" in written
    assert written.count(b"\n") == written.count(b"\r\n")


def test_the_data_file_is_still_found_from_another_folder(tmp_path):
    modernise(case("exponential", tmp_path), out=tmp_path / "a" / "b", proof=False)
    assert "$DATA ../../data.csv" in (tmp_path / "a" / "b" / "run.ctl").read_text()
    assert pipeline.prepare(tmp_path / "a" / "b" / "run.ctl").table.n_obs_total == 36


def test_dose_records_are_written_beside_the_control_stream(tmp_path):
    modernise(case("formula_oral", tmp_path), out=tmp_path / "out", proof=False)
    run = pipeline.prepare(tmp_path / "out" / "run.ctl")
    assert run.table.n_obs_total == 42
    assert (tmp_path / "out" / "run_data.csv").read_text().splitlines()[1] == "1,0,0,100,59,.,100"


def test_code_on_the_line_of_its_record(tmp_path):
    path = case("exponential", tmp_path, ("$PK\n  CL", "$PK CL"))
    text = modernise(path, proof=False).files["run.ctl"]
    assert "$PK \nMU_1 = LOG(THETA(1))\nCL = EXP(MU_1 + ETA(1))" in text


# arguments


def test_without_data_the_report_says_that_there_is_no_proof(tmp_path):
    path = case("typical_values", tmp_path)
    (tmp_path / "data.csv").unlink()
    conversion = modernise(path)
    assert "MU_1 = LOG(TVCL)" in conversion.files["run.ctl"]
    assert not conversion.report.proof.done
    assert "taken as constant within subjects, without data: WT" in entries(conversion, "CL, ETA(1)")[0].reason
    assert "not made: data file not found" in conversion.report.text


def test_files_that_are_there_are_replaced_only_when_asked(tmp_path):
    path = case("exponential", tmp_path)
    with pytest.raises(OutputError, match="exists already"):
        modernise(path, out=tmp_path, proof=False)
    modernise(path, out=tmp_path, proof=False, overwrite=True)
    assert "MU_1" in path.read_text()


def test_a_monolix_project_is_a_settings_error():
    with pytest.raises(SettingsError, match="no control stream"):
        modernise(FIXTURES / "twins" / "oral_lag" / "project.mlxtran")


def test_the_command_writes_file_and_report(tmp_path, capsys):
    path = case("exponential", tmp_path)
    assert main(["convert", str(path), "--modernise", "--no-proof", "--report", str(tmp_path / "report.json")]) == 0
    assert (tmp_path / "run_modern" / "run.ctl").is_file()
    assert "by rule   CL, ETA(1)" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text())["exit_code"] == 0
    assert main(["convert", str(tmp_path / "run_modern" / "run.ctl"), "--modernise", "--no-proof"]) == 0
    assert "nothing had to change" in capsys.readouterr().out
    assert main(["convert", str(path), "--modernise", "--from-results", "x.ext"]) == 2


# everything that the front end takes


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((FIXTURES / "syntax/nonmem/accepted").glob("*.ctl")), ids=lambda p: p.stem)
def test_every_accepted_stream_stays_the_same_model(path, tmp_path):
    try:
        model = pipeline.read_model(path)
        data = made_up_data(model, tmp_path / "data.csv")
        pipeline.prepare(model, data=data)
    except NlmevaeError as error:
        pytest.skip(f"the model is not executed, or the data do not fit it: {error}")
    report = modernise(path, data=data).report
    assert report.proof is None or report.proof.holds


@pytest.mark.slow
def test_changed_texts_give_sentences(tmp_path):
    rng = random.Random(5)
    texts = [(FOLDER / f"{name}.ctl").read_text() for name in CASES]
    words = re.findall(r"\S+|\n", " ".join(texts))
    for k in range(1500):
        text = list(re.findall(r"\S+|\s+", rng.choice(texts)))
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(text))
            text[place : place + rng.randint(0, 2)] = [rng.choice(words)] * rng.randint(0, 2)
        path = tmp_path / f"run{k}.ctl"
        path.write_text("".join(text))
        try:
            said = [entry.reason for entry in modernise(path, proof=False).report.entries]
        except NlmevaeError as error:
            said = [error.message]
        assert all(said), path.name
        path.unlink()
