"""Values that are known while the code is read: ICALL, counters of loops.

Estimation runs code with ICALL = 2. A condition that only reads known values is decided once, so that statements for
other calls (initialisation 0 and 1, tables 3, simulation 4, expectations 5 and 6) are left out and loops can be written
out.
"""

from __future__ import annotations

from collections.abc import Mapping

from nlmevae.errors import SemanticError
from nlmevae.ir import Compare, Expression, Logical, Not, Statement, names_assigned
from nlmevae.ir.evaluate import evaluate

#: ICALL while estimating, and what else is then the same: one problem, no simulated replicate, no pass for tables
#: (COMACT) or for NPDE.
WHILE_ESTIMATING = {"ICALL": 2.0, "IPROB": 1.0, "IREP": 0.0, "COMACT": 0.0, "NPDE_MODE": 0.0}
#: What INCLUDE nonmem_reserved_general adds: no call is for an accepted sample of a Bayesian method (help for BAYES8).
WITH_DECLARATIONS = {"BAYES_EXTRA": 0.0}
#: What ICALL is in calls before estimation, whose results estimation could keep, and in simulations.
BEFORE, SIMULATING = (0.0, 1.0), (4.0,)


def known_value(expression: Expression, known: Mapping[str, float]) -> float | None:
    """Its value, None if it reads anything that is not known or is not a finite number."""
    if not expression.names() <= set(known):
        return None
    try:
        value = float(evaluate(expression, known))
    except SemanticError:  # pragma: no cover - names were looked at
        return None
    return value if abs(value) < float("inf") else None


def decided(condition: Expression, known: Mapping[str, float]) -> bool | Expression:
    """True, False, or what is left of the condition where known values alone do not decide it."""
    match condition:
        case Not():
            inner = decided(condition.operand, known)
            return not inner if isinstance(inner, bool) else Not(inner, at=condition.at)
        case Logical():
            left, right = decided(condition.left, known), decided(condition.right, known)
            settles = condition.operator == "or"  # True settles an OR, False an AND
            for one, other in ((left, right), (right, left)):
                if isinstance(one, bool):
                    return settles if one is settles else other
            return Logical(condition.operator, left, right, at=condition.at)
        case Compare() if condition.names() <= set(known):
            return bool(evaluate(condition, known))
    return condition


def possible(condition: Expression, known: Mapping[str, float], calls: tuple[float, ...]) -> bool:
    """Whether the condition can hold at one of these values of ICALL."""
    return any(decided(condition, {**known, "ICALL": call}) is not False for call in calls)


def forget(known: dict[str, float], statements: tuple[Statement, ...]) -> None:
    """Take out what `statements`, which may or may not run, assign."""
    for name in names_assigned(statements):
        known.pop(name, None)
