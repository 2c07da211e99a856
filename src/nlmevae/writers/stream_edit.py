"""Changes to the text of a control stream that leave every other byte as it is.

An edit replaces a span of the text; all edits of one change refer to the same original text and are applied
together. Offsets come from the records and from the places (`Location`) of the model's statements.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlmevae.errors import Location
from nlmevae.frontends.nonmem.options import read_options, scan
from nlmevae.frontends.nonmem.records import ControlStream, Record, SourceText

#: Longest line of a control stream (NONMEM 7.2 and later; Introduction to NONMEM 7, "maximal record length").
LONGEST_LINE = 160

_COMMENT = re.compile(r";[^\r\n]*")
_CONTINUATION = re.compile(r"&(?=[ \t]*(?:\r\n|\r|\n|\Z))")
_BREAK = re.compile(r"(?<![*])[*](?![*])|(?<![*/(=,])(?<![\dED.][ED])[+-]", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t]*")
_COMMENT_HEAD = re.compile(r"(;+[ \t]*)(?:(\d+)([ \t]*[.:)][ \t]*))?")
_NEEDS_QUOTES = re.compile(r"[\s(),=;'\"]")


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `text` in place of the characters from `start` to `stop` (nothing when they are equal)."""

    start: int
    stop: int
    text: str


def insertion(offset: int, text: str) -> Edit:
    return Edit(offset, offset, text)


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """`text` with all edits made; insertions at one place keep their order.

    Raises:
        ValueError: two edits overlap.
    """
    parts, position = [], 0
    for edit in sorted(edits, key=lambda e: e.start):
        if edit.start < position:
            raise ValueError(f"two edits overlap at offset {edit.start}")
        parts += [text[position : edit.start], edit.text]
        position = edit.stop
    return "".join((*parts, text[position:]))


def line_end_of(text: str) -> str:
    """How the text ends its lines."""
    found = re.search(r"\r\n|\n|\r", text)
    return found.group() if found else "\n"


def offset_of(source: SourceText, at: Location) -> int:
    """Where `at` is, as an offset from the start of the text."""
    return source.line_starts[at.line - 1] + at.column - 1


def line_start(source: SourceText, offset: int) -> int:
    return source.line_starts[source.location(offset).line - 1]


def line_stop(source: SourceText, offset: int) -> int:
    """The end of the line that holds `offset`, its line end not included."""
    found = re.compile(r"[\r\n]").search(source.text, offset)
    return found.start() if found else len(source.text)


def indentation(source: SourceText, offset: int) -> str:
    """The blanks the line of `offset` starts with; none where something else than code stands before it."""
    prefix = source.text[line_start(source, offset) : offset]
    return prefix if not prefix.strip() else ""


def insert_lines(source: SourceText, offset: int, lines: Sequence[str]) -> Edit:
    """`lines` as lines of their own before the statement that starts at `offset`, indented as it is."""
    end, indent = line_end_of(source.text), indentation(source, offset)
    start = line_start(source, offset)
    block = "".join(f"{indent}{line}{end}" for line in lines)
    if source.text[start:offset].strip():  # the code starts on the line of its record: $PK CL = ...
        return insertion(offset, end + block)
    return insertion(start, block)


# statements ---------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class AssignmentText:
    """The text of ``TARGET = value``, its continuation lines included.

    Attributes:
        start: offset of the target.
        code: the statement with comments, & and line ends as blanks, so that index i is offset start + i.
        value: offset of the first character of the value; stop: after its last one.
    """

    start: int
    code: str
    value: int
    stop: int

    def before(self, offset: int) -> str:
        """The code up to `offset`, trailing blanks removed."""
        return self.code[: offset - self.start].rstrip()

    def after(self, offset: int) -> str:
        """The code from `offset`, leading blanks removed."""
        return self.code[offset - self.start :].lstrip()


def assignment_text(source: SourceText, at: Location) -> AssignmentText:
    """The assignment whose target stands at `at`."""
    start = offset_of(source, at)
    stop = _statement_stop(source, start)
    code = _CONTINUATION.sub(" ", _blanked(source.text[start:stop], _COMMENT))
    code = re.sub(r"[\r\n]", " ", code)
    equals = code.index("=")
    value = equals + 1 + len(code[equals + 1 :]) - len(code[equals + 1 :].lstrip())
    return AssignmentText(start, code, start + value, start + len(code.rstrip()))


def _statement_stop(source: SourceText, offset: int) -> int:
    """The end of the last line of the statement that starts at `offset`."""
    stop = line_stop(source, offset)
    continued = False
    while stop < len(source.text):
        code = source.text[offset:stop].partition(";")[0].strip()
        continued = code.endswith("&") or (continued and not code)
        if not continued:
            break
        offset = stop + (2 if source.text.startswith("\r\n", stop) else 1)
        stop = line_stop(source, offset)
    return stop


def _blanked(text: str, pattern: re.Pattern[str]) -> str:
    return pattern.sub(lambda match: " " * len(match.group()), text)


def has_sum(code: str) -> bool:
    """Whether an expression is a sum or a difference, outside all parentheses."""
    depth = 0
    for i, character in enumerate(code):
        depth += (character == "(") - (character == ")")
        if depth == 0 and character in "+-" and code[:i].strip() and not re.search(r"[\d.][EeDd]$", code[:i]):
            return True
    return False


# lines --------------------------------------------------------------------------------------------
def wrap_new_lines(text: str, original: str) -> str:
    """`text` with lines that are not in `original` and longer than NM-TRAN reads continued on the next one."""
    known = set(original.splitlines())
    end = line_end_of(original)
    lines = text.splitlines(keepends=True)
    return "".join(line if line.rstrip("\r\n") in known else _wrapped(line, end) for line in lines)


def _wrapped(line: str, end: str) -> str:
    tail = line[len(line.rstrip("\r\n")) :]
    line = line.rstrip("\r\n")
    indent = line[: len(line) - len(line.lstrip())]
    pieces = []
    while len(line) > LONGEST_LINE:
        code = line.partition(";")[0]
        first = len(line) - len(line.lstrip()) + 1
        places = [m.start() for m in _BREAK.finditer(code) if first < m.start() <= LONGEST_LINE - 2]
        if not places:
            break
        place = next((p for p in reversed(places) if line[p] != "*"), places[-1])
        pieces.append(line[:place].rstrip() + " &" + end)
        line = f"{indent}  {line[place:]}"
    return "".join((*pieces, line, tail))


# records ------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class ThetaStyle:
    """How the user writes the last value of $THETA, which new ones follow.

    Attributes:
        stop: end of its line.
        start: what a new line begins with: blanks, or the record's name where every value has a record.
        named: values have names, ``CL=(0,4)``, which code reads as THETA(CL).
        before: what stands between value and comment; `column`: where the comment begins, -1 if it is not aligned.
        comment: what the comment begins with (``; ``); `number`, `behind`: ``; 2. `` goes on as ``; 3. ``.
        lower: labels are in lower case.
    """

    stop: int
    start: str
    named: bool = False
    before: str = " "
    column: int = -1
    comment: str = "; "
    number: int | None = None
    behind: str = ""
    lower: bool = False

    @classmethod
    def of(cls, stream: ControlStream) -> ThetaStyle:
        source = stream.source
        record = stream.named("THETA")[-1]
        tokens = scan(record)
        begin, stop = line_start(source, tokens[-1].start), line_stop(source, tokens[-1].start)
        line = source.text[begin:stop]
        start = line[: len(line) - len(line.lstrip())]
        if begin == line_start(source, record.body - 1):
            gap = _BLANKS.match(source.text, record.body).group()
            start = source.text[begin : record.body] + (gap or " ")
        names = [tokens[k - 1].text for k, t in enumerate(tokens) if t.kind == "=" and k and t.start >= begin]
        code, mark, text = line.partition(";")
        found = _COMMENT_HEAD.match(mark + text)
        if found is None:
            lower = bool(names) and names[-1] == names[-1].lower()
            return cls(stop=stop, start=start, named=bool(names), lower=lower)
        before = code[len(code.rstrip()) :]
        label = text[found.end() - 1 :]
        return cls(
            stop=stop,
            start=start,
            named=bool(names),
            before=before,
            column=-1 if "\t" in line else len(code),
            comment=found[1],
            number=None if found[2] is None else int(found[2]),
            behind=found[3] or "",
            lower=label == label.lower() != label.upper(),
        )

    def cased(self, label: str) -> str:
        return label.lower() if self.lower else label

    def line(self, value: str, label: str, k: int) -> str:
        """The line of the new value number `k`, from 0."""
        if self.named:
            return f"{self.start}{label}={value}"
        code, before = self.start + value, self.before
        if self.column >= 0:
            before = " " * max(self.column - len(code), min(1, len(before)))
        number = "" if self.number is None else f"{self.number + 1 + k}{self.behind}"
        return f"{code}{before}{self.comment}{number}{label}"


def append_thetas(stream: ControlStream, style: ThetaStyle, values: Sequence[tuple[str, str]]) -> Edit:
    """Lines after the last value of the last $THETA record, as the user writes them: bare lines where the record
    has a line for each value, else records of their own.

    Args:
        values: (initial estimate, label) of each.
    """
    end = line_end_of(stream.source.text)
    lines = [style.line(value, label, k) for k, (value, label) in enumerate(values)]
    return insertion(style.stop, "".join(end + line for line in lines))


def move_data(stream: ControlStream, old_folder: Path, new_folder: Path) -> list[Edit]:
    """Data file names that lead from `new_folder` to the files they named from `old_folder`."""
    if os.path.realpath(old_folder) == os.path.realpath(new_folder):
        return []
    return [edit for record in stream.named("DATA") for edit in _moved(record, old_folder, new_folder)]


def _moved(record: Record, old_folder: Path, new_folder: Path) -> list[Edit]:
    options = read_options(record)
    if not options or options[0].token.text == "*":
        return []
    token = options[0].token
    name = record.source.text[token.start : token.end]
    name = name[1:-1] if token.kind == "quoted" else name
    if os.path.isabs(name):
        return []
    target = os.path.normpath(os.path.join(os.path.realpath(old_folder), name))
    try:
        path = os.path.relpath(target, os.path.realpath(new_folder))
    except ValueError:  # another drive
        path = target
    return [Edit(token.start, token.end, _quoted(Path(path).as_posix()))]


def _quoted(path: str) -> str:
    if not _NEEDS_QUOTES.search(path):
        return path
    return f'"{path}"' if "'" in path else f"'{path}'"
