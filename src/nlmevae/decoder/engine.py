"""The model-independent engine: takes rows through their events with compiled kernels.

Each SIMD lane works on one row; when a row is finished its lane takes the next one, so rows never wait
for each other and never see each other. Integration goes on between stops (events whose time has come,
covariate changes, the last observation); observations in between are interpolated.

What happens at a stop, with y the amounts, S their sensitivities, G the running infusions and H their sensitivities:

    dose whose time tau depends on the inputs:  S += (f(y-, G-) - f(y+, G+)) dtau/dx
    bolus                                        y_c += F amount,  S_c += amount dF/dx
    infusion                                     G_c += rate,  H_c += drate/dx; ends after F amount / rate
    steady state                                 y, S = those of the steady state, or added to what there is
    model time tau(x): a switch turns            S += (f(y, p-) - f(y, p+)) dtau/dx, with the parameters p after it
    reset                                        y = A_0, S = dA_0/dx, G = H = 0, pending doses cancelled
"""

from __future__ import annotations

import numpy as np

from nlmevae.decoder.engine_events import decide, move_jump, pend_switches, turn_past_switches
from nlmevae.decoder.engine_records import (
    CHANGE,
    DECIDE,
    IDLE,
    JUMP,
    LOAD,
    MAX_STEPS,
    NON_FINITE,
    OUTPUT,
    RESTART,
    RUN,
    SETUP,
    SLOPE,
    START,
    SWITCH,
    call_kernel,
    floats,
    integers,
    lanes_of,
    load_covariates,
    machine_code,
    observations_of,
    subjects_of,
    workspace,
)
from nlmevae.decoder.engine_results import fail, store_prediction


# the loop ------------------------------------------------------------------------------------------
@machine_code
def run_rows(plans, steady):
    """Solve all rows of a call. plans (1,) PLAN; the workspace has rtol, atol_growth and max_steps set. steady: None
    where no record sets a steady state (numba leaves that code out then), else True."""
    p = plans[0]
    work, lanes = workspace(p), lanes_of(p)
    for w in range(p.width):
        lanes[w].phase = LOAD
    next_row = np.int64(0)  # a literal 0 would be a type of its own, and a second copy of `_settle`
    unsettled = True
    while True:
        if unsettled:
            next_row = _settle(p, work, next_row, steady)
            running = False
            for w in range(p.width):
                running = running or lanes[w].phase == RUN
            if not running:
                return
        verdict = call_kernel(p.run_advance, p.work)
        if verdict & 255:
            _observe_inside_step(p, work, verdict & 255)
        call_kernel(p.run_accept, p.work)
        unsettled = False
        for w in range(p.width):
            if (verdict >> (8 + w)) & 1:
                exhausted = work[p.n_steps, w] >= work[p.max_steps, w]
                fail(p, lanes[w], work, w, MAX_STEPS if exhausted else NON_FINITE)
                unsettled = True
            elif (verdict >> w) & 1 and work[p.time, w] >= work[p.stop, w]:
                lanes[w].phase = DECIDE
                unsettled = True


@machine_code
def _observe_inside_step(p, work, due):
    """Interpolate the observations the step has passed, for the lanes whose bit is set in `due`; those at
    a stop where something happens wait for `_decide`."""
    observations, lanes = observations_of(p), lanes_of(p)
    records = floats(p.records, (p.n_observations, p.n_records))
    prediction, ptr = floats(p.prediction, p.n_predictions), integers(p.ptr, p.n_rows + 1)
    jacobian = floats(p.jacobian, (p.n_predictions, p.n_wrt))
    output_map = integers(p.output_map, (p.n_outputs, p.n_wrt))
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
        call_kernel(p.run_dense, address)
        call_kernel(p.run_output, address)
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


@machine_code
def _settle(p, work, next_row, steady):
    """Bring every lane to RUN or IDLE; lanes that wait for the same kernel share its call."""
    lanes = lanes_of(p)
    while True:
        wanted = 0
        for w in range(p.width):
            here = lanes[w]
            while here.phase == LOAD or here.phase == DECIDE:
                if here.phase == LOAD:
                    next_row = _load_row(p, here, work, w, next_row)
                else:
                    decide(p, here, work, w, steady)
            wanted |= 1 << here.phase
        if wanted & ~((1 << RUN) | (1 << IDLE)) == 0:
            return next_row
        if wanted & (1 << OUTPUT):  # first: `run_initial` writes the amounts it reads, in every lane
            call_kernel(p.run_output, p.work)
        if wanted & ((1 << SETUP) | (1 << CHANGE) | (1 << SWITCH)):
            call_kernel(p.run_setup, p.work)
        if wanted & ((1 << SETUP) | (1 << RESTART)):
            call_kernel(p.run_initial, p.work)
        if wanted & ((1 << SLOPE) | (1 << JUMP) | (1 << SWITCH) | (1 << START)):
            call_kernel(p.run_slope, p.work)
        for w in range(p.width):
            if lanes[w].phase < RUN:
                _after_kernel(p, lanes[w], work, w)


@machine_code
def _load_row(p, here, work, w, next_row):
    """Give the lane the next row that has observations."""
    ptr, rows = integers(p.ptr, p.n_rows + 1), integers(p.rows, p.n_rows)
    while next_row < p.n_rows and ptr[next_row] == ptr[next_row + 1]:
        next_row += 1  # status and number of steps are zero already
    if next_row >= p.n_rows:
        here.phase = IDLE
        work[p.active, w] = 0.0
        work[p.step, w] = 0.0
        return next_row
    subject = subjects_of(p)[rows[next_row]]
    here.phase, here.row, here.subject = SETUP, next_row, rows[next_row]
    here.event, here.event_end = subject.event, subject.event_end
    here.observation, here.observation_end = subject.observation, subject.observation_end
    here.first_observation = subject.observation
    here.covariate, here.covariate_end = subject.covariate, subject.covariate_end
    here.steady = integers(p.steady_ptr, p.n_rows + 1)[next_row]
    work[p.time, w] = subject.start
    work[p.active, w] = 1.0
    work[p.n_steps, w] = 0.0
    x = floats(p.x, (p.n_rows, p.n_inputs))
    for k in range(p.n_inputs):
        work[p.input + k, w] = x[next_row, k]
    for k in range(p.n_switches):
        work[p.switch + k, w] = 0.0
    load_covariates(p, here, work, w)
    return next_row + 1


@machine_code
def _after_kernel(p, here, work, w):
    """What follows the kernel a lane waited for."""
    phase = here.phase
    here.phase = DECIDE
    if phase == SETUP and turn_past_switches(p, here, work, w):
        here.phase = SETUP
    elif phase in (SETUP, RESTART):
        _set_initial_state(p, here, work, w)
    elif phase == CHANGE:
        here.changed = 1
    elif phase == OUTPUT:
        store_prediction(p, here, work, w)
    elif phase == SLOPE:
        here.changed = 0
    elif phase in (JUMP, SWITCH):
        move_jump(p, work, w)
        here.changed = 1
    elif phase == START:
        _start(p, here, work, w)


@machine_code
def _set_initial_state(p, here, work, w):
    """y = A_0, no infusions, nothing pending; absolute tolerances from doses and initial amounts."""
    for i in range(p.slope - p.state):
        work[p.state + i, w] = work[p.state_out + i, w]
    for i in range(p.n_forcing):
        work[p.forcing + i, w] = 0.0
    here.n_pending = 0
    here.changed = 1
    pend_switches(p, here, work, w)
    growth = work[p.atol_growth, w]
    if growth == 0.0:  # the user's own absolute tolerance, set once
        return
    doses = floats(p.dose_scale, (p.n_subjects, p.n_states))[here.subject]
    largest = 0.0
    for i in range(p.n_states):
        largest = max(largest, doses[i], abs(work[p.state + i, w]))
    if largest == 0.0:
        largest = 1.0
    for i in range(p.n_states):
        work[p.atol + i, w] = growth * max(doses[i], abs(work[p.state + i, w]), 1e-4 * largest)


# beginning of integration ----------------------------------------------------------------------------
@machine_code
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
        fail(p, here, work, w, NON_FINITE)
        return
    step = length
    if slope_norm > 0.0:
        step = min(step, 0.01 * np.sqrt(state_norm / slope_norm)) if state_norm > 0.0 else 1e-3 * length
    work[p.step, w] = max(step, 1e-6 * length)
    here.changed = 0
    here.phase = RUN
