"""A model with its data at fixed population parameters: where everything computed after a fit starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.estimation.guards import latent_scale
from nlmevae.estimation.population import Population
from nlmevae.estimation.posterior import Posterior
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.refine import Modes, best_starts, prior_candidates, search_modes
from nlmevae.estimation.share import own_part, own_random
from nlmevae.likelihood.joint import JointDensity

MODE_ITERATIONS, MODE_TOLERANCE = 50, 1e-8
N_STARTS = 32  # draws of the prior among which every mode search starts
#: Starts from which each subject's mode is searched. Measured at fixed parameters of warfarin, whose lag time makes
#: several modes: from the best start alone 55 % of 20 runs miss one (-2LL wrong by up to 7), from two 20 %, from four
#: 5 %, from eight none.
N_CLIMBS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AtEstimates:
    """`modes`: argmax of p(z | y_i) for all subjects, from several starts; `second`: the best other mode of each, the
    same one where no other was found."""

    problem: Problem
    population: Population
    joint: JointDensity
    modes: Modes
    second: Modes

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
    """Find the conditional modes at `population`: from the prior mean, the means of `posteriors`, and the best of
    draws of the prior."""
    joint = problem.joint(population)
    known = [np.where(q.ok[:, None], q.mean, joint.mean) for q in posteriors]
    starts = [joint.mean, *known, *best_starts(joint, prior_candidates(joint, [], n_starts, rng), N_CLIMBS)]
    modes, second = search_modes(
        joint, starts, scale=latent_scale(problem), max_iterations=MODE_ITERATIONS, tolerance=MODE_TOLERANCE
    )
    return AtEstimates(problem=problem, population=population, joint=joint, modes=modes, second=second)


def shared_at_estimates(
    problem: Problem,
    population: Population,
    *,
    posteriors: Sequence[Posterior],
    n_starts: int,
    rng: np.random.Generator,
) -> AtEstimates:
    """`at_estimates`, every process climbing for its own subjects."""
    own = own_part(problem)
    if own.share is None:
        return at_estimates(problem, population, posteriors=posteriors, n_starts=n_starts, rng=rng)
    known = [q.of_subjects(own.share.own) for q in posteriors]
    here = at_estimates(own, population, posteriors=known, n_starts=n_starts, rng=own_random(own, rng))
    modes, second = (m.of_everyone(own.everyone) for m in (here.modes, here.second))
    return replace(here, problem=problem, joint=problem.joint(population), modes=modes, second=second)
