"""Names of the structural model: what it defines, what it reads, what the project must give it."""

from __future__ import annotations

from collections.abc import Iterator

from nlmevae.errors import Location, SemanticError
from nlmevae.frontends.monolix.checks.remarks import nearest
from nlmevae.frontends.monolix.project import Project, StructuralText
from nlmevae.ir import Expression, Statement, assignments, names_assigned, names_read

#: Names of the language: time, and the last dose before it.
RESERVED = ("t", "tDose", "amtDose", "inftDose")
#: Arguments of macros that give a name to what the macro defines, or name a compartment.
_NAMING_ARGUMENTS = ("amount", "concentration", "target")


def names_defined(structural: StructuralText) -> set[str]:
    """Names that the structural model gives a value: variables, states, results and amounts of macros."""
    defined = set(names_assigned(structural.equations))
    defined |= {n.removeprefix("ddt_") for n in defined if n.startswith("ddt_")}
    for macro in structural.macros:
        defined |= set(macro.results)
        for argument in ("amount", "concentration"):
            if argument in macro.arguments:
                defined |= macro.arguments[argument].names()
    return defined


def names_read_by(structural: StructuralText) -> set[str]:
    read = set(names_read(structural.equations))
    for macro in structural.macros:
        for argument, value in macro.arguments.items():
            if argument not in _NAMING_ARGUMENTS:
                read |= value.names()
    return read


def check_structure(project: Project) -> None:
    structural = project.structural
    defined = names_defined(structural) | set(structural.inputs) | set(RESERVED)
    for name, at in _places(structural):
        if name not in defined:
            raise SemanticError(
                f"{name} is not defined in the structural model",
                hint=nearest(name, sorted(defined), f"define {name}, or add it to input"),
                location=at,
            )
    for name in (*structural.outputs, *structural.tables):
        if name not in defined:
            raise SemanticError(
                f"the output {name} is not defined in the structural model",
                hint=nearest(name, sorted(defined), "define it in PK: or EQUATION:"),
                location=structural.at,
            )
    parameters = {d.name for d in project.individual}
    columns = {c.name for c in project.data.columns}
    for name in structural.inputs:
        if name in structural.regressors or name in parameters:
            continue
        raise SemanticError(
            f"the input {name} of the structural model is neither an individual parameter nor a regressor",
            hint=f"declare it in the model: {name} = {{use=regressor}}"
            if name in columns
            else nearest(name, sorted(parameters), f"define {name} in [INDIVIDUAL]"),
            location=structural.at,
        )
    regressors = project.data.of("regressor")
    if len(regressors) != len(structural.regressors):
        raise SemanticError(
            f"the structural model has {len(structural.regressors)} regressors, the data have {len(regressors)}",
            hint="columns with use=regressor are taken in their order, one for each regressor of the model",
            location=(regressors[0].at if regressors else structural.at),
        )


def _places(structural: StructuralText) -> Iterator[tuple[str, Location | None]]:
    """Every name the structural model reads, with a place."""
    wanted = names_read_by(structural)
    places: dict[str, Location | None] = {}
    for statement in structural.equations:
        for node in _expressions(statement):
            for symbol in node.walk():
                name = getattr(symbol, "name", None)
                if name in wanted:
                    places.setdefault(name, symbol.at)
    for macro in structural.macros:
        for name in wanted:
            if any(name in value.names() for value in macro.arguments.values()):
                places.setdefault(name, macro.at)
    return iter(sorted(places.items()))


def _expressions(statement: Statement) -> Iterator[Expression]:
    arms = getattr(statement, "arms", None)
    if arms is None:
        yield statement.value
        return
    for condition, _ in arms:
        yield condition
    for inner in assignments((statement,)):
        yield inner.value
    for _, body in arms:
        for inner in body:
            if getattr(inner, "arms", None):
                yield from _expressions(inner)
    for inner in statement.orelse:
        if getattr(inner, "arms", None):
            yield from _expressions(inner)
