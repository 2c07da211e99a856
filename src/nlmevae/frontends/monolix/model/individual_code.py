"""[INDIVIDUAL]: every individual parameter as a statement of the individual level.

h(P) = h(P_pop) + sum of covariate effects + random effects, written on P's own scale:

    normal       P = P_pop + s
    logNormal    P = P_pop * EXP(s)
    logitNormal  P = min + (max - min) / (1 + EXP(-(LOG((P_pop - min) / (max - P_pop)) + s)))
    probitNormal P = PHI(PROBIT(P_pop) + s)

With `mean=` the typical value is already h(P_pop).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from nlmevae.errors import UnsupportedError
from nlmevae.frontends.monolix.model.covariate_code import Covariates
from nlmevae.frontends.monolix.model.population import Population, RandomEffects
from nlmevae.frontends.monolix.model.probit import probit
from nlmevae.frontends.monolix.names import program_name
from nlmevae.frontends.monolix.project import IndividualDefinition
from nlmevae.ir import Assign, Binary, Call, Compare, Expression, Negate, Number, Statement, Symbol, Where

_BOUNDS = {"normal": (-math.inf, math.inf), "lognormal": (0.0, math.inf), "probitnormal": (0.0, 1.0)}


def individual_statements(
    definitions: Sequence[IndividualDefinition],
    covariates: Covariates,
    population: Population,
    effects: RandomEffects,
    occasion_item: str | None,
    occasions: Sequence[float],
) -> tuple[Statement, ...]:
    """Computed covariates, then the parameters in order; THETAs are numbered in `population`."""
    needed = covariates.read_by([t for d in definitions for t in d.terms])
    statements: list[Statement] = list(covariates.statements(needed))
    for definition in definitions:
        typical = _typical(definition, population)
        terms = [covariates.term(t, population) for t in definition.terms]
        fixed = _sum([t for t in terms if t is not None])
        random = _sum(_random(definition, effects, occasion_item, occasions))
        value = _on_own_scale(definition, typical, fixed, random)
        statements.append(Assign(program_name(definition.name), value, at=definition.at))
    return tuple(statements)


def bounds(definition: IndividualDefinition) -> tuple[float, float]:
    """Between which values the parameter lies."""
    if definition.distribution == "logitnormal":
        low, high = definition.lower, definition.upper
        return (0.0 if low is None else low), (1.0 if high is None else high)
    return _BOUNDS[definition.distribution]


def _typical(definition: IndividualDefinition, population: Population) -> Expression:
    lower, upper = (-math.inf, math.inf) if definition.gaussian else bounds(definition)
    return population.theta(definition.typical, definition.at, lower=lower, upper=upper)


def _random(
    definition: IndividualDefinition, effects: RandomEffects, item: str | None, occasions: Sequence[float]
) -> list[Expression]:
    terms: list[Expression] = []
    for variability in definition.variability:
        if len(variability.level) == 1:
            terms.append(Symbol(effects.names[definition.name, None], at=definition.at))
            continue
        if item is None:
            raise UnsupportedError(
                f"{definition.name} varies between occasions, and the data have no occasion column",
                hint="give a column use=occasion in [CONTENT]",
                location=definition.at,
            )
        terms.append(_of_occasion(definition, effects, item, occasions))
    return terms


def _of_occasion(
    definition: IndividualDefinition, effects: RandomEffects, item: str, occasions: Sequence[float]
) -> Expression:
    at = definition.at
    chosen: Expression = Number(0.0, at=at)
    for occasion in reversed(occasions):
        condition = Compare("==", Symbol(item, at=at), Number(occasion, at=at), at=at)
        chosen = Where(condition, Symbol(effects.names[definition.name, occasion], at=at), chosen, at=at)
    return chosen


def _sum(terms: Sequence[Expression]) -> Expression | None:
    total: Expression | None = None
    for term in terms:
        total = term if total is None else Binary("+", total, term, at=term.at)
    return total


def _on_own_scale(
    definition: IndividualDefinition, typical: Expression, fixed: Expression | None, random: Expression | None
) -> Expression:
    at, shift = definition.at, _sum([t for t in (fixed, random) if t is not None])
    if definition.gaussian:
        return _inverse(definition, typical if shift is None else Binary("+", typical, shift, at=at))
    if shift is None:
        return typical
    match definition.distribution:
        case "normal":
            return Binary("+", typical, shift, at=at)
        case "lognormal":
            return Binary("*", typical, Call("EXP", (shift,), at=at), at=at)
        case "logitnormal":
            low, high = (Number(v, at=at) for v in bounds(definition))
            ratio = Binary("/", Binary("-", typical, low, at=at), Binary("-", high, typical, at=at), at=at)
            return _inverse(definition, Binary("+", Call("LOG", (ratio,), at=at), shift, at=at))
        case _:
            return _inverse(definition, Binary("+", probit(typical), shift, at=at))


def _inverse(definition: IndividualDefinition, gaussian: Expression) -> Expression:
    """h^-1 of a value on the Gaussian scale."""
    at = definition.at
    match definition.distribution:
        case "normal":
            return gaussian
        case "lognormal":
            return Call("EXP", (gaussian,), at=at)
        case "logitnormal":
            low, high = bounds(definition)
            one = Number(1.0, at=at)
            share = Binary("+", one, Call("EXP", (Negate(gaussian, at=at),), at=at), at=at)
            return Binary("+", Number(low, at=at), Binary("/", Number(high - low, at=at), share, at=at), at=at)
        case _:
            return Call("PHI", (gaussian,), at=at)
