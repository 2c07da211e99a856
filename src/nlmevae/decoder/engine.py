"""The model-independent engine: takes rows through their events with compiled kernels.

Each SIMD lane works on one row; when a row is finished its lane takes the next one, so rows never wait
for each other and never see each other. Integration goes on between stops (events whose time has come,
covariate changes, the last observation); observations in between are interpolated.

What happens at a stop, with y the amounts, S their sensitivities and G the running infusions:

    dose whose time tau depends on the inputs:  S += (f(y-, G-) - f(y+, G+)) dtau/dx
    bolus                                        y_c += F amount,  S_c += amount dF/dx
    infusion at a fixed rate                     G_c += rate; ends after F amount / rate
    reset                                        y = A_0, S = dA_0/dx, G = 0, pending doses cancelled

A dose is evaluated (F, lag) at its record; a lagged dose and every infusion's end wait in the lane's
list of pending events, from which the earliest is taken, whatever the order of their records.

All arrays are reached through one record of addresses: numba passes an array argument as seven words and
counts references to it, which would take longer than the integration.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic


def _machine_code(function):
    """numba's njit; compiled once per installation where numba finds a folder for its cache."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:
        return njit(nogil=True)(function)


# phases of a lane: what it waits for
LOAD, DECIDE, SETUP, RESTART, CHANGE, OUTPUT, SLOPE, JUMP, START, RUN, IDLE = range(11)
# what happens when a pending event's time has come
ADD_AMOUNT, ADD_RATE = range(2)
# EventKind and SolveStatus as numbers the compiled code knows
_BOLUS, _INFUSION, _RESET = 1, 2, 5
_MAX_STEPS, _NON_FINITE = 1, 2
# what comes next
_NOTHING, _OBSERVATION, _EVENT, _PENDING = range(4)


def _fields(names: str, kind: type) -> list[tuple[str, type]]:
    return [(name, kind) for name in names.split()]


#: Sizes of one call, first slots of the workspace blocks (layout.Layout), addresses of kernels and arrays.
PLAN = np.dtype(
    _fields("n_states n_inputs n_covariates n_records n_parameters n_outputs n_wrt", np.int64)
    + _fields("width capacity n_rows n_subjects n_events n_observations n_covariate_rows n_predictions", np.int64)
    + _fields("time step stop wake active n_steps max_steps rtol atol_growth", np.int64)
    + _fields("time_new output_time input covariate record parameter atol forcing state", np.int64)
    + _fields("slope state_out output", np.int64)
    + _fields("run_setup run_initial run_slope run_advance run_accept run_dense run_output", np.int64)
    + _fields("work subjects events observations records covariates dose_scale", np.int64)
    + _fields("dosing_map parameter_map state_map output_map", np.int64)
    + _fields("x rows ptr prediction jacobian status steps", np.int64)
    + _fields("lanes pending pending_sens jump", np.int64)
)
#: One record per subject: ranges of its events, observations, covariate rows; time of its first record.
SUBJECT = np.dtype(
    _fields("event event_end observation observation_end covariate covariate_end", np.int64)
    + _fields("start", np.float64)
)
EVENT = np.dtype(_fields("time amount rate", np.float64) + _fields("kind compartment order", np.int64))
OBSERVATION = np.dtype(_fields("time", np.float64) + _fields("output order", np.int64))
#: Where a lane stands.
LANE = np.dtype(
    _fields("phase row subject event event_end observation observation_end first_observation", np.int64)
    + _fields("covariate covariate_end changed n_pending", np.int64)
    + _fields("until", np.float64)
)
PENDING = np.dtype(_fields("time amount", np.float64) + _fields("action compartment order moves", np.int64))


# arrays behind the addresses ------------------------------------------------------------------------
@intrinsic
def _pointer(typing_context, address):
    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), generate


@_machine_code
def _work(p):
    """(n_slots, W); only first elements matter, so the number of slots is left open."""
    return carray(_pointer(p.work), (2**31, p.width), np.float64)


@_machine_code
def _subjects(p):
    return carray(_pointer(p.subjects), p.n_subjects, SUBJECT)


@_machine_code
def _events(p):
    return carray(_pointer(p.events), p.n_events, EVENT)


@_machine_code
def _observations(p):
    return carray(_pointer(p.observations), p.n_observations, OBSERVATION)


@_machine_code
def _lanes(p):
    return carray(_pointer(p.lanes), p.width, LANE)


@_machine_code
def _pending(p, w):
    """Pending events of lane w."""
    return carray(_pointer(p.pending), (p.width, p.capacity), PENDING)[w]


@_machine_code
def _pending_sens(p, w):
    """(capacity, 2, n_wrt): sensitivities of amount and time of lane w's pending events."""
    return _floats(p.pending_sens, (p.width, p.capacity, 2, p.n_wrt))[w]


@_machine_code
def _floats(address, shape):
    return carray(_pointer(address), shape, np.float64)


@_machine_code
def _integers(address, shape):
    return carray(_pointer(address), shape, np.int64)


@_machine_code
def _short_integers(address, shape):
    return carray(_pointer(address), shape, np.int32)


@intrinsic
def _call(typing_context, address, work):
    """Call the kernel at `address` with the workspace address: i64 kernel(pointer)."""

    def generate(context, builder, signature, arguments):
        pointer = ir.IntType(8).as_pointer()
        kernel = ir.FunctionType(ir.IntType(64), [pointer]).as_pointer()
        function = builder.inttoptr(arguments[0], kernel)
        return builder.call(function, [builder.inttoptr(arguments[1], pointer)])

    return types.int64(types.int64, types.int64), generate


# the loop ------------------------------------------------------------------------------------------
@_machine_code
def run_rows(plans):
    """Solve all rows of a call. plans (1,) PLAN; the workspace has rtol, atol_growth and max_steps set."""
    p = plans[0]
    work, lanes = _work(p), _lanes(p)
    for w in range(p.width):
        lanes[w].phase = LOAD
    next_row = 0
    unsettled = True
    while True:
        if unsettled:
            next_row = _settle(p, work, next_row)
            running = False
            for w in range(p.width):
                running = running or lanes[w].phase == RUN
            if not running:
                return
        verdict = _call(p.run_advance, p.work)
        if verdict & 255:
            _observe_inside_step(p, work, verdict & 255)
        _call(p.run_accept, p.work)
        unsettled = False
        for w in range(p.width):
            if (verdict >> (8 + w)) & 1:
                exhausted = work[p.n_steps, w] >= work[p.max_steps, w]
                _fail(p, lanes[w], work, w, _MAX_STEPS if exhausted else _NON_FINITE)
                unsettled = True
            elif (verdict >> w) & 1 and work[p.time, w] >= work[p.stop, w]:
                lanes[w].phase = DECIDE
                unsettled = True


@_machine_code
def _observe_inside_step(p, work, due):
    """Interpolate the observations the step has passed, for the lanes whose bit is set in `due`; those at
    a stop where something happens wait for `_decide`."""
    observations, lanes = _observations(p), _lanes(p)
    records = _floats(p.records, (p.n_observations, p.n_records))
    prediction, ptr = _floats(p.prediction, p.n_predictions), _integers(p.ptr, p.n_rows + 1)
    jacobian, output_map = (
        _floats(p.jacobian, (p.n_predictions, p.n_wrt)),
        _integers(p.output_map, (p.n_outputs, p.n_wrt)),
    )
    # the innermost loop of the engine: fields of p, read once here, would else be read again after every store
    width, n_records, n_wrt, address = p.width, p.n_records, p.n_wrt, p.work
    when, stop, wake, end, record, output = p.output_time, p.stop, p.wake, p.time_new, p.record, p.output
    while True:
        for w in range(width):
            if (due >> w) & 1:
                here = lanes[w]
                observation = here.observation
                time = observations[observation].time
                if time < here.until and observation < here.observation_end:
                    work[when, w] = time
                    for k in range(n_records):
                        work[record + k, w] = records[observation, k]
                else:
                    due &= ~(1 << w)
        if due == 0:
            return
        _call(p.run_dense, address)
        _call(p.run_output, address)
        for w in range(width):
            if (due >> w) & 1:
                here = lanes[w]
                observation = here.observation
                which = observations[observation].output
                place = ptr[here.row] + observation - here.first_observation
                prediction[place] = work[output + which, w]
                for k in range(n_wrt):
                    slot = output_map[which, k]
                    jacobian[place, k] = work[slot, w] if slot >= 0 else 0.0
                observation += 1
                here.observation = observation
                next_wake = work[stop, w]
                if observation < here.observation_end:
                    next_wake = min(next_wake, observations[observation].time)
                work[wake, w] = next_wake
                if next_wake > work[end, w]:
                    due &= ~(1 << w)


@_machine_code
def _load_observation(p, here, work, w):
    work[p.output_time, w] = _observations(p)[here.observation].time
    records = _floats(p.records, (p.n_observations, p.n_records))
    for k in range(p.n_records):
        work[p.record + k, w] = records[here.observation, k]


@_machine_code
def _store_prediction(p, here, work, w):
    output = _observations(p)[here.observation].output
    output_map = _integers(p.output_map, (p.n_outputs, p.n_wrt))
    jacobian = _floats(p.jacobian, (p.n_predictions, p.n_wrt))
    place = _integers(p.ptr, p.n_rows + 1)[here.row] + here.observation - here.first_observation
    _floats(p.prediction, p.n_predictions)[place] = work[p.output + output, w]
    for k in range(p.n_wrt):
        slot = output_map[output, k]
        jacobian[place, k] = work[slot, w] if slot >= 0 else 0.0
    here.observation += 1


@_machine_code
def _settle(p, work, next_row):
    """Bring every lane to RUN or IDLE; lanes that wait for the same kernel share its call."""
    lanes = _lanes(p)
    while True:
        wanted = 0
        for w in range(p.width):
            here = lanes[w]
            while here.phase == LOAD or here.phase == DECIDE:
                if here.phase == LOAD:
                    next_row = _load_row(p, here, work, w, next_row)
                else:
                    _decide(p, here, work, w)
            wanted |= 1 << here.phase
        if wanted & ~((1 << RUN) | (1 << IDLE)) == 0:
            return next_row
        if wanted & (1 << OUTPUT):  # first: `run_initial` writes the amounts it reads, in every lane
            _call(p.run_output, p.work)
        if wanted & ((1 << SETUP) | (1 << CHANGE)):
            _call(p.run_setup, p.work)
        if wanted & ((1 << SETUP) | (1 << RESTART)):
            _call(p.run_initial, p.work)
        if wanted & ((1 << SLOPE) | (1 << JUMP) | (1 << START)):
            _call(p.run_slope, p.work)
        for w in range(p.width):
            if lanes[w].phase < RUN:
                _after_kernel(p, lanes[w], work, w)


@_machine_code
def _load_row(p, here, work, w, next_row):
    """Give the lane the next row that has observations."""
    ptr, rows = _integers(p.ptr, p.n_rows + 1), _integers(p.rows, p.n_rows)
    while next_row < p.n_rows and ptr[next_row] == ptr[next_row + 1]:
        next_row += 1  # status and number of steps are zero already
    if next_row >= p.n_rows:
        here.phase = IDLE
        work[p.active, w] = 0.0
        work[p.step, w] = 0.0
        return next_row
    subject = _subjects(p)[rows[next_row]]
    here.phase, here.row, here.subject = SETUP, next_row, rows[next_row]
    here.event, here.event_end = subject.event, subject.event_end
    here.observation, here.observation_end = subject.observation, subject.observation_end
    here.first_observation = subject.observation
    here.covariate, here.covariate_end = subject.covariate, subject.covariate_end
    work[p.time, w] = subject.start
    work[p.active, w] = 1.0
    work[p.n_steps, w] = 0.0
    x = _floats(p.x, (p.n_rows, p.n_inputs))
    for k in range(p.n_inputs):
        work[p.input + k, w] = x[next_row, k]
    _load_covariates(p, here, work, w)
    return next_row + 1


@_machine_code
def _covariates(p):
    """Time, then the covariates."""
    return _floats(p.covariates, (p.n_covariate_rows, 1 + p.n_covariates))


@_machine_code
def _load_covariates(p, here, work, w):
    covariates = _covariates(p)
    for k in range(p.n_covariates):
        work[p.covariate + k, w] = covariates[here.covariate, 1 + k]


@_machine_code
def _after_kernel(p, here, work, w):
    """What follows the kernel a lane waited for."""
    phase = here.phase
    here.phase = DECIDE
    if phase in (SETUP, RESTART):
        _set_initial_state(p, here, work, w)
    elif phase == CHANGE:
        here.changed = 1
    elif phase == OUTPUT:
        _store_prediction(p, here, work, w)
    elif phase == SLOPE:
        here.changed = 0
    elif phase == JUMP:
        _move_jump(p, work, w)
        here.changed = 1
    elif phase == START:
        _start(p, here, work, w)


@_machine_code
def _set_initial_state(p, here, work, w):
    """y = A_0, no infusions, nothing pending; absolute tolerances from doses and initial amounts."""
    for i in range(p.slope - p.state):
        work[p.state + i, w] = work[p.state_out + i, w]
    for i in range(p.n_states):
        work[p.forcing + i, w] = 0.0
    here.n_pending = 0
    here.changed = 1
    growth = work[p.atol_growth, w]
    if growth == 0.0:  # the user's own absolute tolerance, set once
        return
    doses = _floats(p.dose_scale, (p.n_subjects, p.n_states))[here.subject]
    largest = 0.0
    for i in range(p.n_states):
        largest = max(largest, doses[i], abs(work[p.state + i, w]))
    if largest == 0.0:
        largest = 1.0
    for i in range(p.n_states):
        work[p.atol + i, w] = growth * max(doses[i], abs(work[p.state + i, w]), 1e-4 * largest)


# events --------------------------------------------------------------------------------------------
@_machine_code
def _decide(p, here, work, w):
    """Apply what is due now until a kernel is needed, then say which; set the next stop."""
    now = work[p.time, w]
    while here.phase == DECIDE:
        if here.observation >= here.observation_end:
            _finish(p, here, work, w)
            return
        what, when, pending = _next(p, here, w)
        if when > now:
            _go_on(p, here, work, w)
        elif what == _OBSERVATION:
            for i in range(p.slope - p.state):
                work[p.state_out + i, w] = work[p.state + i, w]
            _load_observation(p, here, work, w)
            here.phase = OUTPUT
        elif what == _EVENT:
            _meet_event(p, here, work, w)
        elif _pending(p, w)[pending].moves and here.changed:
            here.phase = SLOPE  # its jump needs the slope just before
        else:
            _apply_pending(p, here, work, w, pending)


@_machine_code
def _next(p, here, w):
    """(what, when, index in the pending list) of the earliest thing to come; record order breaks ties."""
    events, pending_events = _events(p), _pending(p, w)
    what, when, order, pending = _NOTHING, np.inf, np.int64(2**31), -1
    if here.event < here.event_end:
        what, when, order = _EVENT, events[here.event].time, events[here.event].order
    for index in range(here.n_pending):
        candidate = pending_events[index]
        if candidate.time < when or (candidate.time == when and candidate.order <= order):
            what, when, order, pending = _PENDING, candidate.time, candidate.order, index
    observation = _observations(p)[here.observation]
    if observation.time < when or (observation.time == when and observation.order < order):
        what, when = _OBSERVATION, observation.time
    return what, when, pending


@_machine_code
def _go_on(p, here, work, w):
    """Nothing is due now: change covariates whose interval ends here, else integrate to the next stop."""
    events, observations, covariates, pending = _events(p), _observations(p), _covariates(p), _pending(p, w)
    last_covariate = here.covariate + 1 >= here.covariate_end
    if not last_covariate and covariates[here.covariate, 0] <= work[p.time, w]:
        here.covariate += 1
        _load_covariates(p, here, work, w)
        here.phase = CHANGE
        return
    until = np.inf
    if here.event < here.event_end:
        until = min(until, events[here.event].time)
    for index in range(here.n_pending):
        until = min(until, pending[index].time)
    if not last_covariate:
        until = min(until, covariates[here.covariate, 0])
    here.until = until
    work[p.stop, w] = min(until, observations[here.observation_end - 1].time)
    work[p.wake, w] = min(until, observations[here.observation].time)
    here.phase = START if here.changed else RUN


@_machine_code
def _meet_event(p, here, work, w):
    """The event record's time has come: evaluate F and lag, apply the dose or make it pending."""
    event = _events(p)[here.event]
    here.event += 1
    if event.kind == _RESET:
        here.phase = RESTART
        return
    fraction, lag = 1.0, 0.0
    dosing = _integers(p.dosing_map, (p.n_states, 2))
    by_fraction, by_lag = dosing[event.compartment, 0], dosing[event.compartment, 1]
    if by_fraction >= 0:
        fraction = work[p.parameter + by_fraction, w]
    if by_lag >= 0:
        lag = work[p.parameter + by_lag, w]
    if not (lag >= 0.0 and fraction >= 0.0):
        _fail(p, here, work, w, _NON_FINITE)
        return
    when = event.time + lag
    index = 0
    if event.kind == _BOLUS:
        index = _push(p, here, w, event, when, fraction * event.amount, ADD_AMOUNT)
        _pend_sens(p, work, w, index, event.amount, 0.0)
    elif event.kind == _INFUSION:
        duration = event.amount / event.rate
        last = _push(p, here, w, event, when + fraction * duration, -event.rate, ADD_RATE)
        _pend_sens(p, work, w, last, 0.0, duration)
        index = _push(p, here, w, event, when, event.rate, ADD_RATE)
        _pend_sens(p, work, w, index, 0.0, 0.0)
    if by_lag < 0:
        _apply_pending(p, here, work, w, index)


@_machine_code
def _push(p, here, w, event, when, amount, action):
    index = here.n_pending
    here.n_pending += 1
    new = _pending(p, w)[index]
    new.time, new.amount, new.action = when, amount, action
    new.compartment, new.order = event.compartment, event.order
    return index


@_machine_code
def _pend_sens(p, work, w, index, amount, duration):
    """d amount / dx = amount dF/dx;  d time / dx = dlag/dx + duration dF/dx."""
    new, sens = _pending(p, w)[index], _pending_sens(p, w)[index]
    dosing = _integers(p.dosing_map, (p.n_states, 2))
    by_fraction, by_lag = dosing[new.compartment, 0], dosing[new.compartment, 1]
    parameter_map = _integers(p.parameter_map, (p.n_parameters, p.n_wrt))
    new.moves = 0
    for k in range(p.n_wrt):
        fraction_slot = parameter_map[by_fraction, k] if by_fraction >= 0 else -1
        lag_slot = parameter_map[by_lag, k] if by_lag >= 0 else -1
        fraction_sens = work[fraction_slot, w] if fraction_slot >= 0 else 0.0
        lag_sens = work[lag_slot, w] if lag_slot >= 0 else 0.0
        # an infusion's start (amount and duration zero) moves with the lag only, its end also with F
        sens[0, k] = amount * fraction_sens
        sens[1, k] = lag_sens + duration * fraction_sens
        if sens[1, k] != 0.0:
            new.moves = 1


@_machine_code
def _apply_pending(p, here, work, w, index):
    """The jump itself; a jump whose time moves also needs the slope after it (phase JUMP)."""
    pending, sens = _pending(p, w), _pending_sens(p, w)
    event = pending[index]
    moves = event.moves
    if moves:
        jump = _floats(p.jump, (p.width, p.n_states + p.n_wrt))[w]
        for i in range(p.n_states):
            jump[i] = work[p.slope + i, w]
        for k in range(p.n_wrt):
            jump[p.n_states + k] = sens[index, 1, k]
    if event.action == ADD_AMOUNT:
        work[p.state + event.compartment, w] += event.amount
        state_map = _integers(p.state_map, (p.n_states, p.n_wrt))
        for k in range(p.n_wrt):
            slot = state_map[event.compartment, k]
            if slot >= 0:
                work[p.state + slot, w] += sens[index, 0, k]
    else:
        work[p.forcing + event.compartment, w] += event.amount
    here.changed = 1
    here.phase = JUMP if moves else DECIDE
    here.n_pending -= 1  # the last one takes its place
    pending[index] = pending[here.n_pending]
    for k in range(p.n_wrt):
        sens[index, 0, k] = sens[here.n_pending, 0, k]
        sens[index, 1, k] = sens[here.n_pending, 1, k]


@_machine_code
def _move_jump(p, work, w):
    """S += (f- - f+) dtau/dx; the slope kernel has just computed f+."""
    jump = _floats(p.jump, (p.width, p.n_states + p.n_wrt))[w]
    state_map = _integers(p.state_map, (p.n_states, p.n_wrt))
    for i in range(p.n_states):
        change = jump[i] - work[p.slope + i, w]
        for k in range(p.n_wrt):
            if state_map[i, k] >= 0:
                work[p.state + state_map[i, k], w] += change * jump[p.n_states + k]


# beginning and end of integration --------------------------------------------------------------------
@_machine_code
def _start(p, here, work, w):
    """First step length after a discontinuity: amounts change by about one per cent
    (Hairer, Norsett & Wanner, Solving ODEs I, II.4, first guess)."""
    state_norm, slope_norm = 0.0, 0.0
    rtol, length = work[p.rtol, w], work[p.stop, w] - work[p.time, w]
    for i in range(p.n_states):
        allowed = work[p.atol + i, w] + rtol * abs(work[p.state + i, w])
        state_norm += (work[p.state + i, w] / allowed) ** 2
        slope_norm += (work[p.slope + i, w] / allowed) ** 2
    if not (np.isfinite(state_norm) and np.isfinite(slope_norm)):
        _fail(p, here, work, w, _NON_FINITE)
        return
    step = length
    if slope_norm > 0.0:
        step = min(step, 0.01 * np.sqrt(state_norm / slope_norm)) if state_norm > 0.0 else 1e-3 * length
    work[p.step, w] = max(step, 1e-6 * length)
    here.changed = 0
    here.phase = RUN


@_machine_code
def _finish(p, here, work, w):
    ptr, prediction = _integers(p.ptr, p.n_rows + 1), _floats(p.prediction, p.n_predictions)
    jacobian = _floats(p.jacobian, (p.n_predictions, p.n_wrt))
    _short_integers(p.steps, p.n_rows)[here.row] = work[p.n_steps, w]
    here.phase = LOAD
    total = 0.0  # stays zero unless something is not finite
    for place in range(ptr[here.row], ptr[here.row + 1]):
        total += prediction[place] * 0.0
        for k in range(p.n_wrt):
            total += jacobian[place, k] * 0.0
    if total != 0.0:
        _fail(p, here, work, w, _NON_FINITE)


@_machine_code
def _fail(p, here, work, w, status):
    """NaN predictions, zero Jacobian; the lane takes another row."""
    ptr, prediction = _integers(p.ptr, p.n_rows + 1), _floats(p.prediction, p.n_predictions)
    jacobian = _floats(p.jacobian, (p.n_predictions, p.n_wrt))
    _short_integers(p.status, p.n_rows)[here.row] = status
    _short_integers(p.steps, p.n_rows)[here.row] = work[p.n_steps, w]
    for place in range(ptr[here.row], ptr[here.row + 1]):
        prediction[place] = np.nan
        for k in range(p.n_wrt):
            jacobian[place, k] = 0.0
    here.phase = LOAD
