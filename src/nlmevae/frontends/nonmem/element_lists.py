"""$ABBREVIATED REPLACE by lists: ``ETA(OCC_CL) = ETA(3,4,5)`` means ETA(3) on records with OCC = 1, and so on.

NM-TRAN writes a statement that reads such an element once for each value of the data item, behind an IF; so is it done
here. On records where the item has none of the values the statement does not run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from nlmevae.errors import Location, ModelSyntaxError, SemanticError
from nlmevae.ir import (
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

_RANGE = re.compile(r"(\d+)(?:TO|:)(\d+)(?:BY([-+]?\d+))?\Z")


@dataclass(frozen=True, slots=True)
class ElementList:
    """`elements` in the order of the values 1, 2, ... of `item`."""

    item: str
    elements: tuple[str, ...]


def element_numbers(text: str, at: Location) -> tuple[int, ...]:
    """``3,4,5`` or ``,4TO10BY3`` or ``10:4`` -> the numbers.

    Raises:
        ModelSyntaxError: none of these.
    """
    found: list[int] = []
    parts = text.split(",")
    if parts and not parts[0] and any(_RANGE.match(part) for part in parts[1:]):
        parts = parts[1:]  # NM-TRAN writes a comma before a range
    for part in parts:
        match = _RANGE.match(part)
        if match:
            first, last = int(match.group(1)), int(match.group(2))
            step = int(match.group(3) or (1 if last >= first else -1))
            if step == 0 or (last - first) * step < 0:
                raise _unreadable(text, at)
            found += range(first, last + (1 if step > 0 else -1), step)
        elif part.isdigit():
            found.append(int(part))
        else:
            raise _unreadable(text, at)
    return tuple(found)


def _unreadable(text: str, at: Location) -> ModelSyntaxError:
    return ModelSyntaxError(
        f"REPLACE: ({text}) is not a list of numbers", hint="write (3,4,5) or (,3 TO 5) or (,3 TO 9 BY 3)", location=at
    )


def item_of(label: str, items: Iterable[str]) -> str | None:
    """The data item a label like OCC or OCC_CL starts with; the longest where several do."""
    fitting = [item for item in items if label == item or label.startswith(f"{item}_")]
    return max(fitting, key=len, default=None)


def lists_in(expression: Expression, lists: Mapping[str, ElementList]) -> dict[str, tuple[str, ...]]:
    """Data item -> the listed names that the expression reads, in the order of reading."""
    found: dict[str, tuple[str, ...]] = {}
    for node in expression.walk():
        if isinstance(node, Symbol) and node.name in lists:
            item = lists[node.name].item
            found[item] = tuple(dict.fromkeys((*found.get(item, ()), node.name)))
    return found


def by_values(statement: Assign, lists: Mapping[str, ElementList]) -> Statement:
    """The statement once for each value of the data items that choose its elements.

    Raises:
        SemanticError: two lists of one item differ in length.
    """
    chosen = lists_in(statement.value, lists)
    if not chosen:
        return statement
    item, names = next(iter(chosen.items()))
    lengths = {len(lists[name].elements) for name in names}
    if len(lengths) > 1:
        raise SemanticError(
            f"the lists {', '.join(names)} have different lengths",
            hint=f"give both one element for each value of {item}",
            location=statement.at,
        )
    arms = []
    for k in range(lengths.pop()):
        value = with_names(statement.value, {name: lists[name].elements[k] for name in names})
        condition = Compare("==", Symbol(item, at=statement.at), Number(k + 1.0, at=statement.at), at=statement.at)
        arms.append((condition, (by_values(replace(statement, value=value), lists),)))
    return If(tuple(arms), at=statement.at)


def with_names(expression: Expression, names: Mapping[str, str]) -> Expression:
    """The expression with other names in place of some."""
    match expression:
        case Symbol():
            return Symbol(names.get(expression.name, expression.name), at=expression.at)
        case Negate() | Not():
            return replace(expression, operand=with_names(expression.operand, names))
        case Binary() | Compare() | Logical():
            left, right = with_names(expression.left, names), with_names(expression.right, names)
            return replace(expression, left=left, right=right)
        case Call():
            return replace(expression, arguments=tuple(with_names(a, names) for a in expression.arguments))
        case Where():
            parts = (expression.condition, expression.then, expression.otherwise)
            return Where(*(with_names(p, names) for p in parts), at=expression.at)
    return expression
