"""The model that a table's data execute: with the output compartment where it is observed, and with equations that
stand still while their compartment is off.

    dA_k/dt = ON_k f_k - (1 - ON_k) A_k            k turned on and off; A_k is 0 while it is off
    dA_o/dt = ON_o F_o (- sum of all f_k)          the output compartment: what leaves the others

PREDPP computes the amount in the output compartment by mass balance, from what is put in and what is left; the second
line is its derivative: doses enter both sides and cancel. The term - (1 - ON_k) A_k is always 0. It keeps steady states
unique, which an amount that nothing changes has not. (NONMEM help, OUTPUT FRACTION PARAMETER and $DES.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from nlmevae.data.events import EventTable
from nlmevae.ir import Assign, Binary, Expression, Model, Negate, Number, StructuralModel, Symbol, status_name

_ONE = Number(1.0)


def switched_model(model: Model, table: EventTable) -> Model:
    """`model` itself where no compartment is turned on or off and the output compartment is not observed."""
    return with_switches(model, table.covariate_names, output=table.output)


def with_switches(model: Model, items: Iterable[str], *, output: bool) -> Model:
    """`switched_model` before there is a table: `items` are the data items with, among others, each status that
    changes; `output`: the output compartment is observed."""
    structural, known = model.structural, set(items)
    observed = structural.output if output else None
    numbers = [c.number for c in structural.compartments] + ([observed.number] if observed else [])
    switched = [n for n in numbers if status_name(n) in known]
    if not switched and observed is None:
        return model
    des = (*model.program.des, *_equations(structural, switched, output=observed is not None))
    program = replace(model.program, des=des)
    structural = replace(structural, closed_form=None, rate_constants=(), flows=())  # the equations say more
    if observed is not None:
        own = replace(observed, bioavailability=None)
        structural = replace(structural, compartments=(*structural.compartments, own), output=None)
    return replace(model, structural=structural, program=program)


def _equations(structural: StructuralModel, switched: list[int], *, output: bool) -> list[Assign]:
    """Behind the stated ones, whose values they read."""
    own = [c.number for c in structural.compartments]
    found = [_held(k, Symbol(f"DADT({k})")) for k in switched if k in own]
    if output and structural.output is not None:
        total: Expression = Symbol(f"DADT({own[0]})")
        for k in own[1:]:
            total = Binary("+", total, Symbol(f"DADT({k})"))
        number, fraction = structural.output.number, structural.output.bioavailability
        leaving: Expression = Negate(total)
        if fraction is not None:
            leaving = Binary("*", Symbol(fraction), leaving)
        found.append(_held(number, leaving) if number in switched else Assign(f"DADT({number})", leaving))
    return found


def _held(number: int, slope: Expression) -> Assign:
    on = Symbol(status_name(number))
    back = Binary("*", Binary("-", _ONE, on), Symbol(f"A({number})"))
    return Assign(f"DADT({number})", Binary("-", Binary("*", on, slope), back))
