"""Which linear systems are one of the closed forms, and the order of compartments and rates these have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nlmevae.frontends.monolix.structural.system import State
from nlmevae.ir import ClosedForm

_NAMES: dict[tuple[int, int], ClosedForm] = {
    (0, 0): "one", (1, 0): "one_absorption", (0, 1): "two", (1, 1): "two_absorption", (0, 2): "three",
    (1, 2): "three_absorption",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NamedFlow:
    """The variable `rate` moves what is in `source` to the state `to` (None: out of the system)."""

    rate: str
    source: str
    to: str | None


@dataclass(frozen=True, slots=True)
class LinearForm:
    """Flows in the order of `StructuralModel.rate_constants`; `central`: the state that is observed."""

    name: ClosedForm | Literal["linear"]
    flows: tuple[NamedFlow, ...]
    central: str


def linear_form(states: Sequence[State], flows: Sequence[NamedFlow]) -> LinearForm:
    """The closed form of a system that has nothing but flows, at most one between two states.

    A depot that empties into a central compartment with an elimination and up to two peripheral compartments is one of
    the named forms (ADVAN1 to ADVAN4, ADVAN11, ADVAN12 of NONMEM); all else is "linear".
    """
    depots = [s.name for s in states if s.depot]
    central = next((s.name for s in states if not s.depot), states[0].name)
    peripherals = [s.name for s in states if not s.depot and s.name != central]
    pairs = {(flow.source, flow.to): flow for flow in flows}
    wanted: list[tuple[str, str | None]] = [(depot, central) for depot in depots]
    wanted.append((central, None))
    for peripheral in peripherals:
        wanted += [(central, peripheral), (peripheral, central)]
    name = _NAMES.get((len(depots), len(peripherals)))
    if name is None or set(wanted) != set(pairs):
        return LinearForm("linear", tuple(flows), central)
    return LinearForm(name, tuple(pairs[pair] for pair in wanted), central)
