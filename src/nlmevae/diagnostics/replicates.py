"""Simulated data sets of one design: random effects, predictions and residual errors, replicate by replicate.

Every replicate has a random generator of its own, seeded by (seed, number): its numbers depend neither on how many
replicates are computed together nor on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from nlmevae.likelihood.joint import JointDensity

#: Told (what is being done, done, total).
Steps = Callable[[str, int, int], None]

#: Predictions per call of the decoder: enough to keep it busy, small enough for the memory.
_PREDICTIONS_AT_ONCE = 500_000
#: Random numbers of simulations are apart from those of the fit, which uses [seed, 0], [seed, 1] and [seed, 2].
_STREAM = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicate:
    """One simulated data set: z (N, d); prediction (M,) given z; y (M,) with residual error, where it was asked for."""

    number: int
    z: np.ndarray
    prediction: np.ndarray
    y: np.ndarray


def replicate_generator(seed: int, number: int) -> np.random.Generator:
    """The generator of one replicate."""
    return np.random.default_rng([seed, _STREAM, number])


def replicates(
    joint: JointDensity,
    n: int,
    *,
    seed: int,
    first: int = 0,
    random_effects: bool = True,
    residual_error: bool = True,
) -> Iterator[Replicate]:
    """`n` replicates from number `first` on. NaN where a prediction failed."""
    at_once = max(1, _PREDICTIONS_AT_ONCE // max(1, len(joint.y), joint.n_subjects))
    factor = np.linalg.cholesky(joint.omega).T
    for start in range(first, first + n, at_once):
        numbers = range(start, min(start + at_once, first + n))
        generators = [replicate_generator(seed, number) for number in numbers]
        white = np.stack([rng.standard_normal(joint.mean.shape) for rng in generators])
        z = joint.mean + (white @ factor if random_effects else 0.0 * white)
        prediction = joint.predict(z)
        for k, (number, rng) in enumerate(zip(numbers, generators, strict=True)):
            y = joint.simulate(z[k], prediction[k], rng) if residual_error else prediction[k]
            yield Replicate(number=number, z=z[k], prediction=prediction[k], y=y)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedObservations:
    """y (K, M): K simulated values of every observation; NaN where a prediction failed."""

    y: np.ndarray

    @property
    def n_failed(self) -> int:
        """Replicates that have a value missing."""
        return int(np.isnan(self.y).any(axis=1).sum())


def simulate_observations(
    joint: JointDensity, n: int, *, seed: int, steps: Steps | None = None
) -> SimulatedObservations:
    """`n` simulated data sets with the design of the data."""
    y = np.empty((n, len(joint.y)))
    for replicate in replicates(joint, n, seed=seed):
        y[replicate.number] = replicate.y
        if steps is not None:
            steps("simulating", replicate.number + 1, n)
    return SimulatedObservations(y=y)
