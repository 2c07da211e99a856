"""What a project asks for beside its model, and its own names of the model's parts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from nlmevae.frontends.monolix.model.asked_tasks import AskedTasks
from nlmevae.frontends.monolix.model.covariate_code import Covariates
from nlmevae.frontends.monolix.model.individual_code import bounds
from nlmevae.frontends.monolix.model.population import Population, RandomEffects
from nlmevae.frontends.monolix.names import program_name
from nlmevae.frontends.monolix.project import IndividualDefinition, Project
from nlmevae.ir import CovarianceRequest, ProjectRequest, Transform

_KINDS = {"normal": "identity", "lognormal": "log", "logitnormal": "logit"}


def project_request(
    project: Project, asked: AskedTasks, population: Population, effects: RandomEffects
) -> ProjectRequest:
    """After the population parameters are numbered."""
    return ProjectRequest(
        folder=project.settings.get("exportpath", "").strip(),
        likelihood=asked.likelihood,
        samples=int(str(asked.settings.get("samples", 0))),
        shown={
            **{program_name(d.name): d.name for d in project.individual if program_name(d.name) != d.name},
            **{theta.name: theta.label for theta in population.thetas},
            **dict(_variances(project.individual, effects)),
            **dict(_covariances(project, effects)),
        },
        transforms=_transforms(project.individual),
        covariates=Covariates.of_project(project).of_data(project.data.of("covariate")),
    )


def covariance_request(asked: AskedTasks) -> CovarianceRequest:
    """The task fim: the observed information, or nothing."""
    return CovarianceRequest(matrix="R", omitted=asked.settings.get("covariance") == "none")


def _variances(definitions: Sequence[IndividualDefinition], effects: RandomEffects) -> Iterator[tuple[str, str]]:
    """``OMEGA(2,2)`` -> omega_V, and ``ETA(2)`` -> V. What is shown is a standard deviation: where the text has a
    variance or a number, its usual name."""
    seen: set[tuple[str, bool]] = set()
    by_name = {d.name: d for d in definitions}
    for (parameter, occasion), eta in effects.names.items():
        level = (parameter, occasion is None)
        stated = next(v for v in by_name[parameter].variability if (len(v.level) == 1) == level[1])
        yield eta, parameter if occasion is None else f"{parameter}_OCC{occasion:g}"
        if level in seen:
            continue
        seen.add(level)
        usual = f"{'omega' if occasion is None else 'gamma'}_{parameter}"
        own = isinstance(stated.value, str) and not stated.variance
        yield f"OMEGA({_number(eta)},{_number(eta)})", str(stated.value) if own else usual


def _covariances(project: Project, effects: RandomEffects) -> Iterator[tuple[str, str]]:
    """``OMEGA(3,2)`` -> corr_V_Cl."""
    for c in project.correlations:
        between_subjects = len(c.level or ("id",)) == 1
        first = {p: eta for (p, o), eta in reversed(effects.names.items()) if (o is None) == between_subjects}
        numbers = sorted((_number(first[p]) for p in c.parameters if p in first), reverse=True)
        if len(numbers) == 2:
            name = c.value if isinstance(c.value, str) else f"corr_{'_'.join(c.parameters)}"
            yield f"OMEGA({numbers[0]},{numbers[1]})", name


def _number(effect: str) -> int:
    return int(re.sub(r"\D", "", effect))


def _transforms(definitions: Sequence[IndividualDefinition]) -> dict[str, Transform]:
    found: dict[str, Transform] = {}
    for d in definitions:
        if d.variability or d.distribution not in _KINDS:
            continue
        low, high = bounds(d)
        lower, upper = (low, high) if d.distribution == "logitnormal" else (0.0, math.inf)
        transform = Transform(kind=_KINDS[d.distribution], lower=lower, upper=upper)
        found |= {d.name: transform, program_name(d.name): transform}
    return found
