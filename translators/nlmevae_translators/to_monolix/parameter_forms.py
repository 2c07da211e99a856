"""What [INDIVIDUAL] can say of each individual parameter (typical value, covariate effects), and what is left over."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.ir import (
    Binary,
    Call,
    Expression,
    IndividualParameter,
    Model,
    Number,
    PopulationParameter,
    Statement,
    Symbol,
    assignments,
)
from nlmevae_translators.to_monolix.algebra import ZERO, add, is_number, multiply, substitute
from nlmevae_translators.to_monolix.flatten import Flattened
from nlmevae_translators.to_monolix.gaussian_terms import Split, Term
from nlmevae_translators.to_monolix.names import Names
from nlmevae_translators.to_monolix.occasions import OccasionEffect
from nlmevae_translators.to_monolix.source_data import SourceData

#: A formula with more nodes is left in the model file.
LARGEST_FORMULA = 3000


def parameter_symbol(name: str) -> Symbol:
    """Stands for an individual parameter in formulas of others."""
    return Symbol(f"psi:{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterForm:
    """h(psi) = base + constant + effects + rest + ETA + the occasion's effect.

    Attributes:
        base: the term of the THETA that is the typical value, its factor a number; None: the constant alone is.
        effects: terms that are a THETA times a function of covariates.
        fixed_effects: functions of covariates without a THETA.
        reference: the effect that became `base`: those of the other categories are told from it.
        rest: on the Gaussian scale, what stays in the model file; 0: nothing.
        occasion: the effect between occasions; the parameter may have no other (`parameter.eta` is "").
    """

    parameter: IndividualParameter
    base: Term | None
    constant: float
    effects: tuple[Term, ...]
    fixed_effects: tuple[Expression, ...]
    rest: Expression
    occasion: OccasionEffect | None = None
    reference: Term | None = None

    @property
    def thetas(self) -> frozenset[str]:
        """Those that [INDIVIDUAL] takes."""
        return frozenset(t.name for t in (*self.effects, *([self.base] if self.base else [])))

    @property
    def value(self) -> Expression:
        """psi in the names of the source and the symbol of what [INDIVIDUAL] defines."""
        own = parameter_symbol(self.parameter.name)
        if is_number(self.rest, 0.0):
            return own
        if self.parameter.transform.kind == "identity":
            return add(own, self.rest)
        return multiply(own, _exponential(self.rest))


def _exponential(value: Expression) -> Expression:
    """exp(value), without the logarithm where it is a multiple of one."""
    match value:
        case Call(function="LOG", arguments=(factor,)):
            return factor
        case Binary(operator="*", left=power, right=Call(function="LOG", arguments=(base,))):
            return Binary("**", base, power)
        case Binary(operator="+", left=left, right=right):
            return multiply(_exponential(left), _exponential(right))
    return Call("EXP", (value,))


def formulas(model: Model, parameters: Sequence[IndividualParameter]) -> dict[str, Expression]:
    """Every parameter as one expression of THETAs, ETAs, data items and the parameters before it."""
    program = model.executed
    code = (*program.pk, *program.error)
    env: dict[str, Expression] = dict.fromkeys((*model.zero_etas, *model.epsilons), ZERO)
    flat = Flattened(names=Names(), env=env, inline=True)
    waiting = {p.name: p for p in parameters}
    found: dict[str, Expression] = {}
    for statement in code:
        flat.run((statement,))
        for name in [n for n, p in waiting.items() if _assigns(statement, n, p)]:
            value = flat.env[name]
            del waiting[name]
            if _small(value):
                found[name] = value
                flat.env[name] = parameter_symbol(name)
        if not all(map(_small, flat.env.values())):
            break
    return found


def _assigns(statement: Statement, name: str, parameter: IndividualParameter) -> bool:
    return any(a.target == name and a.at == parameter.at for a in assignments((statement,)))


def _small(value: Expression) -> bool:
    return sum(1 for _, _ in zip(value.walk(), range(LARGEST_FORMULA + 1), strict=False)) <= LARGEST_FORMULA


def forms(
    data: SourceData,
    parameters: Sequence[IndividualParameter],
    stated: Mapping[str, Expression],
    taken: Collection[str],
    effects: Sequence[OccasionEffect] = (),
) -> dict[str, ParameterForm]:
    """Of every parameter whose formula (`formulas`) is understood; THETAs and effects between occasions (their
    symbols) in `taken` are needed by the code and stay there."""
    found = {}
    free = [e for e in effects if e.symbol not in taken]
    for parameter in parameters:
        formula = stated.get(parameter.name)
        form = None if formula is None else form_of(data, parameter, formula, taken, free)
        if form is not None and (parameter.eta or form.occasion is not None):
            found[parameter.name] = form
    return found


def form_of(
    data: SourceData,
    parameter: IndividualParameter,
    formula: Expression,
    taken: Collection[str],
    effects: Sequence[OccasionEffect],
) -> ParameterForm | None:
    """The form of one parameter, with the first of `effects` that is a term of it."""
    for effect in effects:
        if not formula.names().isdisjoint(effect.etas):
            terms = _terms_between_occasions(data, parameter, formula, effect)
            if terms is not None:
                return _form(data, parameter, terms, taken, effect)
    split = Split(parameters=_parameters(data, parameter), items=data.covariate_items)
    terms = split.terms(formula, parameter.transform)
    return None if terms is None else _form(data, parameter, terms, taken, None)


def _parameters(data: SourceData, parameter: IndividualParameter) -> frozenset[str]:
    own = {parameter.eta} if parameter.eta else set()
    return frozenset(t.name for t in data.model.thetas) | own


def _terms_between_occasions(
    data: SourceData, parameter: IndividualParameter, formula: Expression, effect: OccasionEffect
) -> list[Term] | None:
    """The terms without that of the effect; None: it is no term with the factor 1 on every record.

    Which ETA stands for the effect changes with the data items that choose it, so that terms may read all of them
    here; those that then do not change within an occasion are as any other."""
    env = {**dict.fromkeys(effect.etas, Symbol(effect.symbol)), **dict.fromkeys(effect.unused, ZERO)}
    split = Split(parameters=_parameters(data, parameter) | {effect.symbol}, items=frozenset(data.canonical))
    terms = split.terms(substitute(formula, env), parameter.transform)
    if terms is None:
        return None
    own = [t for t in terms if t.name == effect.symbol]
    if len(own) != 1 or own[0].scale or not np.all(data.of(own[0].factor) == 1.0):
        return None
    rest = [t for t in terms if t.name != effect.symbol]
    if any(effect.symbol in t.factor.names() for t in rest):
        return None
    return [found for t in rest if not is_number((found := _within_occasions(data, t)).factor, 0.0)]


def _within_occasions(data: SourceData, term: Term) -> Term:
    """A factor that is one number on all records is that number, one that changes within an occasion is mixed."""
    if term.mixed or term.factor.names() <= data.constant_items:
        return term
    values = np.unique(data.of(term.factor))
    if len(values) == 1 and np.isfinite(values[0]):
        return replace(term, factor=Number(float(values[0])))
    if term.factor.names() <= data.covariate_items:
        return term
    return Term("", "", _own_value(term), mixed=True)


def _form(
    data: SourceData,
    parameter: IndividualParameter,
    terms: Sequence[Term],
    taken: Collection[str],
    occasion: OccasionEffect | None,
) -> ParameterForm | None:
    thetas = {t.name: t for t in data.model.thetas}
    terms = [replace(t, factor=_as_number(data, t)) for t in terms]
    if not all(_has_values(data, t) for t in terms):
        return None
    own = [t for t in terms if t.name and t.name == parameter.eta]
    if parameter.eta and (len(own) != 1 or own[0].scale or not is_number(own[0].factor, 1.0)):
        return None
    base, constant, effects, fixed, rest = None, 0.0, [], [], []
    for term in terms:
        if term in own:
            continue
        number = isinstance(term.factor, Number)
        kept = bool(term.name) and term.name not in taken and _usable(term, thetas[term.name])
        if term.mixed or (term.name and not kept):
            rest.append(term)
        elif not term.name and number:
            constant += term.factor.value
        elif not term.name:
            fixed.append(term.factor)
        elif number and base is None:
            base = term
        elif number or term.scale == "logit":
            rest.append(term)
        else:
            effects.append(term)
    if parameter.transform.kind == "logit" and rest:
        return None
    if any(parameter.eta in t.factor.names() for t in rest):
        return None
    return ParameterForm(
        parameter=parameter,
        base=base,
        constant=constant,
        effects=tuple(effects),
        fixed_effects=tuple(fixed),
        rest=_rest(rest),
        occasion=occasion,
    )


def _has_values(data: SourceData, term: Term) -> bool:
    """Its function of data items is a number on all records; the logarithm of a covariate that is 0 is none, and the
    formula may be right all the same."""
    items = term.factor.names()
    return not items <= data.canonical.keys() or bool(np.all(np.isfinite(data.of(term.factor))))


def _as_number(data: SourceData, term: Term) -> Expression:
    """The factor; as a number where that is what it is whatever the data."""
    if term.mixed or isinstance(term.factor, Number):
        return term.factor
    value = data.number(term.factor)
    return term.factor if value is None else Number(value)


def _usable(term: Term, theta: PopulationParameter) -> bool:
    """Its logarithm exists for all values it may have."""
    return term.scale == "" or (term.scale == "log" and theta.init > 0.0) or term.scale == "logit"


def _rest(terms: list[Term]) -> Expression:
    total: Expression = ZERO
    for term in terms:
        total = add(total, _own_value(term))
    return total


def _own_value(term: Term) -> Expression:
    """The factor times its parameter."""
    if not term.name:
        return term.factor
    own: Expression = Symbol(term.name)
    return multiply(term.factor, Call("LOG", (own,)) if term.scale == "log" else own)


def scaled(function: Expression) -> tuple[float, Expression]:
    """A function of covariates as number * function."""
    match function:
        case Binary(operator="*", left=Number(value=value), right=rest):
            inner, rest = scaled(rest)
            return value * inner, rest
        case Binary(operator="*", left=rest, right=Number(value=value)):
            inner, rest = scaled(rest)
            return value * inner, rest
        case Binary(operator="/", left=rest, right=Number(value=value)) if not isinstance(rest, Symbol):
            inner, rest = scaled(rest)
            return inner / value, rest
    return 1.0, function
