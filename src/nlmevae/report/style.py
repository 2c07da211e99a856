"""Colours and type of all plots. Colours by Okabe and Ito, and steps of one hue: safe for colour-blind readers."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec

from nlmevae.errors import MissingDependencyError, SettingsError
from nlmevae.results.run_folder import GENERATOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")

#: Lines that must be told apart (Okabe and Ito 2008), black last.
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A6A00", "#000000")

SELECTED = "#0072B2"
NEAR = "#E69F00"
EXCLUDED = "#9A9A9A"
EXCLUDED_BACKGROUND = "#F0F0F0"
FORCED = "#4D4D4D"
INK = "#222222"
QUIET = "#6E6E6E"


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Colours by what they show. `points` observations; `censored` those that are limits; `individual`,
    `population` predictions; `trend` local regressions; `reference` what is expected (identity, zero, the normal
    density); `middle`, `outer` simulated intervals of the median and of the other quantiles; `outside` observed
    quantiles that are not in theirs."""

    name: str
    points: str
    censored: str
    individual: str
    population: str
    trend: str
    reference: str
    middle: str
    outer: str
    outside: str


COLOUR = Theme(
    name="colour",
    points="#35607F",
    censored="#E69F00",
    individual="#0072B2",
    population="#D55E00",
    trend="#D55E00",
    reference="#222222",
    middle="#E8A27C",
    outer="#9CC3E0",
    outside="#B00020",
)
#: For black-and-white print: lines differ by dashes and fills by lightness.
GREY = Theme(
    name="grey",
    points="#5A5A5A",
    censored="#000000",
    individual="#000000",
    population="#7A7A7A",
    trend="#000000",
    reference="#000000",
    middle="#A8A8A8",
    outer="#D4D4D4",
    outside="#000000",
)
THEMES = {theme.name: theme for theme in (COLOUR, GREY)}

#: "text.parse_math": a dollar sign in a label is a dollar sign.
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
    "text.parse_math": False,
    "svg.hashsalt": GENERATOR,
    "svg.fonttype": "path",
}

DOTS_PER_INCH = 150

#: Whether `house_style` holds here.
_styled: ContextVar[bool] = ContextVar("styled", default=False)


@contextmanager
def house_style() -> Iterator[None]:
    """While it lasts matplotlib draws by `RC` and its own defaults, whatever the user has set; afterwards everything
    is as it was. Inside another such block it does nothing: setting hundreds of defaults takes as long as a panel.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise MissingDependencyError(
            "matplotlib is not installed", hint="python -m pip install 'nlmevae[report]'"
        ) from None
    if _styled.get():
        yield
        return
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        token = _styled.set(True)
        try:
            yield
        finally:
            _styled.reset(token)


def in_house_style(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """A function that draws a figure, whatever the user's matplotlib settings are."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with house_style():
            return draw(*args, **kwargs)

    return drawn


def theme_named(name: str) -> Theme:
    """SettingsError if there is none."""
    if name not in THEMES:
        raise SettingsError(f"there is no theme {name!r}", hint=f"choose one of {', '.join(THEMES)}")
    return THEMES[name]


def bare(axes: Axes) -> None:
    """Only the left and lower line of the frame."""
    axes.spines[["top", "right"]].set_visible(False)


def png(figure: Figure) -> bytes:
    """The figure as a PNG file that names this program, by which it is recognised as ours. `Figure.savefig` would
    draw twice, once for a layout that the drawing makes itself."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    stream = io.BytesIO()
    figure.set_dpi(DOTS_PER_INCH)
    FigureCanvasAgg(figure).print_png(stream, metadata={"Software": GENERATOR})
    return stream.getvalue()


def shorten(text: str, longest: int) -> str:
    """The text on one line, or its beginning and an ellipsis; bytes that are no text as ``\\xe9``."""
    line = " ".join(text.encode("utf-8", "backslashreplace").decode("utf-8").split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
