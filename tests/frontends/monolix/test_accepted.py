"""Every fixture of accepted spellings is read, and states what its comments say."""

from __future__ import annotations

import ast
import re

import pytest

from nlmevae.frontends.monolix.read import read_project
from nlmevae.frontends.monolix.text.split import read_text
from tests.helpers.monolix_projects import ACCEPTED

STATES = re.compile(r"^[ \t]*; STATES ([\w.]+) = ([^\r\n]*)", re.MULTILINE)


def value_at(thing, path: str):
    """`individual.0.terms` of a project: attributes, positions and keys."""
    for name in path.split("."):
        if name.isdigit():
            thing = thing[int(name)]
        else:
            thing = getattr(thing, name) if hasattr(thing, name) else thing[name]
    return thing


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda p: p.stem)
def test_a_legal_spelling_states_what_its_comments_say(path):
    project = read_project(path)
    states = STATES.findall(read_text(path).text)
    assert states
    for name, value in states:
        assert value_at(project, name) == ast.literal_eval(value), name


def test_there_are_many_of_them():
    assert len(ACCEPTED) >= 85
