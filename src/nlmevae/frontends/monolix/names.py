"""Mlxtran names in programs: kept where they can be, else another spelling that nothing else has.

Mlxtran is case-sensitive and reserves few names, so a model may call a parameter F, Y or A_1. Programs give these a
meaning (`ir.expression`), and generated code makes one identifier of ``A(1)`` and A_1 (`codegen.names`).
"""

from __future__ import annotations

import re

#: Names of programs, data items and tables with a meaning of their own; `f` is not `F`.
RESERVED = frozenset(
    (
        "T", "F", "Y", "A", "DADT", "THETA", "ETA", "EPS", "ERR", "OMEGA", "SIGMA", "PHI", "MU",
        "ID", "TIME", "DATE", "DAT1", "DAT2", "DAT3", "DV", "AMT", "RATE", "II", "SS", "ADDL", "EVID", "MDV", "CMT",
        "PCMT", "DVID", "CENS", "LIMIT", "YTYPE", "ADM",
        "NEWIND", "ICALL", "IREP", "F_FLAG", "PRED", "RES", "WRES", "L1", "L2",
    )
)  # fmt: skip
#: What `identifier` makes of indexed names: ``A_0(1)`` and A_0_1.
_LIKE_AN_ELEMENT = re.compile(r"(A|DADT|A_0|THETA|ETA|EPS|ERR|OMEGA|SIGMA|MU|Z|Y|F)(_\d+)+\Z")
_PLAIN = re.compile(r"[A-Za-z](\w*[A-Za-z0-9])?\Z", re.ASCII)
_SPELLED = re.compile(r"_mlx[0-9d_]*\Z")


def program_name(name: str) -> str:
    """The name a program has for an Mlxtran name; different names stay different.

    >>> program_name("ka"), program_name("F"), program_name("A_1"), program_name("_x")
    ('ka', 'F_mlx', 'A_1_mlx', 'x_mlx1')
    """
    plain = _PLAIN.match(name) is not None
    if plain and name not in RESERVED and not _LIKE_AN_ELEMENT.match(name) and not _SPELLED.search(name):
        return name
    leading = len(name) - len(name.lstrip("_"))
    trailing = len(name) - len(name.rstrip("_"))
    dots = "".join(f"d{i}" for i, letter in enumerate(name) if letter == ".")
    core = name.strip("_").replace(".", "_").strip("_")
    start = f"{leading}" if leading or trailing else ""
    ends = f"_{trailing}" if trailing else ""
    return f"{core or 'n'}_mlx{start}{ends}{dots}"


def fresh(name: str, taken: set[str]) -> str:
    """`name`, or with the first number that makes it new; it is taken from then on."""
    number, found = 2, name
    while found in taken:
        found = f"{name}_{number}"
        number += 1
    taken.add(found)
    return found
