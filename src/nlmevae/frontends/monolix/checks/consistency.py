"""The second pass over a project: every name means something, lists have the lengths they must have, every parameter
has an initial value. What is harmless becomes a note."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nlmevae.frontends.monolix.checks.covariate_sources import check_covariates
from nlmevae.frontends.monolix.checks.initial_values import initial_value_notes
from nlmevae.frontends.monolix.checks.outcomes import check_outcomes
from nlmevae.frontends.monolix.checks.population_level import check_correlations, check_individual, population_names
from nlmevae.frontends.monolix.checks.remarks import it_or_them, note
from nlmevae.frontends.monolix.checks.structural_names import check_structure, names_read_by
from nlmevae.frontends.monolix.project import Project
from nlmevae.ir import Diagnostic


def consistency_notes(project: Project, individual_inputs: Sequence[str] | None) -> tuple[Diagnostic, ...]:
    """Notes on what is stated and not used. `individual_inputs`: `input` of [INDIVIDUAL],
    None where there is none (Monolix 4).

    Raises:
        SemanticError: what the checks look for.
    """
    check_covariates(project)
    check_individual(project, individual_inputs)
    check_correlations(project)
    check_structure(project)
    check_outcomes(project)
    return (*initial_value_notes(project), *_unused_notes(project, individual_inputs))


def _unused_notes(project: Project, inputs: Sequence[str] | None) -> Iterator[Diagnostic]:
    """What is stated and not used."""
    terms = {t.covariate for d in project.individual for t in d.terms}
    used = {n for d in project.individual for n in population_names(d)} | terms
    used |= {c.value for c in project.correlations if isinstance(c.value, str)}
    left = [name for name in inputs or () if name not in used]
    if left:
        yield note(f"{', '.join(left)} in input of [INDIVIDUAL]: no parameter uses {it_or_them(left)}", None)
    structural = project.structural
    read = names_read_by(structural) | set(structural.outputs) | {o.prediction for o in project.observations}
    left = [name for name in structural.inputs if name not in read]
    if left:
        yield note(f"{', '.join(left)} in input: the structural model does not use {it_or_them(left)}", structural.at)
    left = [d.name for d in project.individual if d.name not in structural.inputs]
    if left:
        yield note(
            f"{', '.join(left)} of [INDIVIDUAL]: the structural model does not have {it_or_them(left)}",
            next(d.at for d in project.individual if d.name == left[0]),
        )
    left = [o.name for o in project.observations if o.name not in project.fit.models]
    if left:
        yield note(
            f"{', '.join(left)}: not fitted, <FIT> does not name {it_or_them(left)}",
            next(o.at for o in project.observations if o.name == left[0]),
        )
