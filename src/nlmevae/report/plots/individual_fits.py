"""Observations and predicted curves of single subjects, and which subjects to show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nlmevae.report.plots.panel import empty, grid, legend_below, points, span
from nlmevae.report.style import COLOUR, Theme, in_house_style, shorten
from nlmevae.results.diagnostics import Diagnostics, IndividualCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PER_PAGE, COLUMNS = 12, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSubject:
    """Index of the subject and why it is shown: "best", "worst", "random" or "" (all are)."""

    index: int
    why: str = ""


def chosen_subjects(minus_two_ll: np.ndarray, n_obs: np.ndarray, n: int, *, seed: int) -> tuple[ShownSubject, ...]:
    """All subjects in data order if there are at most `n`; else a quarter of `n` with the lowest and a quarter with
    the highest -2 log-likelihood per observation, best first, and between them random others in data order.

    Subjects without observations are shown only if all are.
    """
    if len(n_obs) <= n:
        return tuple(ShownSubject(index=k) for k in range(len(n_obs)))
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(n_obs > 0, minus_two_ll / n_obs, np.nan)
    known = np.flatnonzero(np.isfinite(score))
    ranked = known[np.argsort(score[known], kind="stable")]
    n_ends = min(n // 4, len(ranked) // 2)
    best, worst = ranked[:n_ends], ranked[len(ranked) - n_ends :]
    others = np.setdiff1d(np.flatnonzero(n_obs > 0), np.concatenate([best, worst]))
    n_random = min(n - 2 * n_ends, len(others))
    random = np.sort(np.random.default_rng([seed, 11]).choice(others, size=n_random, replace=False))
    groups = (("best", best), ("random", random), ("worst", worst))
    return tuple(ShownSubject(index=int(k), why=why) for why, indices in groups for k in indices)


@in_house_style
def individual_fits_figure(
    diagnostics: Diagnostics,
    subjects: Sequence[ShownSubject],
    endpoint: int = 0,
    *,
    doses: Sequence[np.ndarray] = (),
    minus_two_ll_per_observation: np.ndarray | None = None,
    theme: Theme = COLOUR,
) -> Figure:
    """One panel per subject: observations, curve of the individual and of the population prediction, doses as ticks
    on the time axis. Every panel has its own scale.

    Args:
        doses: (N subjects) times of each subject's doses.
        minus_two_ll_per_observation: (N,), printed beside the ID.
    """
    figure, panels = grid(max(len(subjects), 1), columns=COLUMNS, height=1.75)
    if not subjects:
        empty(panels[0], "no subject to show")
        return figure
    curves = {(c.subject, c.endpoint): c for c in diagnostics.curves}
    for axes, shown in zip(panels, subjects, strict=True):
        curve = curves.get((shown.index, endpoint))
        given = doses[shown.index] if shown.index < len(doses) else np.zeros(0)
        _subject(axes, diagnostics, shown.index, endpoint, curve, given, theme)
        axes.set_title(
            _title(diagnostics.labels[shown.index], shown, minus_two_ll_per_observation), fontsize=8, loc="left"
        )
        axes.tick_params(labelsize=7)
        axes.locator_params(nbins=4)
    for axes in panels[-COLUMNS:]:
        axes.set_xlabel(shorten(diagnostics.time_name, 24), fontsize=8)
    for axes in panels[::COLUMNS]:
        axes.set_ylabel(shorten(diagnostics.endpoints[endpoint].name, 18), fontsize=8)
    legend_below(figure, panels, columns=5)
    return figure


def _title(label: str, shown: ShownSubject, score: np.ndarray | None) -> str:
    text = f"ID {shorten(label, 12)}"
    if score is not None and math.isfinite(score[shown.index]):
        text += f", {score[shown.index]:.2f}".replace("-", "−")
    return f"{text} ({shown.why})" if shown.why else text


def _subject(
    axes: Axes,
    diagnostics: Diagnostics,
    subject: int,
    endpoint: int,
    curve: IndividualCurve | None,
    doses: np.ndarray,
    theme: Theme,
) -> None:
    o = diagnostics.observations
    own = (o.subject == subject) & (o.endpoint == endpoint)
    time, dv, censored = o.time[own], o.dv[own], o.censored[own]
    known = [v[np.isfinite(v)] for v in (dv, *((curve.pred, curve.ipred) if curve is not None else ()))]
    if not any(len(v) for v in known):
        empty(axes, "no observation of this kind")
        return
    last = max((float(v.max()) for v in (time, () if curve is None else curve.time) if len(v)), default=np.inf)
    doses = doses[doses <= last]
    if curve is not None:
        axes.plot(
            curve.time, curve.pred, color=theme.population, linewidth=1.1, linestyle=(0, (4, 2)), label="PRED", zorder=3
        )  # fmt: skip
        axes.plot(curve.time, curve.ipred, color=theme.individual, linewidth=1.4, label="IPRED", zorder=4)
    points(axes, time[~censored], dv[~censored], color=theme.reference, label="observed", s=12, alpha=0.85, zorder=5)
    if censored.any():
        points(
            axes, time[censored], dv[censored], color=theme.censored, label="BLQ", s=18, alpha=0.9, marker="v", zorder=5
        )
    low, high = span(*known)
    smallest = min(float(v.min()) for v in known if len(v))
    axes.set_ylim(0.0 if smallest >= 0.0 else low, high)
    if len(doses):
        rug = axes.get_xaxis_transform()
        axes.plot(
            doses, np.full(len(doses), 0.0), marker="|", markersize=6, markeredgewidth=0.8 if len(doses) < 30 else 0.3,
            color=theme.reference, linestyle="none",
            transform=rug, clip_on=False, zorder=6, label="dose",
        )  # fmt: skip
    times = [time, doses] + ([curve.time] if curve is not None else [])
    axes.set_xlim(span(*times, room=0.03))
