"""Parameter values in the names of a Monolix project: omega_V is a standard deviation, corr_V_Cl a correlation."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from nlmevae.errors import DataError
from nlmevae.ir import Model
from nlmevae.results.parameter_values import ParameterValues

_ELEMENT = re.compile(r"OMEGA\((\d+),(\d+)\)")


def in_elements(model: Model, given: ParameterValues) -> ParameterValues:
    """The values by canonical names, standard deviations squared; what has a canonical name already stays.

    Raises:
        DataError: a standard deviation is negative, or a correlation is given without its standard deviations.
    """
    shown = {} if model.project is None else model.project.shown
    element_of = {own: element for element, own in shown.items() if _ELEMENT.fullmatch(element)}
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
            row, column = _ELEMENT.fullmatch(element).groups()
            sizes = [values.get(f"OMEGA({k},{k})") for k in (row, column)]
            if None in sizes:
                raise DataError(
                    f"{given.source} gives {name} without its standard deviations",
                    hint=f"give {shown[f'OMEGA({row},{row})']} and {shown[f'OMEGA({column},{column})']} too",
                )
            values[element] = value * math.sqrt(sizes[0] * sizes[1])
    return replace(given, values=values)


def _is_diagonal(element: str) -> bool:
    row, column = _ELEMENT.fullmatch(element).groups()
    return row == column
