"""pkmodel(...): the macros it stands for (Mlxtran documentation, pkmodel)."""

from __future__ import annotations

from nlmevae.errors import SemanticError
from nlmevae.frontends.monolix.project import Macro
from nlmevae.frontends.monolix.structural.macros import absorption_kind, elimination_kind
from nlmevae.ir import Number, Symbol

#: Peripheral compartments: their rates and what must be there for them.
_PERIPHERALS = (("k12", "k21"), ("k13", "k31"))


def expand(macro: Macro) -> tuple[Macro, ...]:
    """compartment, absorption or iv, peripheral, elimination and effect, all for adm=1 and the central compartment 1.

    Raises:
        SemanticError: arguments that exclude each other; one or two results are needed, the second with ke0.
    """
    if not 1 <= len(macro.results) <= 2:
        raise SemanticError(
            "pkmodel gives the concentration, and with ke0 that of the effect compartment",
            hint="write Cc = pkmodel(...), or {Cc, Ce} = pkmodel(..., ke0)",
            location=macro.at,
        )
    if (len(macro.results) == 2) != ("ke0" in macro.arguments):
        missing = "a second result, and ke0 is not given" if len(macro.results) == 2 else "ke0 and only one result"
        raise SemanticError(
            f"pkmodel has {missing}", hint="write {Cc, Ce} = pkmodel(..., ke0), or take both out", location=macro.at
        )
    direct = absorption_kind(macro) == "direct"
    if elimination_kind(macro) == "none":
        raise SemanticError("pkmodel has no elimination", hint="add k, or Cl, or Vm and Km", location=macro.at)
    parts = [
        _part(macro, "compartment", "v=volume", concentration=macro.results[0]),
        _part(macro, "iv" if direct else "absorption", "tlag", "p", "tk0", "ka", "ktr", "mtt"),
    ]
    parts += [_part(macro, "peripheral", *rates) for rates in _peripherals(macro)]
    parts.append(_part(macro, "elimination", "k", "cl", "vm", "km"))
    if len(macro.results) == 2:
        parts.append(_part(macro, "effect", "ke0", concentration=macro.results[1]))
    return tuple(parts)


def _part(macro: Macro, name: str, *taken: str, concentration: str | None = None) -> Macro:
    """A macro with those of the arguments `taken` that are there (`v=volume`: under another name)."""
    arguments = {}
    for entry in taken:
        own, _, other = entry.partition("=")
        if own in macro.arguments:
            arguments[other or own] = macro.arguments[own]
    if concentration is not None:
        arguments["concentration"] = Symbol(concentration, at=macro.at)
    if name != "peripheral":
        arguments["cmt"] = Number(1.0)
    return Macro(name=name, arguments=arguments, at=macro.at)


def _peripherals(macro: Macro) -> list[tuple[str, str]]:
    found = []
    for out, back in _PERIPHERALS:
        there = [name for name in (out, back) if name in macro.arguments]
        if len(there) == 1:
            missing = back if there[0] == out else out
            raise SemanticError(
                f"pkmodel has {there[0]} and no {missing}", hint="a peripheral compartment needs both",
                location=macro.at,
            )  # fmt: skip
        if there:
            found.append((out, back))
    if found == [_PERIPHERALS[1]]:
        raise SemanticError(
            "pkmodel has k13 and k31 and no k12 and k21", hint="the first peripheral compartment is number 2",
            location=macro.at,
        )  # fmt: skip
    return found
