"""Branches that data items decide, of which the records of one outcome take the same: the other arms are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from nlmevae.data.event_table import EventTable
from nlmevae.ir import Assign, Expression, If, Statement
from nlmevae.ir.evaluate import evaluate
from nlmevae_translators.to_monolix.groups import OutcomeGroup

Decided = Callable[[Expression], bool | None]


def decided_for(group: OutcomeGroup, table: EventTable) -> Decided:
    """What a condition on data items is on all records of the outcome; None: it differs, or is no part of the choice
    of an outcome or of how a value is censored."""
    values = {name: table.ob_data[group.rows, k] for k, name in enumerate(table.record_names)}

    def decided(condition: Expression) -> bool | None:
        names = condition.names()
        if not names or not names <= values.keys() or names.isdisjoint(group.chosen):
            return None
        found = np.unique(np.asarray(evaluate(condition, {n: values[n] for n in names}), dtype=bool))
        return bool(found[0]) if len(found) == 1 else None

    return decided


def settled(statements: Iterable[Statement], decided: Decided) -> tuple[Statement, ...]:
    """The statements without arms that are never taken."""
    found: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Assign):
            found.append(statement)
            continue
        arms = []
        otherwise = settled(statement.orelse, decided)
        for condition, body in statement.arms:
            truth = decided(condition)
            if truth is None:
                arms.append((condition, settled(body, decided)))
            elif truth:
                otherwise = settled(body, decided)
                break
        found += [If(arms=tuple(arms), orelse=otherwise, at=statement.at)] if arms else otherwise
    return tuple(found)
