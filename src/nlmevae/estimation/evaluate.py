"""What is computed once, at the final estimates: likelihoods, conditional modes and means."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nlmevae.estimation.assemble import Estimation, Evaluation
from nlmevae.estimation.at_estimates import shared_at_estimates
from nlmevae.estimation.likelihoods import likelihoods_at, why_not
from nlmevae.estimation.problem import Problem
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.trace import Progress, share_of

#: Draws per subject of few, many and very many subjects, and of all together up to which that may be (decision 23).
USUAL_DRAWS, MANY, VERY_MANY = (4096, 1_000_000), (1024, 10_000_000), 512

#: Always computed: the exact value, and the two that cost next to nothing beside a fit.
ALWAYS = ("is", "focei", "lin")


def evaluate(
    problem: Problem, estimation: Estimation, settings: FitSettings, progress: Progress | None = None
) -> Evaluation:
    """Modes from several starts, then -2LL by importance sampling around them and by approximations at them."""
    rng = np.random.default_rng([settings.seed, 2])
    here = shared_at_estimates(
        problem, estimation.population, posteriors=estimation.posteriors, n_starts=settings.n_starts, rng=rng
    )
    n_draws = final_draws(problem.n_subjects, settings.final_draws)
    censored = bool(problem.table.censored.any())
    methods = [m for m in (*ALWAYS, *settings.likelihoods) if not why_not(m, problem.n_latents, censored=censored)]
    values = likelihoods_at(here, methods, n_draws=n_draws, rng=rng, report=_shares(progress))
    refined = next(v.refined for v in values if v.refined is not None)
    joint, mode = here.joint, refined.mode
    solution = joint.decoder.predict(joint.inputs(mode))
    with np.errstate(invalid="ignore", divide="ignore"):
        residual = (joint.y - solution.prediction) / joint.sd(solution.prediction, mode)
    residual[joint.observed.censored] = np.nan
    return Evaluation(importance=refined.importance, mode=mode, likelihoods=values, weighted_residual=residual)


def _shares(progress: Progress | None) -> Callable[[str, float], None] | None:
    """Of the methods that can take long."""
    if progress is None:
        return None
    parts = {"is": share_of(progress, "likelihood"), "gauss-hermite": share_of(progress, "quadrature")}

    def report(method: str, share: float) -> None:
        if method in parts:
            parts[method](share)

    return report


def final_draws(n_subjects: int, asked: int | None) -> int:
    """Per subject: as asked; by default fewer where many subjects average the error themselves."""
    if asked is not None:
        return asked
    few, many = (min(draws, most // max(n_subjects, 1)) for draws, most in (USUAL_DRAWS, MANY))
    return max(few, many, VERY_MANY)
