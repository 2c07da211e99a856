"""Colours and type of all plots. Colours by Okabe and Ito, and steps of one hue: safe for colour-blind readers."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from nlmevae.results.run_folder import GENERATOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Lines that must be told apart (Okabe and Ito 2008), black last.
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A6A00", "#000000")

SELECTED = "#0072B2"
NEAR = "#E69F00"
EXCLUDED = "#9A9A9A"
EXCLUDED_BACKGROUND = "#F0F0F0"
FORCED = "#4D4D4D"
INK = "#222222"
QUIET = "#6E6E6E"

RC = {
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.unicode_minus": True,
    "path.simplify": True,
}

DOTS_PER_INCH = 150


def bare(axes: Axes) -> None:
    """Only the left and lower line of the frame."""
    axes.spines[["top", "right"]].set_visible(False)


def png(figure: Figure) -> bytes:
    """The figure as a PNG file that names this program, by which it is recognised as ours."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DOTS_PER_INCH, metadata={"Software": GENERATOR})
    return stream.getvalue()


def shorten(text: str, longest: int) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
