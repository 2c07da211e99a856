"""The encoder forward and backward with its Adam step, beside the same network in plain torch.

The reference is what the paper describes: LSTM and linear layer, lower-triangular scale filled from the output,
automatic differentiation, torch's Adam. Ours are compiled kernels with the derivatives written out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from nlmevae.estimation.adam import Adam
from nlmevae.estimation.encoder import Encoder, EncoderInput, encoder_input
from tests.benchmarks.measurement import Figure, beside
from tests.benchmarks.parts import parts_of
from tests.benchmarks.populations import Design, made_up

HIDDEN, SD0, RATE = 25, 0.1, 5e-3


def measure(scale: str) -> Iterator[Figure]:
    torch.set_num_threads(1)
    subjects = {"tiny": (5,), "quick": (12, 200, 2000), "full": (12, 100, 1000, 10_000)}[scale]
    observations = {"tiny": (), "quick": (40,), "full": (20, 40, 80)}[scale]
    effects = {"tiny": (), "quick": (6,), "full": (1, 5, 7)}[scale]
    designs = [
        *(Design(n_subjects=n) for n in subjects),
        *(Design(n_subjects=200, n_observations=n) for n in observations),
        *(Design(n_subjects=200, n_random=n) for n in effects),
    ]
    with tempfile.TemporaryDirectory() as name:
        for design in designs:
            with parts_of(made_up(design, Path(name))) as parts:
                start = parts.problem.mean.mean(parts.problem.initial.thetas)
                inputs = encoder_input(parts.table, ())
            own, theirs = beside(_own(inputs, start), _plain(inputs, start), budget=0.1 if scale == "tiny" else 1.0)
            yield Figure(
                name="encoder step", seconds=own, reference="plain torch and torch's Adam", reference_seconds=theirs,
                at={"N": design.n_subjects, "observations": design.n_observations, "random effects": design.n_random},
            )  # fmt: skip


def _own(inputs: EncoderInput, start: np.ndarray) -> Callable[[], None]:
    encoder = Encoder(inputs, start, scale=np.ones(start.shape[1]), hidden=HIDDEN, sd0=SD0, seed=1)
    optimiser = Adam(encoder.weights, RATE)

    def step() -> None:
        q = encoder.posterior()
        optimiser.step(encoder.gradient(q, q.mean - start, q.chol))

    return step


class _Plain(nn.Module):
    """features (N, T, F) -> loc (N, d), scale_tril (N, d, d)."""

    def __init__(self, inputs: EncoderInput, start: np.ndarray) -> None:
        super().__init__()
        self.d = start.shape[1]
        self.features = torch.as_tensor(inputs.features, dtype=torch.float32)
        self.covariates = torch.as_tensor(inputs.covariates, dtype=torch.float32)
        self.last = torch.as_tensor(inputs.last, dtype=torch.int64)
        self.start = torch.as_tensor(start)
        self.lstm = nn.LSTM(self.features.shape[-1], HIDDEN, batch_first=True)
        d = self.d
        self.linear = nn.Linear(HIDDEN + self.covariates.shape[1], 2 * d + d * (d - 1) // 2)

    def forward(self) -> tuple[Tensor, Tensor]:
        states, _ = self.lstm(self.features)
        final = states[torch.arange(len(states)), self.last]
        out, d = self.linear(torch.cat([final, self.covariates], dim=1)).double(), self.d
        tril = torch.diag_embed(out[:, d : 2 * d].exp())
        row, column = torch.tril_indices(d, d, -1)
        tril[:, row, column] = out[:, 2 * d :]
        return self.start + out[:, :d], tril


def _plain(inputs: EncoderInput, start: np.ndarray) -> Callable[[], None]:
    network = _Plain(inputs, start)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)

    def step() -> None:
        optimiser.zero_grad()
        loc, tril = network()
        (((loc - network.start) ** 2).sum() / 2 + (tril**2).sum() / 2).backward()
        optimiser.step()

    return step
