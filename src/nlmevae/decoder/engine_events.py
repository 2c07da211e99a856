"""What the engine does when something is due: records met, pending events applied, covariates changed.

A dose is evaluated (F, lag, modelled duration or rate) at its record; a lagged dose and every infusion's end wait in
the lane's list of pending events, from which the earliest is taken, whatever the order of their records. Steady states
are known before the engine starts (steady_state.SteadyStates): their records set or add amounts and set infusions
running.
"""

from __future__ import annotations

import numpy as np

from nlmevae.decoder.engine_records import (
    ADD_AMOUNT,
    ADD_RATE,
    BOLUS,
    CHANGE,
    DECIDE,
    EMPTY,
    INFUSION,
    INFUSION_DURATION,
    INFUSION_RATE,
    JUMP,
    NO_STEADY_STATE,
    NON_FINITE,
    OUTPUT,
    RESET,
    RESTART,
    RUN,
    SLOPE,
    START,
    STEADY_STATE,
    STEADY_STATE_ADD,
    SWITCH,
    TURN_SWITCH,
    covariates_of,
    events_of,
    floats,
    integers,
    load_covariates,
    machine_code,
    observations_of,
    pending_of,
    pending_sens_of,
    steady_of,
)
from nlmevae.decoder.engine_results import fail, finish, load_observation

# what comes next
_NOTHING, _OBSERVATION, _EVENT, _PENDING = range(4)
# columns of the dosing map
_FRACTION, _LAG, _DURATION, _RATE = range(4)


@machine_code
def decide(p, here, work, w, steady):
    """Apply what is due now until a kernel is needed, then say which; set the next stop."""
    now = work[p.time, w]
    while here.phase == DECIDE:
        if here.observation >= here.observation_end:
            finish(p, here, work, w)
            return
        what, when, pending = _next(p, here, w)
        if when > now:
            _go_on(p, here, work, w)
        elif what != _PENDING and _covariates_end_before(p, here, what, now):
            _change_covariates(p, here, work, w)
        elif what == _OBSERVATION:
            for i in range(p.slope - p.state):
                work[p.state_out + i, w] = work[p.state + i, w]
            load_observation(p, here, work, w)
            here.phase = OUTPUT
        elif what == _EVENT:
            _meet_event(p, here, work, w, steady)
        elif pending_of(p, w)[pending].moves and here.changed:
            here.phase = SLOPE  # its jump needs the slope just before
        else:
            apply_pending(p, here, work, w, pending)


@machine_code
def _next(p, here, w):
    """(what, when, index in the pending list) of the earliest thing to come; record order breaks ties."""
    events, pending_events = events_of(p), pending_of(p, w)
    what, when, order, pending = _NOTHING, np.inf, np.int64(2**31), -1
    if here.event < here.event_end:
        what, when, order = _EVENT, events[here.event].time, events[here.event].order
    for index in range(here.n_pending):
        candidate = pending_events[index]
        if candidate.time < when or (candidate.time == when and candidate.order <= order):
            what, when, order, pending = _PENDING, candidate.time, candidate.order, index
    observation = observations_of(p)[here.observation]
    if observation.time < when or (observation.time == when and observation.order < order):
        what, when = _OBSERVATION, observation.time
    return what, when, pending


@machine_code
def _go_on(p, here, work, w):
    """Nothing is due now: change covariates whose interval ends here, else integrate to the next stop."""
    events, observations, pending = events_of(p), observations_of(p), pending_of(p, w)
    covariates_end = np.inf if here.covariate + 1 >= here.covariate_end else covariates_of(p)[here.covariate, 0]
    if covariates_end <= work[p.time, w]:
        _change_covariates(p, here, work, w)
        return
    until = np.inf
    if here.event < here.event_end:
        until = min(until, events[here.event].time)
    for index in range(here.n_pending):
        until = min(until, pending[index].time)
    here.until = until = min(until, covariates_end)
    work[p.stop, w] = min(until, observations[here.observation_end - 1].time)
    work[p.wake, w] = min(until, observations[here.observation].time)
    here.phase = START if here.changed else RUN


@machine_code
def _covariates_end_before(p, here, what, now):
    """The record that is due now belongs to a later row of covariates, one of the same time."""
    if here.covariate + 1 >= here.covariate_end:
        return False
    order = observations_of(p)[here.observation].order if what == _OBSERVATION else events_of(p)[here.event].order
    return covariates_of(p)[here.covariate, 0] <= now and covariates_of(p)[here.covariate, 1] < order


@machine_code
def _change_covariates(p, here, work, w):
    here.covariate += 1
    load_covariates(p, here, work, w)
    here.phase = CHANGE


@machine_code
def _meet_event(p, here, work, w, steady):
    """The event record's time has come: apply the dose or make it pending, reset, or reach steady state."""
    event = events_of(p)[here.event]
    here.event += 1
    if event.kind == RESET:
        here.phase = RESTART
    elif event.kind == STEADY_STATE or event.kind == STEADY_STATE_ADD:
        if steady is not None:
            _meet_steady_state(p, here, work, w, event)
    elif event.kind == EMPTY:
        _empty(p, work, w, event.compartment)
        here.changed = 1
    else:
        _meet_dose(p, here, work, w, event)


@machine_code
def _empty(p, work, w, compartment):
    work[p.state + compartment, w] = 0.0
    state_map = integers(p.state_map, (p.n_states, p.n_wrt))
    for k in range(p.n_wrt):
        slot = state_map[compartment, k]
        if slot >= 0:
            work[p.state + slot, w] = 0.0


@machine_code
def _meet_dose(p, here, work, w, event):
    fraction, lag, modelled = 1.0, 0.0, 1.0
    dosing = integers(p.dosing_map, (p.n_dose_inputs, 4))[event.input]
    by_fraction, by_lag, by_model = dosing[_FRACTION], dosing[_LAG], -1
    if by_fraction >= 0:
        fraction = work[p.parameter + by_fraction, w]
    if by_lag >= 0:
        lag = work[p.parameter + by_lag, w]
    if event.kind == INFUSION_DURATION or event.kind == INFUSION_RATE:
        by_model = dosing[_DURATION if event.kind == INFUSION_DURATION else _RATE]
        modelled = work[p.parameter + by_model, w]
    if not (lag >= 0.0 and fraction >= 0.0 and modelled > 0.0):
        fail(p, here, work, w, NON_FINITE)
        return
    given, when = event.amount, event.time + lag
    index = 0
    if event.kind == BOLUS:
        index = _push(p, here, w, event, when, fraction * given, ADD_AMOUNT)
        _pend_sens(p, work, w, index, dosing, by_model, (given, 0.0), (0.0, 0.0))
    else:  # derivatives of rate and duration by F and by the modelled quantity
        if event.kind == INFUSION:
            rate, duration = event.rate, fraction * (given / event.rate)
            of_rate, of_duration = (0.0, 0.0), (given / event.rate, 0.0)
        elif event.kind == INFUSION_DURATION:
            rate, duration = fraction * given / modelled, modelled
            of_rate, of_duration = (given / modelled, -rate / modelled), (0.0, 1.0)
        else:
            rate, duration = modelled, fraction * given / modelled
            of_rate, of_duration = (0.0, 1.0), (given / modelled, -duration / modelled)
        last = _push(p, here, w, event, when + duration, -rate, ADD_RATE)
        _pend_sens(p, work, w, last, dosing, by_model, (-of_rate[0], -of_rate[1]), of_duration)
        index = _push(p, here, w, event, when, rate, ADD_RATE)
        _pend_sens(p, work, w, index, dosing, by_model, of_rate, (0.0, 0.0))
    if by_lag < 0:
        apply_pending(p, here, work, w, index)


@machine_code
def _push(p, here, w, event, when, amount, action):
    index = here.n_pending
    here.n_pending += 1
    new = pending_of(p, w)[index]
    new.time, new.amount, new.action = when, amount, action
    new.compartment, new.order = event.compartment, event.order
    new.repeats, new.interval = 0, 0.0
    return index


@machine_code
def _pend_sens(p, work, w, index, dosing, by_model, of_amount, of_time):
    """Sensitivities of a pending event's amount and time; `dosing`: its row of the map; `of_amount`, `of_time`:
    derivatives by F and by the modelled duration or rate. Its time moves with the lag besides."""
    new, sens = pending_of(p, w)[index], pending_sens_of(p, w)[index]
    by_fraction, by_lag = dosing[_FRACTION], dosing[_LAG]
    parameter_map = integers(p.parameter_map, (p.n_parameters, p.n_wrt))
    new.moves = 0
    for k in range(p.n_wrt):
        fraction_slot = parameter_map[by_fraction, k] if by_fraction >= 0 else -1
        lag_slot = parameter_map[by_lag, k] if by_lag >= 0 else -1
        model_slot = parameter_map[by_model, k] if by_model >= 0 else -1
        fraction_sens = work[fraction_slot, w] if fraction_slot >= 0 else 0.0
        lag_sens = work[lag_slot, w] if lag_slot >= 0 else 0.0
        model_sens = work[model_slot, w] if model_slot >= 0 else 0.0
        sens[0, k] = of_amount[0] * fraction_sens + of_amount[1] * model_sens
        sens[1, k] = lag_sens + of_time[0] * fraction_sens + of_time[1] * model_sens
        if sens[1, k] != 0.0:
            new.moves = 1


@machine_code
def _meet_steady_state(p, here, work, w, event):
    """Amounts become, or get added, those of the steady state; infusions longer than the interval go on running."""
    steady = steady_of(p)[here.steady]
    if steady.status != 0:
        fail(p, here, work, w, NO_STEADY_STATE)
        return
    block = floats(p.steady_block, (p.n_steady, p.n_block))[here.steady]
    keep = 1.0 if event.kind == STEADY_STATE_ADD else 0.0
    for i in range(p.n_block):
        work[p.state + i, w] = keep * work[p.state + i, w] + block[i]
    if event.kind == STEADY_STATE:
        for i in range(p.n_forcing):
            work[p.forcing + i, w] = 0.0
        here.n_pending = 0
    if steady.running > 0:
        sens = floats(p.steady_sens, (p.n_steady, 2, p.n_wrt))[here.steady]
        _add_rate(p, work, w, event.compartment, steady.running * steady.rate, float(steady.running), sens[0])
        index = _push(p, here, w, event, event.time + steady.ends, -steady.rate, ADD_RATE)
        new, own = pending_of(p, w)[index], pending_sens_of(p, w)[index]
        new.repeats, new.interval, new.moves = steady.running - 1, event.interval, 0
        for k in range(p.n_wrt):
            own[0, k], own[1, k] = -sens[0, k], sens[1, k]
            if sens[1, k] != 0.0:
                new.moves = 1
    here.steady += 1
    here.changed = 1


@machine_code
def _add_rate(p, work, w, compartment, rate, factor, sens):
    """Add to the running infusions: a rate, and `factor` times the sensitivities `sens` (n_wrt,)."""
    work[p.forcing + compartment, w] += rate
    forcing_map = integers(p.forcing_map, (p.n_states, p.n_wrt))
    for k in range(p.n_wrt):
        slot = forcing_map[compartment, k]
        if slot >= 0:
            work[p.forcing + slot, w] += factor * sens[k]


@machine_code
def apply_pending(p, here, work, w, index):
    """The jump itself; a jump whose time moves also needs the slope after it (phase JUMP)."""
    pending, sens = pending_of(p, w), pending_sens_of(p, w)
    event = pending[index]
    moves = event.moves
    if moves:
        jump = floats(p.jump, (p.width, p.n_states + p.n_wrt))[w]
        for i in range(p.n_states):
            jump[i] = work[p.slope + i, w]
        for k in range(p.n_wrt):
            jump[p.n_states + k] = sens[index, 1, k]
    if event.action == ADD_AMOUNT:
        work[p.state + event.compartment, w] += event.amount
        state_map = integers(p.state_map, (p.n_states, p.n_wrt))
        for k in range(p.n_wrt):
            slot = state_map[event.compartment, k]
            if slot >= 0:
                work[p.state + slot, w] += sens[index, 0, k]
    elif event.action == ADD_RATE:
        _add_rate(p, work, w, event.compartment, event.amount, 1.0, sens[index, 0])
    else:
        work[p.switch + event.compartment, w] = 1.0
    here.changed = 1
    if event.action == TURN_SWITCH:
        here.phase = SWITCH if moves else CHANGE
    else:
        here.phase = JUMP if moves else DECIDE
    if event.repeats > 0:
        event.repeats -= 1
        event.time += event.interval
        return
    here.n_pending -= 1  # the last one takes its place
    pending[index] = pending[here.n_pending]
    for k in range(p.n_wrt):
        sens[index, 0, k] = sens[here.n_pending, 0, k]
        sens[index, 1, k] = sens[here.n_pending, 1, k]


@machine_code
def turn_past_switches(p, here, work, w):
    """Turn the switches whose time has come without anything being done about it (before the first record); says
    whether there are any, for parameters are then to be computed again."""
    switch_map = integers(p.switch_map, p.n_switches)
    turned = False
    for index in range(p.n_switches):
        if work[p.switch + index, w] == 0.0 and work[p.parameter + switch_map[index], w] <= work[p.time, w]:
            work[p.switch + index, w] = 1.0
            turned = True
    return turned


@machine_code
def pend_switches(p, here, work, w):
    """Make the switches that are to come pending: before all records of their time, whose code they change."""
    switch_map = integers(p.switch_map, p.n_switches)
    parameter_map = integers(p.parameter_map, (p.n_parameters, p.n_wrt))
    for index in range(p.n_switches):
        if work[p.switch + index, w] != 0.0:
            continue
        time = work[p.parameter + switch_map[index], w]
        if time != time:
            fail(p, here, work, w, NON_FINITE)
            return
        place = here.n_pending
        here.n_pending += 1
        new, sens = pending_of(p, w)[place], pending_sens_of(p, w)[place]
        new.time, new.amount, new.action, new.compartment = time, 0.0, TURN_SWITCH, index
        new.order, new.repeats, new.interval, new.moves = -1, 0, 0.0, 0
        for k in range(p.n_wrt):
            slot = parameter_map[switch_map[index], k]
            sens[0, k], sens[1, k] = 0.0, work[slot, w] if slot >= 0 else 0.0
            if sens[1, k] != 0.0:
                new.moves = 1


@machine_code
def move_jump(p, work, w):
    """S += (f- - f+) dtau/dx; the slope kernel has just computed f+."""
    jump = floats(p.jump, (p.width, p.n_states + p.n_wrt))[w]
    state_map = integers(p.state_map, (p.n_states, p.n_wrt))
    for i in range(p.n_states):
        change = jump[i] - work[p.slope + i, w]
        for k in range(p.n_wrt):
            if state_map[i, k] >= 0:
                work[p.state + state_map[i, k], w] += change * jump[p.n_states + k]
