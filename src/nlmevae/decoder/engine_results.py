"""The engine's results: predictions stored, rows finished or given up."""

from __future__ import annotations

import numpy as np

from nlmevae.decoder.engine_records import (
    LOAD,
    NON_FINITE,
    floats,
    integers,
    machine_code,
    observations_of,
    short_integers,
)


@machine_code
def load_observation(p, here, work, w):
    work[p.output_time, w] = observations_of(p)[here.observation].time
    records = floats(p.records, (p.n_observations, p.n_records))
    for k in range(p.n_records):
        work[p.record + k, w] = records[here.observation, k]


@machine_code
def store_prediction(p, here, work, w):
    output = observations_of(p)[here.observation].output
    output_map = integers(p.output_map, (p.n_outputs, p.n_wrt))
    jacobian = floats(p.jacobian, (p.n_predictions, p.n_wrt))
    place = integers(p.ptr, p.n_rows + 1)[here.row] + here.observation - here.first_observation
    floats(p.prediction, p.n_predictions)[place] = work[p.output + output, w]
    for k in range(p.n_wrt):
        slot = output_map[output, k]
        jacobian[place, k] = work[slot, w] if slot >= 0 else 0.0
    here.observation += 1


@machine_code
def finish(p, here, work, w):
    ptr, prediction = integers(p.ptr, p.n_rows + 1), floats(p.prediction, p.n_predictions)
    jacobian = floats(p.jacobian, (p.n_predictions, p.n_wrt))
    short_integers(p.steps, p.n_rows)[here.row] = work[p.n_steps, w]
    here.phase = LOAD
    total = 0.0  # stays zero unless something is not finite
    for place in range(ptr[here.row], ptr[here.row + 1]):
        total += prediction[place] * 0.0
        for k in range(p.n_wrt):
            total += jacobian[place, k] * 0.0
    if total != 0.0:
        fail(p, here, work, w, NON_FINITE)


@machine_code
def fail(p, here, work, w, status):
    """NaN predictions, zero Jacobian; the lane takes another row."""
    ptr, prediction = integers(p.ptr, p.n_rows + 1), floats(p.prediction, p.n_predictions)
    jacobian = floats(p.jacobian, (p.n_predictions, p.n_wrt))
    short_integers(p.status, p.n_rows)[here.row] = status
    short_integers(p.steps, p.n_rows)[here.row] = work[p.n_steps, w]
    for place in range(ptr[here.row], ptr[here.row + 1]):
        prediction[place] = np.nan
        for k in range(p.n_wrt):
            jacobian[place, k] = 0.0
    here.phase = LOAD
