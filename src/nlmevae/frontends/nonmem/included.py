"""INCLUDE and $INCLUDE: the text of other files put in its place, every character with its own place for messages."""

from __future__ import annotations

import re
from pathlib import Path

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.records import Segment, SourceText, decode, line_starts

_INCLUDE = re.compile(
    r"^[ \t]*(?:\$INC(?:L|LU|LUD|LUDE)?|INCLUDE)[ \t]+"
    r"(?P<quote>['\"]?)(?P<file>[^'\"\s;=(]+|(?<=['\"])[^'\"\r\n]+)(?P=quote)"
    r"(?:[ \t]+(?P<copies>\d+))?[ \t]*(?:;[^\r\n]*)?(?=\r|\n|\Z)",
    re.IGNORECASE | re.MULTILINE,
)
#: NONMEM's declarations of its internal variables, which code includes to read them: no text of the model.
_DECLARATIONS = re.compile(
    r"^[ \t]*INCLUDE[ \t]+['\"]?(?:[^'\"\s;=(]*[/\\])?nonmem_reserved_general['\"]?[ \t]*(?=;|\r|\n|\Z)",
    re.IGNORECASE | re.MULTILINE,
)
_DEEPEST = 10
_LONGEST = 2_000_000


def with_included(source: SourceText) -> SourceText:
    """`source` with every INCLUDE replaced by the file it names, relative to the folder of the control stream.

    Raises:
        SemanticError: a file that cannot be read, or that includes itself.
        UnsupportedError: declarations of NONMEM's own other than nonmem_reserved_general.
    """
    if not _INCLUDE.search(source.text):
        return source
    pieces = _pieces(source, Path(source.path).parent, (str(Path(source.path)),))
    text = "".join(piece for _, _, piece in pieces)
    segments, position = [], 0
    for origin, offset, piece in pieces:
        segments.append(Segment(position, origin, offset))
        position += len(piece)
    return SourceText(source.path, text, line_starts(text), tuple(segments))


def _pieces(source: SourceText, folder: Path, open_files: tuple[str, ...]) -> list[tuple[SourceText, int, str]]:
    found, position = [], 0
    for match in _INCLUDE.finditer(source.text):
        if _DECLARATIONS.match(match.group()):
            continue
        found.append((source, position, source.text[position : match.start()]))
        inner = _read(source, match, folder, open_files)
        for _ in range(int(match.group("copies") or 1)):
            found += _pieces(inner, folder, (*open_files, inner.path))
            if found and not found[-1][2].endswith(("\n", "\r")):
                found.append((inner, len(inner.text), "\n"))
        if sum(len(piece) for _, _, piece in found) > _LONGEST:
            raise SemanticError(
                "the included text is too long", hint="include each file once", location=_at(source, match)
            )
        position = match.end()
    found.append((source, position, source.text[position:]))
    return found


def without_declarations(code: str) -> tuple[str, bool]:
    """`code` with every INCLUDE of nonmem_reserved_general blanked, and whether there was one."""
    blanked = _DECLARATIONS.sub(lambda match: " " * len(match.group()), code)
    return blanked, blanked != code


def _read(source: SourceText, match: re.Match, folder: Path, open_files: tuple[str, ...]) -> SourceText:
    name, at = match.group("file").strip(), _at(source, match)
    if re.split(r"[/\\]", name.lower())[-1].startswith("nonmem_reserved"):
        raise UnsupportedError(
            f"INCLUDE {name}: these declarations of NONMEM are not known here",
            hint="write INCLUDE nonmem_reserved_general in the code that needs it, or remove the line and the code "
            "that reads what it declares",
            location=at,
        )
    path = folder / name
    if str(path) in open_files or len(open_files) > _DEEPEST:
        raise SemanticError(f"{name} includes itself", hint="remove the INCLUDE", location=at)
    try:
        text = decode(path.read_bytes())
    except OSError as error:
        raise SemanticError(
            f"the included file {path} cannot be read: {error.strerror or error}",
            hint="put it beside the control stream, or put its text in place of the INCLUDE",
            location=at,
        ) from None
    return SourceText(str(path), text, line_starts(text))


def _at(source: SourceText, match: re.Match) -> Location:
    start = match.start() + len(match.group()) - len(match.group().lstrip())
    return source.location(start, match.end() - start)
