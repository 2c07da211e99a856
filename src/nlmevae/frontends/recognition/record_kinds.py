"""Kinds of records that the code tells apart by data items alone: which endpoint, censored or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nlmevae.errors import UnsupportedError
from nlmevae.frontends.recognition.points import Points, sample_items
from nlmevae.ir import Call, Compare, Expression, Logical, Model, Not, Number, Symbol
from nlmevae.ir.evaluate import evaluate

N_RECORDS = 4000
MOST_KINDS = 64
FEWEST = 3  # records of a kind: fewer are a coincidence of the random numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordKind:
    """`truth` of every condition; `items` their values (n,) on n records of this kind, `n` points asked for."""

    truth: tuple[bool, ...]
    items: Points


def record_kinds(model: Model, conditions: Sequence[Expression], n: int, rng: np.random.Generator) -> list[RecordKind]:
    """The kinds of observation records found among random data items, most frequent first.

    Raises:
        UnsupportedError: there are more than 64.
    """
    items = sample_items(model, N_RECORDS, rng, record="observation")
    for condition in conditions:
        for compare in _comparisons(condition):
            _draw_around(model, compare, items, rng)
    truth = truth_of(conditions, items, N_RECORDS)
    patterns, where, counts = np.unique(truth, axis=0, return_inverse=True, return_counts=True)
    if len(patterns) > MOST_KINDS:
        raise UnsupportedError(
            f"Y tells {len(patterns)} kinds of records apart, more than {MOST_KINDS}",
            hint="number the endpoints in one data item, such as DVID",
            location=next((c.at for c in conditions if c.at is not None), None),
        )
    kinds = []
    for k in np.argsort(-counts, kind="stable"):
        rows = np.flatnonzero(where.ravel() == k)
        if len(rows) >= FEWEST:
            chosen = rng.choice(rows, n)
            values = {name: value[chosen] for name, value in items.items()}
            kinds.append(RecordKind(truth=tuple(bool(t) for t in patterns[k]), items=values))
    return kinds


def truth_of(conditions: Sequence[Expression], items: Points, n: int) -> np.ndarray:
    """(n, n_conditions) bool."""
    columns = [np.broadcast_to(evaluate(condition, items), (n,)) for condition in conditions]
    return np.column_stack(columns) if columns else np.zeros((n, 0), dtype=bool)


def _comparisons(condition: Expression) -> Iterator[Compare]:
    if isinstance(condition, Compare):
        yield condition
    elif isinstance(condition, Logical | Not):
        for child in condition.children():
            yield from _comparisons(child)


def _draw_around(model: Model, compare: Compare, items: Points, rng: np.random.Generator) -> None:
    """On one record in three, a compared data item, or its size, gets the value compared with, or one beside it."""
    for side, other in ((compare.left, compare.right), (compare.right, compare.left)):
        one = side.arguments[0] if isinstance(side, Call) and side.function == "ABS" else side  # ABS(CMT).EQ.3
        if not isinstance(one, Symbol) or one.name not in items:
            continue
        beside = np.broadcast_to(evaluate(other, items), (N_RECORDS,))
        step = np.ones(N_RECORDS) if isinstance(other, Number) else 0.5 * np.abs(beside) + 0.1
        moved = beside + rng.choice([-1.0, 0.0, 1.0], N_RECORDS) * step
        drawn = np.where(rng.uniform(size=N_RECORDS) < 1 / 3, moved, items[one.name])
        for name in spellings(model, one.name):
            items[name] = drawn


def spellings(model: Model, item: str) -> list[str]:
    """Both names of a data item."""
    for column in model.data.columns:
        names = [name for name in (column.name, column.synonym) if name]
        if item in names:
            return names
    return [item]
