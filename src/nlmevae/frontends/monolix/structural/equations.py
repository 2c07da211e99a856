"""Definitions in the order in which they can be computed, and what of them changes with time.

Mlxtran is declarative: a variable may be read above the line that defines it. Where one is defined more than once the
definitions keep their order, and who reads it reads the last one.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Iterable, Iterator, Set
from dataclasses import dataclass

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.ir import (
    FUNCTIONS,
    Assign,
    Call,
    Expression,
    If,
    Statement,
    Symbol,
    assignments,
    names_assigned,
    names_read,
)

#: Functions of Mlxtran that are none of programs -> what to do instead.
_UNSUPPORTED = {
    "delay": ("delay differential equations are not supported", "write the delay as transit compartments"),
    "bsmm": ("mixtures of models are not supported", "fit the models one by one"),
    "wsmm": ("mixtures of models are not supported", "fit the models one by one"),
}


_ONLY_AMOUNTS = "only the variables of ddt_ equations may be read in what defines them"


@dataclass(frozen=True, slots=True)
class Arranged:
    """Statements in an order that computes them: those of the individual level and those that change with time."""

    individual: tuple[Statement, ...]
    moving: tuple[Statement, ...]


def arrange(statements: Iterable[Statement], *, given: Set[str], moving: Set[str]) -> Arranged:
    """Sort definitions and split them by level.

    Args:
        given: names that have a value at the individual level.
        moving: time and the amounts.

    Raises:
        SemanticError: a name without value, definitions in a circle, a definition of what is given.
        UnsupportedError: a function that is not supported; a variable read between its definitions.
    """
    statements = tuple(statements)
    _check_targets(statements, given, moving)
    _check_functions(statements)
    ordered = _sorted(statements)
    changing = _changing(ordered, moving)
    individual = tuple(_filtered(ordered, names_assigned(ordered) - changing))
    dynamic = tuple(_filtered(ordered, changing))
    known = check_values(individual, given, statements)
    check_values(dynamic, known | moving, statements)
    return Arranged(individual, dynamic)


def _check_targets(statements: tuple[Statement, ...], given: Set[str], moving: Set[str]) -> None:
    for statement in assignments(statements):
        if statement.target in given or statement.target in moving:
            what = "an input" if statement.target in given else "the time" if statement.target == "t" else "an amount"
            raise SemanticError(
                f"{statement.target} is {what} of the model and is assigned", hint="give the variable another name",
                location=statement.at,
            )  # fmt: skip


def _check_functions(statements: tuple[Statement, ...]) -> None:
    for expression in expressions(statements):
        check_functions(expression)


def check_functions(expression: Expression) -> None:
    """Raises:
    UnsupportedError: a function that programs do not have.
    """
    for node in expression.walk():
        if isinstance(node, Call) and node.function not in FUNCTIONS:
            reason, remedy = _UNSUPPORTED.get(node.function.lower(), ("the function is not supported", "remove it"))
            raise UnsupportedError(f"{node.function.lower()}(...): {reason}", hint=remedy, location=node.at)


def expressions(statements: Iterable[Statement]) -> Iterator[Expression]:
    """Every value and condition, at any depth."""
    for statement in statements:
        if isinstance(statement, Assign):
            yield statement.value
        else:
            for condition, body in statement.arms:
                yield condition
                yield from expressions(body)
            yield from expressions(statement.orelse)


# order ------------------------------------------------------------------------------------------------------------
def _sorted(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Every statement after those it needs; as they stand where that leaves a choice."""
    targets = [names_assigned((s,)) for s in statements]
    definers: dict[str, list[int]] = {}
    for k, names in enumerate(targets):
        for name in names:
            definers.setdefault(name, []).append(k)
    before: list[set[int]] = [set() for _ in statements]
    for name, places in definers.items():
        for earlier, later in itertools.pairwise(places):
            before[later].add(earlier)
        for k, statement in enumerate(statements):
            if name not in targets[k] and name in needed_from_outside(statement):
                _check_place(name, k, places, statements)
                before[k].update(places)
    return tuple(statements[k] for k in _topological(before, statements))


def needed_from_outside(statement: Statement) -> frozenset[str]:
    """Names it reads that its own arm has not assigned before."""
    if isinstance(statement, Assign):
        return statement.value.names()
    found: set[str] = set()
    for condition, body in (*statement.arms, (None, statement.orelse)):
        if condition is not None:
            found |= condition.names()
        own: set[str] = set()
        for inner in body:
            found |= needed_from_outside(inner) - own
            own |= surely_assigned(inner)
    return frozenset(found)


def surely_assigned(statement: Statement) -> frozenset[str]:
    """Names it assigns whichever arm is taken."""
    if isinstance(statement, Assign):
        return frozenset((statement.target,))
    bodies = [body for _, body in statement.arms] + [statement.orelse]
    return frozenset.intersection(*(frozenset().union(*map(surely_assigned, body)) for body in bodies))


def _check_place(name: str, k: int, places: list[int], statements: tuple[Statement, ...]) -> None:
    if places[0] < k < places[-1]:
        raise _between(name, _where(name, (statements[k],)) or statements[k].at)


def check_line(names: Collection[str], at: Location | None, definitions: Iterable[Statement]) -> None:
    """The same rule for what is no definition itself: macros and slopes, which read the last value of `names`.

    Raises:
        UnsupportedError: one of them is defined above and again below.
    """
    lines: dict[str, list[int]] = {}
    for statement in definitions:
        for name in names_assigned((statement,)) & set(names):
            lines.setdefault(name, []).append(0 if statement.at is None else statement.at.line)
    for name, found in sorted(lines.items()):
        if at is not None and min(found) < at.line < max(found):
            raise _between(name, at)


def _between(name: str, at: Location | None) -> UnsupportedError:
    return UnsupportedError(
        f"{name} is read here and defined again below: which of its values is meant is not certain",
        hint=f"give the second {name} another name",
        location=at,
    )


def _topological(before: list[set[int]], statements: tuple[Statement, ...]) -> list[int]:
    after: list[list[int]] = [[] for _ in before]
    for k, needed in enumerate(before):
        for earlier in needed:
            after[earlier].append(k)
    waiting = [len(needed) for needed in before]
    ready = [k for k, count in enumerate(waiting) if not count]
    order = []
    while ready:
        k = heapq.heappop(ready)
        order.append(k)
        for later in after[k]:
            waiting[later] -= 1
            if not waiting[later]:
                heapq.heappush(ready, later)
    if len(order) < len(before):
        raise _circle([k for k, count in enumerate(waiting) if count], before, statements)
    return order


def _circle(left: list[int], before: list[set[int]], statements: tuple[Statement, ...]) -> SemanticError:
    """Every statement that is left waits for one that is left: following them leads round."""
    path = [left[0]]
    while True:
        following = min(before[path[-1]] & set(left))
        if following in path:
            break
        path.append(following)
    names = sorted({sorted(names_assigned((statements[k],)))[0] for k in path[path.index(following) :]})
    if len(names) == 1:
        return _from_itself(names[0], statements[following].at)
    return SemanticError(
        f"{' and '.join(names)} are defined from each other", hint=_ONLY_AMOUNTS, location=statements[following].at
    )


def _from_itself(name: str, at: Location | None) -> SemanticError:
    return SemanticError(f"{name} is defined from itself", hint=_ONLY_AMOUNTS, location=at)


# level ------------------------------------------------------------------------------------------------------------
def _changing(statements: tuple[Statement, ...], moving: Collection[str]) -> frozenset[str]:
    """Assigned names whose value changes with time: through a value, or through the condition they depend on."""
    reads = list(_reads_by_target(statements))
    found = set(moving)
    size = -1
    while size != len(found):
        size = len(found)
        found.update(target for target, names in reads if names & found)
    return frozenset(found - set(moving))


def _reads_by_target(statements: tuple[Statement, ...]) -> Iterator[tuple[str, frozenset[str]]]:
    for statement in statements:
        if isinstance(statement, Assign):
            yield statement.target, statement.value.names()
            continue
        conditions = frozenset(name for c in _conditions(statement) for name in c.names())
        own = names_assigned((statement,))
        if own & conditions:  # its arms must stay together: computing one target would change a condition
            everything = names_read((statement,))
            yield from ((target, everything | own) for target in own)
        else:
            yield from ((a.target, a.value.names() | conditions) for a in assignments((statement,)))


def _conditions(statement: If) -> Iterator[Expression]:
    for condition, body in statement.arms:
        yield condition
        yield from (c for s in body if isinstance(s, If) for c in _conditions(s))
    yield from (c for s in statement.orelse if isinstance(s, If) for c in _conditions(s))


def _filtered(statements: Iterable[Statement], targets: Collection[str]) -> Iterator[Statement]:
    """The statements with nothing but assignments to `targets`."""
    for statement in statements:
        if isinstance(statement, Assign):
            if statement.target in targets:
                yield statement
        elif names_assigned((statement,)) & set(targets):
            arms = tuple((condition, tuple(_filtered(body, targets))) for condition, body in statement.arms)
            yield If(arms, tuple(_filtered(statement.orelse, targets)), statement.at)


# values -----------------------------------------------------------------------------------------------------------
def check_values(statements: Iterable[Statement], known: Set[str], everything: Iterable[Statement]) -> frozenset[str]:
    """Names with a value after the statements.

    Raises:
        SemanticError: one is read that has none, or has one only in some arms of an if.
    """
    have = set(known)
    for statement in statements:
        if isinstance(statement, Assign):
            check_expression(statement.value, have, everything, statement.at)
        else:
            for condition, body in statement.arms:
                check_expression(condition, have, everything, statement.at)
                check_values(body, have, everything)
            check_values(statement.orelse, have, everything)
        have |= surely_assigned(statement)
    return frozenset(have)


def check_expression(
    expression: Expression, known: Collection[str], everything: Iterable[Statement], at: Location | None
) -> None:
    """Raises:
    SemanticError: it reads a name without value.
    """
    for name in sorted(expression.names() - set(known)):
        location = next((n.at for n in expression.walk() if isinstance(n, Symbol) and n.name == name and n.at), at)
        if any(isinstance(s, Assign) and s.target == name for s in everything):
            raise _from_itself(name, location)
        if name in names_assigned(tuple(everything)):
            raise SemanticError(
                f"{name} has no value where no branch of an if assigns it",
                hint=f"give it one on a line before the if, or in an else: {name} = 0",
                location=location,
            )
        raise SemanticError(
            f"{name} is read and not defined",
            hint=f"define it, or add it to input; a data column is also declared {name} = {{use=regressor}}",
            location=location,
        )


def _where(name: str, statements: tuple[Statement, ...]) -> Location | None:
    nodes = (node for e in expressions(statements) for node in e.walk())
    return next((n.at for n in nodes if isinstance(n, Symbol) and n.name == name), None)
