"""Figures as parts of the page: vector graphics where they are small, else pixels."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from nlmevae.report.page.blocks import Picture
from nlmevae.report.style import house_style, png
from nlmevae.report.vector import svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: A larger vector graphic is replaced by pixels if they are fewer bytes.
LARGEST_SVG = 220_000
#: CSS pixels per inch of a figure, a fifth more than its nominal size: letters as large as those of the text.
PIXELS_PER_INCH = 115


def picture(draw: Callable[[], Figure], *, alt: str, caption: str) -> Picture:
    """The figure that `draw` makes, in the page."""
    with house_style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the caption has the text
        warnings.filterwarnings("ignore", message="constrained_layout not applied")  # tiny panels of many subjects
        figure = draw()
        figure.draw_without_rendering()  # the layout is computed once; savefig would do it twice for every file
        figure.set_layout_engine("none")
        kind, content = "svg+xml", svg(figure)
        if len(content) > LARGEST_SVG and len(pixels := png(figure)) < len(content):
            kind, content = "png", pixels
        width = round(figure.get_figwidth() * PIXELS_PER_INCH)
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return Picture(source=source, alt=alt, caption=caption, width=width)
