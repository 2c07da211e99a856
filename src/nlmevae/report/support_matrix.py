"""Which covariate acts on which parameter, as in the paper's figure 4: one cell per pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nlmevae.report.effect_grid import EffectGrid, decisive, effect_grid, most_telling_columns
from nlmevae.report.style import EXCLUDED_BACKGROUND, FORCED, INK, QUIET, in_house_style, shorten
from nlmevae.results.selection_result import EffectResult, SelectionResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Upper end of the margin, colour, what it is called. 2, 6 and 10 are the classes of Kass and Raftery (1995, J Am
#: Stat Assoc 90:773-795, section 4.1) for differences of BIC.
SELECTED_CLASSES = (
    (2.0, "#C6DBEF", "selected, borderline (margin under 2)"),
    (6.0, "#6BAED6", "selected, margin 2 to 6"),
    (10.0, "#2878B5", "selected, margin 6 to 10"),
    (math.inf, "#083A73", "selected, margin over 10"),
)
EXCLUDED_CLASSES = (
    (2.0, "#FCE3B8", "not selected, but borderline (margin under 2)"),
    (math.inf, EXCLUDED_BACKGROUND, "not selected"),
)

#: More columns are not readable on one page.
LARGEST = 40
#: From so many columns on, covariates are the rows.
UPRIGHT_FROM = 11


@in_house_style
def support_figure(result: SelectionResult) -> Figure:
    """The matrix: colour by decision and margin; the estimate in selected cells, the margin below it."""
    from matplotlib.figure import Figure

    grid = effect_grid(result)
    columns = most_telling_columns(grid, LARGEST)
    upright = len(columns) >= UPRIGHT_FROM
    wide, high = (grid.parameters, columns) if upright else (columns, grid.parameters)
    cell_width, cell_height = (0.92, 0.27 if len(columns) > 20 else 0.36) if upright else (0.92, 0.52)
    size = (max(5.4, cell_width * len(wide) + 1.8), cell_height * len(high) + 2.3)
    one_line = cell_height < 0.5
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    _frame(axes, wide, high)
    shown: set[tuple[str, str]] = set()
    for (parameter, column), effects in grid.cells.items():
        if column in columns:
            place = (wide.index(parameter), high.index(column)) if upright else (
                wide.index(column), high.index(parameter)
            )  # fmt: skip
            shown.add(_cell(axes, place, effects, one_line=one_line))
    _labels(figure, axes, result, grid, n_shown=len(columns), one_line=one_line, classes=shown)
    return figure


def _frame(axes: Axes, wide: Sequence[str], high: Sequence[str]) -> None:
    axes.set_xlim(-0.5, len(wide) - 0.5)
    axes.set_ylim(len(high) - 0.5, -0.5)
    turned = any(len(name) > 10 for name in wide)
    axes.set_xticks(range(len(wide)), [shorten(n, 14) for n in wide], rotation=35 if turned else 0)
    if turned:
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("left")
            label.set_rotation_mode("anchor")
    axes.set_yticks(range(len(high)), [shorten(n, 18) for n in high])
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)


def _cell(axes: Axes, place: tuple[int, int], effects: tuple[EffectResult, ...], *, one_line: bool) -> tuple[str, str]:
    """Draw the cell; its colour and what that means."""
    from matplotlib.patches import Rectangle

    effect = decisive(effects)
    colour, meaning = cell_class(effect)
    x, y = place
    axes.add_patch(Rectangle((x - 0.47, y - 0.44), 0.94, 0.88, facecolor=colour, linewidth=0.0))
    ink = "white" if _is_dark(colour) else INK if effect.selected else QUIET
    if effect.selected:
        values = _estimates(effect)
        form = f" {effect.form[:3]}" if len(effects) > 1 else ""
        margin = "" if math.isnan(effect.margin) else f"{effect.margin:.1f}"
        if one_line:
            axes.text(x, y, f"{values}{form}", ha="center", va="center", color=ink, weight="bold", fontsize=7.5)
            return colour, meaning
        axes.text(x, y - 0.14, f"{values}{form}", ha="center", va="center", color=ink, weight="bold")
        axes.text(x, y + 0.22, margin, ha="center", va="center", color=ink, fontsize=7)
    elif not one_line and not math.isnan(effect.margin):
        axes.text(x, y + 0.22, f"{effect.margin:.1f}", ha="center", va="center", color=ink, fontsize=7)
    return colour, meaning


def cell_class(effect: EffectResult) -> tuple[str, str]:
    """Colour and meaning."""
    if effect.forced:
        return FORCED, "forced into the model"
    if effect.selected and math.isnan(effect.margin):
        return SELECTED_CLASSES[1][1], "selected"
    classes = SELECTED_CLASSES if effect.selected else EXCLUDED_CLASSES
    margin = math.inf if math.isnan(effect.margin) else effect.margin
    return next((colour, text) for end, colour, text in classes if margin < end or end == math.inf)


def _estimates(effect: EffectResult) -> str:
    if len(effect.beta) > 2:
        return f"{len(effect.beta)} coeff."
    return ", ".join(two_digits(b) for b in effect.beta)


def two_digits(value: float) -> str:
    """``0.30``, ``−1.2``, ``350``."""
    text = f"{value:.0f}" if 100.0 <= abs(value) < 1e6 else f"{value:#.2g}".rstrip(".")
    return text.replace("-", "−")


def _is_dark(colour: str) -> bool:
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue < 140


def _labels(
    figure: Figure,
    axes: Axes,
    result: SelectionResult,
    grid: EffectGrid,
    *,
    n_shown: int,
    one_line: bool,
    classes: set[tuple[str, str]],
) -> None:
    from matplotlib.patches import Patch

    title = f"Covariate effects by {result.criterion}: {len(result.support)} of {len(result.effects)} selected"
    if n_shown < len(grid.columns):
        title += f"\n{n_shown} of {len(grid.columns)} covariates shown; nothing was selected with the others"
    figure.suptitle(title, fontsize=10)
    every = (*SELECTED_CLASSES, *EXCLUDED_CLASSES)
    order = [(FORCED, "forced into the model"), (SELECTED_CLASSES[1][1], "selected"), *((c, t) for _, c, t in every)]
    handles = [Patch(facecolor=c, edgecolor=QUIET, linewidth=0.4, label=t) for c, t in order if (c, t) in classes]
    n_columns = 1 if axes.figure.get_figwidth() < 7 else 2
    legend = figure.legend(handles=handles, loc="outside lower left", ncols=n_columns, frameon=False)
    small = "" if one_line else ", small number: margin"
    legend.set_title(f"Bold: estimate{small}; colour: margin, in units of the criterion", prop={"size": 8})
    legend._legend_box.align = "left"
