"""Plots of the benchmark suite's figures, in the style of the reports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlmevae.report.style import EXCLUDED, LINES, QUIET, bare, house_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Found = dict[str, Any]
OVERVIEW = "overview"  # of several sections
RATIO_SECTIONS = ("decoder", "encoder", "m_step", "polish", "likelihood", "shares", "searches")
_WIDTH = 7.2


def draw(sections: dict[str, Found], folder: Path) -> list[Path]:
    """A PNG file of each plot that has something to show."""
    made = []
    for file, (_, name, plot) in PLOTS.items():
        if name != OVERVIEW and not sections.get(name, {}).get("figures"):
            continue
        with house_style():
            import matplotlib

            matplotlib.use("Agg")
            from matplotlib import pyplot

            figure = plot(sections)
            figure.savefig(folder / file, dpi=110)
            pyplot.close(figure)
        made.append(folder / file)
    return made


def fits(sections: dict[str, Found]) -> Figure:
    """Seconds of whole fits against N."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(_WIDTH + 1.0, 3.4), layout="constrained")
    found = [f for f in sections["fits"]["figures"] if f["name"] == "fit"]
    for colour, model in zip(LINES, dict.fromkeys(f["at"]["model"] for f in found), strict=False):
        points = [(f["at"]["N"], f["seconds"]) for f in found if f["at"]["model"] == model]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3.5, color=colour, label=model)
    _logarithmic(axes, "subjects", "seconds of a fit")
    _guide(axes, 1.0)
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def growth(sections: dict[str, Found]) -> Figure:
    """A panel for what varies."""
    from matplotlib import pyplot

    found = sections["growth"]["figures"]
    panels = list(dict.fromkeys(f["at"]["varies"] for f in found))
    figure, grid = pyplot.subplots(1, len(panels), figsize=(2.6 * len(panels), 3.2), sharey=True, layout="constrained")
    grid = [grid] if len(panels) == 1 else list(grid)
    names = list(dict.fromkeys(f["name"] for f in found))
    for axes, panel in zip(grid, panels, strict=True):
        own = [f for f in found if f["at"]["varies"] == panel]
        for colour, name in zip(LINES, names, strict=False):
            points = [(f["at"]["size"], f["seconds"]) for f in own if f["name"] == name]
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", markersize=3.5, color=colour, label=name)
        beside = [(f["at"]["size"], f["reference_seconds"]) for f in own if f["reference_seconds"]]
        if beside:
            style = {"color": QUIET, "linestyle": "--", "linewidth": 1.0}
            axes.plot(*zip(*beside, strict=True), marker="o", markersize=2.5, label="torchode, one step", **style)
        _logarithmic(axes, "subjects" if panel == "N" else panel, "")
    grid[0].set_ylabel("seconds")
    _guide(grid[0], 1.0)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure


def ratios(sections: dict[str, Found]) -> Figure:
    """Each figure's ratio to what ran beside it."""
    from matplotlib import pyplot

    rows = [  # named after the section, and of it after what ran beside
        (sections[s]["title"], f["reference"], f["ratio"])
        for s in RATIO_SECTIONS
        for f in sections.get(s, {}).get("figures", ())
        if f["ratio"]
    ]
    labels = list(dict.fromkeys(f"{title}: {_short(reference)}" for title, reference, _ in rows))
    figure, axes = pyplot.subplots(figsize=(_WIDTH, 1.2 + 0.26 * len(labels)), layout="constrained")
    colours = dict(zip(dict.fromkeys(title for title, _, _ in rows), LINES, strict=False))
    for title, reference, ratio in rows:
        y = labels.index(f"{title}: {_short(reference)}")
        axes.plot(ratio, y, marker="o", markersize=4.5, alpha=0.75, linestyle="", color=colours[title])
    axes.axvline(1.0, color=QUIET, linewidth=0.8)
    axes.set_xscale("log")
    _powers(axes.xaxis)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("times as long as ours")
    axes.grid(axis="x", alpha=0.25)
    bare(axes)
    return figure


def shares(sections: dict[str, Found]) -> Figure:
    """What the seconds of large fits consist of."""
    from matplotlib import pyplot

    found = [f for f in sections["shares"]["figures"] if "share" in f["more"]]
    figure, axes = pyplot.subplots(figsize=(_WIDTH, 0.9 + 0.42 * max(len(found), 1)), layout="constrained")
    for y, f in enumerate(found):
        left = 0.0
        for k, (part, share) in enumerate(f["more"]["share"].items()):
            colour = EXCLUDED if part == "everything else" else LINES[k]
            axes.barh(y, share, left=left, height=0.6, color=colour, label=part if y == 0 else None)
            if share > 0.04:
                axes.text(left + share / 2, y, f"{share:.0%}", ha="center", va="center", color="white", fontsize=7.5)
            left += share
    axes.set_yticks(range(len(found)), [f"{f['at']['model']}, N = {f['at']['N']}" for f in found])
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.invert_yaxis()
    bare(axes)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def _short(reference: str) -> str:
    return reference if len(reference) <= 60 else f"{reference[:59]}…"


def _logarithmic(axes: Axes, x: str, y: str) -> None:
    """Both axes; the sizes that were measured are the ticks of the first."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    sizes = sorted({float(size) for line in axes.get_lines() for size in line.get_xdata()})
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.set_xticks([], minor=True)
    _powers(axes.yaxis)
    axes.grid(alpha=0.25)
    bare(axes)


def _powers(axis: Axis) -> None:
    """Ticks at powers of ten, as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(base=10.0, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _guide(axes: Axes, slope: float) -> None:
    """A dotted line of proportional growth through the lower right of what is drawn."""
    lines = [line for line in axes.get_lines() if len(line.get_xdata()) > 1]
    if not lines:
        return
    last = max(float(line.get_xdata()[-1]) for line in lines)
    first = min(float(line.get_xdata()[0]) for line in lines)
    low = min(float(line.get_ydata()[-1]) for line in lines) / 2
    y = [low * (first / last) ** slope, low]
    axes.plot([first, last], y, color=QUIET, linestyle=":", linewidth=1.0, label="in proportion")


#: file -> title, the section it belongs to, and what draws it from all sections
PLOTS: dict[str, tuple[str, str, Callable[[dict[str, Found]], Any]]] = {
    "fits.png": ("Seconds of a fit against the number of subjects, by model", "fits", fits),
    "growth.png": ("Seconds of a step against subjects, observations, random effects and covariates", "growth", growth),
    "ratios.png": ("How many times as long references take", OVERVIEW, ratios),
    "shares.png": ("Shares of the parts of large fits", "shares", shares),
}
