"""Where the control stream states what has no place of its own in the model: the statement that assigns or reads it."""

from __future__ import annotations

from collections.abc import Iterable

from nlmevae.errors import Location
from nlmevae.frontends.recognition.dependencies import assignment_place, place_of
from nlmevae.ir import Model


def assigned_at(model: Model, *names: str | None) -> Location | None:
    """The last assignment to the first of `names` that is assigned."""
    program = model.program
    for name in names:
        for statements in (program.error, program.pk, program.des):
            at = None if name is None else assignment_place(statements, name)
            if at is not None:
                return at
    return None


def read_at(model: Model, names: Iterable[str]) -> Location | None:
    """Where one of `names` is first read; $DATA where no code reads any."""
    program = model.program
    for statements in (program.pk, program.des, program.error):
        for name in names:
            at = place_of(statements, name)
            if at is not None:
                return at
    return model.data.at


def outcome_at(model: Model) -> Location | None:
    """Of Y."""
    return assigned_at(model, "Y") or model.data.at
