"""What to write instead of a name that is not known."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

_LONGEST_LIST = 30


def suggestion(name: str, known: Sequence[str], what: str) -> str:
    """``did you mean WT? the data items are WT, SEX``; without a near match only the list.

    Args:
        what: of what the list is one, ``the data items are``.
    """
    shown = ", ".join(known[:_LONGEST_LIST]) + (", ..." if len(known) > _LONGEST_LIST else "")
    listed = f"{what} {shown}" if known else ""
    near = near_match(name, known)
    return " ".join(part for part in (f"did you mean {near}?" if near else "", listed) if part)


def near_match(name: str, known: Sequence[str]) -> str | None:
    """The known name most like `name`, whatever the case; also one that begins with it (``exp``)."""
    by_upper = {k.upper(): k for k in known}
    found = get_close_matches(name.upper(), by_upper, n=1)
    if found:
        return by_upper[found[0]]
    begins = [k for upper, k in by_upper.items() if len(name) >= 2 and upper.startswith(name.upper())]
    return begins[0] if len(begins) == 1 else None
