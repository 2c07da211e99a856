"""The encoder: observations of a subject -> q(z_i | x_i) = N(mu_i, L_i L_i'), the paper's equations 5 and 6.

One LSTM layer reads the observations in time order; a linear layer turns its last hidden state and the
standardised covariates into mu, log diag L and the strict lower triangle of L (section 2.2.1 and the
authors' code). The network is float32, its output float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nlmevae.data.batch import padded
from nlmevae.data.events import EventTable
from nlmevae.estimation.posterior import Posterior


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


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianPosterior:
    """N(loc, scale_tril scale_tril') for every subject: loc (N, d), scale_tril (N, d, d)."""

    loc: Tensor
    scale_tril: Tensor

    def detached(self) -> Posterior:
        """As numpy, for the M step and the polish."""
        loc, tril = self.loc.detach().numpy(), self.scale_tril.detach().numpy()
        ok = np.isfinite(loc).all(axis=1) & np.isfinite(tril).all(axis=(1, 2))
        return Posterior(mean=loc, chol=tril, kind="encoder", ok=ok)


class Encoder(nn.Module):
    """Args:
    inputs: what the network reads.
    start: (N, d) mean of z before training.
    scale: (d,) size of one unit of each latent; the network works in these units.
    hidden: size of the LSTM state.
    sd0: standard deviation of q before training, in units of `scale`.
    seed: of the initial weights; the global generator is left alone.

    `weights` (n,) and `weight_gradient` (n,) are float32 views of all weights: an optimiser changes
    them in place.
    """

    def __init__(
        self, inputs: EncoderInput, start: np.ndarray, *, scale: np.ndarray, hidden: int, sd0: float, seed: int
    ) -> None:
        super().__init__()
        n, d = start.shape
        self.d = d
        self.register_buffer("features", torch.as_tensor(inputs.features, dtype=torch.float32))
        self.register_buffer("covariates", torch.as_tensor(inputs.covariates, dtype=torch.float32))
        self.register_buffer("start", torch.as_tensor(start, dtype=torch.float64))
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float64))
        last = torch.as_tensor(inputs.last, dtype=torch.int64)
        self.register_buffer("last", last.view(n, 1, 1).expand(n, 1, hidden))
        self.register_buffer("triangle", _triangle(d))
        self.register_buffer("zero", torch.zeros(n, 1, dtype=torch.float64))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.lstm = nn.LSTM(self.features.shape[-1], hidden, batch_first=True)
            self.linear = nn.Linear(hidden + self.covariates.shape[1], 2 * d + d * (d - 1) // 2)
            nn.init.normal_(self.linear.weight, std=1e-3)
        with torch.no_grad():
            self.linear.bias.zero_()
            self.linear.bias[d : 2 * d] = math.log(sd0)
        self.weights, self.weight_gradient = _flattened(self)

    def read(self, features: np.ndarray, last: np.ndarray) -> None:
        """Other observations of the same subjects: as in `EncoderInput`."""
        self.features = torch.as_tensor(features, dtype=torch.float32)
        index = torch.as_tensor(last, dtype=torch.int64)
        self.last = index.view(-1, 1, 1).expand(len(last), 1, self.lstm.hidden_size)

    def backward(self, q: GaussianPosterior, loc: np.ndarray, scale_tril: np.ndarray) -> np.ndarray:
        """(n,) gradient with respect to `weights`, from those with respect to q's loc and scale_tril."""
        self.weight_gradient.fill(0.0)
        # a scalar with the same gradient: handing gradients to backward() makes torch import sympy (1 s)
        along = (q.loc * torch.from_numpy(loc)).sum() + (q.scale_tril * torch.from_numpy(scale_tril)).sum()
        along.backward()
        return self.weight_gradient

    def forward(self) -> GaussianPosterior:
        """q for all subjects."""
        states, _ = self.lstm(self.features)
        # padding follows the observations, so it cannot change the state at the last of them
        final = states.gather(1, self.last).squeeze(1)
        out = self.linear(torch.cat([final, self.covariates], dim=1)).double()
        d = self.d
        entries = torch.cat([out[:, d : 2 * d].exp(), out[:, 2 * d :], self.zero], dim=1)
        unit_tril = entries.index_select(1, self.triangle).view(-1, d, d)
        return GaussianPosterior(
            loc=self.start + self.scale * out[:, :d], scale_tril=self.scale.unsqueeze(-1) * unit_tril
        )


def _flattened(module: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    """All parameters and their gradients, moved into one vector each."""
    parameters = list(module.parameters())
    values = torch.cat([p.detach().reshape(-1) for p in parameters])
    gradients = torch.zeros_like(values)
    sizes = [p.numel() for p in parameters]
    for parameter, value, gradient in zip(parameters, values.split(sizes), gradients.split(sizes), strict=True):
        parameter.data = value.view_as(parameter)
        parameter.grad = gradient.view_as(parameter)
    return values.numpy(), gradients.numpy()


def _triangle(d: int) -> Tensor:
    """(d * d,) where each element of L stands in [diagonal, strict lower triangle row by row, 0]."""
    index = np.full((d, d), d + d * (d - 1) // 2)
    index[np.arange(d), np.arange(d)] = np.arange(d)
    index[np.tril_indices(d, -1)] = d + np.arange(d * (d - 1) // 2)
    return torch.as_tensor(index.ravel())
