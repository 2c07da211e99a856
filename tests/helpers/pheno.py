"""NONMEM's own run of the phenobarbital model: its estimates, and the problem at them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.at_estimates import AtEstimates, at_estimates
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import make_problem
from nlmevae.pipeline import prepare
from nlmevae.prepared_run import PreparedRun
from tests.helpers.pharmpy_wheel import wheel_file


def final_estimates(ext: Path) -> dict[str, float]:
    """Column name -> final estimate of a NONMEM .ext file."""
    lines = ext.read_text().splitlines()
    final = next(line for line in lines if line.split()[0] == "-1000000000")
    return {name: float(value) for name, value in zip(lines[1].split(), final.split(), strict=True)}


def population_of(values: dict[str, float], *, n_thetas: int, n_etas: int, n_eps: int) -> Population:
    """Diagonal OMEGA and SIGMA."""
    return Population(
        thetas=np.array([values[f"THETA{k + 1}"] for k in range(n_thetas)]),
        omega=np.diag([values[f"OMEGA({k + 1},{k + 1})"] for k in range(n_etas)]),
        sigma=np.diag([values[f"SIGMA({k + 1},{k + 1})"] for k in range(n_eps)]),
    )


@cache
def pheno_run() -> PreparedRun:
    return prepare(str(wheel_file("pheno.mod")))


@cache
def pheno_at_nonmems_estimates() -> AtEstimates:
    run = pheno_run()
    form = latent_form(run.model, run.table)
    problem = make_problem(run.model, form, run.table, make_decoder(form, run.table))
    estimates = population_of(final_estimates(wheel_file("pheno.ext")), n_thetas=3, n_etas=2, n_eps=1)
    return at_estimates(problem, estimates, rng=np.random.default_rng(0))


def nonmem_table() -> dict[str, np.ndarray]:
    """NONMEM's table of the run, one row per record."""
    path = wheel_file("pheno.tab")
    names = path.read_text().splitlines()[1].split()
    return dict(zip(names, np.loadtxt(path, skiprows=2).T, strict=True))
