"""Doses of linear systems: given at once, or waiting for their time. See linear_kernels for the arrays.

pending[i, 0] is the amount or rate of event i, pending[i, 1] its time, each with its derivatives; pending_what[i]: the
order of its record, what it does, compartment, how often it happens again at distances of the record's II, the record.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# what a record of the schedule is
OBSERVE, BOLUS, INFUSION, INFUSION_DURATION, INFUSION_RATE, RESET, CHANGE, STEADY_STATE, STEADY_STATE_ADD, EMPTY = (
    range(10)
)
# columns of Schedule.what and Schedule.number
ACTION, ORDER, COMPARTMENT, PLACE, DOSE, INPUT = range(6)
TIME, AMOUNT, RATE, INTERVAL = range(4)
# what a pending event does, and the columns of pending_what
ADD_AMOUNT, ADD_RATE, END_RATE = range(3)
RANK, DOES, INTO, REPEATS, RECORD = range(5)


@njit(nogil=True, cache=True, error_model="numpy")
def give_bolus(n, system, state, c, own, dose):
    share, left = 2 * n + 3 * n * n + 4 * own, n + n * n + c
    amount = dose * system[share, 0]
    if not amount * dose >= 0.0:
        amount = np.nan
    for q in range(n):
        factor = system[left + q * n, 0]
        state[q, 0] += factor * amount
        for k in range(1, state.shape[1]):
            state[q, k] += system[left + q * n, k] * amount + factor * (dose * system[share, k])


@njit(nogil=True, cache=True, error_model="numpy")
def empty(n, system, state, c):
    """Take out what compartment c holds."""
    left, right, width = n + n * n + c, n + c * n, state.shape[1]
    amount = np.zeros(width)
    for k in range(width):
        for q in range(n):
            amount[k] += system[right + q, 0] * state[q, k]
            if k > 0:
                amount[k] += system[right + q, k] * state[q, 0]
    for q in range(n):
        for k in range(width):
            state[q, k] -= system[left + q * n, 0] * amount[k]
            if k > 0:
                state[q, k] -= system[left + q * n, k] * amount[0]


@njit(nogil=True, cache=True, error_model="numpy")
def postpone(n, system, state, schedule, record, pending, pending_what, i):
    """Lagged doses and infusions wait; F, lag, rate and duration are constant, so all is known when the record is met.

    A negative or undefined one is a numerical failure of the row: its amounts become NaN.
    """
    count = describe(n, system, schedule, record, schedule.what[record, ACTION], pending, pending_what, i)
    if count == 0:
        state[:] = np.nan
        return i
    for j in range(i, i + count):
        pending[j, 1, 0] += schedule.number[record, TIME]
    return i + count


@njit(nogil=True, cache=True, error_model="numpy")
def describe(n, system, schedule, record, kind, pending, pending_what, i):
    """Write a dose of this kind as pending events i and, for infusions, i + 1; times count from that of the record.

    Returns:
        Their number; 0 if F, lag, duration or rate make no sense.
    """
    c, width = schedule.what[record, COMPARTMENT], pending.shape[2]
    dose, rate = schedule.number[record, AMOUNT], schedule.number[record, RATE]
    share = 2 * n + 3 * n * n + 4 * schedule.what[record, INPUT]
    lag, modelled = share + 1, share + 2 if kind == INFUSION_DURATION else share + 3
    if not (system[lag, 0] >= 0.0 and system[share, 0] >= 0.0):
        return 0
    if kind in (INFUSION_DURATION, INFUSION_RATE) and not system[modelled, 0] > 0.0:
        return 0
    pending_what[i, RANK], pending_what[i, INTO] = schedule.what[record, ORDER], c
    pending_what[i, DOES] = ADD_AMOUNT if kind == BOLUS else ADD_RATE
    pending_what[i, REPEATS], pending_what[i, RECORD] = 0, record
    for k in range(width):
        pending[i, 0, k] = dose * system[share, k]
        pending[i, 1, k] = system[lag, k]
    if kind == BOLUS:
        return 1
    copy_pending(pending, pending_what, i, i + 1)
    pending_what[i + 1, DOES] = END_RATE
    amount, other = dose * system[share, 0], system[modelled, 0]
    for k in range(width):
        value = 1.0 if k == 0 else 0.0
        d_amount, d_other = dose * system[share, k], system[modelled, k]
        if kind == INFUSION:
            speed, duration = rate * value, d_amount / rate
        elif kind == INFUSION_DURATION:
            speed = amount / other if k == 0 else (d_amount - amount / other * d_other) / other
            duration = d_other
        else:
            speed = d_other
            duration = amount / other if k == 0 else (d_amount - amount / other * d_other) / other
        pending[i, 0, k] = pending[i + 1, 0, k] = speed
        pending[i + 1, 1, k] += duration
    return 2


@njit(nogil=True, cache=True, error_model="numpy")
def copy_pending(pending, pending_what, source, target):
    for j in range(pending_what.shape[1]):
        pending_what[target, j] = pending_what[source, j]
    for j in range(2):
        for k in range(pending.shape[2]):
            pending[target, j, k] = pending[source, j, k]


@njit(nogil=True, cache=True, error_model="numpy")
def soonest(pending, pending_what, n_pending, time, order):
    """The pending event that comes first, -1 if the record at (time, order) comes before all of them."""
    found = -1
    for i in range(n_pending):
        when, rank = pending[i, 1, 0], pending_what[i, 0]
        tie = when == time and rank == order
        if tie and found >= 0 and pending_what[i, 1] == END_RATE:
            continue  # an infusion of no duration starts before it ends
        if when < time or tie or (when == time and rank < order):
            found, time, order = i, when, rank
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def apply(n, system, state, rates, pending, pending_what, i):
    """The jump of pending event i; returns the change in the number of running infusions."""
    c, what, value = pending_what[i, INTO], pending_what[i, DOES], pending[i, 0, 0]
    left, drift = n + n * n + c, system.shape[0] - n * n + c
    width = state.shape[1]
    if what == ADD_AMOUNT:
        for q in range(n):
            factor, slope = system[left + q * n, 0], system[drift + q * n, 0] * value
            state[q, 0] += factor * value
            for k in range(1, width):
                state[q, k] += system[left + q * n, k] * value + factor * pending[i, 0, k] + slope * pending[i, 1, k]
        return 0
    sign = -1.0 if what == END_RATE else 1.0
    for q in range(n):
        factor = sign * system[left + q * n, 0] * value
        for k in range(1, width):
            state[q, k] -= factor * pending[i, 1, k]
    add_rate(n, system, state, rates, c, sign, pending[i, 0])
    return -1 if what == END_RATE else 1


@njit(nogil=True, cache=True, error_model="numpy")
def add_rate(n, system, state, rates, c, factor, rate):
    """Run `factor` infusions more of rate (width,) into compartment c."""
    left, width = n + n * n + c, state.shape[1]
    for k in range(width):
        rates[c, k] += factor * rate[k]
    for q in range(n):
        for k in range(width):
            change = system[left + q * n, k] * rate[0]
            if k > 0:
                change += system[left + q * n, 0] * rate[k]
            state[n + q, k] += factor * change


@njit(nogil=True, cache=True, error_model="numpy")
def retire(schedule, pending, pending_what, i, n_pending):
    """Event i has happened: it waits for its next time, or the last one takes its place. Returns their number."""
    if pending_what[i, REPEATS] > 0:
        pending_what[i, REPEATS] -= 1
        pending[i, 1, 0] += schedule.number[pending_what[i, RECORD], INTERVAL]
        return n_pending
    copy_pending(pending, pending_what, n_pending - 1, i)
    return n_pending - 1
