"""Variables that keep their value from record to record, turned into derived data items.

``IF (AMT.GT.0) TDOS = TIME`` gives TDOS the time of the last dose on every later record. Where all that such a variable
is computed from is data (and the values it kept), it is a function of the records alone: it is computed once, before
estimation, by running its statements record after record. In the program its statements are replaced by reads of the
items, so that everything else stays as it is written:

* a statement that assigns only such variables: ``TDOS = <TDOS after it>``; the assignment too goes where it is the only
  one, TDOS is then a data item by that name;
* an IF that assigns others too keeps those, and ``TDOS = <TDOS after it>`` follows it;
* where code reads one that it may not have assigned yet on this record: ``TDOS = <TDOS before>`` at the start.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from nlmevae.ir import (
    Assign,
    Column,
    DerivedItems,
    Expression,
    If,
    Program,
    Statement,
    Symbol,
    assignments,
    names_assigned,
    names_read,
    needed_for,
)

NEWIND, NDREC = "NEWIND", "NDREC"
#: Known at every record: first record (see `data.derived_items`), number of the individual and of its record, from 1.
COUNTERS = frozenset({NEWIND, NDREC, "NIREC"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """The program that reads the items, and what they are; `columns` go behind those of $INPUT."""

    program: Program
    items: DerivedItems
    columns: tuple[Column, ...]


def data_variables(program: Program, data_items: frozenset[str]) -> frozenset[str]:
    """Variables of $PK and $ERROR (or $PRED) that depend on nothing but data, over records too."""
    reads: dict[str, set[str]] = {}
    collect_reads((*program.pk, *program.error), frozenset(), reads)
    found = set(reads) - names_assigned(program.des) - {"Y", "F_FLAG", "YLO"}
    while True:
        allowed = found | data_items | COUNTERS
        wrong = {name for name in found if not reads[name] <= allowed}
        if not wrong:
            return frozenset(found)
        found -= wrong


def derive(
    program: Program, wanted: frozenset[str], partial: frozenset[str], data_items: frozenset[str], kept: frozenset[str]
) -> Derived | None:
    """Make `wanted` derived items.

    Args:
        wanted: variables that keep values, all of them `data_variables`.
        partial: those of them that may lack a value where nothing reads it.
        kept: variables that something outside the code reads by name.

    Returns:
        None if there is nothing to derive.
    """
    counters = COUNTERS & (names_read(program.pk) | names_read(program.error) | names_read(program.des)) - data_items
    if not wanted and not counters:
        return None
    made = _Derivation(pool=data_variables(program, data_items), chosen=frozenset())
    made.chosen = _followers(program, wanted, made.pool)
    pk = _without_dead(made.rewritten(program.pk), made.items)
    error = _without_dead(made.rewritten(program.error), made.items)
    if not program.pk:
        error = made.with_entries(error, wanted)
    else:
        in_pk = names_assigned(program.pk)
        error = made.with_entries(error, wanted - in_pk)
        pk = made.with_entries(pk, wanted & in_pk, later=error)
    result = made.named(replace(program, pk=pk, error=error), kept)
    read = names_read(result.pk) | names_read(result.error) | names_read(result.des)
    names = tuple(n for n, variable in made.items.items() if n in read or n == variable)
    names += tuple(sorted((COUNTERS & read) - data_items))
    if not names:
        return Derived(program=result, items=DerivedItems(), columns=())
    statements = needed_over_records(made.statements, set(names))
    items = DerivedItems(
        statements=statements,
        variables={name: made.items.get(name, name) for name in names},
        kept=tuple(sorted(wanted - _initialised(made.statements))),
        partial=frozenset(n for n in names if made.items.get(n) in partial),
    )
    columns = tuple(Column(name=name, role="derived") for name in names)
    return Derived(program=result, items=items, columns=columns)


def needed_over_records(statements: tuple[Statement, ...], names: set[str]) -> tuple[Statement, ...]:
    """The statements that the values of `names` are computed with, where variables keep their values: unlike
    `needed_for`, a value assigned below is read above at the next record."""
    needed = set(names)
    while True:
        kept = needed_for(statements, needed)
        more = needed | names_read(kept)
        if more == needed:
            return kept
        needed = more


def _followers(program: Program, wanted: frozenset[str], pool: frozenset[str]) -> frozenset[str]:
    """`wanted` and the data variables that are computed from them."""
    reads: dict[str, set[str]] = {}
    collect_reads((*program.pk, *program.error), frozenset(), reads)
    found = set(wanted)
    while True:
        more = {name for name in pool if name not in found and reads[name] & found}
        if not more:
            return frozenset(found)
        found |= more


@dataclass(slots=True)
class _Derivation:
    """Attributes:
    pool, chosen: variables that depend on data alone; those of them that depend on kept values.
    items: derived item -> the variable whose value it is.
    statements: what is run record by record.
    """

    pool: frozenset[str]
    chosen: frozenset[str]
    items: dict[str, str] = field(default_factory=dict)
    statements: tuple[Statement, ...] = ()

    def rewritten(self, statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
        """The section with statements of chosen variables replaced; all that belongs to data goes to `statements`."""
        found: list[Statement] = []
        for statement in statements:
            self.statements += tuple(_data_part(statement, self.pool))
            assigned = names_assigned((statement,))
            mixed = not assigned <= self.pool
            if not assigned & self.chosen:
                found.append(statement)
                continue
            if mixed:
                found.append(_without_targets(statement, (assigned & self.chosen) - names_read((statement,))))
            for name in sorted(assigned & self.chosen if mixed else assigned):
                found.append(Assign(name, Symbol(self.snapshot(name), at=statement.at), at=statement.at))
        return tuple(found)

    def snapshot(self, variable: str) -> str:
        """A new item with the value the variable has now."""
        number = 1 + sum(v == variable for v in self.items.values())
        item = f"{variable} #{number}"
        self.items[item] = variable
        self.statements = (*self.statements, Assign(item, Symbol(variable)))
        return item

    def with_entries(
        self, section: tuple[Statement, ...], names: frozenset[str], later: tuple[Statement, ...] = ()
    ) -> tuple[Statement, ...]:
        """The section with the value from the record before assigned first to those it may read without assigning."""
        entries = []
        for name in sorted(names):
            if self._read_first((*section, *later), name):
                item = f"{name} before"
                self.items[item] = name
                self.statements = (Assign(item, Symbol(name)), *self.statements)
                entries.append(Assign(name, Symbol(item)))
        return (*entries, *section)

    def _read_first(self, statements: tuple[Statement, ...], name: str) -> bool:
        for statement in statements:
            if name in names_read((statement,)):
                return True
            if name in names_assigned((statement,)):
                return isinstance(statement, If)
        return True

    def named(self, program: Program, kept: frozenset[str]) -> Program:
        """A variable that only has one statement left, its own item, is that item."""
        whole = (*program.pk, *program.error)
        counts: dict[str, int] = {}
        for a in assignments(whole):
            counts[a.target] = counts.get(a.target, 0) + 1
        alone = {
            s.target: s.value.name
            for s in whole
            if isinstance(s, Assign) and isinstance(s.value, Symbol) and s.value.name in self.items
            and counts[s.target] == 1 and s.target not in kept
        }  # fmt: skip
        if not alone:
            return program
        for name, item in alone.items():
            del self.items[item]
            self.items[name] = name
        self.statements = tuple(
            s for s in self.statements if not (isinstance(s, Assign) and s.target in alone.values())
        )

        def without(section: tuple[Statement, ...]) -> tuple[Statement, ...]:
            return tuple(s for s in section if not (isinstance(s, Assign) and alone.get(s.target) is not None))

        return replace(program, pk=without(program.pk), error=without(program.error))


def _without_dead(section: tuple[Statement, ...], items: dict[str, str]) -> tuple[Statement, ...]:
    """Without assignments of items that another one follows before anything reads the variable."""
    found = []
    for k, statement in enumerate(section):
        if isinstance(statement, Assign) and isinstance(statement.value, Symbol) and statement.value.name in items:
            name = statement.target
            later = next((s for s in section[k + 1 :] if name in names_read((s,)) | names_assigned((s,))), None)
            if isinstance(later, Assign) and later.target == name and name not in later.value.names():
                continue
        found.append(statement)
    return tuple(found)


def _without_targets(statement: Statement, targets: frozenset[str]) -> Statement:
    """An IF without the assignments to `targets`."""
    if isinstance(statement, Assign):
        return statement

    def kept(body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        return tuple(_without_targets(s, targets) for s in body if not (isinstance(s, Assign) and s.target in targets))

    arms = tuple((condition, kept(body)) for condition, body in statement.arms)
    return If(arms, kept(statement.orelse), at=statement.at)


def _initialised(statements: tuple[Statement, ...]) -> set[str]:
    """Variables that get a value where a condition reads NEWIND."""
    found: set[str] = set()
    for statement in statements:
        if isinstance(statement, If):
            for condition, body in statement.arms:
                found |= names_assigned(body) if condition.names() & {NEWIND, NDREC} else _initialised(body)
    return found


def _data_part(statement: Statement, pool: frozenset[str]) -> Iterable[Statement]:
    """What a statement does to variables that depend on data alone."""
    if isinstance(statement, Assign):
        return (statement,) if statement.target in pool else ()
    arms: list[tuple[Expression, tuple[Statement, ...]]] = [
        (condition, tuple(s for inner in body for s in _data_part(inner, pool))) for condition, body in statement.arms
    ]
    orelse = tuple(s for inner in statement.orelse for s in _data_part(inner, pool))
    while arms and not orelse and not arms[-1][1]:
        arms.pop()
    return (If(tuple(arms), orelse, at=statement.at),) if arms else ()


def collect_reads(statements: tuple[Statement, ...], conditions: frozenset[str], reads: dict[str, set[str]]) -> None:
    """Variable -> names its values and the conditions of its assignments read."""
    for statement in statements:
        if isinstance(statement, Assign):
            reads.setdefault(statement.target, set()).update(statement.value.names() | conditions)
            continue
        seen = conditions
        for condition, body in statement.arms:
            seen = seen | condition.names()
            collect_reads(body, seen, reads)
        collect_reads(statement.orelse, seen, reads)
