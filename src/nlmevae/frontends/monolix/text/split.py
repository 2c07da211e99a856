"""Mlxtran text -> blocks: `<TAG>`, `[SECTION]` and `LABEL:` with the text that belongs to them.

Tags stand alone on a line; text may follow a section or a label on its line. Comments run from `;` to the end of the
line, outside quotes. Blocks hold offsets of the whole file, so that every piece keeps its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nlmevae.errors import Location, ModelSyntaxError
from nlmevae.frontends.nonmem.records import SourceText, source_text

TAGS = ("DATAFILE", "DATA_FORMATTING", "MODEL", "FIT", "PARAMETER", "MONOLIX")
#: Sections by the tag they stand in; "" is a model file.
SECTIONS = {
    "": ("LONGITUDINAL", "INDIVIDUAL", "COVARIATE", "POPULATION", "COMMENTS"),
    "DATAFILE": ("FILEINFO", "CONTENT", "SETTINGS", "FILTER", "COMMENTS"),
    "DATA_FORMATTING": ("FILEINFO", "CONTENT", "OPERATIONS", "SETTINGS", "COMMENTS"),
    "MODEL": ("LONGITUDINAL", "INDIVIDUAL", "COVARIATE", "POPULATION", "COMMENTS"),
    "FIT": ("COMMENTS",),
    "PARAMETER": ("COMMENTS",),
    "MONOLIX": ("TASKS", "SETTINGS", "PLOTS", "COMMENTS"),
}
#: Labels that end free text.
LABELS = ("DESCRIPTION", "PK", "EQUATION", "DEFINITION", "OUTPUT", "INPUT", "OBSERVATION")

#: Labels of projects of Monolix 4, which have no tags.
COLON_LABELS = (
    "DATA", "VARIABLES", "COVARIATES", "INDIVIDUAL", "CORRELATION", "STRUCTURAL_MODEL", "OBSERVATIONS", "TASKS",
)  # fmt: skip

_COLON = re.compile(r"^[ \t]*STRUCTURAL_MODEL[ \t]*:", re.MULTILINE)
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")
_TAG = re.compile(r"[ \t\ufeff]*<[ \t]*(?P<name>\w+)[ \t]*>[ \t]*$")
_SECTION = re.compile(r"[ \t\ufeff]*\[[ \t]*(?P<name>\w+)[ \t]*\]")
_LABEL = re.compile(r"[ \t\ufeff]*(?P<name>[A-Z][A-Z_]*)[ \t]*:(?!=)")
_INPUT = re.compile(r"[ \t]*input[ \t]*=")


@dataclass(frozen=True, slots=True)
class Block:
    """The text under one heading.

    Attributes:
        tag, section, label: names in capitals; "" where there is none.
        head: offset of the heading that opens this block, `head_end` its end.
        start, end: offsets of the text.
    """

    source: SourceText
    tag: str
    section: str
    label: str
    head: int
    start: int
    end: int

    @property
    def text(self) -> str:
        """As written."""
        return self.source.text[self.start : self.end]

    @property
    def code(self) -> str:
        """The text with its comments blanked: same length, same places."""
        return without_comments(self.text)

    @property
    def at(self) -> Location:
        """The place of the heading."""
        return self.source.location(self.head, max(1, len(self.source.text[self.head : self.start].strip())))

    def location(self, start: int, end: int) -> Location:
        """Of offsets of the file."""
        return self.source.location(start, max(1, end - start))


def read_text(path: str | Path) -> SourceText:
    """A file as text: UTF-8 with or without its mark, else Windows-1252 (where nothing is undecodable)."""
    content = Path(path).read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    return source_text(text, str(path))


def without_comments(text: str) -> str:
    """Comments and form feeds become blanks; nothing moves."""
    if ";" not in text:
        return text
    parts = []
    for match in _LINE.finditer(text):
        line = match.group()
        comment = _comment_start(line)
        body = line.rstrip("\r\n")
        parts.append(line if comment is None else line[:comment] + " " * (len(body) - comment) + line[len(body) :])
    return "".join(parts)


def _comment_start(line: str) -> int | None:
    """Where the comment of a line begins: its first `;` outside quotes. A quote that is not closed before the end of
    the line quotes nothing."""
    position = 0
    while position < len(line):
        character = line[position]
        if character == ";":
            return position
        if character in "'\"":
            closing = line.find(character, position + 1)
            if closing > 0:
                position = closing
        position += 1
    return None


def split_blocks(source: SourceText) -> tuple[Block, ...]:
    """All blocks in order, those without text too. What stands before the first heading is a block without names.

    Raises:
        ModelSyntaxError: a tag that Mlxtran does not have.
    """
    heads = list(_headings(source))
    blocks = []
    tag = section = ""
    begin = 0
    first = heads[0][2] if heads else len(source.text)
    blocks.append(Block(source, "", "", "", 0, 0, first))
    for number, (kind, name, begin, after) in enumerate(heads):
        end = heads[number + 1][2] if number + 1 < len(heads) else len(source.text)
        label = ""
        if kind == "tag":
            tag, section = name, ""
        elif kind == "section":
            section = name
        elif kind == "label":
            label = name
        blocks.append(Block(source, tag, section, label, begin, after, end))
    return tuple(blocks)


def _headings(source: SourceText) -> Iterator[tuple[str, str, int, int]]:
    """(kind, name, offset of the heading, offset behind it) in order."""
    free = False  # inside a description or comments
    labels = (*LABELS, *COLON_LABELS) if is_colon_project(source.text) else LABELS
    for match in _LINE.finditer(source.text):
        raw = match.group().rstrip("\r\n")
        if not raw.strip():
            continue
        line = without_comments(raw)
        heading = _heading(line, source, match.start(), free_until=labels if free else None)
        if heading is None:
            continue
        kind, name, start, end = heading
        free = (kind, name) in (("label", "DESCRIPTION"), ("section", "COMMENTS"))
        yield kind, name, match.start() + start, match.start() + end
        # a label may follow its section on one line
        rest = _LABEL.match(line, end) if kind == "section" and not free else None
        if rest:
            free = rest["name"] == "DESCRIPTION"
            yield "label", rest["name"], match.start() + rest.start("name"), match.start() + rest.end()


def is_colon_project(text: str) -> bool:
    """Whether this is a project of Monolix 4."""
    return bool(_COLON.search(text))


def _heading(
    line: str, source: SourceText, offset: int, *, free_until: tuple[str, ...] | None
) -> tuple[str, str, int, int] | None:
    """The heading a line begins with. `free_until`: inside free text, the labels that end it."""
    free = free_until is not None
    tag = _TAG.match(line)
    if tag:
        name = tag["name"].upper()
        if name in TAGS:
            return "tag", name, line.index("<"), line.index(">") + 1
        if not free:
            raise ModelSyntaxError(
                f"<{tag['name']}> is not a part of a Monolix project",
                hint="the parts are " + ", ".join(f"<{t}>" for t in TAGS),
                location=source.location(offset + line.index("<"), len(tag["name"]) + 2),
            )
    section = _SECTION.match(line)
    if section and (not free or section["name"] in {name for names in SECTIONS.values() for name in names}):
        return "section", section["name"], line.index("["), section.end()
    label = _LABEL.match(line)
    if label and (free_until is None or label["name"] in free_until):
        return "label", label["name"], label.start("name"), label.end()
    if free and _INPUT.match(line):
        return "label", "", 0, 0
    return None
