"""Which doses enter the system where: inputs of the structure, numbered as the engine numbers them.

The first input of a compartment is the compartment itself; one with another fraction, lag or duration is an input of
its own behind the compartments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nlmevae.frontends.monolix.structural.structure import DoseInput as StatedInput
from nlmevae.frontends.monolix.structural.structure import Structure
from nlmevae.ir import Compartment, DoseInput, DoseRoute, StructuralModel


def routed(stated: Structure) -> tuple[StructuralModel, tuple[DoseRoute, ...]]:
    """The structural model with its inputs, and for every administration the inputs its doses enter."""
    compartments = list(stated.structural.compartments)
    dosed: set[int] = set()
    further: list[DoseInput] = []
    routes: list[DoseRoute] = []
    for entry in (*stated.inputs, *_stops(stated)):
        own = compartments[entry.compartment - 1]
        if entry.compartment not in dosed:
            dosed.add(entry.compartment)
            compartments[entry.compartment - 1] = replace(
                own, bioavailability=entry.fraction, lag=entry.lag, duration=entry.duration
            )
            number = entry.compartment
        else:
            number = _number(entry, own, further, len(compartments))
        routes.append(DoseRoute(administration=entry.adm, input=number, kind=_kind(entry)))
    structural = replace(
        stated.structural,
        compartments=tuple(compartments),
        inputs=tuple(further),
        default_dose=routes[0].input if routes else stated.structural.default_dose,
    )
    return structural, tuple(routes)


def _stops(stated: Structure) -> Iterator[StatedInput]:
    """Doses of nothing, at which integration stops on the way of a dose through transit compartments."""
    for dose in stated.transit:
        for place in dose.places:
            yield StatedInput(
                adm=dose.adm, compartment=dose.compartment, fraction=dose.nothing, lag=place, at=dose.at
            )  # fmt: skip


def _kind(entry: StatedInput):
    if entry.zero_order:
        return "zero_order"
    return "direct" if entry.infusion else "absorption"


def _number(entry: StatedInput, own: Compartment, further: list[DoseInput], n: int) -> int:
    """Of the input with these variables; a new one where there is none."""
    wanted = (entry.fraction, entry.lag, entry.duration)
    if (own.bioavailability, own.lag, own.duration) == wanted:
        return own.number
    for known in further:
        if known.compartment == own.number and (known.bioavailability, known.lag, known.duration) == wanted:
            return known.number
    further.append(
        DoseInput(
            number=n + len(further) + 1,
            compartment=own.number,
            bioavailability=entry.fraction,
            lag=entry.lag,
            duration=entry.duration,
        )
    )
    return further[-1].number
