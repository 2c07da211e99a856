"""A fit of other data that starts where a fit of much the same data ended: the exact finish alone, without the VAE.

The VAE finds the basin of the optimum. The estimates from which resampled or simulated data come lie in it, so the
guarded Laplace EM of the polish, which begins with widened variances, and the polish itself end at the maximum that a
whole fit finds (measured: decision 0022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.data.events import EventTable
from nlmevae.estimation.assemble import estimates_of
from nlmevae.estimation.at_estimates import at_estimates
from nlmevae.estimation.coordinates import Coordinates
from nlmevae.estimation.covariance_step import covariance_result, run_covariance_step
from nlmevae.estimation.decoders import Decoders
from nlmevae.estimation.evaluate import final_draws
from nlmevae.estimation.improve import improve
from nlmevae.estimation.information import Posteriors
from nlmevae.estimation.likelihoods import likelihoods_at
from nlmevae.estimation.polish import polish
from nlmevae.estimation.polish_outcome import PolishOutcome
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.estimation.sample import Sample, draw_batch
from nlmevae.estimation.settings import FitSettings
from nlmevae.estimation.uncertainty import CovarianceMethod
from nlmevae.ir import Model
from nlmevae.likelihood.importance import ImportanceLikelihood, mixture, weighted_moments
from nlmevae.results.fit_result import Estimate
from nlmevae.results.status import FitStatus
from nlmevae.results.uncertainty_result import UncertaintyResult

ENDED_EARLY = {FitStatus.INTERRUPTED, FitStatus.NUMERICAL_FAILURE}
CONVERGED = {FitStatus.CONVERGED, FitStatus.MONTE_CARLO_LIMITED}
SHARP_DRAWS, SHARP_TOTAL = 4096, 500_000  # per subject, of all subjects; see `_sharpened`
SHARP_NEWTON, SHARP_ROUNDS, SHARP_GAIN = 12, 3, 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmFit:
    """`minus_two_ll` by importance sampling with its Monte-Carlo error, NaN where the fit ended early;
    `uncertainty`: None where no standard errors were asked for or could be computed. `unknown`: what the
    data of the start say something about and these do not; the values of such parameters are those of the start."""

    status: FitStatus
    message: str
    population: Population
    estimates: tuple[Estimate, ...]
    n_known: int
    minus_two_ll: float = float("nan")
    mc_se: float = float("nan")
    uncertainty: UncertaintyResult | None = None
    unknown: tuple[str, ...] = ()


def warm_fit(
    model: Model,
    form: LatentForm,
    table: EventTable,
    start: Population,
    settings: FitSettings,
    *,
    known: Sequence[str] = (),
    covariance: CovarianceMethod | None = None,
) -> WarmFit:
    """The maximum of the likelihood of `table` from `start`.

    A numerical failure is a status of the result.

    Args:
        form: of the model with the data that `start` is of.
        known: what those data say something about (`acting`).
        covariance: how standard errors are computed; None: not at all.

    Raises:
        DataError: a typical value does not exist for a subject of these data.
    """
    decoders = Decoders.of(form, table, settings)
    try:
        problem = make_problem(model, form, table, decoders.exact)
        found_here = acting(problem, start)
        unknown = tuple(name for name in known if name not in found_here)
        rng = np.random.default_rng([settings.seed, 1])
        polished = replace(problem, decoder=decoders.draws)
        outcome = polish(polished, start, None, settings, rng)
        population = _sharpened(polished, outcome, settings, rng)
        found = WarmFit(
            status=outcome.status,
            message=outcome.message,
            population=population,
            estimates=estimates_of(model, problem.initial, population),
            n_known=table.n_known,
            unknown=unknown,
        )
        return found if outcome.status in ENDED_EARLY else _evaluated(problem, outcome, found, settings, covariance)
    finally:
        decoders.close()


def _sharpened(problem: Problem, outcome: PolishOutcome, settings: FitSettings, rng: np.random.Generator) -> Population:
    """The maximum of the likelihood of one large batch of fresh draws around the polish's end.

    The polish stops when the noise of its draws hides what is left to gain. That moves the estimates by a small part of
    their standard errors, but makes -2LL of two fits of the same data differ by up to .02 where a variance is nearly 0;
    after this step by .005 (measured on samples of theophylline).
    """
    population, modes = outcome.population, outcome.modes
    if not problem.n_latents or modes is None or outcome.weighted is None or outcome.status not in CONVERGED:
        return population
    n_draws = max(settings.n_draws, min(SHARP_DRAWS, SHARP_TOTAL // problem.n_subjects))
    mode = np.where(modes.ok[:, None], modes.mean, np.nan)
    moments = outcome.weighted.mean, outcome.weighted.chol @ np.swapaxes(outcome.weighted.chol, -1, -2)
    for _ in range(SHARP_ROUNDS):
        joint = problem.joint(population)
        batch = draw_batch(problem, joint, mode, mixture(joint, mode, modes.chol, moments), n_draws, rng)
        sample = Sample.of(problem, Coordinates.of(problem), batch)
        before = sample.weigh(population)
        if not np.isfinite(before.total):
            break
        moved, after = improve(sample, population, before, newton_steps=SHARP_NEWTON, bold=True)
        if not (np.isfinite(after.total) and np.isfinite(moved.vector()).all()):
            break
        population, moments = moved, weighted_moments(sample.draws(moved).z, after.weight)
        if before.total - after.total < SHARP_GAIN:
            break
    return population


def acting(problem: Problem, start: Population) -> tuple[str, ...]:
    """What the data say something about: names of estimated THETAs on which the mean of some subject or some prediction
    depends, of random effects with unknown variance that act on some subject's data, of endpoints that are observed."""
    model, joint = problem.model, problem.joint(start)
    design = problem.mean.design(start.thetas)
    on_mean = (design != 0.0).any(axis=(0, 1))
    found = [model.thetas[i].name for i, acts in zip(problem.mean.indices, on_mean, strict=True) if acts]
    if problem.structural_free.any():
        jacobian = joint.decoder.linearise(joint.inputs(joint.mean)).jacobian[:, problem.n_latents :]
        moves = problem.structural_free & (np.nan_to_num(jacobian, nan=1.0) != 0.0).any(axis=0)
        found += [model.thetas[i].name for i in problem.structural_index[moves]]
    first = _first_of_same(model)
    informed = problem.informed.any(axis=0) & np.diag(problem.omega_mask)
    found += [first[model.etas[i]] for i in problem.latent_index[informed]]
    if len(model.observations) > 1:
        seen = np.unique(problem.observed.endpoint).tolist()
        found += [f"the endpoint {model.observations[e].name}" for e in seen]
    return tuple(dict.fromkeys(found))


def _first_of_same(model: Model) -> dict[str, str]:
    """Random effect -> the one whose variance it repeats (SAME), else itself: another occasion shows it as well."""
    found: dict[str, str] = {}
    for block in model.omega:
        source = block if block.same_as is None else model.omega[block.same_as]
        found |= dict(zip(block.names, (found.get(name, name) for name in source.names), strict=True))
    return found


def _evaluated(
    problem: Problem, outcome: PolishOutcome, found: WarmFit, settings: FitSettings, method: CovarianceMethod | None
) -> WarmFit:
    """With the likelihood and, where they are asked for, the standard errors."""
    rng = np.random.default_rng([settings.seed, 2])
    posteriors = tuple(q for q in (outcome.weighted, outcome.modes) if q is not None)
    here = at_estimates(problem, found.population, posteriors=posteriors, n_starts=settings.n_starts, rng=rng)
    value = likelihoods_at(here, ["is"], n_draws=final_draws(problem.n_subjects, settings.final_draws), rng=rng)[0]
    found = replace(found, minus_two_ll=value.marginal.total, mc_se=value.marginal.total_error)
    if method is None or value.refined is None:
        return found
    known = _uncertainty(problem, found, value.refined.importance, value.refined.mode, settings, method)
    return replace(found, uncertainty=known)


def _uncertainty(
    problem: Problem,
    found: WarmFit,
    importance: ImportanceLikelihood,
    mode: np.ndarray,
    settings: FitSettings,
    method: CovarianceMethod,
) -> UncertaintyResult | None:
    """None if it cannot be computed."""
    posteriors = Posteriors(mode=mode, mean=importance.mean, cov=importance.cov)
    rng = np.random.default_rng([settings.seed, 3])
    try:
        known = run_covariance_step(problem, found.population, posteriors, method, rng)
    except np.linalg.LinAlgError:
        known = None
    if known is None:
        return None
    return covariance_result(problem, found.population, known, found.estimates, reason="")
