"""The macros of PK: which arguments each takes, and what they may be (Mlxtran documentation, PK macros)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from nlmevae.errors import SemanticError
from nlmevae.frontends.monolix.project import Macro
from nlmevae.ir import Expression, Number, Symbol

#: Macro -> its arguments, spelled as in the documentation. `type` is another name of adm. Peripheral has its rates
#: besides, see `exchange`.
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "compartment": ("cmt", "amount", "volume", "concentration"),
    "peripheral": ("amount", "volume", "concentration"),
    "elimination": ("cmt", "V", "k", "Cl", "Vm", "Km"),
    "absorption": ("adm", "type", "cmt", "Tlag", "p", "Tk0", "ka", "Ktr", "Mtt"),
    "oral": ("adm", "type", "cmt", "Tlag", "p", "Tk0", "ka", "Ktr", "Mtt"),
    "iv": ("adm", "type", "cmt", "Tlag", "p"),
    "depot": ("adm", "type", "target", "Tlag", "p", "Tk0", "ka", "Ktr", "Mtt"),
    "effect": ("cmt", "ke0", "concentration"),
    "transfer": ("from", "to", "kt"),
    "empty": ("adm", "type", "target"),
    "reset": ("adm", "type", "target"),
    "pkmodel": (
        "V", "Tlag", "p", "Tk0", "ka", "Ktr", "Mtt", "k", "Cl", "Vm", "Km", "k12", "k21", "k13", "k31", "ke0",
    ),
}  # fmt: skip
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "depot": ("target",),
    "effect": ("ke0", "concentration"),
    "transfer": ("kt",),
    "empty": ("target",),
    "reset": ("target",),
    "pkmodel": ("V",),
}
_RATE = re.compile(r"k(?:(\d)(\d)|_?(\d+)_(\d+))\Z")

Absorption = Literal["direct", "zero_order", "first_order", "transit"]
Elimination = Literal["none", "rate", "clearance", "michaelis_menten"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """peripheral(kij, kji): the rates between compartment i, which exists, and j, which the macro makes."""

    i: int
    j: int
    out: Expression
    back: Expression


def check_arguments(macro: Macro) -> None:
    """Raises:
    SemanticError: no such macro, an argument it does not take, one it needs is missing, results where it has none.
    """
    if macro.name not in ARGUMENTS:
        raise SemanticError(
            f"there is no macro {macro.name}", hint=f"the macros are {', '.join(ARGUMENTS)}", location=macro.at
        )
    known = {name.lower(): name for name in ARGUMENTS[macro.name]}
    for name in macro.arguments:
        if name not in known and not (macro.name == "peripheral" and _RATE.match(name)):
            raise SemanticError(
                f"{macro.name} takes no argument {name}", hint=f"it takes {_spelled(macro.name)}", location=macro.at
            )
    for name in _REQUIRED.get(macro.name, ()):
        if name.lower() not in macro.arguments:
            raise SemanticError(
                f"{macro.name} needs {name}", hint=f"it takes {_spelled(macro.name)}", location=macro.at
            )
    if "adm" in macro.arguments and "type" in macro.arguments:
        raise SemanticError(
            f"{macro.name} has both adm and type, which are the same", hint="keep one of them", location=macro.at
        )
    if macro.results and macro.name != "pkmodel":
        raise SemanticError(
            f"{macro.name} has no result to assign to {macro.results[0]}",
            hint="write the macro alone; compartment(..., concentration=Cc) names the concentration",
            location=macro.at,
        )


def _spelled(name: str) -> str:
    rates = ("k12", "k21 (or other compartments' numbers)") if name == "peripheral" else ()
    return ", ".join((*rates, *ARGUMENTS[name]))


def whole_number(macro: Macro, *names: str, default: int = 1) -> int:
    """The argument of the first of `names` that is there.

    Raises:
        SemanticError: not a whole number from 1.
    """
    for name in names:
        value = macro.arguments.get(name)
        if value is None:
            continue
        if isinstance(value, Number) and float(value.value).is_integer() and value.value >= 1:
            return int(value.value)
        raise SemanticError(
            f"{name} of {macro.name} must be a whole number from 1", hint=f"write {name}=1", location=macro.at
        )
    return default


def variable(macro: Macro, name: str) -> str | None:
    """The argument that names a variable; None where it is absent.

    Raises:
        SemanticError: something else than a name.
    """
    value = macro.arguments.get(name)
    if value is None or isinstance(value, Symbol):
        return None if value is None else value.name
    raise SemanticError(
        f"{name} of {macro.name} must be the name of a variable",
        hint=f"write {name}=Ac, for example",
        location=macro.at,
    )


def absorption_kind(macro: Macro) -> Absorption:
    """How doses arrive, from which of Tk0, ka, Ktr and Mtt are there.

    Raises:
        SemanticError: a combination that means nothing.
    """
    given = [spelled for spelled in ("Tk0", "ka", "Ktr", "Mtt") if spelled.lower() in macro.arguments]
    if "Tk0" in given and len(given) > 1:
        raise SemanticError(
            f"{macro.name} has Tk0, a zero-order absorption, and {_listed(given[1:])}",
            hint="keep Tk0, or ka with or without Ktr and Mtt; two absorptions are two macros",
            location=macro.at,
        )
    if ("Ktr" in given) != ("Mtt" in given):
        there, missing = ("Ktr", "Mtt") if "Ktr" in given else ("Mtt", "Ktr")
        raise SemanticError(
            f"{macro.name} has {there} and no {missing}", hint="transit compartments need both", location=macro.at
        )
    if "Ktr" in given and "ka" not in given:
        raise SemanticError(
            f"{macro.name} has Ktr and Mtt and no ka", hint="transit compartments lead to a depot, give its ka",
            location=macro.at,
        )  # fmt: skip
    if not given:
        return "direct"
    return "zero_order" if "Tk0" in given else ("transit" if "Ktr" in given else "first_order")


def elimination_kind(macro: Macro) -> Elimination:
    """How a compartment is emptied, from which of k, Cl, Vm and Km are there.

    Raises:
        SemanticError: a combination that means nothing.
    """
    given = [spelled for spelled in ("k", "Cl", "Vm", "Km") if spelled.lower() in macro.arguments]
    saturable = {"Vm", "Km"}.intersection(given)
    if len(given) - len(saturable) + bool(saturable) > 1:
        raise SemanticError(
            f"{macro.name} has {_listed(given)}, more than one elimination",
            hint="keep k, or Cl, or Vm and Km; several eliminations are several elimination macros",
            location=macro.at,
        )
    if len(saturable) == 1:
        (there,) = saturable
        missing = "Km" if there == "Vm" else "Vm"
        raise SemanticError(
            f"{macro.name} has {there} and no {missing}", hint="Michaelis-Menten elimination needs both",
            location=macro.at,
        )  # fmt: skip
    if not given:
        return "none"
    return "michaelis_menten" if saturable else ("rate" if given == ["k"] else "clearance")


def exchange(macro: Macro) -> Exchange:
    """The two rates of a peripheral macro; the lower number is i unless the first is written k21, k12.

    Raises:
        SemanticError: not two rates, there and back.
    """
    rates = [(match, macro.arguments[name]) for name in macro.arguments if (match := _RATE.match(name))]
    pairs = [tuple(int(n) for n in match.groups() if n is not None) for match, _ in rates]
    if len(pairs) != 2 or pairs[0] != pairs[1][::-1] or pairs[0][0] == pairs[0][1] or 0 in pairs[0]:
        raise SemanticError(
            "peripheral needs two rates, from one compartment to another and back",
            hint="write peripheral(k12, k21), or k1_12 and k12_1 for numbers from 10",
            location=macro.at,
        )
    (i, j), (out, back) = pairs[0], (value for _, value in rates)
    return Exchange(i, j, out, back)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
