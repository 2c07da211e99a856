"""A file read a few lines at a time is the file read at once, and memory does not grow with its text."""

import tracemalloc
from dataclasses import fields

import numpy as np
import pytest

from nlmevae.data import text
from nlmevae.errors import DataError
from tests.data.test_read import BODY, HEADER, ITEMS, read
from tests.helpers.models import condition

SURPRISING = (
    "a comment of @\n" + HEADER + "\n" + "1,0,100,.,70\n1,1,.,4.2\n\n1,2,.,3.9,70,surplus\n1,3,.,3.0,70.0\n"
    "2,0,120,.,80\n2,2,.,3.5\n2,3,.,3.1,80\n2,4,.,3.1D0,80\n1,0,100,.,70.00\n1,5,.,1e0,70\n\n"
)
FILES = {
    "plain": (HEADER + BODY, ITEMS, {}),
    "surprising": (SURPRISING, ITEMS, {}),
    "other ends": (SURPRISING.replace("\n", "\r\n"), ITEMS, {}),
    "latin-1": (SURPRISING.replace("surplus", "µ").encode("latin-1"), ITEMS, {}),
    "filters": (SURPRISING, ITEMS, {"ignore": (condition("WT.EQ.70"),)}),
    "clock": (HEADER + BODY.replace("2,2,", "2,9:30,"), ITEMS, {}),
    "dates": ("1,10-1,0,100,.\n1,10-2,1,.,4\n2,1-1,0,90,.\n2,1-3,2,.,3\n", "ID DATE=DROP TIME AMT DV", {}),
    "limited": (SURPRISING, ITEMS, {"records": 6}),
    "ended": (HEADER + BODY + "FIN\nno record\n", ITEMS, {}),
}


@pytest.mark.parametrize("lines", [1, 2, 3, 7])
@pytest.mark.parametrize("name", FILES)
def test_blocks_change_nothing(tmp_path, monkeypatch, name, lines):
    content, items, options = FILES[name]
    whole = read(tmp_path, content, items, **options)
    monkeypatch.setattr(text, "BLOCK_LINES", lines)
    parts = read(tmp_path, content, items, **options)
    for field in fields(whole):
        one, other = getattr(whole, field.name), getattr(parts, field.name)
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(other, one, err_msg=field.name)
        else:
            assert other == one, field.name


@pytest.mark.parametrize(("line", "sentence"), [("2,3,.,x,80", "'x' in column DV, line 6"), (",3,.,1,80", "line 6")])
def test_a_wrong_item_is_named_by_its_line_in_the_file(tmp_path, monkeypatch, line, sentence):
    monkeypatch.setattr(text, "BLOCK_LINES", 2)
    with pytest.raises(DataError, match=sentence):
        read(tmp_path, HEADER + BODY + line + "\n")


def test_memory_is_that_of_the_numbers_not_of_the_text(tmp_path, monkeypatch):
    """30,000 records of 5 columns are 1.7 MB of numbers, masks and line numbers, some of them twice for a moment; with
    one object for every item they took 15 MB."""
    lines = (f"{k // 10 + 1},{k % 10},{'100' if k % 10 == 0 else '.'},{k % 7 + 0.125},70.5" for k in range(30_000))
    content = ("\n".join(lines) + "\n").encode()
    monkeypatch.setattr(text, "BLOCK_LINES", 1000)
    tracemalloc.start()
    try:
        read(tmp_path, content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8e6
