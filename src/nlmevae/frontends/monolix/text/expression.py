"""Nodes -> expressions and statements of the IR. Names stay Mlxtran's own.

A condition used as a value is 1 where it holds and 0 elsewhere; a value used as a condition holds where it is not 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TypeGuard

from nlmevae.errors import ModelSyntaxError, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.text.functions import COMPOSED, DIRECT, REFUSED
from nlmevae.frontends.monolix.text.nodes import (
    Assignment,
    CallNode,
    Conditional,
    Label,
    ListNode,
    Node,
    Numeral,
    Operation,
    Quoted,
    Word,
)
from nlmevae.ir import (
    FUNCTIONS,
    Assign,
    Binary,
    Call,
    Compare,
    Expression,
    If,
    Logical,
    Negate,
    Not,
    Number,
    Statement,
    Symbol,
    Where,
)

_COMPARISONS = {"==": "==", "!=": "!=", "~=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_LOGICAL = {"&": "and", "&&": "and", "|": "or", "||": "or"}
_ARITHMETIC = {"+": "+", "-": "-", "*": "*", "/": "/", "^": "**"}


def value_of(node: Node) -> Expression:
    """The node as a number-valued expression."""
    expression = _lower(node)
    if _is_condition(expression):
        return Where(expression, Number(1.0), Number(0.0), at=node.at)
    return expression


def condition_of(node: Node) -> Expression:
    """The node as a condition."""
    expression = _lower(node)
    if _is_condition(expression):
        return expression
    return Compare("!=", expression, Number(0.0), at=node.at)


def statements_of(nodes: Iterable[Node]) -> tuple[Statement, ...]:
    """Assignments and if blocks."""
    return tuple(_statement(node) for node in nodes)


def _statement(node: Node) -> Statement:
    if isinstance(node, Assignment):
        if not isinstance(node.target, Word):
            raise ModelSyntaxError(
                f"{node.target.written} cannot be assigned",
                hint="left of = stands one name; a list of names stands before pkmodel(...) only",
                location=node.target.at,
            )
        return Assign(node.target.text, value_of(node.value), node.target.at)
    if isinstance(node, Conditional):
        arms = tuple((condition_of(condition), statements_of(body)) for condition, body in node.arms)
        return If(arms, statements_of(node.orelse), node.at)
    assert isinstance(node, CallNode)
    if node.name.text in REFUSED:
        raise _refused_function(node)
    raise UnsupportedError(
        f"{node.name.text}(...) is not a statement of equations",
        hint="macros stand under PK:; write name = expression here",
        location=node.name.at,
    )


def _is_condition(expression: Expression) -> TypeGuard[Compare | Logical | Not]:
    return isinstance(expression, (Compare, Logical, Not))


def _lower(node: Node) -> Expression:
    if isinstance(node, Numeral):
        return Number(float(node.text), at=node.at)
    if isinstance(node, Word):
        return _symbol(node)
    if isinstance(node, Operation):
        return _operation(node)
    if isinstance(node, CallNode):
        return _call(node)
    if isinstance(node, Quoted):
        raise ModelSyntaxError(
            "text in quotes is not a value of an expression", hint="write a number or a name", location=node.at
        )
    if isinstance(node, Label):
        raise ModelSyntaxError(
            f"{node.text} is neither a number nor a name",
            hint="names start with a letter; an operator may be missing",
            location=node.at,
        )
    what = "a list" if isinstance(node, ListNode) else node.written.split()[0]
    raise ModelSyntaxError(f"{what} is not an expression", hint="write a number, a name or a formula", location=node.at)


def _symbol(node: Word) -> Expression:
    if node.text == "no-variability":
        raise ModelSyntaxError(
            "no-variability is not a value", hint="it stands alone in the definition of a parameter", location=node.at
        )
    return Symbol(node.text, at=node.at)


def _operation(node: Operation) -> Expression:
    operator = node.operator
    if operator == "(" or (operator == "+" and len(node.operands) == 1):
        return _lower(node.operands[0])
    if operator == "!":
        return Not(condition_of(node.operands[0]), at=node.at)
    if len(node.operands) == 1:
        return Negate(value_of(node.operands[0]), at=node.at)
    left, right = node.operands
    if operator in _LOGICAL:
        return Logical(_LOGICAL[operator], condition_of(left), condition_of(right), at=node.at)
    if operator in _COMPARISONS:
        _check_negated(left)
        return Compare(_COMPARISONS[operator], value_of(left), value_of(right), at=node.at)
    return Binary(_ARITHMETIC[operator], value_of(left), value_of(right), at=node.at)


def _check_negated(node: Node) -> None:
    """`!a == b`: what is negated is not agreed upon."""
    if isinstance(node, Operation) and node.operator == "!":
        raise ModelSyntaxError(
            "! before a comparison without parentheses", hint="write !(a == b), or (!a) == b", location=node.at
        )


def _call(node: CallNode) -> Expression:
    name = node.name.text
    if name in REFUSED:
        raise _refused_function(node)
    if name not in DIRECT and name not in COMPOSED:
        close = get_close_matches(name, [*DIRECT, *COMPOSED], n=1)
        raise SemanticError(
            f"{name} is not a function of Mlxtran",
            hint=f"did you mean {close[0]}?" if close else f"if {name} is a variable, an operator is missing before (",
            location=node.name.at,
        )
    arguments = tuple(value_of(argument) for argument in node.arguments)
    count = FUNCTIONS[DIRECT[name]] if name in DIRECT else COMPOSED[name][0]
    if len(arguments) != count and not (count < 0 and len(arguments) >= 2):
        wanted = "two or more arguments" if count < 0 else f"{count} argument{'s' if count > 1 else ''}"
        raise SemanticError(
            f"{name} takes {wanted}, not {len(arguments)}", hint="check the commas between them", location=node.at
        )
    if name in DIRECT:
        return Call(DIRECT[name], arguments, at=node.at)
    return dataclasses.replace(COMPOSED[name][1](*arguments), at=node.at)


def _refused_function(node: CallNode) -> UnsupportedError:
    why, remedy = REFUSED[node.name.text]
    return UnsupportedError(f"{node.name.text}(): {why}", hint=remedy, location=node.name.at)
