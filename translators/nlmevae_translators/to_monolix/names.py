"""Names in the written files: the user's own where Mlxtran allows them, never one twice."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_PLAIN = re.compile(r"[A-Za-z](\w*[A-Za-z0-9])?\Z", re.ASCII)
#: Names with a meaning in Mlxtran, in small letters.
_RESERVED = frozenset(
    [
        "t",
        "t0",
        "t_0",
        "tdose",
        "amtdose",
        "inftdose",
        "odetype",
        "output",
        "table",
        "input",
        "pkmodel",
        "compartment",
        "peripheral",
        "elimination",
        "absorption",
        "oral",
        "iv",
        "depot",
        "effect",
        "transfer",
        "empty",
        "reset",
        "delay",
        "bsmm",
        "wsmm",
        "abs",
        "sqrt",
        "exp",
        "log",
        "log10",
        "logit",
        "invlogit",
        "probit",
        "norminv",
        "qnorm",
        "normcdf",
        "pnorm",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "tanh",
        "gammaln",
        "lgamma",
        "floor",
        "ceil",
        "factorial",
        "factln",
        "rem",
        "atan2",
        "min",
        "max",
        "if",
        "else",
        "elseif",
        "end",
        "id",
        "time",
        "y",
        "dv",
        "evid",
        "mdv",
        "adm",
        "ytype",
        "cens",
        "limit",
        "ss",
        "ii",
        "addl",
        "rate",
        "amt",
    ]
)


def is_plain(name: str) -> bool:
    """It can be a name of Mlxtran."""
    return _PLAIN.match(name) is not None


@dataclass(slots=True)
class Names:
    """Names that are taken, compared without case: readers of both languages tell them apart."""

    taken: set[str] = field(default_factory=set)

    def fresh(self, wanted: str, *, in_code: bool = True) -> str:
        """`wanted`, spelled so that it can be a name, with a number where it is taken. `in_code`: the model file has
        it, where x_0 is the initial value of x."""
        plain = re.sub(r"\W+", "_", wanted, flags=re.ASCII).strip("_") or "x"
        if not plain[0].isalpha():
            plain = f"x{plain}"
        if in_code and (plain.startswith("ddt_") or plain.endswith("_0")):
            plain = f"{plain}v"
        found, number = plain, 2
        while found.lower() in self.taken or found.lower() in _RESERVED:
            found = f"{plain}_{number}" if plain[-1].isdigit() else f"{plain}{number}"
            number += 1
        self.taken.add(found.lower())
        return found
