"""What a control stream with a data set cannot say, or says in a way that this translator does not write."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.ir import Model
from nlmevae_translators.report import Entry
from nlmevae_translators.to_nonmem.constructs import outcome_place
from nlmevae_translators.to_nonmem.dose_ways import changes_with_lag, ways


def refusals(model: Model, dataset: Dataset) -> tuple[Entry, ...]:
    """Constructs that stop the conversion, with what to do instead."""
    return (*_prior(model), *_effects(model), *_outcomes(model, dataset), *_doses(model, dataset))


def _refused(construct: str, reason: str, source=None) -> Entry:
    return Entry(construct=construct, kind="refused", reason=reason, source=source)


def _prior(model: Model) -> Iterator[Entry]:
    if model.prior is not None:
        reason = f"priors are not converted: {model.prior.remedy}"
        yield _refused(model.prior.stated_by, reason, model.prior.at)


def _effects(model: Model) -> Iterator[Entry]:
    if not model.etas:
        yield _refused(
            "a project without variability",
            "NONMEM's population methods estimate random effects: give a parameter a standard deviation",
            next((t.at for t in model.thetas), None),
        )


def _outcomes(model: Model, dataset: Dataset) -> Iterator[Entry]:
    rows = model.data.monolix
    for number, scale in enumerate(rows.scales if rows else (), 1):
        own = next((o for o in model.observations if f"EPS({number})" in o.epsilons), None)
        outcome = f"outcome {number}" if own is None else own.name
        place = None if own is None else outcome_place(model, own)
        if scale.kind == "log" and _not_positive(dataset, number):
            yield _refused(
                f"distribution=logNormal of {outcome}",
                "a value that is not positive has no logarithm: leave it out, or use distribution=normal",
                place,
            )


def _not_positive(dataset: Dataset, number: int) -> bool:
    own = (dataset.mdv == 0) & (dataset.column("YTYPE") == number)
    return bool((dataset.column("DV")[own] <= 0.0).any())


def _doses(model: Model, dataset: Dataset) -> Iterator[Entry]:
    """NONMEM has F and ALAG of a dose by its record; together they are not executed where they change."""
    n = len(model.structural.compartments)
    dosed = np.isin(dataset.evid, (1, 4))
    used = {int(c) for c in np.unique(dataset.column("CMT")[dosed])} if n else set()
    into = {entry.compartment for entry in ways(model) if entry.number in used}
    for number in sorted(into):
        changing = changes_with_lag(model, number)
        if changing:
            yield _refused(
                f"a second way of doses into {model.structural.compartments[number - 1].name}",
                f"{changing} depends on the way, and doses have a Tlag: together they are not executed. Give the doses "
                "a compartment of their own in the project, or the same p and Tk0",
                model.structural.at,
            )
