"""What a simulation-estimation study says: errors of estimates, coverage of intervals, differences of objectives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from nlmevae.results.fit_record import FitRecord, StudyParameter

#: Of the confidence intervals whose coverage is counted: estimate -+ 1.96 standard errors.
LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class SseSummary:
    """Of one parameter of one model over n fits. `true` is the simulated value, NaN where the model has no parameter of
    that label in common with the simulation; then what needs it is NaN. relative_*: percent of |true|. coverage: share
    of the `n_intervals` fits with a standard error whose interval holds the true value."""

    model: int
    parameter: StudyParameter
    true: float
    n: int
    mean: float
    median: float
    sd: float
    minimum: float
    maximum: float
    bias: float
    relative_bias: float
    rmse: float
    relative_rmse: float
    mean_standard_error: float
    n_intervals: int
    coverage: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalShare:
    """Share of data sets in which OFV differs by more than the chi-square limit of `df` and `level`: `better` the
    alternative is lower (type I error, if it contains the simulation model), `worse` it is higher (power to reject it,
    if it is contained)."""

    df: int
    level: float
    critical: float
    better: float
    worse: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OfvComparison:
    """OFV of the simulation model minus that of `model` over the n data sets that both fitted. `df`: estimated
    parameters that the alternative has more (negative: fewer). mc_error: root mean square Monte-Carlo error of one
    difference, as if both were independent."""

    model: int
    n: int
    df: int
    mean: float
    sd: float
    minimum: float
    maximum: float
    mc_error: float
    shares: tuple[CriticalShare, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SseModel:
    """One of the models: its file, and its parameters (those of model 0 have the true values)."""

    source_path: str
    parameters: tuple[StudyParameter, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SseResult:
    """`models`: the simulation model first; `records` by model, then data set."""

    n_samples: int
    seed: int
    origin: str
    models: tuple[SseModel, ...]
    records: tuple[FitRecord, ...]
    summaries: tuple[SseSummary, ...]
    comparisons: tuple[OfvComparison, ...]
    warnings: tuple[str, ...]
    settings: dict[str, Any]

    def of_model(self, model: int) -> tuple[FitRecord, ...]:
        return tuple(r for r in self.records if r.model == model)

    @property
    def usable(self) -> tuple[FitRecord, ...]:
        return tuple(r for r in self.records if r.usable)


def summarise_model(
    model: int, parameters: Sequence[StudyParameter], true: Sequence[float], records: Sequence[FitRecord]
) -> tuple[SseSummary, ...]:
    """Of the estimated parameters, from the fits of the model that may be used."""
    usable = [r for r in records if r.usable]
    values = np.array([r.values for r in usable], dtype=float).reshape(len(usable), len(parameters))
    nothing = (math.nan,) * len(parameters)
    errors = np.array([r.standard_errors or nothing for r in usable], dtype=float).reshape(values.shape)
    return tuple(
        _summary(model, p, true[j], values[:, j], errors[:, j]) for j, p in enumerate(parameters) if p.estimated
    )


def _summary(model: int, parameter: StudyParameter, true: float, values: np.ndarray, errors: np.ndarray) -> SseSummary:
    known = np.isfinite(errors)
    half = NormalDist().inv_cdf(0.5 + 0.5 * LEVEL)
    inside = np.abs(values - true)[known] <= half * errors[known]
    n, n_known = len(values), int(known.sum())
    bias = float(values.mean()) - true if n else math.nan
    rmse = float(np.sqrt(np.mean((values - true) ** 2))) if n else math.nan
    size = abs(true) if true else math.nan
    return SseSummary(
        model=model,
        parameter=parameter,
        true=true,
        n=n,
        mean=float(values.mean()) if n else math.nan,
        median=float(np.median(values)) if n else math.nan,
        sd=float(values.std(ddof=1)) if n > 1 else math.nan,
        minimum=float(values.min()) if n else math.nan,
        maximum=float(values.max()) if n else math.nan,
        bias=bias,
        relative_bias=100.0 * bias / size,
        rmse=rmse,
        relative_rmse=100.0 * rmse / size,
        mean_standard_error=float(errors[known].mean()) if n_known else math.nan,
        n_intervals=n_known,
        coverage=float(inside.mean()) if n_known and math.isfinite(true) else math.nan,
    )


def compare_ofv(
    model: int,
    simulation: Sequence[FitRecord],
    alternative: Sequence[FitRecord],
    *,
    df: int,
    limits: Sequence[tuple[int, float, float]],
) -> OfvComparison:
    """Over the data sets that both models fitted; `limits`: (df, level, critical value) of chi-square tests."""
    theirs = {r.number: r for r in alternative if r.usable and math.isfinite(r.minus_two_ll)}
    pairs = [(r, theirs[r.number]) for r in simulation if r.usable and r.number in theirs]
    difference = np.array([a.ofv - b.ofv for a, b in pairs], dtype=float)
    difference = difference[np.isfinite(difference)]
    n = len(difference)
    noise = [a.mc_se**2 + b.mc_se**2 for a, b in pairs]

    def share(condition: np.ndarray) -> float:
        return float(condition.mean()) if n else math.nan

    return OfvComparison(
        model=model,
        n=n,
        df=df,
        mean=float(difference.mean()) if n else math.nan,
        sd=float(difference.std(ddof=1)) if n > 1 else math.nan,
        minimum=float(difference.min()) if n else math.nan,
        maximum=float(difference.max()) if n else math.nan,
        mc_error=float(np.sqrt(np.mean(noise))) if n else math.nan,
        shares=tuple(
            CriticalShare(
                df=k,
                level=level,
                critical=critical,
                better=share(difference > critical),
                worse=share(-difference > critical),
            )
            for k, level, critical in limits
        ),
    )
