import pytest

from nlmevae.comparison.value_table import read_value_table
from nlmevae.errors import DataError


def read(tmp_path, text):
    path = tmp_path / "values.csv"
    path.write_text(text, encoding="utf-8")
    return read_value_table(path).values


WANTED = {"THETA(1)": 0.5, "OMEGA(2,1)": 0.01, "CL": 4.0}


@pytest.mark.parametrize(
    "text",
    [
        "THETA(1),0.5\nOMEGA(2,1),0.01\nCL,4\n",
        'name,value\nTHETA1,0.5\n"OMEGA(2,1)",0.01\nCL,4\n',
        "Parameter;Value\ntheta(1);0.5\nomega(1,2);1e-2\nCL;4\n",
        "\ufeff# from a report\nTHETA1\t0.5\nOMEGA(2,1)\t0.01\n\nCL\t4\n",
        "parameter,value,se\nTHETA1,0.5,0.1\nOMEGA(2,1),0.01,0.1\nCL,4,0.1\n",
    ],
    ids=["plain", "quoted", "semicolons", "tabs and comments", "more columns"],
)
def test_names_and_values_are_read_in_every_spelling(tmp_path, text):
    assert read(tmp_path, text) == WANTED


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("THETA1\n", "not a parameter's name"),
        ("THETA1,much\n", "not a parameter's name"),
        ("", "gives no parameter"),
        ("name,value\n", "gives no parameter"),
        ("THETA1,1\nTHETA(1),2\n", "twice"),
    ],
)
def test_what_is_no_table_of_values_stops_with_its_line(tmp_path, text, words):
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path, text)
    assert caught.value.hint


def test_a_missing_file_stops(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        read_value_table(tmp_path / "none.csv")
