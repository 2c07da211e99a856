"""What a control stream with a data set cannot say, or says in a way that this translator does not write."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.ir import DoseInput, Model, Number, assignments
from nlmevae_translators.report import Entry


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
        )


def _outcomes(model: Model, dataset: Dataset) -> Iterator[Entry]:
    rows = model.data.monolix
    for number, scale in enumerate(rows.scales if rows else (), 1):
        outcome = _outcome_name(model, number)
        if scale.kind == "logit":
            yield _refused(
                f"distribution=logitNormal of {outcome}",
                "no translation is written: transform the values and the prediction, and use distribution=normal",
            )
        if scale.kind == "log" and _not_positive(dataset, number):
            yield _refused(
                f"distribution=logNormal of {outcome}",
                "a value that is not positive has no logarithm: leave it out, or use distribution=normal",
            )


def _outcome_name(model: Model, number: int) -> str:
    return next((o.name for o in model.observations if f"EPS({number})" in o.epsilons), f"outcome {number}")


def _not_positive(dataset: Dataset, number: int) -> bool:
    own = (dataset.mdv == 0) & (dataset.column("YTYPE") == number)
    return bool((dataset.column("DV")[own] <= 0.0).any())


def _doses(model: Model, dataset: Dataset) -> Iterator[Entry]:
    n = len(model.structural.compartments)
    dosed = np.isin(dataset.evid, (1, 4))
    used = {int(c) for c in np.unique(dataset.column("CMT")[dosed])} if n else set()
    for entry in model.structural.inputs:
        if entry.number in used and not brings_nothing(model, entry):
            name = model.structural.compartments[entry.compartment - 1].name
            yield _refused(
                f"a second way of doses into {name}",
                "a NONMEM compartment has one F, one ALAG and one D: give the doses a compartment of their own in the "
                "project, or the same p, Tlag and Tk0",
            )


def brings_nothing(model: Model, entry: DoseInput) -> bool:
    """Its doses are multiplied by 0: they are there to stop the integrator."""
    values = [a.value for a in assignments(model.program.pk) if a.target == entry.bioavailability]
    return bool(values) and all(isinstance(v, Number) and v.value == 0.0 for v in values)
