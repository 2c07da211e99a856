from __future__ import annotations

import re

import pytest

from nlmevae.errors import ModelError
from nlmevae.frontends.nonmem.read import lower_control_stream
from nlmevae.frontends.nonmem.records import read_source
from tests.helpers.control_streams import REJECTED

EXPECT = re.compile(r"; EXPECT (\d+):(\d+) (.+)")


@pytest.mark.parametrize("path", REJECTED, ids=lambda p: p.stem)
def test_a_broken_stream_is_refused_at_the_place_with_what_to_do(path):
    source = read_source(path)
    line, column, words = EXPECT.match(source.text).groups()
    with pytest.raises(ModelError) as caught:
        lower_control_stream(source)
    error = caught.value
    assert words in error.message
    assert error.location is not None
    assert (error.location.path, error.location.line, error.location.column) == (str(path), int(line), int(column))
    assert error.location.snippet == source.text.split("\n")[int(line) - 1]
    assert len(error.hint) > 10


def test_many_of_them_state_the_whole_message():
    exact = 0
    for path in REJECTED:
        source = read_source(path)
        with pytest.raises(ModelError) as caught:
            lower_control_stream(source)
        exact += EXPECT.match(source.text)[3] == caught.value.message
    assert exact >= 80


def test_there_are_many_of_them():
    assert len(REJECTED) >= 180
