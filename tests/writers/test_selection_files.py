"""Files of one selection belong together; inputs and other people's files survive."""

import dataclasses

import pytest

from nlmevae.errors import MissingDependencyError, OutputError
from nlmevae.results.selection_folder import SelectionFolder
from nlmevae.writers.results_json import read_results_json
from nlmevae.writers.selection_files import SelectionFiles
from nlmevae.writers.selection_json import read_selection_json
from tests.helpers.results import trace_row
from tests.helpers.selection_results import make_selection

PNG = b"\x89PNG....tEXtSoftware\0nlmevae...."
PICTURES = {"trace": PNG, "support": PNG, "path": PNG}
OF_FIT = ["ext", "phi", "shk", "shm", "individuals.csv", "ets", "results.json"]
NAMES = ["ctl", *OF_FIT, "selection.json", "trace.png", "support.png", "path.png"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run1.ctl").write_text("$PROBLEM input\n")
    return SelectionFolder.beside(tmp_path / "run1.ctl")


def finish(folder, result=None, *, draw=lambda result: PICTURES):
    return SelectionFiles(folder, draw=draw).finish(result or make_selection())


def test_a_selection_leaves_files_named_after_the_run(folder):
    written = finish(folder)
    assert [path.name for path in written.paths] == [f"run1_selected.{name}" for name in NAMES]
    assert all(path.exists() for path in written.paths)
    assert written.note == ""
    assert folder.control_stream.read_text() == make_selection().model_text
    assert read_selection_json(folder.selection_json).support == ("KA~WT", "V~WT")
    assert read_results_json(folder.run.results_json).name == "run1_selected"
    assert (folder.folder / "run1.ctl").read_text() == "$PROBLEM input\n"


def test_the_selected_control_stream_keeps_the_ending_of_the_input(tmp_path):
    assert SelectionFolder.beside(tmp_path / "run1.mod").control_stream.name == "run1_selected.mod"
    assert SelectionFolder.beside(tmp_path / "run1").control_stream.name == "run1_selected.ctl"
    assert SelectionFolder.beside(tmp_path / "run1.phi").control_stream.name == "run1_selected.ctl"


def test_selecting_from_a_selected_model_does_not_touch_it(tmp_path):
    again = SelectionFolder.beside(tmp_path / "run1_selected.ctl")
    assert again.control_stream.name == "run1_selected_selected.ctl"


def test_a_second_run_replaces_the_files_of_the_first(folder):
    finish(folder)
    folder.prepare()
    finish(folder, make_selection(model_text="$PROBLEM other\n"))
    folder.prepare()
    assert folder.control_stream.read_text() == "$PROBLEM other\n"


@pytest.mark.parametrize("name", NAMES)
def test_files_of_another_program_are_kept_unless_told_otherwise(folder, name):
    (folder.folder / f"run1_selected.{name}").write_text("someone else's\n")
    with pytest.raises(OutputError, match=r"run1_selected\."):
        folder.prepare()
    folder.prepare(overwrite=True)


def test_a_selected_control_stream_that_someone_changed_is_theirs(folder):
    finish(folder)
    with folder.control_stream.open("a") as stream:
        stream.write("; my own line\n")
    with pytest.raises(OutputError, match="has been changed since"):
        folder.prepare()
    folder.prepare(overwrite=True)


def test_an_input_is_never_replaced_even_when_told_to(folder):
    folder.control_stream.write_text("$PROBLEM input of this run\n")
    with pytest.raises(OutputError, match="is an input"):
        folder.prepare(overwrite=True, inputs=[folder.control_stream])


def test_an_early_interrupt_without_a_model_writes_no_control_stream(folder):
    finish(folder)
    written = finish(folder, make_selection(model_text=""))
    assert not folder.control_stream.exists()
    assert folder.control_stream not in written.paths


def test_without_matplotlib_one_sentence_says_how_to_get_plots_and_old_ones_go(folder):
    finish(folder)

    def missing(result):
        raise MissingDependencyError("matplotlib is not installed", hint="pip install 'nlmevae[report]'")

    written = finish(folder, draw=missing)
    assert written.note == "No plots: matplotlib is not installed (pip install 'nlmevae[report]')."
    assert len(written.paths) == len(NAMES) - len(PICTURES)
    assert not folder.plot("trace").exists()


def test_a_plot_that_fails_does_not_cost_the_result(folder):
    written = finish(folder, draw=lambda result: 1 / 0)
    assert "ZeroDivisionError" in written.note
    assert folder.run.results_json.exists()


def test_one_file_that_cannot_be_written_does_not_keep_the_others_from_being_written(folder):
    folder.run.ext.mkdir()
    with pytest.raises(OutputError, match=r"run1_selected\.ext"):
        finish(folder)
    assert folder.selection_json.exists()
    assert folder.run.phi.exists()


def test_bytes_of_any_encoding_go_back_into_the_control_stream(folder):
    content = b"$PROBLEM Th\xe9o\r\n"
    finish(folder, make_selection(model_text=content.decode("utf-8", "surrogateescape")))
    assert folder.control_stream.read_bytes() == content
    folder.prepare()


def test_iterations_with_other_coefficients_are_not_rows_of_the_ext(folder):
    wide = dataclasses.replace(trace_row(0), parameters=trace_row(0).parameters.repeat(2))
    fit = dataclasses.replace(make_selection().fit, trace=(wide, trace_row(1)))
    finish(folder, make_selection(fit=fit))
    lines = folder.run.ext.read_text().splitlines()[1:]
    assert len({len(line.split()) for line in lines}) == 1
    assert sum(int(line.split()[0]) >= 0 for line in lines[1:]) == 2
