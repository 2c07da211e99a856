"""Which inputs a program's variables depend on, read off the text (an IF makes what it assigns depend on
its conditions). Names nothing has assigned are inputs and stand for themselves."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from nlmevae.errors import Location
from nlmevae.ir import (
    Assign,
    Call,
    Expression,
    If,
    Model,
    Number,
    Statement,
    Symbol,
    Where,
    assignments,
    model_times,
    names_assigned,
    names_read,
    needed_for,
    needed_names,
)

Dependencies = dict[str, frozenset[str]]
NOTHING: frozenset[str] = frozenset()


#: variable -> ETA. What the variable gets from the ETA counts as an input of its own: every assignment to it that
#: depends on the ETA then depends on nothing else.
Cuts = Mapping[str, str]
NO_CUTS: Cuts = MappingProxyType({})


def trace(statements: Sequence[Statement], known: Mapping[str, frozenset[str]], cuts: Cuts = NO_CUTS) -> Dependencies:
    """Dependencies of every variable after the statements, `known` being those before."""
    env = dict(known)
    for statement in statements:
        follow(statement, env, cuts)
    return env


def follow(statement: Statement, env: MutableMapping[str, frozenset[str]], cuts: Cuts = NO_CUTS) -> None:
    """What `trace` does with one statement, changing `env`."""
    if isinstance(statement, Assign):
        reads = expression_inputs(statement.value, env)
        if cuts.get(statement.target) in reads:
            reads = NOTHING
        env[statement.target] = reads
    else:
        _trace_if(statement, env, cuts)


def _trace_if(statement: If, env: MutableMapping[str, frozenset[str]], cuts: Cuts) -> None:
    reads = NOTHING.union(*(expression_inputs(condition, env) for condition, _ in statement.arms))
    results = []
    for body in (*(body for _, body in statement.arms), statement.orelse):
        result = ChainMap({}, env)
        for inner in body:
            follow(inner, result, cuts)
        results.append(result)
    for name in names_assigned((statement,)):
        env[name] = reads.union(*(result.get(name, NOTHING) for result in results))


def expression_inputs(expression: Expression, env: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Inputs one expression depends on."""
    return NOTHING.union(*(env.get(name, frozenset((name,))) for name in expression.names()))


def individual_program(model: Model) -> tuple[Statement, ...]:
    """Where individual parameters are defined: $PK or $PRED, without what is only kept for tables."""
    if not model.structural.compartments:
        return error_program(model)
    reads = names_read(model.program.des) | names_read(error_program(model)) | set(dosing_names(model))
    return needed_for(model.program.pk, reads)


def error_program(model: Model) -> tuple[Statement, ...]:
    """The part of $ERROR or $PRED that Y is computed with."""
    return needed_for(model.program.error, ("Y",))


def outputs(model: Model, known: Mapping[str, frozenset[str]], cuts: Cuts = NO_CUTS, *, until: int = 0) -> Dependencies:
    """Dependencies of everything the data can see: doses, initial amounts, right-hand side, Y. The cuts hold in the
    first `until` statements of the individual program."""
    program = individual_program(model)
    individual = trace(program[until:], trace(program[:until], known, cuts))
    if not model.structural.compartments:
        return {"Y": individual.get("Y", NOTHING)}
    seen = {name: individual[name] for name in dosing_names(model) if name in individual}
    rhs = trace(model.program.des, individual)
    seen.update({name: reads for name, reads in rhs.items() if name.startswith("DADT(")})
    seen["Y"] = trace(model.program.error, individual).get("Y", NOTHING)
    return seen


def dosing_names(model: Model) -> tuple[str, ...]:
    """Variables compartments, closed forms and model times read from $PK."""
    fields = ("scale", "bioavailability", "lag", "duration", "rate", "initial")
    structural = model.structural
    output = () if structural.output is None else (structural.output,)
    found = [getattr(c, f) for c in (*structural.compartments, *output) for f in fields]
    found += [getattr(i, f) for i in structural.inputs for f in fields[1:-1]]
    return tuple(name for name in (*found, *structural.rate_constants, *model_times(model.program)) if name)


def place_of(statements: Sequence[Statement], name: str) -> Location | None:
    """Where `name` is first read; the statement's place if the name itself has none."""
    for statement in statements:
        if name not in names_read((statement,)):
            continue
        for expression, at in _expressions(statement):
            for node in expression.walk():
                if isinstance(node, Symbol) and node.name == name:
                    return node.at or at
    return None


def assignment_place(statements: Sequence[Statement], name: str) -> Location | None:
    """Where `name` is last assigned."""
    found = [a for a in assignments(tuple(statements)) if a.target == name]
    return found[-1].at if found else None


def _expressions(statement: Statement) -> list[tuple[Expression, Location | None]]:
    if isinstance(statement, Assign):
        return [(statement.value, statement.at)]
    found = []
    for condition, body in statement.arms:
        found.append((condition, statement.at))
        for inner in body:
            found.extend(_expressions(inner))
    for inner in statement.orelse:
        found.extend(_expressions(inner))
    return found


def assigned_repeatedly(statement: Statement, name: str) -> bool:
    """One way through an IF block assigns `name` twice."""
    return isinstance(statement, If) and _most_assignments((statement,), name) > 1


def _most_assignments(statements: Sequence[Statement], name: str) -> int:
    total = 0
    for statement in statements:
        if isinstance(statement, Assign):
            total += statement.target == name
        else:
            bodies = [body for _, body in statement.arms] + [statement.orelse]
            total += max(_most_assignments(body, name) for body in bodies)
    return total


def piecewise_inputs(
    statements: Sequence[Statement], names: Iterable[str], known: Mapping[str, frozenset[str]]
) -> frozenset[str]:
    """Inputs that decide which piece of a piecewise function `names` are computed with: those of the
    conditions of IFs and of the arguments of MIN, MAX, ABS, INT and MOD on the way to `names`."""
    return _piecewise(statements, needed_names(statements, names), dict(known))


def _piecewise(statements: Sequence[Statement], needed: frozenset[str], env: Dependencies) -> frozenset[str]:
    found = NOTHING
    for statement in statements:
        if not names_assigned((statement,)) & needed:
            continue
        if isinstance(statement, Assign):
            found |= _deciding(statement.value, env)
        else:
            for condition, body in statement.arms:
                found |= expression_inputs(condition, env) | _piecewise(body, needed, dict(env))
            found |= _piecewise(statement.orelse, needed, dict(env))
        follow(statement, env)
    return found


def _deciding(expression: Expression, env: Mapping[str, frozenset[str]]) -> frozenset[str]:
    return NOTHING.union(*(expression_inputs(part, env) for part in deciding_expressions(expression)))


def deciding_expressions(expression: Expression) -> Iterator[Expression]:
    """Those whose value decides between pieces."""
    for node in expression.walk():
        if isinstance(node, Call) and node.function in ("MIN", "MAX", "ABS", "INT", "MOD"):
            yield node
        elif isinstance(node, Where):
            yield node.condition


def conditions(statements: Sequence[Statement]) -> list[Expression]:
    """Every condition of every IF and of every choice within an expression, at any depth."""
    found: list[Expression] = []
    for statement in statements:
        if isinstance(statement, If):
            for condition, body in statement.arms:
                found += [condition, *_choices(condition), *conditions(body)]
            found += conditions(statement.orelse)
        else:
            found += _choices(statement.value)
    return found


def _choices(expression: Expression) -> list[Expression]:
    return [node.condition for node in expression.walk() if isinstance(node, Where)]


@dataclass(frozen=True, slots=True)
class ArmProbe:
    """A variable assigned at the head of one arm of the IF `owner`, inside top-level statement `index`."""

    name: str
    owner: If
    index: int


def with_target_probes(
    statements: Sequence[Statement], target: str
) -> tuple[tuple[Statement, ...], dict[str, Location | None]]:
    """The statements with one extra assignment before every assignment to `target`, to see which ran.

    Returns:
        The statements, and the place of the assignment behind each of the variables.
    """
    places: dict[str, Location | None] = {}

    def rewrite(body: Sequence[Statement]) -> tuple[Statement, ...]:
        out: list[Statement] = []
        for statement in body:
            if isinstance(statement, If):
                arms = tuple((condition, rewrite(arm)) for condition, arm in statement.arms)
                out.append(If(arms, rewrite(statement.orelse), statement.at))
                continue
            if statement.target == target:
                name = f"#{target}{len(places)}"
                places[name] = statement.at
                out.append(Assign(name, Number(1.0)))
            out.append(statement)
        return tuple(out)

    return rewrite(statements), places


def with_arm_probes(statements: Sequence[Statement], prefix: str) -> tuple[tuple[Statement, ...], tuple[ArmProbe, ...]]:
    """The statements with one extra assignment at the head of every IF arm, to see which arms ran."""
    probes: list[ArmProbe] = []

    def arm(body: Sequence[Statement], owner: If, index: int) -> tuple[Statement, ...]:
        probe = ArmProbe(f"{prefix}{len(probes)}", owner, index)
        probes.append(probe)
        return (Assign(probe.name, Number(1.0)), *(rewrite(inner, index) for inner in body))

    def rewrite(statement: Statement, index: int) -> Statement:
        if isinstance(statement, Assign):
            return statement
        arms = tuple((condition, arm(body, statement, index)) for condition, body in statement.arms)
        return If(arms, arm(statement.orelse, statement, index) if statement.orelse else (), statement.at)

    return tuple(rewrite(statement, index) for index, statement in enumerate(statements)), tuple(probes)
