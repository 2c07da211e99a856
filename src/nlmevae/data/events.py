"""The event table: the one source of truth for doses, observations and covariate changes."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from nlmevae.data.value_scales import log_slope, to_natural


class EventKind(enum.IntEnum):
    """What an event does. Numbers are part of the compiled kernels' interface."""

    BOLUS = 1
    INFUSION = 2  # fixed RATE > 0: duration = bioavailability * amount / rate
    INFUSION_DURATION = 3  # RATE = -2: duration is the D_n parameter, rate = F * amount / D_n
    INFUSION_RATE = 4  # RATE = -1: rate is the R_n parameter, duration = F * amount / R_n
    RESET = 5
    STEADY_STATE = 6  # the state becomes that under the implied doses before this one; all that was is cancelled
    STEADY_STATE_ADD = 7  # that state is added to what there is
    EMPTY = 8  # a compartment is switched off: its amount becomes 0


#: Kinds that bring drug into a compartment.
DOSE_KINDS = (EventKind.BOLUS, EventKind.INFUSION, EventKind.INFUSION_DURATION, EventKind.INFUSION_RATE)
STEADY_KINDS = (EventKind.STEADY_STATE, EventKind.STEADY_STATE_ADD)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTable:
    """All arrays C-contiguous, rows of subject i are ptr[i]:ptr[i+1] (CSR). Times in data units.

    Events (E = all subjects): ADDL is already expanded into explicit doses, sorted by time with
    record order kept at ties. A dose with reset (EVID 4) is a RESET then a dose, a steady-state dose (SS) a
    STEADY_STATE, with the ev_cmt, ev_amt, ev_rate and ev_ii of the implied doses, then the dose itself. A STEADY_STATE
    with ev_ii 0 is that of a constant infusion, which ends there.
    Observations (M = n_obs_total): rows with MDV = 0.

    Attributes:
        ev_ptr (N+1,) int32; ev_time (E,); ev_kind (E,) int8, see EventKind; ev_cmt (E,) int16 number
            from 1 of the input a dose goes into (ir.DoseInput), of the compartment that is emptied;
            ev_amt (E,); ev_rate (E,) as in the data, -1 and -2 included; ev_ii (E,), 0 except in steady states;
            ev_order (E,) int32, see ob_order.
        ob_ptr (N+1,) int32; ob_time (M,); ob_value (M,) DV; ob_cmt (M,) int16 observed compartment,
            0 for a model without compartments; ob_row (M,) int32 row of the Dataset;
            ob_order (M,) int32: rank within the subject; at equal times the smaller of ev_order and
            ob_order happens first.
        start_time (N,): time of the subject's first record, where the state is initialised.
        covariate_names: data items $PK and $DES read (for a formula model: items that are constant in
            every subject); cov_ptr (N+1,) int32; cov_time (C,), cov (C, n_cov): row c applies on
            (cov_time[c-1], cov_time[c]], the last row of a subject also after its time. cov_order (C,) int32:
            of the records at cov_time[c], those with a rank (ob_order) up to it belong to row c, the
            others to a later one. One row per subject when nothing changes.
        record_names: data items the $ERROR code reads (TIME included when read);
            ob_data (M, len(record_names)).
        subject_labels (N,) text IDs.
        ob_endpoint (M,) int32 index of the observation model; None: there is one.
        ob_limits (M, 3) lower, upper, floor: a censored value lies between the first two (NaN where the value is
            known), every value above the third (-inf: no such knowledge). None: all values are known.
        output: the output compartment is one of the model's, numbered after the others (`switched_model`).
        unfed: compartments that are off for a while and of which it was found that nothing but doses fills them.
        ob_scale (M, 3): ob_value, ob_limits and predictions are on this scale (data.value_scales), the values of the
            data are not. None: they are on that of the data.
    """

    ev_ptr: np.ndarray
    ev_time: np.ndarray
    ev_kind: np.ndarray
    ev_cmt: np.ndarray
    ev_amt: np.ndarray
    ev_rate: np.ndarray
    ev_ii: np.ndarray
    ev_order: np.ndarray
    ob_ptr: np.ndarray
    ob_time: np.ndarray
    ob_value: np.ndarray
    ob_cmt: np.ndarray
    ob_row: np.ndarray
    ob_order: np.ndarray
    start_time: np.ndarray
    covariate_names: tuple[str, ...]
    cov_ptr: np.ndarray
    cov_time: np.ndarray
    cov_order: np.ndarray
    cov: np.ndarray
    record_names: tuple[str, ...]
    ob_data: np.ndarray
    subject_labels: tuple[str, ...]
    ob_endpoint: np.ndarray | None = None
    ob_limits: np.ndarray | None = None
    output: bool = False
    unfed: tuple[int, ...] = ()
    ob_scale: np.ndarray | None = None

    @property
    def n_subjects(self) -> int:
        return len(self.subject_labels)

    @property
    def n_obs_total(self) -> int:
        return len(self.ob_time)

    @property
    def ev_is_dose(self) -> np.ndarray:
        """(E,) bool, events that bring drug into a compartment."""
        return np.isin(self.ev_kind, DOSE_KINDS)

    @property
    def ev_is_steady(self) -> np.ndarray:
        """(E,) bool, events that set or add a steady state."""
        return np.isin(self.ev_kind, STEADY_KINDS)

    @property
    def statuses(self) -> tuple[str, ...]:
        """Of covariate_names, those that say which compartments are on."""
        return tuple(name for name in self.covariate_names if name.startswith("ON("))

    @property
    def censored(self) -> np.ndarray:
        """(M,) bool, observations of which only an interval is known."""
        return np.zeros(self.n_obs_total, dtype=bool) if self.ob_limits is None else ~np.isnan(self.ob_limits[:, 0])

    @property
    def n_known(self) -> int:
        """Observations with a known value: those of NONMEM's constant n log(2 pi)."""
        return self.n_obs_total - int(self.censored.sum())

    def natural(self, values: np.ndarray) -> np.ndarray:
        """Values or predictions (..., M) on the scale of the data."""
        return values if self.ob_scale is None else to_natural(self.ob_scale, values)

    @property
    def log_slope(self) -> np.ndarray | None:
        """(N,) what the log-density of a subject's values has besides that on the scale of `ob_value`; None: nothing.
        Of censored values nothing, which are probabilities."""
        if self.ob_scale is None:
            return None
        slope = np.where(self.censored, 0.0, log_slope(self.ob_scale, self.ob_value))
        return np.bincount(self.ob_subject, weights=slope, minlength=self.n_subjects)

    @property
    def static(self) -> bool:
        """Covariates never change within a subject."""
        return len(self.cov) == self.n_subjects

    @property
    def ob_subject(self) -> np.ndarray:
        """(M,) subject index of each observation."""
        return np.repeat(np.arange(self.n_subjects), np.diff(self.ob_ptr))
