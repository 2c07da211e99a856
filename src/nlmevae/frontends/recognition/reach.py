"""What one input reaches: the question `dependencies.trace` answers for all inputs at once, asked for one ETA.

A model with an ETA per occasion has hundreds of them, each of which touches a few statements; only these are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from nlmevae.frontends.recognition.dependencies import deciding_expressions, dosing_names
from nlmevae.ir import Assign, Model, Statement, names_assigned, names_read, needed_names


def reached(statements: Sequence[Statement], carriers: set[str], cut: str = "") -> set[str]:
    """The names that carry the input after the statements, `carriers` being those before. Assignments to `cut` that
    depend on it count as an input of their own, as in `dependencies.trace`."""
    carriers = set(carriers)
    for statement in statements:
        _follow(statement, carriers, cut)
    return carriers


def _follow(statement: Statement, carriers: set[str], cut: str) -> None:
    if isinstance(statement, Assign):
        if statement.target != cut and not carriers.isdisjoint(statement.value.names()):
            carriers.add(statement.target)
        else:
            carriers.discard(statement.target)
    elif touches(statement, carriers):
        by_condition = any(not carriers.isdisjoint(condition.names()) for condition, _ in statement.arms)
        results = [reached(body, carriers, cut) for _, body in statement.arms]
        results.append(reached(statement.orelse, carriers, cut))
        for name in names_assigned((statement,)):
            if by_condition or any(name in result for result in results):
                carriers.add(name)
            else:
                carriers.discard(name)


def touches(statement: Statement, carriers: Set[str]) -> bool:
    """The statement reads one of them, or an IF may leave one as it is."""
    if isinstance(statement, Assign):
        return not carriers.isdisjoint(statement.value.names())
    parts = (statement,)
    return not (carriers.isdisjoint(names_read(parts)) and carriers.isdisjoint(names_assigned(parts)))


def reaches_data(model: Model, program: Sequence[Statement], eta: str, cut: str, until: int) -> bool:
    """The data see the ETA other than through the variable `cut`, as it is after the first `until` statements of the
    individual program: see `dependencies.outputs`."""
    carriers = reached(program[until:], reached(program[:until], {eta}, cut))
    if not model.structural.compartments:
        return "Y" in carriers
    if not carriers.isdisjoint(dosing_names(model)):
        return True
    if any(name.startswith("DADT(") for name in reached(model.program.des, carriers)):
        return True
    return "Y" in reached(model.program.error, carriers)


def decides(statements: Sequence[Statement], eta: str, name: str) -> bool:
    """The ETA decides which piece of a piecewise function `name` is computed with: see
    `dependencies.piecewise_inputs`."""
    return _decides(statements, needed_names(statements, (name,)), {eta})


def _decides(statements: Sequence[Statement], needed: frozenset[str], carriers: set[str]) -> bool:
    for statement in statements:
        if not touches(statement, carriers):
            if isinstance(statement, Assign):
                carriers.discard(statement.target)
            continue
        if names_assigned((statement,)).isdisjoint(needed):
            continue
        if isinstance(statement, Assign):
            if any(not carriers.isdisjoint(part.names()) for part in deciding_expressions(statement.value)):
                return True
        elif any(
            not carriers.isdisjoint(condition.names()) or _decides(body, needed, set(carriers))
            for condition, body in statement.arms
        ) or _decides(statement.orelse, needed, set(carriers)):
            return True
        _follow(statement, carriers, "")
    return False
