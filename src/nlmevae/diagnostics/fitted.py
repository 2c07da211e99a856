"""A model with data at the estimates of a fit, or at its initial estimates."""

from __future__ import annotations

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.events import EventTable
from nlmevae.decoder.device import CPU, is_visible
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.at_estimates import AtEstimates, at_estimates
from nlmevae.estimation.population import Population
from nlmevae.estimation.posterior import Posterior
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.ir import Model
from nlmevae.results.fit_result import FitResult


def population_at(model: Model, fit: FitResult | None) -> Population:
    """The estimates of `fit`, without one the initial estimates."""
    if fit is None:
        return Population.initial(model)
    return Population(thetas=fit.thetas, omega=fit.omega, sigma=fit.sigma)


def problem_at(model: Model, table: EventTable, fit: FitResult | None, *, threads: int = 1) -> Problem:
    """The model with some data, predicted as in the fit (back end, device and tolerance); without the GPU of the fit by
    the automatic back end, whose predictions are the same to the tolerance. Close its decoder after use."""
    form = latent_form(model, table)
    settings = {} if fit is None else fit.settings
    backend, device, rtol = settings.get("backend") or "auto", settings.get("device") or CPU, settings.get("rtol")
    if not is_visible(device):
        backend, device = "auto", CPU
    decoder = make_decoder(form, table, backend=backend, rtol=rtol, threads=threads, device=device)
    return make_problem(model, form, table, decoder)


def at_fit(model: Model, table: EventTable, fit: FitResult | None, *, threads: int = 1) -> AtEstimates:
    """Conditional modes are sought from several starts, and from those of the fit where it is of the same subjects.
    Close the decoder after use."""
    problem = problem_at(model, table, fit, threads=threads)
    population = population_at(model, fit)
    posteriors, seed = (), 1
    if fit is not None:
        seed = fit.seed
        if fit.individuals.labels == table.subject_labels:
            posteriors = (_posterior(problem, population, fit),)
    return at_estimates(problem, population, posteriors=posteriors, rng=np.random.default_rng([seed, 2]))


def _posterior(problem: Problem, population: Population, fit: FitResult) -> Posterior:
    """The fit's modes as a start."""
    mean = problem.mean.mean(population.thetas) + fit.individuals.eta_mode[:, problem.latent_index]
    chol = np.broadcast_to(np.eye(mean.shape[1]), (len(mean), mean.shape[1], mean.shape[1]))
    return Posterior(mean=mean, chol=chol, kind="map", ok=np.isfinite(mean).all(axis=1))
