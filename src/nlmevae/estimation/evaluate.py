"""What is computed once, at the final estimates: likelihoods, conditional modes and means."""

from __future__ import annotations

import numpy as np

from nlmevae.estimation.assemble import Estimation, Evaluation
from nlmevae.estimation.at_estimates import at_estimates
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.refined_posterior import refined_posterior
from nlmevae.estimation.settings import FitSettings
from nlmevae.likelihood.linearisation import linearised_minus_two_ll

USUAL_DRAWS, FEWEST_DRAWS, MOST_DRAWS = 4096, 1024, 1_000_000  # per subject twice; of all subjects together


def evaluate(problem: Problem, estimation: Estimation, settings: FitSettings) -> Evaluation:
    """Modes from several starts, then -2LL by importance sampling around them and by linearisation."""
    rng = np.random.default_rng([settings.seed, 2])
    here = at_estimates(
        problem, estimation.population, posteriors=estimation.posteriors, n_starts=settings.n_starts, rng=rng
    )
    refined = refined_posterior(here, n_draws=_final_draws(problem, settings), rng=rng)
    joint, mode = refined.here.joint, refined.mode
    solution = joint.decoder.predict(joint.inputs(mode))
    with np.errstate(invalid="ignore", divide="ignore"):
        residual = (joint.y - solution.prediction) / joint.sd(solution.prediction, mode)
    return Evaluation(
        importance=refined.importance,
        mode=mode,
        linearised=linearised_minus_two_ll(joint, mode),
        weighted_residual=residual,
    )


def _final_draws(problem: Problem, settings: FitSettings) -> int:
    """Per subject: as asked; by default fewer where many subjects average the error themselves."""
    if settings.final_draws is not None:
        return settings.final_draws
    return min(USUAL_DRAWS, max(FEWEST_DRAWS, MOST_DRAWS // problem.n_subjects))
