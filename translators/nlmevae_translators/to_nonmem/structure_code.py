"""$SUBROUTINES, $MODEL and the statements of $PK that PREDPP reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nlmevae.frontends.nonmem.linear_models import LINEAR
from nlmevae.ir import (
    Assign,
    Binary,
    Expression,
    Model,
    Statement,
    StructuralModel,
    Symbol,
    assignments,
    names_assigned,
    names_read,
)
from nlmevae_translators.report import Entry
from nlmevae_translators.to_nonmem.dose_ways import way_statements, ways
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
        trans: of the built-in models.
        called: program variable -> what PREDPP calls it, of the built-in models.
        rates: rate constant as PREDPP calls it -> the program variables whose sum it is; those that $PK assigns.
        dropped: rate constants that PREDPP computes itself from what it is given.
        equations: the right-hand side is written in $DES.
    """

    advan: int | None
    trans: int = 1
    called: Mapping[str, str] = field(default_factory=dict)
    rates: tuple[tuple[str, tuple[str, ...]], ...] = ()
    dropped: frozenset[str] = frozenset()
    equations: bool = False
    digits: int = DIGITS

    @property
    def avoid(self) -> re.Pattern[str] | None:
        return _RATES if self.advan == 5 else None

    @property
    def record(self) -> str:
        tail = f" TOL={self.digits}" if self.equations else f" TRANS{self.trans}"
        return f"$SUBROUTINES ADVAN{self.advan}{tail}"


def structure_of(model: Model) -> Structure:
    """ADVAN1 to 4, 11, 12 where the system is one of them, ADVAN5 where it is linear, else ADVAN13."""
    structural = model.structural
    if not structural.compartments:
        return Structure(advan=None)
    if structural.closed_form is None or any(c.initial for c in structural.compartments):
        return Structure(advan=13, equations=True, digits=_digits(structural))
    for advan, linear in LINEAR.items():
        if structural.closed_form == linear.closed_form and structural.flows == linear.flows:
            return _built_in(model, advan, dict(zip(linear.rates, structural.rate_constants, strict=True)))
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


def _built_in(model: Model, advan: int, rates: Mapping[str, str]) -> Structure:
    """With clearances and volumes (TRANS4, TRANS2) where all rate constants are their quotients, else TRANS1."""
    for trans in (4, 2):
        called = _quotients_of(model, LINEAR[advan].trans.get(trans, ((), ()))[1], rates)
        if called is not None:
            computed = frozenset(rates[rate] for rate, _ in LINEAR[advan].trans[trans][1])
            return Structure(advan=advan, trans=trans, called=called, dropped=computed)
    called = {}
    for name, variable in rates.items():
        called.setdefault(variable, name)
    return Structure(
        advan=advan, called=called, rates=tuple((name, (v,)) for name, v in rates.items() if called[v] != name)
    )


def _quotients_of(model: Model, formulas: Sequence[tuple[str, str]], rates: Mapping[str, str]) -> dict[str, str] | None:
    """Program variable -> its name in the formulas, and of the other rate constants; None where they do not fit."""
    computed = {rates[rate] for rate, _ in formulas}
    called = {variable: name for name, variable in rates.items() if variable not in computed}
    others = [a for a in model.program.pk if names_assigned((a,)).isdisjoint(computed)]
    if (
        not formulas
        or len(computed) < len(formulas)
        or computed & (names_read(others) | names_read(model.program.error))
    ):
        return None
    targets = [a.target for a in assignments(model.program.pk)]
    single = {s.target: s.value for s in model.program.pk if isinstance(s, Assign) and targets.count(s.target) == 1}
    # V = V1 of library models
    alias = {x: y.name for x, y in single.items() if isinstance(y, Symbol) and y.name in single}
    for rate, text in formulas:
        values = [a.value for a in assignments(model.program.pk) if a.target == rates[rate]]
        match values:
            case [Binary("/", Symbol(above), Symbol(below))]:
                pairs = zip(
                    (alias.get(above, above), alias.get(below, below)),
                    re.sub(r"[()]", "", text).split("/"),
                    strict=True,
                )
            case _:
                return None
        for variable, name in pairs:
            if variable not in single or called.setdefault(variable, name) != name:
                return None
    return called if len(set(called.values())) == len(called) else None


def claim_rates(model: Model, structure: Structure, names: StreamNames) -> None:
    """What PREDPP reads is called what PREDPP calls it. A variable of the user with such a name keeps it where it is
    just that, else it gets another."""
    for variable, name in structure.called.items():
        names.claim(variable, name)
    for name, variables in structure.rates:
        own = len(variables) == 1 and _is_called(model, variables[0], name)
        names.claim(variables[0] if own else f"={name}", name)
    for name, variable in _dose_parameters(model):
        if _is_called(model, variable, name):
            names.claim(variable, name)


def _is_called(model: Model, variable: str, name: str) -> bool:
    """The variable can have PREDPP's name: it differs from it by case at most, and no other variable does."""
    assigned = names_assigned(model.program.pk) | names_assigned(model.program.error)
    others = {n.upper() for n in assigned if n != variable}
    return variable.upper() == name and name not in others and "(" not in name


def _repeats_name(model: Model, compartment: int, statement: Statement) -> bool:
    """What a compartment with one way of doses is given has PREDPP's name already."""
    if any(i.compartment == compartment for i in ways(model)):
        return False
    match statement:
        case Assign(target, Symbol(variable)):
            return _is_called(model, variable, target[1:])
    return False


def _dose_parameters(model: Model) -> list[tuple[str, str]]:
    """PREDPP's name and the program variable, of what acts on doses, and of scales; not where doses have several ways
    into a compartment, of which one cannot have the name."""
    found = []
    for c in model.structural.compartments:
        fields = [(f"S{c.number}", c.scale)]
        if not any(i.compartment == c.number for i in ways(model)):
            fields += [
                (f"F{c.number}", c.bioavailability), (f"ALAG{c.number}", c.lag), (f"D{c.number}", c.duration),
                (f"R{c.number}", c.rate),
            ]  # fmt: skip
        found += [(name, variable) for name, variable in fields if variable is not None]
    return found


def structure_statements(model: Model, structure: Structure) -> tuple[Statement, ...]:
    """Rate constants that have no variable of their own, then F, ALAG, D, R and A_0 of the compartments."""
    found: list[Statement] = []
    for name, variables in structure.rates:
        total: Expression = Symbol(variables[0])
        for variable in variables[1:]:
            total = Binary("+", total, Symbol(variable))
        if len(variables) > 1 or not _is_called(model, variables[0], name):
            found.append(Assign(f"={name}", total))
    for c in model.structural.compartments:
        found += [s for s in way_statements(model, c.number) if not _repeats_name(model, c.number, s)]
        own = f"A_0({c.number})"
        fields = ((f"S{c.number}", c.scale), (own, None if c.initial == own else c.initial))
        found += [
            Assign(f"={name}", Symbol(variable))
            for name, variable in fields
            if variable is not None and not _is_called(model, variable, name)
        ]
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
        name = names.fresh(c.name[2:] if c.name.upper().startswith("A_") else c.name)
        lines.append(f"  COMP=({' '.join([name, *options])})")
    return [f"$MODEL NCOMPARTMENTS={len(lines)}", *lines]


def structure_entries(model: Model, structure: Structure) -> tuple[Entry, ...]:
    """What became of the system and of how doses enter it."""
    structural = model.structural
    if structure.advan is None:
        return (Entry(construct="structural model", kind="lossless", reason="a formula: $PRED", source=structural.at),)
    n = len(structural.compartments)
    if structure.equations:
        reason = f"{n} compartments as differential equations: ADVAN13 with $DES"
    else:
        reason = f"{n} compartments with a closed form: ADVAN{structure.advan} TRANS{structure.trans}"
    found = [Entry(construct="structural model", kind="rule", reason=reason, source=structural.at)]
    for c in structural.compartments:
        for what, variable, name in (
            ("p", c.bioavailability, "F"), ("Tlag", c.lag, "ALAG"), ("Tk0 or duration", c.duration, "D"),
        ):  # fmt: skip
            if variable is not None:
                reason = f"{name}{c.number} is assigned in $PK"
                found.append(Entry(construct=f"{what} of {c.name}", kind="rule", reason=reason, source=structural.at))
        if any(i.compartment == c.number for i in ways(model)):
            reason = f"F{c.number}, ALAG{c.number} and D{c.number} are those of the record's WAY, an item of the data"
            construct = f"ways of doses into {c.name}"
            found.append(Entry(construct=construct, kind="rule", reason=reason, source=structural.at))
        if c.initial is not None:
            reason = f"A_0({c.number}) is assigned in $PK"
            found.append(Entry(construct=f"{c.name}_0", kind="rule", reason=reason, source=structural.at))
    return tuple(found)
