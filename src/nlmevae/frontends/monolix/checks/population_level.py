"""Covariates, levels of variability and correlations of the individual parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from nlmevae.errors import Location, SemanticError
from nlmevae.frontends.monolix.checks.covariate_sources import categories_of, data_covariates
from nlmevae.frontends.monolix.checks.remarks import nearest
from nlmevae.frontends.monolix.project import (
    ComputedCovariate,
    CovariateTerm,
    IndividualDefinition,
    NameOrNumber,
    Project,
)


def check_individual(project: Project, inputs: Sequence[str] | None) -> None:
    for definition in project.individual:
        for term in definition.terms:
            _check_term(project, definition, term)
        for name in population_names(definition):
            if inputs is not None and name not in inputs:
                raise SemanticError(
                    f"{name} is not in input of [INDIVIDUAL]",
                    hint=f"write input = {{..., {name}}}",
                    location=definition.at,
                )
        for variability in definition.variability:
            _check_level(project, variability.level, definition.at)


def _check_term(project: Project, definition: IndividualDefinition, term: CovariateTerm) -> None:
    columns = data_covariates(project)
    known = {*columns, *(c.name for c in project.covariates)}
    if term.covariate not in known:
        raise SemanticError(
            f"{term.covariate} is not a covariate",
            hint=nearest(term.covariate, sorted(known), "define it in [COVARIATE] or [CONTENT]"),
            location=term.at,
        )
    categories = categories_of(project, term.covariate)
    computed = any(isinstance(c, ComputedCovariate) and c.name == term.covariate for c in project.covariates)
    if categories is None and columns.get(term.covariate, False) and not computed:
        raise SemanticError(
            f"the categories of {term.covariate} are not declared",
            hint=f"add {term.covariate} = {{type=categorical, categories={{...}}}} to [COVARIATE]",
            location=term.at,
        )
    count = 1 if categories is None else len(categories)
    if len(term.coefficients) != count:
        what = f"its {count} categories" if categories is not None else "a continuous covariate"
        raise SemanticError(
            f"{len(term.coefficients)} coefficients of {term.covariate} on {definition.name} for {what}",
            hint="give one per category, 0 for the reference" if categories is not None else "give one",
            location=term.at,
        )


def _check_level(project: Project, level: tuple[str, ...], at: Location | None) -> None:
    occasions = project.data.of("occasion")
    if level[0] != "id":
        raise SemanticError(f"the level {'*'.join(level)} does not begin with id", hint="write id*occ", location=at)
    by_event = not occasions and bool(project.data.of("eventidentifier"))  # event identifier 4 begins an occasion
    if len(level) - 1 > len(occasions) + by_event:
        raise SemanticError(
            f"the level {'*'.join(level)} needs {len(level) - 1} column(s) with use=occasion, "
            f"the data have {len(occasions)}",
            hint="add COLUMN = {use=occasion} to [CONTENT]",
            location=at,
        )


def check_correlations(project: Project) -> None:
    levels: dict[tuple[str, ...], dict[frozenset[str], Location | None]] = {}
    for correlation in project.correlations:
        _check_level(project, correlation.level, correlation.at)
        for name in correlation.parameters:
            definition = next((d for d in project.individual if d.name == name), None)
            if definition is None:
                raise SemanticError(
                    f"{name} in a correlation is not an individual parameter",
                    hint=nearest(name, [d.name for d in project.individual], "name two parameters of DEFINITION:"),
                    location=correlation.at,
                )
            if correlation.level not in [v.level for v in definition.variability]:
                raise SemanticError(
                    f"{name} has no random effect at the level {'*'.join(correlation.level)}",
                    hint="remove the correlation, or give the parameter a standard deviation",
                    location=correlation.at,
                )
        pairs = levels.setdefault(correlation.level, {})
        pair = frozenset(correlation.parameters)
        if len(pair) == 1 or pair in pairs:
            what = "of a parameter with itself" if len(pair) == 1 else "given twice"
            raise SemanticError(
                f"the correlation r({', '.join(correlation.parameters)}) is {what}",
                hint="remove it",
                location=correlation.at,
            )
        pairs[pair] = correlation.at
    for pairs in levels.values():
        _check_blocks(pairs)


def _check_blocks(pairs: dict[frozenset[str], Location | None]) -> None:
    """Parameters that are correlated, directly or by others, form a block, in which every pair is correlated."""
    groups: list[set[str]] = []
    for pair in pairs:
        joined = [g for g in groups if g & pair]
        groups = [g for g in groups if not g & pair] + [set(pair).union(*joined)]
    for group in groups:
        for first, second in combinations(sorted(group), 2):
            if frozenset((first, second)) not in pairs:
                at = next(at for pair, at in pairs.items() if pair & {first, second})
                raise SemanticError(
                    f"the correlations of {', '.join(sorted(group))} do not hold r({first}, {second})",
                    hint="give the correlation of every pair of a group",
                    location=at,
                )


def population_names(definition: IndividualDefinition) -> Iterator[str]:
    """Population parameters of one individual parameter."""
    values: list[NameOrNumber] = [definition.typical]
    values += [c for term in definition.terms for c in term.coefficients]
    values += [v.value for v in definition.variability]
    return (v for v in values if isinstance(v, str))
