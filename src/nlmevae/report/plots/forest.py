"""How much covariates change the parameters: a forest plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nlmevae.report.plots.panel import empty, grid
from nlmevae.report.style import COLOUR, QUIET, Theme, in_house_style, shorten
from nlmevae.results.effect_size import EffectSize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Half of this and one over it: changes within are usually held to be without clinical meaning.
NO_EFFECT = (0.8, 1.25)


@in_house_style
def forest_figure(effects: Sequence[EffectSize], *, theme: Theme = COLOUR) -> Figure:
    """Parameter at each covariate value relative to the reference subject, with 95 % confidence interval where the
    estimates have standard errors; the shaded range is 0.8 to 1.25."""
    figure, (axes,) = grid(1, columns=1, height=1.0 + 0.27 * max(len(effects), 1))
    if not effects:
        empty(axes, "no covariate effect in the model")
        return figure
    places = np.arange(len(effects))[::-1]
    ratio = np.array([e.ratio for e in effects])
    ends = np.array([[e.low, e.high] for e in effects])
    axes.axvspan(*NO_EFFECT, color="#EDEDED", linewidth=0, zorder=0)
    axes.axvline(1.0, color=theme.reference, linewidth=0.9, zorder=1)
    for place, (low, high) in zip(places, ends, strict=True):
        if np.isfinite(low) and np.isfinite(high):
            axes.plot(
                [low, high], [place, place], color=theme.individual, linewidth=1.6, zorder=2, solid_capstyle="butt"
            )
    axes.plot(ratio, places, "o", color=theme.individual, markersize=5, zorder=3)
    _value_column(axes, effects, places)
    axes.set_yticks(places, [_row_label(e) for e in effects])
    axes.set_ylim(-0.7, len(effects) - 0.3)
    axes.set_xlim(_limits(ratio, ends))
    axes.set_xlabel("parameter relative to the reference subject")
    axes.tick_params(axis="y", length=0)
    return figure


def _row_label(effect: EffectSize) -> str:
    return f"{shorten(effect.parameter, 12)} · {shorten(effect.covariate, 14)} {shorten(effect.at, 18)}"


def _value_column(axes, effects: Sequence[EffectSize], places: np.ndarray) -> None:
    for place, effect in zip(places, effects, strict=True):
        text = f"{effect.ratio:.2f}"
        if np.isfinite(effect.low):
            text += f" [{effect.low:.2f}, {effect.high:.2f}]"
        axes.annotate(
            text, (1.0, place), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
            va="center", ha="left", fontsize=8, color=QUIET, annotation_clip=False,
        )  # fmt: skip


def _limits(ratio: np.ndarray, ends: np.ndarray) -> tuple[float, float]:
    known = np.concatenate([ratio, ends.ravel(), NO_EFFECT])
    known = known[np.isfinite(known)]
    low, high = float(known.min()), float(known.max())
    room = 0.06 * (high - low)
    return low - room, high + room
