"""What a section is made of. Texts are plain text: the template escapes every one of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from nlmevae.report.page.numbers import NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    text: str
    kind: str = field(default="paragraph", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """Of a part of a section."""

    text: str
    kind: str = field(default="heading", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How the run ended; `good`: the estimates may be used as final."""

    text: str
    good: bool
    kind: str = field(default="verdict", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """One warning and what to do about it."""

    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warnings:
    """`title` says what they are about."""

    title: str
    items: tuple[Warned, ...]
    kind: str = field(default="warnings", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`header` (C,) and `rows` (R, C); the first column names the row. `texts`: indices of columns that are not
    numbers, besides the first; `quiet`: indices of rows that are shown less prominently (fixed parameters)."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: tuple[int, ...] = ()
    quiet: tuple[int, ...] = ()
    kind: str = field(default="table", init=False)

    def without_empty_columns(self) -> Table:
        """The table without columns in which no row has anything."""
        used = [c for c in range(len(self.header)) if not c or any(row[c] not in ("", NONE) for row in self.rows)]
        return replace(
            self,
            header=tuple(self.header[c] for c in used),
            rows=tuple(tuple(row[c] for c in used) for row in self.rows),
            texts=tuple(place for place, c in enumerate(used) if c in self.texts),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """`source` is a data URI; `alt` says what is to be seen to those who cannot see it; `width` in CSS pixels."""

    source: str
    alt: str
    caption: str
    width: int
    kind: str = field(default="picture", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Text as it is, in a fixed-width type."""

    text: str
    label: str
    kind: str = field(default="listing", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """Terms and their explanations."""

    items: tuple[tuple[str, str], ...]
    kind: str = field(default="definitions", init=False)


Block = Paragraph | Heading | Verdict | Warnings | Table | Picture | Listing | Definitions


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """`anchor` is its address within the page."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]
