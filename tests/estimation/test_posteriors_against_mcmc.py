"""Refined posteriors against long MCMC of densities written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nlmevae.estimation.at_estimates import at_estimates
from nlmevae.estimation.refined_posterior import refined_posterior
from tests.helpers.ensemble import moments, sample
from tests.helpers.known_posteriors import KnownPosteriors, known_posteriors

MEAN, SD = 0.05, 0.05  # standard deviations; share of a standard deviation


def differences(case: KnownPosteriors, *, steps: int, walkers: int) -> np.ndarray:
    """(subjects, 3): largest difference of a mean in SD, of an SD as a share, and MCMC's error of a mean in SD."""
    here = at_estimates(case.problem, case.population, rng=np.random.default_rng(0))
    found = refined_posterior(here, n_draws=4096, rng=np.random.default_rng(1)).importance
    rows = []
    for i, log_density in case.densities.items():
        rng = np.random.default_rng([3, i])
        start = found.mean[i] + 0.5 * rng.standard_normal((walkers, found.mean.shape[1])) * np.sqrt(
            found.cov[i].diagonal()
        )
        draws = sample(log_density, start, steps=steps, warm_up=steps // 4, rng=rng)
        mean, sd, error = moments(draws)
        own = np.sqrt(found.cov[i].diagonal())
        rows.append([np.abs((found.mean[i] - mean) / sd).max(), np.abs(own / sd - 1.0).max(), error.max()])
    return np.array(rows)


@pytest.mark.parametrize(("name", "subject"), [("theophylline", 0), ("sparse", 1), ("phenobarbital", 3)])
def test_means_and_standard_deviations_are_those_of_mcmc(name, subject, tmp_path):
    """100,000 draws: MCMC's own error is a third of the tolerance."""
    found = differences(known_posteriors(name, tmp_path, (subject,)), steps=1000, walkers=100)
    assert found[:, 2].max() < 0.02
    assert found[:, 0].max() < MEAN
    assert found[:, 1].max() < SD


TWENTY = {
    "theophylline": (0, 2, 4, 6, 8),
    "warfarin": (0, 3, 9, 15, 21),
    "phenobarbital": (0, 7, 20, 33, 50),
    "sparse": (0, 1, 2, 3, 5),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TWENTY)
def test_twenty_subjects_agree_with_long_chains(name, tmp_path):
    found = differences(known_posteriors(name, tmp_path, TWENTY[name]), steps=10_000, walkers=100)
    print(name, np.round(found, 4).tolist())
    assert found[:, 2].max() < 0.01
    assert found[:, 0].max() < MEAN
    assert found[:, 1].max() < SD
