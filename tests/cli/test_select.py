"""The verb `select` as a shell user meets it. The search itself is a stand-in here."""

import argparse
import dataclasses
import shutil
import sys
from pathlib import Path

import pytest

import nlmevae.pipeline
from nlmevae.cli.main import build_parser, main
from nlmevae.cli.select import exit_code, search_options
from nlmevae.errors import SemanticError
from nlmevae.estimation.trace import ProgressEvent
from nlmevae.report import selection_plots
from nlmevae.results.status import FitStatus
from nlmevae.writers.selection_json import read_selection_json
from tests.helpers.results import trace_row
from tests.helpers.selection_results import make_selection

DRAW = selection_plots.draw_selection
THEOPHYLLINE = Path(__file__).parents[2] / "fixtures" / "theophylline"
NAMES = ["ctl", "ext", "phi", "results.json", "selection.json"]


@pytest.fixture
def run(tmp_path):
    """A control stream with its data, in a folder of its own."""
    for name in ("run_base.ctl", "theophylline.csv"):
        shutil.copy(THEOPHYLLINE / name, tmp_path)
    return tmp_path / "run_base.ctl"


@pytest.fixture(autouse=True)
def no_plots(monkeypatch):
    """Drawing takes a second; tests of the plots undo this."""
    monkeypatch.setattr(selection_plots, "draw_selection", lambda result: {})


@pytest.fixture
def search(monkeypatch):
    """Replaces the search: `search(result)` or `search(error=...)`; returns what the search was given."""
    seen = []
    wanted = []

    def install(result=None, *, error=None):
        def run_selection(
            prepared, settings, selection, *, files=None, progress=None, resumption=None, final_estimates=False
        ):
            seen.append((prepared, settings, selection))
            wanted.append(final_estimates)
            progress(ProgressEvent.of(trace_row(0), total=3))
            if error is not None:
                raise error
            return result or make_selection()

        monkeypatch.setattr(nlmevae.pipeline, "run_selection", run_selection)
        return seen

    install()
    install.final_estimates = wanted
    return install


def select(run, *line):
    return main(["select", str(run), "--covariates", "WT,SEX", *line])


def selected(run: Path, name: str) -> Path:
    return run.with_name(f"run_base_selected.{name}")


def test_a_selection_writes_its_files_beside_the_control_stream_and_shows_what_was_selected(run, search, capsys):
    before = {p: p.read_bytes() for p in run.parent.iterdir()}
    assert select(run) == 0
    shown = capsys.readouterr().out
    for fact in ("Selected effects: 2 of 6", "KA~WT", "borderline", "BICc charges", str(selected(run, "ctl"))):
        assert fact in shown
    assert all(selected(run, name).exists() for name in NAMES)
    assert selected(run, "ctl").read_text() == make_selection().model_text
    assert read_selection_json(selected(run, "selection.json")).support == ("KA~WT", "V~WT")
    assert {p: p.read_bytes() for p in before} == before


def test_plots_stand_beside_the_results(run, search, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(selection_plots, "draw_selection", DRAW)
    assert select(run) == 0
    assert all(selected(run, f"{name}.png").stat().st_size > 5000 for name in ("trace", "support", "path"))


def test_without_matplotlib_one_sentence_is_printed_and_the_selection_is_done(run, search, capsys, monkeypatch):
    monkeypatch.setattr(selection_plots, "draw_selection", DRAW)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert select(run) == 0
    assert "note: No plots: matplotlib is not installed" in capsys.readouterr().err
    assert selected(run, "selection.json").exists()
    assert not selected(run, "trace.png").exists()


def test_out_chooses_the_folder_and_leaves_the_models_folder_alone(run, search, tmp_path):
    before = sorted(run.parent.iterdir())
    assert select(run, "--out", str(tmp_path / "new" / "folder")) == 0
    written = {p.name for p in (tmp_path / "new" / "folder").iterdir()}
    assert {f"run_base_selected.{name}" for name in NAMES} <= written
    assert sorted(p for p in run.parent.iterdir() if p.name != "new") == before


def test_options_reach_the_search(run, search):
    seen = search()
    line = ["--method", "vae", "--seed", "9", "--set", "n_draws=64", "--criterion", "lrt:0.01", "--solver", "highs"]
    assert select(run, *line, "--audit", "--resamples", "7", "--penalty", "KA~WT=4", "--penalty", "V~SEX=3") == 0
    prepared, settings, selection = seen[0]
    assert (settings.method, settings.seed, settings.n_draws) == ("vae", 9, 64)
    assert (selection.criterion, selection.solver, selection.audit) == ("lrt:0.01", "highs", "auto")
    assert (selection.resamples, selection.penalties) == (7, (("KA~WT", 4.0), ("V~SEX", 3.0)))
    assert [c.name for c in prepared.search.space.candidates] == [
        "KA~WT", "KA~SEX", "K~WT", "K~SEX", "V~WT", "V~SEX",
    ]  # fmt: skip


def test_the_settings_of_a_selection_can_also_be_set_by_name(run, search):
    seen = search()
    assert select(run, "--set", "resamples=0", "--set", "criterion=aic") == 0
    assert (seen[0][2].resamples, seen[0][2].criterion) == (0, "aic")


def parsed(*line: str) -> argparse.Namespace:
    return build_parser().parse_args(["select", "x.ctl", *line])


def test_lists_may_be_repeated_and_a_negative_number_is_a_value():
    options = search_options(parsed("--covariates", "WT", "--covariates", "AGE,SEX", "--missing", "-99"))
    assert options == {"covariates": "WT,AGE,SEX", "missing": "-99"}


def test_every_search_option_is_one_of_the_search(run):
    from nlmevae.data.search_spec import OPTIONS

    line = [word for name in OPTIONS if name != "levels" for word in (f"--{name}", "1")]
    assert set(search_options(parsed(*line, "--levels", "each"))) == set(OPTIONS)


def test_an_audit_may_name_its_solver():
    assert parsed("--audit", "scip").audit == "scip"
    assert parsed("--audit", "--quiet").audit == "auto"
    assert parsed().audit is None


def test_a_settings_file_says_what_is_searched(run, search):
    seen = search()
    settings = run.with_name("search.toml")
    settings.write_text('covariates = ["WT"]\nparameters = ["V"]\n')
    assert main(["select", str(run), "--settings", str(settings)]) == 0
    assert [c.name for c in seen[0][0].search.space.candidates] == ["V~WT"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["--covariates", "WEIGHT"], "WEIGHT"),
        (["--effects", "KA=WT"], "is not an effect"),
        (["--effects", "CLX~WT"], "CLX"),
        (["--forms", "quadratic"], "quadratic"),
        (["--centre", "mode"], "mode"),
        (["--missing", "many"], "give a number"),
        (["--criterion", "bic2"], "bic2"),
        (["--criterion", "lrt:2"], "lrt:2"),
        (["--resamples", "few"], "whole number"),
        (["--penalty", "KA~WT"], "is not EFFECT=VALUE"),
        (["--penalty", "KA~WT=much"], "give a number"),
        (["--set", "penalties=3"], "--penalty"),
        (["--set", "resample=3"], "did you mean resamples?"),
        (["--settings", "no.toml"], "no.toml"),
    ],
)
def test_a_wrong_option_says_what_is_wrong_before_anything_is_fitted(run, search, capsys, line, message):
    seen = search()
    assert select(run, *line) == 2
    assert seen == []
    shown = capsys.readouterr().err
    assert message in shown
    assert "  -> " in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("line", [["--solver", "cplex"], ["--audit", "cplex"], ["--levels", "both"]])
def test_a_wrong_command_line_ends_with_two(run, line):
    with pytest.raises(SystemExit) as ended:
        select(run, *line)
    assert ended.value.code == 2


def test_the_choices_of_the_command_line_are_those_of_the_settings():
    import typing

    from nlmevae.cli import select as verb
    from nlmevae.estimation import settings

    assert typing.get_args(settings.Solver) == verb.SOLVERS
    assert ("", *verb.AUDITS) == typing.get_args(settings.Audit)


def test_the_criterion_of_a_settings_file_counts_unless_the_command_line_names_one(run, search):
    seen = search()
    settings = run.with_name("search.toml")
    settings.write_text('covariates = ["WT", "SEX"]\ncriterion = "lrt:0.02"\np_forward = 0.05\n')
    assert main(["select", str(run), "--settings", str(settings)]) == 0
    assert main(["select", str(run), "--settings", str(settings), "--criterion", "bicc"]) == 0
    assert [given[2].criterion for given in seen] == ["lrt:0.02", "bicc"]


def test_final_estimates_are_written_on_request(run, search):
    assert select(run) == 0
    assert select(run, "--final-estimates") == 0
    assert search.final_estimates == [False, True]


def test_a_control_stream_of_that_name_is_kept_and_the_search_does_not_start(run, search, capsys):
    seen = search()
    selected(run, "ctl").write_text("$PROBLEM my own model\n")
    assert select(run) == 2
    assert seen == []
    assert "--overwrite" in capsys.readouterr().err
    assert select(run, "--overwrite") == 0


def test_a_second_run_replaces_its_own_files(run, search):
    assert select(run) == 0
    assert select(run) == 0


def with_status(status: FitStatus, **changes):
    fit = dataclasses.replace(make_selection().fit, status=status)
    return make_selection(fit=fit, **changes)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (FitStatus.CONVERGED, 0),
        (FitStatus.FINISHED_SCHEDULE, 0),
        (FitStatus.NOT_CONVERGED, 1),
        (FitStatus.NUMERICAL_FAILURE, 1),
        (FitStatus.INTERRUPTED, 130),
    ],
)
def test_the_exit_code_says_how_the_run_ended_and_its_files_are_there(run, search, status, code):
    search(with_status(status))
    assert select(run, "--quiet") == code
    assert read_selection_json(selected(run, "selection.json")).fit.status is status


def test_an_audit_that_contradicts_the_selection_is_no_success(run, search, capsys):
    certificate = dataclasses.replace(make_selection().certificate, audit_agrees=False, audit_objective=11.5)
    result = make_selection(certificate=certificate)
    search(result)
    assert select(run) == exit_code(result) == 1
    captured = capsys.readouterr()
    assert "warning: SCIP found 11.5 for the last selection step, this run 12.25" in captured.err
    assert "do not use this selection as final" in captured.out


def test_quiet_prints_warnings_only(run, search, capsys):
    assert select(run, "--quiet") == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "warning: a selection warning\nwarning: a warning\n"


def test_an_interrupt_outside_the_search_ends_with_130_and_leaves_earlier_files(run, search):
    assert select(run) == 0
    kept = selected(run, "selection.json").read_bytes()
    search(error=KeyboardInterrupt())
    assert select(run) == 130
    assert selected(run, "selection.json").read_bytes() == kept


def test_a_mistake_found_while_searching_is_shown_like_any_other(run, search, capsys):
    search(error=SemanticError("no good", hint="do better"))
    assert select(run) == 2
    assert "no good" in capsys.readouterr().err


def test_what_was_selected_is_shown_even_when_the_disk_is_full(run, search, capsys, monkeypatch):
    def full_disk(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    assert select(run) == 2
    captured = capsys.readouterr()
    assert "Selected effects: 2 of 6" in captured.out
    assert "No space left on device" in captured.err
