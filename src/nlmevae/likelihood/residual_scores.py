"""What the residual error of one subject and endpoint gives to the scores (score_kernel.py), a run of draws at a time.

The loops over draws are written once, for every residual error and for censored values. Where values are known and the
error is additive or proportional, the kind is a constant to the compiler, which then makes vector instructions of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from nlmevae.decoder.residual_kernels import (
    ADDITIVE,
    PROPORTIONAL,
    ErrorNumbers,
    known_pulls,
    log_slopes_of,
    other_slopes_of,
    pulls_of,
    relative_slope_of,
    sd_of,
)

RUN = 128  # draws of a subject at a time: their numbers stay in the cache
#: Where those of a run begin in the memory `work`: a constant distance, so that the compiler knows that they are apart.
PULLS, F, FACTOR, SLOPE, INFORMATION, WORK = 0, 4 * RUN, 5 * RUN, 6 * RUN, 7 * RUN, 8 * RUN
#: Sums may be taken in any order, so that they are those of vectors; the order is the same for any number of threads.
SUMS = {"reassoc", "contract"}


class Scored(NamedTuple):
    """Draws z (K, N, d), predictions (K, M), their jacobian (K, M, s) along structural THETAs, weights (K, N)."""

    z: np.ndarray
    prediction: np.ndarray
    jacobian: np.ndarray
    weight: np.ndarray


@njit(nogil=True, cache=True, fastmath=SUMS, error_model="numpy")
def add_residual(draws, observed, ptr, error, slots, i, start, w, work, out, residual, along):
    """Add subject i's part of one endpoint, draws start:start + k with weights w (k,), k <= RUN; work (WORK,).

    out (q + s, >= k): scores in the q coefficients, which `slots` (4, q) reads, and along s THETAs; residual (q, q) and
    the lower triangle of along (s, s): weighted sums of their expected information.
    """
    size, n_residual, n_structural = len(w), slots.shape[1], draws.jacobian.shape[2]
    squares = np.zeros((4, 4))
    work[:F] = 0.0
    for k in range(size):
        work[FACTOR + k] = 1.0
        if error.effect >= 0:
            work[FACTOR + k] = math.exp(error.effect_scale * draws.z[start + k, i, error.effect])
    for m in range(ptr[i], ptr[i + 1]):
        if error.index >= 0 and observed.endpoint[m] != error.index:
            continue
        for k in range(size):
            work[F + k] = draws.prediction[start + k, m]
        if n_residual:
            _add_coefficients(observed, m, error, w, work, squares)
        if n_structural:
            _slopes(observed, m, error, w, work)
            _add_structural(draws.jacobian, start, m, size, work, out[n_residual:], along)
    for q in range(n_residual):
        for j in range(4):
            if slots[j, q] == 0.0:
                continue
            for k in range(size):
                out[q, k] += slots[j, q] * work[PULLS + j * RUN + k]
            for p in range(n_residual):
                for l in range(4):  # noqa: E741
                    residual[q, p] += slots[j, q] * slots[l, p] * squares[max(j, l), min(j, l)]


@njit(nogil=True, cache=True, forceinline=True)
def _usual(observed, error):
    """Values are known, and nothing but the kind decides which formulas are meant."""
    plain = error.power == 1.0 and error.correlation == 0.0 and not error.wide and not error.replaces_zero
    return plain and not observed.limited


@njit(nogil=True, cache=True, forceinline=True)
def _of_kind(error, kind):
    return ErrorNumbers(-1, kind, error.a, error.b, 1.0, 0.0, False, False, 0.0, False, -1, 0.0)


@njit(nogil=True, cache=True, fastmath=SUMS, error_model="numpy")
def _add_coefficients(observed, m, error, w, work, squares):
    """Scores in (log a, log b, p, atanh rho), (4, k), and the lower triangle of their weighted information (4, 4)."""
    usual = _usual(observed, error)
    if usual and error.kind == ADDITIVE:
        _coefficients(observed, m, True, _of_kind(error, ADDITIVE), w, work, squares)
    elif usual and error.kind == PROPORTIONAL:
        _coefficients(observed, m, True, _of_kind(error, PROPORTIONAL), w, work, squares)
    else:
        _coefficients(observed, m, False, error, w, work, squares)


@njit(nogil=True, cache=True, fastmath=SUMS, error_model="numpy", forceinline=True)
def _coefficients(observed, m, known, error, w, work, squares):
    y = observed.y[m]
    aa, ab, bb, pa, pb, pp, ra, rb, rr = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(len(w)):
        f = work[F + k]
        plain = sd_of(error, f)
        counts = (abs(f) < math.inf) & (plain > 0.0) & (w[k] > 0.0)  # no branches: loops of vectors
        sd = work[FACTOR + k] * plain if counts else 1.0
        _, surplus, _, _, ss = known_pulls(y, f, sd) if known else pulls_of(observed, m, f, sd)
        ss = ss * w[k] if counts else 0.0
        slope_a, slope_b = log_slopes_of(error, f)
        slope_a, slope_b = (slope_a if counts else 0.0), (slope_b if counts else 0.0)
        surplus = surplus if counts else 0.0
        work[PULLS + k] += surplus * slope_a
        work[PULLS + 1 * RUN + k] += surplus * slope_b
        aa += ss * slope_a * slope_a
        ab += ss * slope_a * slope_b
        bb += ss * slope_b * slope_b
        if error.wide and counts:
            slope_p, slope_r = other_slopes_of(error, f, plain, slope_b)
            work[PULLS + 2 * RUN + k] += surplus * slope_p
            work[PULLS + 3 * RUN + k] += surplus * slope_r
            pa += ss * slope_p * slope_a
            pb += ss * slope_p * slope_b
            pp += ss * slope_p * slope_p
            ra += ss * slope_r * slope_a
            rb += ss * slope_r * slope_b
            rr += ss * slope_r * slope_r
    squares[0, 0] += aa
    squares[1, 0] += ab
    squares[1, 1] += bb
    squares[2, 0] += pa
    squares[2, 1] += pb
    squares[2, 2] += pp
    squares[3, 0] += ra
    squares[3, 1] += rb
    squares[3, 3] += rr


@njit(nogil=True, cache=True, fastmath=SUMS, error_model="numpy")
def _slopes(observed, m, error, w, work):
    """Slope of log p in the prediction, which also moves the residual error; its weighted expected information."""
    for k in range(len(w)):
        f = work[F + k]
        plain = sd_of(error, f)
        counts = (abs(f) < math.inf) & (plain > 0.0) & (w[k] > 0.0)  # no branches: loops of vectors
        sd = work[FACTOR + k] * plain if counts else 1.0
        pull, surplus, ff, fs, ss = pulls_of(observed, m, f, sd)
        relative = relative_slope_of(error, f, plain)
        work[SLOPE + k] = pull + relative * surplus if counts else 0.0
        work[INFORMATION + k] = w[k] * (ff + relative * (2.0 * fs + relative * ss)) if counts else 0.0


@njit(nogil=True, cache=True, fastmath=SUMS, error_model="numpy")
def _add_structural(jacobian, start, m, size, work, out, along):
    """Scores along the THETAs, out (s, >= k), and the lower triangle of their weighted information (s, s)."""
    for s in range(jacobian.shape[2]):
        for k in range(size):
            out[s, k] += work[SLOPE + k] * jacobian[start + k, m, s]
        for t in range(s + 1):
            total = 0.0
            for k in range(size):
                total += work[INFORMATION + k] * jacobian[start + k, m, s] * jacobian[start + k, m, t]
            along[s, t] += total
