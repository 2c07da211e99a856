"""A hand-made fit result: two subjects, one without observations, numbers a test can recognise."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from nlmevae.results.fit_result import Estimate, FitResult, IndividualResults, LikelihoodValue, TraceRow
from nlmevae.results.shrinkage import EtaStatistics, Shrinkage
from nlmevae.results.status import FitStatus
from nlmevae.results.uncertainty_result import Estimated, uncertainty_result

LOG_2PI = math.log(2.0 * math.pi)


def make_result(**changes) -> FitResult:
    """Two THETAs (one fixed), a 2 x 2 OMEGA block, one SIGMA, three iterations, 20 observations."""
    n_obs = np.array([20, 0])
    individual = np.array([40.123456789012345 + 20 * LOG_2PI, 0.0])
    values = {
        "name": "run1",
        "source_path": "run1.ctl",
        "data_path": "data.csv",
        "problem": "A PROBLEM",
        "method": "vae+polish",
        "status": FitStatus.CONVERGED,
        "message": FitStatus.CONVERGED.sentence,
        "seed": 42,
        "n_subjects": 2,
        "n_obs_total": 20,
        "thetas": np.array([1.0 / 3.0, 31.97]),
        "omega": np.array([[0.09, 0.03], [0.03, 0.04]]),
        "sigma": np.array([[0.0225]]),
        "estimates": estimates(),
        "likelihoods": likelihoods(float(individual.sum())),
        "individuals": IndividualResults(
            labels=("1", "7"),
            n_obs=n_obs,
            eta_mean=np.array([[-0.1, 0.2], [0.0, 0.0]]),
            eta_cov=np.array([[[0.01, 0.002], [0.002, 0.03]], [[0.09, 0.03], [0.03, 0.04]]]),
            eta_mode=np.array([[-0.11, 0.21], [0.0, 0.0]]),
            minus_two_ll=individual,
            ess=np.array([0.9, 1.0]),
            khat=np.array([0.1, math.nan]),
            psi_names=("CL", "V"),
            psi=np.array([[0.3, 39.0], [1.0 / 3.0, 31.97]]),
            psi_mode=np.array([[0.29, 38.5], [1.0 / 3.0, 31.97]]),
            psi_mean=np.array([[0.31, 39.0], [0.35, 31.97]]),
            psi_sd=np.array([[0.02, 0.3], [0.1, math.nan]]),
            psi_quantiles=np.arange(28.0).reshape(7, 2, 2),
            moment_error=np.array([0.01, math.nan]),
            eta_samples=np.array([[[-0.2, 0.1], [0.3, 0.4]], [[-0.1, 0.2], [0.5, 1.0 / 3.0]]]),
            psi_samples=np.arange(8.0).reshape(2, 2, 2),
        ),
        "eta_names": ("ETA(1)", "ETA(2)"),
        "eta_labels": ("CL", "V"),
        "shrinkage": shrinkage(),
        "trace": tuple(trace_row(k) for k in range(3)),
        "warnings": ("a warning",),
        "settings": {"method": "vae+polish", "seed": 42, "tolerance": 1e-3, "backend": None},
        "seconds": {"vae": 1.5, "polish": 0.25},
        "versions": {"nlmevae": "0.1.0"},
        "eta_transforms": ("log", "identity"),
        "data_ranges": {"TIME": (0.0, 24.0), "AMT": (100.0, 100.0)},
    }
    return FitResult(**{**values, **changes})


def shrinkage(*, sd: tuple[float, float] = (12.5, math.nan)) -> Shrinkage:
    """Twelve numbers a test can recognise; of the second random effect half is unknown. `sd` is that of the means."""
    means = EtaStatistics(
        bar=np.array([-0.05, 0.1]),
        standard_error=np.array([0.03, 0.07]),
        p_value=np.array([0.11, 0.22]),
        sd=np.array(sd),
        variance=np.array([23.4375, -3.0]),
    )
    return Shrinkage(
        n_subjects=1,
        means=means,
        modes=means,
        ebv_sd=np.array([13.0, 14.0]),
        ebv_variance=np.array([24.31, 26.04]),
        relative_information=np.array([75.0, 70.0]),
        eps_sd=np.array([7.25]),
        eps_variance=np.array([13.974375]),
    )


def with_uncertainty(result: FitResult, *, unknown: tuple[int, ...] = ()) -> FitResult:
    """The result with a covariance (order THETA(1), THETA(2) fixed, SIGMA(1,1), OMEGA(1,1), OMEGA(2,1), OMEGA(2,2));
    rows `unknown` of it are not determined."""
    errors = np.array([0.02, 0.0, 0.003, 0.02, 0.01, 0.008])
    correlation = np.full((6, 6), 0.25) + 0.75 * np.eye(6)
    covariance = correlation * np.outer(errors, errors)
    covariance[list(unknown), :] = covariance[:, list(unknown)] = np.nan
    known = uncertainty_result(
        Estimated(
            thetas=result.thetas,
            sigma=result.sigma,
            omega=result.omega,
            log=np.array([True, True, True, True, False, True]),
        ),
        covariance,
        method="sandwich",
        status="Standard errors are made up.",
        names=("THETA(1)", "THETA(2)", "SIGMA(1,1)", "OMEGA(1,1)", "OMEGA(2,1)", "OMEGA(2,2)"),
        mc_error=np.full(6, 0.01),
        repeats=np.zeros(6, dtype=bool),
    )
    errors_by_name = dict(zip(known.names, known.standard_errors.tolist(), strict=True))
    changed = tuple(
        dataclasses.replace(e, standard_error=errors_by_name[e.name]) if errors_by_name[e.name] > 0 else e
        for e in result.estimates
    )
    return dataclasses.replace(result, estimates=changed, uncertainty=known)


def estimates() -> tuple[Estimate, ...]:
    return (
        estimate("THETA(1)", "CL", "theta", 1, 1, init=0.5, value=1.0 / 3.0, lower=0.0),
        estimate("THETA(2)", "V", "theta", 2, 1, init=31.97, value=31.97, fixed=True),
        estimate("OMEGA(1,1)", "CL", "omega", 1, 1, init=0.1, value=0.09),
        estimate("OMEGA(2,1)", "CL,V", "omega", 2, 1, init=0.01, value=0.03),
        estimate("OMEGA(2,2)", "V", "omega", 2, 2, init=0.1, value=0.04),
        estimate("SIGMA(1,1)", "proportional", "sigma", 1, 1, init=0.04, value=0.0225),
    )


def estimate(name, label, kind, row, column, **more) -> Estimate:
    return Estimate(name=name, label=label, kind=kind, row=row, column=column, **{"fixed": False, **more})


def likelihoods(minus_two_ll: float) -> tuple[LikelihoodValue, ...]:
    exact = {"minus_two_ll": minus_two_ll, "aic": minus_two_ll + 10, "bic": minus_two_ll + 11}
    return (
        LikelihoodValue(method="is", mc_se=0.12, bicc=minus_two_ll + 12, **exact),
        LikelihoodValue(method="elbo", mc_se=0.0, minus_two_ll=90.0, aic=math.nan, bic=math.nan, bicc=math.nan),
    )


def trace_row(k: int, **changes) -> TraceRow:
    parameters = np.array([0.5 - 0.05 * k, 31.97, 0.04, 0.1, 0.01, 0.1])
    row = TraceRow(
        iteration=k, phase="vae", objective=100.0 - k, parameters=parameters, seconds=0.5 * k, extra={"ess": 0.9}
    )
    return dataclasses.replace(row, **changes)
