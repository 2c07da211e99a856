"""Compartments, dosing parameters, and the equations of the models that are not written in $DES.

For linear models two equivalent forms are made: the closed form's rate constants, assigned by the end of
$PK, and the same model as differential equations.
"""

from __future__ import annotations

import re

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.general_linear import rate_flows
from nlmevae.frontends.nonmem.linear_models import LINEAR, LinearModel, formula
from nlmevae.frontends.nonmem.subroutines import BUILT_IN_ADVANS, DES_ADVANS, DeclaredCompartment, Subroutines
from nlmevae.ir import (
    Assign,
    Binary,
    Compartment,
    Diagnostic,
    Expression,
    Negate,
    Number,
    Program,
    Statement,
    StructuralModel,
    Symbol,
    assignments,
    names_assigned,
    names_read,
)

_DOSING = re.compile(r"(S|F|ALAG|D|R)(\d+)\Z")
_FIELDS = {"S": "scale", "F": "bioavailability", "ALAG": "lag", "D": "duration", "R": "rate"}
#: Other names of S and F of the output compartment (NONMEM help, OUTPUT FRACTION PARAMETER, ADVAN1).
_OF_OUTPUT = ("S0", "SO", "F0", "FO")
_MICHAELIS_MENTEN = "-VM*A1/(KM+A1)"


def n_compartments(subroutines: Subroutines, declared: tuple[DeclaredCompartment, ...]) -> int:
    """Number of compartments, the output compartment not counted."""
    if subroutines.advan not in BUILT_IN_ADVANS:
        return len(declared)
    return len(LINEAR[subroutines.advan].compartments) if subroutines.advan in LINEAR else 1


def structure(
    subroutines: Subroutines, declared: tuple[DeclaredCompartment, ...], program: Program, *, modelled_rate: bool
) -> tuple[StructuralModel, Program, list[Diagnostic]]:
    """Structure of a model that is not written in $DES, and its program with rate constants and equations added.

    Args:
        declared: compartments of $MODEL; empty for the built-in models.

    Raises:
        UnsupportedError: a name that can be read in two ways.
        SemanticError: a TRANS that does not exist; $PK does not assign what the model needs.
    """
    if subroutines.advan in LINEAR:
        return _linear_model(subroutines, program, modelled_rate=modelled_rate)
    if subroutines.trans != 1:
        raise _no_trans(subroutines, (1,))
    if subroutines.advan == 10:
        return _michaelis_menten(subroutines, program, modelled_rate=modelled_rate)
    return _general_linear(subroutines, declared, program, modelled_rate=modelled_rate)


def _linear_model(
    subroutines: Subroutines, program: Program, *, modelled_rate: bool
) -> tuple[StructuralModel, Program, list[Diagnostic]]:
    linear = LINEAR[subroutines.advan]
    if subroutines.trans not in linear.trans:
        raise _no_trans(subroutines, tuple(linear.trans))
    needed, formulas = linear.trans[subroutines.trans]
    _check_assigned(f"ADVAN{subroutines.advan} TRANS{subroutines.trans}", needed, program, subroutines.at)
    name_of = _rate_names(linear, {rate for rate, _ in formulas}, program)
    rate_statements = tuple(
        Assign(name_of[rate], formula(text, name_of, subroutines.at), at=subroutines.at) for rate, text in formulas
    )
    compartments, output, notes = _compartments(
        tuple(_built_in(name, subroutines.at) for name in linear.compartments),
        program.pk,
        central=linear.observed,
        modelled_rate=modelled_rate,
    )
    structural = StructuralModel(
        compartments=compartments,
        closed_form=linear.closed_form,
        rate_constants=tuple(name_of[r] for r in linear.rates),
        flows=linear.flows,
        default_dose=1,
        default_observation=linear.observed,
        rtol=_rtol(subroutines),
        solver_name=f"ADVAN{subroutines.advan} TRANS{subroutines.trans}",
        output=output,
        at=subroutines.at,
    )
    des = _linear_equations(structural, subroutines.at)
    return structural, Program(pk=program.pk + rate_statements, des=des, error=program.error), notes


def _general_linear(
    subroutines: Subroutines, declared: tuple[DeclaredCompartment, ...], program: Program, *, modelled_rate: bool
) -> tuple[StructuralModel, Program, list[Diagnostic]]:
    flows = rate_flows(program.pk, len(declared), subroutines.at)
    compartments, output, notes = _compartments(declared, program.pk, modelled_rate=modelled_rate)
    _check_amounts_when_off(declared, compartments)
    structural = StructuralModel(
        compartments=compartments,
        closed_form="linear",
        rate_constants=tuple(flow.rate for flow in flows),
        flows=tuple((flow.source, flow.to) for flow in flows),
        default_dose=_default(declared, "DEFDOSE", "DEPOT"),
        default_observation=_default(declared, "DEFOBSERVATION", "CENTRAL"),
        rtol=_rtol(subroutines),
        solver_name=f"ADVAN{subroutines.advan}",
        output=output,
        at=subroutines.at,
    )
    des = _linear_equations(structural, subroutines.at)
    return structural, Program(pk=program.pk, des=des, error=program.error), notes


def _michaelis_menten(
    subroutines: Subroutines, program: Program, *, modelled_rate: bool
) -> tuple[StructuralModel, Program, list[Diagnostic]]:
    """ADVAN10: VM in amount per time, KM an amount (NONMEM Users Guide VI, VII.C.10)."""
    _check_assigned("ADVAN10", ("VM", "KM"), program, subroutines.at)
    central = DeclaredCompartment("CENTRAL", frozenset({"NOOFF"}), subroutines.at)
    compartments, output, notes = _compartments((central,), program.pk, central=1, modelled_rate=modelled_rate)
    structural = StructuralModel(
        compartments=compartments, rtol=_rtol(subroutines), solver_name="ADVAN10", output=output, at=subroutines.at
    )
    slope = formula(_MICHAELIS_MENTEN, {"A1": "A(1)"}, subroutines.at)
    des = (Assign("DADT(1)", slope, at=subroutines.at),)
    return structural, Program(pk=program.pk, des=des, error=program.error), notes


def _rtol(subroutines: Subroutines) -> float | None:
    return None if subroutines.tol is None else 10.0**-subroutines.tol


def _no_trans(subroutines: Subroutines, known: tuple[int, ...]) -> SemanticError:
    return SemanticError(
        f"ADVAN{subroutines.advan} with TRANS{subroutines.trans} does not exist",
        hint=f"use one of {', '.join(f'TRANS{n}' for n in known)}",
        location=subroutines.at,
    )


def _check_assigned(model: str, needed: tuple[str, ...], program: Program, at: Location) -> None:
    assigned = names_assigned(program.pk)
    for name in needed:
        if name not in assigned:
            raise SemanticError(
                f"{model} needs {name}, and $PK does not assign it",
                hint=f"assign {', '.join(needed)} in $PK, or choose another TRANS",
                location=at,
            )


def _rate_names(linear: LinearModel, computed: set[str], program: Program) -> dict[str, str]:
    """Variable of each rate constant; one that is computed gets a name no variable of the user has."""
    taken = names_assigned(program.pk) | names_read(program.pk)
    taken |= names_read(program.error) | names_assigned(program.error)
    name_of = {}
    for rate in linear.rates:
        name_of[rate] = rate
        while rate in computed and name_of[rate] in taken:
            name_of[rate] += "_"
    return name_of


def _linear_equations(structural: StructuralModel, at: Location) -> tuple[Statement, ...]:
    """dA(i)/dt = sum of what flows in - sum of what flows out; 0 where nothing flows."""
    statements = []
    flows = tuple(zip(structural.rate_constants, structural.flows, strict=True))
    for i in range(1, len(structural.compartments) + 1):
        total: Expression | None = None
        for rate, (source, to) in flows:
            if i not in (source, to):
                continue
            flow = Binary("*", Symbol(rate, at=at), Symbol(f"A({source})", at=at), at=at)
            if total is None:
                total = flow if to == i else Negate(flow, at=at)
            else:
                total = Binary("+" if to == i else "-", total, flow, at=at)
        statements.append(Assign(f"DADT({i})", total or Number(0.0, at=at), at=at))
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
    compartments, output, notes = _compartments(declared, program.pk, modelled_rate=modelled_rate)
    _check_amounts_when_off(declared, compartments)
    structural = StructuralModel(
        compartments=compartments,
        default_dose=_default(declared, "DEFDOSE", "DEPOT"),
        default_observation=_default(declared, "DEFOBSERVATION", "CENTRAL"),
        stiff=DES_ADVANS[subroutines.advan],
        rtol=_rtol(subroutines),
        solver_name=f"ADVAN{subroutines.advan}",
        output=output,
        at=subroutines.at,
    )
    return structural, notes


def _default(declared: tuple[DeclaredCompartment, ...], option: str, name: str) -> int:
    """The compartment with the option, else the first of that name, else the first that can be."""
    dosed = [n for n, c in enumerate(declared, start=1) if option != "DEFDOSE" or "NODOSE" not in c.options]
    chosen = [n for n, c in enumerate(declared, start=1) if option in c.options]
    if len(chosen) > 1:
        raise SemanticError(
            f"$MODEL has {option} at two compartments, {chosen[0]} and {chosen[1]}",
            hint="keep one of them",
            location=declared[chosen[1] - 1].at,
        )
    if chosen:
        return chosen[0]
    for n in dosed:
        if declared[n - 1].name == name:
            return n
    return dosed[0] if dosed else 1


def _built_in(name: str, at: Location) -> DeclaredCompartment:
    """Attributes by the tables of NONMEM help, ADVAN1 to ADVAN12: only a depot may be turned on and off."""
    depot = name == "DEPOT"
    return DeclaredCompartment(name, frozenset({"INITIALOFF"} if depot else {"NOOFF"}), at)


def _compartments(
    declared: tuple[DeclaredCompartment, ...],
    pk: tuple[Statement, ...],
    *,
    central: int | None = None,
    modelled_rate: bool,
) -> tuple[tuple[Compartment, ...], Compartment, list[Diagnostic]]:
    """Compartments with the dosing parameters $PK assigns, the output compartment, and notes on its parameters.

    Args:
        central: the compartment whose scale has the second name SC; None where the model has none.
    """
    n = len(declared)
    fields: dict[int, dict[str, str]] = {k: {} for k in range(1, n + 1)}
    of_output: dict[str, Assign] = {}
    for statement in assignments(pk):
        target = statement.target
        if target.startswith("A_0("):
            fields[int(target[4:-1])]["initial"] = target
            continue
        if target == "SC":
            _scale_of_central(fields, central, statement.at)
        if target in (*_OF_OUTPUT, f"S{n + 1}", f"F{n + 1}"):
            of_output[target] = statement
        match = _DOSING.match(target)
        if match is None:
            continue
        kind, number = match.group(1), int(match.group(2))
        if number not in fields:
            continue
        if kind not in ("D", "R") or modelled_rate:  # without RATE in the data they are variables like any other
            if fields[number].get("scale") == "SC" and kind == "S":
                raise _two_names("SC", target, "scale", statement.at)
            fields[number][_FIELDS[kind]] = target
    compartments = tuple(_compartment(c, k, fields[k]) for k, c in enumerate(declared, start=1))
    notes = [_about_output(target, n, statement.at) for target, statement in of_output.items()]
    return compartments, _output_compartment(of_output, n), notes


def _compartment(declared: DeclaredCompartment, number: int, parameters: dict[str, str]) -> Compartment:
    options = declared.options
    return Compartment(
        name=declared.name,
        number=number,
        initially_off="INITIALOFF" in options,
        switchable="NOOFF" not in options,
        dosable="NODOSE" not in options,
        **parameters,
    )


def _check_amounts_when_off(declared: tuple[DeclaredCompartment, ...], compartments: tuple[Compartment, ...]) -> None:
    for told, compartment in zip(declared, compartments, strict=True):
        if compartment.initially_off and compartment.initial:
            raise UnsupportedError(
                f"compartment {told.name} is INITIALOFF and has an initial amount, {compartment.initial}",
                hint="take INITIALOFF or the initial amount out",
                location=told.at,
            )


def _output_compartment(of_output: dict[str, Assign], n: int) -> Compartment:
    """Number n + 1, off until a record turns it on, with its scale and output fraction."""
    found: dict[str, str] = {}
    for target, statement in of_output.items():
        kind = "scale" if target[0] == "S" else "bioavailability"
        if kind in found:
            what = "scale" if kind == "scale" else "output fraction"
            raise _two_names(found[kind], target, what, statement.at)
        found[kind] = target
    return Compartment(name="OUTPUT", number=n + 1, initially_off=True, dosable=False, **found)


def _scale_of_central(fields: dict[int, dict[str, str]], central: int | None, at: Location | None) -> None:
    if central is None:
        raise UnsupportedError(
            "SC names no compartment of this model", hint="write the compartment's number: S1, S2, ...", location=at
        )
    if fields[central].get("scale") not in (None, "SC"):
        raise _two_names("SC", fields[central]["scale"], "scale", at)
    fields[central]["scale"] = "SC"


def _two_names(one: str, other: str, what: str, at: Location | None) -> SemanticError:
    return SemanticError(f"{one} and {other} are the same {what}", hint="assign one of them", location=at)


def _about_output(target: str, count: int, at: Location | None) -> Diagnostic:
    """Nothing but an observation of the output compartment reads its parameters."""
    kind = {"S": "scale", "F": "output fraction"}[target[0]]
    return Diagnostic(
        code="output-compartment",
        severity="note" if target in _OF_OUTPUT else "warning",
        message=f"{target} belongs to the output compartment and has no effect: the model has {count}"
        if target not in _OF_OUTPUT
        else f"{target}, the {kind} of the output compartment, has no effect: no record observes it",
        hint=f"if a compartment's parameter is meant, number it from 1 to {count}; the output compartment is observed "
        f"by records with CMT = {count + 1}",
        location=at,
    )
