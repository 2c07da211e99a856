"""Model-independent kernels of the closed-form decoder: amounts of linear systems through any events.

Each row keeps the modal amounts w = L y. Between two records of distance h

    w_q <- e^(-lambda_q h) w_q + rho_q h phi(lambda_q h),    phi(x) = (1 - e^-x) / x,

with rho = L r for running infusions r. A jump at a time tau that depends on the inputs (lag, end of an
infusion) adds (f- - f+) dtau/dx to the sensitivities, f being the slope just before and after it. Where
eigenvalues are (nearly) equal the modes do not exist; such a row propagates the amounts themselves with
exp(M h) and its exact derivatives (L = R = 1).

Every number is stored with its derivatives: array[..., 0] is the value, array[..., 1:] the derivatives by
the active inputs.

An observation at the very time of a (lagged) dose sees the dose if the dose's record comes first; its
sensitivity to the lag is then the derivative from the right.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from nlmevae.decoder.linear_doses import (
    ACTION,
    AMOUNT,
    BOLUS,
    CHANGE,
    COMPARTMENT,
    EMPTY,
    INPUT,
    OBSERVE,
    ORDER,
    PLACE,
    RESET,
    STEADY_STATE,
    TIME,
    apply,
    empty,
    give_bolus,
    postpone,
    retire,
    soonest,
)
from nlmevae.decoder.linear_modes import find_modes, separated
from nlmevae.decoder.linear_propagation import advance_amounts, decay, decay_infused
from nlmevae.decoder.linear_steady import reach_steady_state

#: A sum this small relative to its terms is rounding error: exactly 0 (no drug in that compartment yet).
_ROUNDING = 16 * 2.220446049250313e-16


class Schedule(NamedTuple):
    """Doses, resets, observations and changes of covariates in the order in which they happen.

    Records of subject i are first[i]:last[i] (nothing after its last observation); start (N,) times of
    the initial state; what (n_records, 6) and number (n_records, 4): columns named in linear_doses, PLACE being the
    index of an observation within its subject, DOSE the kind of the doses that lead to a steady state. From one CHANGE
    to the next the system is constant: a segment.
    """

    first: np.ndarray
    last: np.ndarray
    start: np.ndarray
    what: np.ndarray
    number: np.ndarray


class Plan(NamedTuple):
    """How a row's system is put together, n compartments and n_k active inputs.

    template (n_slots, 1 + n_k): constants; its slots are lambda (n), R (n*n), L (n*n), M (n*n), A_0 (n), F, lag,
    duration and rate of each of the m dose inputs (4*m), drift (n*n) = -(generator applied to L). The others come from
    the compiled function, lambda, R and L only where there are formulas: *_values (count, 2) list (slot, source row),
    *_slopes (count, 3) list (slot, column, source row); those of M apart, for they are rarely needed. lagged (m,) bool.
    wanted: compartments whose amounts the output reads. capacity: pending events of one row.
    """

    n: int
    template: np.ndarray
    modal_values: np.ndarray
    modal_slopes: np.ndarray
    matrix_values: np.ndarray
    matrix_slopes: np.ndarray
    lagged: np.ndarray
    wanted: np.ndarray
    capacity: int


# What few runs need is compiled only for those that do: a flag that is None takes its branches out of the compiled
# code (numba prunes `is None` of an argument), True leaves them in.
@njit(nogil=True, cache=True, error_model="numpy")
def solve_rows(
    plan, schedule, rows, ptr, segments, values, slopes, waiting, steady, searched, general, unsolved,
    amounts, d_amounts,
):  # fmt: skip
    """Amounts of the wanted compartments at every observation of the rows that are `unsolved`; how many rows stay so.

    Args:
        rows (R,): subjects; ptr (R+1,): start of each row's observations in the results.
        values, slopes: of the compiled system function, a column for each segment of each row; segments (R,): the
            column of a row's first.
        waiting, steady: True, or None where no dose of the schedule waits (no infusion, lag, steady state), where there
            is no steady state; searched: None where modes are known by formula, or there are none; general: None leaves
            rows unsolved whose modes cannot be used.
        unsolved (R,) bool: True at first; amounts (n_wanted, M), d_amounts (M, n_wanted, n_k): results.
    """
    n, width = plan.n, plan.template.shape[1]
    system = np.empty(plan.template.shape)
    state, rates, counts = np.empty((2 * n, width)), np.empty((n, width)), np.zeros(2, np.int64)
    pending, pending_what = np.empty((plan.capacity, 2, width)), np.empty((plan.capacity, 5), np.int64)
    work = np.empty((2 * width + 1, n + 1, n + 1))
    left, none = 0, np.int64(0)  # a literal 0 would be a type of its own, and a second copy of what takes it
    for r in range(len(rows)):
        if ptr[r] == ptr[r + 1] or not unsolved[r]:
            continue
        column = segments[r]
        modal = _load(plan, system, values, slopes, column, searched, general)
        now, n_pending, n_running = schedule.start[rows[r]], none, none
        _restart(n, system, state, rates)
        record, end = schedule.first[rows[r]], schedule.last[rows[r]]
        while record < end:
            if general is None and not modal:
                break
            time, next_up = schedule.number[record, TIME], -1
            if waiting is not None and n_pending > 0:
                next_up = soonest(pending, pending_what, n_pending, time, schedule.what[record, ORDER])
                time = pending[next_up, 1, 0] if next_up >= 0 else time
            if time > now:
                h, now = time - now, time
                if general is not None and not modal:
                    advance_amounts(n, system, state, rates, n_running > 0, h, work)
                elif waiting is not None and n_running > 0:
                    decay_infused(n, system, state, h)
                else:
                    decay(n, system, state, h)
            if waiting is not None and next_up >= 0:
                n_running += apply(n, system, state, rates, pending, pending_what, next_up)
                if n_running == 0:
                    rates[:] = 0.0
                n_pending = retire(schedule, pending, pending_what, next_up, n_pending)
                continue
            action, c = schedule.what[record, ACTION], schedule.what[record, COMPARTMENT]
            if action == OBSERVE:
                _observe(n, plan.wanted, system, state, ptr[r] + schedule.what[record, PLACE], amounts, d_amounts)
            elif action == BOLUS and not plan.lagged[schedule.what[record, INPUT]]:
                give_bolus(n, system, state, c, schedule.what[record, INPUT], schedule.number[record, AMOUNT])
            elif action == RESET:
                _restart(n, system, state, rates)
                n_pending, n_running = none, none
            elif action == CHANGE:
                column += 1
                _to_amounts(n, system, state, work)
                modal = _load(plan, system, values, slopes, column, searched, general)
                _to_modes(n, system, state, rates, work)
            elif action == EMPTY:
                empty(n, system, state, c)
            elif action >= STEADY_STATE:
                if steady is not None:
                    counts[0], counts[1] = n_pending, n_running
                    reach_steady_state(
                        n, modal, system, state, rates, schedule, record, pending, pending_what, counts, general, work
                    )
                    n_pending, n_running = counts[0], counts[1]
            elif waiting is not None:
                n_pending = postpone(n, system, state, schedule, record, pending, pending_what, n_pending)
            record += 1
        unsolved[r] = record < end
        left += unsolved[r]
    return left


@njit(nogil=True, cache=True, error_model="numpy")
def _load(plan, system, values, slopes, r, searched, general):
    """Copy column r; False if its modes cannot be used: the amounts themselves take their place (`general` only)."""
    n, width = plan.n, plan.template.shape[1]
    for i in range(len(system)):
        for k in range(width):
            system[i, k] = plan.template[i, k]
    _scatter(system, plan.modal_values, plan.modal_slopes, values, slopes, r)
    left, matrix = n + n * n, n + 2 * n * n
    drift = system.shape[0] - n * n
    if searched is not None:
        _scatter(system, plan.matrix_values, plan.matrix_slopes, values, slopes, r)
        usable = find_modes(n, system)
    else:
        usable = separated(n, system)
    if usable:
        for q in range(n):
            for c in range(n):
                system[drift + q * n + c, 0] = system[q, 0] * system[left + q * n + c, 0]
        return True
    if general is not None:
        _scatter(system, plan.matrix_values, plan.matrix_slopes, values, slopes, r)
        for i in range(n):
            for j in range(n):
                at = i * n + j
                for k in range(width):
                    system[n + at, k] = system[left + at, k] = 1.0 if i == j and k == 0 else 0.0
                system[drift + at, 0] = -system[matrix + at, 0]
    return False


@njit(nogil=True, cache=True, error_model="numpy")
def _scatter(system, where_values, where_slopes, values, slopes, r):
    for j in range(len(where_values)):
        system[where_values[j, 0], 0] = values[where_values[j, 1], r]
    for j in range(len(where_slopes)):
        system[where_slopes[j, 0], where_slopes[j, 1]] = slopes[where_slopes[j, 2], r]


@njit(nogil=True, cache=True, error_model="numpy")
def _restart(n, system, state, rates):
    """Initial amounts, no infusions."""
    left, initial = n + n * n, n + 3 * n * n
    rates[:] = 0.0
    state[:] = 0.0
    for c in range(n):
        start = system[initial + c, 0]
        for q in range(n):
            factor = system[left + q * n + c, 0]
            state[q, 0] += factor * start
            for k in range(1, state.shape[1]):
                state[q, k] += factor * system[initial + c, k] + system[left + q * n + c, k] * start


@njit(nogil=True, cache=True, error_model="numpy")
def _to_amounts(n, system, state, work):
    """work[k, c, 0] = amount of compartment c (k = 0) and its derivatives, A = R w."""
    for c in range(n):
        right = n + c * n
        for k in range(state.shape[1]):
            total = 0.0
            for q in range(n):
                total += system[right + q, 0] * state[q, k]
                if k > 0:
                    total += system[right + q, k] * state[q, 0]
            work[k, c, 0] = total


@njit(nogil=True, cache=True, error_model="numpy")
def _to_modes(n, system, state, rates, work):
    """The amounts of `_to_amounts` and the running infusions in the modes of another system."""
    left = n + n * n
    for q in range(n):
        for k in range(state.shape[1]):
            amount, rate = 0.0, 0.0
            for c in range(n):
                amount += system[left + q * n + c, 0] * work[k, c, 0]
                if k > 0:
                    amount += system[left + q * n + c, k] * work[0, c, 0]
                rate += system[left + q * n + c, k] * rates[c, 0]
                if k > 0:
                    rate += system[left + q * n + c, 0] * rates[c, k]
            state[q, k], state[n + q, k] = amount, rate


@njit(nogil=True, cache=True, error_model="numpy")
def _observe(n, wanted, system, state, m, amounts, d_amounts):
    for a in range(len(wanted)):
        right = n + wanted[a] * n
        total, size = 0.0, 0.0
        for q in range(n):
            term = system[right + q, 0] * state[q, 0]
            total += term
            size += abs(term)
        amounts[a, m] = 0.0 if abs(total) <= _ROUNDING * size else total
        for k in range(1, state.shape[1]):
            total = 0.0
            for q in range(n):
                total += system[right + q, 0] * state[q, k] + system[right + q, k] * state[q, 0]
            d_amounts[m, a, k - 1] = total
