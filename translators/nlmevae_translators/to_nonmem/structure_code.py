"""$SUBROUTINES, $MODEL and the statements of $PK that PREDPP reads."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nlmevae.frontends.nonmem.linear_models import LINEAR
from nlmevae.ir import Assign, Binary, Expression, Model, Statement, StructuralModel, Symbol
from nlmevae_translators.report import Entry
from nlmevae_translators.to_nonmem.stream_names import StreamNames

#: Digits of the integrator where the project asks for no tolerance; Monolix' own is 1e-6 or 1e-9.
DIGITS = 9
#: Names that ADVAN5 reads as rate constants.
_RATES = re.compile(r"K\d+(T\d+)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """How the stream states the structural model.

    Attributes:
        advan: None for a model without compartments ($PRED).
        rates: rate constant as PREDPP calls it -> the program variables whose sum it is.
        equations: the right-hand side is written in $DES.
    """

    advan: int | None
    rates: tuple[tuple[str, tuple[str, ...]], ...] = ()
    equations: bool = False
    digits: int = DIGITS

    @property
    def avoid(self) -> re.Pattern[str] | None:
        return _RATES if self.advan == 5 else None

    @property
    def record(self) -> str:
        tail = f" TOL={self.digits}" if self.equations else " TRANS1"
        return f"$SUBROUTINES ADVAN{self.advan}{tail}"


def structure_of(structural: StructuralModel) -> Structure:
    """ADVAN1 to 4, 11, 12 where the system is one of them, ADVAN5 where it is linear, else ADVAN13."""
    if not structural.compartments:
        return Structure(advan=None)
    if structural.closed_form is None or any(c.initial for c in structural.compartments):
        return Structure(advan=13, equations=True, digits=_digits(structural))
    for advan, linear in LINEAR.items():
        if structural.closed_form == linear.closed_form and structural.flows == linear.flows:
            named = zip(linear.rates, structural.rate_constants, strict=True)
            return Structure(advan=advan, rates=tuple((name, (rate,)) for name, rate in named))
    n = len(structural.compartments)
    between = "T" if n > 8 else ""  # K121 may be 1 to 21 or 12 to 1
    rates: dict[str, tuple[str, ...]] = {}
    for (source, to), rate in zip(structural.flows, structural.rate_constants, strict=True):
        name = f"K{source}{between}{to}"
        rates[name] = (*rates.get(name, ()), rate)
    return Structure(advan=5, rates=tuple(rates.items()))


def _digits(structural: StructuralModel) -> int:
    if structural.rtol is None:
        return DIGITS
    return next((k for k in range(1, 16) if 10.0**-k <= structural.rtol * (1.0 + 1e-9)), DIGITS)


def claim_rates(structure: Structure, names: StreamNames) -> None:
    """Rate constants of the built-in models are called what PREDPP calls them; ADVAN5's names say nothing."""
    for name, variables in structure.rates:
        if structure.advan != 5 and variables[0] not in names.given:
            names.claim(variables[0], name)
        else:
            names.claim(f"={name}", name)


def structure_statements(model: Model, structure: Structure, names: StreamNames) -> tuple[Statement, ...]:
    """Rate constants that have no variable of their own, then F, ALAG, D, R and A_0 of the compartments."""
    found: list[Statement] = []
    for name, variables in structure.rates:
        if structure.advan == 5 or names.given[variables[0]] != name:
            total: Expression = Symbol(variables[0])
            for variable in variables[1:]:
                total = Binary("+", total, Symbol(variable))
            found.append(Assign(f"={name}", total))
    for c in model.structural.compartments:
        fields = (
            (f"F{c.number}", c.bioavailability), (f"ALAG{c.number}", c.lag), (f"D{c.number}", c.duration),
            (f"R{c.number}", c.rate), (f"S{c.number}", c.scale), (f"A_0({c.number})", c.initial),
        )  # fmt: skip
        found += [Assign(f"={name}", Symbol(variable)) for name, variable in fields if variable not in (None, name)]
    return tuple(found)


def model_record(model: Model, structure: Structure) -> list[str]:
    """$MODEL of ADVAN5 and ADVAN13."""
    if structure.advan not in (5, 13):
        return []
    names = StreamNames({})
    lines = []
    for c in model.structural.compartments:
        options = [
            word
            for word, number in (
                ("DEFDOSE", model.structural.default_dose),
                ("DEFOBS", model.structural.default_observation),
            )
            if number == c.number
        ]
        name = names.fresh(c.name)
        lines.append(f"  COMP=({' '.join([name, *options])})")
    return [f"$MODEL NCOMPARTMENTS={len(lines)}", *lines]


def structure_entries(model: Model, structure: Structure) -> tuple[Entry, ...]:
    """What became of the system and of how doses enter it."""
    structural = model.structural
    if structure.advan is None:
        return (Entry(construct="structural model", kind="lossless", reason="a formula: $PRED"),)
    n = len(structural.compartments)
    if structure.equations:
        reason = f"{n} compartments as differential equations: ADVAN13 with $DES"
    else:
        reason = f"{n} compartments with a closed form: ADVAN{structure.advan} TRANS1, rate constants computed in $PK"
    found = [Entry(construct="structural model", kind="rule", reason=reason)]
    for c in structural.compartments:
        for what, variable, name in (
            ("p", c.bioavailability, "F"), ("Tlag", c.lag, "ALAG"), ("Tk0 or duration", c.duration, "D"),
        ):  # fmt: skip
            if variable is not None:
                found.append(
                    Entry(construct=f"{what} of {c.name}", kind="rule", reason=f"{name}{c.number} is assigned in $PK")
                )
        if c.initial is not None:
            found.append(Entry(construct=f"{c.name}_0", kind="rule", reason=f"A_0({c.number}) is assigned in $PK"))
    return tuple(found)
