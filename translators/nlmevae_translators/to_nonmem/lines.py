"""Lines of the stream with the report entries whose targets they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from nlmevae_translators.report import Entry


@dataclass(frozen=True, slots=True)
class Line:
    """`entries`: of the constructs this line states."""

    text: str
    entries: tuple[Entry, ...] = ()


def plain(texts: Iterable[str]) -> list[Line]:
    return [Line(text) for text in texts]


def stating(texts: Sequence[str], *entries: Entry) -> list[Line]:
    """Lines whose first states the constructs."""
    return [Line(text, entries if k == 0 else ()) for k, text in enumerate(texts)]


def attached(lines: Sequence[Line], entries: Iterable[tuple[str, Entry]]) -> list[Line]:
    """The lines, with every entry at the first assignment to its variable (of several with one name at the next)."""
    found = list(lines)
    taken: set[int] = set()
    for name, entry in entries:
        places = [k for k, line in enumerate(found) if line.text.strip().startswith(f"{name} = ")]
        place = next((k for k in places if k not in taken), places[0] if places else 0)
        taken.add(place)
        found[place] = Line(found[place].text, (*found[place].entries, entry))
    return found


def placed(lines: Sequence[Line], file: str) -> tuple[str, tuple[Entry, ...]]:
    """The text, and the entries with their places in `file`."""
    entries = tuple(
        replace(entry, target=f"{file}:{number}") for number, line in enumerate(lines, 1) for entry in line.entries
    )
    return "\n".join(line.text for line in lines) + "\n", entries


def plain_text(text: str) -> str:
    """NONMEM reads ASCII."""
    return text.encode("ascii", "replace").decode()
