"""$ABBREVIATED: replacements of names, and options without effect on the model."""

from __future__ import annotations

import re

from nlmevae.errors import ModelSyntaxError, UnsupportedError
from nlmevae.frontends.nonmem.options import Token, abbreviates, closing, scan
from nlmevae.frontends.nonmem.records import Record

_IGNORED = ("COMRES", "COMSAV", "DERIV1", "DERIV2", "FASTDER", "NOFASTDER", "CHECKMU", "NOCHECKMU", "DES", "PROTECT")
_UNSUPPORTED = {
    "DECLARE": "write the code without declared variables and loops",
    "FUNCTION": "write the formula in abbreviated code",
    "VECTOR": "write the formula in abbreviated code",
}
_LEFT = re.compile(r"[A-Z_]\w*(\(\w+\))?\Z")
_RIGHT = re.compile(r"([A-Z_]\w*(\(\w+\))?|[-+]?[0-9.]+([ED][-+]?\d+)?)\Z")


def read_replacements(records: tuple[Record, ...]) -> dict[str, str]:
    """What code says -> what it means, both upper case without blanks: ``ETA(CL)`` -> ``ETA(1)``.

    Raises:
        UnsupportedError: DECLARE, FUNCTION, VECTOR, lists chosen by a data item.
        ModelSyntaxError: a replacement that cannot be read.
    """
    replacements: dict[str, str] = {}
    for record in records:
        _read(scan(record), replacements)
    return {left: _resolved(right, replacements) for left, right in replacements.items()}


def _read(tokens: list[Token], replacements: dict[str, str]) -> None:
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
            _check(left, right, token)
            replacements[left] = right
        elif abbreviates(key, *_UNSUPPORTED):
            full = next(name for name in _UNSUPPORTED if abbreviates(key, name))
            raise UnsupportedError(f"$ABBREVIATED {full} is not supported", hint=_UNSUPPORTED[full], location=token.at)
        elif abbreviates(key, *_IGNORED):
            i += 3 if i + 1 < len(tokens) and tokens[i + 1].kind == "=" else 1
        else:
            raise ModelSyntaxError(
                f"{token.text} is not an $ABBREVIATED option", hint="known: REPLACE left=right", location=token.at
            )


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


def _check(left: str, right: str, token: Token) -> None:
    if _LEFT.match(left) and _RIGHT.match(right):
        return
    if "," in right or "TO" in right.partition("(")[2]:
        raise UnsupportedError(
            f"REPLACE {left}={right}: a list chosen by a data item is not supported",
            hint="write IF (OCC.EQ.1) ... for each value in the code",
            location=token.at,
        )
    raise UnsupportedError(
        f"REPLACE {left}={right} is not supported",
        hint="replace a name by a name, an element such as THETA(1), or a number",
        location=token.at,
    )


def _resolved(right: str, replacements: dict[str, str]) -> str:
    for _ in range(len(replacements)):
        if right not in replacements:
            break
        right = replacements[right]
    return right
