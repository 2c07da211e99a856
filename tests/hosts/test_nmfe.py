"""A control stream executed as NONMEM's script would: its files, its report, what is refused."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from nlmevae.errors import ModelError, OutputError
from nlmevae.hosts.nmfe import REFUSED, eta_samples, run_nmfe, settings_of
from nlmevae.pipeline import read_model
from nlmevae.results.status import FitStatus

FIXTURE = Path(__file__).parents[2] / "fixtures" / "theophylline"
SHORT = ";; nlmevae: burn_in_iterations=4 training_iterations=6 max_outer=2 final_draws=256 n_draws=64\n"
STEPS = """$ESTIMATION METHOD=ITS INTERACTION PRINT=1
$ESTIMATION METHOD=SAEM NITER=200 ISAMPLE=10 INTERACTION
$ESTIMATION METHOD=SAEM EONLY=1 NBURN=0 NITER=0 ISAMPLE=5 ETASAMPLES=1
$ESTIMATION METHOD=IMP EONLY=1 NITER=20 ISAMPLE=1000 ETASAMPLES=0
$COVARIANCE
$TABLE ID TIME DV IPRED CWRES NOAPPEND NOPRINT ONEHEADER FILE=sdtab1
"""


def stream(tmp_path, *, estimation=STEPS, head=SHORT, change=str) -> Path:
    text = (FIXTURE / "run_wt.ctl").read_text()
    before = text[: text.index("$ESTIMATION")].replace("Y = F + EPS(1)", "IPRED = F\n  Y = F + EPS(1)")
    shutil.copy(FIXTURE / "theophylline.csv", tmp_path)
    path = tmp_path / "run1.mod"
    path.write_text(change(head + before + estimation))
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Four estimation steps: (folder, what run_nmfe says)."""
    folder = tmp_path_factory.mktemp("nmfe")
    path = stream(folder)
    for name in ("run1.grd", "run1.clt", "psn.lst"):  # of an earlier run of NONMEM
        (folder / name).write_text("1NONLINEAR MIXED EFFECTS MODEL PROGRAM (NONMEM) VERSION 7.5.1\n")
    return folder, run_nmfe(path, folder / "psn.lst")


def test_the_files_have_nonmems_names(done):
    folder, found = done
    assert found.code == 0
    names = {p.name for p in folder.iterdir()}
    assert {"psn.lst", *(f"run1.{s}" for s in ("ext", "phi", "shk", "shm", "cpu", "ets"))} <= names
    assert "sdtab1" in names
    assert not {"run1.grd", "run1.clt"} & names


def test_inputs_are_not_touched(done):
    folder, _ = done
    assert (folder / "theophylline.csv").read_bytes() == (FIXTURE / "theophylline.csv").read_bytes()
    assert (folder / "run1.mod").read_text().startswith(SHORT)


def test_every_estimation_record_has_a_table_and_a_block(done):
    folder, _ = done
    for name in ("run1.ext", "run1.phi", "run1.shk", "run1.shm"):
        titles = re.findall(r"^TABLE NO\. +(\d+)", (folder / name).read_text(), re.MULTILINE)
        assert titles == ["1", "2", "3", "4"], name
    assert re.findall(r"^ #TBLN: +(\d+)", (folder / "psn.lst").read_text(), re.MULTILINE) == ["1", "2", "3", "4"]


def test_samples_are_as_many_as_the_step_that_asks_for_them_says(done):
    folder, found = done
    rows = (folder / "run1.ets").read_text().splitlines()[2:]
    assert len(rows) == 12 * 5
    assert found.result.individuals.eta_samples.shape == (5, 12, 3)


def test_pharmpy_reads_everything(done):
    tools = pytest.importorskip("pharmpy.tools")
    folder, found = done
    shutil.copy(folder / "psn.lst", folder / "run1.lst")
    read = tools.read_modelfit_results(folder / "run1.mod")
    result = found.result
    assert read.ofv == pytest.approx(result.ofv_nonmem, abs=1e-9)
    assert read.individual_ofv.sum() == pytest.approx(result.ofv_nonmem, abs=1e-8)
    np.testing.assert_allclose(read.individual_estimates, result.individuals.eta_mean, rtol=1e-5, atol=1e-12)
    assert read.individual_eta_samples.shape == (60, 3)
    assert bool(read.minimization_successful) is result.status.completed
    assert len(read.minimization_successful_iterations) == 4
    assert read.residuals is not None
    assert len(read.predictions) == 132


def test_the_covariance_step_is_that_of_the_control_stream(tmp_path):
    without = read_model(stream(tmp_path, estimation="$ESTIMATION METHOD=1\n"))
    assert settings_of(without, "").covariance == "none"
    assert settings_of(without, ";; nlmevae: covariance=observed\n").covariance == "observed"
    assert settings_of(read_model(stream(tmp_path)), "").covariance == "auto"


@pytest.mark.parametrize(
    ("records", "n"),
    [
        ("$EST METHOD=1\n", 0),
        ("$EST METHOD=SAEM ETASAMPLES=1\n", 2),
        ("$EST METHOD=IMP ETASAMPLES=1\n", 300),
        ("$EST METHOD=IMP ISAMPLE=50\n$EST METHOD=IMP ETASAMPLES=1\n", 50),
        ("$EST METHOD=IMP ISAMPLE=50 ETASAMPLES=1\n$EST METHOD=IMP ISAMPLE=9 ETASAMPLES=0\n", 50),
    ],
)
def test_samples_asked_for_hold_from_step_to_step(tmp_path, records, n):
    assert eta_samples(read_model(stream(tmp_path, estimation=records))) == n


def wrong(text: str) -> str:
    return text.replace("Y = F + EPS(1)", "Y = F + EPS(1) + NOTHING")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"change": wrong}, "NOTHING"),
        ({"change": lambda t: t.replace("theophylline.csv", "other.csv")}, "other.csv"),
        ({"head": ";; nlmevae: sed=1\n"}, "no setting 'sed'"),
        ({"estimation": "$TABLE ID FILE=t\n"}, r"there is no \$ESTIMATION"),
        ({"estimation": "$SIMULATION (1)\n$ESTIMATION METHOD=1\n"}, r"\$SIMULATION"),
    ],
    ids=["model", "data", "setting", "no estimation", "simulation"],
)
def test_what_cannot_be_executed_has_a_report_that_says_why_and_no_results(tmp_path, changes, said):
    path = stream(tmp_path, **changes)
    (tmp_path / "run1.ext").write_text("TABLE NO.     1: First Order: of another run\n")
    found = run_nmfe(path, tmp_path / "run1.lst")
    assert found.code == REFUSED
    report = (tmp_path / "run1.lst").read_text()
    assert re.search(said, report)
    assert "AN ERROR WAS FOUND" in report
    assert ("ON THE DATA SET" in report) == ("other.csv" in said)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run1.lst", "run1.mod", "theophylline.csv"]


def test_pharmpy_reads_a_refusal_as_a_failed_fit(tmp_path):
    nonmem = pytest.importorskip("pharmpy.tools.external.nonmem")
    from pharmpy.modeling import read_model as pharmpy_model

    path = stream(tmp_path, head="", estimation="$SIMULATION (1)\n$ESTIMATION METHOD=1\n")
    run_nmfe(path, tmp_path / "run1.lst")
    read = nonmem.parse_modelfit_results(pharmpy_model(path), path)
    assert np.isnan(read.ofv)
    assert not read.minimization_successful


def test_a_report_never_replaces_an_input(tmp_path):
    path = stream(tmp_path, change=wrong)
    for name in ("run1.mod", "theophylline.csv", "run1.ext"):
        before = (tmp_path / name).read_bytes() if (tmp_path / name).exists() else None
        with pytest.raises(OutputError):
            run_nmfe(path, tmp_path / name)
        assert before is None or (tmp_path / name).read_bytes() == before


def test_a_file_the_control_stream_names_is_not_removed_before_it_is_read(tmp_path):
    path = stream(tmp_path, change=lambda t: wrong(t).replace("theophylline.csv", "run1.phi"))
    shutil.copy(FIXTURE / "theophylline.csv", tmp_path / "run1.phi")
    assert run_nmfe(path, tmp_path / "run1.lst").code == REFUSED
    assert (tmp_path / "run1.phi").exists()


def test_data_named_like_a_result_stay(tmp_path):
    path = stream(tmp_path, change=lambda t: t.replace("theophylline.csv", "run1.phi"))
    shutil.copy(FIXTURE / "theophylline.csv", tmp_path / "run1.phi")
    found = run_nmfe(path, tmp_path / "run1.lst")
    assert found.code == REFUSED
    assert "would be overwritten" in (tmp_path / "run1.lst").read_text()
    assert (tmp_path / "run1.phi").read_bytes() == (FIXTURE / "theophylline.csv").read_bytes()


def test_a_missing_control_stream_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"cannot read .*none\.ctl"):
        run_nmfe(tmp_path / "none.ctl", tmp_path / "none.lst")
    assert not (tmp_path / "none.lst").exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ZeroDivisionError("oh"), "A DEFECT OF NLMEVAE ENDED THE RUN.\n ZeroDivisionError: oh"),
        (KeyboardInterrupt(), "THE RUN WAS INTERRUPTED BEFORE THERE WAS A RESULT"),
    ],
)
def test_a_defect_and_an_interrupt_leave_a_report_too(tmp_path, monkeypatch, error, said):
    import nlmevae.pipeline

    def broken(*args, **more):
        raise error

    monkeypatch.setattr(nlmevae.pipeline, "prepare", broken)
    with pytest.raises(type(error)):
        run_nmfe(stream(tmp_path), tmp_path / "run1.lst")
    assert said in (tmp_path / "run1.lst").read_text()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no record found"),
        (b"$PROBLEM caf\xe9\r\n$INPUT ID\r\n", "caf\xe9"),
        (b"\x00\x01\x02", "no record found"),
    ],
    ids=["empty", "latin-1 with CRLF", "binary"],
)
def test_any_file_as_a_control_stream_leaves_a_report(tmp_path, content, said):
    (tmp_path / "run1.ctl").write_bytes(content)
    assert run_nmfe(tmp_path / "run1.ctl", tmp_path / "run1.lst").code == REFUSED
    assert said in (tmp_path / "run1.lst").read_text(encoding="utf-8")
    assert (tmp_path / "run1.ctl").read_bytes() == content


def test_a_file_that_cannot_be_removed_is_named(tmp_path, monkeypatch):
    path = stream(tmp_path)
    (tmp_path / "run1.phi").write_text("of another run\n")

    def forbidden(self, missing_ok=False):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", forbidden)
    with pytest.raises(OutputError, match=r"cannot remove .*run1\.phi of an earlier run: Permission denied"):
        run_nmfe(path, tmp_path / "run1.lst")


def test_a_folder_is_no_control_stream(tmp_path):
    with pytest.raises(ModelError, match="cannot read"):
        run_nmfe(tmp_path, tmp_path / "run1.lst")


def test_an_evaluation_says_that_nothing_was_estimated(tmp_path):
    path = stream(tmp_path, estimation="$ESTIMATION METHOD=1 MAXEVAL=0 INTERACTION\n")
    found = run_nmfe(path, tmp_path / "run1.lst")
    assert (found.code, found.result.status) == (0, FitStatus.EVALUATED)
    assert "NOTHING WAS ESTIMATED" in (tmp_path / "run1.lst").read_text()
