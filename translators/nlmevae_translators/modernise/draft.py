"""The text of a control stream while it is rewritten: after every change each line still knows the one it is from."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from nlmevae.errors import Location
from nlmevae.frontends.nonmem.read import parse_control_stream
from nlmevae.frontends.nonmem.records import ControlStream, SourceText, line_starts, source_text, split_records
from nlmevae.frontends.nonmem.stream import first_problem
from nlmevae.ir import Model
from nlmevae.writers.stream_edit import Edit, apply_edits, wrap_new_lines
from nlmevae_translators.report import Entry


@dataclass(frozen=True)
class Draft:
    """`origins`: of every line of `text`, the number of the line of `original` that it is or replaces."""

    original: SourceText
    text: str
    origins: tuple[int, ...]

    @classmethod
    def begin(cls, text: str, path: str) -> Draft:
        source = source_text(text, path)
        return cls(source, text, tuple(range(1, len(source.line_starts) + 1)))

    @cached_property
    def source(self) -> SourceText:
        return source_text(self.text, self.original.path)

    @cached_property
    def stream(self) -> ControlStream:
        """The records of the first problem."""
        return first_problem(split_records(self.source))[0]

    @property
    def whole(self) -> ControlStream:
        """The records of all problems."""
        return split_records(self.source)

    @cached_property
    def model(self) -> Model:
        """
        Raises:
            ModelError: the text states no model.
        """
        return parse_control_stream(self.text, self.original.path)

    def edited(self, edits: Sequence[Edit]) -> Draft:
        """
        Raises:
            ValueError: two edits overlap.
        """
        if not edits:
            return self
        text = apply_edits(self.text, edits)
        origins = _origins(self, text, sorted(edits, key=lambda e: e.start))
        pieces = [wrap_new_lines(line, self.text) for line in text.splitlines(keepends=True)]
        counts = [max(1, len(piece.splitlines())) for piece in pieces]
        spread = [origin for origin, n in zip(origins, counts, strict=False) for _ in range(n)]
        return Draft(self.original, "".join(pieces), (*spread, *origins[len(pieces) :]))

    def place(self, at: Location) -> Location:
        """Where `at` of this text stands in the original."""
        line = self.origins[at.line - 1]
        start = self.original.line_starts[line - 1]
        was = self.original.location(start)
        column = at.column if was.snippet == at.snippet else 1 + len(was.snippet) - len(was.snippet.lstrip())
        return self.original.location(start + column - 1, at.length if was.snippet == at.snippet else 1)

    def placed(self, entry: Entry, file: str) -> Entry:
        """The entry with the line of `file` that its source became."""
        if entry.source is None or entry.target or entry.source.line not in self.origins:
            return entry
        return replace(entry, target=f"{file}:{self.origins.index(entry.source.line) + 1}")


def _origins(draft: Draft, text: str, edits: Sequence[Edit]) -> tuple[int, ...]:
    """Of the lines of `text`, which `edits` make of the draft's."""
    begins, sources, moves = [0], [0], [True]  # runs of the new text: where, from where, whether it moves along
    old = new = 0
    for edit in edits:
        new += edit.start - old
        begins, sources, moves = [*begins, new], [*sources, edit.start], [*moves, False]
        new, old = new + len(edit.text), edit.stop
        begins, sources, moves = [*begins, new], [*sources, edit.stop], [*moves, True]
    starts = draft.source.line_starts
    found = []
    for position in line_starts(text):
        run = bisect.bisect_right(begins, position) - 1
        offset = sources[run] + (position - begins[run] if moves[run] else 0)
        found.append(draft.origins[bisect.bisect_right(starts, offset) - 1])
    return tuple(found)
