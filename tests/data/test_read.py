from __future__ import annotations

import time

import numpy as np
import pytest

from nlmevae.data import read_dataset
from nlmevae.errors import DataError
from tests.helpers.models import condition, data_model

ITEMS = "ID TIME AMT DV WT"
BODY = "1,0,100,.,70\n1,1,.,4.2,70\n2,0,120,.,80\n2,2,.,3.5,80\n"
HEADER = "ID,TIME,AMT,DV,WT\n"


def read(folder, text: str | bytes, items: str = ITEMS, **options):
    raw = text if isinstance(text, bytes) else text.encode()
    (folder / "data.csv").write_bytes(raw)
    return read_dataset(data_model(folder, items, **options))


def codes(dataset) -> list[str]:
    return [d.code for d in dataset.diagnostics]


def test_rows_subjects_and_event_types(tmp_path):
    data = read(tmp_path, HEADER + BODY)
    np.testing.assert_array_equal(data.column("TIME"), [0, 1, 0, 2])
    np.testing.assert_array_equal(data.column("DV"), [0, 4.2, 0, 3.5])
    np.testing.assert_array_equal(data.missing[:, data.columns.index("DV")], [True, False, True, False])
    np.testing.assert_array_equal(data.subject_ptr, [0, 2, 4])
    np.testing.assert_array_equal(data.lines, [2, 3, 4, 5])
    np.testing.assert_array_equal(data.evid, [1, 0, 1, 0])
    np.testing.assert_array_equal(data.mdv, [1, 0, 1, 0])
    assert data.subject_labels == ("1", "2")
    assert codes(data) == []


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + HEADER + BODY,
        (HEADER + BODY).replace("\n", "\r\n"),
        (HEADER + BODY).replace("\n", "\r"),
        (HEADER + BODY).rstrip("\n"),
        HEADER + BODY + "\n\n",
        (HEADER + BODY).replace(",", " "),
        (HEADER + BODY).replace(",", "\t"),
        HEADER + BODY.replace(".,", ","),
        HEADER + BODY.replace("4.2", "0.42D+1"),
        (HEADER + BODY).replace("WT", "WT_µ").encode("latin-1"),
    ],
    ids=["bom", "crlf", "cr", "no last newline", "blank end", "blanks", "tabs", "empty nulls", "fortran", "latin-1"],
)
def test_spellings_of_one_file_read_the_same(tmp_path, text):
    reference, data = read(tmp_path, HEADER + BODY), read(tmp_path, text)
    np.testing.assert_array_equal(data.values, reference.values)
    np.testing.assert_array_equal(data.missing, reference.missing)
    np.testing.assert_array_equal(data.evid, reference.evid)


def test_dropped_columns_may_hold_text(tmp_path):
    data = read(tmp_path, "1,Jean,0,100,.\n1,Jean,1,.,4.2\n", "ID NAME=DROP TIME AMT DV")
    assert data.columns == ("ID", "TIME", "AMT", "DV")


def test_null_value_is_what_data_says(tmp_path):
    data = read(tmp_path, HEADER + BODY, null_value=9.0, items="ID TIME AMT DV WT", ignore=())
    assert data.column("DV")[0] == 9.0


def test_text_filters_compare_text_and_warn_about_equal_numbers(tmp_path):
    text = "1,0,100,.,1\n1,1,.,4.2,2\n1,2,.,4.0,2.0\n1,3,.,3.9,3\n"
    data = read(tmp_path, text, "ID TIME AMT DV DVID", ignore=(condition("DVID.EQ.2"),))
    np.testing.assert_array_equal(data.lines, [1, 3, 4])
    assert codes(data) == ["filter-compares-text"]
    warning = data.diagnostics[0]
    assert "'2.0'" in warning.message
    assert "DVID.EQN.2" in warning.hint
    assert warning.location.line == 3


def test_numeric_filters_compare_numbers(tmp_path):
    text = "1,0,100,.,1\n1,1,.,4.2,2\n1,2,.,4.0,2.0\n1,3,.,3.9,.\n"
    items = "ID TIME AMT DV DVID"
    assert read(tmp_path, text, items, ignore=(condition("DVID.EQN.2"),)).lines.tolist() == [1, 4]
    assert read(tmp_path, text, items, accept=(condition("DVID>=1"),)).lines.tolist() == [1, 2, 3]
    assert read(tmp_path, text, items, ignore=(condition("DVID<1"),)).lines.tolist() == [1, 2, 3]


def test_ignore_conditions_are_alternatives_and_accept_keeps_any(tmp_path):
    both = (condition("TIME.EQ.1"), condition("ID.EQ.2"))
    assert read(tmp_path, HEADER + BODY, ignore=both).lines.tolist() == [2]
    assert read(tmp_path, HEADER + BODY, accept=both).lines.tolist() == [3, 4, 5]


def test_filters_may_use_dropped_columns(tmp_path):
    data = read(tmp_path, "C,1,0,100,.\n.,1,1,.,4\nC,1,2,.,5\n", "C=DROP ID TIME AMT DV",
                ignore=(condition("C.EQ.C"),), ignore_character="#")  # fmt: skip
    assert data.lines.tolist() == [2]


def test_a_finish_record_ends_the_data_unless_records_counts_them(tmp_path):
    text = HEADER + BODY[: BODY.index("2,0")] + " FIN\n" + BODY[BODY.index("2,0") :]
    assert read(tmp_path, text).lines.tolist() == [2, 3]
    with pytest.raises(DataError, match="FIN"):
        read(tmp_path, text, ignore_character="I", records=4)


def test_records_limit_counts_records_before_ignore_drops_any(tmp_path):
    assert read(tmp_path, HEADER + BODY, records=3, ignore=(condition("TIME.EQ.1"),)).lines.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("items", "text", "evid", "mdv"),
    [
        ("ID TIME AMT DV", "1,0,5,.\n1,1,0,3\n", [1, 0], [1, 0]),
        ("ID TIME AMT DV MDV", "1,0,5,.,1\n1,1,0,3,0\n1,2,0,.,1\n", [1, 0, 2], [1, 0, 1]),
        ("ID TIME AMT DV MDV", "1,0,5,.,.\n1,1,0,3,.\n", [1, 0], [1, 0]),
        ("ID TIME AMT DV MDV", "1,0,5,.,101\n1,1,0,3,100\n1,2,0,3,0\n", [1, 0, 0], [1, 1, 0]),
        ("ID TIME RATE AMT DV", "1,0,2,5,.\n1,1,0,0,3\n", [1, 0], [1, 0]),
        ("ID TIME AMT DV EVID", "1,0,5,.,4\n1,1,0,3,0\n1,2,0,.,3\n1,3,0,.,2\n", [4, 0, 3, 2], [1, 0, 1, 1]),
    ],
)
def test_event_types_are_inferred_as_nm_tran_does(tmp_path, items, text, evid, mdv):
    data = read(tmp_path, text, items)
    assert data.evid.tolist() == evid
    assert data.mdv.tolist() == mdv


def test_clock_times_run_from_each_subjects_first_record(tmp_path):
    data = read(tmp_path, "1,9:15,100,.\n1,14:40,.,4\n2,8:00,100,.\n2,20:30,.,4\n", "ID TIME AMT DV")
    np.testing.assert_allclose(data.column("TIME"), [0, 5 + 25 / 60, 0, 12.5])


def test_reset_may_set_the_time_back(tmp_path):
    data = read(tmp_path, "1,0,100,.,1\n1,9,.,4,0\n1,0,100,.,4\n1,9,.,5,0\n", "ID TIME AMT DV EVID")
    np.testing.assert_array_equal(data.column("TIME"), [0, 9, 0, 9])


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        (HEADER + BODY + "1,3,.,4,70\n", "repeated-id", "ID 1 comes back on line 6"),
        (HEADER + "3,0,100,.,60\n" + BODY, "no-observations", "1 subject without observations (ID 3)"),
        (HEADER + BODY + "2,2,.,3.5,80\n", "duplicate-record", "1 observation repeated exactly, the first on line 6"),
        (HEADER + "1,0,100,.,70\n\n1,1,.,4,70\n", "blank-line", "line 3"),
        (HEADER + "1,0,100,.,70\n1,1,.,4\n", "short-record", "line 3 has 4"),
        (HEADER + "1,0,100,.,70,8\n1,1,.,4,70\n", "surplus-items", "more items per record than the 5"),
        ("ID,TIME,DV,AMT,WT\n" + BODY, "header-order", "$INPUT is AMT, but the header of the data file says DV"),
    ],
)
def test_surprising_records_are_reported(tmp_path, text, code, says):
    data = read(tmp_path, text)
    assert codes(data) == [code]
    assert says in data.diagnostics[0].message


def test_missing_covariates_are_reported_only_when_read(tmp_path):
    text = HEADER + "1,0,100,.,.\n1,1,.,4.2,70\n"
    assert codes(read(tmp_path, text)) == []
    data = read(tmp_path, text, pk="CL = THETA(1)*WT*EXP(ETA(1))")
    assert codes(data) == ["missing-covariate"]
    assert "read as 0" in data.diagnostics[0].message


def test_a_model_without_any_input_is_reported(tmp_path):
    text = "1,0,4\n1,1,5\n"
    assert codes(read(tmp_path, text, "ID TIME DV")) == ["no-doses"]
    assert codes(read(tmp_path, text, "ID TIME DV", initial="W0")) == []


def test_formula_models_need_no_time_and_no_order(tmp_path):
    data = read(tmp_path, "1,5,2\n1,3,4\n", "ID X DV", n_compartments=0, error="Y = THETA(1)*X*EXP(ETA(1)) + EPS(1)")
    assert data.mdv.tolist() == [0, 0]


def test_paths_are_relative_to_the_control_stream_or_the_given_folder(tmp_path):
    (tmp_path / "here").mkdir()
    model = data_model(tmp_path / "elsewhere", ITEMS)
    (tmp_path / "here" / "data.csv").write_text(HEADER + BODY)
    with pytest.raises(DataError, match="not found"):
        read_dataset(model)
    assert read_dataset(model, base=tmp_path / "here").n_rows == 4


@pytest.mark.slow
def test_three_thousand_records_are_read_quickly(tmp_path):
    rows = [f"{i},{t},.,{1 + 0.01 * t + i},{60 + i % 40},0,1,2,3,4,5,6,7,8" for i in range(320) for t in range(10)]
    (tmp_path / "data.csv").write_text("\n".join(rows))
    model = data_model(tmp_path, "ID TIME AMT DV WT A B C D E G H I J")
    read_dataset(model)
    best = min(_timed(read_dataset, model) for _ in range(5))
    assert best < 0.2  # 0.03 s on one idle core


def _timed(function, *arguments) -> float:
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began
