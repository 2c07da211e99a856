import math

import numpy as np
import pandas as pd
import pytest

from nlmevae.ir import TableFormat, TableRequest
from nlmevae.results.record_table import RecordTable
from nlmevae.writers.nonmem_table import number_text, table_text
from tests.helpers.pharmpy_wheel import wheel_file


def table(values, names=("ID", "DV"), **fields) -> RecordTable:
    fields = {"header": "one", **fields}
    return RecordTable(request=TableRequest(file="t", **fields), labels=names, values=np.asarray(values, dtype=float))


def test_the_layout_is_nonmems_byte_for_byte():
    """NONMEM's own table, read and written again."""
    path = wheel_file("pheno.tab")
    labels = tuple(path.read_text().splitlines()[1].split())
    assert table_text(table(np.loadtxt(path, skiprows=2), labels), 1) == path.read_text()


def test_title_and_labels_come_again_every_900_lines_unless_there_is_one_header():
    lines = table_text(table(np.zeros((1000, 2)), header="pages"), 3).splitlines()
    assert [k for k, line in enumerate(lines) if line == "TABLE NO.  3"] == [0, 902]
    assert len(lines) == 1004
    assert len(table_text(table(np.zeros((1000, 2))), 3).splitlines()) == 1002


@pytest.mark.parametrize(
    ("fields", "head"),
    [
        ({"title": False}, [" ID          DV"]),
        ({"labels": False}, ["TABLE NO.  1"]),
        ({"header": "none"}, []),
        ({"format": TableFormat(delimiter=",", width=9, decimals=2)}, ["TABLE NO.  1", "ID,DV"]),
    ],
)
def test_headers(fields, head):
    lines = table_text(table([[1, 2]], **fields), 1).splitlines()
    assert lines[:-1] == head


def test_delimiters_and_formats():
    values = [[1, -0.00123456], [2, 123456.0]]
    comma = table_text(table(values, format=TableFormat(delimiter=",", width=13, decimals=6)), 1).splitlines()
    assert comma[2] == " 1.000000E+00,-1.234560E-03"
    fixed = table_text(table(values, format=TableFormat(kind="F", width=9, decimals=3)), 1).splitlines()
    assert fixed[2:] == ["     1.000    -0.001", "     2.000 123456.000"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0000E+00"), (-0.0, "0.0000E+00"), (math.nan, "NaN"), (-math.inf, "-Infinity"), (1e-120, "1.0000E-120")],
)
def test_special_numbers(value, text):
    assert number_text(value, TableFormat()) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.50000    "),
        (123.456, "123.46    "),
        (9999.71, "9999.7    "),
        (99999.7, "9.99997E+04"),
        (1.5e7, "1.50000E+07"),
        (0.01, "1.00000E-02"),
    ],
)
def test_general_format_is_fixed_where_the_digits_allow_it(value, text):
    found = number_text(value, TableFormat(kind="G", width=12, decimals=5))
    assert float(found) == pytest.approx(float(text), rel=1e-4)
    assert ("E" in found) == ("E" in text)


@pytest.mark.parametrize(
    "layout", [TableFormat(), TableFormat(delimiter=",", width=13, decimals=6), TableFormat(delimiter="\t")]
)
def test_pharmpy_reads_it(tmp_path, layout):
    pytest.importorskip("pharmpy")
    from pharmpy.model.external.nonmem.table import NONMEMTableFile

    values = np.array([[1, -1.5, np.nan], [2, 3e-5, 4.0]])
    path = tmp_path / "sdtab1"
    path.write_text(table_text(table(values, ("ID", "DV", "CL"), format=layout), 1))
    prefix = {" ": "s", ",": ",", "\t": "t"}[layout.delimiter]
    frame = NONMEMTableFile(path, format=f"{prefix}1PE11.4").tables[0].data_frame
    expected = pd.DataFrame(values, columns=["ID", "DV", "CL"])
    pd.testing.assert_frame_equal(frame.reset_index(drop=True), expected, check_dtype=False, rtol=1e-6)
