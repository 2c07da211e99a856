"""Messages in the names of a Monolix project, whose elements are THETA(n), OMEGA(n,m) and so on inside."""

from __future__ import annotations

import re
from collections.abc import Mapping

_ELEMENT = re.compile(r"(?:THETA|ETA|OMEGA|SIGMA)\([\d,]+\)(?: \([^()]*\))?")
#: Remarks for users of the other program.
_ASIDE = re.compile(r" \(NONMEM[^()]*\)")


def in_own_names(text: str, shown: Mapping[str, str]) -> str:
    """With the project's names of elements; a label in brackets behind one is then left out.

    >>> in_own_names("OMEGA(2,2) (omega_V) and THETA(1)", {"OMEGA(2,2)": "omega_V", "THETA(1)": "ka_pop"})
    'omega_V and ka_pop'
    """

    def named(match: re.Match[str]) -> str:
        element = match[0].partition(" ")[0]
        return shown.get(element, match[0])

    return _ELEMENT.sub(named, _ASIDE.sub("", text))
