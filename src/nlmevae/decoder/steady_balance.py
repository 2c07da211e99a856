"""The steady state of a constant infusion, where amounts do not change: f(y, p) + r = 0, by Newton's method.

dy/dx = -J^-1 (f_p dp/dx + dr/dx)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.codegen.batch_llvm import BatchFunction, link_batch
from nlmevae.codegen.latent_form import LatentForm
from nlmevae.decoder.steady_flow import Flow

_MOST_ITERATIONS = 30
#: Newton's correction, relative to the amounts, after which the next one is below rounding: it is squared.
_SMALL_CORRECTION = 1e-9
#: Time the amounts are carried on before Newton's method is tried again: 1, 2, 4 ... so often.
_SPANS = 14


@dataclass(slots=True)
class _Point:
    """Slopes (P, n), their derivatives by the amounts (P, n, n) and by the inputs (P, n, n_inputs)."""

    slope: np.ndarray
    by_amount: np.ndarray
    by_input: np.ndarray


class Balance:
    """Solves f(y, p(x)) + r = 0 for many x at once."""

    def __init__(self, form: LatentForm, flow: Flow) -> None:
        self._n, self._flow = form.n_compartments, flow
        self._individual = link_batch(form.individual, form.input_names)
        amounts = tuple(f"A({c + 1})" for c in range(self._n))
        self._rhs = link_batch(form.rhs, (*amounts, *form.parameters))
        self._n_inputs, self._n_parameters = form.n_inputs, len(form.parameters)

    def close(self) -> None:
        self._individual.close()
        self._rhs.close()

    def solve(
        self,
        x: np.ndarray,
        covariates: np.ndarray,
        event: np.ndarray,
        source: tuple[np.ndarray, np.ndarray, np.ndarray],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Amounts (P, n), NaN where there is no steady state, and their derivatives (P, n, n_inputs).

        Args:
            x (P, n_inputs), covariates (P, n_cov), event (P,) index for the flow.
            source: rate (P,), its derivatives (P, n_inputs), and where it goes (P, n), 1 in one compartment.
        """
        rate, d_rate, into = source
        values, entries = self._individual(np.vstack([x.T, covariates.T]))
        slopes = _dense(self._individual, entries, (self._n_parameters, self._n_inputs))
        y, derivative = np.full((len(x), self._n), np.nan), np.zeros((len(x), self._n, self._n_inputs))
        open_, start, span = np.arange(len(x)), np.zeros((len(x), self._n)), 1.0
        for _ in range(_SPANS):
            found, good = self._newton(start[open_], values[:, open_], slopes[open_], (rate[open_, None] * into[open_]))
            done = open_[good]
            if len(done):
                y[done] = found[good]
                at = self._at(y[done], values[:, done], slopes[done], rate[done, None] * into[done])
                right = at.by_input + into[done, :, None] * d_rate[done, None, :]
                derivative[done] = -np.linalg.solve(at.by_amount, right)
            open_ = open_[~good]
            if not len(open_):
                break
            inputs = np.column_stack([x[open_], start[open_], rate[open_], np.full(len(open_), span)])
            start[open_] = self._flow.carry(inputs, event[open_])[0]
            open_ = open_[np.isfinite(start[open_]).all(axis=1)]
            span *= 2.0
        return y, derivative

    def _newton(
        self, y: np.ndarray, values: np.ndarray, slopes: np.ndarray, source: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Amounts, and (P,) bool where they are a steady state the model goes to: all eigenvalues of J negative, and
        no amount negative that was not."""
        positive = (y >= 0).all(axis=1)
        good = np.zeros(len(y), dtype=bool)
        for _ in range(_MOST_ITERATIONS):
            at = self._at(y, values, slopes, source)
            step = -_solve(at.by_amount, at.slope)
            size = np.abs(y + step)
            scale = size + 1e-9 * size.max(axis=1, keepdims=True)
            settled = (np.abs(step) <= _SMALL_CORRECTION * scale).all(axis=1) & np.isfinite(step).all(axis=1)
            stable = np.zeros(len(y), dtype=bool)
            if settled.any():
                stable[settled] = np.linalg.eigvals(at.by_amount[settled]).real.max(axis=1) < 0
            good = settled & stable & ~(positive & (y + step < -1e-12 * scale).any(axis=1))
            y = y + step
            if (settled | ~np.isfinite(step).all(axis=1)).all():
                break
        return y, good

    def _at(self, y: np.ndarray, values: np.ndarray, slopes: np.ndarray, source: np.ndarray) -> _Point:
        columns = np.vstack([np.zeros((1, len(y))), y.T, values])
        slope, entries = self._rhs(columns)
        derivative = _dense(self._rhs, entries, (self._n, self._n + self._n_parameters))
        by_input = derivative[:, :, self._n :] @ slopes
        return _Point(slope.T + source, derivative[:, :, : self._n], by_input)


def _dense(function: BatchFunction, entries: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(P, *shape) of the sparse derivatives of a batch."""
    full = np.zeros((entries.shape[1], *shape))
    for (i, k), entry in zip(function.pattern, entries, strict=True):
        full[:, i, k] = entry
    return full


def _solve(matrix: np.ndarray, side: np.ndarray) -> np.ndarray:
    """(P, n); NaN where there is no inverse."""
    result = np.full(side.shape, np.nan)
    usable = np.isfinite(matrix).all(axis=(1, 2)) & np.isfinite(side).all(axis=1)
    usable[usable] = np.abs(np.linalg.det(matrix[usable])) > 0
    result[usable] = np.linalg.solve(matrix[usable], side[usable][:, :, None])[:, :, 0]
    return result
