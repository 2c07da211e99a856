"""A program as definitions: every name is assigned once, IF blocks become values with branches.

Mlxtran is declarative: a variable has one definition. A variable that is assigned again gets another name, and later
code reads that one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nlmevae.errors import Location
from nlmevae.ir import Assign, Expression, If, Number, Statement, Symbol, Where, assignments
from nlmevae_translators.to_monolix.algebra import ZERO, simplified, substitute
from nlmevae_translators.to_monolix.names import Names


@dataclass(frozen=True, slots=True)
class Definition:
    """`name = value`, written once."""

    name: str
    value: Expression
    at: Location | None = None


@dataclass(slots=True)
class Flattened:
    """Definitions so far, and what each name of the program stands for after them.

    Attributes:
        env: name of the program -> expression in names of the written file.
        cuts: variable -> the place of the assignment that makes it an individual parameter, and the parameter.
        called: variable -> the name it is wanted to have in the written file.
        inline: nothing is defined, values are put in place (to look at a whole formula).
        known: text of a value -> the name that has it: equal values are defined once.
    """

    names: Names
    env: dict[str, Expression]
    cuts: Mapping[str, tuple[Location | None, Expression]] = field(default_factory=dict)
    called: Mapping[str, str] = field(default_factory=dict)
    inline: bool = False
    definitions: list[Definition] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)

    def run(self, statements: Iterable[Statement]) -> None:
        for statement in statements:
            if isinstance(statement, Assign):
                self._define(statement.target, substitute(statement.value, self.env), statement)
            else:
                self._branch(statement)

    def _branch(self, statement: If) -> None:
        merged = _merged(statement, self.env)
        for name, value in merged.items():
            self._define(name, value, statement)

    def _define(self, name: str, value: Expression, statement: Statement) -> None:
        at, parameter = self.cuts.get(name, (None, None))
        if parameter is not None and any(a.target == name and a.at == at for a in assignments((statement,))):
            value = substitute(parameter, self.env)
        if self.inline or "(" in name or name == "Y":
            self.env[name] = value
        else:
            self.env[name] = self.variable(name, value, statement.at)

    def variable(self, name: str, value: Expression, at: Location | None = None) -> Expression:
        """`value` as a name or a number, defined where it is more."""
        if isinstance(value, Symbol | Number):
            return value
        key = repr(value)
        if key not in self.known:
            self.known[key] = self.names.fresh(self.called.get(name, name))
            self.definitions.append(Definition(self.known[key], value, at))
        return Symbol(self.known[key])


def _merged(statement: If, env: Mapping[str, Expression]) -> dict[str, Expression]:
    """What each assigned name is after an IF block; 0 where no arm gives it a value, as in NM-TRAN."""
    arms = [(substitute(condition, env), _after(body, env)) for condition, body in statement.arms]
    otherwise = _after(statement.orelse, env)
    result = {}
    for name in dict.fromkeys(a.target for a in assignments((statement,))):
        value = otherwise.get(name, ZERO)
        for condition, values in reversed(arms):
            value = simplified(Where(condition, values.get(name, ZERO), value, at=statement.at))
        result[name] = value
    return result


def _after(body: Iterable[Statement], env: Mapping[str, Expression]) -> dict[str, Expression]:
    values = dict(env)
    for statement in body:
        if isinstance(statement, Assign):
            values[statement.target] = substitute(statement.value, values)
        else:
            values.update(_merged(statement, values))
    return values


def needed_definitions(definitions: Sequence[Definition], wanted: Iterable[Expression]) -> list[Definition]:
    """Those that `wanted` depends on, in order."""
    needed = {name for value in wanted for name in value.names()}
    kept = []
    for definition in reversed(definitions):
        if definition.name in needed:
            kept.append(definition)
            needed |= definition.value.names()
    return kept[::-1]
