"""A Monolix project written as a control stream and read back: the model that comes out must be the model that went in.

Names differ by design (capitals, labels that are too long), so parameters meet by their numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nlmevae import pipeline
from nlmevae.ir import Model, PopulationParameter
from nlmevae_translators.report import Entry
from nlmevae_translators.to_nonmem import to_nonmem
from nlmevae_translators.to_nonmem.parameter_records import effect_numbers
from tests.helpers.equal_models import Read, model_differences, prediction_difference


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """The project's model, the stream's, and what was written."""

    project: Model
    stream: Model
    files: Mapping[str, str]
    entries: tuple[Entry, ...]

    @property
    def text(self) -> str:
        return next(text for name, text in self.files.items() if name.endswith(".ctl"))

    @property
    def data(self) -> list[list[str]]:
        """Header and rows."""
        text = next(t for n, t in self.files.items() if n.endswith(".csv") and not n.endswith("_ids.csv"))
        return [line.split(",") for line in text.splitlines()]

    def of(self, kind: str) -> list[str]:
        return [entry.construct for entry in self.entries if entry.kind == kind]

    def differences(self) -> list[str]:
        """In words, starting values of THETAs that NONMEM refuses left out."""
        one, two = (_without_data(_comparable(m, self.project)) for m in (self.project, self.stream))
        return model_differences(one, two)

    def prediction_difference(self, n_draws: int = 2) -> float:
        one = Read.of(_comparable(self.project, self.project))
        two = Read.of(_comparable(self.stream, self.project))
        assert len(one.table.subject_labels) == len(two.table.subject_labels)
        object.__setattr__(two.table, "subject_labels", one.table.subject_labels)
        return prediction_difference(one, two, np.random.default_rng(1), n_draws=n_draws)


def round_trip(path: Path, folder: Path) -> RoundTrip:
    """The project at `path`, written into `folder` and read back from there."""
    project = pipeline.read_model(path)
    files, entries = to_nonmem(project)
    for name, text in files.items():
        (folder / name).write_text(text)
    stream = pipeline.read_model(folder / next(name for name in files if name.endswith(".ctl")))
    return RoundTrip(project=project, stream=stream, files=files, entries=entries)


def _comparable(model: Model, project: Model) -> Model:
    """With the labels of the project's THETAs and the numbers of its random effects as labels."""
    if model is not project:
        model = replace(model, thetas=tuple(map(_as_stated, model.thetas, project.thetas)))
    back = {there: here for here, there in effect_numbers(project.omega).items()} if model is not project else {}
    return replace(
        model,
        omega=tuple(replace(b, labels=tuple(back.get(n, n) for n in b.names)) for b in model.omega),
        covariate_effects=tuple(replace(e, covariate=e.covariate.upper()) for e in model.covariate_effects),
    )


def _without_data(model: Model) -> Model:
    """A project's censoring and scales are those of its data, which the comparison of predictions compares."""
    plain = (
        replace(o, censoring=(), scale="natural", error=replace(o.error, written_as="")) for o in model.observations
    )
    return replace(model, observations=tuple(plain))


def _as_stated(theta: PopulationParameter, stated: PopulationParameter) -> PopulationParameter:
    moved = not stated.fixed and stated.init in (0.0, stated.lower, stated.upper)
    return replace(theta, label=stated.label, init=stated.init if moved else theta.init)
