"""The macros empty and reset: doses that set amounts to 0, or to what they are at the start."""

from __future__ import annotations

from nlmevae.errors import UnsupportedError
from nlmevae.frontends.monolix.structural.structure import Emptying, Structure
from nlmevae.ir import EmptyingDose


def emptying(stated: Structure) -> tuple[EmptyingDose, ...]:
    """Raises:
    UnsupportedError: reset to initial values other than 0, doses that also enter, step functions.
    """
    for macro in stated.resets:
        _check_initial(stated, macro)
    for macro in (*stated.empties, *stated.resets):
        _check_alone(stated, macro)
    return tuple(
        EmptyingDose(administration=m.adm, compartments=m.compartments) for m in (*stated.empties, *stated.resets)
    )


def _check_initial(stated: Structure, macro: Emptying) -> None:
    for number in macro.compartments:
        compartment = stated.structural.compartments[number - 1]
        if compartment.initial is not None:
            raise UnsupportedError(
                f"reset(adm={macro.adm}) sets {compartment.name} to an initial value other than 0: not supported",
                hint="begin a period by event identifier 3 or 4 in the data, which resets the whole system",
                location=macro.at,
            )


def _check_alone(stated: Structure, macro: Emptying) -> None:
    name = "reset" if macro in stated.resets else "empty"
    if any(entry.adm == macro.adm for entry in stated.inputs):
        raise UnsupportedError(
            f"doses of administration {macro.adm} enter the system and {name} empties it at them: which comes first "
            "is not certain",
            hint=f"give {name} an administration of its own, and its doses a time of their own",
            location=macro.at,
        )
    if stated.steps:
        raise UnsupportedError(
            f"the model reads {stated.steps[0]} and has {name}(adm={macro.adm}): whether such a dose counts as the "
            "last one is not certain",
            hint=f"take {stated.steps[0]} out of the model",
            location=macro.at,
        )
