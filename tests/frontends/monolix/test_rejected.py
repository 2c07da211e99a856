from __future__ import annotations

import re

import pytest

from nlmevae.errors import ModelError
from nlmevae.frontends.monolix.read import read_project
from nlmevae.frontends.monolix.split import read_text
from tests.helpers.monolix_projects import REJECTED

EXPECT = re.compile(r"; EXPECT (\d+):(\d+) ([^\r\n]+)")


@pytest.mark.parametrize("path", REJECTED, ids=lambda p: p.stem)
def test_a_project_that_cannot_be_run_stops_at_the_place_with_what_to_do(path):
    text = read_text(path).text
    line, column, message = EXPECT.match(text).groups()
    with pytest.raises(ModelError) as caught:
        read_project(path)
    error = caught.value
    assert error.message == message
    assert error.location is not None
    assert (error.location.path, error.location.line, error.location.column) == (str(path), int(line), int(column))
    assert error.location.snippet == text.split("\n")[int(line) - 1]
    assert len(error.hint) > 7


def test_there_are_many_of_them():
    assert len(REJECTED) >= 150
