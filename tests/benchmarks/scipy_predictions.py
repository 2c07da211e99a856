"""Predictions by scipy's solve_ivp, written as one would by hand: from dose to dose, the right-hand side a plain Python
function of floats. Boluses at known times only, covariates constant in a subject."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
from scipy.integrate import solve_ivp

from nlmevae.codegen.graph import Function
from nlmevae.codegen.latent_form import LatentForm
from nlmevae.codegen.print_numpy import emit_numpy
from nlmevae.codegen.print_python import link_python
from nlmevae.data.events import EventKind, EventTable

#: Of numpy's functions, those of floats: several times as fast on one number.
FLOATS = SimpleNamespace(
    **{name: getattr(math, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh")},
    power=math.pow, where=lambda condition, yes, no: yes if condition else no, float64=float,
)  # fmt: skip


class ScipyPredictions:
    """Of one model with its data; method: of solve_ivp.

    Raises:
        ValueError: the data have events besides boluses, or covariates that change.
    """

    def __init__(self, form: LatentForm, table: EventTable, *, rtol: float, method: str = "LSODA") -> None:
        if (table.ev_kind != EventKind.BOLUS).any() or not table.static:
            raise ValueError("only boluses and constant covariates")
        self.form, self.table, self.method, self.rtol = form, table, method, rtol
        largest = float(np.abs(table.ev_amt).max()) if len(table.ev_amt) else 1.0
        self.atol = rtol * max(largest, 1.0)
        self._individual, self._initial, self._rhs, self._output = map(
            _plain, (form.individual, form.initial, form.rhs, form.output)
        )

    def subject(self, x: np.ndarray, i: int) -> np.ndarray:
        """(n_obs of i,) at decoder input x (n_inputs,)."""
        table, form = self.table, self.form
        p = self._individual(*map(float, x), *map(float, table.cov[table.cov_ptr[i]]))[0]
        events, first = range(table.ev_ptr[i], table.ev_ptr[i + 1]), int(table.ob_ptr[i])
        seen = table.ob_time[first : table.ob_ptr[i + 1]]
        states = np.empty((len(seen), form.n_compartments))
        amounts = np.array(self._initial(*p)[0], dtype=float)
        stops = sorted({float(table.start_time[i]), *map(float, table.ev_time[events.start : events.stop])})
        for begin, end in itertools.pairwise([*stops, max(float(seen[-1]), stops[-1]) + 1e-9]):
            for e in events:
                if table.ev_time[e] == begin:
                    amounts[form.dosed_states(table.ev_cmt[e : e + 1])[0]] += table.ev_amt[e]
            here = (seen >= begin) & (seen < end)
            solved = solve_ivp(
                lambda t, a: self._rhs(t, *a.tolist(), *p)[0], (begin, end), amounts, method=self.method,
                rtol=self.rtol, atol=self.atol, t_eval=[*np.unique(seen[here]), end],
            )  # fmt: skip
            states[here] = solved.y.T[np.searchsorted(solved.t, seen[here])]
            amounts = solved.y[:, -1]
        return np.array([self._seen(first + k, states[k], p) for k in range(len(seen))])

    def _seen(self, row: int, amounts: np.ndarray, p: tuple[float, ...]) -> float:
        table = self.table
        data = [] if not len(table.record_names) else map(float, table.ob_data[row])
        values = self._output(float(table.ob_time[row]), *amounts.tolist(), *p, *data)[0]
        return values[self.form.observed.index(int(table.ob_cmt[row]))]


def _plain(function: Function):
    return link_python(emit_numpy(function), function, {"np": FLOATS}, function.name)
