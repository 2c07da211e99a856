"""Names NM-TRAN accepts: upper case, at most 20 characters, none that has a meaning of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from nlmevae.frontends.monolix.names import RESERVED
from nlmevae.frontends.nonmem.reserved import FUNCTION_NAMES, INTERNAL_NAMES, UNSUPPORTED_ELEMENTS, UNSUPPORTED_NAMES

LONGEST = 20
#: Also columns of tables, Fortran words of abbreviated code, and what PREDPP reads.
_TAKEN = """
    IF THEN ELSE ELSEIF ENDIF DO ENDDO WHILE CALL EXIT RETURN COMACT MTIME MPAST MTDIFF DEN_ YLO F_FLAG LIREC NDREC
    IPRED W CENS DVID MU SC S0 SO F0 FO TAD EVID NPRED PREDI NRES NWRES RESI WRESI CPRED CPREDI CRES CRESI CWRES CWRESI
    EPRED ERES EWRES NPDE NPD IPREDI IRES IWRES CIPREDI CIRES CIWRES CIPRED ETAS LAST FIRST ALL DROP SKIP ALPHA_ NONE
"""
_INDEXED = re.compile(r"(S|F|R|D|ALAG|A|P|E|G|DA|DP|HH|ETA|THETA|EPS|ERR|MU_\w*|XVID|DADT|A_0|L|COM|DAT)\d*\Z")


def is_reserved(name: str) -> bool:
    known = RESERVED | INTERNAL_NAMES | UNSUPPORTED_NAMES.keys() | UNSUPPORTED_ELEMENTS.keys() | FUNCTION_NAMES.keys()
    return name in known or name in _TAKEN.split() or _INDEXED.match(name) is not None


class StreamNames:
    """Gives every name of the programs one of the stream; what is given is never given again.

    Args:
        shown: name in programs -> the project's own, where they differ.
        avoid: further names that would have a meaning.
    """

    def __init__(self, shown: Mapping[str, str], avoid: re.Pattern[str] | None = None) -> None:
        self._shown = shown
        self._avoid = avoid
        self._taken: set[str] = set()
        self._items: dict[str, str] = {}
        self.given: dict[str, str] = {}

    def claim(self, name: str, spelled: str) -> None:
        """`name` is `spelled` in the stream, reserved or not."""
        self.given[name] = spelled
        self._taken.add(spelled)

    def give(self, names: Iterable[str]) -> None:
        """All of `names`, in order."""
        for name in names:
            if name not in self.given:
                self.given[name] = self.fresh(self._own(name))

    def _own(self, name: str) -> str:
        """The project's name; programs have an ending where it means something to them."""
        return self._shown.get(name, name.removesuffix("_mlx"))

    def fresh(self, wanted: str) -> str:
        """A new name like `wanted`."""
        plain = re.sub(r"[^A-Z0-9_]", "_", wanted.upper()).strip("_") or "X"
        # what begins with MU_ stays reserved whatever its ending
        plain = plain if plain[0].isalpha() and not plain.startswith("MU_") else f"X{plain}"
        base = plain[:LONGEST].rstrip("_")
        found, number = base, 1
        while found in self._taken or is_reserved(found) or (self._avoid and self._avoid.match(found)):
            number += 1
            ending = "X" if number == 2 else f"X{number}"
            found = base[: LONGEST - len(ending)] + ending
        self._taken.add(found)
        return found

    def claim_items(self, items: Mapping[str, str]) -> None:
        """The same of several data items; they are the engine's, not the project's, and so not renamed."""
        self._items = dict(items)
        for name, spelled in items.items():
            self.claim(name, spelled)

    def renamed(self) -> dict[str, str]:
        """The project's name -> that of the stream, where more than the case of letters differs."""
        own = {
            self._own(name): spelled
            for name, spelled in self.given.items()
            if name not in self._items and not name.startswith(("=", "IPRED(", "W("))
        }
        return {name: spelled for name, spelled in own.items() if name.upper() != spelled}
