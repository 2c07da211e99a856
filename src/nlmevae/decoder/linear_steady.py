"""Steady states of linear systems. See linear_kernels for the arrays.

Over an interval II from one record to the next the state becomes exp(M II) y + b, where b is what an interval makes of
no amounts at all: infusions running from earlier doses, the arrival at L, the end of one infusion at
e = L + D - K II in (0, II], K being the number of earlier infusions that still run. So y = (1 - exp(M II))^-1 b, mode
by mode or by elimination, with derivatives from those of both (those of L and e are in b already, see
linear_doses.apply).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from nlmevae.decoder.linear_doses import (
    ACTION,
    BOLUS,
    COMPARTMENT,
    DOSE,
    INFUSION_RATE,
    INPUT,
    INTERVAL,
    RATE,
    RECORD,
    REPEATS,
    STEADY_STATE,
    TIME,
    add_rate,
    apply,
    describe,
)
from nlmevae.decoder.linear_propagation import advance_amounts, decay, decay_infused, exponential


@njit(nogil=True, cache=True, error_model="numpy")
def reach_steady_state(n, modal, system, state, rates, schedule, record, pending, pending_what, counts, general, work):
    """Set, or add to, the state that of the implied doses; infusions longer than the interval go on running.

    Args:
        counts (2,): pending events and running infusions, changed in place.
        general: None where modes can always be used.

    A dose that makes no sense, or a lag not below II, is a numerical failure of the row: its amounts become NaN.
    """
    if schedule.what[record, ACTION] == STEADY_STATE:
        state[:] = 0.0
        rates[:] = 0.0
        counts[:] = 0
    own, own_rates = np.zeros_like(state), np.zeros_like(rates)
    c, kind, interval = (
        schedule.what[record, COMPARTMENT],
        schedule.what[record, DOSE],
        schedule.number[record, INTERVAL],
    )
    i = counts[0]
    if interval == 0.0:
        speed = np.zeros(state.shape[1])
        speed[0] = schedule.number[record, RATE]
        if kind == INFUSION_RATE:
            for k in range(len(speed)):
                speed[k] = system[2 * n + 3 * n * n + 4 * schedule.what[record, INPUT] + 3, k]
        add_rate(n, system, own, own_rates, c, 1.0 if speed[0] >= 0.0 else np.nan, speed)
        _balance(n, modal, system, own, own_rates, general)
        _add(n, state, own)
        return
    count = describe(n, system, schedule, record, kind, pending, pending_what, i)
    if count == 0 or not (pending[i, 1, 0] < interval and math.isfinite(pending[i + count - 1, 1, 0])):
        state[:] = np.nan
        return
    running = 0
    if kind != BOLUS:
        running = max(math.ceil(pending[i + 1, 1, 0] / interval) - 1, 0)
        pending[i + 1, 1, 0] -= running * interval
    add_rate(n, system, own, own_rates, c, float(running), pending[i, 0])
    now, infused = 0.0, running
    first = i + 1 if count == 2 and pending[i + 1, 1, 0] < pending[i, 1, 0] else i
    for j in range(count):
        event = first if j == 0 else 2 * i + 1 - first
        _advance(n, modal, system, own, own_rates, infused, pending[event, 1, 0] - now, general, work)
        now = pending[event, 1, 0]
        infused += apply(n, system, own, own_rates, pending, pending_what, event)
    _advance(n, modal, system, own, own_rates, infused, interval - now, general, work)
    _close(n, modal, system, own, own_rates, interval, general, work)
    _add(n, state, own)
    if running > 0:
        add_rate(n, system, state, rates, c, float(running), pending[i, 0])
        for k in range(state.shape[1]):
            pending[i, 0, k], pending[i, 1, k] = pending[i + 1, 0, k], pending[i + 1, 1, k]
        pending[i, 1, 0] += schedule.number[record, TIME]
        for j in range(pending_what.shape[1]):
            pending_what[i, j] = pending_what[i + 1, j]
        pending_what[i, REPEATS], pending_what[i, RECORD] = running - 1, record
        counts[0] += 1
        counts[1] += running


@njit(nogil=True, cache=True, error_model="numpy")
def _advance(n, modal, system, state, rates, infused, h, general, work):
    if h > 0.0:
        if general is not None and not modal:
            advance_amounts(n, system, state, rates, infused > 0, h, work)
        elif infused > 0:
            decay_infused(n, system, state, h)
        else:
            decay(n, system, state, h)


@njit(nogil=True, cache=True, error_model="numpy")
def _add(n, state, own):
    for q in range(n):
        for k in range(state.shape[1]):
            state[q, k] += own[q, k]


@njit(nogil=True, cache=True, error_model="numpy")
def _close(n, modal, system, state, rates, interval, general, work):
    """state := (1 - exp(M II))^-1 state, with derivatives."""
    width = state.shape[1]
    if modal or general is None:
        for q in range(n):
            left = -math.expm1(-system[q, 0] * interval)
            state[q, 0] /= left
            slope = interval * math.exp(-system[q, 0] * interval) * state[q, 0]
            for k in range(1, width):
                state[q, k] = (state[q, k] - slope * system[q, k]) / left
        return
    exponential(n, system, rates, n, interval, work)
    matrix = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            matrix[i, j] = (1.0 if i == j else 0.0) - work[0, i, j]
    _eliminate(n, matrix.copy(), state, 0, 1)
    for k in range(1, width):
        for i in range(n):
            for j in range(n):
                state[i, k] += work[k, i, j] * state[j, 0]
    _eliminate(n, matrix, state, 1, width)


@njit(nogil=True, cache=True, error_model="numpy")
def _balance(n, modal, system, state, rates, general):
    """The amounts that running infusions hold constant: 0 = M y + r, with derivatives."""
    width = state.shape[1]
    if modal or general is None:
        for q in range(n):
            state[q, 0] = state[n + q, 0] / system[q, 0]
            for k in range(1, width):
                state[q, k] = (state[n + q, k] - state[q, 0] * system[q, k]) / system[q, 0]
        return
    matrix, start = np.empty((n, n)), n + 2 * n * n
    for i in range(n):
        for k in range(width):
            state[i, k] = rates[i, k]
        for j in range(n):
            matrix[i, j] = -system[start + i * n + j, 0]
    _eliminate(n, matrix.copy(), state, 0, 1)
    for k in range(1, width):
        for i in range(n):
            for j in range(n):
                state[i, k] += system[start + i * n + j, k] * state[j, 0]
    _eliminate(n, matrix, state, 1, width)


@njit(nogil=True, cache=True, error_model="numpy")
def _eliminate(n, matrix, side, first, last):
    """Columns first:last of side[:n] := matrix^-1 times them by elimination with row exchanges; NaN where there is no
    inverse."""
    for i in range(n):
        best = i
        for j in range(i + 1, n):
            if abs(matrix[j, i]) > abs(matrix[best, i]):
                best = j
        for j in range(n):
            matrix[i, j], matrix[best, j] = matrix[best, j], matrix[i, j]
        for k in range(first, last):
            side[i, k], side[best, k] = side[best, k], side[i, k]
        for j in range(i + 1, n):
            factor = matrix[j, i] / matrix[i, i]
            for m in range(i, n):
                matrix[j, m] -= factor * matrix[i, m]
            for k in range(first, last):
                side[j, k] -= factor * side[i, k]
    for i in range(n - 1, -1, -1):
        for k in range(first, last):
            for j in range(i + 1, n):
                side[i, k] -= matrix[i, j] * side[j, k]
            side[i, k] /= matrix[i, i]
