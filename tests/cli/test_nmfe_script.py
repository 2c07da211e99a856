"""The command that other programs call instead of NONMEM's."""

import tomllib
from pathlib import Path

import pytest

from nlmevae.cli.main import main as nlmevae
from nlmevae.cli.nmfe_script import main, positional
from tests.hosts.test_nmfe import stream, wrong


@pytest.mark.parametrize(
    "words",
    [
        ["m.ctl", "m.lst", ""],
        ["m.ctl", "m.lst", "-background", "-parafile=p.pnm", "[nodes]=4"],
        ["m.ctl", "m.lst", "-licfile=/a/b", "-maxlim=2", "-prdefault"],
        ["-background", "m.ctl", "m.lst"],
    ],
)
def test_options_of_nonmems_script_mean_nothing(words):
    assert positional(words) == ["m.ctl", "m.lst"]


def test_the_package_installs_the_commands():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    scripts = {name: target for name, target in project["scripts"].items() if name.startswith("nmfe")}
    assert scripts == dict.fromkeys(("nmfe73", "nmfe74", "nmfe75", "nmfe76"), f"{main.__module__}:{main.__name__}")


def test_a_run_shows_its_progress_on_stdout_and_succeeds(tmp_path, monkeypatch, capsys):
    stream(tmp_path, estimation="$ESTIMATION METHOD=1\n")
    monkeypatch.chdir(tmp_path)
    assert main(["run1.mod", "run1.lst", "", "-background"]) == 0
    shown = capsys.readouterr().out
    assert "12 individuals" in shown
    assert "iteration" in shown
    assert Path("run1.lst").exists()
    assert Path("run1.ext").exists()


def test_a_refused_control_stream_ends_with_an_exit_code_and_its_message(tmp_path, monkeypatch, capsys):
    stream(tmp_path, change=wrong)
    monkeypatch.chdir(tmp_path)
    assert main(["run1.mod", "run1.lst"]) == 2
    assert "NOTHING" in capsys.readouterr().err
    assert "NOTHING" in Path("run1.lst").read_text()


def test_a_control_stream_of_another_folder_is_refused(tmp_path, monkeypatch, capsys):
    stream(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["../run1.mod", "run1.lst"]) == 2
    assert "is not in the current folder" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["", "-background"], ["none.ctl", "none.lst"]])
def test_nothing_to_run_is_an_error(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert capsys.readouterr().err


def test_the_verb_makes_the_folder(tmp_path, capsys):
    assert nlmevae(["nmfe", "install", str(tmp_path / "nm")]) == 0
    assert (tmp_path / "nm" / "run" / "nmfe75").exists()
    assert "default_nonmem_path" in capsys.readouterr().out
