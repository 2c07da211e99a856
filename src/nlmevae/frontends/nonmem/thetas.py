"""$THETA -> population parameters.

$THETA  1.5                  initial estimate
$THETA  (0, 1.5)             lower bound, initial estimate
$THETA  (0, 1.5, 10) ; CL    lower, initial, upper; the comment is the label
$THETA  0.75 FIX   (1 FIX)   not estimated
$THETA  (0,1)x3              three of them
$THETA  CL=(0,1)             named: code may read THETA(CL)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from nlmevae.errors import Location, ModelSyntaxError, NlmevaeError, SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.labels import label_from_comment, unique_labels
from nlmevae.frontends.nonmem.numbers import estimate_of, number_of, repeat_of
from nlmevae.frontends.nonmem.options import Token, abbreviates, closing, comment_after, groups, scan
from nlmevae.frontends.nonmem.records import Record
from nlmevae.ir import PopulationParameter

#: NONMEM takes bounds of this size as no bound.
_NO_BOUND = 1e6


@dataclass(frozen=True, slots=True)
class _Entry:
    init: float
    lower: float
    upper: float
    fixed: bool
    name: str | None
    comment: str
    at: Location
    value: Token | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThetaPlace:
    """Where one initial estimate is written: `value` the number, `whole` with its bounds and without ``xN``."""

    value: Location
    whole: Location


def theta_places(records: tuple[Record, ...]) -> tuple[ThetaPlace, ...]:
    """Of all THETAs in order; those of ``(0,1)x3`` share their place."""
    entries = [entry for record in records for entry in _entries(record)]
    return tuple(ThetaPlace(value=e.value.at if e.value else e.at, whole=e.at) for e in entries)


def read_thetas(records: tuple[Record, ...]) -> tuple[tuple[PopulationParameter, ...], dict[str, str]]:
    """All THETAs in order, and the names code may use: ``THETA(CL)`` -> ``THETA(1)``."""
    entries: list[_Entry] = []
    for record in records:
        entries += _entries(record)
    names = [f"THETA({n})" for n in range(1, len(entries) + 1)]
    labels = unique_labels([e.name or label_from_comment(e.comment) for e in entries], names)
    thetas = tuple(
        PopulationParameter(name=name, label=label, init=e.init, lower=e.lower, upper=e.upper, fixed=e.fixed, at=e.at)
        for e, name, label in zip(entries, names, labels, strict=True)
    )
    written = {f"THETA({e.name.upper()})": name for e, name in zip(entries, names, strict=True) if e.name}
    return thetas, written


def _entries(record: Record) -> list[_Entry]:
    tokens = scan(record)
    entries: list[_Entry] = []
    pending: list[str] = []
    name: str | None = None
    i = 0
    while i < len(tokens):
        token = tokens[i]
        following = tokens[i + 1] if i + 1 < len(tokens) else None
        if token.kind == ",":
            i += 1
        elif token.kind == "word" and following and following.kind == "=":
            if abbreviates(token.upper, "NUMBERPOINTS", "NUMPOINTS", "NUMPTS"):
                i += 3
            else:
                name, i = token.text, i + 2
        elif token.kind == "(":
            stop = closing(tokens, i)
            entry = _bounded(tokens[i : stop + 1], name)
            count, i = repeat_of(tokens, stop + 1)
            entries += [entry] * count
            name = None
        elif abbreviates(token.text, "NAMES") and following and following.kind == "(":
            stop = closing(tokens, i + 1)
            pending += [t.text for t in tokens[i + 2 : stop] if t.kind == "word"]
            i = stop + 1
        elif token.kind == "word":
            _word(token, entries, name)
            name, i = None, i + 1
        else:
            raise _unexpected(token)
    return [_named(e, pending[k] if k < len(pending) else None) for k, e in enumerate(_commented(entries, record))]


def _word(token: Token, entries: list[_Entry], name: str | None) -> None:
    """A bare value, or an option that belongs to the value before it."""
    if abbreviates(token.text, "FIXED"):
        if not entries:
            raise ModelSyntaxError("FIX without a value", hint="write 0.75 FIX or (0.75 FIX)", location=token.at)
        entries[-1] = _fixed(entries[-1])
    elif abbreviates(token.text, "ABORT", "NOABORT", "NOABORTFIRST", "UNINT"):
        pass
    else:
        value = estimate_of(token)
        entries.append(_Entry(value, -math.inf, math.inf, False, name, "", token.at, token))


def _bounded(tokens: list[Token], name: str | None) -> _Entry:
    """``(low, init, up FIX)`` with its parentheses."""
    opening = tokens[0]
    fixed = any(abbreviates(t.text, "FIXED") for t in tokens if t.kind == "word")
    inner = [t for t in tokens[1:-1] if not (t.kind == "word" and abbreviates(t.text, "FIXED", "UNINT"))]
    while inner and inner[-1].kind == "," and fixed:
        inner.pop()
    values = _values(inner, opening)
    if len(values) == 1:
        lower, init, upper = None, values[0], None
    else:
        lower, init, upper = [*values, None][:3]
    if init is None:
        raise UnsupportedError(
            "a THETA without an initial estimate is not supported",
            hint="write one between the bounds: (low, init, up)",
            location=opening.at,
        )
    if not math.isfinite(init):
        raise ModelSyntaxError("the initial estimate is not finite", hint="write (low, init, up)", location=opening.at)
    low = -math.inf if lower is None or lower <= -_NO_BOUND else lower
    high = math.inf if upper is None or upper >= _NO_BOUND else upper
    fixed = fixed or low == init == high  # NM-TRAN: "FIXED is implied when all three values are equal"
    at = _span(opening, tokens[-1])
    if low > high:
        raise SemanticError("the lower bound is above the upper bound", hint="write (low, init, up)", location=at)
    return _Entry(init, low, high, fixed, name, "", at, _number_token(inner))


def _number_token(inner: list[Token]) -> Token:
    """The initial estimate of one to three numbers."""
    slots = [token for part in groups(inner) for token in (part or [None])]
    return slots[0] if len(slots) == 1 else slots[1]


def _values(inner: list[Token], opening: Token) -> list[float | None]:
    """Up to three numbers; None where nothing stands between commas."""
    if not inner:
        raise ModelSyntaxError("() has no initial estimate", hint="write (low, init, up)", location=opening.at)
    values: list[float | None] = []
    for part in groups(inner):
        values += [number_of(t, "a bound or an initial estimate") for t in part] if part else [None]
    if len(values) > 3:
        raise ModelSyntaxError(
            f"{len(values)} values in one THETA", hint="at most three: (low, init, up)", location=opening.at
        )
    return values


def _span(first: Token, last: Token) -> Location:
    return first.record.source.location(first.start, last.end - first.start)


def _fixed(e: _Entry) -> _Entry:
    return replace(e, fixed=True)


def _named(e: _Entry, name: str | None) -> _Entry:
    return replace(e, name=e.name or name)


def _commented(entries: list[_Entry], record: Record) -> list[_Entry]:
    """Each entry with the comment of its line, if it is alone on the line."""
    lines = [e.at.line for e in entries]
    starts = record.source.line_starts
    return [
        replace(e, comment=comment_after(record, starts[e.at.line - 1])) if lines.count(e.at.line) == 1 else e
        for e in entries
    ]


def _unexpected(token: Token) -> NlmevaeError:
    if token.kind == ")":
        return ModelSyntaxError("this ) closes nothing", hint="remove it or add the missing (", location=token.at)
    return ModelSyntaxError(
        f"{token.text} is not expected in $THETA", hint="write values as (low, init, up)", location=token.at
    )
