"""What was fitted, in the words and text of its control stream: the part of a report that no result file holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A remark on model or data: what, where ("" if it has no place) and what to do."""

    severity: str
    message: str
    place: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterDescription:
    """One individual parameter: its distribution in words, its random effect, what its typical value reads."""

    name: str
    distribution: str
    eta: str
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDescription:
    """`obs_per_subject`: least, median, most. `doses` are sentences; `dose_times` (N subjects) times of each one's
    doses, ADDL counted one by one."""

    path: str
    n_records: int
    n_without_observations: int
    obs_per_subject: tuple[float, float, float]
    doses: tuple[str, ...]
    dose_times: tuple[np.ndarray, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDescription:
    """`control_stream` is the text that was fitted; `command` fits it again with the same numbers; `structure` and
    `errors` are sentences."""

    control_stream: str
    command: str
    structure: str
    parameters: tuple[ParameterDescription, ...]
    errors: tuple[str, ...]
    notes: tuple[Note, ...]
    data: DataDescription
