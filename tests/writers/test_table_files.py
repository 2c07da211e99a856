import json

import numpy as np
import pytest

from nlmevae.errors import OutputError
from nlmevae.ir import TableRequest
from nlmevae.results.record_table import RecordTable
from nlmevae.results.run_folder import RunFolder
from nlmevae.writers.table_files import TableFiles


def files(folder, *names) -> TableFiles:
    return TableFiles(RunFolder(folder=folder, stem="run1"), [TableRequest(file=name) for name in names])


def made(name: str, value: float = 1.0, **fields) -> RecordTable:
    return RecordTable(
        request=TableRequest(file=name, header="one"), labels=("ID",), values=np.array([[value]]), **fields
    )


def test_tables_and_what_is_in_them_are_written(tmp_path):
    paths = files(tmp_path, "sdtab1").write([made("sdtab1", missing={"ID": "why"})])
    assert [p.name for p in paths] == ["sdtab1", "run1.tables.json"]
    document = json.loads((tmp_path / "run1.tables.json").read_text())
    assert document["tables"][0]["not_available"] == {"ID": "why"}


def test_tables_with_one_file_follow_each_other(tmp_path):
    files(tmp_path, "t").write([made("t"), made("t", 2.0)])
    lines = (tmp_path / "t").read_text().splitlines()
    assert [line for line in lines if "TABLE" in line] == ["TABLE NO.  1", "TABLE NO.  2"]


def test_a_file_of_another_program_stays_unless_overwrite_is_said(tmp_path):
    (tmp_path / "sdtab1").write_text("TABLE NO.  1\n ID\n  1.0000E+00\n")
    with pytest.raises(OutputError, match="not written by nlmevae"):
        files(tmp_path, "sdtab1").prepare()
    files(tmp_path, "sdtab1").prepare(overwrite=True)
    assert (tmp_path / "sdtab1").exists()


def test_own_tables_are_replaced_as_long_as_nobody_changed_them(tmp_path):
    files(tmp_path, "sdtab1").write([made("sdtab1")])
    files(tmp_path, "sdtab1").prepare()
    (tmp_path / "sdtab1").write_text("edited")
    with pytest.raises(OutputError):
        files(tmp_path, "sdtab1").prepare()


@pytest.mark.parametrize("name", ["data.csv", "run1.ext", "run1.results.json", "run1.tables.json"])
def test_inputs_and_result_files_are_never_tables(tmp_path, name):
    (tmp_path / "data.csv").write_text("ID\n1\n")
    with pytest.raises(OutputError, match="input"):
        files(tmp_path, name).prepare(overwrite=True, inputs=[tmp_path / "data.csv"])


def test_removing_the_previous_ones_leaves_what_is_not_ours(tmp_path):
    files(tmp_path, "a", "b").write([made("a"), made("b")])
    (tmp_path / "b").write_text("edited")
    files(tmp_path, "a", "b").remove_previous()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b"]


def test_tables_without_file_make_none(tmp_path):
    assert (
        TableFiles(
            RunFolder(folder=tmp_path, stem="run1"), [TableRequest(), TableRequest(file="x", omitted=True)]
        ).paths
        == ()
    )
