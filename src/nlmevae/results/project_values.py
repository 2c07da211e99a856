"""Parameter values in the names of a Monolix project: omega_V is a standard deviation, corr_V_Cl a correlation."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace

from nlmevae.errors import DataError
from nlmevae.ir import Model
from nlmevae.results.parameter_values import ParameterValues

_ELEMENT = re.compile(r"(OMEGA|SIGMA)\((\d+),(\d+)\)")


def in_elements(model: Model, given: ParameterValues) -> ParameterValues:
    """The values by canonical names, standard deviations squared; what has a canonical name already stays.

    Of a control stream, whose labels may be those of a project: `given.deviations` says that they are meant so.

    Raises:
        DataError: a standard deviation is negative, or a correlation is given without its standard deviations.
    """
    element_of = _of_labels(model) if model.project is None else _of_project(model.project.shown)
    values: dict[str, float] = {}
    for name, value in given.values.items():
        element = element_of.get(name, name)
        if element in values or (element != name and element in given.values):
            raise DataError(f"{given.source} gives {name} twice", hint="give every parameter once")
        if element == name:
            values[element] = value
        elif _is_diagonal(element):
            if value < 0.0:
                raise DataError(f"{name} is {value:g} in {given.source}", hint="a standard deviation is not negative")
            values[element] = value * value
    for name, value in given.values.items():
        element = element_of.get(name, "")
        if element and not _is_diagonal(element):
            kind, row, column = _ELEMENT.fullmatch(element).groups()
            diagonal = [f"{kind}({k},{k})" for k in (row, column)]
            sizes = [values.get(d) for d in diagonal]
            if None in sizes:
                own = [next((n for n, e in element_of.items() if e == d), d) for d in diagonal]
                raise DataError(
                    f"{given.source} gives {name} without its standard deviations",
                    hint=f"give {own[0]} and {own[1]} too",
                )
            values[element] = value * math.sqrt(sizes[0] * sizes[1])
    return replace(given, values=values)


def _of_project(shown: Mapping[str, str]) -> dict[str, str]:
    """Name in the project -> element."""
    return {own: element for element, own in shown.items() if _ELEMENT.fullmatch(element)}


def _of_labels(model: Model) -> dict[str, str]:
    """Label of a variance -> element; corr_V_Cl where two are omega_V and omega_Cl."""
    found: dict[str, str] = {}
    for kind, blocks in (("OMEGA", model.omega), ("SIGMA", model.sigma)):
        labels = [label for block in blocks for label in (block.labels or block.names)]
        for i, label in enumerate(labels, 1):
            found.setdefault(label, f"{kind}({i},{i})")
            for j, other in enumerate(labels[: i - 1], 1):
                if label.startswith("omega_") and other.startswith("omega_"):
                    for one, two in ((label, other), (other, label)):
                        found[f"corr_{one[6:]}_{two[6:]}"] = f"{kind}({i},{j})"
    return {name: element for name, element in found.items() if not _ELEMENT.fullmatch(name)}


def _is_diagonal(element: str) -> bool:
    _, row, column = _ELEMENT.fullmatch(element).groups()
    return row == column
