"""Statements of a text in the names of one program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace

from nlmevae.frontends.monolix.names import program_name
from nlmevae.ir import Assign, Expression, If, Statement, Symbol


def renamed(statements: Iterable[Statement], of: Mapping[str, str]) -> tuple[Statement, ...]:
    """Every name as `of` says, else as `program_name` does."""
    return tuple(_statement(statement, of) for statement in statements)


def renamed_expression(node: Expression, of: Mapping[str, str]) -> Expression:
    """The same of one expression."""
    if isinstance(node, Symbol):
        return Symbol(_name(node.name, of), at=node.at)
    changed = {}
    for item in fields(node):
        value = getattr(node, item.name)
        if isinstance(value, Expression):
            changed[item.name] = renamed_expression(value, of)
        elif item.name == "arguments":
            changed[item.name] = tuple(renamed_expression(part, of) for part in value)
    return replace(node, **changed) if changed else node


def _statement(statement: Statement, of: Mapping[str, str]) -> Statement:
    if isinstance(statement, Assign):
        return Assign(_name(statement.target, of), renamed_expression(statement.value, of), at=statement.at)
    arms = tuple((renamed_expression(condition, of), renamed(body, of)) for condition, body in statement.arms)
    return If(arms, renamed(statement.orelse, of), at=statement.at)


def _name(name: str, of: Mapping[str, str]) -> str:
    found = of.get(name)
    return program_name(name) if found is None else found
