"""Individual results: what is known of every subject at the final population."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.estimation.individual_parameters import IndividualParameters
from nlmevae.estimation.population import Population
from nlmevae.estimation.posterior import Posterior
from nlmevae.estimation.problem import Problem
from nlmevae.likelihood.importance import ImportanceLikelihood
from nlmevae.likelihood.posterior_draws import PosteriorDraws, Summary
from nlmevae.results.fit_result import QUANTILE_LEVELS, IndividualResults


def individual_results(
    problem: Problem,
    population: Population,
    importance: ImportanceLikelihood,
    mode: np.ndarray,
    *,
    n_samples: int = 0,
    seed: int = 0,
) -> IndividualResults:
    """Posterior means, modes (N, d), standard deviations and quantiles of random effects and parameters.

    Args:
        n_samples: draws of equal weight per subject to keep.
        seed: of their choice among the weighted draws.
    """
    frame = _Frame.of(problem, population)
    everyone = np.arange(problem.n_subjects)
    summary = frame.summary(importance.draws)
    samples = importance.draws.resample(n_samples, np.random.default_rng([seed, 3]))
    return IndividualResults(
        labels=problem.table.subject_labels,
        n_obs=np.diff(problem.table.ob_ptr),
        eta_mean=frame.etas(importance.mean),
        eta_cov=frame.eta_covariance(importance.cov),
        eta_mode=frame.etas(mode),
        minus_two_ll=importance.minus_two_ll,
        ess=importance.ess,
        khat=importance.khat,
        moment_error=importance.moment_error,
        psi_names=frame.parameters.names,
        psi=frame.parameters.values(importance.mean, population.thetas, everyone),
        psi_mode=frame.parameters.values(mode, population.thetas, everyone),
        psi_mean=summary.mean,
        psi_sd=summary.sd,
        psi_quantiles=summary.quantiles,
        eta_samples=frame.etas(samples),
        psi_samples=frame.parameters.values(samples, population.thetas, everyone),
    )


def gaussian_individuals(problem: Problem, population: Population, posterior: Posterior | None) -> IndividualResults:
    """Of a run that ended before its likelihood: the last posterior known, nothing where there is none."""
    n, d = problem.n_subjects, problem.n_latents
    frame, unknown = _Frame.of(problem, population), np.full(n, np.nan)
    z = frame.mean if posterior is None else posterior.mean
    psi = frame.parameters.values(z, population.thetas, np.arange(n))
    return IndividualResults(
        labels=problem.table.subject_labels,
        n_obs=np.diff(problem.table.ob_ptr),
        eta_mean=frame.etas(z),
        eta_cov=frame.eta_covariance(np.full((n, d, d), np.nan) if posterior is None else posterior.cov),
        eta_mode=frame.etas(z),
        minus_two_ll=unknown,
        ess=unknown,
        khat=unknown,
        moment_error=unknown,
        psi_names=frame.parameters.names,
        psi=psi,
        psi_mode=psi,
        psi_mean=np.full_like(psi, np.nan),
        psi_sd=np.full_like(psi, np.nan),
        psi_quantiles=np.full((len(QUANTILE_LEVELS), *psi.shape), np.nan),
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    """From latents to random effects and parameters. mean (N, d): typical values."""

    problem: Problem
    population: Population
    mean: np.ndarray
    parameters: IndividualParameters

    @classmethod
    def of(cls, problem: Problem, population: Population) -> _Frame:
        return cls(problem, population, problem.mean.mean(population.thetas), IndividualParameters.of(problem))

    def etas(self, z: np.ndarray) -> np.ndarray:
        """(..., N, n_eta) for z (..., N, d); ETAs without a latent are 0."""
        full = np.zeros((*z.shape[:-1], len(self.problem.model.etas)))
        full[..., self.problem.latent_index] = z - self.mean
        return full

    def eta_covariance(self, cov: np.ndarray) -> np.ndarray:
        """(N, n_eta, n_eta) for cov (N, d, d); of ETAs that nothing reads Omega."""
        n_eta, index = len(self.problem.model.etas), self.problem.latent_index
        idle = np.setdiff1d(np.arange(n_eta), index)
        full = np.zeros((len(cov), n_eta, n_eta))
        full[np.ix_(range(len(cov)), idle, idle)] = self.population.omega[np.ix_(idle, idle)]
        full[np.ix_(range(len(cov)), index, index)] = cov
        return full

    def summary(self, draws: PosteriorDraws) -> Summary:
        def values(z: np.ndarray, subjects: np.ndarray) -> np.ndarray:
            return self.parameters.values(z, self.population.thetas, subjects)

        return draws.summarise(values, len(self.parameters.names), QUANTILE_LEVELS)
