"""Which names have a value where code reads them.

A name read before any path assigns it is an error. A name that only some paths assign keeps, in NONMEM,
the value of an earlier record. Where the condition is about the record itself (dose or observation, time)
and the model needs the value, it is derived from the data (`carried_values`), or refused if it depends on
parameters. Other conditional
assignments (``IF (SEX.EQ.1) X = ..`` then ``IF (SEX.EQ.2) X = ..``) are left to the run, where a subject
that takes none of them has no value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.carried_values import Derived, collect_reads, data_variables, derive, needed_over_records
from nlmevae.frontends.nonmem.known_values import decided
from nlmevae.frontends.nonmem.once_per_individual import FIRST
from nlmevae.frontends.nonmem.reserved import INTERNAL_NAMES, RECORD_ITEMS
from nlmevae.frontends.nonmem.vocabulary import Skipped
from nlmevae.ir import (
    Assign,
    Diagnostic,
    Expression,
    If,
    Program,
    Statement,
    StructuralModel,
    Symbol,
    assignments,
    model_times,
    names_read,
)


@dataclass(slots=True)
class Scope:
    """Names with a value: always, and only where the named conditions held.

    `maybe` maps a name to the names its conditions read.
    """

    always: set[str]
    maybe: dict[str, frozenset[str]] = field(default_factory=dict)

    def copy(self) -> Scope:
        return Scope(set(self.always), dict(self.maybe))


@dataclass(frozen=True, slots=True)
class CarriedOver:
    """A read of a variable that would need the value of an earlier record.

    `certain`: its condition is about the record itself, so that records on which it does not hold are to be expected.
    """

    name: str
    conditions: frozenset[str]
    at: Location | None
    certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Names code may read besides what it assigns.

    Attributes:
        data_items: readable data items.
        dropped: data items that are dropped.
        given: names the section itself offers (F, T).
        hints: name -> what to do when it is read without a value.
        zero: data items that are 0 on every observation, where only observations use what the section computes.
    """

    data_items: frozenset[str]
    dropped: frozenset[str]
    given: frozenset[str] = frozenset()
    hints: Mapping[str, str] = field(default_factory=dict)
    zero: frozenset[str] = frozenset()


def check_definitions(
    statements: tuple[Statement, ...], section: str, names: Names, scope: Scope
) -> tuple[Scope, list[CarriedOver]]:
    """The scope after `statements`, and what they would carry over.

    Raises:
        SemanticError: a name without a value, a data item or reserved name assigned.
    """
    checker = _Checker(section, names)
    after = checker.run(statements, scope.copy(), frozenset())
    return after, checker.carried


class _Checker:
    def __init__(self, section: str, names: Names) -> None:
        self.section = section
        self.names = names
        self.carried: list[CarriedOver] = []
        self.written: dict[str, frozenset[str]] = {}  # assigned further up, in whatever arm -> its conditions

    def run(self, statements: tuple[Statement, ...], scope: Scope, conditions: frozenset[str]) -> Scope:
        for statement in statements:
            if isinstance(statement, Assign):
                self.read(statement.value, scope)
                self.assign(statement, scope)
                self.written[statement.target] = self.written.get(statement.target, frozenset()) | conditions
            else:
                scope = self.branch(statement, scope, conditions)
        return scope

    def branch(self, statement: If, scope: Scope, conditions: frozenset[str]) -> Scope:
        """The scope after an IF; arms that no observation takes only leave what later records may keep."""
        ends, others = [], []
        seen, reached = conditions, True
        known = dict.fromkeys(self.names.zero, 0.0)
        for condition, body in statement.arms:
            self.read(condition, scope)
            holds = decided(condition, known) if reached else False
            seen = seen | (condition.names() if isinstance(holds, bool) else holds.names())
            (others if holds is False else ends).append(self.run(body, scope.copy(), seen))
            reached = reached and holds is not True
        (ends if reached else others).append(self.run(statement.orelse, scope.copy(), seen))
        always = set.intersection(*(end.always for end in ends))
        maybe: dict[str, frozenset[str]] = {}
        for end in (*ends, *others):
            for name, why in end.maybe.items():
                maybe[name] = maybe.get(name, frozenset()) | why
            for name in end.always - always:
                maybe[name] = maybe.get(name, frozenset()) | seen
        return Scope(always, {n: w for n, w in maybe.items() if n not in always})

    def assign(self, statement: Assign, scope: Scope) -> None:
        target = statement.target
        if target in self.names.data_items:
            raise SemanticError(
                f"{target} is a data item and cannot be assigned",
                hint="assign a variable with another name",
                location=statement.at,
            )
        if target in self.names.given:
            raise SemanticError(
                f"{target} is reserved in ${self.section} and cannot be assigned",
                hint="assign a variable with another name",
                location=statement.at,
            )
        scope.always.add(target)
        scope.maybe.pop(target, None)

    def read(self, expression: Expression, scope: Scope) -> None:
        for node in expression.walk():
            if isinstance(node, Symbol):
                self.read_name(node, scope)

    def read_name(self, node: Symbol, scope: Scope) -> None:
        name = node.name
        if name in scope.always or name in self.names.data_items or name in self.names.given:
            return
        if name.startswith(("THETA(", "ETA(", "EPS(", "A(", "OMEGA(", "SIGMA(")):
            return
        if name in scope.maybe:
            self.carried.append(carried_over(name, scope, node.at))
            return
        if self.written.get(name, frozenset()) & RECORD_ITEMS:  # in another arm of the same IF
            self.carried.append(CarriedOver(name, self.written[name] & RECORD_ITEMS, node.at))
            return
        if name in INTERNAL_NAMES:
            raise UnsupportedError(
                f"{name} is not supported",
                hint="it is a state of NONMEM's own methods; remove the statement, or assign the value that is meant",
                location=node.at,
            )
        raise SemanticError(f"{name} is read before it has a value", hint=self.hint(name, scope), location=node.at)

    def hint(self, name: str, scope: Scope) -> str:
        if name in self.names.hints:
            return self.names.hints[name]
        if name in self.names.dropped:
            return f"{name} is dropped in $INPUT; remove =DROP to use it"
        if name == "T":
            return "T is the time inside $DES; elsewhere use TIME"
        if name in ("F", "Y"):
            return f"{name} belongs to $ERROR"
        if name in RECORD_ITEMS:
            return f"add {name} to $INPUT and to the data file"
        readable = scope.always | self.names.data_items
        close = get_close_matches(name, sorted(readable), n=1)
        return f"did you mean {close[0]}?" if close else f"assign {name} first, or add it to $INPUT"


def carried_over(name: str, scope: Scope, at: Location | None) -> CarriedOver:
    conditions = scope.maybe[name] & RECORD_ITEMS
    return CarriedOver(name, conditions or scope.maybe[name], at, certain=bool(conditions))


def settle_carried_over(
    carried: list[CarriedOver], program: Program, structural: StructuralModel, data_items: frozenset[str]
) -> tuple[Derived | None, list[Diagnostic]]:
    """Variables the model needs from earlier records as derived data items, and notes on those only tables use.

    Raises:
        UnsupportedError: one that the model needs depends on more than data.
    """
    needed = needed_names(program, structural)
    pool = data_variables(program, data_items)
    of_records = record_values(program)
    wanted, partial = set(), set()
    notes: dict[str, Diagnostic] = {}
    for item in carried:
        if item.name in needed and item.name in pool:
            if item.certain or item.name in of_records:
                wanted.add(item.name)
            continue
        if not item.certain or item.name.startswith(FIRST):
            continue
        cause = " and ".join(sorted(item.conditions))
        message = f"{item.name} is only assigned under a condition on {cause}: elsewhere it would keep its value"
        hint = f"compute {item.name} as a data column, or assign it before the IF"
        if item.name in needed:
            raise UnsupportedError(
                f"{message} from an earlier record, which depends on parameters", hint=hint, location=item.at
            )
        notes[item.name] = Diagnostic(
            code="carried-over", severity="note", message=f"{message}; it is not used by the model", hint=hint,
            location=item.at,
        )  # fmt: skip
    partial = wanted - {item.name for item in carried if item.certain}
    by_name = structural.program_names | {*model_times(program)}
    derived = derive(program, frozenset(wanted), frozenset(partial), data_items, by_name)
    return derived, list(notes.values()) + (_observed_values(derived) if derived is not None else [])


def _observed_values(derived: Derived) -> list[Diagnostic]:
    """A warning where derived items are computed from observed values, which simulations replace."""
    statements, variables = derived.items.statements, derived.items.variables
    found = {v for name, v in variables.items() if "DV" in names_read(needed_over_records(statements, {name}))}
    if not found:
        return []
    names = ", ".join(sorted(found))
    return [
        Diagnostic(
            code="derived-from-observations",
            severity="warning",
            message=f"{names}: computed from DV of this or earlier records; simulations keep the values of the data, "
            "where NONMEM takes simulated ones",
            hint="give the value as a data column of its own if that is what is meant",
        )
    ]


def record_values(program: Program) -> frozenset[str]:
    """Variables assigned a value of the record itself (TIME, DV, AMT ...)."""
    found = assignments((*program.pk, *program.error))
    return frozenset(a.target for a in found if a.value.names() & RECORD_ITEMS)


def skipped_code(skipped: list[Skipped], program: Program, structural: StructuralModel) -> list[Diagnostic]:
    """Warnings on statements for ICALL.EQ.4 that simulations here do not run.

    Raises:
        UnsupportedError: the model needs a value that such a statement assigns before the estimation and that nothing
            assigns unconditionally.
    """
    needed = needed_names(program, structural)
    sure = {s.target for part in (program.pk, program.des, program.error) for s in part if isinstance(s, Assign)}
    notes = []
    for arm in skipped:
        kept = sorted((arm.names & needed) - sure)
        if arm.before and kept:
            raise UnsupportedError(
                f"{kept[0]} is assigned at initialisation (ICALL 0 or 1) and only under conditions later",
                hint=f"assign {kept[0]} without a condition before its IFs",
                location=arm.at,
            )
        acts = sorted(arm.names & needed)
        if arm.simulating and acts:
            notes.append(
                Diagnostic(
                    code="simulation-code",
                    severity="warning",
                    message=f"code for simulation (ICALL 4) assigns {', '.join(acts)}: it is not run",
                    hint="simulate draws from the model that is estimated",
                    location=arm.at,
                )
            )
    return notes


def needed_names(program: Program, structural: StructuralModel, *wanted: str) -> frozenset[str]:
    """Names Y (or what is `wanted`) depends on: through assignments and their conditions, equations and dosing
    parameters."""
    reads: dict[str, set[str]] = {}
    for statements in (program.pk, program.des, program.error):
        collect_reads(statements, frozenset(), reads)
    roots = {"Y", *wanted, *model_times(program), *structural.program_names}
    roots |= {name for name in reads if name.startswith(("DADT(", "A_0("))}
    needed: set[str] = set()
    while roots:
        name = roots.pop()
        needed.add(name)
        roots |= reads.get(name, set()) - needed
    return frozenset(needed)
