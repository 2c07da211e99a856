"""What the doses that lead to a steady state are: F, lag, duration and rate at their records, with derivatives."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nlmevae.codegen.batch_llvm import link_batch
from nlmevae.codegen.latent_form import LatentForm
from nlmevae.data.events import EventTable


@dataclass(slots=True)
class SteadyDoses:
    """What is given at each event: values (P,) and derivatives (P, n_inputs). Of amount, rate and duration those
    that the kind of dose has not are 0."""

    constant: np.ndarray
    interval: np.ndarray
    amount: tuple[np.ndarray, np.ndarray]
    rate: tuple[np.ndarray, np.ndarray]
    duration: tuple[np.ndarray, np.ndarray]
    lag: tuple[np.ndarray, np.ndarray]

    def pick(self, which: np.ndarray) -> SteadyDoses:
        pairs = (self.amount, self.rate, self.duration, self.lag)
        return SteadyDoses(self.constant[which], self.interval[which], *((v[which], d[which]) for v, d in pairs))


class DoseReader:
    """SteadyDoses of the steady-state events of a table."""

    def __init__(self, form: LatentForm, table: EventTable, events: np.ndarray) -> None:
        self.table, self._events = table, events
        self._input = table.ev_cmt[events].astype(int) - 1
        self._covariates = table.cov[covariate_rows_at(table, events)]
        self._dosing = _DosingParameters(form)

    def close(self) -> None:
        self._dosing.close()

    def read(self, x: np.ndarray, event: np.ndarray) -> SteadyDoses:
        """Doses of events (indices into `events`) at inputs x (P, n_inputs)."""
        table, e = self.table, self._events[event]
        parameter = self._dosing.at(x, self._covariates[event], self._input[event])
        given, stated, interval = table.ev_amt[e], table.ev_rate[e], table.ev_ii[e]
        share, d_share = parameter["bioavailability"]
        amount, d_amount = share * given, d_share * given[:, None]
        constant, bolus = interval == 0, (stated == 0) & (interval > 0)
        by_duration, by_rate = stated == -2, stated == -1
        modelled, d_modelled = parameter["duration"]
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.select([by_rate, by_duration], [parameter["rate"][0], amount / modelled], np.maximum(stated, 0.0))
            d_rate = np.select(
                [by_rate[:, None], by_duration[:, None]],
                [parameter["rate"][1], (d_amount - rate[:, None] * d_modelled) / modelled[:, None]],
                0.0,
            )
            timed = ~bolus & ~constant
            duration = np.select([by_duration, timed], [modelled, amount / rate], 0.0)
            shift = (d_amount - duration[:, None] * d_rate) / rate[:, None]
            d_duration = np.select([by_duration[:, None], timed[:, None]], [d_modelled, shift], 0.0)
        lag, d_lag = parameter["lag"]
        return SteadyDoses(
            constant=constant,
            interval=interval,
            amount=(np.where(bolus, amount, 0.0), np.where(bolus[:, None], d_amount, 0.0)),
            rate=(rate, d_rate),
            duration=(duration, d_duration),
            lag=(np.where(constant, 0.0, lag), np.where(constant[:, None], 0.0, d_lag)),
        )


def possible(doses: SteadyDoses) -> np.ndarray:
    """(P,) bool: lag, F, rate and duration make sense, and the dose has arrived before the next is given."""
    with np.errstate(invalid="ignore"):
        good = np.isfinite(doses.amount[0]) & (doses.amount[0] >= 0) & np.isfinite(doses.rate[0])
        good &= (doses.rate[0] >= 0) & np.isfinite(doses.duration[0]) & (doses.duration[0] >= 0)
        return good & (doses.lag[0] >= 0) & (doses.constant | (doses.lag[0] < doses.interval))


_DOSING_DEFAULTS = {"bioavailability": 1.0, "lag": 0.0, "duration": 1.0, "rate": 0.0}


class _DosingParameters:
    """F, lag, duration and rate of the dose inputs, with derivatives."""

    def __init__(self, form: LatentForm) -> None:
        fields = list(_DOSING_DEFAULTS)
        names = sorted({n for t in form.dosing for f in fields if (n := getattr(t, f))})
        outputs = dict(form.individual.outputs)
        self._function = None
        if names:
            function = replace(form.individual, name="dosing", outputs=tuple((n, outputs[n]) for n in names))
            self._function = link_batch(function, form.input_names)
        self._n_inputs = form.n_inputs
        self._where = {
            f: np.array([names.index(n) if (n := getattr(t, f)) else -1 for t in form.dosing], dtype=np.int64)
            for f in fields
        }

    def close(self) -> None:
        if self._function is not None:
            self._function.close()

    def at(self, x: np.ndarray, covariates: np.ndarray, into: np.ndarray) -> dict:
        """Field -> values (P,) and derivatives (P, n_inputs) of each event's dose input `into` (P,), from 0."""
        n_pairs, function = len(x), self._function
        values, slopes = np.zeros((0, n_pairs)), np.zeros((0, n_pairs, self._n_inputs))
        if function is not None and n_pairs:
            values, entries = function(np.vstack([x.T, covariates.T]))
            slopes = np.zeros((len(values), n_pairs, self._n_inputs))
            for (i, k), entry in zip(function.pattern, entries, strict=True):
                slopes[i, :, k] = entry
        result = {}
        for field, default in _DOSING_DEFAULTS.items():
            value, slope = np.full(n_pairs, default), np.zeros((n_pairs, self._n_inputs))
            place = self._where[field][into]
            own = np.flatnonzero(place >= 0)
            if len(own) and len(values):
                value[own], slope[own] = values[place[own], own], slopes[place[own], own]
            result[field] = value, slope
        return result


def covariate_rows_at(table: EventTable, events: np.ndarray) -> np.ndarray:
    """(len(events),) row of `table.cov` that holds at each event."""
    subject = np.searchsorted(table.ev_ptr, events, side="right") - 1
    rows = np.zeros(len(events), dtype=int)
    for k, (event, i) in enumerate(zip(events, subject, strict=True)):
        own = np.arange(table.cov_ptr[i], table.cov_ptr[i + 1])
        when = (table.ev_time[event], table.ev_order[event])
        later = [c for c in own if (table.cov_time[c], table.cov_order[c]) >= when]
        rows[k] = later[0] if later else own[-1]
    return rows
