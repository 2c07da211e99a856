"""One LSTM layer (Hochreiter and Schmidhuber 1997, with forget gates) over the observations of several subjects,
forward and backward, as compiled kernels: small networks on few subjects cost microseconds, not the milliseconds that
a framework's calls take.

    a = W [x_t, h_(t-1)] + bias     i, f, o = sigmoid(a_i, a_f, a_o)     g = tanh(a_g)
    c_t = f c_(t-1) + i g           h_t = o tanh(c_t)

Subjects stand in order of falling length, their observations step by step: rows of step t are those of the subjects
that have more than t observations, so nothing is computed for padding. Numbers are float32. Sums are taken in an order
of their own, which neither BLAS nor threads can change.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

#: Sums may be reordered into vector instructions; what is not finite stays so.
_SUMS = {"reassoc", "contract"}


class Sequences(NamedTuple):
    """n subjects with R observations in all, F features, hidden states of size H.

    order (n,) their numbers, longest first; start (T + 1,) first row of each step; inputs (R, F + H) features and
    hidden state before; gates (R, 4 H) i, f, g, o, after `backward` the derivatives of a; cells (R, H); squashed
    (R, H) tanh of the cells; final (n, H) hidden state after each subject's last observation.
    """

    order: np.ndarray
    start: np.ndarray
    inputs: np.ndarray
    gates: np.ndarray
    cells: np.ndarray
    squashed: np.ndarray
    final: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, lengths: np.ndarray, subjects: slice, hidden: int) -> Sequences:
        """Of some subjects, from features (N, T, F) of all and their numbers of observations (N,), 1 at least."""
        order = subjects.start + np.argsort(-lengths[subjects], kind="stable")
        step, slot = np.nonzero(np.arange(lengths[order[0]])[:, None] < lengths[order])
        n, rows, n_features = len(order), len(step), features.shape[2]
        inputs = np.zeros((rows, n_features + hidden), dtype=np.float32)
        inputs[:, :n_features] = features[order[slot], step]
        return cls(
            order=order,
            start=np.searchsorted(step, np.arange(step[-1] + 2)),
            inputs=inputs,
            gates=np.empty((rows, 4 * hidden), dtype=np.float32),
            cells=np.empty((rows, hidden), dtype=np.float32),
            squashed=np.empty((rows, hidden), dtype=np.float32),
            final=np.empty((n, hidden), dtype=np.float32),
        )


@njit(nogil=True, cache=True, fastmath=_SUMS, error_model="numpy")
def forward(sequences, weights, bias):
    """Fills all but order, start and features. weights (F + H, 4 H), bias (4 H,)."""
    start, inputs, gates, hidden = sequences.start, sequences.inputs, sequences.gates, sequences.final.shape[1]
    n_features = inputs.shape[1] - hidden
    for t in range(len(start) - 1):
        _add_product(inputs[start[t] : start[t + 1]], weights, bias, gates[start[t] : start[t + 1]])
        below = start[t + 2] - start[t + 1] if t + 2 < len(start) else 0
        for row in range(start[t], start[t + 1]):
            slot, gate, cell, squashed = row - start[t], gates[row], sequences.cells[row], sequences.squashed[row]
            _squash(gate, hidden)
            for k in range(hidden):
                cell[k] = gate[k] * gate[2 * hidden + k]
            if t > 0:
                before = sequences.cells[start[t - 1] + slot]
                for k in range(hidden):
                    cell[k] += gate[hidden + k] * before[k]
            after = inputs[start[t + 1] + slot, n_features:] if slot < below else sequences.final[slot]
            for k in range(hidden):
                squashed[k] = tanh(cell[k])
            for k in range(hidden):
                after[k] = gate[3 * hidden + k] * squashed[k]


@njit(nogil=True, cache=True, fastmath=_SUMS, error_model="numpy")
def backward(sequences, weights, by_final, by_weights, by_bias):
    """Adds to by_weights (F + H, 4 H) and by_bias (4 H,) the derivatives of what has derivatives by_final (n, H) with
    respect to the final states; after `forward`, once. by_final is used up."""
    start, inputs, gates, hidden = sequences.start, sequences.inputs, sequences.gates, by_final.shape[1]
    n_features = inputs.shape[1] - hidden
    by_hidden, by_cell = by_final, np.zeros_like(by_final)
    one = np.float32(1.0)
    for t in range(len(start) - 2, -1, -1):
        for row in range(start[t], start[t + 1]):
            slot, gate, squashed = row - start[t], gates[row], sequences.squashed[row]
            of_cell, of_hidden = by_cell[slot], by_hidden[slot]
            before = sequences.cells[start[t - 1] + slot if t > 0 else row]
            known = one if t > 0 else np.float32(0.0)
            for k in range(hidden):
                i, f, g, o = gate[k], gate[hidden + k], gate[2 * hidden + k], gate[3 * hidden + k]
                c = of_cell[k] + of_hidden[k] * o * (one - squashed[k] * squashed[k])
                gate[3 * hidden + k] = of_hidden[k] * squashed[k] * o * (one - o)
                gate[k] = c * g * i * (one - i)
                gate[hidden + k] = c * known * before[k] * f * (one - f)
                gate[2 * hidden + k] = c * i * (one - g * g)
                of_cell[k] = c * f
            if t > 0:
                _product_with_transposed(gate, weights[n_features:], of_hidden)
    _add_outer_products(inputs, gates, by_weights)
    for row in range(len(gates)):
        by_bias += gates[row]


@njit(nogil=True, cache=True, fastmath=_SUMS, error_model="numpy", inline="always")
def tanh(x):
    """To 3 units in the last place of float32: the rational function of Eigen 3.4 (`generic_fast_tanh_float`), which
    loops can compute by vector instructions. What is not a number stays so."""
    x = np.float32(7.90531110763549805) if x > np.float32(7.90531110763549805) else x
    x = np.float32(-7.90531110763549805) if x < np.float32(-7.90531110763549805) else x
    y = x * x
    p = y * np.float32(-2.76076847742355e-16) + np.float32(2.00018790482477e-13)
    p = y * p + np.float32(-8.60467152213735e-11)
    p = y * p + np.float32(5.12229709037114e-08)
    p = y * p + np.float32(1.48572235717979e-05)
    p = y * p + np.float32(6.37261928875436e-04)
    p = y * p + np.float32(4.89352455891786e-03)
    q = y * np.float32(1.19825839466702e-06) + np.float32(1.18534705686654e-04)
    q = y * q + np.float32(2.26843463243900e-03)
    q = y * q + np.float32(4.89352518554385e-03)
    return x * p / q


@njit(nogil=True, cache=True, fastmath=_SUMS, error_model="numpy")
def _squash(gate, hidden):
    """(4 H,) a to i, f, g, o in place; sigmoid(a) = (1 + tanh(a / 2)) / 2."""
    for k in range(4 * hidden):
        share = np.float32(1.0) if 2 * hidden <= k < 3 * hidden else np.float32(0.5)
        gate[k] = (np.float32(1.0) - share) + share * tanh(share * gate[k])


@njit(nogil=True, cache=True, fastmath=_SUMS, error_model="numpy")
def _add_product(left, right, bias, out):
    """out (r, m) = left (r, k) right (k, m) + bias (m,)."""
    inner = left.shape[1]
    for row in range(len(left)):
        total = out[row]
        for j in range(len(bias)):
            total[j] = bias[j]
        k = 0
        while k + 4 <= inner:  # each number of `total` is read and written once for four products
            a, b, c, d = left[row, k], left[row, k + 1], left[row, k + 2], left[row, k + 3]
            for j in range(len(bias)):
                total[j] += a * right[k, j] + b * right[k + 1, j] + c * right[k + 2, j] + d * right[k + 3, j]
            k += 4
        for rest in range(k, inner):
            a = left[row, rest]
            for j in range(len(bias)):
                total[j] += a * right[rest, j]


@njit(nogil=True, cache=True, fastmath=_SUMS, error_model="numpy")
def _product_with_transposed(left, right, out):
    """out (h,) = right (h, m) left (m,)."""
    zero = np.float32(0.0)
    h = len(out)
    k = 0
    while k + 4 <= h:
        a, b, c, d = zero, zero, zero, zero
        for j in range(len(left)):
            a += right[k, j] * left[j]
            b += right[k + 1, j] * left[j]
            c += right[k + 2, j] * left[j]
            d += right[k + 3, j] * left[j]
        out[k], out[k + 1], out[k + 2], out[k + 3] = a, b, c, d
        k += 4
    for rest in range(k, h):
        a = zero
        for j in range(len(left)):
            a += right[rest, j] * left[j]
        out[rest] = a


@njit(nogil=True, cache=True, fastmath=_SUMS, error_model="numpy")
def _add_outer_products(left, right, out):
    """out (k, m) += left' right with left (r, k), right (r, m)."""
    rows, inner = left.shape
    row = 0
    while row + 4 <= rows:
        p, q, r, s = right[row], right[row + 1], right[row + 2], right[row + 3]
        for k in range(inner):
            a, b, c, d = left[row, k], left[row + 1, k], left[row + 2, k], left[row + 3, k]
            total = out[k]
            for j in range(len(p)):
                total[j] += a * p[j] + b * q[j] + c * r[j] + d * s[j]
        row += 4
    for rest in range(row, rows):
        for k in range(inner):
            a = left[rest, k]
            for j in range(right.shape[1]):
                out[k, j] += a * right[rest, j]
