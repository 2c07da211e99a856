"""Kernels around the compiled prediction function: its input columns, and the chain rule behind it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit


class OutputColumns(NamedTuple):
    """Rows of the output function's input matrix (amounts come first): time (-1: not read), parameters
    (row of `values`, row of the matrix), record items (column of ob_data, row of the matrix)."""

    time: int
    parameter: np.ndarray
    record: np.ndarray


class Observations(NamedTuple):
    """ob_* of the event table; `output` is the index of the output function's output, `segment` that of the
    subject's segment (linear_kernels.Schedule)."""

    ptr: np.ndarray
    time: np.ndarray
    data: np.ndarray
    output: np.ndarray
    segment: np.ndarray


class Chain(NamedTuple):
    """Sparse derivatives of the output function.

    entry (E, 5): output, 1 for an amount or 0 for a parameter, which wanted amount, and for a parameter
    first and last of its links. link (L, 2): row of `slopes`, input. active: input of each sensitivity.
    """

    entry: np.ndarray
    link: np.ndarray
    active: np.ndarray


@njit(nogil=True, cache=True, error_model="numpy")
def fill_columns(where, observations, rows, ptr, segments, values, columns):
    """Everything but the amounts; spare columns at the end repeat the last one."""
    for r in range(len(rows)):
        shift = observations.ptr[rows[r]] - ptr[r]
        for j in range(len(where.parameter)):
            for m in range(ptr[r], ptr[r + 1]):
                column = segments[r] + observations.segment[m + shift]
                columns[where.parameter[j, 1], m] = values[where.parameter[j, 0], column]
        if where.time >= 0:
            for m in range(ptr[r], ptr[r + 1]):
                columns[where.time, m] = observations.time[m + shift]
        for j in range(len(where.record)):
            for m in range(ptr[r], ptr[r + 1]):
                columns[where.record[j, 1], m] = observations.data[m + shift, where.record[j, 0]]
    total = ptr[len(rows)]
    for j in range(columns.shape[0]):
        for m in range(total, columns.shape[1]):
            columns[j, m] = columns[j, total - 1]


@njit(nogil=True, cache=True, error_model="numpy")
def chain_rule(
    chain, observations, rows, ptr, segments, outputs, d_outputs, slopes, d_amounts, prediction, jacobian, status
):
    """prediction (M,) and jacobian (M, n_inputs); a row with a value that is not finite fails as a whole."""
    n_inputs = jacobian.shape[1]
    for r in range(len(rows)):
        shift = observations.ptr[rows[r]] - ptr[r]
        total = 0.0
        for m in range(ptr[r], ptr[r + 1]):
            output, column = observations.output[m + shift], segments[r] + observations.segment[m + shift]
            prediction[m] = outputs[output, m]
            total += prediction[m]
            for k in range(n_inputs):
                jacobian[m, k] = 0.0
            for e in range(len(chain.entry)):
                if chain.entry[e, 0] != output:
                    continue
                slope = d_outputs[e, m]
                if chain.entry[e, 1] == 1:
                    for k in range(len(chain.active)):
                        jacobian[m, chain.active[k]] += slope * d_amounts[m, chain.entry[e, 2], k]
                else:
                    for j in range(chain.entry[e, 3], chain.entry[e, 4]):
                        jacobian[m, chain.link[j, 1]] += slope * slopes[chain.link[j, 0], column]
            for k in range(n_inputs):
                total += jacobian[m, k]
        status[r] = 0
        if not math.isfinite(total):
            status[r] = 2
            for m in range(ptr[r], ptr[r + 1]):
                prediction[m] = np.nan
                for k in range(n_inputs):
                    jacobian[m, k] = 0.0
