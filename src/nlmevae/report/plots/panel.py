"""What all panels have in common: the grid, dense layers, axes that do not mislead, and why a panel is empty."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nlmevae.report.style import QUIET, bare

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.6
#: Layers with more points are pictures within the vector graphic.
DENSE = 400
#: Where quantiles of the standard normal distribution cut 5 %.
NORMAL_95 = 1.959964


def grid(n: int, *, columns: int, height: float = 2.5, width: float = WIDTH) -> tuple[Figure, list[Axes]]:
    """A figure with `n` panels in rows of `columns`, each `height` inches high."""
    from matplotlib.figure import Figure

    n_columns = max(1, min(n, columns))
    n_rows = max(1, math.ceil(n / n_columns))
    figure = Figure(figsize=(width, height * n_rows), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06, wspace=0.02, hspace=0.02)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel().tolist()
    for axes in panels[n:]:
        axes.set_axis_off()
    for axes in panels[:n]:
        bare(axes)
    return figure, panels[:n]


def empty(axes: Axes, reason: str) -> None:
    """Say in the panel why there is nothing in it."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(
        0.5, 0.5, reason, ha="center", va="center", color=QUIET, fontsize=8, wrap=True, transform=axes.transAxes
    )  # fmt: skip


def note(axes: Axes, text: str) -> None:
    """A small remark inside the upper left corner of a panel."""
    axes.annotate(
        text, (0.0, 1.0), xycoords="axes fraction", xytext=(4, -3), textcoords="offset points",
        ha="left", va="top", fontsize=7, color=QUIET, zorder=6,
    )  # fmt: skip


def points(axes: Axes, x: np.ndarray, y: np.ndarray, *, color: str, total: int | None = None, **more: Any) -> None:
    """Observations: smaller and fainter the more there are (`total` of the figure's panel, if not all are in this
    layer). Points that are not finite are left out."""
    known = np.isfinite(x) & np.isfinite(y)
    n = total if total is not None else len(x)
    size, alpha = (16.0, 0.75) if n <= 150 else (10.0, 0.6) if n <= DENSE else (5.0, 0.35) if n <= 3000 else (3.0, 0.25)
    options = {"s": size, "alpha": alpha, "linewidths": 0.0, "rasterized": int(known.sum()) > DENSE, "zorder": 2}
    axes.scatter(x[known], y[known], color=color, **{**options, **more})


def span(*values: np.ndarray, room: float = 0.04) -> tuple[float, float]:
    """From the smallest to the largest finite value, with a little room; (0, 1) if there is none."""
    everything = np.concatenate([np.asarray(v, dtype=float).ravel() for v in values]) if values else np.zeros(0)
    everything = everything[np.isfinite(everything)]
    if not len(everything):
        return 0.0, 1.0
    low, high = float(everything.min()), float(everything.max())
    margin = room * (high - low) or 0.05 * abs(high) or 0.5
    return low - margin, high + margin


def log_span(*values: np.ndarray) -> tuple[float, float]:
    """Like `span`, of the positive values, for a logarithmic axis."""
    positive = [v[np.isfinite(v) & (v > 0.0)] for v in values]
    low, high = span(*(np.log(v) for v in positive), room=0.05)
    return math.exp(low), math.exp(high)


def percent(share: float) -> str:
    """``95 %``."""
    return f"{100.0 * share:g} %"


def symmetric(values: np.ndarray, *, least: float = 3.5) -> tuple[float, float]:
    """Limits of residuals: zero in the middle, `least` on each side at least."""
    finite = np.abs(values[np.isfinite(values)])
    largest = max(float(finite.max()) * 1.06, least) if len(finite) else least
    return -largest, largest


def plain_log(axis: Any) -> None:
    """Ticks of a logarithmic axis as plain numbers; between decades where there are few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high / low) if low > 0.0 else 1.0
    axis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2.5 else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def residual_lines(axes: Axes, color: str) -> None:
    """Zero, and the limits within which 95 % of standard normal values lie."""
    axes.axhline(0.0, color=color, linewidth=0.9, zorder=1)
    for side in (-NORMAL_95, NORMAL_95):
        axes.axhline(side, color=color, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)


def legend_below(figure: Figure, axes: Sequence[Axes], *, columns: int = 4) -> None:
    """One legend for all panels: every label once, in the order in which it was first drawn."""
    found: dict[str, Any] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if not found:
        return
    legend = figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=columns, frameon=False)
    for handle in legend.legend_handles:
        if hasattr(handle, "set_sizes"):  # dots of a dense panel are too small to be recognised
            handle.set_sizes([16.0])
            handle.set_alpha(0.8)


def each(figure: Figure, panels: Sequence[Axes], draw: Sequence[Callable[[Axes], None]]) -> Figure:
    """Draw every panel by its function; the figure."""
    for axes, function in zip(panels, draw, strict=True):
        function(axes)
    return figure
