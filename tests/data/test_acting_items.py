"""Reserved data items that are legal as long as they ask for nothing."""

import pytest

from nlmevae.data import read_dataset
from nlmevae.errors import UnsupportedError
from nlmevae.frontends.nonmem.read import parse_control_stream

STREAM = """$PROBLEM t
$INPUT ID TIME DV {item}
$DATA data.csv
$PRED
Y = THETA(1) + ETA(1) + EPS(1)
$THETA 1
$OMEGA 0.1
$SIGMA 0.1
"""


def read(folder, item, values):
    lines = [f"{1 + k // 3},{k % 3},{k}.5,{value}" for k, value in enumerate(values)]
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    return read_dataset(parse_control_stream(STREAM.format(item=item), str(folder / "run1.ctl")))


@pytest.mark.parametrize(
    ("item", "values"),
    [
        ("L2", [1, 2, 3, 3, 4, 5]),  # another subject starts anew
        ("CALL", [0, 1, 2, 3, 0, 0]),
        ("RPT_", [0] * 6),
        ("CONT", [0] * 6),
        ("XVID1", [0] * 6),
        ("CALL=REPEAT", [0] * 6),
    ],
)
def test_values_that_ask_for_nothing_are_read(tmp_path, item, values):
    dataset = read(tmp_path, item, values)
    assert dataset.column("CALL" if "=" in item else item).tolist() == values


@pytest.mark.parametrize(
    ("item", "values", "line", "what"),
    [
        ("L2", [1, 2, 2, 3, 4, 5], 3, "share residual errors"),
        ("CALL", [0, 0, 0, 10, 0, 0], 4, "a call that is not made"),
        ("RPT_", [0, 1, 0, 0, 0, 0], 2, "repetition"),
        ("CONT", [1, 0, 0, 0, 0, 0], 1, "goes on"),
        ("XVID2", [0, 0, 0, 0, 0, 3], 6, "further value"),
    ],
)
def test_the_first_record_that_asks_for_something_stops(tmp_path, item, values, line, what):
    with pytest.raises(UnsupportedError, match=what) as caught:
        read(tmp_path, item, values)
    assert caught.value.location.line == line
    assert "DROP" in caught.value.hint
