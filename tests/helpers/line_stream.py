"""A control stream whose posteriors and predictions are known exactly: y = A + B t, both random, from text to result.

A = THETA(1) + THETA(3) (X - 1) + ETA(1), B = THETA(2) + ETA(2), residual variance SIGMA.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.assemble import Estimation, assemble_result
from nlmevae.estimation.evaluate import evaluate
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.estimation.settings import FitSettings
from nlmevae.pipeline import prepare
from nlmevae.results.fit_result import FitResult

THETAS, OMEGA, SIGMA = np.array([1.0, -0.5, 0.4]), np.diag([0.5, 0.3]), 0.09
STREAM = """$PROBLEM a random line
$INPUT ID TIME DV MDV X
$DATA data.csv IGNORE=@
$PRED
A = THETA(1) + THETA(3)*(X - 1) + ETA(1)
B = THETA(2) + ETA(2)
Y = A + B*TIME + EPS(1)
$THETA 1 -0.5 0.4
$OMEGA 0.5 0.3
$SIGMA 0.09
"""


def write_line(folder: Path, *, n_subjects: int = 12, seed: int = 0) -> Path:
    """The control stream with simulated data, 2 to 5 observations per subject between times 0.2 and 2."""
    rng = np.random.default_rng(seed)
    rows = ["ID,TIME,DV,MDV,X"]
    for i in range(n_subjects):
        x = rng.uniform(0.5, 1.5)
        typical = np.array([THETAS[0] + THETAS[2] * (x - 1), THETAS[1]])
        a, b = typical + np.sqrt(OMEGA.diagonal()) * rng.standard_normal(2)
        times = np.sort(rng.uniform(0.2, 2.0, rng.integers(2, 6)))
        y = a + b * times + np.sqrt(SIGMA) * rng.standard_normal(len(times))
        rows += [f"{i + 1},{t!r},{v!r},0,{x!r}" for t, v in zip(times.tolist(), y.tolist(), strict=True)]
    (folder / "data.csv").write_text("\n".join(rows) + "\n")
    (folder / "run1.ctl").write_text(STREAM)
    return folder / "run1.ctl"


def line_problem(stream: Path) -> Problem:
    run = prepare(stream)
    form = latent_form(run.model, run.table)
    return make_problem(run.model, form, run.table, make_decoder(form, run.table))


def evaluated(stream: Path) -> FitResult:
    """A result at the values of the control stream, without an estimation."""
    run, settings, problem = prepare(stream), FitSettings(final_draws=256), line_problem(stream)
    estimation = Estimation.initial(problem)
    found = evaluate(problem, estimation, settings)
    return assemble_result(problem, run.dataset, settings, estimation, found, {"total": 0.0})


def exact_line(t: np.ndarray, y: np.ndarray, x: float) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean (2,) and covariance (2, 2) of (A, B) given observations y at times t; no times: the prior."""
    mean = np.array([THETAS[0] + THETAS[2] * (x - 1), THETAS[1]])
    design = np.column_stack([np.ones(len(t)), t])
    cov = np.linalg.inv(design.T @ design / SIGMA + np.linalg.inv(OMEGA))
    return mean + cov @ design.T @ (y - design @ mean) / SIGMA, cov
