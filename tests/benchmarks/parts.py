"""The parts of an estimation, ready to be timed one at a time."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from nlmevae.codegen.latent_form import LatentForm, latent_form
from nlmevae.data.events import EventTable
from nlmevae.decoder.make import make_decoder
from nlmevae.decoder.ode_torch import TorchodeDecoder
from nlmevae.estimation.polish import polish
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.estimation.refine import search_modes
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.trace import ProgressEvent
from nlmevae.estimation.vae import run_vae
from nlmevae.likelihood.joint import JointDensity
from nlmevae.pipeline import prepare

#: Of the published algorithm's integrator.
RTOL = 1e-6
FEW = 200  # subjects: with more, what happens only once does not matter


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A model met with its data, before it is estimated."""

    form: LatentForm
    table: EventTable
    problem: Problem

    def torchode_step(self, *, draws: int = 1) -> Callable[[], None]:
        """What a gradient step is without our decoders: torchode forward and backward through its steps, all draws of
        all subjects at once, at a tolerance of 1e-6. The tensors live as long as the function."""
        decoder, rows, x = self._torchode(draws)

        def step() -> None:
            leaf = torch.tensor(x, requires_grad=True)
            decoder.decode(leaf, rows).sum().backward()

        return step

    def torchode_predictions(self, *, draws: int = 1) -> Callable[[], None]:
        """Forward only."""
        decoder, rows, x = self._torchode(draws)
        return lambda: decoder.predict(x, rows)

    def _torchode(self, draws: int) -> tuple[TorchodeDecoder, np.ndarray, np.ndarray]:
        rows = np.tile(np.arange(self.table.n_subjects, dtype=np.int32), draws)
        x = np.concatenate([self.inputs(seed=k) for k in range(draws)])
        return TorchodeDecoder(self.form, self.table, rtol=RTOL), rows, x

    def inputs(self, *, seed: int = 1) -> np.ndarray:
        """(N, n_inputs) decoder input, individual parameters drawn at the initial estimates."""
        joint = self.problem.joint(self.problem.initial)
        noise = np.random.default_rng(seed).standard_normal(joint.mean.shape)
        return joint.inputs(joint.mean + 0.5 * noise @ np.linalg.cholesky(joint.omega).T)


@contextlib.contextmanager
def parts_of(path: Path, *, backend: str = "auto", rtol: float | None = None) -> Iterator[Parts]:
    """Of one control stream or project."""
    run = prepare(path)
    form = latent_form(run.model, run.table)
    decoder = make_decoder(form, run.table, backend=backend, rtol=rtol)
    try:
        yield Parts(form=form, table=run.table, problem=make_problem(run.model, form, run.table, decoder))
    finally:
        decoder.close()


@dataclass(slots=True)
class Laps:
    """Processor time at every reported iteration, by phase."""

    times: dict[str, list[float]] = field(default_factory=dict)
    last: float = field(default_factory=time.process_time)

    def __call__(self, event: ProgressEvent) -> None:
        now = time.process_time()
        self.times.setdefault(event.row.phase, []).append(now - self.last)
        self.last = now

    def median(self, phase: str) -> float:
        """Seconds of one iteration, without the first, which compiles and allocates."""
        found = self.times[phase]
        return statistics.median(found[1:] or found)


def gradient_step_seconds(problem: Problem, *, method: str = "vae", iterations: int = 8) -> float:
    """Of one Adam step with its share of the M step, in training."""
    laps, settings = Laps(), FitSettings(method=method, burn_in_iterations=1, training_iterations=iterations)
    run_vae(problem, settings, laps)
    return laps.median("vae") / settings.steps


def polish_iteration_seconds(problem: Problem, *, n_draws: int = 256) -> float:
    """Of one iteration of importance-sampling EM, from the initial estimates: the first of a polish, for few subjects
    of a second one. Later ones of a polish may take more draws, to test convergence."""
    settings = FitSettings(n_draws=n_draws, max_outer=1, its_iterations=1, n_alternatives=0, pool=1)
    for _ in range(2 if problem.n_subjects <= FEW else 1):
        laps = Laps()
        polish(problem, problem.initial, None, settings, np.random.default_rng(1), laps)
    return laps.times["polish"][0]


def laplace(joint: JointDensity) -> tuple[np.ndarray, np.ndarray]:
    """Conditional modes (N, d), and the lower factor (N, d, d) of the covariance of the Laplace approximation there."""
    modes, _ = search_modes(joint, [joint.mean])
    return modes.mean, modes.chol
