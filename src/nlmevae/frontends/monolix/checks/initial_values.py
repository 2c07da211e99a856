"""Initial values: one for every parameter the model uses, inside its range."""

from __future__ import annotations

from collections.abc import Iterator

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.checks.population_level import population_names
from nlmevae.frontends.monolix.checks.remarks import it_or_them, nearest, note
from nlmevae.frontends.monolix.project import IndividualDefinition, InitialValue, NameOrNumber, Project
from nlmevae.ir import Diagnostic


def _referenced(project: Project) -> dict[str, Location | None]:
    """Every population parameter the model uses, with the place of its use."""
    found: dict[str, Location | None] = {}
    for definition in project.individual:
        for name in population_names(definition):
            found.setdefault(name, definition.at)
    for correlation in project.correlations:
        if isinstance(correlation.value, str):
            found.setdefault(correlation.value, correlation.at)
    for observation in project.observations:
        if observation.name in project.fit.models:
            error = observation.error
            for value in (error.a, error.b, error.power):
                if isinstance(value, str):
                    found.setdefault(value, observation.at)
    return found


def initial_value_notes(project: Project) -> Iterator[Diagnostic]:
    referenced = _referenced(project)
    values = {p.name: p for p in project.parameters}
    individual = {d.name for d in project.individual}
    correlations = {c.value for c in project.correlations}
    for name, at in referenced.items():
        if name not in values and name in correlations:
            # versions before 2018 do not write them
            yield note(f"{name} has no initial value: it starts at 0", at)
        elif name in individual:
            raise UnsupportedError(
                f"the individual parameter {name} stands in the place of a population parameter",
                hint="error models and distributions take population parameters: give it a name of its own",
                location=at,
            )
        elif name not in values:
            raise SemanticError(
                f"{name} has no initial value",
                hint=nearest(
                    name,
                    [n for n in values if n not in referenced],
                    f"add {name} = {{value=..., method=MLE}} to <PARAMETER>",
                ),
                location=at,
            )
    _check_values(project, values)
    unused = [p for p in project.parameters if p.name not in referenced]
    if unused:
        yield note(
            f"{', '.join(p.name for p in unused)} in <PARAMETER>: the model does not use {it_or_them(unused)}",
            unused[0].at,
        )


def _check_values(project: Project, values: dict[str, InitialValue]) -> None:
    def value_of(given: NameOrNumber) -> tuple[float, Location | None]:
        if isinstance(given, str):
            return (values[given].value, values[given].at) if given in values else (0.0, None)
        return given, None

    for definition in project.individual:
        value, at = value_of(definition.typical)
        if not definition.gaussian and not _is_inside(definition, value):
            raise SemanticError(
                f"the typical value {value:g} of {definition.name} is outside its {definition.distribution} "
                "distribution",
                hint="give a value inside it",
                location=at or definition.at,
            )
        for variability in definition.variability:
            value, at = value_of(variability.value)
            if value < 0:
                raise SemanticError(
                    f"a standard deviation of {definition.name} is negative",
                    hint="give a value above 0",
                    location=at or definition.at,
                )
    for correlation in project.correlations:
        value, at = value_of(correlation.value)
        if not -1 < value < 1:
            raise SemanticError(
                f"the correlation of {' and '.join(correlation.parameters)} is not between -1 and 1",
                hint="give a value between them",
                location=at or correlation.at,
            )
    for observation in project.observations:
        for given in (observation.error.a, observation.error.b):
            if given is None or observation.name not in project.fit.models:
                continue
            value, at = value_of(given)
            if value < 0:
                raise SemanticError(
                    f"a parameter of the error model of {observation.name} is negative",
                    hint="give a value above 0",
                    location=at or observation.at,
                )


def _is_inside(definition: IndividualDefinition, value: float) -> bool:
    if definition.distribution == "normal":
        return True
    if definition.distribution == "lognormal":
        return value > 0
    lower = 0.0 if definition.lower is None else definition.lower
    upper = 1.0 if definition.upper is None else definition.upper
    return lower < value < upper
