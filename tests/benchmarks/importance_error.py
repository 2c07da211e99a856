"""Is the stated Monte-Carlo error of importance sampling its spread between seeds?

    python tests/benchmarks/importance_error.py [--seeds 30]

At fixed parameters: phenobarbital (NONMEM's estimates), warfarin (Monolix's estimates; its lag time makes seven
subjects unreliable by their k-hat). Prints the mean stated error, the spread of -2LL between seeds, the same per
subject for reliable and unreliable ones, and the mean difference to quadrature in standard errors.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from nlmevae.at_parameters import RunAt, prepare_at
from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.at_estimates import AtEstimates, at_estimates
from nlmevae.estimation.problem import make_problem
from nlmevae.estimation.refined_posterior import refined_posterior
from nlmevae.likelihood.gauss_hermite import gauss_hermite
from nlmevae.likelihood.pareto import RELIABLE
from tests.acceptance.test_likelihoods_of_monolix import as_nonmem, monolix
from tests.helpers.cases import stage
from tests.helpers.pharmpy_wheel import wheel_file


def phenobarbital(folder: Path) -> RunAt:
    stream, _ = stage("phenobarbital_real", folder)
    return prepare_at(stream, wheel_file("pheno.ext"))


def warfarin(folder: Path) -> RunAt:
    stream, _ = stage("warfarin", folder)
    thetas = ["Tlag_pop", "ka_pop", "V_pop", "Cl_pop", "a", "b"]
    omegas = ["omega_Tlag", "omega_ka", "omega_V", "omega_Cl"]
    return prepare_at(stream, as_nonmem(monolix("warfarin/w1")[0], thetas, omegas))


def here(at: RunAt) -> AtEstimates:
    form = latent_form(at.run.model, at.run.table)
    problem = make_problem(at.run.model, form, at.run.table, make_decoder(form, at.run.table))
    return at_estimates(problem, problem.initial, rng=np.random.default_rng(0))


def calibration(place: AtEstimates, seeds: range, n_draws: int) -> dict[str, np.ndarray]:
    """value, error (S, N) and khat (S, N) of every seed."""
    runs = [refined_posterior(place, n_draws=n_draws, rng=np.random.default_rng(s)).importance for s in seeds]
    return {
        "value": np.array([r.minus_two_ll for r in runs]),
        "error": np.sqrt([r.variance for r in runs]),
        "khat": np.array([r.khat for r in runs]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--draws", type=int, default=4096)
    arguments = parser.parse_args()
    print("| model | stated | spread | ratio | reliable | unreliable | mean less quadrature |")
    print("|---|---|---|---|---|---|---|")
    for make in (phenobarbital, warfarin):
        with tempfile.TemporaryDirectory() as folder:
            place = here(make(Path(folder)))
        found = calibration(place, range(arguments.seeds), arguments.draws)
        total = found["value"].sum(axis=1)
        stated = np.sqrt((found["error"] ** 2).sum(axis=1)).mean()
        spread = total.std(ddof=1)
        poor = np.nanmean(found["khat"], axis=0) > RELIABLE
        squares, true = (found["error"] ** 2).mean(axis=0), found["value"].var(axis=0, ddof=1)
        shares = [np.sqrt(squares[k].sum() / true[k].sum()) if k.any() else np.nan for k in (~poor, poor)]
        exact = gauss_hermite(place.joint, place.mode)
        bias = total.mean() - exact.total
        ratios = f"{stated / spread:.2f} | {shares[0]:.2f} | {shares[1]:.2f} ({poor.sum()})"
        noise = f"{bias:+.3f} ({spread / np.sqrt(len(total)):.3f}; quadrature {exact.total_error:.3f})"
        print(f"| {make.__name__} | {stated:.3f} | {spread:.3f} | {ratios} | {noise} |", flush=True)


if __name__ == "__main__":
    main()
