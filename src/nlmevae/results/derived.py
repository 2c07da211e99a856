"""Functions of the estimates, as a half-life, with standard errors by the delta method."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np

from nlmevae.ir import Binary, Call, Expression, Number, Symbol
from nlmevae.ir.dual import Dual
from nlmevae.ir.evaluate import evaluate, seeded
from nlmevae.results.fit_result import DerivedQuantity, FitResult
from nlmevae.results.uncertainty_result import LEVEL, interval, log_interval

_ALWAYS_POSITIVE = ("EXP", "PHI", "COSH")


def derived_quantity(result: FitResult, text: str, expression: Expression) -> DerivedQuantity:
    """`expression` (its symbols canonical parameter names), its derivatives exact, its interval on the logarithmic
    scale where it cannot be negative."""
    values = {e.name: np.float64(e.value) for e in result.estimates}
    names = sorted(expression.names())
    for name in names:
        values.setdefault(name, np.float64(0.0))  # a covariance between blocks
    found = evaluate(expression, seeded({n: values[n] for n in names}, names))
    value, gradient = (found.value, found.tangent) if isinstance(found, Dual) else (found, np.zeros(len(names)))
    error = _error(result, names, np.asarray(gradient, dtype=float))
    positive = is_positive(expression, {n for n in names if _stays_positive(result, n)})
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    bounds = (log_interval if positive else interval)(float(value), np.float64(np.nan if error is None else error), z)
    return DerivedQuantity(
        text=text,
        value=float(value),
        standard_error=error,
        low=float(bounds[0]),
        high=float(bounds[1]),
        scale="log" if positive else "identity",
    )


def with_derived(result: FitResult, expressions: dict[str, Expression]) -> FitResult:
    """The result with these quantities, in order."""
    return replace(result, derived=tuple(derived_quantity(result, *pair) for pair in expressions.items()))


def _error(result: FitResult, names: list[str], gradient: np.ndarray) -> float | None:
    """None where the covariance of a parameter in it is not known, or nothing in it is estimated."""
    known = result.uncertainty
    if known is None or known.method == "none":
        return None
    index = [known.names.index(name) for name in names]
    used = gradient != 0
    part = known.covariance[np.ix_(index, index)][np.ix_(used, used)]
    variance = float(gradient[used] @ part @ gradient[used])
    return float(np.sqrt(variance)) if variance > 0 else None


def _stays_positive(result: FitResult, name: str) -> bool:
    estimate = next((e for e in result.estimates if e.name == name), None)
    if estimate is None:
        return False
    if estimate.kind == "theta":
        return estimate.value > 0 and (estimate.fixed or estimate.lower >= 0)
    return estimate.row == estimate.column


def is_positive(expression: Expression, positive: set[str]) -> bool:
    """Whether an expression is positive whatever its parameters are, those in `positive` being so."""

    def holds(node: Expression) -> bool:
        return is_positive(node, positive)

    match expression:
        case Number():
            return expression.value > 0
        case Symbol():
            return expression.name in positive
        case Binary(operator="**"):
            return holds(expression.left)
        case Binary(operator="+" | "*" | "/"):
            return holds(expression.left) and holds(expression.right)
        case Call(function="LOG" | "LOG10", arguments=(Number(),)):
            return expression.arguments[0].value > 1
        case Call(function="SQRT" | "MIN"):
            return all(map(holds, expression.arguments))
        case Call():
            return expression.function in _ALWAYS_POSITIVE
    return False
