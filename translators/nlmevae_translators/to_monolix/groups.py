"""Observations by outcome: one observation model and one observed compartment each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nlmevae.data.observation_checks import zeros_without_logarithm
from nlmevae.ir import Model, ObservationModel, names_read
from nlmevae_translators.to_monolix.refusal import RefusedError
from nlmevae_translators.to_monolix.source_data import MOST_CATEGORIES, SourceData


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeGroup:
    """Observation type `number` of the project.

    Attributes:
        rows: (n,) positions among the observations.
        known: data items with one value on all its records that decide which outcome a record has.
        chosen: all data items that decide about outcomes and how values are censored.
    """

    number: int
    observation: ObservationModel
    compartment: int
    rows: np.ndarray
    known: Mapping[str, float]
    wanted_name: str
    chosen: frozenset[str] = frozenset()


def outcome_groups(data: SourceData) -> list[OutcomeGroup]:
    """In the order of observation models, then compartments."""
    table, model = data.run.table, data.model
    endpoint = np.zeros(table.n_obs_total, dtype=int) if table.ob_endpoint is None else table.ob_endpoint
    error_reads = names_read(model.executed.error)
    compartment = table.ob_cmt if "F" in error_reads or "CMT" in error_reads else np.minimum(table.ob_cmt, 0)
    default = model.structural.default_observation if model.structural.compartments else 0
    apart = _told_apart(data, endpoint, compartment)
    kinds = np.column_stack([endpoint, compartment, *apart.values()])
    keys = sorted({tuple(row) for row in kinds.tolist()})
    chosen = _choosing(model) | apart.keys()
    groups = []
    for k, key in enumerate(keys, 1):
        e, c = int(key[0]), int(key[1])
        rows = np.flatnonzero((kinds == key).all(axis=1))
        name = "Cc" if model.structural.compartments else "E"
        name = f"log{name}" if model.observations[e].scale == "log" else name
        groups.append(
            OutcomeGroup(
                number=k,
                observation=model.observations[e],
                compartment=c or default,
                rows=rows,
                known=_known(data, rows, chosen),
                chosen=frozenset(chosen),
                wanted_name=name if len(keys) == 1 else f"{name}{k}",
            )
        )
    return groups


def check_logarithms(data: SourceData, groups: Sequence[OutcomeGroup]) -> None:
    """Raises:
    RefusedError: an outcome whose values cannot be the logarithms that they are compared with. Together with those of
        other outcomes of the code they can.
    """
    table = data.run.table
    for group in groups:
        own = ~table.censored & np.isin(np.arange(table.n_obs_total), group.rows)
        zero = zeros_without_logarithm(table.ob_value, own)
        if group.observation.scale != "log" or not zero.any():
            continue
        line = data.run.dataset.lines[table.ob_row[int(np.argmax(zero))]]
        flags = " and ".join(f"{item}={value:g}" for item, value in group.known.items())
        reason = (
            f"DV is 0 on line {line} and never negative on records {f'with {flags}' if flags else 'like it'}, but the "
            "code has a logarithm as their prediction: log(0) does not exist. Give these records a prediction of their "
            "own in $ERROR, or leave them out (IGNORE); if 0 is log(1), write 1E-9"
        )
        raise RefusedError("DV", reason, data.model.data.at)


def _told_apart(data: SourceData, endpoint: np.ndarray, compartment: np.ndarray) -> dict[str, np.ndarray]:
    """(M,) values of flags that observations of one outcome at one time do not share: no regressor can have two
    values, so that each becomes an outcome of its own."""
    table = data.run.table
    occasion = (
        np.zeros(len(endpoint)) if data.occasion is None else data.occasion[table.ob_row]
    )  # whose time may restart
    groups = np.column_stack([table.ob_subject, table.ob_time, occasion, endpoint, compartment])
    _, where = np.unique(groups, axis=0, return_inverse=True)
    order = np.argsort(where, kind="stable")
    same = np.diff(where[order]) == 0
    found = {}
    for k, name in enumerate(table.record_names):
        values = table.ob_data[:, k]
        flag = data.role(name) == "covariate" and len(np.unique(values)) <= MOST_CATEGORIES
        if flag and np.any(same & (np.diff(values[order]) != 0.0)):
            found[name] = values
    return found


def _choosing(model: Model) -> set[str]:
    """Items that choose the outcome of a record, or say how its value is censored."""
    chosen: set[str] = {"CMT"}
    for o in model.observations:
        chosen |= set() if o.when is None else o.when.names()
        for censoring in o.censoring:
            chosen |= censoring.when.names() | {item for item, _ in censoring.stand_in}
    return chosen


def _known(data: SourceData, rows: np.ndarray, chosen: Collection[str]) -> dict[str, float]:
    """Items that choose the outcome and have one value here."""
    table = data.run.table
    found = {}
    for k, name in enumerate(table.record_names):
        values = np.unique(table.ob_data[rows, k])
        if name in chosen and len(values) == 1:
            found[name] = float(values[0])
    return found
