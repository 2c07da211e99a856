"""Figures as small SVG files: what matplotlib writes, without what nobody sees."""

from __future__ import annotations

import io
import re
from collections import Counter
from typing import TYPE_CHECKING

from nlmevae.report.style import DOTS_PER_INCH
from nlmevae.results.run_folder import GENERATOR

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INVISIBLE = re.compile(r"<!--.*?-->|<!DOCTYPE[^>]*>|<metadata>.*?</metadata>", re.DOTALL)
_GROUP_NAME = re.compile(r'<g id="[^"]*"')
#: Paths and places; not the transforms, whose scale factors are small.
_COORDINATES = re.compile(r'\b(?:d|x|y)="[^"]*"')
_DECIMALS = re.compile(r"(\.\d\d)\d+")
_STYLE = re.compile(r' style="([^"]*)"')
_SPACE = re.compile(r"\s+")


def svg(figure: Figure) -> bytes:
    """The figure as an SVG file: the same bytes for the same figure, text as outlines. Layers drawn with
    ``rasterized=True`` are pictures in it. Coordinates are rounded to 0.01 points."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", dpi=DOTS_PER_INCH, metadata={"Date": None, "Creator": GENERATOR})
    return compact(stream.getvalue()).encode("utf-8")


def compact(text: str) -> str:
    """About a third of the size: coordinates rounded, repeated styles as classes, no comments, no group names."""
    text = _GROUP_NAME.sub("<g", _INVISIBLE.sub("", text))
    text = _COORDINATES.sub(lambda match: _DECIMALS.sub(r"\1", match[0]), text)
    text = _SPACE.sub(" ", text).replace("> <", "><")
    return _with_classes(text)


def _with_classes(text: str) -> str:
    """Every style that occurs more than once stands at the beginning and is named where it applies."""
    counts = Counter(_STYLE.findall(text))
    names = {style: f"s{k}" for k, style in enumerate(style for style, n in counts.items() if n > 1)}
    rules = "".join(f".{name}{{{style}}}" for style, name in names.items())

    def named(match: re.Match[str]) -> str:
        return f' class="{names[match[1]]}"' if match[1] in names else match[0]

    return _STYLE.sub(named, text).replace("</style>", f"{rules}</style>", 1)
