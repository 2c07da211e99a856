"""Old spellings of the same statement: ERR(1), DEXP, .EQ., $SUBS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lark import Token, Tree

from nlmevae.frontends.nonmem.code import parse_code
from nlmevae.frontends.nonmem.records import ControlStream, Record
from nlmevae.frontends.nonmem.reserved import FUNCTION_NAMES
from nlmevae.writers.stream_edit import Edit
from nlmevae_translators.report import Entry

_CODE = ("PK", "PRED", "DES", "ERROR", "INFN")
_OPERATORS = {"EQ": "==", "NE": "/=", "GT": ">", "GE": ">=", "LT": "<", "LE": "<="}


@dataclass(frozen=True, slots=True)
class Spelling:
    """A word and what is written for it."""

    edit: Edit
    old: str
    new: str


def spellings(stream: ControlStream) -> tuple[list[Edit], list[Entry]]:
    """Edits that change no line's number, and one entry for every kind of word, placed at the first of them."""
    found = [*_record_names(stream)]
    for record in stream.records:
        if record.name in _CODE:
            found += _code_words(record)
    entries = []
    for old, new in dict.fromkeys((f.old, f.new) for f in found):
        places = [f.edit.start for f in found if (f.old, f.new) == (old, new)]
        times = "" if len(places) == 1 else f", {len(places)} times"
        at = stream.source.location(min(places))
        entries.append(Entry(construct=old, kind="lossless", reason=f"today's spelling: {new}{times}", source=at))
    return [f.edit for f in found], entries


def _record_names(stream: ControlStream) -> Iterator[Spelling]:
    """Names that are not the beginning of the record's name: $SUBS, $COVR, $ESTM."""
    for record in stream.records:
        start = stream.source.text.index("$", record.start) + 1
        written = stream.source.text[start : record.body]
        if record.name.startswith(written.upper()):
            continue
        name = record.name.lower() if written == written.lower() else record.name
        yield Spelling(Edit(start, record.body, name), f"${written}", f"${name}")


def _code_words(record: Record) -> Iterator[Spelling]:
    source = record.source
    for token in _tokens(parse_code(record)):
        start = token.start_pos
        written = source.text[start : start + len(token)]
        word = re.sub(r"[\s.]", "", token.upper())
        new = _OPERATORS.get(word) if token.type == "COMPARE" else _function(word)
        if new is None or new == written:
            continue
        new = new.lower() if written == written.lower() else new
        old = re.sub(r"\s", "", written)
        yield Spelling(Edit(start, start + len(written), new), old.upper(), new.upper())


def _tokens(tree: Tree) -> Iterator[Token]:
    """Comparisons and the names of functions and elements."""
    for node in tree.iter_subtrees_topdown():
        for child in node.children:
            if isinstance(child, Token) and (
                child.type == "COMPARE" or (node.data == "call" and child is node.children[0])
            ):
                yield child


def _function(name: str) -> str | None:
    """Fortran's names for one precision, and ERR; None: the name is today's."""
    if name == "ERR":
        return "EPS"
    known = FUNCTION_NAMES.get(name, name)
    return known if known != name else None
