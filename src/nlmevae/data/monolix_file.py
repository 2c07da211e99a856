"""A Monolix data file as text: its delimiter, its lines, and the items of the columns that are used.

The header of the project names the columns in order; the file's own, its first line, is not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nlmevae.data.numbers import NULL_TEXTS
from nlmevae.data.text import read_lines
from nlmevae.errors import DataError, Location, SemanticError
from nlmevae.ir import DataSpec, Diagnostic, MonolixRows

#: In the order in which they are tried where the project names none.
_DELIMITERS = {"\t": "tabs", ";": "semicolons", ",": "commas", " ": "blanks"}


@dataclass(frozen=True, slots=True)
class MonolixFile:
    """Attributes:
    path: of the file.
    delimiter: the character.
    header: column names in order.
    lines: line numbers of the rows, from 1; texts: those lines.
    items: (n_rows) lists of items, quotes removed, as many as `header`.
    """

    path: str
    delimiter: str
    header: tuple[str, ...]
    lines: tuple[int, ...]
    texts: tuple[str, ...]
    items: tuple[tuple[str, ...], ...]

    def column(self, name: str) -> tuple[str, ...]:
        """Items of the column called so in the header."""
        k = self.header.index(name)
        return tuple(row[k] for row in self.items)

    def at(self, row: int, name: str | None = None) -> Location:
        """Where a row stands, or its item in the column `name`."""
        text = self.texts[row]
        snippet = text.replace("\t", " ").rstrip()
        if name is None:
            return Location(self.path, self.lines[row], 1, 1, snippet)
        start, item = split_line(text, self.delimiter)[self.header.index(name)]
        return Location(self.path, self.lines[row], start + 1, max(1, len(item)), snippet)


def is_missing(text: str) -> bool:
    """A dot, or nothing."""
    return text in NULL_TEXTS


def split_line(line: str, delimiter: str) -> list[tuple[int, str]]:
    """Items of a line with the index at which each starts. Delimiters between double quotes belong to the item; blanks
    beside an item do not; several blanks are one delimiter.

    >>> split_line('1; "a;b" ;.', ';')
    [(0, '1'), (3, 'a;b'), (10, '.')]
    """
    blanks = " " if delimiter == "\t" else " \t"
    spans, begin = [], 0
    for piece in _pieces(line, delimiter):
        text = piece.strip(blanks)
        if text or delimiter != " ":
            spans.append((begin + len(piece) - len(piece.lstrip(blanks)), _unquoted(text)))
        begin += len(piece) + 1
    return spans or [(0, "")]


def items_of(line: str, delimiter: str) -> list[str]:
    """The items alone."""
    blanks = " " if delimiter == "\t" else " \t"
    texts = [piece.strip(blanks) for piece in _pieces(line, delimiter)]
    if delimiter == " ":
        texts = [text for text in texts if text]
    return [_unquoted(text) for text in texts]


def _pieces(line: str, delimiter: str) -> list[str]:
    """The line cut at delimiters that are not between double quotes."""
    if '"' not in line:
        return line.split(delimiter)
    pieces, begin, quoted = [], 0, False
    for k, character in enumerate(line):
        if character == '"':
            quoted = not quoted
        elif character == delimiter and not quoted:
            pieces.append(line[begin:k])
            begin = k + 1
    return [*pieces, line[begin:]]


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1].strip() if quoted else text


def read_monolix_file(spec: DataSpec, rows: MonolixRows, folder: Path) -> tuple[MonolixFile, list[Diagnostic]]:
    """The rows of the file.

    Raises:
        DataError: the file is absent or empty, or a line has not as many items as the header.
        SemanticError: the header lacks a column that the project uses.
    """
    _check_header(spec, rows)
    path, notes = _find(spec, folder)
    lines = read_lines(path, spec.path, spec.at)
    first, *numbers = [k for k, line in enumerate(lines, 1) if line.strip()] or [0]
    if not numbers:
        raise DataError(
            f"data file {path} has no line after its header", hint="check the path in [FILEINFO]", location=spec.at
        )
    texts = tuple(lines[k - 1] for k in numbers)
    delimiter = rows.delimiter or _sniffed(path, rows, lines[first - 1], texts)
    items = tuple(
        _fitted(path, rows, number, text, items_of(text, delimiter), delimiter)
        for number, text in zip(numbers, texts, strict=True)
    )
    file = MonolixFile(str(path), delimiter, rows.header, tuple(numbers), texts, items)
    return file, [*notes, *_about_header(file, first, lines[first - 1])]


def _check_header(spec: DataSpec, rows: MonolixRows) -> None:
    for column in rows.columns:
        if column.name not in rows.header:
            raise SemanticError(
                f"[CONTENT] uses the column {column.name}, which `header` does not name",
                hint=f"header has {', '.join(rows.header)}",
                location=column.at or spec.at,
            )
    repeated = [n for n in rows.header if rows.header.count(n) > 1]
    if repeated and any(c.name in repeated for c in rows.columns):
        raise SemanticError(
            f"`header` names {repeated[0]} twice", hint="give every column a name of its own", location=spec.at
        )


def _find(spec: DataSpec, folder: Path) -> tuple[Path, list[Diagnostic]]:
    """The file as the project names it, or one of that name beside the project (projects get moved)."""
    written = spec.path.strip("'\"").replace("\\", "/")
    path = folder / Path(written).expanduser()
    beside = folder / Path(written).name
    if path.exists() or not beside.exists():
        return path, []
    note = Diagnostic(
        code="moved-data-file",
        severity="warning",
        message=f"{path} does not exist; {beside} is read",
        hint="correct the path in [FILEINFO]",
        location=spec.at,
    )
    return beside, [note]


def _sniffed(path: Path, rows: MonolixRows, first: str, texts: tuple[str, ...]) -> str:
    """The delimiter by which all lines have as many items as the header."""
    width = len(rows.header)
    sample = (first, *texts)
    fitting = [d for d in _DELIMITERS if all(len(items_of(text, d)) == width for text in sample)]
    if width == 1 or len(fitting) != 1:
        found = " and ".join(_DELIMITERS[d] for d in fitting) or "none of tab, semicolon, comma and blank"
        raise DataError(
            f"the project names no delimiter, and {found} gives every line the {width} items of the header",
            hint="write delimiter = comma, tab, semicolon or space in [FILEINFO], and give every line all its items",
            location=Location(str(path), 1, 1, 1, first.replace("\t", " ").rstrip()),
        )
    return fitting[0]


def _fitted(path: Path, rows: MonolixRows, number: int, text: str, items: list[str], delimiter: str) -> tuple[str, ...]:
    """As many items as the header; delimiters at the end of a line are no items."""
    width = len(rows.header)
    while len(items) > width and not items[-1]:
        items = items[:-1]
    if len(items) != width:
        raise DataError(
            f"line {number} has {len(items)} items between {_DELIMITERS.get(delimiter, repr(delimiter))}, the header "
            f"{width}",
            hint="write '.' for missing values; check `delimiter` and `header` in [FILEINFO]",
            location=Location(str(path), number, 1, 1, text.replace("\t", " ").rstrip()),
        )
    return tuple(items)


def _about_header(file: MonolixFile, number: int, first: str) -> list[Diagnostic]:
    """The file's own header has a used column at another place."""
    own = [text.lstrip("#").strip() for text in items_of(first, file.delimiter)]
    if sorted(own) != sorted(file.header) or tuple(own) == file.header:
        return []
    k = next(i for i, name in enumerate(own) if name != file.header[i])
    return [
        Diagnostic(
            code="header-order",
            severity="warning",
            message=f"column {k + 1} is {file.header[k]} in the project, but {own[k]} in the first line of the file",
            hint="columns are named by the project's header, in the order of the file: correct one of the two",
            location=Location(file.path, number, 1, 1, first.replace("\t", " ").rstrip()),
        )
    ]
