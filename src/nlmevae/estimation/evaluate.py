"""What is computed once, at the final estimates: likelihoods, conditional modes and means."""

from __future__ import annotations

import numpy as np

from nlmevae.estimation.assemble import Estimation, Evaluation
from nlmevae.estimation.guards import latent_scale
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.refine import best_start, find_modes, prior_candidates
from nlmevae.estimation.settings import FitSettings
from nlmevae.likelihood.importance import importance_likelihood
from nlmevae.likelihood.linearisation import linearised_minus_two_ll

USUAL_DRAWS, FEWEST_DRAWS, MOST_DRAWS = 4096, 1024, 1_000_000  # per subject twice; of all subjects together
MODE_ITERATIONS, MODE_TOLERANCE = 50, 1e-8


def evaluate(problem: Problem, estimation: Estimation, settings: FitSettings) -> Evaluation:
    """Modes from several starts, then -2LL by importance sampling around them and by linearisation."""
    rng = np.random.default_rng([settings.seed, 2])
    joint = problem.joint(estimation.population)
    starts = [np.where(q.ok[:, None], q.mean, joint.mean) for q in estimation.posteriors]
    start = best_start(joint, prior_candidates(joint, starts, settings.n_starts, rng))
    modes = find_modes(
        joint, start, scale=latent_scale(problem), max_iterations=MODE_ITERATIONS, tolerance=MODE_TOLERANCE
    )
    usable = np.where(modes.ok[:, None], modes.mean, np.nan)
    importance = importance_likelihood(joint, usable, modes.chol, n_draws=_final_draws(problem, settings), rng=rng)
    mode = np.where(modes.ok[:, None], modes.mean, importance.mean)
    solution = joint.decoder.predict(joint.inputs(mode))
    with np.errstate(invalid="ignore", divide="ignore"):
        residual = (joint.y - solution.prediction) / joint.residual.sd(solution.prediction, *joint.coefficients)
    return Evaluation(
        importance=importance,
        mode=mode,
        linearised=linearised_minus_two_ll(joint, mode),
        weighted_residual=residual,
    )


def _final_draws(problem: Problem, settings: FitSettings) -> int:
    """Per subject: as asked; by default fewer where many subjects average the error themselves."""
    if settings.final_draws is not None:
        return settings.final_draws
    return min(USUAL_DRAWS, max(FEWEST_DRAWS, MOST_DRAWS // problem.n_subjects))
