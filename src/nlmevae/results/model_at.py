"""A model at other parameter values than its text states: the given values become its initial estimates."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.errors import DataError
from nlmevae.ir import CovarianceBlock, Model, PopulationParameter, opposite_signs
from nlmevae.results.own_names import in_own_names
from nlmevae.results.parameter_values import ParameterValues, canonical_name
from nlmevae.results.project_values import in_elements

_NUMBERED = re.compile(r"(THETA|OMEGA|SIGMA)\([\d,]+\)")

ROUNDING = 1e-5  # relative: a file has six digits of what the text states in more
_SHOWN = 6  # names in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class _Element:
    """One parameter of the model: its canonical name, the user's label ("" if none) and its value in the text.
    `settled`: not estimated, so it need not be given and cannot be another number."""

    name: str
    label: str
    value: float
    settled: bool


def model_at(model: Model, given: ParameterValues) -> Model:
    """The model with the given values instead of its initial estimates.

    Every estimated parameter must be given. What is fixed, or zero between two blocks of OMEGA, may be left out; if
    it is given it must be what the model says. A block that repeats another (SAME) may be left out.

    Raises:
        DataError: a parameter is missing, unknown, ambiguous, outside its bounds or different from a fixed value, or
            a covariance matrix is not positive definite.
    """
    if model.project is None:
        return _model_at(model, in_elements(model, given) if given.deviations else given)
    shown = model.project.shown
    try:
        return _model_at(model, in_elements(model, given))
    except DataError as error:
        raise DataError(
            in_own_names(error.message, shown), hint=in_own_names(error.hint, shown), location=error.location
        ) from error


def _model_at(model: Model, given: ParameterValues) -> Model:
    elements = [*_theta_elements(model), *_elements("OMEGA", model.omega), *_elements("SIGMA", model.sigma)]
    values = _resolved(elements, given, prior=model.prior is not None)
    repeats = _repeated(model)
    _check_complete([e for e in elements if e.name not in repeats], values, given)
    chosen = {e.name: e.value if e.settled else values.get(e.name, math.nan) for e in elements}
    chosen |= {name: chosen[source] for name, source in repeats.items()}
    thetas = tuple(_theta_at(t, chosen[canonical_name(t.name)], given) for t in model.thetas)
    _check_signs(model, thetas, given)
    return replace(
        model,
        thetas=thetas,
        omega=tuple(_blocks_at("OMEGA", model.omega, chosen, given)),
        sigma=tuple(_blocks_at("SIGMA", model.sigma, chosen, given)),
    )


def _check_signs(model: Model, thetas: tuple[PopulationParameter, ...], given: ParameterValues) -> None:
    pair = opposite_signs(model.observations, thetas)
    if pair is not None:
        negative, positive = pair
        raise DataError(
            f"{negative.label} is {negative.init:g} and {positive.label} {positive.init:g} in {given.source}: the two "
            "parts of the residual error, whose sum is its standard deviation, have opposite signs",
            hint="that is executed only where both have one sign; write SQRT(a**2 + (b*F)**2), or bound both from 0",
        )


def _theta_elements(model: Model) -> Iterator[_Element]:
    for t in model.thetas:
        yield _Element(
            name=canonical_name(t.name), label=t.label if t.label != t.name else "", value=t.init, settled=t.fixed
        )


def _elements(kind: str, blocks: tuple[CovarianceBlock, ...]) -> Iterator[_Element]:
    """The whole lower triangle; elements between blocks are settled at 0."""
    places = [(block, k) for block in blocks for k in range(len(block.names))]
    for i, (block, row) in enumerate(places):
        for j, (other, column) in enumerate(places[: i + 1]):
            inside = other is block
            yield _Element(
                name=f"{kind}({i + 1},{j + 1})",
                label=block.labels[row] if i == j and row < len(block.labels) else "",
                value=block.matrix[row][column] if inside else 0.0,
                settled=not inside or block.fixed,
            )


def _repeated(model: Model) -> dict[str, str]:
    """Element of a SAME block -> element it repeats."""
    found = {}
    for kind, blocks in (("OMEGA", model.omega), ("SIGMA", model.sigma)):
        starts = np.cumsum([0, *(len(b.names) for b in blocks)])
        for k, block in enumerate(blocks):
            if block.same_as is None:
                continue
            shift = int(starts[k] - starts[block.same_as])
            for i in range(int(starts[k]) + 1, int(starts[k + 1]) + 1):
                for j in range(int(starts[k]) + 1, i + 1):
                    found[f"{kind}({i},{j})"] = f"{kind}({i - shift},{j - shift})"
    return found


def _resolved(elements: list[_Element], given: ParameterValues, *, prior: bool) -> dict[str, float]:
    """Element name -> given value. With a `prior`, NONMEM's files also have its parameters, which are left out."""
    by_name = {e.name: e for e in elements}
    by_label: dict[str, list[_Element]] = {}
    for e in elements:
        if e.label:
            by_label.setdefault(e.label, []).append(e)
    values: dict[str, float] = {}
    unknown = []
    for key, value in given.values.items():
        found = [by_name[key]] if key in by_name else by_label.get(key, [])
        if len(found) > 1:
            names = " and ".join(e.name for e in found)
            raise DataError(f"{key} in {given.source} is the label of {names}", hint="give them by these names")
        if not found:
            unknown += [] if prior and _NUMBERED.fullmatch(key) else [key]
        elif found[0].name in values:
            raise DataError(f"{given.source} gives {found[0].name} twice", hint="give every parameter once")
        else:
            values[found[0].name] = value
    if unknown:
        raise DataError(
            f"the model has no parameter {_listed(unknown)}, which {given.source} gives",
            hint="give the results of this model; its parameters are "
            + _listed(e.name if not e.label else f"{e.name} ({e.label})" for e in elements if not e.settled),
        )
    return values


def _check_complete(elements: list[_Element], values: dict[str, float], given: ParameterValues) -> None:
    missing = [e for e in elements if e.name not in values and not e.settled]
    if missing:
        names = _listed(e.name if not e.label else f"{e.name} ({e.label})" for e in missing)
        raise DataError(f"{given.source} does not give {names}", hint="give every parameter that is not fixed")
    unusable = [e.name for e in elements if e.name in values and not math.isfinite(values[e.name])]
    if unusable:
        raise DataError(f"{_listed(unusable)} in {given.source} is not a finite number", hint="give finite values")
    for e in elements:
        if e.settled and e.name in values and abs(values[e.name] - e.value) > ROUNDING * abs(e.value):
            state = f"fixes it at {e.value:g}" if e.value else "has it at 0"
            raise DataError(
                f"{e.name} is {values[e.name]:g} in {given.source}, but the model {state}",
                hint="give the results of this model, or change the model file",
            )


def _theta_at(theta: PopulationParameter, value: float, given: ParameterValues) -> PopulationParameter:
    if not theta.lower <= value <= theta.upper:
        raise DataError(
            f"{theta.label} ({theta.name}) is {value:g} in {given.source}, outside its bounds "
            f"({theta.lower:g}, {theta.upper:g})",
            hint="give a value inside the bounds, or change them in the model file",
        )
    return replace(theta, init=value)


def _blocks_at(
    kind: str, blocks: tuple[CovarianceBlock, ...], chosen: dict[str, float], given: ParameterValues
) -> Iterator[CovarianceBlock]:
    start = 1
    for block in blocks:
        n = len(block.names)
        matrix = tuple(
            tuple(chosen[canonical_name(f"{kind}({start + i},{start + j})")] for j in range(n)) for i in range(n)
        )
        if not block.fixed and np.linalg.eigvalsh(np.array(matrix))[0] <= 0.0:
            first, last = f"{kind}({start},{start})", f"{kind}({start + n - 1},{start + n - 1})"
            place = first if n == 1 else f"the block {first} to {last}"
            raise DataError(
                f"{place} in {given.source} is not positive definite, so the likelihood does not exist there",
                hint="a variance estimated as 0 must be fixed at 0 in the model file; a correlation of 1 cannot be "
                "evaluated",
            )
        yield replace(block, matrix=matrix)
        start += n


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
