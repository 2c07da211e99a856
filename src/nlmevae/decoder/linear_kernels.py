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

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from nlmevae.decoder.linear_modes import find_modes
from nlmevae.decoder.linear_series import advance_by_series, rate_bounds

# what a record of the schedule is
OBSERVE, BOLUS, INFUSION, RESET, CHANGE = range(5)
# columns of Schedule.what and Schedule.number
ACTION, ORDER, COMPARTMENT, PLACE = range(4)
TIME, AMOUNT, RATE = range(3)
# what a pending event does
_ADD_AMOUNT, _ADD_RATE, _END_RATE = range(3)

#: Modes are used where the product of the relative distances of all pairs of eigenvalues is larger:
#: rounding errors of the sensitivities grow with its inverse square.
_SEPARATED = 0.03
#: A sum this small relative to its terms is rounding error: exactly 0 (no drug in that compartment yet).
_ROUNDING = 16 * 2.220446049250313e-16
_TAYLOR_TERMS = 17
_TAYLOR_NORM = 0.5


class Schedule(NamedTuple):
    """Doses, resets, observations and changes of covariates in the order in which they happen.

    Records of subject i are first[i]:last[i] (nothing after its last observation); start (N,) times of
    the initial state; what (n_records, 4) and number (n_records, 3): columns named above, PLACE being the
    index of an observation within its subject. From one CHANGE to the next the system is constant: a segment.
    """

    first: np.ndarray
    last: np.ndarray
    start: np.ndarray
    what: np.ndarray
    number: np.ndarray


class Plan(NamedTuple):
    """How a row's system is put together, n compartments and n_k active inputs. Not `by_formula`: its modes are found
    from M.

    template (n_slots, 1 + n_k): constants; its slots are lambda (n), R (n*n), L (n*n), M (n*n), A_0 (n),
    F (n), lag (n), drift (n*n) = -(generator applied to L). The others come from the compiled function:
    *_values (count, 2) list (slot, source row), *_slopes (count, 3) list (slot, column, source row); those
    of M apart, for they are rarely needed. lagged (n,) bool. wanted: compartments whose amounts the output reads.
    capacity: pending events of one row.
    """

    n: int
    by_formula: bool
    template: np.ndarray
    modal_values: np.ndarray
    modal_slopes: np.ndarray
    matrix_values: np.ndarray
    matrix_slopes: np.ndarray
    lagged: np.ndarray
    wanted: np.ndarray
    capacity: int


@njit(nogil=True, cache=True, error_model="numpy")
def solve_rows(plan, schedule, rows, ptr, segments, values, slopes, amounts, d_amounts):
    """Amounts of the wanted compartments at every observation of the rows.

    Args:
        rows (R,): subjects; ptr (R+1,): start of each row's observations in the results.
        values, slopes: of the compiled system function, a column for each segment of each row; segments (R,): the
            column of a row's first.
        amounts (n_wanted, M), d_amounts (M, n_wanted, n_k): results.
    """
    n, width = plan.n, plan.template.shape[1]
    system = np.empty(plan.template.shape)
    state, rates = np.empty((2 * n, width)), np.empty(n)
    pending, pending_what = np.empty((plan.capacity, 2, width)), np.empty((plan.capacity, 3), np.int64)
    work = np.empty((2 * width + 1, n + 1, n + 1))
    for r in range(len(rows)):
        if ptr[r] == ptr[r + 1]:
            continue
        column = segments[r]
        modal = _load(plan, system, values, slopes, column)
        now, n_pending, n_running = schedule.start[rows[r]], 0, 0
        _restart(n, system, state, rates)
        record, end = schedule.first[rows[r]], schedule.last[rows[r]]
        while record < end:
            time, soonest = schedule.number[record, TIME], -1
            if n_pending > 0:
                soonest = _soonest(pending, pending_what, n_pending, time, schedule.what[record, ORDER])
                if soonest >= 0:
                    time = pending[soonest, 1, 0]
            if time > now:
                h, now = time - now, time
                if modal and n_running == 0:
                    _decay(n, system, state, h)
                elif modal:
                    _decay_infused(n, system, state, h)
                else:
                    _advance_amounts(n, system, state, rates, n_running > 0, h, work)
            if soonest >= 0:
                n_running += _apply(n, system, state, rates, pending, pending_what, soonest)
                if n_running == 0:
                    rates[:] = 0.0
                n_pending -= 1
                _copy_pending(pending, pending_what, n_pending, soonest)
                continue
            action, c = schedule.what[record, ACTION], schedule.what[record, COMPARTMENT]
            if action == OBSERVE:
                _observe(n, plan.wanted, system, state, ptr[r] + schedule.what[record, PLACE], amounts, d_amounts)
            elif action == BOLUS and not plan.lagged[c]:
                _give_bolus(n, system, state, c, schedule.number[record, AMOUNT])
            elif action == RESET:
                _restart(n, system, state, rates)
                n_pending, n_running = 0, 0
            elif action == CHANGE:
                column += 1
                _to_amounts(n, system, state, work)
                modal = _load(plan, system, values, slopes, column)
                _to_modes(n, system, state, rates, work)
            else:
                n_pending = _postpone(n, system, state, schedule, record, pending, pending_what, n_pending)
            record += 1


@njit(nogil=True, cache=True, error_model="numpy")
def _load(plan, system, values, slopes, r):
    """Copy column r; False if its modes cannot be used."""
    n, width = plan.n, plan.template.shape[1]
    for i in range(len(system)):
        for k in range(width):
            system[i, k] = plan.template[i, k]
    _scatter(system, plan.modal_values, plan.modal_slopes, values, slopes, r)
    left, matrix = n + n * n, n + 2 * n * n
    drift = system.shape[0] - n * n
    if not plan.by_formula:
        _scatter(system, plan.matrix_values, plan.matrix_slopes, values, slopes, r)
    if (plan.by_formula or find_modes(n, system)) and _separated(n, system):
        for q in range(n):
            for c in range(n):
                system[drift + q * n + c, 0] = system[q, 0] * system[left + q * n + c, 0]
        return True
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
def _separated(n, system):
    distance, size = 1.0, 0.0
    for q in range(n):
        for p in range(q):
            a, b = system[q, 0], system[p, 0]
            distance *= abs(a - b) / max(abs(a), abs(b))
    for j in range(n, n + 2 * n * n):
        size += abs(system[j, 0])
    return n == 1 or (distance > _SEPARATED and math.isfinite(size))


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
                rate += system[left + q * n + c, k] * rates[c]
            state[q, k], state[n + q, k] = amount, rate


# events ---------------------------------------------------------------------------------------------
@njit(nogil=True, cache=True, error_model="numpy")
def _give_bolus(n, system, state, c, dose):
    share, left = 2 * n + 3 * n * n + c, n + n * n + c
    amount = dose * system[share, 0]
    if not amount * dose >= 0.0:
        amount = np.nan
    for q in range(n):
        factor = system[left + q * n, 0]
        state[q, 0] += factor * amount
        for k in range(1, state.shape[1]):
            state[q, k] += system[left + q * n, k] * amount + factor * (dose * system[share, k])


@njit(nogil=True, cache=True, error_model="numpy")
def _postpone(n, system, state, schedule, record, pending, pending_what, i):
    """Lagged doses and infusions wait; F and lag are constant, so all is known when the record is met.

    A negative or undefined lag or F is a numerical failure of the row: its amounts become NaN.
    """
    c = schedule.what[record, COMPARTMENT]
    dose, rate = schedule.number[record, AMOUNT], schedule.number[record, RATE]
    share, lag = 2 * n + 3 * n * n + c, 3 * n + 3 * n * n + c
    if not (system[lag, 0] >= 0.0 and system[share, 0] >= 0.0):
        state[:] = np.nan
        return i
    bolus = schedule.what[record, ACTION] == BOLUS
    pending_what[i, 0], pending_what[i, 2] = schedule.what[record, ORDER], c
    pending_what[i, 1] = _ADD_AMOUNT if bolus else _ADD_RATE
    for k in range(state.shape[1]):
        pending[i, 0, k] = dose * system[share, k] if bolus else 0.0
        pending[i, 1, k] = system[lag, k]
    pending[i, 1, 0] += schedule.number[record, TIME]
    if bolus:
        return i + 1
    pending[i, 0, 0] = rate
    _copy_pending(pending, pending_what, i, i + 1)
    pending_what[i + 1, 1] = _END_RATE
    for k in range(state.shape[1]):
        pending[i + 1, 1, k] += dose / rate * system[share, k]
    return i + 2


@njit(nogil=True, cache=True, error_model="numpy")
def _copy_pending(pending, pending_what, source, target):
    for j in range(3):
        pending_what[target, j] = pending_what[source, j]
    for j in range(2):
        for k in range(pending.shape[2]):
            pending[target, j, k] = pending[source, j, k]


@njit(nogil=True, cache=True, error_model="numpy")
def _soonest(pending, pending_what, n_pending, time, order):
    """The pending event that comes first, -1 if the record at (time, order) comes before all of them."""
    found = -1
    for i in range(n_pending):
        when, rank = pending[i, 1, 0], pending_what[i, 0]
        tie = when == time and rank == order
        if tie and found >= 0 and pending_what[i, 1] == _END_RATE:
            continue  # an infusion of no duration starts before it ends
        if when < time or tie or (when == time and rank < order):
            found, time, order = i, when, rank
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def _apply(n, system, state, rates, pending, pending_what, i):
    """The jump of pending event i; returns the change in the number of running infusions."""
    c, what, value = pending_what[i, 2], pending_what[i, 1], pending[i, 0, 0]
    left, drift = n + n * n + c, system.shape[0] - n * n + c
    width = state.shape[1]
    if what == _ADD_AMOUNT:
        for q in range(n):
            factor, slope = system[left + q * n, 0], system[drift + q * n, 0] * value
            state[q, 0] += factor * value
            for k in range(1, width):
                state[q, k] += system[left + q * n, k] * value + factor * pending[i, 0, k] + slope * pending[i, 1, k]
        return 0
    if what == _END_RATE:
        value = -value
    rates[c] += value
    for q in range(n):
        factor = system[left + q * n, 0] * value
        for k in range(1, width):
            state[q, k] -= factor * pending[i, 1, k]
        for k in range(width):
            state[n + q, k] += system[left + q * n, k] * value
    return 1 if what == _ADD_RATE else -1


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


# between events, by modes ---------------------------------------------------------------------------
@njit(nogil=True, cache=True, error_model="numpy")
def _decay(n, system, state, h):
    for q in range(n):
        decay = math.exp(-system[q, 0] * h)
        before = state[q, 0] * h
        for k in range(1, state.shape[1]):
            state[q, k] = decay * (state[q, k] - before * system[q, k])
        state[q, 0] *= decay


@njit(nogil=True, cache=True, error_model="numpy")
def _decay_infused(n, system, state, h):
    for q in range(n):
        x = system[q, 0] * h
        decay = math.exp(-x)
        filled, d_filled = h * _phi(x), h * h * _phi_slope(x)
        by_rate = decay * state[q, 0] * h - state[n + q, 0] * d_filled
        for k in range(1, state.shape[1]):
            state[q, k] = decay * state[q, k] + filled * state[n + q, k] - by_rate * system[q, k]
        state[q, 0] = decay * state[q, 0] + filled * state[n + q, 0]


@njit(nogil=True, cache=True, error_model="numpy")
def _phi(x):
    """(1 - e^-x) / x."""
    return 1.0 if x == 0.0 else -math.expm1(-x) / x


@njit(nogil=True, cache=True, error_model="numpy")
def _phi_slope(x):
    """phi'(x) = (e^-x (1 + x) - 1) / x^2; a power series where that cancels."""
    if abs(x) > 0.5:
        return (math.exp(-x) * (1.0 + x) - 1.0) / (x * x)
    total, term = 0.0, -0.5
    for m in range(15):
        total += term
        term *= -x * (m + 2.0) / ((m + 1.0) * (m + 3.0))
    return total


# between events, by the exponential of the rate matrix -------------------------------------------------
@njit(nogil=True, cache=True, error_model="numpy")
def _advance_amounts(n, system, state, rates, infused, h, work):
    """exp of the system augmented by a source 1 that feeds the infusions: [[M, r], [0, 0]]."""
    if advance_by_series(n, system, state, rates, infused, h):
        return
    width, spare = state.shape[1], 2 * state.shape[1]
    _exponential(n, system, rates, n + 1 if infused else n, h, work)
    for k in range(width - 1, -1, -1):  # the value last: the derivatives need the old one
        for i in range(n):
            total = work[k, i, n] if infused else 0.0
            for j in range(n):
                total += work[0, i, j] * state[j, k]
                if k > 0:
                    total += work[k, i, j] * state[j, 0]
            work[spare, i, 0] = total
        for i in range(n):
            state[i, k] = work[spare, i, 0]


@njit(nogil=True, cache=True, error_model="numpy")
def _exponential(n, system, rates, size, h, work):
    """exp(M h) in work[0] and its derivatives in work[k].

    M + c has no negative entries for c = the largest rate out of a compartment, so the power series of
    exp((M + c) h / 2^s) and its squarings add positive numbers only: every entry is accurate, whatever
    the eigenvalues (uniformisation). The derivative is differentiated term by term.
    """
    width, matrix = system.shape[1], n + 2 * n * n
    shift, norm = rate_bounds(n, system)
    norm += shift
    if not math.isfinite(norm * h):
        work[:] = np.nan
        return
    squarings = 0
    while norm * h > _TAYLOR_NORM * 2.0**squarings:
        squarings += 1
    step = h * 0.5**squarings
    work[:] = 0.0
    for i in range(n):
        for j in range(n):
            for k in range(width):
                work[width + k, i, j] = system[matrix + i * n + j, k] * step
        work[width, i, n] = rates[i] * step
    for i in range(size):
        work[width, i, i] += shift * step
    _series(size, width, math.exp(-shift * step), work)
    for _ in range(squarings):
        _multiply(size, width, 0, 0, 1.0, work)


@njit(nogil=True, cache=True, error_model="numpy")
def _series(size, width, factor, work):
    """work[:width] = factor * exp(work[width:2 width]) by Horner's rule."""
    for i in range(size):
        work[0, i, i] = 1.0
    for term in range(_TAYLOR_TERMS, 0, -1):
        _multiply(size, width, width, 0, 1.0 / term, work)
        for i in range(size):
            work[0, i, i] += 1.0
    for k in range(width):
        for i in range(size):
            for j in range(size):
                work[k, i, j] *= factor


@njit(nogil=True, cache=True, error_model="numpy")
def _multiply(size, width, left, right, factor, work):
    """work[:width] = factor * (work[left:] @ work[right:]) with derivatives; `right` is 0."""
    spare = 2 * width
    for k in range(width - 1, -1, -1):
        for i in range(size):
            for j in range(size):
                total = 0.0
                for q in range(size):
                    total += work[left, i, q] * work[right + k, q, j]
                    if k > 0:
                        total += work[left + k, i, q] * work[right, q, j]
                work[spare, i, j] = total * factor
        for i in range(size):
            for j in range(size):
                work[k, i, j] = work[spare, i, j]
