"""Names of the project as comments of $THETA and $OMEGA that are read as labels again."""

from __future__ import annotations

from collections.abc import Iterable

from nlmevae.frontends.nonmem.labels import LONGEST_LABEL
from nlmevae_translators.to_nonmem.lines import plain_text

#: Comments end here at the latest: NM-TRAN's lines have at most 160 characters.
_LONGEST_COMMENT = 100


def label_comments(names: Iterable[str]) -> dict[str, str]:
    """Name -> comment. One that is longer than labels are becomes its beginning and its end, with a number where that
    is another's, and stands in full behind it; the same of letters that are not ASCII."""
    names = tuple(dict.fromkeys(names))
    taken = {name.lower() for name in names if _is_label(name)}
    found = {}
    for name in names:
        if _is_label(name):
            found[name] = name
            continue
        label = _short(name, taken)
        taken.add(label.lower())
        found[name] = f"{label} ({plain_text(name)})"[:_LONGEST_COMMENT]
    return found


def _is_label(name: str) -> bool:
    return len(name) <= LONGEST_LABEL and name.isascii()


def _short(name: str, taken: set[str]) -> str:
    plain = plain_text(name).replace("?", "_")
    number = 1
    while True:
        ending = "" if number == 1 else f"_{number}"
        room = LONGEST_LABEL - len(ending)
        head = room - room // 2 - 1
        whole = plain if len(plain) <= room else f"{plain[:head]}_{plain[len(plain) - (room // 2) :]}"
        label = whole + ending
        if label.lower() not in taken:
            return label
        number += 1
