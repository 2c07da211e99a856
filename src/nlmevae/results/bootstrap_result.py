"""What a bootstrap says about every parameter: moments and intervals over the samples whose fit may be used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from nlmevae.results.fit_record import FitRecord, StudyParameter

#: Percent of the percentiles in the tables.
PERCENTILES = (2.5, 5.0, 95.0, 97.5)
FEWEST = 2  # fits from which a standard error can be computed


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapSummary:
    """Of one parameter over n fits: `bias` = mean - estimate, `percentiles` at PERCENTILES (linear between order
    statistics), `bca`: bias-corrected and accelerated 95 % interval, NaN where it is not known."""

    parameter: StudyParameter
    n: int
    mean: float
    median: float
    standard_error: float
    bias: float
    percentiles: tuple[float, ...]
    bca: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapResult:
    """`original`: the fit of the data; `records`: finished samples in order; `subjects`: (sample, IDs) of all samples;
    `inclusion`: share of the usable samples in which each effect was chosen, where effects are searched."""

    name: str
    source_path: str
    n_samples: int
    seed: int
    stratify: str
    original: FitRecord
    parameters: tuple[StudyParameter, ...]
    records: tuple[FitRecord, ...]
    subjects: tuple[tuple[str, ...], ...]
    summaries: tuple[BootstrapSummary, ...]
    inclusion: dict[str, float]
    warnings: tuple[str, ...]
    settings: dict[str, Any]

    @property
    def usable(self) -> tuple[FitRecord, ...]:
        return tuple(r for r in self.records if r.usable)

    @property
    def failed(self) -> tuple[FitRecord, ...]:
        """Finished samples whose fit is left out of the summary."""
        return tuple(r for r in self.records if not r.usable)


def summarise(
    parameters: tuple[StudyParameter, ...], records: tuple[FitRecord, ...], accelerations: Mapping[str, float]
) -> tuple[BootstrapSummary, ...]:
    """Of all estimated parameters, from the fits that may be used."""
    usable = [r.values for r in records if r.usable]
    values = np.array(usable, dtype=float).reshape(len(usable), len(parameters))
    return tuple(
        _summary(p, values[:, j], accelerations.get(p.name, math.nan)) for j, p in enumerate(parameters) if p.estimated
    )


def _summary(parameter: StudyParameter, values: np.ndarray, acceleration: float) -> BootstrapSummary:
    n = len(values)
    if n < FEWEST:
        nothing = (math.nan,) * len(PERCENTILES)
        mean = float(values[0]) if n else math.nan
        return BootstrapSummary(
            parameter=parameter, n=n, mean=mean, median=mean, standard_error=math.nan, bias=mean - parameter.value,
            percentiles=nothing, bca=(math.nan, math.nan),
        )  # fmt: skip
    return BootstrapSummary(
        parameter=parameter,
        n=n,
        mean=float(values.mean()),
        median=float(np.median(values)),
        standard_error=float(values.std(ddof=1)),
        bias=float(values.mean()) - parameter.value,
        percentiles=tuple(np.percentile(values, PERCENTILES).tolist()),
        bca=bca_interval(values, parameter.value, acceleration),
    )


def bca_interval(
    values: np.ndarray, estimate: float, acceleration: float, *, level: float = 0.95
) -> tuple[float, float]:
    """Bias-corrected and accelerated interval of bootstrap estimates (n,) around `estimate` (Efron & Tibshirani 1993,
    equations 14.9 to 14.14; ties count half). NaN where the acceleration is unknown or all lie on one side."""
    normal = NormalDist()
    below = float((values < estimate).mean() + 0.5 * (values == estimate).mean())
    if not math.isfinite(acceleration) or not 0.0 < below < 1.0:
        return math.nan, math.nan
    z0 = normal.inv_cdf(below)
    limits = []
    for tail in ((1.0 - level) / 2.0, (1.0 + level) / 2.0):
        z = z0 + normal.inv_cdf(tail)
        limits.append(100.0 * normal.cdf(z0 + z / (1.0 - acceleration * z)))
    low, high = np.percentile(values, limits).tolist()
    return low, high
