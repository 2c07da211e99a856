"""Finished fits on disk: whole, of this study only, and never lost by accident."""

from __future__ import annotations

import json
import math

import pytest

from nlmevae.errors import OutputError, SettingsError
from nlmevae.results.fit_record import FitRecord
from nlmevae.studies.ledger import open_ledger

RECORD = FitRecord(
    number=3,
    model=1,
    status="CONVERGED",
    message="fine",
    minus_two_ll=0.1 + 0.2,
    mc_se=1e-300,
    n_subjects=4,
    n_known=9,
    values=(1 / 3, -2.5e-17, math.inf),
    standard_errors=(math.nan, 0.7, 1.0),
    at_bound=("THETA(1)",),
    seconds=1.25,
)


def same(a: FitRecord, b: FitRecord) -> bool:
    return repr(a) == repr(b)  # NaN equals itself, floats to the last digit


def test_a_record_comes_back_bit_for_bit(tmp_path):
    ledger, _ = open_ledger(tmp_path / "study", {"seed": "1"})
    ledger.keep(RECORD)
    again, notes = open_ledger(tmp_path / "study", {"seed": "1"})
    assert same(again.finished()[1, 3], RECORD)
    assert notes == ()


def test_the_first_record_of_a_fit_stays(tmp_path):
    ledger, _ = open_ledger(tmp_path, {"seed": "1"})
    ledger.keep(RECORD)
    before = ledger.path(3, 1).stat().st_mtime_ns
    ledger.keep(RECORD)
    assert ledger.path(3, 1).stat().st_mtime_ns == before


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"study": "x"}', '{"study": 1, "fit": 2}'])
def test_a_file_that_is_no_record_counts_as_not_finished(tmp_path, text):
    ledger, _ = open_ledger(tmp_path, {"seed": "1"})
    ledger.path(3, 1).write_text(text)
    assert ledger.finished() == {}
    ledger.keep(RECORD)
    assert list(ledger.finished()) == [(1, 3)]


def test_a_record_of_another_study_or_under_another_number_does_not_count(tmp_path):
    other, _ = open_ledger(tmp_path / "other", {"seed": "2"})
    other.keep(RECORD)
    ledger, _ = open_ledger(tmp_path / "this", {"seed": "1"})
    ledger.path(3, 1).write_text(other.path(3, 1).read_text())
    assert ledger.finished() == {}
    ledger.keep(RECORD)
    ledger.path(4, 1).write_text(ledger.path(3, 1).read_text())
    assert list(ledger.finished()) == [(1, 3)]


def test_a_folder_with_another_study_is_refused_by_what_differs(tmp_path):
    open_ledger(tmp_path, {"seed": "1", "the data": "a", "numpy": "1"})
    with pytest.raises(SettingsError, match="holds another study: seed and the data differ"):
        open_ledger(tmp_path, {"seed": "2", "the data": "b", "numpy": "2"})


def test_other_versions_of_numerical_libraries_are_a_note_and_the_study_goes_on(tmp_path):
    ledger, _ = open_ledger(tmp_path, {"seed": "1", "numpy": "1"})
    ledger.keep(RECORD)
    again, notes = open_ledger(tmp_path, {"seed": "1", "numpy": "2"})
    assert list(again.finished()) == [(1, 3)]
    assert "another numpy" in notes[0]


def test_restart_forgets_the_finished_fits(tmp_path):
    ledger, _ = open_ledger(tmp_path, {"seed": "1"})
    ledger.keep(RECORD)
    again, _ = open_ledger(tmp_path, {"seed": "2"}, restart=True)
    assert again.finished() == {}
    assert not ledger.path(3, 1).exists()


def test_a_foreign_study_json_is_not_replaced(tmp_path):
    (tmp_path / "study.json").write_text(json.dumps({"mine": 1}))
    with pytest.raises(OutputError, match="was not written by nlmevae"):
        open_ledger(tmp_path, {"seed": "1"})
    assert json.loads((tmp_path / "study.json").read_text()) == {"mine": 1}


def test_a_worker_that_does_not_see_the_folder_of_this_study_knows_it(tmp_path):
    ledger, _ = open_ledger(tmp_path, {"seed": "1"})
    assert ledger.is_here()
    open_ledger(tmp_path, {"seed": "2"}, restart=True)
    assert not ledger.is_here()
