"""Visual predictive checks: quantiles of the data in bins of time beside those of simulated data sets.

Prediction correction (Bergstrand, Hooker, Wallin and Karlsson, AAPS J 13, 2011): observed and simulated values of a
bin are multiplied by median(PRED of the bin) / PRED, on a logarithmic scale shifted by the difference. It removes
what doses and covariates do to a bin's spread.

Values below a limit of quantification count as smaller than everything: a quantile that falls on one is NaN, and the
share of such values is a panel of its own (`below`). Simulated values below the observation's limit are treated the
same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlmevae.diagnostics.bins import bin_edges, bin_of
from nlmevae.results.diagnostics import VisualPredictiveCheck

LEVELS = (0.05, 0.5, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What a visual predictive check looks like; `bins`, `n_bins` and `edges` as in `bin_edges`."""

    prediction_corrected: bool = False
    bins: str = "natural"
    n_bins: int | None = None
    edges: tuple[float, ...] | None = None
    levels: tuple[float, ...] = LEVELS
    confidence: float = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedValues:
    """Observations of one panel: x, y, pred, limit (n,), simulated (K, n). `limit` is the limit of quantification,
    -inf where there is none; `below` (n,) y is such a limit. `log_scale`: y is a logarithm."""

    x: np.ndarray
    y: np.ndarray
    pred: np.ndarray
    simulated: np.ndarray
    below: np.ndarray
    limit: np.ndarray
    log_scale: bool = False

    def part(self, which: np.ndarray) -> CheckedValues:
        """Some of the observations."""
        return CheckedValues(
            **{name: getattr(self, name)[which] for name in ("x", "y", "pred", "below", "limit")},
            simulated=self.simulated[:, which],
            log_scale=self.log_scale,
        )


def visual_predictive_check(
    values: CheckedValues, options: CheckOptions, *, endpoint: int = 0, stratum: str = ""
) -> VisualPredictiveCheck | None:
    """One panel; None where no observation has a value of the independent variable."""
    values = values.part(np.isfinite(values.x))
    if not len(values.x):
        return None
    edges = bin_edges(values.x, method=options.bins, n_bins=options.n_bins, edges=options.edges)
    bin_index = bin_of(values.x, edges)
    y, simulated = values.y, values.simulated
    if options.prediction_corrected:
        y, simulated = _corrected(values, bin_index, len(edges) - 1)
    below = values.simulated < values.limit
    panel = _Panel(
        x=values.x,
        y=np.where(values.below, -np.inf, y),
        simulated=np.where(below, -np.inf, simulated),
        observed_below=values.below,
        simulated_below=below,
    )
    bins = [_summary(panel, bin_index == b, options) for b in range(len(edges) - 1)]
    return VisualPredictiveCheck(
        endpoint=endpoint,
        stratum=stratum,
        prediction_corrected=options.prediction_corrected,
        edges=edges,
        middle=np.array([b.middle for b in bins]),
        levels=np.array(options.levels),
        observed=np.array([b.observed for b in bins]),
        simulated=np.array([b.band for b in bins]),
        confidence=options.confidence,
        count=np.array([b.count for b in bins]),
        time=values.x,
        value=np.where(values.below, np.nan, y),
        below=np.array([b.below for b in bins]) if values.below.any() else None,
    )


@dataclass(frozen=True, slots=True)
class _Panel:
    """Values below the limit are -inf."""

    x: np.ndarray
    y: np.ndarray
    simulated: np.ndarray
    observed_below: np.ndarray
    simulated_below: np.ndarray


@dataclass(frozen=True, slots=True)
class _Bin:
    """Rows of the arrays of `VisualPredictiveCheck`."""

    count: int
    middle: float
    observed: np.ndarray
    band: np.ndarray
    below: np.ndarray


def _summary(panel: _Panel, own: np.ndarray, options: CheckOptions) -> _Bin:
    """One bin; NaN where it is empty."""
    q = len(options.levels)
    if not own.any():
        return _Bin(0, np.nan, np.full(q, np.nan), np.full((q, 3), np.nan), np.full(4, np.nan))
    tails = 0.5 - 0.5 * options.confidence, 0.5 + 0.5 * options.confidence
    below = _band(panel.simulated_below[:, own].mean(axis=1)[None], *tails)[0]
    return _Bin(
        count=int(own.sum()),
        middle=float(np.median(panel.x[own])),
        observed=_quantiles(panel.y[own], options.levels),
        band=_band(_quantiles(panel.simulated[:, own], options.levels), *tails),
        below=np.array([panel.observed_below[own].mean(), *below]),
    )


def _corrected(values: CheckedValues, bin_index: np.ndarray, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """y and simulated values as if every prediction were the median one of its bin."""
    typical = np.full(len(values.pred), np.nan)
    for b in range(n_bins):
        own = bin_index == b
        if own.any():
            typical[own] = np.median(values.pred[own])
    if values.log_scale:
        return values.y + (typical - values.pred), values.simulated + (typical - values.pred)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(values.pred == 0.0, np.where(typical == 0.0, 1.0, np.nan), typical / values.pred)
    return values.y * factor, values.simulated * factor


def _quantiles(values: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """(Q, ...) along the last axis, values that are NaN left out; NaN where the quantile is below the limit."""
    count = (~np.isnan(values)).sum(axis=-1)
    ordered = np.sort(values, axis=-1)  # NaN last
    result = []
    for level in levels:
        place = level * np.maximum(count - 1, 0)
        lower = np.floor(place).astype(int)
        upper = np.minimum(lower + 1, np.maximum(count - 1, 0))
        a, b = (np.take_along_axis(ordered, k[..., None], axis=-1)[..., 0] for k in (lower, upper))
        with np.errstate(invalid="ignore"):
            value = np.where(place == lower, a, a + (place - lower) * (b - a))
        result.append(np.where((count > 0) & np.isfinite(value), value, np.nan))
    return np.array(result)


def _band(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """(Q, 3) lower, median and upper quantile of (Q, K) over the replicates, NaN where fewer than half have one."""
    result = np.full((len(values), 3), np.nan)
    for q, own in enumerate(values):
        known = own[~np.isnan(own)]
        if len(known) and 2 * len(known) >= len(own):
            result[q] = np.quantile(known, [low, 0.5, high])
    return result
