"""Categories in the stream: their labels where those are whole numbers, else 0, 1, ... with a comment.

The engine reads categories as 0, 1, ... in their declared order. A data set in which races are 1, 2 and 3 should have
1, 2 and 3 in NONMEM, too: values of the column and comparisons of the code are then written with the labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from nlmevae.ir import Assign, Compare, Expression, If, Model, Number, Statement, Symbol
from nlmevae_translators.expression_parts import with_children
from nlmevae_translators.to_nonmem.program_parts import Parts

Labels = Mapping[str, tuple[float, ...]]


def category_labels(model: Model, parts: Parts) -> dict[str, tuple[float, ...]]:
    """Item -> numbers that are its labels; items that the code reads otherwise than in comparisons with a number are
    left out."""
    found = {}
    for covariate in model.project.covariates if model.project is not None else ():
        numbers = tuple(_number(label) for label in covariate.categories)
        if numbers and not covariate.computed and None not in numbers:
            found[covariate.item] = tuple(n for n in numbers if n is not None)
    for statements in (parts.pk, parts.des, parts.error):
        for value in _values(statements):
            for name in _read_otherwise(value, found):
                found.pop(name, None)
    return found


def with_labels(parts: Parts, labels: Labels) -> Parts:
    """The comparisons with labels in place of 0, 1, ..."""
    return replace(
        parts, pk=_relabelled(parts.pk, labels), des=_relabelled(parts.des, labels),
        error=_relabelled(parts.error, labels),
    )  # fmt: skip


def label_values(codes: np.ndarray, labels: Sequence[float]) -> np.ndarray:
    """(n,) labels of codes; what is no code stays."""
    values = codes.copy()
    for code, label in enumerate(labels):
        values[codes == code] = label
    return values


def _number(label: str) -> float | None:
    return float(label) if label.lstrip("-").isdigit() and str(int(label)) == label and len(label) < 8 else None


def _values(statements: Sequence[Statement]) -> Iterator[Expression]:
    for statement in statements:
        if isinstance(statement, Assign):
            yield statement.value
        else:
            for condition, body in statement.arms:
                yield condition
                yield from _values(body)
            yield from _values(statement.orelse)


def _read_otherwise(node: Expression, names: Labels) -> Iterator[str]:
    match node:
        case Compare(operator=("==" | "!="), left=Symbol(), right=Number()):
            return
        case Symbol(name=name) if name in names:
            yield name
    for child in node.children():
        yield from _read_otherwise(child, names)


def _relabelled(statements: Sequence[Statement], labels: Labels) -> tuple[Statement, ...]:
    found: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Assign):
            found.append(replace(statement, value=_expression(statement.value, labels)))
        else:
            arms = tuple((_expression(c, labels), _relabelled(body, labels)) for c, body in statement.arms)
            found.append(If(arms, _relabelled(statement.orelse, labels), statement.at))
    return tuple(found)


def _expression(node: Expression, labels: Labels) -> Expression:
    match node:
        case Compare(operator=operator, left=Symbol(name=name), right=Number(value=value)) if name in labels:
            known = value == int(value) and 0 <= value < len(labels[name])
            return Compare(operator, node.left, Number(labels[name][int(value)] if known else value), at=node.at)
    return with_children(node, tuple(_expression(child, labels) for child in node.children()))
