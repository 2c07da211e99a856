"""$INFN runs before the first and after the last call of the model; left out where it cannot act on estimation."""

from __future__ import annotations

import re
from typing import Any

from nlmevae.errors import UnsupportedError
from nlmevae.frontends.nonmem.code import includes_declarations, parse_code
from nlmevae.frontends.nonmem.records import Record
from nlmevae.frontends.nonmem.reserved import INTERNAL_NAMES, UNSUPPORTED_NAMES
from nlmevae.ir import Diagnostic

_OUTPUT = re.compile(r"(WRITE|OPEN|CLOSE)[ \t]*\(|PRINT\b", re.IGNORECASE)


def initialisation_notes(records: tuple[Record, ...], used: frozenset[str]) -> list[Diagnostic]:
    """A note for each record that is left out.

    Args:
        used: names that the model's code reads, and data items.

    Raises:
        UnsupportedError: it assigns one of them or a variable of NONMEM's own, or calls something.
    """
    notes = []
    used = used | frozenset(UNSUPPORTED_NAMES)
    for record in records:
        acting = used | INTERNAL_NAMES if includes_declarations(record) else used
        tree = parse_code(record)
        for statement in tree.iter_subtrees_topdown():
            _check(statement, record, acting)
        message = "$INFN: code for initialisation and finalisation assigns nothing that the model reads; it is not run"
        notes.append(Diagnostic(code="record-not-run", severity="note", message=message, location=record.head))
    return notes


def _check(statement: Any, record: Record, used: frozenset[str]) -> None:
    what = ""
    if statement.data == "assign":
        name = str(statement.children[0].children[0]).upper()
        what = f"assigns {name}" if name in used else ""
    elif statement.data == "refused" and not _OUTPUT.match(str(statement.children[0])):
        what = f"runs {str(statement.children[0]).split()[0].upper()}"
    if what:
        raise UnsupportedError(
            f"$INFN is not supported here: it {what}",
            hint="initialisation code is not run; compute its results as data columns",
            location=record.head,
        )
