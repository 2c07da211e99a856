"""From a finished fit to the model at its estimates."""

from __future__ import annotations

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.events import EventTable
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.at_estimates import AtEstimates, at_estimates
from nlmevae.estimation.population import Population
from nlmevae.estimation.posterior import Posterior
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.ir import Model
from nlmevae.results.fit_result import FitResult


def population_of(fit: FitResult) -> Population:
    """The estimates."""
    return Population(thetas=fit.thetas, omega=fit.omega, sigma=fit.sigma)


def fitted_problem(model: Model, table: EventTable, fit: FitResult, *, threads: int = 1) -> Problem:
    """The model with some data, predicted as in the fit (back end and tolerance). Close its decoder after use."""
    form = latent_form(model, table)
    backend, rtol = fit.settings.get("backend", "auto"), fit.settings.get("rtol")
    return make_problem(model, form, table, make_decoder(form, table, backend=backend, rtol=rtol, threads=threads))


def at_result(model: Model, table: EventTable, fit: FitResult, *, threads: int = 1) -> AtEstimates:
    """The conditional modes are sought from those of the fit, where it is one of the same subjects, and from others."""
    problem = fitted_problem(model, table, fit, threads=threads)
    population = population_of(fit)
    posteriors = ()
    if fit.individuals.labels == table.subject_labels:
        posteriors = (_posterior(problem, population, fit),)
    return at_estimates(problem, population, posteriors=posteriors, rng=np.random.default_rng([fit.seed, 2]))


def _posterior(problem: Problem, population: Population, fit: FitResult) -> Posterior:
    """The fit's modes as a start; where it has none, the prior mean."""
    eta = fit.individuals.eta_mode[:, problem.latent_index]
    mean = problem.mean.mean(population.thetas) + eta
    ok = np.isfinite(mean).all(axis=1)
    chol = np.broadcast_to(np.eye(mean.shape[1]), (len(mean), mean.shape[1], mean.shape[1]))
    return Posterior(mean=mean, chol=chol, kind="map", ok=ok)
