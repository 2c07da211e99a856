"""Were all branches of the observation code among the points at which the residual error was verified?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nlmevae.errors import Location, UnsupportedError
from nlmevae.frontends.recognition.dependencies import ArmProbe, error_program
from nlmevae.frontends.recognition.individual_level import unreached_arms
from nlmevae.frontends.recognition.points import DOSE_ROLES
from nlmevae.ir import Assign, Call, Compare, Diagnostic, Expression, If, Model, Statement


def check_data_branches(model: Model, runs: Sequence[Mapping[str, Any]], probes: tuple[ArmProbe, ...]) -> None:
    """Every branch chosen by data items must have been reached in one of the runs; the record types of doses do not
    count."""
    dosing = [c for c in model.data.columns if c.role in DOSE_ROLES]
    items = model.data_items - {name for c in dosing for name in (c.name, c.synonym)}
    unreached = unreached_arms(error_program(model), "Y", probes, _together(runs, probes), items)
    if unreached:
        raise UnsupportedError(
            "the residual error cannot be verified: a branch Y depends on was not reached at any point tried",
            hint="compare the data item with a number directly, as in IF (DVID.EQ.1)",
            location=unreached[0].at,
        )


def _together(runs: Sequence[Mapping[str, Any]], probes: tuple[ArmProbe, ...]) -> dict[str, np.ndarray]:
    """The probes of all runs."""
    return {p.name: np.concatenate([np.ravel(run.get(p.name, np.nan)) for run in runs]) for p in probes}


def guard_warnings(
    model: Model, runs: Sequence[Mapping[str, Any]], probes: tuple[ArmProbe, ...]
) -> tuple[Diagnostic, ...]:
    """A warning for each branch or limit on computed values that no point reached (guards, usually).

    Tests for equality are left out: what happens at a prediction of 0 is looked at by itself.
    """
    places = []
    arms = _together(runs, probes)
    for probe in probes:
        names = {name for condition, _ in probe.owner.arms for name in condition.names()}
        reached = np.isfinite(arms[probe.name]).any()
        if not reached and not names <= model.data_items and not _tests_equality(probe.owner):
            places.append(probe.owner.at)
    if not model.structural.compartments:  # with compartments the amounts drawn reach both sides
        places += _limits(error_program(model))
    return tuple(
        Diagnostic(
            code="error-branch-not-reached",
            severity="warning",
            message="a limit or branch on a computed value was not reached at any point tried; the residual error "
            "is taken to have the same form there",
            hint="remove the line if the prediction cannot get there",
            location=at,
        )
        for at in dict.fromkeys(places)
    )


def _tests_equality(statement: If) -> bool:
    compares = [node for condition, _ in statement.arms for node in condition.walk() if isinstance(node, Compare)]
    return all(node.operator in ("==", "!=") for node in compares)


def _limits(statements: tuple[Statement, ...]) -> list[Location | None]:
    """Assignments that use MIN or MAX."""
    found: list[Location | None] = []
    for statement in statements:
        if isinstance(statement, Assign):
            if _has_limit(statement.value):
                found.append(statement.at)
        else:
            for _, body in statement.arms:
                found += _limits(body)
            found += _limits(statement.orelse)
    return found


def _has_limit(expression: Expression) -> bool:
    return any(isinstance(node, Call) and node.function in ("MIN", "MAX") for node in expression.walk())
