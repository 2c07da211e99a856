"""Hand-made diagnostics of a fit: data simulated from a one-compartment model that is then known to be right."""

from __future__ import annotations

import dataclasses
import math
from statistics import NormalDist

import numpy as np

from nlmevae.results.diagnostics import (
    Diagnostics,
    Endpoint,
    IndividualCurve,
    ObservationDiagnostics,
    SubjectCovariates,
    VisualPredictiveCheck,
)
from nlmevae.results.fit_result import FitResult
from tests.helpers.results import LOG_2PI, make_result, shrinkage

OMEGA = np.array([[0.09, 0.03], [0.03, 0.04]])  # of CL, V: that of `make_result`
CV = 0.15
TIMES = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0])
DOSE = 100.0
N_SIMULATIONS = 200


def make_diagnostics(
    n_subjects: int = 12,
    *,
    seed: int = 1,
    endpoints: int = 1,
    limit: float | None = None,
    strata: tuple[str, ...] = (),
    n_times: int = len(TIMES),
) -> Diagnostics:
    """`limit`: concentrations below are censored; `strata`: one VPC for each, besides the one of all."""
    parts = [_endpoint(k, n_subjects, seed + 100 * k, limit, n_times) for k in range(endpoints)]
    joined = {
        f.name: np.concatenate([getattr(o, f.name) for o, _, _ in parts])
        for f in dataclasses.fields(ObservationDiagnostics)
    }
    rng = np.random.default_rng(seed + 7)
    return Diagnostics(
        labels=tuple(str(k + 1) for k in range(n_subjects)),
        endpoints=tuple(Endpoint(name=f"DV{k + 1}" if endpoints > 1 else "DV") for k in range(endpoints)),
        observations=ObservationDiagnostics(**joined),
        curves=tuple(c for _, curves, _ in parts for c in curves),
        vpcs=tuple(
            _vpc(k, o, simulated, stratum, corrected)
            for k, (o, _, simulated) in enumerate(parts)
            for corrected in (False, True)
            for stratum in ("", *strata)
        ),
        covariates=SubjectCovariates(
            names=("WT", "SEX"),
            values=np.column_stack([rng.normal(70, 12, n_subjects), rng.integers(0, 2, n_subjects)]).astype(float),
            categorical=np.array([False, True]),
        ),
        n_simulations=N_SIMULATIONS,
        seed=seed,
        warnings=("a warning of the diagnostics",),
    )


def concentration(time: np.ndarray, cl: np.ndarray, v: np.ndarray) -> np.ndarray:
    ka, k = 1.2, cl / v
    return DOSE * ka / (v * (ka - k)) * (np.exp(-k * time) - np.exp(-ka * time))


def _endpoint(k: int, n: int, seed: int, limit: float | None, n_times: int):
    rng = np.random.default_rng(seed)
    time = np.tile(np.interp(np.linspace(0, 6, n_times), np.arange(7), TIMES), n)
    subject = np.repeat(np.arange(n), n_times)
    eta = rng.multivariate_normal(np.zeros(2), OMEGA, size=(N_SIMULATIONS + 1, n))
    cl, v = 5.0 * np.exp(eta[..., 0]), 40.0 * np.exp(eta[..., 1])
    predicted = concentration(time, cl[:, subject], v[:, subject])
    every = predicted * (1.0 + CV * rng.normal(size=predicted.shape))
    dv, simulated, ipred = every[0].copy(), every[1:], predicted[0]
    pred = concentration(time, 5.0, 40.0)
    npde = _npde(dv, simulated, subject)
    spread = simulated.std(axis=0)
    censored = np.zeros(len(dv), bool) if limit is None else dv < limit
    hidden = np.where(censored, np.nan, 1.0)
    dv[censored] = limit
    observations = ObservationDiagnostics(
        subject=subject,
        endpoint=np.full(len(dv), k),
        row=np.arange(len(dv)),
        time=time,
        dv=dv,
        pred=pred,
        ipred=ipred,
        iwres=hidden * (dv - ipred) / (CV * ipred),
        cwres=hidden * (dv - simulated.mean(axis=0)) / spread,
        wres=hidden * (dv - pred) / spread,
        cpred=simulated.mean(axis=0),
        epred=simulated.mean(axis=0),
        ewres=hidden * (dv - simulated.mean(axis=0)) / spread,
        npd=npde,
        npde=npde,
        censored=censored,
    )
    grid = np.linspace(0.0, 24.0, 60)
    curves = tuple(
        IndividualCurve(
            subject=i, endpoint=k, time=grid, pred=concentration(grid, 5.0, 40.0),
            ipred=concentration(grid, cl[0, i], v[0, i]),
        )
        for i in range(n)
    )  # fmt: skip
    return observations, curves, simulated


def _npde(dv: np.ndarray, simulated: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Rank of the decorrelated observation among the decorrelated simulations, as a normal quantile."""
    result = np.empty(len(dv))
    for i in np.unique(subject):
        own = subject == i
        mean, cov = simulated[:, own].mean(axis=0), np.cov(simulated[:, own].T)
        root = np.linalg.cholesky(np.atleast_2d(cov) + 1e-9 * np.eye(own.sum()))
        y = np.linalg.solve(root, dv[own] - mean)
        s = np.linalg.solve(root, (simulated[:, own] - mean).T).T
        rank = ((s < y).sum(axis=0) + 0.5) / (len(s) + 1)
        result[own] = [NormalDist().inv_cdf(p) for p in rank]
    return result


def _vpc(
    endpoint: int, o: ObservationDiagnostics, simulated: np.ndarray, stratum: str, corrected: bool
) -> VisualPredictiveCheck:
    own = np.ones(len(o.dv), bool) if not stratum else o.subject % 2 == (hash_of(stratum) % 2)
    times = np.unique(o.time[own])[:12]
    levels = np.array([0.05, 0.5, 0.95])
    bins = [own & (o.time == t) for t in times]
    observed = np.array([np.quantile(o.dv[b], levels) for b in bins])
    each = np.array([np.quantile(simulated[:, b], levels, axis=1) for b in bins])  # B, Q, S
    edges = np.concatenate([times[:1], (times[1:] + times[:-1]) / 2, times[-1:]])
    below = None
    if o.censored.any():
        limit = o.dv[o.censored][0]
        share = np.array([(simulated[:, b] < limit).mean(axis=1) for b in bins])
        seen = np.array([o.censored[b].mean() for b in bins])
        below = np.column_stack([seen, *np.quantile(share, [0.025, 0.5, 0.975], axis=1)])
    return VisualPredictiveCheck(
        endpoint=endpoint,
        stratum=stratum,
        prediction_corrected=corrected,
        edges=edges,
        middle=times,
        levels=levels,
        observed=observed,
        simulated=np.quantile(each, [0.025, 0.5, 0.975], axis=2).transpose(1, 2, 0),
        confidence=0.95,
        count=np.array([b.sum() for b in bins]),
        time=o.time[own],
        value=o.dv[own],
        below=below,
    )


def hash_of(text: str) -> int:
    return sum(text.encode())


def make_fit(diagnostics: Diagnostics, **changes) -> FitResult:
    """A result for the same subjects, with random effects from the model's distribution, a little shrunk."""
    n = len(diagnostics.labels)
    rng = np.random.default_rng(17)
    eta = 0.9 * rng.multivariate_normal(np.zeros(2), OMEGA, size=n)
    n_obs = np.bincount(diagnostics.observations.subject, minlength=n)
    minus_two_ll = n_obs * (LOG_2PI + 0.5) + rng.normal(0, 2, n)
    individuals = dataclasses.replace(
        make_result().individuals,
        labels=diagnostics.labels,
        n_obs=n_obs,
        eta_mean=eta,
        eta_mode=eta,
        eta_cov=np.array([OMEGA * s for s in rng.uniform(0.05, 0.4, n)]),
        minus_two_ll=minus_two_ll,
        ess=np.full(n, 0.8),
        khat=np.where(np.arange(n) == 3, 0.9, 0.1),
        psi=np.exp(eta),
    )
    values = {
        "n_subjects": n,
        "n_obs_total": int(n_obs.sum()),
        "individuals": individuals,
        "shrinkage": shrinkage(sd=(10.0, 12.0)),
        "thetas": np.array([5.0, 40.0]),
        "trace": long_trace(),
    }
    return make_result(**{**values, **changes})


def long_trace(n: int = 100):
    """Burn-in, VAE, start, polish; parameters settle."""
    base = make_result().trace[0]
    rng = np.random.default_rng(5)
    phases = ["burn-in"] * (n // 4) + ["vae"] * (n // 2) + ["start"] * 6
    phases += ["polish"] * (n - len(phases))
    final = np.array([1.0 / 3.0, 31.97, 0.0225, 0.09, 0.03, 0.04])
    rows = []
    for k, phase in enumerate(phases):
        shrink = math.exp(-k / (n / 8))
        noise = 0.02 * shrink * rng.normal(size=6)
        rows.append(
            dataclasses.replace(
                base, iteration=k, phase=phase, objective=80.0 + 300.0 * shrink + rng.normal() * shrink,
                parameters=final * (1.0 + 0.6 * shrink + noise), seconds=0.1 * k,
            )
        )  # fmt: skip
    return tuple(rows)
