"""Ways of doses into one compartment: NONMEM has one F, ALAG and D for each, a project one for each administration.

A data item says which way a dose takes, and $PK has F, ALAG and D of the record's way:

    F1 = P1
    IF (WAY.EQ.2) THEN
      F1 = P2
    ENDIF
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nlmevae.ir import (
    Assign,
    Compare,
    DoseInput,
    Expression,
    If,
    Model,
    Number,
    Statement,
    Symbol,
    assignments,
)

#: The data item: number of the input of a dose that is not the compartment's own, else 0.
WAY = "=WAY"
#: What NONMEM assigns -> the field of an input, and its value where none is stated.
_FIELDS: tuple[tuple[str, str, float | None], ...] = (
    ("F{}", "bioavailability", 1.0), ("ALAG{}", "lag", 0.0), ("D{}", "duration", None), ("R{}", "rate", None),
)  # fmt: skip


def ways(model: Model) -> tuple[DoseInput, ...]:
    """Inputs besides the compartments' own that bring something."""
    return tuple(i for i in model.structural.inputs if not brings_nothing(model, i))


def brings_nothing(model: Model, entry: DoseInput) -> bool:
    """Its doses are multiplied by 0: they are there to stop the integrator."""
    values = [a.value for a in assignments(model.program.pk) if a.target == entry.bioavailability]
    return bool(values) and all(isinstance(v, Number) and v.value == 0.0 for v in values)


def way_statements(model: Model, compartment: int) -> Iterator[Statement]:
    """F, ALAG, D and R of a compartment, of the way that the record's dose takes."""
    for name, field, value in _FIELDS:
        yield from _of_field(model, name.format(compartment), field, value, _into(model, compartment))


def changes_with_lag(model: Model, compartment: int) -> str:
    """F or D of a compartment, where it depends on the way and doses are delayed; "": neither does."""
    into = _into(model, compartment)
    if not any(i.lag for i in into):
        return ""
    several = (n.format(compartment) for n, f, v in _FIELDS if f != "lag" and len(_values(model, into, f, v)) > 1)
    return next(several, "")


def _into(model: Model, compartment: int) -> list[DoseInput]:
    """The compartment's own input, then the others that enter it."""
    own = model.structural.dose_inputs[compartment - 1]
    return [own, *(i for i in ways(model) if i.compartment == compartment)]


def _of_field(model: Model, name: str, field: str, value: float | None, into: list[DoseInput]) -> Iterator[Statement]:
    values = _values(model, into, field, value)
    usual = next(iter(values.values()), None)
    if usual is not None and any(getattr(i, field) is not None for i in into):
        yield Assign(f"={name}", usual)
    for entry in into:
        wanted = _value(getattr(entry, field), value)
        if wanted is not None and _meaning(model, wanted) != _meaning(model, usual):
            condition = Compare("==", Symbol(WAY), Number(float(entry.number)))
            yield If(((condition, (Assign(f"={name}", wanted),)),))


def _values(model: Model, into: list[DoseInput], field: str, value: float | None) -> dict[str, Expression]:
    """Different values of a field, in order."""
    found = (_value(getattr(i, field), value) for i in into)
    different: dict[str, Expression] = {}
    for own in found:
        if own is not None:
            different.setdefault(_meaning(model, own), own)
    return different


def _value(variable: str | None, value: float | None) -> Expression | None:
    if variable is not None:
        return Symbol(variable)
    return None if value is None else Number(value)


def _meaning(model: Model, value: Expression) -> str:
    """Variables that are one number are alike."""
    if isinstance(value, Symbol):
        assigned = [a.value for a in assignments(model.program.pk) if a.target == value.name]
        value = assigned[0] if len(assigned) == 1 and isinstance(assigned[0], Number) else value
    return repr(value)


def way_columns(model: Model, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """CMT as compartments and the item of the ways; doses of nothing into an input that no NONMEM compartment has only
    stop the integrator: a record does, too."""
    number = columns["CMT"].astype(int)
    others = {i.number: i.compartment for i in ways(model)}
    stop = (number > len(model.structural.compartments)) & ~np.isin(number, list(others))
    found = {name: np.where(stop, 0.0, columns[name]) for name in ("AMT", "RATE", "CMT")}
    found["EVID"] = np.where(stop, 2.0, columns["EVID"])
    if others:
        found["CMT"] = np.array([float(others.get(n, c)) for n, c in zip(number, found["CMT"], strict=True)])
        found[WAY] = np.where(np.isin(number, list(others)), number, 0).astype(float)
    return found
