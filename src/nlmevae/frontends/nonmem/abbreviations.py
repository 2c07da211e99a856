"""$ABBREVIATED: replacements of names, declared arrays, and options without effect on the model."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nlmevae.errors import ModelSyntaxError, SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.element_lists import ElementList, element_numbers, item_of
from nlmevae.frontends.nonmem.options import Token, abbreviates, closing, scan
from nlmevae.frontends.nonmem.records import Record

_IGNORED = ("COMRES", "COMSAV", "DERIV1", "DERIV2", "FASTDER", "NOFASTDER", "CHECKMU", "NOCHECKMU", "DES", "PROTECT")
_UNSUPPORTED = {
    "FUNCTION": "write the formula in abbreviated code",
    "VECTOR": "write the formula in abbreviated code",
}
#: Words of DECLARE that are no names.
_TYPES = ("INTEGER", "REAL", "DOWHILE", "DOUBLE", "PRECISION")
_LEFT = re.compile(r"[A-Z_]\w*(\(\w+(,\w+)*\))?\Z")
_RIGHT = re.compile(r"([A-Z_]\w*(\(\w+\))?|[-+]?[0-9.]+([ED][-+]?\d+)?)\Z")
_ELEMENTS = re.compile(r"(THETA|ETA|EPS|ERR|A|DADT|A_0)\((.*)\)\Z")


@dataclass(slots=True)
class Abbreviations:
    """What $ABBREVIATED says.

    Attributes:
        replacements: what code says -> what it means, upper case without blanks: ``ETA(CL)`` -> ``ETA(1)``.
        lists: elements chosen by a data item: ``ETA(OCC_CL)``.
        arrays: declared arrays and their sizes.
    """

    replacements: dict[str, str] = field(default_factory=dict)
    lists: dict[str, ElementList] = field(default_factory=dict)
    arrays: dict[str, tuple[int, ...]] = field(default_factory=dict)


def read_abbreviations(records: tuple[Record, ...], items: frozenset[str]) -> Abbreviations:
    """All $ABBREVIATED records.

    Args:
        items: data items, by which lists may choose.

    Raises:
        UnsupportedError: FUNCTION, VECTOR.
        ModelSyntaxError: a replacement or declaration that cannot be read.
    """
    found = Abbreviations()
    for record in records:
        _read(scan(record), found, items)
    found.replacements = {left: _resolved(right, found.replacements) for left, right in found.replacements.items()}
    return found


def _read(tokens: list[Token], found: Abbreviations, items: frozenset[str]) -> None:
    i = 0
    while i < len(tokens):
        token = tokens[i]
        key = token.upper
        if token.kind == ",":
            i += 1
        elif abbreviates(key, "REPLACE"):
            left, i = _operand(tokens, i + 1, token)
            if i >= len(tokens) or tokens[i].kind != "=":
                raise ModelSyntaxError("REPLACE needs left=right", hint="write REPLACE CL=THETA(1)", location=token.at)
            right, i = _operand(tokens, i + 1, token)
            _replace(left, right, token, found, items)
        elif abbreviates(key, "DECLARE"):
            i = _declare(tokens, i + 1, found)
        elif abbreviates(key, *_UNSUPPORTED):
            full = next(name for name in _UNSUPPORTED if abbreviates(key, name))
            raise UnsupportedError(f"$ABBREVIATED {full} is not supported", hint=_UNSUPPORTED[full], location=token.at)
        elif abbreviates(key, *_IGNORED):
            i += 3 if i + 1 < len(tokens) and tokens[i + 1].kind == "=" else 1
        else:
            raise ModelSyntaxError(
                f"{token.text} is not an $ABBREVIATED option", hint="known: REPLACE left=right, DECLARE",
                location=token.at,
            )  # fmt: skip


def _declare(tokens: list[Token], i: int, found: Abbreviations) -> int:
    """``DECLARE INTEGER X(5), DOWHILE I, Z``; the index after the last of them."""
    while i < len(tokens):
        token = tokens[i]
        if token.kind == "," or abbreviates(token.upper, *_TYPES):
            i += 1
            continue
        if abbreviates(token.upper, "REPLACE", "DECLARE", *_UNSUPPORTED, *_IGNORED) or token.kind != "word":
            break
        i += 1
        if i < len(tokens) and tokens[i].kind == "(":
            stop = closing(tokens, i)
            sizes = [t.text for t in tokens[i + 1 : stop] if t.kind != ","]
            if not sizes or not all(size.isdigit() for size in sizes):
                raise ModelSyntaxError(
                    f"the size of {token.upper} is not a number", hint="write DECLARE X(10)", location=token.at
                )
            found.arrays[token.upper] = tuple(int(size) for size in sizes)
            i = stop + 1
    return i


def _operand(tokens: list[Token], i: int, near: Token) -> tuple[str, int]:
    """``NAME`` or ``NAME(...)``, upper case without blanks, and the next index."""
    if i >= len(tokens) or tokens[i].kind not in ("word", "quoted"):
        raise ModelSyntaxError("REPLACE needs left=right", hint="write REPLACE CL=THETA(1)", location=near.at)
    text = re.sub(r"\s", "", tokens[i].upper)
    i += 1
    if i < len(tokens) and tokens[i].kind == "(":
        stop = closing(tokens, i)
        text += re.sub(r"\s", "", "".join(t.upper for t in tokens[i : stop + 1]))
        i = stop + 1
    return text, i


def _replace(left: str, right: str, token: Token, found: Abbreviations, items: frozenset[str]) -> None:
    """One replacement: of a name, of several elements at once, or of an element by a list."""
    if _LEFT.match(left) and "," not in left and _RIGHT.match(right):
        found.replacements[left] = right
        return
    source, target = _ELEMENTS.match(left), _ELEMENTS.match(right)
    if not source or not target or source.group(1) != target.group(1) or not _LEFT.match(left):
        raise UnsupportedError(
            f"REPLACE {left}={right} is not supported",
            hint="replace a name by a name, an element such as THETA(1), or a number",
            location=token.at,
        )
    base = target.group(1)
    elements = tuple(f"{base}({n})" for n in element_numbers(target.group(2), token.at))
    labels = source.group(2).split(",")
    if len(labels) == len(elements):
        found.replacements |= {f"{base}({label})": e for label, e in zip(labels, elements, strict=True)}
        return
    item = item_of(labels[0], items) if len(labels) == 1 else None
    if item is None:
        raise SemanticError(
            f"REPLACE {left}={right}: {labels[0]} does not start with the name of a data item",
            hint="the list is chosen by a data item: ETA(OCC_CL)=ETA(3,4) needs OCC in $INPUT",
            location=token.at,
        )
    found.lists[left] = ElementList(item, elements)


def _resolved(right: str, replacements: dict[str, str]) -> str:
    for _ in range(len(replacements)):
        if right not in replacements:
            break
        right = replacements[right]
    return right
