"""The data files of the fixtures read as the cases say, from their own control streams."""

from __future__ import annotations

import csv
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

from nlmevae.data import check_observations, event_table, read_dataset
from nlmevae.frontends.nonmem.read import read_control_stream
from tests.helpers.pharmpy_wheel import wheel_file
from tests.helpers.reference import reference

FIXTURES = Path(__file__).parents[2] / "fixtures"
STREAMS = sorted(
    str(path.relative_to(FIXTURES)) for path in FIXTURES.glob("*/*.ctl") if (path.parent / "expected.toml").exists()
)


def staged(stream: str, folder: Path) -> Path:
    """The control stream with its data beside it."""
    case = FIXTURES / stream
    foreign = {"phenobarbital": (wheel_file, "pheno.dta"), "warfarin": (reference, "warfarin/warfarin_data.csv")}
    if case.parent.name not in foreign:
        return case
    find, name = foreign[case.parent.name]
    shutil.copy(find(name), folder)
    return Path(shutil.copy(case, folder))


def load(stream: str, folder: Path):
    model = read_control_stream(staged(stream, folder))
    dataset = read_dataset(model)
    return model, dataset, event_table(model, dataset)


@pytest.mark.parametrize("stream", STREAMS)
def test_counts(stream, tmp_path):
    expected = tomllib.loads((FIXTURES / stream).with_name("expected.toml").read_text())["counts"]
    model, dataset, table = load(stream, tmp_path)
    assert dataset.n_subjects == table.n_subjects == expected["n_subjects"]
    assert table.n_obs_total == expected["n_obs"]
    assert len(table.ev_time) == expected["n_doses"]
    assert dataset.diagnostics == ()
    expected_codes = {"non-positive-dv", "censored-by-data-item"}
    assert {d.code for d in check_observations(model, table, dataset)} <= expected_codes


def test_theophylline_is_the_published_table(tmp_path):
    _, _, table = load("theophylline/run_wt.ctl", tmp_path)
    assert table.ev_amt[:3] == pytest.approx([4.02 * 79.6, 4.40 * 72.4, 4.53 * 70.5])
    assert table.ob_value[:10].tolist() == [2.84, 6.57, 10.5, 9.66, 8.58, 8.36, 7.47, 6.89, 5.94, 3.28]
    assert np.mean(table.cov) == pytest.approx(69.5833333333)
    assert table.ob_value.max() == 11.4


def test_theophylline_agrees_with_the_reference_file(tmp_path):
    with reference("theophylline/theophylline.csv").open() as file:
        rows = list(csv.DictReader(file))
    _, _, table = load("theophylline/run_base.ctl", tmp_path)
    assert table.ob_time.tolist() == [float(r["TIME"]) for r in rows]
    assert table.ob_value.tolist() == [float(r["CONC"]) for r in rows]


def test_warfarin_uses_concentrations_only(tmp_path):
    path = reference("warfarin/warfarin_data.csv")
    with path.open(encoding="utf-8-sig") as file:
        rows = [r for r in csv.DictReader(file) if r["dvid"] == "1"]
    _, _, table = load("warfarin/warfarin_w1.ctl", tmp_path)
    assert table.ob_value.tolist() == [float(r["dv"]) for r in rows]
    assert set(table.ev_cmt) == {1}
    assert set(table.ob_cmt) == {2}


def test_phenobarbital_equals_what_nonmem_tabulated(tmp_path):
    """pheno.tab of the wheel is NONMEM's own table of ID, TIME and DV for every record."""
    table_lines = wheel_file("pheno.tab").read_text().splitlines()
    header = table_lines[1].split()  # the first line is the title
    rows = np.array([[float(v) for v in line.split()] for line in table_lines[2:]])
    _, dataset, _ = load("phenobarbital/pheno_real.ctl", tmp_path)
    for name in ("ID", "TIME", "DV"):
        np.testing.assert_allclose(dataset.column(name), rows[:, header.index(name)], rtol=5e-4)


def test_theophylline_multiple_doses_are_ten_hours_apart(tmp_path):
    _, _, table = load("theophylline_multiple/run_wt.ctl", tmp_path)
    assert table.ev_time[:10].tolist() == [10.0 * k for k in range(10)]


def test_infusion_records_and_boluses(tmp_path):
    _, _, table = load("infusion_one_compartment/run1.ctl", tmp_path)
    assert table.ev_time[:4].tolist() == [0, 24, 36, 60]
    assert table.ev_rate[:4].tolist() == [200, 200, 200, 0]
