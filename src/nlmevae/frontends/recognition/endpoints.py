"""Which records have which residual error: kinds of records with one form, and the condition that chooses them."""

from __future__ import annotations

from collections.abc import Sequence

from nlmevae.frontends.recognition.data_values import all_of, any_of, negated
from nlmevae.ir import Binary, Call, Compare, Expression, Logical, Negate, Not, Number, Symbol, Where

Truth = tuple[bool, ...]


def deciding(truths: Sequence[Truth], labels: Sequence[int], needed: Sequence[int] = ()) -> list[int]:
    """Positions of the fewest conditions that still tell records of different labels apart; `needed` ones stay."""
    kept = list(range(len(truths[0])))
    for k in range(len(truths[0]) - 1, -1, -1):
        fewer = [j for j in kept if j != k]
        if k not in needed and _tells_apart(truths, labels, fewer):
            kept = fewer
    return kept


def _tells_apart(truths: Sequence[Truth], labels: Sequence[int], kept: list[int]) -> bool:
    seen: dict[Truth, int] = {}
    return all(
        seen.setdefault(tuple(t[j] for j in kept), label) == label for t, label in zip(truths, labels, strict=True)
    )


def condition_of(
    conditions: Sequence[Expression], truths: Sequence[Truth], labels: Sequence[int], label: int, kept: list[int]
) -> Expression | None:
    """The condition under which a record has `label`; None if every record has it."""
    if len(set(labels)) == 1 and not kept:
        return None
    own = dict.fromkeys(tuple(t[j] for j in kept) for t, other in zip(truths, labels, strict=True) if other == label)
    others = [tuple(t[j] for j in kept) for t, other in zip(truths, labels, strict=True) if other != label]
    terms: list[Expression] = []
    for pattern in own:
        literals = list(range(len(kept)))
        for k in reversed(range(len(kept))):  # drop what follows from the rest, negations first
            literals = _without(literals, k, pattern, others, negative=True)
        for k in reversed(range(len(kept))):
            literals = _without(literals, k, pattern, others, negative=False)
        parts = [conditions[kept[k]] if pattern[k] else negated(conditions[kept[k]]) for k in literals]
        term = all_of(parts) if parts else None
        if term is not None and term not in terms:
            terms.append(term)
    return any_of(terms) if terms else None


def _without(literals: list[int], k: int, pattern: Truth, others: list[Truth], *, negative: bool) -> list[int]:
    if k not in literals or pattern[k] == negative:
        return literals
    fewer = [j for j in literals if j != k]
    return literals if any(all(other[j] == pattern[j] for j in fewer) for other in others) else fewer


def text_of(expression: Expression) -> str:
    """``DVID == 1 and BLQ != 1``: to print."""
    match expression:
        case Number(value):
            return f"{value:g}"
        case Symbol(name):
            return name
        case Compare(operator, left, right):
            return f"{text_of(left)} {operator} {text_of(right)}"
        case Logical(operator, left, right):
            sides = [
                f"({text_of(side)})" if isinstance(side, Logical) and side.operator != operator else text_of(side)
                for side in (left, right)
            ]
            return f" {operator} ".join(sides)
        case Not(operand):
            return f"not ({text_of(operand)})"
        case Negate(operand):
            return f"-{text_of(operand)}"
        case Binary(operator, left, right):
            return f"({text_of(left)} {operator} {text_of(right)})"
        case Call(function, arguments):
            return f"{function}({', '.join(text_of(a) for a in arguments)})"
        case Where(condition, then, otherwise):
            return f"({text_of(then)} if {text_of(condition)} else {text_of(otherwise)})"
    return type(expression).__name__
