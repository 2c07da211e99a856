"""Problems from $PRED code that is linear in the random effects, so that their marginal likelihood is exact:

y_i = f_i(theta) + H_i(theta) z_i + noise of standard deviation a,   z_i ~ N(mean_i, Omega)

with f and H read off the decoder itself at any theta (they need not be linear in theta).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.events import EventTable
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.frontends.recognition import recognise
from nlmevae.ir import CovarianceBlock, Model
from tests.helpers.code_models import make_model
from tests.helpers.forms import make_table


def linear_code_problem(
    code: str,
    *,
    thetas,
    omega: tuple[CovarianceBlock, ...],
    truth: Population,
    n_subjects: int = 30,
    occasions=((1, 2, 3),),
    seed: int = 0,
) -> Problem:
    """Data simulated from `code` at `truth`: four observations in each occasion of a subject, whose occasions are
    taken in turn from `occasions`. `code` reads TIME and OCC and assigns Y = ... + EPS(1)."""
    model = make_model(error=code, thetas=thetas, omega=(0.1,), sigma=(0.2,), items="ID TIME DV OCC")
    model = recognise(replace(model, omega=omega))
    rng = np.random.default_rng(seed)
    subjects = [
        {"observations": [(t, 0, (t, o)) for o in occasions[i % len(occasions)] for t in sorted(rng.uniform(0, 2, 4))]}
        for i in range(n_subjects)
    ]
    for subject in subjects:  # time goes on from occasion to occasion: the table sorts by it
        subject["observations"] = [(k, 0, items) for k, (_, _, items) in enumerate(subject["observations"])]
    table = make_table(subjects, record_names=("TIME", "OCC"))
    problem = problem_of(model, table)
    joint = problem.joint(truth)
    z = joint.mean + rng.multivariate_normal(np.zeros(problem.n_latents), joint.omega, n_subjects)
    values = joint.predict(z) + joint.coefficients[0] * rng.standard_normal(table.n_obs_total)
    return problem_of(model, replace(table, ob_value=values))


def problem_of(model: Model, table: EventTable) -> Problem:
    form = latent_form(model, table)
    return make_problem(model, form, table, make_decoder(form, table))


def exact_minus_two_ll(problem: Problem, population: Population) -> np.ndarray:
    """(N,) -2LL of the Gaussian marginal, subject by subject with dense covariances."""
    joint = problem.joint(population)
    solution = problem.decoder.linearise(joint.inputs(joint.mean))
    ptr, d, result = problem.table.ob_ptr, problem.n_latents, np.zeros(problem.n_subjects)
    for i in range(problem.n_subjects):
        rows = slice(ptr[i], ptr[i + 1])
        h, residual = solution.jacobian[rows, :d], joint.y[rows] - solution.prediction[rows]
        covariance = h @ joint.omega @ h.T + joint.coefficients[0] ** 2 * np.eye(len(h))
        log_det = np.linalg.slogdet(covariance)[1]
        result[i] = residual @ np.linalg.solve(covariance, residual) + log_det + len(h) * np.log(2 * np.pi)
    return result
