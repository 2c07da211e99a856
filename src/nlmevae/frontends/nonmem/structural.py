"""Compartments, dosing parameters, and the equations of the linear models.

For ADVAN1-4 two equivalent forms are made: the closed form's rate constants, assigned at the end of
$PK, and the same model as differential equations.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.subroutines import DES_ADVANS, DeclaredCompartment, Subroutines
from nlmevae.ir import (
    Assign,
    Binary,
    Compartment,
    Diagnostic,
    Expression,
    Negate,
    Program,
    Statement,
    StructuralModel,
    Symbol,
    assignments,
    names_assigned,
    names_read,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Linear:
    """A linear model: compartment names, rate constants in `StructuralModel.rate_constants` order,
    flows (rate constant, from, to; to 0 is elimination), and for each TRANS the variables $PK must
    assign with the quotients (rate constant, numerator, denominator) computed from them."""

    closed_form: str
    compartments: tuple[str, ...]
    observed: int
    rates: tuple[str, ...]
    flows: tuple[tuple[str, int, int], ...]
    trans: dict[int, tuple[tuple[str, ...], tuple[tuple[str, str, str], ...]]]


#: NONMEM Users Guide VI, chapter VII: ADVAN1 to ADVAN4 and their TRANS.
LINEAR: dict[int, _Linear] = {
    1: _Linear(
        closed_form="one",
        compartments=("CENTRAL",),
        observed=1,
        rates=("K",),
        flows=(("K", 1, 0),),
        trans={1: (("K",), ()), 2: (("CL", "V"), (("K", "CL", "V"),))},
    ),
    2: _Linear(
        closed_form="one_absorption",
        compartments=("DEPOT", "CENTRAL"),
        observed=2,
        rates=("KA", "K"),
        flows=(("KA", 1, 2), ("K", 2, 0)),
        trans={1: (("KA", "K"), ()), 2: (("KA", "CL", "V"), (("K", "CL", "V"),))},
    ),
    3: _Linear(
        closed_form="two",
        compartments=("CENTRAL", "PERIPHERAL"),
        observed=1,
        rates=("K", "K12", "K21"),
        flows=(("K", 1, 0), ("K12", 1, 2), ("K21", 2, 1)),
        trans={
            1: (("K", "K12", "K21"), ()),
            3: (("CL", "V", "Q", "VSS"), (("K", "CL", "V"), ("K12", "Q", "V"), ("K21", "Q", "VSS-V"))),
            4: (("CL", "V1", "Q", "V2"), (("K", "CL", "V1"), ("K12", "Q", "V1"), ("K21", "Q", "V2"))),
        },
    ),
    4: _Linear(
        closed_form="two_absorption",
        compartments=("DEPOT", "CENTRAL", "PERIPHERAL"),
        observed=2,
        rates=("KA", "K", "K23", "K32"),
        flows=(("KA", 1, 2), ("K", 2, 0), ("K23", 2, 3), ("K32", 3, 2)),
        trans={
            1: (("KA", "K", "K23", "K32"), ()),
            3: (("KA", "CL", "V", "Q", "VSS"), (("K", "CL", "V"), ("K23", "Q", "V"), ("K32", "Q", "VSS-V"))),
            4: (("KA", "CL", "V2", "Q", "V3"), (("K", "CL", "V2"), ("K23", "Q", "V2"), ("K32", "Q", "V3"))),
        },
    ),
}

_DOSING = re.compile(r"(S|F|ALAG|D|R)(\d+)\Z")
_FIELDS = {"S": "scale", "F": "bioavailability", "ALAG": "lag", "D": "duration", "R": "rate"}


def n_compartments(subroutines: Subroutines, declared: tuple[DeclaredCompartment, ...]) -> int:
    """Number of compartments, the output compartment not counted."""
    return len(declared) if subroutines.advan in DES_ADVANS else len(LINEAR[subroutines.advan].compartments)


def linear_model(
    subroutines: Subroutines, program: Program, *, modelled_rate: bool
) -> tuple[StructuralModel, Program, list[Diagnostic]]:
    """Structure of an ADVAN1-4 model and its program with rate constants and equations added.

    Raises:
        UnsupportedError: a TRANS that is not translated.
        SemanticError: $PK does not assign what the TRANS needs.
    """
    linear = LINEAR[subroutines.advan]
    if subroutines.trans not in linear.trans:
        raise _no_trans(subroutines, linear)
    needed, quotients = linear.trans[subroutines.trans]
    assigned = names_assigned(program.pk)
    for name in needed:
        if name not in assigned:
            raise SemanticError(
                f"ADVAN{subroutines.advan} TRANS{subroutines.trans} needs {name}, and $PK does not assign it",
                hint=f"assign {', '.join(needed)} in $PK, or choose another TRANS",
                location=subroutines.at,
            )
    taken = assigned | names_read(program.pk) | names_read(program.error) | names_assigned(program.error)
    computed = {rate for rate, _, _ in quotients}
    name_of = {r: _free_name(r, taken) if r in computed else r for r in linear.rates}
    rate_statements = tuple(
        Assign(name_of[rate], _quotient(above, below, subroutines.at), at=subroutines.at)
        for rate, above, below in quotients
    )
    compartments, notes = _compartments(linear.compartments, program.pk, modelled_rate=modelled_rate)
    structural = StructuralModel(
        compartments=compartments,
        closed_form=linear.closed_form,
        rate_constants=tuple(name_of[r] for r in linear.rates),
        default_dose=1,
        default_observation=linear.observed,
        rtol=None if subroutines.tol is None else 10.0**-subroutines.tol,
        solver_name=f"ADVAN{subroutines.advan} TRANS{subroutines.trans}",
    )
    des = _linear_equations(linear, name_of, subroutines.at)
    return structural, Program(pk=program.pk + rate_statements, des=des, error=program.error), notes


def _no_trans(subroutines: Subroutines, linear: _Linear) -> SemanticError | UnsupportedError:
    known = ", ".join(f"TRANS{n}" for n in linear.trans)
    message = f"ADVAN{subroutines.advan} with TRANS{subroutines.trans}"
    if subroutines.trans in (5, 6) and subroutines.advan in (3, 4):
        rates = ", ".join(linear.rates)
        return UnsupportedError(
            f"{message} is not supported", hint=f"compute {rates} in $PK and use TRANS1", location=subroutines.at
        )
    return SemanticError(f"{message} does not exist", hint=f"use one of {known}", location=subroutines.at)


def _free_name(rate: str, taken: frozenset[str]) -> str:
    """A name for a computed rate constant that no user variable has."""
    while rate in taken:
        rate += "_"
    return rate


def _quotient(above: str, below: str, at: Location) -> Expression:
    first, _, second = below.partition("-")
    denominator: Expression = Symbol(first, at=at)
    if second:
        denominator = Binary("-", denominator, Symbol(second, at=at), at=at)
    return Binary("/", Symbol(above, at=at), denominator, at=at)


def _linear_equations(linear: _Linear, name_of: dict[str, str], at: Location) -> tuple[Statement, ...]:
    """dA(i)/dt = sum of what flows in - sum of what flows out."""
    statements = []
    for i in range(1, len(linear.compartments) + 1):
        total: Expression | None = None
        for rate, source, to in linear.flows:
            if i not in (source, to):
                continue
            flow = Binary("*", Symbol(name_of[rate], at=at), Symbol(f"A({source})", at=at), at=at)
            if total is None:
                total = flow if to == i else Negate(flow, at=at)
            else:
                total = Binary("+" if to == i else "-", total, flow, at=at)
        statements.append(Assign(f"DADT({i})", total, at=at))
    return tuple(statements)


def ode_model(
    subroutines: Subroutines,
    declared: tuple[DeclaredCompartment, ...],
    program: Program,
    des_at: Location,
    *,
    modelled_rate: bool,
) -> tuple[StructuralModel, list[Diagnostic]]:
    """Structure of a $DES model.

    Raises:
        SemanticError: a compartment without an equation.
    """
    assigned = names_assigned(program.des)
    for number, compartment in enumerate(declared, start=1):
        if f"DADT({number})" not in assigned:
            raise SemanticError(
                f"$DES has no DADT({number}), the equation of compartment {compartment.name}",
                hint=f"assign DADT({number}), or take the compartment out of $MODEL",
                location=des_at,
            )
    if subroutines.trans != 1:
        raise SemanticError(
            f"TRANS{subroutines.trans} has no meaning with $DES", hint="remove it", location=subroutines.at
        )
    compartments, notes = _compartments(tuple(c.name for c in declared), program.pk, modelled_rate=modelled_rate)
    structural = StructuralModel(
        compartments=compartments,
        default_dose=_default(declared, "DEFDOSE", "DEPOT"),
        default_observation=_default(declared, "DEFOBSERVATION", "CENTRAL"),
        stiff=DES_ADVANS[subroutines.advan],
        rtol=None if subroutines.tol is None else 10.0**-subroutines.tol,
        solver_name=f"ADVAN{subroutines.advan}",
    )
    return structural, notes


def _default(declared: tuple[DeclaredCompartment, ...], option: str, name: str) -> int:
    """The compartment with the option, else the first of that name, else the first that can be."""
    dosed = [n for n, c in enumerate(declared, start=1) if option != "DEFDOSE" or "NODOSE" not in c.options]
    for n, c in enumerate(declared, start=1):
        if option in c.options:
            return n
    for n in dosed:
        if declared[n - 1].name == name:
            return n
    return dosed[0] if dosed else 1


def _compartments(
    names: tuple[str, ...], pk: tuple[Statement, ...], *, modelled_rate: bool
) -> tuple[tuple[Compartment, ...], list[Diagnostic]]:
    """Compartments with the dosing parameters $PK assigns, and notes on those without effect."""
    fields: dict[int, dict[str, str]] = {n: {} for n in range(1, len(names) + 1)}
    notes: dict[str, Diagnostic] = {}
    for statement in assignments(pk):
        target = statement.target
        if target.startswith("A_0("):
            fields[int(target[4:-1])]["initial"] = target
            continue
        match = _DOSING.match(target)
        if match is None:
            continue
        kind, number = match.group(1), int(match.group(2))
        if number == len(names) + 1 and kind in ("S", "F"):
            notes[target] = _output_compartment(target, len(names), statement.at)
        if number not in fields:
            continue
        if kind not in ("D", "R") or modelled_rate:  # without RATE in the data they are variables like any other
            fields[number][_FIELDS[kind]] = target
    compartments = tuple(Compartment(name=name, number=n, **fields[n]) for n, name in enumerate(names, start=1))
    return compartments, list(notes.values())


def _output_compartment(target: str, count: int, at: Location | None) -> Diagnostic:
    return Diagnostic(
        code="output-compartment",
        severity="warning",
        message=f"{target} belongs to the output compartment and has no effect: the model has {count}",
        hint=f"if a compartment's parameter is meant, number it from 1 to {count}",
        location=at,
    )
