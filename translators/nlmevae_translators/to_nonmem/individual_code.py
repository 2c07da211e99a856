"""MU referencing: h(P) = MU_k + ETA(k) in code that NONMEM's EM methods recognise.

P = THETA*EXP(s + ETA)      MU = LOG(THETA) + s     P = EXP(MU + ETA)
P = THETA + s + ETA         MU = THETA + s          P = MU + ETA
P = h^-1(g + s + ETA)       MU = g + s              P = h^-1(MU + ETA)
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nlmevae.ir import Assign, Binary, Call, Expression, Statement, Symbol
from nlmevae_translators.expression_parts import with_children

_ETA = re.compile(r"ETA\((\d+)\)\Z")
_THETA = re.compile(r"THETA\(\d+\)\Z")


def mu_referenced(statements: Sequence[Statement]) -> tuple[Statement, ...]:
    """The statements with MU_k before every parameter that has ETA(k) in a sum of its own; others stay."""
    found: list[Statement] = []
    seen: set[int] = set()
    for statement in statements:
        split = _split(statement.value) if isinstance(statement, Assign) else None
        if split is None or split[0] in seen:
            found.append(statement)
            continue
        number, mu, value = split
        seen.add(number)
        found += [Assign(f"=MU_{number}", mu, at=statement.at), Assign(statement.target, value, at=statement.at)]
    return tuple(found)


def _split(value: Expression) -> tuple[int, Expression, Expression] | None:
    """k, MU_k and the value with it; None where the value has no ETA in a sum."""
    match value:
        case Binary("*", Symbol(theta), Call("EXP", (inner,))) if _THETA.match(theta):
            direct = _sum_split(Binary("+", Call("LOG", (Symbol(theta),)), inner, at=value.at))
            return None if direct is None else (direct[0], direct[1], Call("EXP", (direct[2],), at=value.at))
    direct = _sum_split(value)
    if direct is not None:
        return direct
    children = value.children()
    for k, child in enumerate(children):
        inside = _split(child)
        if inside is not None:
            number, mu, inner = inside
            return number, mu, with_children(value, (*children[:k], inner, *children[k + 1 :]))
    return None


def _sum_split(value: Expression) -> tuple[int, Expression, Expression] | None:
    terms = _terms(value)
    own = next((t for t in terms if isinstance(t, Symbol) and _ETA.match(t.name)), None)
    fixed = [t for t in terms if not any(_ETA.match(n) for n in t.names())]
    if own is None or not fixed:
        return None
    number = int(_ETA.match(own.name).group(1))  # type: ignore[union-attr]
    random = [t for t in terms if t not in fixed]
    return number, _sum(fixed), _sum([Symbol(f"=MU_{number}", at=value.at), *random])


def _terms(value: Expression) -> list[Expression]:
    if isinstance(value, Binary) and value.operator == "+":
        return [*_terms(value.left), *_terms(value.right)]
    return [value]


def _sum(terms: Sequence[Expression]) -> Expression:
    total = terms[0]
    for term in terms[1:]:
        total = Binary("+", total, term, at=term.at)
    return total
