"""What the engine and its kernels share: one record of sizes and addresses (PLAN), and the arrays behind it.

All arrays are reached through that record: numba passes an array argument as seven words and counts references to
it, which would take longer than the integration.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic


def machine_code(function):
    """numba's njit; compiled once per installation where numba finds a folder for its cache."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:
        return njit(nogil=True)(function)


#: phases of a lane: what it waits for
LOAD, DECIDE, SETUP, RESTART, CHANGE, OUTPUT, SLOPE, JUMP, SWITCH, START, RUN, IDLE = range(12)
# what happens when a pending event's time has come
ADD_AMOUNT, ADD_RATE, TURN_SWITCH = (np.int64(k) for k in range(3))  # not literals: numba would compile each one's copy
# EventKind and SolveStatus as numbers the compiled code knows
BOLUS, INFUSION, INFUSION_DURATION, INFUSION_RATE, RESET, STEADY_STATE, STEADY_STATE_ADD, EMPTY = range(1, 9)
MAX_STEPS, NON_FINITE, NO_STEADY_STATE = (np.int64(k) for k in (1, 2, 3))


def _fields(names: str, kind: type) -> list[tuple[str, type]]:
    return [(name, kind) for name in names.split()]


#: Sizes of one call, first slots of the workspace blocks (layout.Layout), addresses of kernels and arrays.
PLAN = np.dtype(
    _fields("n_states n_inputs n_covariates n_records n_parameters n_outputs n_wrt n_dose_inputs", np.int64)
    + _fields("width capacity n_rows n_subjects n_events n_observations n_covariate_rows n_predictions", np.int64)
    + _fields("time step stop wake active n_steps max_steps rtol atol_growth", np.int64)
    + _fields("time_new output_time input covariate switch record parameter atol forcing state", np.int64)
    + _fields("slope state_out output", np.int64)
    + _fields("run_setup run_initial run_slope run_advance run_accept run_dense run_output", np.int64)
    + _fields("work subjects events observations records covariates dose_scale", np.int64)
    + _fields("dosing_map parameter_map state_map output_map forcing_map n_switches switch_map", np.int64)
    + _fields("x rows ptr prediction jacobian status steps", np.int64)
    + _fields("n_steady n_block n_forcing steady_ptr steady steady_block steady_sens", np.int64)
    + _fields("lanes pending pending_sens jump", np.int64)
)
#: One record per subject: ranges of its events, observations, covariate rows; time of its first record.
SUBJECT = np.dtype(
    _fields("event event_end observation observation_end covariate covariate_end", np.int64)
    + _fields("start", np.float64)
)
EVENT = np.dtype(_fields("time amount rate interval", np.float64) + _fields("kind compartment input order", np.int64))
OBSERVATION = np.dtype(_fields("time", np.float64) + _fields("output order", np.int64))
#: Where a lane stands.
LANE = np.dtype(
    _fields("phase row subject event event_end observation observation_end first_observation", np.int64)
    + _fields("covariate covariate_end changed n_pending steady", np.int64)
    + _fields("until", np.float64)
)
#: What waits for its time; it happens `repeats` times more at distances of `interval`. A switch has its number in place
#: of a compartment.
PENDING = np.dtype(
    _fields("time amount interval", np.float64) + _fields("action compartment order moves repeats", np.int64)
)
#: A steady state: `running` infusions of `rate` go on, one of which ends `ends` after the event. Amounts and all
#: derivatives are in arrays of their own.
STEADY = np.dtype(_fields("rate ends", np.float64) + _fields("running status", np.int64))


# arrays behind the addresses ------------------------------------------------------------------------
@intrinsic
def pointer(typing_context, address):
    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), generate


@machine_code
def workspace(p):
    """(n_slots, W); only first elements matter, so the number of slots is left open."""
    return carray(pointer(p.work), (2**31, p.width), np.float64)


@machine_code
def subjects_of(p):
    return carray(pointer(p.subjects), p.n_subjects, SUBJECT)


@machine_code
def events_of(p):
    return carray(pointer(p.events), p.n_events, EVENT)


@machine_code
def observations_of(p):
    return carray(pointer(p.observations), p.n_observations, OBSERVATION)


@machine_code
def steady_of(p):
    return carray(pointer(p.steady), p.n_steady, STEADY)


@machine_code
def lanes_of(p):
    return carray(pointer(p.lanes), p.width, LANE)


@machine_code
def pending_of(p, w):
    """Pending events of lane w."""
    return carray(pointer(p.pending), (p.width, p.capacity), PENDING)[w]


@machine_code
def pending_sens_of(p, w):
    """(capacity, 2, n_wrt): sensitivities of amount and time of lane w's pending events."""
    return floats(p.pending_sens, (p.width, p.capacity, 2, p.n_wrt))[w]


@machine_code
def floats(address, shape):
    return carray(pointer(address), shape, np.float64)


@machine_code
def integers(address, shape):
    return carray(pointer(address), shape, np.int64)


@machine_code
def short_integers(address, shape):
    return carray(pointer(address), shape, np.int32)


@intrinsic
def call_kernel(typing_context, address, work):
    """Call the kernel at `address` with the workspace address: i64 kernel(pointer)."""

    def generate(context, builder, signature, arguments):
        pointer = ir.IntType(8).as_pointer()
        kernel = ir.FunctionType(ir.IntType(64), [pointer]).as_pointer()
        function = builder.inttoptr(arguments[0], kernel)
        return builder.call(function, [builder.inttoptr(arguments[1], pointer)])

    return types.int64(types.int64, types.int64), generate


@machine_code
def covariates_of(p):
    """Time and order of the row's last record, then the covariates."""
    return floats(p.covariates, (p.n_covariate_rows, 2 + p.n_covariates))


@machine_code
def load_covariates(p, here, work, w):
    for k in range(p.n_covariates):
        work[p.covariate + k, w] = covariates_of(p)[here.covariate, 2 + k]
