"""`nlmevae tables`, `simulate` and `vpc` as a shell user meets them."""

import io

import pytest

from nlmevae.cli.main import main
from nlmevae.cli.step_progress import StepProgress
from tests.test_after_fit import DATA, STREAM


@pytest.fixture
def stream(tmp_path):
    (tmp_path / "run1.ctl").write_text(STREAM)
    (tmp_path / "data.csv").write_text(DATA)
    return tmp_path / "run1.ctl"


def test_tables_name_what_they_wrote_and_where_the_values_are_from(stream, capsys):
    assert main(["tables", str(stream)]) == 0
    out = capsys.readouterr().out
    assert f"At the initial estimates of {stream}" in out
    assert f"Wrote {stream.parent / 'sdtab1'}" in out


def test_a_column_that_cannot_be_computed_is_an_exit_code_and_a_warning(stream, capsys):
    stream.write_text(STREAM.replace("CL V FILE", "CL OBJI FILE"))
    assert main(["tables", str(stream), "--quiet"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "sdtab1: OBJI is NaN in every row" in captured.err


def test_a_model_without_tables_has_nothing_to_write(stream, capsys):
    stream.write_text(STREAM.rpartition("$TABLE")[0])
    assert main(["tables", str(stream)]) == 0
    assert "no $TABLE with a FILE" in capsys.readouterr().err


def test_simulate_says_what_is_in_the_file(stream, tmp_path, capsys):
    assert main(["simulate", str(stream), "--out", str(tmp_path / "s.csv"), "--no-residual", "--no-iiv"]) == 0
    assert "4 data sets from the initial estimates" in capsys.readouterr().out


def test_wrong_wishes_are_exit_code_2(stream, tmp_path, capsys):
    assert main(["simulate", str(stream), "--n", "0", "--out", str(tmp_path / "s.csv")]) == 2
    assert main(["vpc", str(stream), "--bins", "0,x"]) == 2
    assert main(["vpc", str(stream), "--fit", "nothing.json"]) == 2
    assert "nothing.json" in capsys.readouterr().err


def test_vpc_takes_bins_levels_and_an_independent_variable(stream, tmp_path, capsys):
    line = ["vpc", str(stream), "--n", "10", "--pc", "--idv", "TAD", "--bins", "0,2,9", "--levels", "0.5"]
    assert main([*line, "--out", str(tmp_path / "v")]) == 0
    rows = (tmp_path / "v" / "run1.vpc.csv").read_text().splitlines()
    assert len(rows) == 3
    assert "10 simulated data sets, seed 1" in capsys.readouterr().out


def test_progress_begins_after_two_seconds_and_says_what_is_left():
    now, stream = [0.0], io.StringIO()
    steps = StepProgress(stream=stream, clock=lambda: now[0])
    for done, at in ((1, 0.5), (2, 1.0), (10, 5.0), (11, 6.0), (20, 10.5)):
        now[0] = at
        steps("simulating", done, 100)
    assert [line.split(",")[0] for line in stream.getvalue().splitlines()] == ["simulating 10/100", "simulating 20/100"]
    assert "left" in stream.getvalue()


def test_quiet_progress_says_nothing(capsys):
    StepProgress(quiet=True, clock=lambda: 100.0)("x", 1, 2)
    assert capsys.readouterr().err == ""
