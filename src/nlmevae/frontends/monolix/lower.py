"""`Project` -> ir.Model, on one page.

Project --structure--> compartments, programs --individual parameters, outcomes--> code --rows--> Model --recognition-->
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nlmevae.frontends.monolix.model.asked_tasks import AskedTasks, asked_tasks
from nlmevae.frontends.monolix.model.covariate_code import Covariates
from nlmevae.frontends.monolix.model.idle_parameters import with_idle_parameters
from nlmevae.frontends.monolix.model.individual_code import individual_statements
from nlmevae.frontends.monolix.model.outcome_code import observed_scale, outcome_statements
from nlmevae.frontends.monolix.model.population import Population, random_effects
from nlmevae.frontends.monolix.model.project_request import covariance_request, project_request
from nlmevae.frontends.monolix.model.routes import routed
from nlmevae.frontends.monolix.model.rows import data_rows
from nlmevae.frontends.monolix.project import ObservationDefinition, Project
from nlmevae.frontends.monolix.structural.structure import Structure, structure
from nlmevae.frontends.recognition import recognise
from nlmevae.ir import (
    EstimationStep,
    Model,
    ObservationModel,
    Program,
    SourceReference,
    Statement,
    StructuralModel,
)


def read_monolix_project(path: str | Path) -> Model:
    """The model a Monolix project states, individual parameters and residual errors recognised.

    Raises:
        ModelError: the text is not legal, has no consistent meaning or is not supported; with its place and what to do.
        DataError: the model varies between occasions and its data cannot be read.
    """
    from nlmevae.frontends.monolix.read import read_project

    return model_of_project(read_project(path))


def model_of_project(project: Project) -> Model:
    """The same of a project that is read."""
    model = recognise(lower_project(project))
    # effects of occasions are latent variables of their own: no news to the reader of a project
    notes = tuple(d for d in model.diagnostics if d.code != "general-effect")
    return replace(model, observations=_as_outcomes(model.observations, _fitted(project)), diagnostics=notes)


def lower_project(project: Project) -> Model:
    """The model as stated: everything but recognition, whose fields are empty."""
    fitted = _fitted(project)
    asked = asked_tasks(project.tasks)
    stated = structure(project.structural, predictions=[o.prediction for o in fitted])
    structural, routes = routed(stated)
    rows = data_rows(project, stated, routes)
    population = Population(initial={p.name: p for p in project.parameters})
    effects = random_effects(project.individual, project.correlations, population, rows.occasions)
    individual = individual_statements(
        project.individual, Covariates.of_project(project), population, effects, rows.occasion_item, rows.occasions
    )
    outcome, sigma = outcome_statements(
        [(o, float(k)) for k, o in enumerate(fitted, 1)],
        stated.outputs,
        population,
        "YTYPE" if len(fitted) > 1 else None,
    )
    model = Model(
        name=Path(project.path).stem,
        source=SourceReference(
            format="monolix", path=project.path, text=_whole_text(project), included=project.included
        ),
        problem=(project.description or project.structural.description).strip().split("\n")[0],
        data=rows.spec,
        thetas=tuple(population.thetas),
        omega=effects.omega,
        sigma=sigma,
        structural=structural,
        program=_program(structural, stated, individual, outcome),
        estimation=(_estimation(project, asked),),
        covariance=covariance_request(asked),
        prior=project.prior,
        project=project_request(project, asked, population, effects),
        diagnostics=(*project.diagnostics, *asked.notes),
    )
    return with_idle_parameters(model, {eta: parameter for (parameter, _), eta in effects.names.items()})


def _as_outcomes(
    found: Sequence[ObservationModel], fitted: Sequence[ObservationDefinition]
) -> tuple[ObservationModel, ...]:
    """With the names of the project where one outcome is one of them; outcome number k has EPS(k)."""
    named, own = [], [o.epsilons for o in found]
    for observation in found:
        outcome = fitted[int(observation.epsilons[0][4:-1]) - 1]
        scale = observed_scale(outcome).kind
        error = replace(observation.error, written_as="") if scale == "logit" else observation.error
        name = outcome.name if own.count(observation.epsilons) == 1 else observation.name
        scale = observation.scale if scale == "identity" else scale
        named.append(replace(observation, name=name, error=error, scale=scale))
    return tuple(named)


def _fitted(project: Project) -> list[ObservationDefinition]:
    """Outcomes in the order of <FIT>."""
    by_name = {o.name: o for o in project.observations}
    return [by_name[name] for name in project.fit.models]


def _program(
    structural: StructuralModel, stated: Structure, individual: Sequence[Statement], outcome: Sequence[Statement]
) -> Program:
    """A model without compartments is one formula."""
    if not structural.compartments:
        return Program(error=(*individual, *stated.pk, *stated.error, *outcome))
    return Program(pk=(*individual, *stated.pk), des=stated.des, error=(*stated.error, *outcome))


def _estimation(project: Project, asked: AskedTasks) -> EstimationStep:
    """Monolix estimates by SAEM, with residual errors of the size the individual prediction gives them."""
    seed = project.settings.get("seed", "")
    return EstimationStep(
        method="SAEM",
        interaction=True,
        evaluates_only=not asked.estimates,
        seed=int(seed) if seed.isdigit() else None,
        at=next((t.at for t in project.tasks if t.name.lower() == "populationparameters"), None),
    )


def _whole_text(project: Project) -> str:
    """The project and, where it is another text, its structural model."""
    structural = project.structural
    return project.text if structural.path == project.path else f"{project.text}\n{structural.text}"
