"""Observations by outcome: one observation model and one observed compartment each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nlmevae.ir import ObservationModel, names_read
from nlmevae_translators.to_monolix.source_data import SourceData


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeGroup:
    """Observation type `number` of the project.

    Attributes:
        rows: (n,) positions among the observations.
        known: data items with one value on all its records that decide which outcome a record has.
    """

    number: int
    observation: ObservationModel
    compartment: int
    rows: np.ndarray
    known: Mapping[str, float]
    wanted_name: str


def outcome_groups(data: SourceData) -> list[OutcomeGroup]:
    """In the order of observation models, then compartments."""
    table, model = data.run.table, data.model
    endpoint = np.zeros(table.n_obs_total, dtype=int) if table.ob_endpoint is None else table.ob_endpoint
    error_reads = names_read(model.executed.error)
    compartment = table.ob_cmt if "F" in error_reads or "CMT" in error_reads else np.minimum(table.ob_cmt, 0)
    default = model.structural.default_observation if model.structural.compartments else 0
    keys = sorted({(int(e), int(c)) for e, c in zip(endpoint, compartment, strict=True)})
    groups = []
    for k, (e, c) in enumerate(keys, 1):
        rows = np.flatnonzero((endpoint == e) & (compartment == c))
        name = "Cc" if model.structural.compartments else "E"
        name = f"log{name}" if model.observations[e].scale == "log" else name
        groups.append(
            OutcomeGroup(
                number=k,
                observation=model.observations[e],
                compartment=c or default,
                rows=rows,
                known=_known(data, rows),
                wanted_name=name if len(keys) == 1 else f"{name}{k}",
            )
        )
    return groups


def _known(data: SourceData, rows: np.ndarray) -> dict[str, float]:
    """Items that choose the outcome and have one value here."""
    table, model = data.run.table, data.model
    chosen: set[str] = {"CMT"}
    for o in model.observations:
        chosen |= set() if o.when is None else o.when.names()
        for censoring in o.censoring:
            chosen |= censoring.when.names() | {item for item, _ in censoring.stand_in}
    found = {}
    for k, name in enumerate(table.record_names):
        values = np.unique(table.ob_data[rows, k])
        if name in chosen and len(values) == 1:
            found[name] = float(values[0])
    return found
