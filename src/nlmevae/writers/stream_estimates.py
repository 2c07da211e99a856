"""Other initial estimates in the user's own $THETA, $OMEGA and $SIGMA: the numbers change and nothing else.

(0, 1.5, 10) ; CL     ->  (0, 1.6321, 10) ; CL
0.3 SD                ->  0.27104 SD            standard deviations stay such, also CORRELATION and CHOLESKY
(0, 1)x2              ->  (0, 0.98) (0, 1.2)    where the two are no longer equal
VALUES(0.1, 0.01)     ->  0.12 0.02 0.09        the lower triangle
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

import numpy as np

from nlmevae.errors import ModelError, UnsupportedError
from nlmevae.frontends.nonmem.covariance import BlockPlace, covariance_places
from nlmevae.frontends.nonmem.read import parse_control_stream
from nlmevae.frontends.nonmem.records import ControlStream, SourceText, source_text, split_records
from nlmevae.frontends.nonmem.stream import first_problem
from nlmevae.frontends.nonmem.thetas import theta_places
from nlmevae.ir import CovarianceBlock, Model, PopulationParameter
from nlmevae.writers.stream_edit import Edit, apply_edits, offset_of

#: Significant digits; more where the rounded values are no covariance matrix any more.
_DIGITS = (6, 10, 17)
#: A THETA that ended at a bound starts this much inside, relative to its size: NONMEM refuses one at its bound.
_INSIDE = 1e-4
#: Relative difference from six digits, twice where a standard deviation is squared.
_ROUNDING = 2e-5

_REPEATED = re.compile(r"[ \t]*[xX](\d+)")
_FILLED = re.compile(r"\bVAL\w*\s*\([^()]*\)", re.IGNORECASE)


def stream_at(text: str, path: str, target: Model) -> tuple[str, tuple[str, ...]]:
    """The control stream with the values of `target`, a model that differs from the text's in its numbers only.

    Returns:
        The text, and what the user should know about the values.

    Raises:
        UnsupportedError: the text does not read back with these numbers and everything else as it was.
    """
    source = source_text(text, path)
    stream, _ = first_problem(split_records(source))
    reason = ""
    for digits in _DIGITS:
        written = apply_edits(text, _edits(stream, target, digits))
        reason = _difference(text, written, path, target)
        if not reason:
            return written, _notes(target)
    raise UnsupportedError(
        f"final estimates cannot be written into the control stream: {reason}",
        hint="write them by hand: the result files have them",
    )


def _notes(target: Model) -> tuple[str, ...]:
    at_bound = [t.label for t in target.thetas if not t.fixed and t.init in (t.lower, t.upper)]
    return (f"{', '.join(at_bound)}: estimated at a bound, starts beside it",) if at_bound else ()


# edits --------------------------------------------------------------------------------------------
def _edits(stream: ControlStream, target: Model, digits: int) -> list[Edit]:
    edits = list(_theta_edits(stream, target.thetas, digits))
    for name, blocks in (("OMEGA", target.omega), ("SIGMA", target.sigma)):
        numbers = []
        for block, place in _placed(blocks, covariance_places(stream.named(name)), name):
            if place.filled and not block.fixed:
                edits += _filled_edit(place, block, digits)
            numbers += _triangle(block, place, digits)
        edits += _number_edits(stream.source, numbers)
    return edits


def _placed(
    blocks: Sequence[CovarianceBlock], places: Sequence[BlockPlace], name: str
) -> Iterator[tuple[CovarianceBlock, BlockPlace]]:
    """Each block that has numbers of its own, with where they stand.

    Raises:
        UnsupportedError: a block of the text is several in the model, which has not all of its covariances.
    """
    at, size = {effect: block for block in blocks for effect in block.names}, 0
    effects = list(at)
    for place in places:
        size = place.size or size
        mine, effects = effects[:size], effects[size:]
        if not mine or not place.size:  # of a prior; SAME
            continue
        found = list({id(at[effect]): at[effect] for effect in mine}.values())
        if all(block.fixed for block in found):
            continue
        if len(found) > 1:
            raise UnsupportedError(
                f"final estimates cannot be written into ${name} BLOCK({size}): the data show only some of its values",
                hint="write effects that never act together as blocks of their own",
                location=place.record.head,
            )
        yield found[0], place


def _theta_edits(stream: ControlStream, thetas: Sequence[PopulationParameter], digits: int) -> Iterator[Edit]:
    places = theta_places(stream.named("THETA"))
    numbers = []
    for theta, place in zip(thetas, places, strict=False):  # a prior's THETAs come behind the model's
        text = "" if theta.fixed else _inside(theta, digits)
        numbers.append((offset_of(stream.source, place.value), text))
    yield from _number_edits(stream.source, numbers)


def _started(theta: PopulationParameter) -> float:
    """The value, beside the bound where it is at one."""
    span = theta.upper - theta.lower
    size = span if math.isfinite(span) and span < 1.0 else abs(theta.init) or 1.0
    if theta.init == theta.lower:
        return theta.init + _INSIDE * size
    return theta.init - _INSIDE * size if theta.init == theta.upper else theta.init


def _inside(theta: PopulationParameter, digits: int) -> str:
    """The value as text, which is between the bounds after rounding, too."""
    text = _number(_started(theta), digits)
    return text if theta.lower < float(text) < theta.upper else _number(_started(theta), 17)


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}g}".upper()


def _triangle(block: CovarianceBlock, place: BlockPlace, digits: int) -> Iterator[tuple[int, str]]:
    """(offset, number) of the values of a block that are written one by one."""
    if place.values:
        for at, number in zip(place.values, _as_written(block, place.options), strict=True):
            yield offset_of(place.record.source, at), _number(number, digits)


def _as_written(block: CovarianceBlock, options: frozenset[str]) -> list[float]:
    """The lower triangle by rows, as the options of the record say."""
    matrix = np.array(block.matrix, dtype=float)
    rows, columns = np.tril_indices(len(matrix))
    sd = np.sqrt(np.diag(matrix))
    if "CHOLESKY" in options:
        return list(np.linalg.cholesky(matrix)[rows, columns])
    written = matrix / np.outer(sd, sd) if "CORRELATION" in options else matrix.copy()
    np.fill_diagonal(written, sd if "SD" in options else sd**2)
    return list(written[rows, columns])


def _filled_edit(place: BlockPlace, block: CovarianceBlock, digits: int) -> list[Edit]:
    record = place.record
    found = _FILLED.search(record.source.text, record.body, record.end)
    if found is None:
        return []
    numbers = " ".join(_number(v, digits) for v in _as_written(block, place.options))
    return [Edit(found.start(), found.end(), numbers)]


def _number_edits(source: SourceText, numbers: Sequence[tuple[int, str]]) -> list[Edit]:
    """`numbers` are (offset, text), "" where the text stays. Numbers of one place that differ need the group written
    out as often as ``xN`` says."""
    by_place: dict[int, list[str]] = {}
    for offset, text in numbers:
        by_place.setdefault(offset, []).append(text)
    edits, done = [], set()
    for offset, texts in by_place.items():
        if len(texts) == 1:
            edits += [Edit(offset, _end_of(source, offset), texts[0])] if texts[0] else []
        elif offset not in done:
            edit, inside = _written_out(source, offset, by_place)
            edits.append(edit)
            done |= inside
    return [edit for edit in edits if edit.text != source.text[edit.start : edit.stop]]


def _end_of(source: SourceText, offset: int) -> int:
    return re.compile(r"[^\s(),;=]+").match(source.text, offset).end()


def _written_out(source: SourceText, offset: int, by_place: dict[int, list[str]]) -> tuple[Edit, set[int]]:
    """``(0, 1 2)x3`` as one group where its values are equal, else as three; and the places it has."""
    text = source.text
    start, stop = text.rindex("(", 0, offset), text.index(")", offset) + 1
    places = [place for place in by_place if start < place < stop]
    count = len(by_place[offset])
    groups = []
    for k in range(count):
        changes = [Edit(p, _end_of(source, p), by_place[p][k]) for p in places if by_place[p][k]]
        groups.append(apply_edits(text[:stop], changes)[start:])
    if len(set(groups)) == 1:
        return Edit(start, stop, groups[0]), set(places)
    repeated = _REPEATED.match(text, stop)
    return Edit(start, repeated.end() if repeated else stop, " ".join(groups)), set(places)


# check --------------------------------------------------------------------------------------------
def _difference(text: str, written: str, path: str, target: Model) -> str:
    """What makes the written text another model than the first one at other numbers; "" if nothing does."""
    before = parse_control_stream(text, path)
    try:
        after = parse_control_stream(written, path)
    except ModelError as error:
        return error.message
    if after.fingerprint != before.fingerprint or len(after.thetas) != len(before.thetas):
        return "the model is then read differently"
    pairs = [
        (wanted, new.init, abs(wanted))
        for old, new in zip(target.thetas, after.thetas, strict=True)
        for wanted in [old.init if old.fixed else _started(old)]
    ]
    for old, new in ((target.omega, after.omega), (target.sigma, after.sigma)):
        for a, b in zip(old, new, strict=True):
            size = np.sqrt(np.outer(np.diag(a.matrix), np.diag(b.matrix)))
            pairs += zip(np.ravel(a.matrix), np.ravel(b.matrix), np.ravel(size), strict=True)
    for wanted, found, size in pairs:
        if abs(wanted - found) > _ROUNDING * size:
            return f"{wanted:.6g} then reads as {found:.6g}"
    return ""
