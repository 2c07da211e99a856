"""The encoder: observations of a subject -> q(z_i | x_i) = N(mu_i, L_i L_i'), the paper's equations 5 and 6.

One LSTM layer reads the observations in time order (`lstm.py`); a linear layer turns its last hidden state and the
standardised covariates into mu and L (`gaussian_head.py`). The gradient is written out: tested against torch's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from nlmevae.data.batch import padded
from nlmevae.data.events import EventTable
from nlmevae.estimation.gaussian_head import add_derivatives, n_outputs, posteriors
from nlmevae.estimation.initial_weights import initial_weights
from nlmevae.estimation.lstm import Sequences, backward, forward
from nlmevae.estimation.posterior import Posterior
from nlmevae.threads import each, parts

SUBJECTS = 64  # that one thread takes at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderInput:
    """features (N, T, F), zero after a subject's last observation; last (N,) index of that observation
    (0 for a subject without any); covariates (N, C). All standardised."""

    features: np.ndarray
    last: np.ndarray
    covariates: np.ndarray


def encoder_input(
    table: EventTable,
    covariate_names: Sequence[str],
    deviation: np.ndarray | None = None,
    *,
    extra: np.ndarray | None = None,
) -> EncoderInput:
    """What the network reads of each observation; covariates are those of the first record, and `extra` (N, E).

    Published: t / t_max and the standardised DV, to which the dose history is added here when a subject
    has several doses, and the endpoint when there are several. `deviation` (M,), observation minus the
    typical prediction, makes the network learn faster; the dose history then always belongs to it.
    """
    observations = padded(table)
    several = deviation is not None or _most_doses(table) > 1
    columns = [observations.features if several else observations.features[:, :, :2]]
    more = [table.ob_cmt == compartment for compartment in np.unique(table.ob_cmt)[1:]]
    if table.ob_endpoint is not None:
        more += [table.ob_endpoint == e for e in np.unique(table.ob_endpoint)[1:]]
    more += [] if deviation is None else [_unit_spread(deviation)]
    for values in more:
        column = np.zeros((*observations.mask.shape, 1))
        column[observations.mask, 0] = values
        columns.append(column)
    baseline = table.cov[table.cov_ptr[:-1]]
    chosen = baseline[:, [table.covariate_names.index(name) for name in covariate_names]]
    if extra is not None:
        chosen = np.concatenate([chosen, extra], axis=1)
    spread = chosen.std(axis=0)
    return EncoderInput(
        features=np.concatenate(columns, axis=2),
        last=np.maximum(np.diff(table.ob_ptr) - 1, 0),
        covariates=(chosen - chosen.mean(axis=0)) / np.where(spread > 0, spread, 1.0),
    )


def _most_doses(table: EventTable) -> int:
    """Of one subject."""
    before = np.concatenate([[0], np.cumsum(table.ev_is_dose)])
    return int(np.diff(before[table.ev_ptr]).max(initial=0))


def _unit_spread(values: np.ndarray) -> np.ndarray:
    finite = np.where(np.isfinite(values), values, 0.0)
    spread = finite.std()
    return finite / spread if spread > 0 else finite


class Encoder:
    """Args:
    inputs: what the network reads.
    start: (N, d) mean of z before training.
    scale: (d,) size of one unit of each latent; the network works in these units.
    hidden: size of the LSTM's state.
    sd0: standard deviation of q before training, in units of `scale`.
    seed: of the initial weights.

    `weights` (n,) float32 are those of `initial_weights` one after the other: an optimiser changes them in place.
    """

    def __init__(
        self, inputs: EncoderInput, start: np.ndarray, *, scale: np.ndarray, hidden: int, sd0: float, seed: int
    ) -> None:
        d = start.shape[1]
        self.start, self.scale = np.ascontiguousarray(start, dtype=float), np.ascontiguousarray(scale, dtype=float)
        self._covariates = np.ascontiguousarray(inputs.covariates, dtype=np.float32)
        n_covariates = self._covariates.shape[1]
        first = initial_weights(inputs.features.shape[2], hidden, n_covariates, n_outputs(d), seed=seed)
        first[-1][d : 2 * d] = math.log(sd0)
        self.weights = np.concatenate([w.ravel() for w in first])
        self._shapes = [w.shape for w in first]
        self._layers = Layers.of(self.weights, self._shapes)
        self.read(inputs.features, inputs.last)

    def read(self, features: np.ndarray, last: np.ndarray) -> None:
        """Other observations of the same subjects: as in `EncoderInput`."""
        hidden = self._layers.recurrent.shape[1]
        self._parts = [Sequences.of(features, last + 1, part, hidden) for part in parts(len(features), SUBJECTS)]

    def posterior(self) -> Posterior:
        """q for all subjects."""
        n, d = self.start.shape
        loc, tril = np.empty((n, d)), np.zeros((n, d, d))

        def fill(part: Sequences) -> None:
            _posterior(part, self._layers, self._covariates, self.start, self.scale, loc, tril)

        each(fill, self._parts)
        ok = np.isfinite(loc).all(axis=1) & np.isfinite(tril).all(axis=(1, 2))
        return Posterior(mean=loc, chol=tril, kind="encoder", ok=ok)

    def gradient(self, q: Posterior, by_loc: np.ndarray, by_tril: np.ndarray) -> np.ndarray:
        """(n,) derivatives with respect to `weights`, from those with respect to the mean (N, d) and the factor
        (N, d, d) of q, which is that of the last call of `posterior`, for once."""

        def of(part: Sequences) -> np.ndarray:
            gradient = np.zeros_like(self.weights)
            by_layers = Layers.of(gradient, self._shapes)
            _add_gradient(part, self._layers, self._covariates, self.scale, q.chol, by_loc, by_tril, by_layers)
            return gradient

        found = each(of, self._parts)
        return sum(found[1:], found[0])


class Layers(NamedTuple):
    """Weights, or derivatives with respect to them: input (4 H, F), recurrent (4 H, H) and two biases (4 H,) of the
    LSTM, output (P, H + C) and output_bias (P,) of the linear layer."""

    input: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray
    recurrent_bias: np.ndarray
    output: np.ndarray
    output_bias: np.ndarray

    @classmethod
    def of(cls, flat: np.ndarray, shapes: list[tuple[int, ...]]) -> Layers:
        """Views of one vector."""
        views, place = [], 0
        for shape in shapes:
            size = math.prod(shape)
            views.append(flat[place : place + size].reshape(shape))
            place += size
        return cls(*views)


@njit(nogil=True, cache=True)
def _posterior(sequences, layers, covariates, start, scale, loc, tril):
    """Fills loc and tril of some subjects."""
    forward(sequences, _combined(layers), layers.bias + layers.recurrent_bias)
    output = layers.output, layers.output_bias
    posteriors(sequences.final, sequences.order, covariates, *output, start, scale, loc, tril)


@njit(nogil=True, cache=True)
def _add_gradient(sequences, layers, covariates, scale, tril, by_loc, by_tril, by_layers):
    """Some subjects' part of the gradient, added to by_layers."""
    by_states = np.zeros_like(sequences.final)
    add_derivatives(
        sequences.final, sequences.order, covariates, layers.output, scale, tril, by_loc, by_tril,
        by_states, by_layers.output, by_layers.output_bias,
    )  # fmt: skip
    combined = _combined(layers)
    by_combined = np.zeros_like(combined)
    backward(sequences, combined, by_states, by_combined, by_layers.bias)
    n_features = layers.input.shape[1]
    for j in range(len(layers.input)):
        by_layers.recurrent_bias[j] += by_layers.bias[j]
        for k in range(n_features):
            by_layers.input[j, k] += by_combined[k, j]
        for k in range(layers.recurrent.shape[1]):
            by_layers.recurrent[j, k] += by_combined[n_features + k, j]


@njit(nogil=True, cache=True)
def _combined(layers):
    """(F + H, 4 H) those of input and state, as the kernels of the LSTM want them."""
    gates, n_features = layers.input.shape
    hidden = layers.recurrent.shape[1]
    found = np.empty((n_features + hidden, gates), dtype=np.float32)
    for j in range(gates):
        for k in range(n_features):
            found[k, j] = layers.input[j, k]
        for k in range(hidden):
            found[n_features + k, j] = layers.recurrent[j, k]
    return found
