"""Initial estimates with a label each: one line for every value, its label in a comment behind it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from nlmevae.writers.stream_edit import Edit, insertion, line_end_of, line_start, line_stop
from nlmevae_translators.modernise.draft import Draft
from nlmevae_translators.modernise.initial_values import Value, is_number, values_of
from nlmevae_translators.modernise.label_names import label_names
from nlmevae_translators.report import Entry

_COMMENT_OF_SEVERAL = "as it was: the comment of the line belongs to several values"


@dataclass(frozen=True, slots=True)
class Labelled:
    """`bounded`: THETAs that got the lower bound 0."""

    draft: Draft
    entries: tuple[Entry, ...]
    bounded: frozenset[str]


def labelled(draft: Draft, positive: Collection[str]) -> Labelled:
    """
    Args:
        positive: THETAs without bounds that get the lower bound 0: their logarithm is taken now.
    """
    names = label_names(draft.model)
    edits: list[Edit] = []
    entries: list[Entry] = []
    bounded: set[str] = set()
    for record in draft.stream.named("THETA", "OMEGA", "SIGMA"):
        values = values_of(draft.model, draft.source, record)
        for value in values if record.name == "THETA" else ():
            if value.name in positive and (edit := _bound(draft, value)) is not None:
                edits.append(edit)
                bounded.add(value.name)
                entries.append(_entry(draft, value, "its logarithm is taken now: lower bound 0", "rule"))
        made, found = _labels(draft, values, names)
        edits += made
        entries += found
    made = draft.edited(edits)
    return Labelled(made, tuple(_targeted(e, made) for e in entries), frozenset(bounded))


def _targeted(entry: Entry, draft: Draft) -> Entry:
    """With the line where the value now stands."""
    model = draft.model
    lines = {t.name: t.at for t in model.thetas} | {
        b.names[0]: b.at for b in (*model.omega, *model.sigma) if len(b.names) == 1
    }
    at = lines.get(entry.construct)
    return entry if at is None else replace(entry, target=f"{Path(at.path).name}:{at.line}")


def _entry(draft: Draft, value: Value, reason: str, kind: str = "lossless") -> Entry:
    return Entry(construct=value.name, kind=kind, reason=reason, source=draft.place(draft.source.location(value.start)))


def _bound(draft: Draft, value: Value) -> Edit | None:
    """``3`` -> ``(0, 3)``, where the value is a number and nothing else."""
    text = draft.text[value.start : value.stop]
    number = text.strip("() \t")
    return Edit(value.start, value.stop, f"(0, {number})") if is_number(number) else None


# labels ---------------------------------------------------------------------------------------------


def _labels(draft: Draft, values: list[Value], names: dict[str, str]) -> tuple[list[Edit], list[Entry]]:
    """Comments behind values, each of which gets a line."""
    edits: list[Edit] = []
    entries: list[Entry] = []
    lines: dict[int, list[Value]] = {}
    for value in values:
        lines.setdefault(line_start(draft.source, value.start), []).append(value)
    for begin, own in lines.items():
        unlabelled = [v for v in own if v.name in names]
        if not unlabelled:
            continue
        line = draft.text[begin : line_stop(draft.source, begin)]
        if ";" in line:
            if len(own) > 1:
                entries += [_entry(draft, v, _COMMENT_OF_SEVERAL) for v in unlabelled]
            continue
        if line.rstrip().endswith("&") or line_start(draft.source, own[-1].stop - 1) != begin:
            continue
        edits += _split(draft, begin, own, names)
        entries += [_entry(draft, v, f"the label {names[v.name]}, by what the code does with it") for v in unlabelled]
    return edits, entries


def _split(draft: Draft, begin: int, values: Iterable[Value], names: dict[str, str]) -> list[Edit]:
    """A line for each value, those behind the first under it."""
    values = list(values)
    indent = "".join(c if c == "\t" else " " for c in draft.text[begin : values[0].start])
    edits = []
    for value, after in pairwise(values):
        label = f" ; {names[value.name]}" if value.name in names else ""
        edits.append(Edit(value.stop, after.start, f"{label}{line_end_of(draft.text)}{indent}"))
    last = values[-1]
    stop = line_stop(draft.source, last.start)
    stop = begin + len(draft.text[begin:stop].rstrip())
    if last.name in names:
        edits.append(insertion(stop, f" ; {names[last.name]}"))
    return edits
