"""A model with its data at fixed population parameters: where everything computed after a fit starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlmevae.estimation.guards import latent_scale
from nlmevae.estimation.population import Population
from nlmevae.estimation.posterior import Posterior
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.refine import Modes, best_start, find_modes, prior_candidates
from nlmevae.likelihood.joint import JointDensity

MODE_ITERATIONS, MODE_TOLERANCE = 50, 1e-8
N_STARTS = 32  # draws of the prior among which every mode search starts


@dataclass(frozen=True, slots=True, kw_only=True)
class AtEstimates:
    """`modes`: argmax of p(z | y_i) for all subjects, from several starts."""

    problem: Problem
    population: Population
    joint: JointDensity
    modes: Modes

    @property
    def mode(self) -> np.ndarray:
        """(N, d) conditional modes; the prior mean where none was found."""
        return np.where(self.modes.ok[:, None], self.modes.mean, self.joint.mean)

    @property
    def eta_mode(self) -> np.ndarray:
        """(N, d) conditional modes of the random effects."""
        return self.mode - self.joint.mean


def at_estimates(
    problem: Problem,
    population: Population,
    *,
    posteriors: Sequence[Posterior] = (),
    n_starts: int = N_STARTS,
    rng: np.random.Generator,
) -> AtEstimates:
    """Find the conditional modes at `population`; `posteriors` give further starts."""
    joint = problem.joint(population)
    starts = [np.where(q.ok[:, None], q.mean, joint.mean) for q in posteriors]
    start = best_start(joint, prior_candidates(joint, starts, n_starts, rng))
    modes = find_modes(
        joint, start, scale=latent_scale(problem), max_iterations=MODE_ITERATIONS, tolerance=MODE_TOLERANCE
    )
    return AtEstimates(problem=problem, population=population, joint=joint, modes=modes)
