"""A typical value with its random effect as a sum on the Gaussian scale: h(psi) = sum of terms.

    CL = THETA(1)*(WT/70)**THETA(2)*EXP(ETA(1))
    log CL = log THETA(1) + THETA(2)*log(WT/70) + ETA(1)

A term is one THETA (or its logarithm, or logit) or one ETA times a function of covariates; what is more than that is a
term without either, which stays in the model file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from nlmevae.ir import Binary, Call, Expression, Negate, Number, Symbol, Transform, Where
from nlmevae_translators.to_monolix.algebra import ONE, ZERO, add, divide, is_number, multiply, simplified

Scale = Literal["", "log", "logit"]


@dataclass(frozen=True, slots=True)
class Term:
    """`factor` times the parameter `name` on `scale`. `name` "": `factor` alone, which reads data items, or anything
    where it is `mixed`."""

    name: str
    scale: Scale
    factor: Expression
    mixed: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """`parameters`: names of THETAs and ETAs; `items`: names of data items. Everything else makes a term mixed."""

    parameters: Collection[str]
    items: Collection[str]

    def terms(self, psi: Expression, transform: Transform) -> list[Term] | None:
        """h(psi) by terms, one per parameter and scale; None where the form is not one of those that are known."""
        if transform.kind == "identity":
            return _collected(self._sum(psi, ONE))
        if transform.kind == "log":
            return _collected(self._log(psi, ONE)) if transform.lower == 0.0 else None
        inner = _logit_argument(psi, transform)
        return None if inner is None else _collected(self._logit(inner, ONE, transform))

    def _plain(self, node: Expression) -> bool:
        return node.names() <= set(self.items)

    def _of_data(self, node: Expression) -> bool:
        """It reads data items, also such as change, and no parameter."""
        names = node.names()
        return bool(names) and not names & set(self.parameters)

    def _leaf(self, node: Expression, factor: Expression) -> Iterator[Term]:
        value = _product(factor, node)
        yield Term("", "", value, mixed=not self._plain(value))

    def _logit(self, node: Expression, factor: Expression, transform: Transform) -> Iterator[Term]:
        """A sum in which LOG((THETA - lower)/(upper - THETA)) may stand."""
        for part, own in _summands(node, factor):
            name = _logit_of(part, transform)
            if name in self.parameters:
                yield Term(name, "logit", own)
            else:
                yield from self._sum(part, own)

    def _sum(self, node: Expression, factor: Expression) -> Iterator[Term]:
        match node:
            case Binary(operator=("+" | "-")) | Negate():
                for part, own in _summands(node, factor):
                    yield from self._sum(part, own)
            case Binary(operator="*", left=left, right=right) if self._plain(left):
                yield from self._sum(right, multiply(factor, left))
            case Binary(operator="*", left=left, right=right) if self._plain(right):
                yield from self._sum(left, multiply(factor, right))
            case Binary(operator="/", left=left, right=right) if self._plain(right):
                yield from self._sum(left, divide(factor, right))
            case Where(condition=condition, then=then, otherwise=otherwise) if self._plain(condition):
                parts = [
                    *self._sum(then, simplified(Where(condition, factor, ZERO))),
                    *self._sum(otherwise, simplified(Where(condition, ZERO, factor))),
                ]
                yield from self._leaf(node, factor) if any(t.mixed for t in parts) else parts
            case Call(function="LOG", arguments=(argument,)) if not self._plain(argument):
                yield from self._log(argument, factor)
            case Symbol(name=name) if name in self.parameters:
                yield Term(name, "", factor)
            case _:
                yield from self._leaf(node, factor)

    def _log(self, node: Expression, factor: Expression) -> Iterator[Term]:
        """Terms of factor * log(node)."""
        match node:
            case _ if self._of_data(node) and not self._plain(node):
                yield from self._leaf(Call("LOG", (node,)), factor)
            case Binary(operator="/", left=Binary(operator="*", left=left, right=item), right=Number()) if (
                self._plain(item) and item.names()
            ):  # THETA*WT/70
                yield from self._log(left, factor)
                yield from self._log(Binary("/", item, node.right), factor)
            case Binary(operator=("/" | "+" | "-")) if self._plain(node):
                yield from self._leaf(Call("LOG", (node,)), factor)
            case Binary(operator="*", left=left, right=right):
                yield from self._log(left, factor)
                yield from self._log(right, factor)
            case Binary(operator="/", left=left, right=right):
                yield from self._log(left, factor)
                yield from self._log(right, multiply(Number(-1.0), factor))
            case Binary(operator="**", left=left, right=right):
                yield from self._power(left, right, factor)
            case Call(function="EXP", arguments=(argument,)):
                yield from self._sum(argument, factor)
            case Call(function="SQRT", arguments=(argument,)):
                yield from self._log(argument, multiply(Number(0.5), factor))
            case Where(condition=condition, then=then, otherwise=otherwise) if self._plain(condition):
                parts = [
                    *self._log(then, simplified(Where(condition, factor, ZERO))),
                    *self._log(otherwise, simplified(Where(condition, ZERO, factor))),
                ]
                yield from self._leaf(Call("LOG", (node,)), factor) if any(t.mixed for t in parts) else parts
            case Symbol(name=name) if name in self.parameters:
                yield Term(name, "log", factor)
            case Number(value=1.0):
                return
            case _:
                yield from self._leaf(simplified(Call("LOG", (node,))), factor)

    def _power(self, base: Expression, exponent: Expression, factor: Expression) -> Iterator[Term]:
        if self._plain(exponent):
            yield from self._log(base, multiply(factor, exponent))
        elif self._plain(base):
            yield from self._sum(exponent, multiply(factor, simplified(Call("LOG", (base,)))))
        else:
            yield from self._leaf(Binary("*", exponent, Call("LOG", (base,))), factor)


def _product(factor: Expression, node: Expression) -> Expression:
    """factor * node, computed only in the branches of the factor that are not 0: elsewhere the node may have none."""
    if isinstance(factor, Where):
        then, otherwise = _product(factor.then, node), _product(factor.otherwise, node)
        return simplified(Where(factor.condition, then, otherwise, at=factor.at))
    return multiply(factor, node)


def _summands(node: Expression, factor: Expression) -> Iterator[tuple[Expression, Expression]]:
    """The parts of a sum, each with its factor."""
    match node:
        case Binary(operator="+", left=left, right=right):
            yield from _summands(left, factor)
            yield from _summands(right, factor)
        case Binary(operator="-", left=left, right=right):
            yield from _summands(left, factor)
            yield from _summands(right, multiply(Number(-1.0), factor))
        case Negate(operand=operand):
            yield from _summands(operand, multiply(Number(-1.0), factor))
        case _:
            yield node, factor


def _collected(terms: Iterator[Term]) -> list[Term]:
    """One term per parameter and scale; numbers, functions of covariates and mixed ones stay apart."""
    found: dict[tuple[str, Scale, bool, bool], Expression] = {}
    for term in terms:
        alone = not term.name and isinstance(term.factor, Number)
        key = term.name, term.scale, term.mixed, alone
        found[key] = add(found.get(key, ZERO), term.factor)
    return [Term(n, s, f, mixed=m) for (n, s, m, _), f in found.items() if not is_number(f, 0.0)]


def _logit_argument(psi: Expression, transform: Transform) -> Expression | None:
    """x where psi = lower + (upper - lower)/(1 + EXP(-x)) or ... * EXP(x)/(1 + EXP(x)); None: written otherwise."""
    width = transform.upper - transform.lower
    if transform.lower != 0.0:
        match psi:
            case Binary(operator="+", left=Number(value=value), right=rest) if value == transform.lower:
                psi = rest
            case Binary(operator="+", left=rest, right=Number(value=value)) if value == transform.lower:
                psi = rest
            case _:
                return None
    match psi:
        case Binary(operator="*", left=Number(value=value), right=rest) if value == width:
            psi = rest
        case Binary(operator="*", left=rest, right=Number(value=value)) if value == width:
            psi = rest
        case Binary(operator="/", left=Number(value=value), right=below) if value == width:
            psi = Binary("/", ONE, below)
        case _ if width != 1.0:
            return None
    match psi:
        case Binary(operator="/", left=Number(value=1.0), right=below):
            exponent = _one_plus_exp(below)
            return None if exponent is None else _negative(exponent)
        case Binary(operator="/", left=Call(function="EXP", arguments=(x,)), right=below) if _one_plus_exp(below) == x:
            return x
    return None


def _one_plus_exp(node: Expression) -> Expression | None:
    match node:
        case Binary(operator="+", left=Number(value=1.0), right=Call(function="EXP", arguments=(x,))):
            return x
        case Binary(operator="+", left=Call(function="EXP", arguments=(x,)), right=Number(value=1.0)):
            return x
    return None


def _negative(node: Expression) -> Expression:
    return node.operand if isinstance(node, Negate) else multiply(Number(-1.0), node)


def _logit_of(node: Expression, transform: Transform) -> str:
    """The name p where node is LOG((p - lower)/(upper - p)); "": it is not."""
    low, high = transform.lower, transform.upper
    match node:
        case Call(function="LOG", arguments=(Binary(operator="/", left=above, right=below),)):
            match below:
                case Binary(operator="-", left=Number(value=top), right=Symbol(name=p)) if top == high:
                    pass
                case _:
                    return ""
            match above:
                case Symbol(name=name) if name == p and low == 0.0:
                    return p
                case Binary(operator="-", left=Symbol(name=name), right=Number(value=bottom)):
                    return p if name == p and bottom == low else ""
    return ""
