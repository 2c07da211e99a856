"""Panels and labels at fixed places, in inches. Letters have the same size in every figure, so that the room they need
is known; matplotlib's constrained layout, which measures all of them several times, costs more than the drawing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: From the upper edge to the title of a figure.
EDGE = 0.04
#: From the lower edge of a panel to the name of its axis: tick, its label, a little room.
BELOW_PANEL = 0.24

Shared = Literal["none", "all", "col", "row"]


def panels(
    figure: Figure,
    shape: tuple[int, int],
    *,
    left: float,
    right: float,
    top: float,
    bottom: float,
    gap: tuple[float, float] = (0.0, 0.0),
    heights: Sequence[float] | None = None,
    sharex: Shared = "none",
    sharey: Shared = "none",
) -> np.ndarray:
    """(rows, columns) axes. `left`, `right`, `top`, `bottom`: from the edges of the figure to the panels; `gap`:
    between columns and between rows; `heights`: of the rows, in proportion. All in inches."""
    width, height = figure.get_size_inches()
    rows, columns = shape
    cell_width = (width - left - right - gap[0] * (columns - 1)) / columns
    cell_height = (height - top - bottom - gap[1] * (rows - 1)) / rows
    places = figure.add_gridspec(
        rows, columns, left=left / width, right=1.0 - right / width, top=1.0 - top / height, bottom=bottom / height,
        wspace=gap[0] / cell_width, hspace=gap[1] / cell_height, height_ratios=heights,
    )  # fmt: skip
    return places.subplots(squeeze=False, sharex=sharex, sharey=sharey)


def figure_title(figure: Figure, text: str) -> None:
    """At the upper edge."""
    figure.suptitle(text, fontsize=10, y=1.0 - EDGE / figure.get_figheight(), va="top")


def panel_title(axes: Axes, text: str, **more: object) -> None:
    """Directly above the panel: nothing else stands there that it would have to avoid."""
    axes.set_title(text, y=1.0, **more)


def below(axes: Axes, text: str) -> None:
    """The name of the x axis."""
    from matplotlib.transforms import ScaledTranslation

    axes.set_xlabel(text)
    shift = ScaledTranslation(0.0, -BELOW_PANEL, axes.figure.dpi_scale_trans)
    axes.xaxis.set_label_coords(0.5, 0.0, transform=axes.transAxes + shift)


def beside(axes: Axes, text: str, *, distance: float) -> None:
    """The name of the y axis, its right edge `distance` to the left of the panel."""
    from matplotlib.transforms import ScaledTranslation

    axes.set_ylabel(text)
    shift = ScaledTranslation(-distance, 0.0, axes.figure.dpi_scale_trans)
    axes.yaxis.set_label_coords(0.0, 0.5, transform=axes.transAxes + shift)


def widest(figure: Figure, texts: Iterable[str], *, size: float) -> float:
    """Width of the widest of the texts at a font size in points."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = (Text(0, 0, text, fontsize=size, figure=figure).get_window_extent(renderer) for text in texts)
    return max((box.width for box in boxes), default=0.0) / figure.dpi
