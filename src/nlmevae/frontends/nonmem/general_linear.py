"""ADVAN5 and ADVAN7: which variables of $PK are rate constants between which compartments."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.ir import Statement, assignments

_RATE = re.compile(r"K(\d+)(?:T(\d+))?\Z")


@dataclass(frozen=True, slots=True)
class Flow:
    """The variable `rate` moves drug from one compartment to another; `to` 0 is the output compartment."""

    rate: str
    source: int
    to: int


def rate_flows(pk: tuple[Statement, ...], n: int, at: Location) -> tuple[Flow, ...]:
    """Flows between the `n` compartments in the order in which $PK assigns their rate constants.

    Kij and KiTj go from i to j; j = 0 and j = n + 1 are the output compartment (NONMEM help, ADVAN5 ADVAN7).

    Raises:
        SemanticError: no rate constant, two for one pair, one from a compartment to itself.
        UnsupportedError: a name that can be read in two ways.
    """
    flows: dict[str, Flow] = {}
    for statement in assignments(pk):
        if statement.target in flows:
            continue
        flow = _flow(statement.target, n, statement.at)
        if flow is None:
            continue
        _check(flow, flows.values(), statement.at)
        flows[flow.rate] = flow
    if not flows:
        raise SemanticError(
            "$PK assigns no rate constant",
            hint="assign KiTj for every flow from compartment i to j, and KiT0 for elimination: K12 = ..., K20 = ...",
            location=at,
        )
    return tuple(flows.values())


def _flow(name: str, n: int, at: Location | None) -> Flow | None:
    """None where the name is none of a rate constant of this model."""
    match = _RATE.match(name)
    if match is None:
        return None
    first, second = match.groups()
    pairs = [(first, second)] if second else [(first[:k], first[k:]) for k in range(1, len(first))]
    found = [Flow(name, int(i), int(j) % (n + 1)) for i, j in pairs if _legal(i, j, n)]
    if len(found) > 1:
        ways = " or ".join(f"K{i}T{j}" for i, j in pairs if _legal(i, j, n))
        raise UnsupportedError(f"{name} can be read in two ways", hint=f"write {ways}", location=at)
    return found[0] if found else None


def _legal(source: str, to: str, n: int) -> bool:
    plain = str(int(source)) == source and str(int(to)) == to  # no leading zeros
    return plain and 1 <= int(source) <= n and 0 <= int(to) <= n + 1


def _check(flow: Flow, earlier: Iterable[Flow], at: Location | None) -> None:
    if flow.source == flow.to:
        raise SemanticError(
            f"{flow.rate} is a flow of compartment {flow.source} into itself",
            hint="a rate constant leads from one compartment to another; give a variable that is none another name",
            location=at,
        )
    for other in earlier:
        if (other.source, other.to) == (flow.source, flow.to):
            raise SemanticError(
                f"{other.rate} and {flow.rate} are the same rate constant", hint="assign one of them", location=at
            )
