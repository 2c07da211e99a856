"""Report entries of individual parameters, covariates, outcomes and names."""

from __future__ import annotations

from collections.abc import Mapping

from nlmevae.errors import Location
from nlmevae.ir import IndividualParameter, Model, ObservationModel, assignments
from nlmevae_translators.report import Entry
from nlmevae_translators.to_nonmem.category_codes import Labels
from nlmevae_translators.to_nonmem.lines import plain_text
from nlmevae_translators.to_nonmem.parameter_records import effect_numbers

_FORMS = {
    "identity": "normal: MU_{n} + ETA({n})",
    "log": "logNormal: EXP(MU_{n} + ETA({n}))",
    "logit": "logitNormal: the inverse logit of MU_{n} + ETA({n})",
}
_ERRORS = {
    "additive": "constant: W = a",
    "proportional": "proportional: W = b*IPRED",
    "combined1": "combined1: W = a + b*IPRED",
    "combined2": "combined2: W = SQRT(a**2 + (b*IPRED)**2)",
}


def covariate_entries(model: Model, names: Mapping[str, str], labels: Labels) -> tuple[tuple[Entry, ...], list[str]]:
    """Entries, and comments for the head of the stream."""
    entries = []
    comments = []
    for covariate in model.project.covariates if model.project is not None else ():
        spelled = names.get(covariate.item)
        if not covariate.categories or spelled is None:
            continue
        if covariate.item in labels:
            reason = f"the categories {', '.join(covariate.categories)} are numbers of {spelled}"
            entries.append(
                Entry(construct=f"covariate {covariate.name}", kind="rule", reason=reason, source=model.data.at)
            )
            continue
        codes = ", ".join(f"{k} = {label}" for k, label in enumerate(covariate.categories))
        comments.append(_short(f"{spelled}: {codes}"))
        reason = f"categories as numbers: {codes}"
        entries.append(Entry(construct=f"covariate {covariate.name}", kind="rule", reason=reason, source=model.data.at))
    if any(block.same_as is not None for block in model.omega):
        entries.append(
            Entry(construct="variability between occasions", kind="rule", reason="one ETA per occasion, $OMEGA SAME")
        )
    return tuple(entries), comments


def _short(comment: str) -> str:
    return plain_text(comment if len(comment) < 150 else f"{comment[:146]} ...")


def parameter_entries(model: Model, names: Mapping[str, str]) -> list[tuple[IndividualParameter, Entry]]:
    """Every random individual parameter with its entry."""
    numbers = effect_numbers(model.omega)
    return [
        (
            p,
            Entry(
                construct=model.project.shown.get(p.name, p.name) if model.project is not None else p.name,
                kind="rule",
                reason=_FORMS[p.transform.kind].format(n=numbers[p.eta][4:-1])
                + (f" with {', '.join(names.get(c, c) for c in p.covariates)} in MU" if p.covariates else ""),
                source=p.at,
            ),
        )
        for p in model.individual_parameters
    ]


def outcome_place(model: Model, observation: ObservationModel) -> Location | None:
    """Where the project defines it."""
    own = set(observation.epsilons)
    found = (a.at for a in assignments(model.program.error) if a.target == "Y" and a.value.names() & own)
    return next(found, None)


def outcome_entries(model: Model) -> list[Entry]:
    """One entry per outcome."""
    scales = model.data.monolix.scales if model.data.monolix is not None else ()
    found = []
    for k, observation in enumerate(model.observations):
        power = " with the power c" if observation.error.power is not None else ""
        reason = _ERRORS[observation.error.kind] + power + ", Y = IPRED + W*EPS with $SIGMA 1 FIX"
        if observation.scale == "log" or (k < len(scales) and scales[k].kind == "log"):
            reason += (
                "; logNormal: DV is the logarithm of the values and IPRED of the prediction, so that -2LL differs "
            )
            reason += "by 2 sum log(y)"
        if k < len(scales) and scales[k].kind == "logit":
            low, high = (f"{bound:g}" for bound in (scales[k].lower, scales[k].upper))
            reason += (
                f"; logitNormal: DV is log((y - {low})/({high} - y)) of the values y and IPRED that of the prediction, "
                f"so that -2LL differs by 2 sum log((y - {low})({high} - y)/({high} - {low}))"
            )
        if observation.censoring:
            reason += "; censored records: F_FLAG = 1 and PHI"
        place = outcome_place(model, observation)
        found.append(Entry(construct=f"outcome {observation.name}", kind="rule", reason=reason, source=place))
    return found


def name_entries(renamed: Mapping[str, str]) -> list[tuple[Entry, str]]:
    """An entry and a comment for each name that is not only written in capitals."""
    return [
        (
            Entry(construct=f"name {name}", kind="rule", reason=f"{spelled}: NM-TRAN's names are capitals, 20 at most"),
            _short(f"{spelled} is {name}"),
        )
        for name, spelled in renamed.items()
    ]
