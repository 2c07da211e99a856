"""Is the prediction a logarithm: does f equal the value of a LOG( ) in the observation code?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlmevae.frontends.recognition.error_points import ErrorPoints
from nlmevae.frontends.recognition.individual_level import MIN_POINTS
from nlmevae.ir import Assign, Call, Expression, If, Statement
from nlmevae.ir.dual import value_of

_PREFIX = "#log"


def with_log_probes(statements: Sequence[Statement]) -> tuple[tuple[Statement, ...], tuple[str, ...]]:
    """The statements with every LOG( ) of an assignment also kept in a variable of its own.

    Returns:
        The statements and the names of those variables.
    """
    names: list[str] = []

    def probes(expression: Expression) -> list[Statement]:
        found: list[Statement] = []
        for node in expression.walk():
            if isinstance(node, Call) and node.function == "LOG":
                names.append(f"{_PREFIX}{len(names)}")
                found.append(Assign(names[-1], node))
        return found

    def rewrite(body: Sequence[Statement]) -> tuple[Statement, ...]:
        out: list[Statement] = []
        for statement in body:
            if isinstance(statement, If):
                arms = tuple((condition, rewrite(arm)) for condition, arm in statement.arms)
                out.append(If(arms, rewrite(statement.orelse), statement.at))
            else:
                out += [*probes(statement.value), statement]
        return tuple(out)

    return rewrite(statements), tuple(names)


def is_log_prediction(found: ErrorPoints, probes: tuple[str, ...]) -> bool:
    """f is the value of one of the LOG( )s wherever that was reached."""
    for name in probes:
        value = np.broadcast_to(value_of(found.env.get(name, np.nan)), found.f.shape)
        both = np.isfinite(value) & np.isfinite(found.f)
        if both.sum() >= MIN_POINTS and np.allclose(value[both], found.f[both], rtol=1e-12, atol=1e-12):
            return True
    return False
