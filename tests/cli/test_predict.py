"""`nlmevae predict` as a user types it."""

import io

import pandas as pd
import pytest

from nlmevae.cli.main import main
from nlmevae.results.run_folder import RunFolder
from nlmevae.writers.results_json import write_results_json
from tests.helpers.line_stream import evaluated, write_line

NEW = "ID,TIME,DV,MDV,X\n21,0.3,1.9,0,1.2\n21,0.8,1.4,0,1.2\n21,1.5,.,1,1.2\n22,1.0,.,1,9.0\n"


@pytest.fixture
def case(tmp_path):
    """A finished fit with its results.json, and new data."""
    stream = write_line(tmp_path)
    write_results_json(RunFolder.beside(stream).results_json, evaluated(stream))
    (tmp_path / "new.csv").write_text(NEW)
    return stream


def run(stream, *more: str) -> int:
    folder = stream.parent
    line = ["predict", str(stream), "--fit", str(folder / "run1.results.json"), "--data", str(folder / "new.csv")]
    return main([*line, *more])


def test_two_tables_are_written_beside_the_data_and_shown(case, capsys):
    assert run(case) == 0
    shown = capsys.readouterr()
    assert "2 subjects, 2 observations, 4 predictions" in shown.out
    assert "1 subjects without observations" in shown.out
    assert "ID 22: X 9 is outside the data of the fit" in shown.err
    table = pd.read_csv(case.parent / "run1_new.predictions.csv")
    assert table["ID"].tolist() == [21, 21, 21, 22]
    assert table["DV"].isna().tolist() == [False, False, True, True]
    assert table["OUTSIDE_DATA"].tolist() == [0, 0, 0, 1]
    assert (table["LOWER90"] < table["UPPER90"]).all()
    people = pd.read_csv(case.parent / "run1_new.individuals.csv")
    assert people["n_obs"].tolist() == [2, 0]
    assert not (case.parent / "run1_new.ets").exists()


def test_samples_go_to_ets_and_the_folder_is_the_users(case, capsys):
    assert run(case, "--samples", "3", "--out", str(case.parent / "out"), "--quiet") == 0
    assert capsys.readouterr().out == ""
    text = (case.parent / "out" / "run1_new.ets").read_text().split("\n", 1)[1]
    samples = pd.read_csv(io.StringIO(text), sep=r"\s+")
    assert len(samples) == 6
    assert run(case, "--out", str(case.parent / "out"), "--quiet") == 0  # its own files may be replaced
    assert not (case.parent / "out" / "run1_new.ets").exists()


def test_a_table_of_another_program_is_kept(case, capsys):
    (case.parent / "run1_new.predictions.csv").write_text("mine\n")
    assert run(case) == 2
    assert "was not written by nlmevae" in capsys.readouterr().err
    assert (case.parent / "run1_new.predictions.csv").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--route", "encoder"), "needs an encoder"),
        (("--samples", "many"), "give a whole number"),
        (("--samples", "1"), "2 or more"),
        (("--encoder", "absent.encoder"), "cannot read absent.encoder"),
    ],
)
def test_what_cannot_be_done_is_said_with_a_remedy(case, capsys, more, message):
    assert run(case, *more) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert "->" in shown


def test_a_missing_fit_is_named(case, capsys):
    (case.parent / "run1.results.json").unlink()
    assert run(case) == 2
    assert "run1.results.json" in capsys.readouterr().err
