"""Models whose marginal likelihood is known exactly: predictions linear in z, Gaussian errors.

y_i = H_i z_i + G_i theta_s + noise of standard deviation a,   z_i ~ N(mean_i, Omega)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.events import EventTable
from nlmevae.decoder.base import Decoder, Solution, SolveStatus
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.ir import ErrorCoefficient, IndividualParameter, ObservationModel, ResidualError, Transform
from nlmevae.likelihood.importance import observation_index
from tests.helpers.code_models import make_model


class LinearDecoder(Decoder):
    """prediction = design @ x, one row of `design` (M, n_inputs) per observation."""

    backend = "test"

    def __init__(self, form, table, design: np.ndarray) -> None:
        super().__init__(form, table)
        self.design = design
        self.n_solved = 0

    def linearise(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        rows = np.arange(self.n_subjects) if rows is None else rows
        ptr = self.row_ptr(rows)
        jacobian = self.design[observation_index(self.table.ob_ptr, rows)]
        prediction = (jacobian * np.repeat(x, np.diff(ptr), axis=0)).sum(axis=1)
        self.n_solved += len(rows)
        return Solution(
            prediction=prediction,
            jacobian=jacobian,
            status=np.full(len(rows), SolveStatus.OK, dtype=np.int32),
            n_steps=np.ones(len(rows), dtype=np.int32),
            ptr=ptr,
        )

    def predict(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        return replace(self.linearise(x, rows), jacobian=None)


def observation_table(counts: np.ndarray, times: np.ndarray, values: np.ndarray, *, items=None) -> EventTable:
    """Observations only: counts (N,) per subject, times and values (M,); items: name -> (N,) covariates."""
    n = len(counts)
    ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    items = items or {}
    return EventTable(
        ev_ptr=np.zeros(n + 1, dtype=np.int32),
        **{name: np.zeros(0) for name in ("ev_time", "ev_amt", "ev_rate", "ev_ii")},
        **{name: np.zeros(0, dtype=np.int32) for name in ("ev_kind", "ev_cmt", "ev_order")},
        ob_ptr=ptr,
        ob_time=times,
        ob_value=values,
        ob_cmt=np.zeros(len(times), dtype=np.int16),
        ob_row=np.arange(len(times), dtype=np.int32),
        ob_order=np.concatenate([np.arange(c, dtype=np.int32) for c in counts]),
        start_time=np.zeros(n),
        covariate_names=tuple(items),
        cov_ptr=np.arange(n + 1, dtype=np.int32),
        cov_time=np.zeros(n),
        cov_order=np.zeros(n, dtype=np.int32),
        cov=np.column_stack(list(items.values())) if items else np.zeros((n, 0)),
        record_names=("TIME",),
        ob_data=times[:, None],
        subject_labels=tuple(str(i + 1) for i in range(n)),
    )


def random_intercept_and_slope(
    *,
    n_subjects: int = 20,
    seed: int = 0,
    fixed_quadratic: bool = False,
    covariate: bool = False,
    block: bool = False,
    fixed_omegas: tuple[int, ...] = (),
    fixed_thetas: tuple[int, ...] = (),
    empty_subject: bool = False,
    upper: float = np.inf,
) -> Problem:
    """y = A + B t (+ theta t^2) + noise with A and B random; 3 to 7 observations per subject.

    THETA(1), THETA(2) are the means, then THETA(3) of t^2 (`fixed_quadratic`) or of the covariate X
    on A (`covariate`). `empty_subject`: subject 5 has no observations; `upper` bounds THETA(1).
    """
    rng = np.random.default_rng(seed)
    counts = rng.integers(3, 8, n_subjects)
    counts[5] *= not empty_subject
    times = np.concatenate([np.sort(rng.uniform(0, 2, c)) for c in counts])
    x = rng.normal(size=n_subjects)
    true_omega = np.array([[0.5, 0.2], [0.2, 0.3]])
    z = np.array([1.0, -0.5]) + rng.multivariate_normal(np.zeros(2), true_omega, n_subjects)
    z[:, 0] += 0.6 * x * covariate
    subject = np.repeat(np.arange(n_subjects), counts)
    values = z[subject, 0] + z[subject, 1] * times + 0.3 * rng.normal(size=len(times))
    values = values + 0.8 * times**2 * fixed_quadratic
    thetas = [(-np.inf, 0.5, upper), (-np.inf, 0.2)] + [(-np.inf, 0.1)] * (fixed_quadratic + covariate)
    model = make_model(
        error="A = THETA(1)" + " + THETA(3)*X" * covariate + " + ETA(1)\nB = THETA(2) + ETA(2)\n"
        "Y = A + B*TIME" + " + THETA(3)*TIME*TIME" * fixed_quadratic + " + EPS(1)",
        thetas=thetas,
        omega=(((1.0, 0.1), (0.1, 1.0)),) if block else (1.0, 1.0),
        sigma=(1.0,),
        items="ID TIME DV X",
        fixed_omegas=fixed_omegas,
        fixed_thetas=fixed_thetas,
    )
    model = replace(
        model,
        individual_parameters=(
            _parameter("A", 1, ("THETA(1)", "THETA(3)") if covariate else ("THETA(1)",), ("X",) * covariate),
            _parameter("B", 2, ("THETA(2)",), ()),
        ),
        observations=(
            ObservationModel(
                name="DV",
                error=ResidualError(kind="additive", a=ErrorCoefficient(parameter="EPS(1)", kind="sigma")),
            ),
        ),
    )
    table = observation_table(counts, times, values, items={"X": x} if covariate else None)
    form = latent_form(model, table)
    columns = [np.ones_like(times), times] + [times**2] * fixed_quadratic
    return make_problem(model, form, table, LinearDecoder(form, table, np.column_stack(columns)))


def regression_problem(n_subjects: int = 10, seed: int = 0) -> Problem:
    """y = THETA(1) + THETA(2) t + noise: no random effects, 4 observations per subject."""
    rng = np.random.default_rng(seed)
    times = rng.uniform(0, 3, 4 * n_subjects)
    values = 1.0 + 2.0 * times + 0.4 * rng.normal(size=len(times))
    model = make_model(
        error="Y = THETA(1) + THETA(2)*TIME + EPS(1)",
        thetas=[(-np.inf, 0.3), (0.0, 0.5)],
        omega=(),
        sigma=(1.0,),
        items="ID TIME DV",
    )
    error = ResidualError(kind="additive", a=ErrorCoefficient(parameter="EPS(1)", kind="sigma"))
    model = replace(model, observations=(ObservationModel(name="DV", error=error),))
    table = observation_table(np.full(n_subjects, 4), times, values)
    form = latent_form(model, table)
    design = np.column_stack([np.ones_like(times), times])
    return make_problem(model, form, table, LinearDecoder(form, table, design))


def _parameter(name: str, eta: int, thetas: tuple[str, ...], covariates: tuple[str, ...]) -> IndividualParameter:
    return IndividualParameter(
        name=name,
        eta=f"ETA({eta})",
        transform=Transform(kind="identity"),
        mu_linear=True,
        thetas=thetas,
        covariates=covariates,
    )


def exact_minus_two_ll(problem: Problem, population: Population) -> np.ndarray:
    """(N,) -2LL of the Gaussian marginal, subject by subject with dense covariances."""
    joint = problem.joint(population)
    design, ptr = problem.decoder.design, problem.table.ob_ptr
    d = problem.n_latents
    a = joint.coefficients[0]
    result = np.zeros(problem.n_subjects)
    for i in range(problem.n_subjects):
        rows = slice(ptr[i], ptr[i + 1])
        h, g = design[rows, :d], design[rows, d:]
        residual = joint.y[rows] - h @ joint.mean[i] - g @ joint.structural
        covariance = h @ joint.omega @ h.T + a**2 * np.eye(len(h))
        log_det = np.linalg.slogdet(covariance)[1]
        result[i] = residual @ np.linalg.solve(covariance, residual) + log_det + len(h) * np.log(2 * np.pi)
    return result


def exact_posterior(problem: Problem, population: Population) -> tuple[np.ndarray, np.ndarray]:
    """Mean (N, d) and covariance (N, d, d) of z given y."""
    joint = problem.joint(population)
    design, ptr = problem.decoder.design, problem.table.ob_ptr
    d = problem.n_latents
    precision = np.linalg.inv(joint.omega)
    a = joint.coefficients[0]
    means, covariances = [], []
    for i in range(problem.n_subjects):
        rows = slice(ptr[i], ptr[i + 1])
        h, g = design[rows, :d], design[rows, d:]
        covariance = np.linalg.inv(h.T @ h / a**2 + precision)
        residual = joint.y[rows] - g @ joint.structural
        means.append(covariance @ (h.T @ residual / a**2 + precision @ joint.mean[i]))
        covariances.append(covariance)
    return np.array(means), np.array(covariances)
