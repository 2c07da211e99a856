from __future__ import annotations

from pathlib import Path

import pytest

from nlmevae.errors import ModelError, UnsupportedError
from nlmevae.frontends.monolix.read import project_of, read_project
from nlmevae.frontends.monolix.sections.files import resolved_path
from nlmevae.frontends.nonmem.records import source_text
from tests.helpers.monolix_projects import PARTS, project, project_text

MODEL = "[LONGITUDINAL]\ninput = {V, Cl}\nPK:\nCc = pkmodel(V, Cl)\nOUTPUT:\noutput = Cc\n"
LONGITUDINAL = (
    "input = {{a}}\nfile = '{file}'\nDEFINITION:\ny = {{distribution=normal, prediction=Cc, errorModel=constant(a)}}"
)


def with_file(file: str) -> str:
    return project_text(longitudinal=LONGITUDINAL.format(file=file))


def test_paths_are_relative_to_the_project(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "m.txt").write_text(MODEL)
    (tmp_path / "run1.mlxtran").write_text(with_file("model/m.txt"))
    monkeypatch.chdir("/")
    p = read_project(tmp_path / "run1.mlxtran")
    assert Path(p.structural.path) == tmp_path / "model" / "m.txt"
    assert p.included == (p.structural.path,)
    assert p.diagnostics == ()


@pytest.mark.parametrize("written", ["..\\old\\m.txt", "C:\\Users\\me\\m.txt", "/home/me/m.txt", "m.txt"])
def test_a_file_that_moved_is_found_by_its_name(tmp_path, written):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "m.txt").write_text(MODEL)
    path, note = resolved_path(written, tmp_path / "run1.mlxtran", None)
    assert path == tmp_path / "below" / "m.txt"
    assert note.code == "moved-file"


def test_of_two_files_with_the_name_none_is_taken(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.txt").write_text(MODEL)
    assert resolved_path("x/m.txt", tmp_path / "run1.mlxtran", None) == (None, None)
    (tmp_path / "m.txt").write_text(MODEL)
    assert resolved_path("x/m.txt", tmp_path / "run1.mlxtran", None)[0] == tmp_path / "m.txt"


@pytest.mark.parametrize("written", ["", ".", "..", "*", "a\0b", "?.txt", "x" * 5000, "folder/"], ids=range(8))
def test_what_is_no_file_is_not_found(tmp_path, written):
    assert resolved_path(written, tmp_path / "run1.mlxtran", None) == (None, None)


def test_a_model_of_the_library_is_generated_from_its_name():
    p = project(longitudinal=LONGITUDINAL.format(file="lib:bolus_1cpt_VCl.txt"))
    assert (p.structural.path, p.included) == ("lib:bolus_1cpt_VCl.txt", ())
    with pytest.raises(UnsupportedError, match="cannot be generated") as caught:
        project(longitudinal=LONGITUDINAL.format(file="lib:bolus_9cpt_VCl.txt"))
    assert "save it next to the project" in caught.value.hint


def test_a_folder_in_place_of_a_file_is_an_error_in_words(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        read_project(tmp_path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_project(tmp_path / "nowhere.mlxtran")


@pytest.mark.parametrize(
    "deep", ["(" * 3000 + "V" + ")" * 3000, "+".join(["V"] * 20000), "-" * 3000 + "V"], ids=["(", "+", "-"]
)
def test_what_is_nested_too_deeply_stops(deep):
    longitudinal = PARTS["longitudinal"].replace("PK:\nCc = pkmodel(V, Cl)", f"EQUATION:\nCc = Cl*{deep}")
    with pytest.raises(UnsupportedError, match="nested too deeply"):
        project_of(source_text(project_text(longitudinal=longitudinal), "project.mlxtran"))
