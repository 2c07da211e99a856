"""What covariates are made of: columns of the data, or covariates before them."""

from __future__ import annotations

from collections.abc import Sequence

from nlmevae.errors import Location, ModelError, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.checks.remarks import nearest
from nlmevae.frontends.monolix.project import (
    CategoricalCovariate,
    Covariate,
    Project,
    RegroupedCovariate,
)


def data_covariates(project: Project) -> dict[str, bool]:
    """Columns that are covariates, by name: whether they are categorical."""
    return {c.name: c.categorical for c in project.data.of("covariate")}


def check_covariates(project: Project) -> None:
    """Every covariate that is used comes from a column or from covariates before it."""
    known = set(data_covariates(project))
    used = used_covariates(project)
    for covariate in project.covariates:
        for name in _sources(covariate):
            if name not in known and covariate.name in used:
                raise _no_covariate(project, name, sorted(known), covariate.at)
        known.add(covariate.name)
        if isinstance(covariate, RegroupedCovariate):
            _check_members(project, covariate)


def _no_covariate(project: Project, name: str, known: Sequence[str], at: Location | None) -> ModelError:
    """OCC and sOCC are covariates that Monolix makes of the occasions."""
    occasions = project.data.of("occasion")
    if occasions and name.lstrip("s").upper().startswith("OCC"):
        return UnsupportedError(
            f"{name} is the occasion as a covariate, which is not supported",
            hint=f"add a copy of the column {occasions[0].name} to the data, with use=covariate, type=categorical",
            location=at,
        )
    return SemanticError(
        f"{name} is not a covariate",
        hint=nearest(name, known, f"add {name} = {{use=covariate, type=...}} to [CONTENT]"),
        location=at,
    )


def _sources(covariate: Covariate) -> Sequence[str]:
    """What a covariate is computed from; a declared one: the column of its name."""
    if isinstance(covariate, CategoricalCovariate):
        return (covariate.name,)
    if isinstance(covariate, RegroupedCovariate):
        return (covariate.source,)
    return sorted(covariate.value.names())


def used_covariates(project: Project) -> set[str]:
    """Covariates that act on a parameter, and those they are computed from."""
    used = {t.covariate for d in project.individual for t in d.terms}
    for covariate in reversed(project.covariates):
        if covariate.name in used:
            used |= set(_sources(covariate))
    return used


def _check_members(project: Project, covariate: RegroupedCovariate) -> None:
    source = categories_of(project, covariate.source)
    members = [m for _, group in covariate.groups for m in group]
    if source is None:
        return
    for member in members:
        if member not in source:
            raise SemanticError(
                f"{member} is not a category of {covariate.source}",
                hint="its categories are " + ", ".join(source),
                location=covariate.at,
            )
    missing = [c for c in source if c not in members]
    if missing:
        raise SemanticError(
            f"{covariate.name} has no group for the category {missing[0]} of {covariate.source}",
            hint="put every category into one group",
            location=covariate.at,
        )


def categories_of(project: Project, name: str) -> tuple[str, ...] | None:
    """Categories of a covariate in declared order, None where none are declared."""
    for covariate in project.covariates:
        if covariate.name == name and isinstance(covariate, CategoricalCovariate):
            return covariate.categories
        if covariate.name == name and isinstance(covariate, RegroupedCovariate):
            return tuple(group for group, _ in covariate.groups)
    return None
