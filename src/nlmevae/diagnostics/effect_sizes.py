"""How much each covariate changes the typical individual parameters, with confidence intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nlmevae.codegen.print_numpy import BatchFunction, link_numpy
from nlmevae.diagnostics.subject_covariates import MOST_CATEGORIES
from nlmevae.estimation.at_estimates import AtEstimates
from nlmevae.ir import Transform
from nlmevae.results.effect_size import EffectSize

QUANTILES = (0.05, 0.95)
NORMAL_95 = 1.959964
#: Relative changes below are rounding: the parameter does not depend on the covariate.
NO_CHANGE = 1e-9
#: A typical value that multiplies all else cancels from the ratio, up to rounding.
CANCELS = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """One covariate's value to compare with the reference subject."""

    covariate: str
    value: float
    at: str
    reference: str


def effect_sizes(at: AtEstimates, covariance: np.ndarray) -> tuple[EffectSize, ...]:
    """Every typical parameter at the 5 % and 95 % quantiles of each continuous covariate it depends on, and at each
    other category, relative to a reference subject with medians and most frequent categories. One covariate is changed
    at a time. Covariates are those of each subject's first record.

    Confidence intervals by the delta method on the logarithm of the ratio.

    Args:
        covariance: (n_theta, n_theta) of the estimates; NaN where unknown.
    """
    form, table = at.problem.form, at.problem.table
    first = table.cov[table.cov_ptr[:-1]]
    columns = {name: first[:, k] for k, name in enumerate(table.covariate_names) if name in form.mu.inputs}
    if not columns or not len(first):
        return ()
    reference = {name: _reference(values)[0] for name, values in columns.items()}
    typical = _Typical.of(at)
    base, base_slope = typical(reference)
    found = []
    for setting in (s for name, values in columns.items() for s in _settings(name, values)):
        value, slope = typical({**reference, setting.covariate: setting.value})
        for k, latent in enumerate(form.latents):
            ratio = value[k] / base[k]
            if not np.isfinite(ratio) or abs(ratio - 1.0) < NO_CHANGE or base[k] == 0.0:
                continue
            here, there = slope[k] / value[k], base_slope[k] / base[k]
            gradient = np.where(np.abs(here - there) > CANCELS * np.abs(there), here - there, 0.0)
            found.append(_size(latent.name, setting, float(ratio), gradient, covariance))
    order = [latent.name for latent in form.latents]
    return tuple(sorted(found, key=lambda e: order.index(e.parameter)))


def _size(parameter: str, setting: _Setting, ratio: float, gradient: np.ndarray, covariance: np.ndarray) -> EffectSize:
    used = np.flatnonzero(gradient)
    part = covariance[np.ix_(used, used)]
    half = NORMAL_95 * np.sqrt(max(float(gradient[used] @ part @ gradient[used]), 0.0))
    known = bool(half > 0.0) and ratio > 0.0
    return EffectSize(
        parameter=parameter,
        covariate=setting.covariate,
        at=setting.at,
        reference=setting.reference,
        ratio=ratio,
        low=ratio * float(np.exp(-half)) if known else float("nan"),
        high=ratio * float(np.exp(half)) if known else float("nan"),
    )


def _reference(values: np.ndarray) -> tuple[float, str]:
    """Median, or most frequent category, and how it is called."""
    levels, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    if not len(levels):
        return float("nan"), "missing"
    if len(levels) <= MOST_CATEGORIES:
        level = float(levels[np.argmax(counts)])
        return level, f"= {level:g}"
    middle = float(np.median(values))
    return middle, f"{middle:.4g} (median)"


def _settings(name: str, values: np.ndarray) -> Iterator[_Setting]:
    levels = np.unique(values[np.isfinite(values)])
    value, words = _reference(values)
    if len(levels) <= MOST_CATEGORIES:
        for level in levels[levels != value]:
            yield _Setting(covariate=name, value=float(level), at=f"= {level:g}", reference=words)
        return
    for q in QUANTILES:
        point = float(np.quantile(values, q))
        yield _Setting(covariate=name, value=point, at=f"{point:.4g} ({100 * q:g} %)", reference=words)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Typical:
    """Typical individual parameters (d,) on their natural scale and their derivatives (d, n_theta)."""

    mu: BatchFunction
    inputs: tuple[str, ...]
    thetas: dict[str, float]
    transforms: tuple[Transform, ...]

    @classmethod
    def of(cls, at: AtEstimates) -> _Typical:
        form, model = at.problem.form, at.problem.model
        thetas = {t.name: float(v) for t, v in zip(model.thetas, at.population.thetas, strict=True)}
        wanted = tuple(name for name in thetas if name in form.mu.inputs)
        return cls(
            mu=link_numpy(form.mu, wanted),
            inputs=form.mu.inputs,
            thetas=thetas,
            transforms=tuple(latent.transform for latent in form.latents),
        )

    def __call__(self, covariates: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
        known = {**self.thetas, **covariates}
        z, jacobian = self.mu(*(np.float64(known[name]) for name in self.inputs))
        natural = [_to_natural(t, value) for t, value in zip(self.transforms, z[0], strict=True)]
        place = {name: i for i, name in enumerate(self.thetas)}
        full = np.zeros((len(natural), len(place)))
        full[:, [place[name] for name in self.mu.wrt]] = jacobian[0]
        return np.array([v for v, _ in natural]), full * np.array([s for _, s in natural])[:, None]


def _to_natural(transform: Transform, z: float) -> tuple[float, float]:
    """psi and d psi / dz."""
    if transform.kind == "log":
        return transform.lower + float(np.exp(z)), float(np.exp(z))
    if transform.kind == "logit":
        share, width = 1.0 / (1.0 + float(np.exp(-z))), transform.upper - transform.lower
        return transform.lower + width * share, width * share * (1.0 - share)
    return float(z), 1.0


def theta_covariance(standard_errors: np.ndarray) -> np.ndarray:
    """(n, n) from standard errors alone: covariances are unknown (NaN), so only ratios that depend on one THETA have an
    interval."""
    errors = np.asarray(standard_errors, dtype=float)
    unknown = np.full((len(errors), len(errors)), np.nan)
    np.fill_diagonal(unknown, errors**2)
    return unknown
