"""Expressions and definitions in Mlxtran. Powers bind to the right and tighter than a sign, as in Fortran."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from nlmevae.ir import Binary, Call, Compare, Expression, Logical, Negate, Not, Number, Symbol, Where
from nlmevae_translators.to_monolix.refusal import RefusedError

#: Function of programs -> of Mlxtran. INT has none: it is written with floor and ceil.
FUNCTIONS = {
    "EXP": "exp", "LOG": "log", "LOG10": "log10", "SQRT": "sqrt", "ABS": "abs", "SIN": "sin", "COS": "cos",
    "TAN": "tan", "ASIN": "asin", "ACOS": "acos", "ATAN": "atan", "TANH": "tanh", "SINH": "sinh", "COSH": "cosh",
    "MOD": "rem", "PHI": "normcdf", "GAMLN": "gammaln", "MIN": "min", "MAX": "max",
}  # fmt: skip
_LEVEL = {"or": 1, "and": 2, "+": 4, "-": 4, "*": 5, "/": 5, "**": 8}
_COMPARISON, _SIGN, _ATOM = 3, 6, 9


def number_text(value: float) -> str:
    """Shortest text that reads back as the same number.

    Raises:
        RefusedError: it is infinite or not a number.
    """
    if not math.isfinite(value):
        raise RefusedError(
            "a number of the code",
            f"{value:g} cannot be written: the code divides by 0, or by a number that is too large. Correct it there",
        )
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return repr(float(value))


def expression_text(node: Expression) -> str:
    """Mlxtran text of an expression without `Where`, which only definitions have."""
    return _text(node)[0]


def _text(node: Expression) -> tuple[str, int]:
    match node:
        case Number(value=value):
            return number_text(value), _ATOM if value >= 0 else _SIGN
        case Symbol(name=name):
            return name, _ATOM
        case Negate(operand=Binary(operator=("*" | "/"))):
            return f"-{_inside(node.operand, _LEVEL['*'])}", _LEVEL["+"]
        case Negate(operand=operand):
            return f"-{_inside(operand, _SIGN + 1)}", _SIGN
        case Binary(operator="**", left=left, right=right):
            return f"{_inside(left, _ATOM)}^{_inside(right, _ATOM)}", _LEVEL["**"]
        case Binary(operator=operator, left=left, right=right):
            level = _LEVEL[operator]
            space = " " if level == _LEVEL["+"] else ""
            return f"{_inside(left, level)}{space}{operator}{space}{_inside(right, level + 1)}", level
        case Compare(operator=operator, left=left, right=right):
            return f"{_inside(left, _COMPARISON + 1)} {operator} {_inside(right, _COMPARISON + 1)}", _COMPARISON
        case Logical(operator=operator, left=left, right=right):
            sign = "&&" if operator == "and" else "||"
            level = _LEVEL[operator]
            return f"{_inside(left, level + 1)} {sign} {_inside(right, level + 1)}", level
        case Not(operand=operand):
            return f"!({expression_text(operand)})", _SIGN
        case Call(function=function, arguments=arguments):
            return f"{FUNCTIONS[function]}({', '.join(expression_text(a) for a in arguments)})", _ATOM
    raise TypeError(f"no expression of a line: {node!r}")


def _inside(node: Expression, level: int) -> str:
    text, own = _text(node)
    return text if own >= level else f"({text})"


def definition_lines(name: str, value: Expression, fresh: Callable[[str], str]) -> Iterator[str]:
    """`name = value`, with an if block where the value has branches; branches inside an expression get a variable of
    their own before it. `fresh` gives new names."""
    if isinstance(value, Where):
        yield from _branches(name, value, fresh)
        return
    before: list[str] = []
    plain = _hoisted(value, before, fresh, name)
    yield from before
    yield f"{name} = {expression_text(plain)}"


def _branches(name: str, value: Where, fresh: Callable[[str], str]) -> Iterator[str]:
    before: list[str] = []
    arms: list[tuple[str, list[str]]] = []
    rest: Expression = value
    while isinstance(rest, Where):
        condition = _hoisted(rest.condition, before, fresh, name)
        arms.append((expression_text(condition), list(definition_lines(name, rest.then, fresh))))
        rest = rest.otherwise
    yield from before
    for k, (condition, body) in enumerate(arms):
        yield f"{'elseif' if k else 'if'} ({condition})"
        yield from (f"  {line}" for line in body)
    yield "else"
    yield from (f"  {line}" for line in definition_lines(name, rest, fresh))
    yield "end"


def _hoisted(node: Expression, before: list[str], fresh: Callable[[str], str], name: str) -> Expression:
    """The expression with a variable for everything that needs an if block."""

    def inner(part: Expression) -> Expression:
        return _hoisted(part, before, fresh, name)

    match node:
        case Where():
            variable = fresh(f"{name}_IF")
            before.extend(definition_lines(variable, node, fresh))
            return Symbol(variable)
        case Call(function="INT", arguments=(argument,)):
            return _truncated(inner(argument), before, fresh, name)
        case Call(function=("MIN" | "MAX") as function, arguments=(first, second, third, *rest)):
            pair = Call(function, (first, second))
            return inner(Call(function, (pair, third, *rest)))
        case Call(function=function, arguments=arguments):
            return Call(function, tuple(inner(a) for a in arguments))
        case Binary(operator=operator, left=left, right=right):
            return Binary(operator, inner(left), inner(right))
        case Compare(operator=operator, left=left, right=right):
            return Compare(operator, inner(left), inner(right))
        case Logical(operator=operator, left=left, right=right):
            return Logical(operator, inner(left), inner(right))
        case Negate(operand=operand):
            return Negate(inner(operand))
        case Not(operand=operand):
            return Not(inner(operand))
    return node


def _truncated(value: Expression, before: list[str], fresh: Callable[[str], str], name: str) -> Expression:
    """INT cuts towards 0: floor of what is positive, ceil of what is negative."""
    variable, text = fresh(f"{name}_INT"), expression_text(value)
    before.extend((f"if ({text} >= 0)", f"  {variable} = floor({text})", "else", f"  {variable} = ceil({text})", "end"))
    return Symbol(variable)
