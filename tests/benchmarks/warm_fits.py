"""Warm fits of bootstrap samples against whole fits of the same samples, and what each costs.

    python -m tests.benchmarks.warm_fits [CONTROL_STREAM] [SAMPLES]

Both are evaluated by importance sampling at their estimates with the same random numbers, so that the difference of
-2LL is that of the estimates. Seconds are of the processor, which a busy machine disturbs little.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.diagnostics.fitted import problem_at
from nlmevae.estimation.at_estimates import at_estimates
from nlmevae.estimation.fit import fit_model
from nlmevae.estimation.likelihoods import likelihoods_at
from nlmevae.estimation.population import Population
from nlmevae.estimation.subset import restricted
from nlmevae.estimation.warm_fit import warm_fit
from nlmevae.pipeline import make_settings, prepare, run_fit
from nlmevae.studies.resampling import resampled_subjects

DRAWS = 16384


def minus_two_ll(run, table, population) -> float:
    """With random numbers that are the same for all populations."""
    problem = problem_at(run.model, table, None)
    try:
        rng = np.random.default_rng(5)
        here = at_estimates(problem, population, rng=rng)
        return likelihoods_at(here, ["is"], n_draws=DRAWS, rng=rng)[0].marginal.total
    finally:
        problem.decoder.close()


def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else "fixtures/theophylline/run_wt.ctl"
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    run, settings = prepare(path), make_settings({"covariance": "none"})
    fit = run_fit(run, settings)
    start = Population(thetas=fit.thetas, omega=fit.omega, sigma=fit.sigma)
    form, strata = latent_form(run.model, run.table), np.zeros(run.table.n_subjects, dtype=int)
    differences, seconds = [], []
    for k in range(1, n + 1):
        table = restricted(run.table, resampled_subjects(strata, seed=1, number=k))
        begin = time.process_time()
        warm = warm_fit(run.model, form, table, start, settings)
        middle = time.process_time()
        cold = fit_model(run.model, run.dataset, table, settings)
        seconds.append((middle - begin, time.process_time() - middle))
        at_cold = Population(thetas=cold.thetas, omega=cold.omega, sigma=cold.sigma)
        value = minus_two_ll(run, table, warm.population)
        differences.append(value - minus_two_ll(run, table, at_cold))
        print(
            f"sample {k:3d}: -2LL {value:.3f}, above that of the whole fit {differences[-1]:+.4f}; "
            f"{seconds[-1][0]:.2f} s, whole fit {seconds[-1][1]:.2f} s; {warm.status.name}, {cold.status.name}",
            flush=True,
        )
    warm_seconds, cold_seconds = np.mean(seconds, axis=0)
    print(
        f"{path}: {n} samples; -2LL of warm fits above that of whole fits: largest {max(differences):+.4f}, "
        f"mean {np.mean(differences):+.4f}, smallest {min(differences):+.4f}; processor {warm_seconds:.2f} s per warm "
        f"fit, {cold_seconds:.2f} s per whole fit"
    )


if __name__ == "__main__":
    main()
