"""$PK with CALLFL=1: evaluated with the first record of each individual and with no other.

Help for CALLFL and for CALLING PROTOCOL PHRASE. What $PK then reads of the data is what stands on that record:
``CL = THETA(1)*WT`` becomes ``IF (NEWIND.NE.2) first WT = WT``, ``CL = THETA(1)*first WT``.
"""

from __future__ import annotations

from nlmevae.errors import Location, UnsupportedError
from nlmevae.frontends.nonmem.carried_values import COUNTERS, NEWIND
from nlmevae.frontends.nonmem.element_lists import with_names
from nlmevae.ir import Assign, Compare, If, Number, Statement, Symbol, names_assigned, names_read

#: What the value of a data item on the first record is called.
FIRST = "first "


def of_first_records(pk: tuple[Statement, ...], data_items: frozenset[str], at: Location) -> tuple[Statement, ...]:
    """`pk` with the data items of the first record of each individual.

    Raises:
        UnsupportedError: initial amounts, which a reset would need again.
    """
    if any(name.startswith("A_0(") for name in names_assigned(pk)):
        raise UnsupportedError(
            "A_0(n) in $PK that is evaluated once per individual is not supported",
            hint="remove CALLFL=1: $PK is then evaluated at every record",
            location=at,
        )
    read = sorted(names_read(pk) & (data_items | COUNTERS))
    if not read:
        return pk
    kept = tuple(Assign(FIRST + name, Symbol(name, at=at), at=at) for name in read)
    start = If(((Compare("!=", Symbol(NEWIND), Number(2.0)), kept),), at=at)
    return (start, *_renamed(pk, {name: FIRST + name for name in read}))


def _renamed(statements: tuple[Statement, ...], names: dict[str, str]) -> tuple[Statement, ...]:
    found: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Assign):
            found.append(Assign(statement.target, with_names(statement.value, names), at=statement.at))
            continue
        arms = tuple((with_names(condition, names), _renamed(body, names)) for condition, body in statement.arms)
        found.append(If(arms, _renamed(statement.orelse, names), at=statement.at))
    return tuple(found)
