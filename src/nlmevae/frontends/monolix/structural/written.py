"""Equations as written, told apart: slopes (ddt_), the initial time (t_0) and definitions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nlmevae.errors import SemanticError, UnsupportedError
from nlmevae.ir import Assign, If, Statement, assignments
from nlmevae.ir.evaluate import evaluate

_SLOPE = "ddt_"


@dataclass(frozen=True, slots=True)
class Written:
    """`slopes`: state -> the assignment to its ddt_; `initial_time`: None where the text does not say."""

    definitions: tuple[Statement, ...]
    slopes: Mapping[str, Assign]
    initial_time: float | None


def written(equations: Iterable[Statement], inputs: Iterable[str]) -> Written:
    """Raises:
    SemanticError: a slope in an if, or two of one variable; two initial times.
    UnsupportedError: an initial time that is no number.
    """
    inputs = frozenset(inputs)
    definitions: list[Statement] = []
    slopes: dict[str, Assign] = {}
    start: Assign | None = None
    for statement in equations:
        if isinstance(statement, If):
            _check_arms(statement, inputs)
            definitions.append(statement)
        elif statement.target.startswith(_SLOPE):
            name = statement.target.removeprefix(_SLOPE)
            if name in slopes:
                raise SemanticError(
                    f"ddt_{name} is written twice", hint="write one equation for each variable", location=statement.at
                )
            slopes[name] = statement
        elif _is_start(statement.target, inputs):
            if start is not None:
                raise SemanticError("the initial time is given twice", hint="keep one t_0", location=statement.at)
            start = statement
            if statement.target == "t0":  # may be read as a variable like any other
                definitions.append(statement)
        else:
            definitions.append(statement)
    return Written(tuple(definitions), slopes, None if start is None else _number(start))


def _is_start(target: str, inputs: frozenset[str]) -> bool:
    return target in ("t_0", "t0") and target not in inputs


def _check_arms(statement: If, inputs: frozenset[str]) -> None:
    for inner in assignments((statement,)):
        if inner.target.startswith(_SLOPE):
            raise SemanticError(
                f"{inner.target} stands in an if",
                hint=f"assign a variable in the if, and write {inner.target} = that variable below it",
                location=inner.at,
            )
        if _is_start(inner.target, inputs):
            raise UnsupportedError(
                f"the initial time {inner.target} depends on a condition", hint="write a number", location=inner.at
            )


def _number(start: Assign) -> float:
    if start.value.names():
        raise UnsupportedError(
            f"the initial time depends on {sorted(start.value.names())[0]}: not supported",
            hint="write t_0 as a number; a model without it starts at the first record of each subject",
            location=start.at,
        )
    number = float(evaluate(start.value, {}))
    if not math.isfinite(number):
        raise SemanticError("the initial time is no number", hint="write t_0 = 0", location=start.at)
    return number
