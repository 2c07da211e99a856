"""Outcomes: their predictions, and the kinds of data <FIT> gives them."""

from __future__ import annotations

from nlmevae.errors import SemanticError
from nlmevae.frontends.monolix.checks.remarks import nearest
from nlmevae.frontends.monolix.checks.structural_names import names_defined
from nlmevae.frontends.monolix.project import Project


def check_outcomes(project: Project) -> None:
    structural = project.structural
    defined = names_defined(structural) | set(structural.inputs)
    names: set[str] = set()
    for observation in project.observations:
        if observation.name in names:
            raise SemanticError(
                f"the observation {observation.name} is defined twice", hint="keep one", location=observation.at
            )
        names.add(observation.name)
        if observation.prediction not in defined:
            raise SemanticError(
                f"the prediction {observation.prediction} is not a variable of the structural model",
                hint=nearest(observation.prediction, sorted(structural.outputs), "name one of its outputs"),
                location=observation.at,
            )
    for model in project.fit.models:
        if model not in names:
            raise SemanticError(
                f"{model} in <FIT> is not an observation that the model defines",
                hint=nearest(model, sorted(names), "define it under DEFINITION: of [LONGITUDINAL]"),
                location=project.fit.at,
            )
    column = project.data.of("observation")[0]
    known = [*column.kinds, *column.names, *([] if len(column.kinds) > 1 else [column.name])]
    for data in project.fit.data:
        if data not in known:
            raise SemanticError(
                f"{data} in <FIT> is no kind of observation of {column.name}",
                hint=nearest(data, known, f"{column.name} has " + ", ".join(known)),
                location=project.fit.at,
            )
    for data in project.fit.data:
        _check_type_of(project, data)


def _check_type_of(project: Project, data: str) -> None:
    """What is fitted is continuous."""
    column = project.data.of("observation")[0]
    position = next((names.index(data) for names in (column.kinds, column.names) if data in names), 0)
    types = column.types * (position + 1) if len(column.types) == 1 else column.types
    kind = types[position] if position < len(types) else "continuous"
    if kind != "continuous":
        raise SemanticError(
            f"{data} in <FIT> is of type={kind}, its model is continuous",
            hint="correct the type in [CONTENT], or take it out of <FIT>",
            location=project.fit.at,
        )
