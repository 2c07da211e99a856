from __future__ import annotations

import re

import pytest

from nlmevae.errors import ModelError
from nlmevae.frontends.monolix.read import read_project
from nlmevae.frontends.monolix.text.split import read_text
from tests.helpers.monolix_projects import REJECTED

#: `; EXPECT line:column message`, with the name of the model file before them where the place is in it.
EXPECT = re.compile(r"; EXPECT (?:([\w.]+):)?(\d+):(\d+) ([^\r\n]+)")


@pytest.mark.parametrize("path", REJECTED, ids=lambda p: p.stem)
def test_a_project_that_cannot_be_run_stops_at_the_place_with_what_to_do(path):
    text = read_text(path).text
    file, line, column, message = EXPECT.match(text).groups()
    place = path.with_name(file) if file else path
    with pytest.raises(ModelError) as caught:
        read_project(path)
    error = caught.value
    assert error.message == message
    assert error.location is not None
    assert (error.location.path, error.location.line, error.location.column) == (str(place), int(line), int(column))
    assert error.location.snippet == read_text(place).text.split("\n")[int(line) - 1]
    assert len(error.hint) > 7


def test_there_are_many_of_them():
    assert len(REJECTED) >= 150
