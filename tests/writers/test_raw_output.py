"""$ESTIMATION's FILE, read back by text and by pandas."""

import dataclasses
import io

import numpy as np
import pandas as pd
import pytest

from nlmevae.errors import OutputError
from nlmevae.ir import RawOutput, TableFormat
from nlmevae.results.run_folder import RunFolder
from nlmevae.writers.ext import ext_text, result_vector
from nlmevae.writers.raw_output import RawOutputFile, raw_output_text
from nlmevae.writers.results_json import write_results_json
from tests.helpers.results import make_result, with_uncertainty

RESULT = with_uncertainty(make_result())
COMMAS = TableFormat(delimiter=",", width=16, decimals=9)
UNTITLED = RawOutput(file="raw.txt", format=COMMAS, title=False)


def opened(tmp_path, request: RawOutput) -> RawOutputFile:
    return RawOutputFile(RunFolder(folder=tmp_path, stem="run1"), request)


def test_without_a_layout_it_is_the_ext_byte_for_byte():
    assert raw_output_text(RESULT, RawOutput()) == ext_text(RESULT)


def test_the_layout_of_the_ext_in_words_makes_the_ext_too():
    assert raw_output_text(RESULT, RawOutput(format=TableFormat(width=12, decimals=5))) == ext_text(RESULT)


@pytest.mark.parametrize(
    ("layout", "separator", "accuracy"),
    [(COMMAS, ",", 1e-9), (TableFormat(delimiter="\t", width=14, decimals=6), "\t", 1e-6),
     (TableFormat(width=20, decimals=12), r"\s+", 1e-12)],
)  # fmt: skip
def test_pandas_reads_the_numbers_to_the_digits_asked_for(layout, separator, accuracy):
    text = raw_output_text(RESULT, RawOutput(format=layout))
    read = pd.read_csv(io.StringIO(text), skiprows=1, sep=separator, skipinitialspace=True).set_index("ITERATION")
    assert list(read.columns)[:3] == ["THETA1", "THETA2", "SIGMA(1,1)"]
    np.testing.assert_allclose(read.loc[-1000000000].to_numpy()[:-1], result_vector(RESULT), rtol=accuracy)
    assert read.loc[-1000000000, "OBJ"] == pytest.approx(RESULT.ofv_nonmem, rel=1e-15)
    assert len(read) == len(ext_text(RESULT).splitlines()) - 2


@pytest.mark.parametrize(
    ("title", "labels", "left_out"), [(False, None, [0]), (None, False, [1]), (False, False, [0, 1])]
)
def test_title_and_labels_are_left_out_where_that_is_asked(title, labels, left_out):
    lines = ext_text(RESULT).splitlines()
    expected = [line for k, line in enumerate(lines) if k not in left_out]
    assert raw_output_text(RESULT, RawOutput(title=title, labels=labels)).splitlines() == expected


def test_a_file_of_another_program_stays_unless_overwrite_is_said(tmp_path):
    (tmp_path / "raw.txt").write_text("TABLE NO.     1: Importance Sampling: Goal Function=...\n")
    files = opened(tmp_path, RawOutput(file="raw.txt"))
    with pytest.raises(OutputError, match="not written by nlmevae"):
        files.prepare()
    files.prepare(overwrite=True)


@pytest.mark.parametrize("name", ["raw.csv", "raw.json", "sub/raw.ext", "raw"])
def test_the_file_of_an_earlier_run_is_replaced_whatever_its_name_is(tmp_path, name):
    for _ in range(2):
        files = opened(tmp_path, RawOutput(file=name))
        files.prepare()
        assert files.write(RESULT) == (tmp_path / name,)


def test_without_a_title_it_is_recognised_by_the_results_it_belongs_to(tmp_path):
    files = opened(tmp_path, UNTITLED)
    write_results_json(tmp_path / "run1.results.json", RESULT)
    files.write(RESULT)
    files.prepare()
    (tmp_path / "raw.txt").write_text("edited\n")
    with pytest.raises(OutputError):
        files.prepare()


def test_inputs_are_never_written(tmp_path):
    (tmp_path / "data.csv").write_text("ID\n1\n")
    with pytest.raises(OutputError, match="input"):
        opened(tmp_path, RawOutput(file="data.csv")).prepare(overwrite=True, inputs=[tmp_path / "data.csv"])


@pytest.mark.parametrize("name", ["run1.phi", "run1.results.json", "./run1.cov", "sdtab1"])
def test_other_results_of_the_run_keep_their_names(tmp_path, name):
    with pytest.raises(OutputError, match="another file of this run"):
        opened(tmp_path, RawOutput(file=name)).prepare(overwrite=True, tables=[tmp_path / "sdtab1"])


@pytest.mark.parametrize("name", [None, "run1.ext", "./run1.ext", "/dev/null"])
def test_nothing_is_doubled_and_no_device_is_replaced(tmp_path, name):
    files = opened(tmp_path, dataclasses.replace(UNTITLED, file=name))
    files.prepare(overwrite=True)
    assert (files.path, files.write(RESULT), list(tmp_path.iterdir())) == (None, (), [])
