"""Every data file in fixtures/bad_data stops with the line, the reason and a remedy."""

from __future__ import annotations

import random
import shutil
import tomllib
from pathlib import Path

import pytest

from nlmevae import errors
from nlmevae.data import check_observations, event_table, read_dataset
from tests.helpers.models import condition, data_model

FOLDER = Path(__file__).parents[2] / "fixtures" / "bad_data"
CASES = tomllib.loads((FOLDER / "cases.toml").read_text())


def read_everything(case: dict, folder: Path) -> None:
    fields = {key: case[key] for key in ("pk", "scale", "ignore_character") if key in case}
    ignore = tuple(condition(text) for text in case.get("ignore", ()))
    model = data_model(folder, case["input"], ignore=ignore, **fields)
    dataset = read_dataset(model)
    check_observations(model, event_table(model, dataset), dataset)


@pytest.mark.parametrize("name", CASES)
def test_bad_data_stops_with_place_reason_and_remedy(name, tmp_path):
    case = CASES[name]
    shutil.copy(FOLDER / f"{name}.csv", tmp_path / "data.csv")
    with pytest.raises(errors.NlmevaeError) as caught:
        read_everything(case, tmp_path)
    error = caught.value
    assert type(error) is getattr(errors, case["error"])
    assert case["says"] in error.message
    assert case["hint"] in error.hint
    if "line" in case:
        line = (FOLDER / f"{name}.csv").read_text().splitlines()[case["line"] - 1]
        assert (error.location.line, error.location.snippet) == (case["line"], line)


def test_every_bad_file_has_a_case():
    assert {path.stem for path in FOLDER.glob("*.csv")} == set(CASES)


def test_a_missing_file_is_named_with_the_folder_looked_in(tmp_path):
    model = data_model(tmp_path, "ID TIME AMT DV", path="nowhere.csv")
    with pytest.raises(errors.DataError, match=r"data file not found: .*nowhere\.csv") as caught:
        read_dataset(model)
    assert "relative to the control stream" in caught.value.hint
    assert caught.value.location.path == "run1.ctl"


def test_a_folder_is_no_data_file(tmp_path):
    with pytest.raises(errors.DataError, match="is a folder"):
        read_dataset(data_model(tmp_path, "ID TIME AMT DV", path="."))


def test_a_spreadsheet_saved_as_utf16_is_refused(tmp_path):
    (tmp_path / "data.csv").write_text("ID,TIME,AMT,DV\n1,0,100,.\n", encoding="utf-16")
    with pytest.raises(errors.DataError, match="not plain text"):
        read_dataset(data_model(tmp_path, "ID TIME AMT DV"))


def test_the_caret_points_at_the_item(tmp_path):
    (tmp_path / "data.csv").write_text("ID,TIME,AMT,DV\n 1, 0, 100, .\n 1, 1,  ., BLQ\n")
    with pytest.raises(errors.DataError) as caught:
        read_dataset(data_model(tmp_path, "ID TIME AMT DV"))
    at = caught.value.location
    assert (at.line, at.snippet[at.column - 1 : at.column - 1 + at.length]) == (3, "BLQ")


def test_a_formula_model_does_not_guess_what_evid_means(tmp_path):
    (tmp_path / "data.csv").write_text("ID,TIME,DV,EVID\n1,0,0,1\n1,1,4.2,0\n")
    model = data_model(tmp_path, "ID TIME DV EVID", n_compartments=0, error="Y = THETA(1)*EXP(ETA(1)) + EPS(1)")
    with pytest.raises(errors.DataError, match=r"\$PRED models look at MDV only"):
        read_dataset(model)


PIECES = ["", ".", "0", "-1", "1E40", "nan", "A", '"', "1:30", " ", "\t", ",,", "-2", "é", "\u2028", "0.1", ";", "1_0"]


def mutilated(lines: list[str], rng: random.Random) -> str:
    """The file with one to three items replaced, lines cut, moved or removed."""
    lines = list(lines)
    for _ in range(rng.randint(1, 3)):
        k = rng.randrange(len(lines))
        items = lines[k].split(",")
        items[rng.randrange(len(items))] = rng.choice(PIECES)
        lines[k] = rng.choice([",".join(items), ",".join(items), lines[k][: rng.randrange(len(lines[k]) + 1)]])
        if rng.random() < 0.2:
            lines.insert(k, lines.pop(rng.randrange(len(lines))))
    return "\n".join(lines)


def test_mutilated_files_are_read_or_refused_with_a_remedy(tmp_path):
    path = FOLDER.parent / "infusion_one_compartment" / "infusion_one_compartment.csv"
    lines, rng, refused = path.read_text().splitlines()[:35], random.Random(1), []
    for _ in range(400):
        (tmp_path / "data.csv").write_text(mutilated(lines, rng), encoding="utf-8")
        try:
            read_everything({"input": "ID TIME AMT RATE II ADDL DV EVID WT"}, tmp_path)
        except errors.NlmevaeError as error:
            refused.append(error)
    assert 100 < len(refused) < 400
    assert all(error.hint for error in refused)
