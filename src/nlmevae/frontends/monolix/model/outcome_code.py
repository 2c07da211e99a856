"""Outcomes of [LONGITUDINAL] DEFINITION as the code that assigns Y, one branch per kind of observation.

With prediction f (on the scale of the distribution: log(f) for logNormal, ...) and EPS of variance 1

    Y = f + W*EPS,   W = a | b*f**c | a + b*f**c | sqrt(a**2 + (b*f**c)**2)

Censored records need no code: the data items CENS and LIMIT say which they are (data.endpoints).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nlmevae.errors import SemanticError, UnsupportedError
from nlmevae.frontends.monolix.model.population import Population
from nlmevae.frontends.monolix.project import ObservationDefinition
from nlmevae.ir import (
    Assign,
    Binary,
    Call,
    Compare,
    CovarianceBlock,
    Expression,
    If,
    Number,
    Statement,
    Symbol,
    Transform,
)


def outcome_statements(
    fitted: Sequence[tuple[ObservationDefinition, float]],
    outputs: Mapping[str, str],
    population: Population,
    kind_item: str | None,
) -> tuple[tuple[Statement, ...], tuple[CovarianceBlock, ...]]:
    """The code of every outcome in `fitted` with the value its kind has in the data, and $SIGMA.

    Args:
        outputs: name of a prediction in the structural model -> program variable.
        kind_item: data item that tells kinds apart; None with one outcome.

    Raises:
        SemanticError: a prediction the structural model does not define.
        UnsupportedError: an error model whose meaning on its scale is not certain.
    """
    bodies = [
        _outcome(outcome, _prediction(outcome, outputs), population, k + 1) for k, (outcome, _) in enumerate(fitted)
    ]
    sigma = tuple(
        CovarianceBlock(names=(f"EPS({k})",), matrix=((1.0,),), fixed=True, at=outcome.at)
        for k, (outcome, _) in enumerate(fitted, 1)
    )
    if len(bodies) == 1 or kind_item is None:
        return bodies[0], sigma
    arms = tuple(
        (Compare("==", Symbol(kind_item, at=outcome.at), Number(value), at=outcome.at), body)
        for (outcome, value), body in zip(fitted, bodies, strict=True)
    )
    return (If(arms[:-1], arms[-1][1], at=fitted[0][0].at),), sigma


def _prediction(outcome: ObservationDefinition, outputs: Mapping[str, str]) -> Expression:
    if outcome.prediction not in outputs:
        raise SemanticError(
            f"{outcome.name} predicts {outcome.prediction}, which the structural model does not compute",
            hint=f"it computes {', '.join(sorted(outputs)) or 'nothing'}",
            location=outcome.at,
        )
    return Symbol(outputs[outcome.prediction], at=outcome.at)


def _outcome(
    outcome: ObservationDefinition, prediction: Expression, population: Population, number: int
) -> tuple[Statement, ...]:
    at = outcome.at
    f = Symbol(f"IPRED({number})", at=at)
    w = Symbol(f"W({number})", at=at)
    statements: list[Statement] = [Assign(f.name, _scaled(outcome, prediction), at=at)]
    statements.append(Assign(w.name, _size(outcome, f, population), at=at))
    observed = Assign("Y", Binary("+", f, Binary("*", w, Symbol(f"EPS({number})", at=at), at=at), at=at), at=at)
    return (*statements, observed)


def observed_scale(outcome: ObservationDefinition) -> Transform:
    """The scale of the distribution, on which Y is."""
    if outcome.distribution == "lognormal":
        return Transform(kind="log")
    if outcome.distribution == "logitnormal":
        upper = 1.0 if outcome.upper is None else outcome.upper
        return Transform(kind="logit", lower=outcome.lower or 0.0, upper=upper)
    return Transform(kind="identity")


def _scaled(outcome: ObservationDefinition, prediction: Expression) -> Expression:
    at, scale = outcome.at, observed_scale(outcome)
    if scale.kind == "log":
        return Call("LOG", (prediction,), at=at)
    if scale.kind == "logit":
        below = Binary("-", prediction, Number(scale.lower, at=at), at=at)
        above = Binary("-", Number(scale.upper, at=at), prediction, at=at)
        return Call("LOG", (Binary("/", below, above, at=at),), at=at)
    return prediction


def _size(outcome: ObservationDefinition, f: Expression, population: Population) -> Expression:
    error, at = outcome.error, outcome.at
    if outcome.distribution != "normal" and error.kind != "constant":
        raise UnsupportedError(
            f"{outcome.name} has distribution={outcome.distribution} with errorModel={error.kind}",
            hint="use errorModel=constant, whose a is the standard deviation on that scale",
            location=at,
        )
    a = None if error.a is None else population.theta(error.a, at, lower=0.0)
    if error.kind == "constant":
        return a  # type: ignore[return-value]
    b = population.theta(error.b, at, lower=0.0)  # type: ignore[arg-type]
    power = None if error.power is None else population.theta(error.power, at)
    grown = Binary("*", b, f if power is None else Binary("**", f, power, at=at), at=at)
    if error.kind == "proportional":
        return grown
    if error.kind == "combined1":
        return Binary("+", a, grown, at=at)  # type: ignore[arg-type]
    two = Number(2.0, at=at)
    squares = Binary("+", Binary("**", a, two, at=at), Binary("**", grown, two, at=at), at=at)  # type: ignore[arg-type]
    return Call("SQRT", (squares,), at=at)
