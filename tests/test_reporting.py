"""From a finished fit on disk to its report."""

import dataclasses
import json
import shlex
import shutil

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

import nlmevae
from nlmevae.cli.main import build_parser, main
from nlmevae.errors import DataError, OutputError, SettingsError
from nlmevae.pipeline import fit, prepare
from nlmevae.reporting import ReportOptions, contents, write_report
from nlmevae.results.run_folder import is_own_file
from nlmevae.run_description import command, describe
from nlmevae.writers.results_json import read_results_json
from tests.helpers.html_page import Page
from tests.helpers.report_runs import write_run

SHORT = {
    "burn_in_iterations": 4, "training_iterations": 6, "its_iterations": 2, "n_alternatives": 0, "max_outer": 2,
    "final_draws": 256, "n_draws": 64, "seed": 5,
}  # fmt: skip
QUICK = {"subjects": 1, "simulations": 0}
WEIGHTS = np.array([50.0, 56.0, 63.0, 69.0, 76.0, 82.0, 89.0, 95.0])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder with run1.ctl, its data and its results."""
    folder = tmp_path_factory.mktemp("report")
    fit(write_run(folder, weights=WEIGHTS), write=True, **SHORT)
    return folder


@pytest.fixture(scope="module")
def written(finished):
    """The report by the command line; its text."""
    assert (
        main(["report", str(finished / "run1.ctl"), "--subjects", "3", "--simulations", "60", "--stratify", "SEX"]) == 0
    )
    return (finished / "run1.html").read_text(encoding="utf-8")


def test_the_command_writes_one_file_of_ours_beside_the_results(finished, written):
    assert is_own_file(finished / "run1.html")
    assert sorted(p.name for p in finished.iterdir()) == [
        "data.csv", "run1.coi", "run1.cor", "run1.cov", "run1.ctl", "run1.ext", "run1.html", "run1.individuals.csv",
        "run1.phi", "run1.results.json", "run1.shk", "run1.shm",
    ]  # fmt: skip


def test_the_report_shows_this_run(finished, written):
    parsed = Page(written)
    assert parsed.unbalanced == []
    words = parsed.all("main")[0].words
    result = read_results_json(finished / "run1.results.json")
    assert f"{result.minus_two_ll:.3f}" in words.replace("−", "-")
    assert "40 observations" in words
    assert "8 subjects" in words
    assert "SEX = 0, SEX = 1" in words
    assert "3 of 8 subjects" in words or "subjects" in words
    assert (finished / "run1.ctl").read_text() in "".join(parsed.all("code")[-1].text)
    assert "CL" in words
    assert "WT_ON_CL" in words


def test_diagnostics_are_those_of_the_fits_subjects_at_its_estimates(finished):
    result = read_results_json(finished / "run1.results.json")
    made = contents(prepare(finished / "run1.ctl"), result, options=ReportOptions(**QUICK))
    found = made.diagnostics
    assert found.labels == result.individuals.labels
    assert len(found.observations.dv) == result.n_obs_total
    o = found.observations
    # PRED of the one-compartment bolus model, by hand
    thetas = result.thetas
    weight = WEIGHTS[o.subject]
    sex = (o.subject % 3 == 1).astype(float)
    cl = thetas[0] * (weight / 70) ** thetas[2] * np.exp(thetas[3] * sex)
    v = thetas[1] + thetas[4] * (weight - 70)
    np.testing.assert_allclose(o.pred, 100 / v * np.exp(-cl / v * o.time), rtol=1e-8)
    assert {(e.parameter, e.covariate) for e in made.effects} == {("CL", "WT"), ("CL", "SEX"), ("V", "WT")}
    assert [list(times) for times in made.run.data.dose_times] == [[0.0]] * 8


def test_python_writes_the_same_report_under_another_name(finished, tmp_path):
    result = read_results_json(finished / "run1.results.json")
    first = nlmevae.report(finished / "run1.ctl", fit=result, out=tmp_path / "a.html", **QUICK)
    second = write_report(finished / "run1.ctl", fit=finished / "run1.results.json", out=tmp_path / "b.html", **QUICK)
    assert first.read_bytes() == second.read_bytes()


def test_the_name_report_is_the_same_before_and_after_its_package_is_loaded():
    import nlmevae.report.style

    assert callable(nlmevae.report)
    assert nlmevae.report.COLOUR is nlmevae.report.style.COLOUR


def test_the_command_in_the_report_fits_the_same_again(finished):
    result = read_results_json(finished / "run1.results.json")
    line = command(prepare(finished / "run1.ctl"), result)
    words = shlex.split(line)
    assert words[:2] == ["nlmevae", "fit"]
    arguments = build_parser().parse_args(words[1:])
    assert arguments.seed == "5"
    assert set(arguments.settings) == {f"{k}={v}" for k, v in SHORT.items() if k != "seed"}
    assert "--data" not in words
    moved = dataclasses.replace(result, data_path="/elsewhere/other file.csv")
    assert shlex.split(command(prepare(finished / "run1.ctl"), moved)).count("/elsewhere/other file.csv") == 1


def test_the_description_names_parameters_and_what_they_read(finished):
    made = describe(prepare(finished / "run1.ctl"), read_results_json(finished / "run1.results.json"))
    cl = next(p for p in made.parameters if p.name == "CL")
    assert cl.distribution == "log-normal"
    assert set(cl.reads) == {"THETA(1)", "THETA(3)", "THETA(4)", "WT", "SEX"}
    assert made.data.obs_per_subject == (5.0, 5.0, 5.0)


def test_estimates_at_which_nothing_can_be_computed_have_a_report_that_says_so(finished, tmp_path):
    result = read_results_json(finished / "run1.results.json")
    broken = dataclasses.replace(result, thetas=result.thetas * np.nan)
    path = write_report(finished / "run1.ctl", fit=broken, out=tmp_path / "a.html", **QUICK)
    assert "No diagnostics: some estimates are not finite numbers." in path.read_text(encoding="utf-8")


def test_results_of_another_run_are_refused(finished, tmp_path):
    other = write_run(tmp_path, weights=WEIGHTS[:5])
    with pytest.raises(DataError, match="8 subjects with 40 observations"):
        write_report(other, fit=finished / "run1.results.json", data=tmp_path / "data.csv", **QUICK)
    text = (finished / "run1.ctl").read_text().replace("$THETA 0.02 ; WT_ON_V\n", "").replace("+THETA(5)*(WT-70)", "")
    (tmp_path / "less.ctl").write_text(text)
    with pytest.raises(DataError, match="THETA"):
        write_report(tmp_path / "less.ctl", fit=finished / "run1.results.json", **QUICK)


def test_without_results_the_report_asks_for_a_fit(tmp_path):
    with pytest.raises(DataError, match="there is no") as caught:
        write_report(write_run(tmp_path, weights=WEIGHTS[:2]))
    assert "nlmevae fit" in caught.value.hint


def test_a_file_of_another_program_is_kept(finished, tmp_path):
    target = tmp_path / "mine.html"
    target.write_text("<html>mine</html>")
    with pytest.raises(OutputError, match="was not written by nlmevae"):
        write_report(finished / "run1.ctl", out=target, **QUICK)
    assert target.read_text() == "<html>mine</html>"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"theme": "neon"}, "no theme"),
        ({"subjects": -1}, "subjects is -1"),
        ({"simulations": "many"}, "simulations is 'many'"),
        ({"out": "report.pdf"}, "is not called .html"),
        ({"stratify": "NOSUCH", "simulations": 2}, "the data have no item NOSUCH"),
    ],
)
def test_impossible_options_stop_before_anything_is_drawn(finished, options, words):
    with pytest.raises(SettingsError, match=words):
        write_report(finished / "run1.ctl", **{**QUICK, **options})


def test_a_moved_run_finds_its_data_beside_the_control_stream(finished, tmp_path):
    for name in ("run1.ctl", "data.csv", "run1.results.json"):
        shutil.copy(finished / name, tmp_path)
    document = json.loads((tmp_path / "run1.results.json").read_text())
    document["data_path"] = "/gone/data.csv"
    (tmp_path / "run1.results.json").write_text(json.dumps(document))
    assert write_report(tmp_path / "run1.ctl", **QUICK) == tmp_path / "run1.html"


def test_a_fit_writes_its_report_when_asked_and_a_new_fit_removes_the_old_one(tmp_path, capsys):
    path = write_run(tmp_path, weights=WEIGHTS[:4])
    line = [
        "fit",
        str(path),
        "--seed",
        "2",
        *(w for k, v in SHORT.items() if k != "seed" for w in ("--set", f"{k}={v}")),
    ]
    main([*line, "--report"])
    assert f"Wrote {tmp_path / 'run1.html'}" in capsys.readouterr().out
    assert is_own_file(tmp_path / "run1.html")
    main([*line, "--quiet"])
    assert not (tmp_path / "run1.html").exists()


def test_a_report_that_fails_never_costs_the_result(finished, monkeypatch, capsys):
    import argparse

    from nlmevae import reporting
    from nlmevae.cli.report import report_after

    def fails(*_, **__):
        raise RuntimeError("a defect")

    monkeypatch.setattr(reporting, "write_report", fails)
    arguments = argparse.Namespace(quiet=True, data=None, overwrite=False)
    report_after(arguments, finished / "run1.ctl", None, finished / "x.html")
    assert "note: no report: RuntimeError: a defect" in capsys.readouterr().err
