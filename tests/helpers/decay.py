"""Exponential decay with one log-normal rate: nonlinear, yet its likelihood is one integral per subject."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.base import Decoder, Solution, SolveStatus
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.ir import ErrorCoefficient, IndividualParameter, ObservationModel, ResidualError, Transform
from nlmevae.likelihood.importance import observation_index
from tests.helpers.code_models import make_model
from tests.helpers.linear_gaussian import observation_table


class DecayDecoder(Decoder):
    """prediction = C0 exp(-exp(z) t), C0 the second input (a structural THETA)."""

    backend = "test"

    def linearise(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        rows = np.arange(self.n_subjects) if rows is None else rows
        ptr = self.row_ptr(rows)
        t = self.table.ob_time[observation_index(self.table.ob_ptr, rows)]
        z, start = np.repeat(x, np.diff(ptr), axis=0).T
        with np.errstate(over="ignore"):
            decayed = np.exp(-np.exp(z) * t)
            jacobian = np.stack([-start * decayed * np.exp(z) * t, decayed], axis=1)
        ok = np.full(len(rows), SolveStatus.OK, dtype=np.int32)
        return Solution(prediction=start * decayed, jacobian=np.nan_to_num(jacobian), status=ok, n_steps=ok, ptr=ptr)

    def predict(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        return replace(self.linearise(x, rows), jacobian=None)


def decay_problem(*, n_subjects: int = 15, n_obs: int = 3, omega: float = 0.5, seed: int = 0) -> Problem:
    """C0 = THETA(2) = 10 without random effect, rate THETA(1) = 0.5 with; proportional plus additive error."""
    rng = np.random.default_rng(seed)
    counts = np.full(n_subjects, n_obs)
    times = np.tile(np.linspace(0.5, 4.0, n_obs), n_subjects)
    rate = np.repeat(0.5 * np.exp(omega * rng.normal(size=n_subjects)), n_obs)
    f = 10.0 * np.exp(-rate * times)
    values = f + (0.1 + 0.15 * f) * rng.normal(size=len(f))
    model = make_model(
        error="K = THETA(1)*EXP(ETA(1))\nF0 = THETA(2)*EXP(-K*TIME)\nY = F0 + EPS(1) + F0*EPS(2)",
        thetas=[(0.0, 0.4), (0.0, 8.0)],
        omega=(0.2,),
        sigma=(0.02, 0.03),
        items="ID TIME DV",
    )
    rate_parameter = IndividualParameter(
        name="K", eta="ETA(1)", transform=Transform(kind="log"), mu_linear=True, thetas=("THETA(1)",)
    )
    error = ResidualError(
        kind="combined2",
        a=ErrorCoefficient(parameter="EPS(1)", kind="sigma"),
        b=ErrorCoefficient(parameter="EPS(2)", kind="sigma"),
    )
    model = replace(
        model,
        thetas=(replace(model.thetas[0], scale="log"), model.thetas[1]),
        individual_parameters=(rate_parameter,),
        observations=(ObservationModel(name="DV", error=error),),
    )
    table = observation_table(counts, times, values)
    form = latent_form(model, table)
    return make_problem(model, form, table, DecayDecoder(form, table))


def quadrature_minus_two_ll(problem: Problem, population: Population) -> np.ndarray:
    """(N,) -2LL by the trapezoidal rule on 2001 points, exact to rounding for these smooth integrands."""
    joint = problem.joint(population)
    sd = np.sqrt(joint.omega[0, 0])
    grid = np.linspace(joint.mean.min() - 9 * sd, joint.mean.max() + 9 * sd, 2001)
    z = np.broadcast_to(grid[:, None, None], (len(grid), problem.n_subjects, 1))
    log_joint = joint.log_likelihood(joint.predict(z)) + joint.log_prior(z)
    top = log_joint.max(axis=0)
    return -2 * (top + np.log(np.exp(log_joint - top).sum(axis=0) * (grid[1] - grid[0])))
