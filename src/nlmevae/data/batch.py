"""Observations padded to one rectangle, as the encoder reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.data.events import EventTable

FEATURES = ("time", "value", "time_since_dose", "log_cumulative_dose")


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddedObservations:
    """N subjects, T = most observations of one subject; padding is 0 and masked.

    Attributes:
        time: (N, T) in data units.
        value: (N, T) DV.
        mask: (N, T) bool, True where there is an observation.
        features: (N, T, n_features) float64, see `feature_names`: time over the longest time, DV
            standardised over all observations, time since the last dose over the longest time, and
            log(1 + amount given so far / mean dose), standardised. A constant feature is all 0.
        feature_names: as FEATURES; the dose features are absent when there are no doses.
    """

    time: np.ndarray
    value: np.ndarray
    mask: np.ndarray
    features: np.ndarray
    feature_names: tuple[str, ...]


def padded(table: EventTable) -> PaddedObservations:
    """Observations of all subjects, side by side."""
    counts = np.diff(table.ob_ptr)
    mask = np.arange(max(1, int(counts.max(initial=0)))) < counts[:, None]
    elapsed = table.ob_time - table.start_time[table.ob_subject]
    longest = max(float(np.max(elapsed, initial=0.0)), np.finfo(float).tiny)
    columns = [elapsed / longest, _standardised(table.ob_value)]
    if table.ev_is_dose.any():
        since, given = dose_history(table)
        mean = float(np.mean(table.ev_amt[table.ev_is_dose]))
        columns += [since / longest, _standardised(np.log1p(given / mean))]
    features = np.zeros((*mask.shape, len(columns)))
    features[mask] = np.column_stack(columns)
    return PaddedObservations(
        time=_pad(table.ob_time, mask),
        value=_pad(table.ob_value, mask),
        mask=mask,
        features=features,
        feature_names=FEATURES[: len(columns)],
    )


def _pad(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    result = np.zeros(mask.shape)
    result[mask] = values
    return result


def _standardised(values: np.ndarray) -> np.ndarray:
    if len(values) == 0:
        return values
    spread = float(np.std(values))
    return (values - np.mean(values)) / spread if spread > 0 else np.zeros(len(values))


def dose_history(table: EventTable) -> tuple[np.ndarray, np.ndarray]:
    """(M,) time since the last dose (0 before the first) and amount given so far."""
    since, given = np.zeros(table.n_obs_total), np.zeros(table.n_obs_total)
    dose = table.ev_is_dose
    for i in range(table.n_subjects):
        events = slice(int(table.ev_ptr[i]), int(table.ev_ptr[i + 1]))
        time, amount = table.ev_time[events][dose[events]], table.ev_amt[events][dose[events]]
        seen = slice(int(table.ob_ptr[i]), int(table.ob_ptr[i + 1]))
        before = np.searchsorted(time, table.ob_time[seen], side="right")
        last = np.append(time, 0.0)[np.maximum(before - 1, 0)]
        since[seen] = np.where(before > 0, table.ob_time[seen] - last, 0.0)
        given[seen] = np.append(0.0, np.cumsum(amount))[before]
    return since, given
