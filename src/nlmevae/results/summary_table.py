"""What the console and reports show of a fit, as rows of plain values; no formatting here."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from nlmevae.results.fit_result import Estimate, FitResult
from nlmevae.results.likelihood_names import LABELS, METHODS


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateRow:
    """One population parameter as shown.

    Attributes:
        value: THETA, or the variance or covariance; in a Monolix project the standard deviation or correlation.
        rse_percent: standard error relative to the estimate; None where one of them is 0 or unknown.
        low, high: confidence interval of level 95 %, transformed back from the scale of estimation; None if unknown.
        sd: square root of a variance, correlation of a covariance; None for a THETA.
        cv_percent: 100 sqrt(exp(omega^2) - 1) for the random effect of a log-normal parameter, else None.
        shrinkage_percent: 100 (1 - SD(eta)/omega) for an OMEGA diagonal, the same of the residuals for a SIGMA one.
        remark: "fixed", "at its bound" or "".
    """

    name: str
    label: str
    kind: str
    init: float
    value: float
    standard_error: float | None
    rse_percent: float | None
    low: float | None
    high: float | None
    sd: float | None
    cv_percent: float | None
    shrinkage_percent: float | None
    remark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LikelihoodRow:
    """One number with its full name; `mc_se` is its Monte-Carlo standard error, None if it has none."""

    label: str
    value: float
    mc_se: float | None


_METHODS = (*((method, f"-2LL ({LABELS[method]})") for method in METHODS), ("elbo", "-2ELBO (upper bound)"))


def estimate_rows(result: FitResult) -> tuple[EstimateRow, ...]:
    """THETAs, then OMEGA, then SIGMA, in the source's order; fixed zero covariances left out. Of a Monolix project its
    own parameters: standard deviations and correlations by their names, no SIGMA (the sizes of errors are a, b)."""
    order = {"theta": 0, "omega": 1, "sigma": 2}
    shown = [e for e in result.estimates if not (e.row != e.column and e.fixed and e.value == 0.0)]
    rows = sorted(shown, key=lambda e: order[e.kind])
    if result.source_format == "monolix":
        return tuple(_monolix_row(e, result) for e in rows if e.kind != "sigma" and e.label)
    return tuple(_estimate_row(e, result) for e in rows)


def _monolix_row(estimate: Estimate, result: FitResult) -> EstimateRow:
    row = replace(_estimate_row(estimate, result), name=estimate.label)
    if estimate.kind == "theta":
        return row
    known, value = result.uncertainty, row.sd
    error = low = high = None
    if known is not None and estimate.standard_error is not None:
        k = known.names.index(estimate.name)
        error = float(known.sd_standard_errors[k])
        low, high = known.sd_intervals[k].tolist()
    return replace(
        row,
        init=_initial(estimate, result),
        value=math.nan if value is None else value,
        standard_error=error,
        rse_percent=100.0 * error / abs(value) if error is not None and value else None,
        low=low,
        high=high,
        sd=None,
    )


def _initial(estimate: Estimate, result: FitResult) -> float:
    """Standard deviation, or correlation."""
    variance = {e.row: e.init for e in result.estimates if e.kind == estimate.kind and e.row == e.column}
    scale = math.sqrt(variance[estimate.row] * variance[estimate.column])
    if estimate.row == estimate.column:
        return math.sqrt(estimate.init)
    return estimate.init / scale if scale > 0.0 else math.nan


def _estimate_row(estimate: Estimate, result: FitResult) -> EstimateRow:
    low, high = _interval(estimate, result)
    return EstimateRow(
        name=estimate.name,
        label=estimate.label,
        kind=estimate.kind,
        init=estimate.init,
        value=estimate.value,
        standard_error=estimate.standard_error,
        rse_percent=_relative(estimate),
        low=low,
        high=high,
        sd=_sd_or_correlation(estimate, result),
        cv_percent=_cv_percent(estimate, result),
        shrinkage_percent=_shrinkage(estimate, result),
        remark="fixed" if estimate.fixed else "at its bound" if estimate.at_bound else "",
    )


def _relative(estimate: Estimate) -> float | None:
    if estimate.standard_error is None or estimate.value == 0.0:
        return None
    return 100.0 * estimate.standard_error / abs(estimate.value)


def _interval(estimate: Estimate, result: FitResult) -> tuple[float | None, float | None]:
    known = result.uncertainty
    if known is None or estimate.standard_error is None:
        return None, None
    low, high = known.intervals[known.names.index(estimate.name)].tolist()
    return low, high


def _sd_or_correlation(estimate: Estimate, result: FitResult) -> float | None:
    if estimate.kind == "theta":
        return None
    if estimate.row == estimate.column:
        return math.sqrt(estimate.value) if estimate.value >= 0.0 else math.nan
    matrix = result.omega if estimate.kind == "omega" else result.sigma
    i, j = estimate.row - 1, estimate.column - 1
    product = float(matrix[i, i] * matrix[j, j])
    return estimate.value / math.sqrt(product) if product > 0.0 else math.nan


def _cv_percent(estimate: Estimate, result: FitResult) -> float | None:
    """Of a log-normal parameter: psi = exp(mu + eta) has CV sqrt(exp(omega^2) - 1)."""
    if estimate.kind != "omega" or estimate.row != estimate.column or estimate.row > len(result.eta_transforms):
        return None
    if result.eta_transforms[estimate.row - 1] != "log":
        return None
    return 100.0 * math.sqrt(math.expm1(estimate.value)) if 0.0 <= estimate.value < 700.0 else math.nan


def _shrinkage(estimate: Estimate, result: FitResult) -> float | None:
    if estimate.kind == "theta" or estimate.row != estimate.column:
        return None
    values = result.eta_shrinkage_sd if estimate.kind == "omega" else result.eps_shrinkage_sd
    if estimate.row > len(values) or not math.isfinite(values[estimate.row - 1]):
        return None
    return float(values[estimate.row - 1])


def likelihood_rows(result: FitResult) -> tuple[LikelihoodRow, ...]:
    """Every likelihood by its explicit name; criteria from importance sampling, else from linearisation."""
    rows = []
    for method, label in _METHODS:
        value = result.likelihood(method)
        if value is not None:
            mc_se = value.mc_se if method == "is" else None
            rows.append(LikelihoodRow(label=label, value=value.minus_two_ll, mc_se=mc_se))
    if result.likelihood("is") is not None and result.source_format != "monolix":
        label = "OFV, NONMEM scale (-2LL minus n*ln(2*pi))"
        rows.append(LikelihoodRow(label=label, value=result.ofv_nonmem, mc_se=None))
    basis = result.likelihood("is") or result.likelihood("lin")
    if basis is not None:
        for label, value in (("AIC", basis.aic), ("BIC", basis.bic), ("BICc", basis.bicc)):
            rows.append(LikelihoodRow(label=label, value=value, mc_se=None))
    return tuple(rows)
