"""Where initial estimates stand in the text of $THETA, $OMEGA and $SIGMA."""

from __future__ import annotations

from dataclasses import dataclass

from nlmevae.errors import Location
from nlmevae.frontends.nonmem.options import Token, abbreviates, scan
from nlmevae.frontends.nonmem.records import Record, SourceText
from nlmevae.ir import Model
from nlmevae.writers.stream_edit import offset_of


@dataclass(frozen=True, slots=True)
class Value:
    """An initial estimate of `name`, or a row of a block whose last value is its variance: offsets of its first and
    behind its last character, options behind it included."""

    name: str
    start: int
    stop: int


def values_of(model: Model, source: SourceText, record: Record) -> list[Value]:
    """The record's values in order; none where they are repeated, named, or made by VALUES or SAME."""
    tokens = scan(record)
    if any(t.kind == "=" for t in tokens) or any(abbreviates(t.text, "NAMES", "VALUES", "SAME") for t in tokens):
        return []
    if record.name == "THETA" or not any(abbreviates(t.text, "BLOCK") for t in tokens):
        return _single_values(model, source, record, tokens)
    return _block_values(model, source, record, tokens)


def _single_values(model: Model, source: SourceText, record: Record, tokens: list[Token]) -> list[Value]:
    places: list[tuple[str, Location]] = []
    if record.name == "THETA":
        places = [(t.name, t.at) for t in model.thetas if t.at is not None]
    else:
        blocks = model.omega if record.name == "OMEGA" else model.sigma
        places = [(b.names[0], b.at) for b in blocks if len(b.names) == 1 and b.at is not None]
    offsets = [(name, offset_of(source, at)) for name, at in places]
    inside = [(name, o) for name, o in offsets if record.body <= o < record.end]
    if not inside or len({o for _, o in inside}) != len(inside):  # (0.1)x4
        return []
    starts = [_opening(tokens, o) for _, o in inside]
    ends = [*starts[1:], record.end]
    found = []
    for (name, _), start, end in zip(inside, starts, ends, strict=True):
        own = [t for t in tokens if start <= t.start < end and t.kind != ","]
        found.append(Value(name, start, own[-1].end))
    return found


def _opening(tokens: list[Token], offset: int) -> int:
    """Where the parenthesis around the value at `offset` opens, if one does."""
    k = next(i for i, t in enumerate(tokens) if t.start == offset)
    return tokens[k - 1].start if k and tokens[k - 1].kind == "(" else offset


def _block_values(model: Model, source: SourceText, record: Record, tokens: list[Token]) -> list[Value]:
    """The rows of a block: the last value of each is the variance."""
    blocks = [b for b in (model.omega if record.name == "OMEGA" else model.sigma) if b.same_as is None and b.at]
    block = next((b for b in blocks if record.start <= offset_of(source, b.at) < record.body), None)
    if block is None:
        return []
    opening = next((i for i, t in enumerate(tokens) if t.kind == "("), None)
    numbers = [t for i, t in enumerate(tokens) if is_number(t.text) and i != (opening or 0) + 1]
    n = len(block.names)
    if opening is None or len(numbers) != n * (n + 1) // 2 or sum(t.kind == "(" for t in tokens) != 1:
        return []
    rows = [(numbers[i * (i + 1) // 2], numbers[i * (i + 3) // 2]) for i in range(n)]
    values = [Value(name, a.start, b.end) for name, (a, b) in zip(block.names, rows, strict=True)]
    behind = [t for t in tokens if t.start >= numbers[-1].end]
    if behind:  # FIX behind the last value
        values[-1] = Value(values[-1].name, values[-1].start, behind[-1].end)
    return values


def is_number(text: str) -> bool:
    try:
        float(text.upper().replace("D", "E"))
    except ValueError:
        return False
    return True
