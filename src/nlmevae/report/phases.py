"""The phases of a run, as a strip along the upper edge of every panel over iterations."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nlmevae.report.style import INK, QUIET, bare

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Phase of the trace -> colour of its strip, name.
PHASES = {
    "burn-in": ("#BDBDBD", "burn-in"),
    "vae": ("#56B4E9", "VAE training"),
    "start": ("#F0E442", "start of the exact part"),
    "polish": ("#009E73", "polish"),
}


def mark_phases(axes: Axes, phases: Sequence[str], *, start: int = 1) -> None:
    """Strip, dotted lines where phases begin, and the limits of the axis; iterations count from `start`."""
    bare(axes)
    axes.set_xlim(start - 0.5, start + max(len(phases), 1) - 0.5)
    begins = [0, *(k for k in range(1, len(phases)) if phases[k] != phases[k - 1]), len(phases)]
    for first, end in itertools.pairwise(begins):
        if first == end:
            continue
        colour = PHASES.get(phases[first], (QUIET, ""))[0]
        axes.axvspan(start + first - 0.5, start + end - 0.5, ymin=0.965, ymax=1.0, color=colour, linewidth=0, zorder=3)
        if first:
            axes.axvline(start + first - 0.5, color=QUIET, linewidth=0.6, linestyle=":", zorder=0)


def phase_legend(figure: Figure, phases: Sequence[str], *, note: str = "", place: str = "outside lower center") -> None:
    """Below the panels; `note` is added to the names of the phases that iterate ("with selection")."""
    from matplotlib.patches import Patch

    def name(phase: str) -> str:
        words = PHASES.get(phase, ("", phase))[1]
        return f"{words} {note}" if note and phase in ("vae", "polish") else words

    handles = [Patch(color=PHASES.get(phase, (QUIET, ""))[0], label=name(phase)) for phase in dict.fromkeys(phases)]
    figure.legend(handles=handles, loc=place, ncols=4, frameon=False, labelcolor=INK)


def settled_range(phases: Sequence[str], *values: np.ndarray) -> tuple[float, float]:
    """Limits that show objectives after the burn-in, whose values are often far away and would flatten the rest."""
    later = np.array([phase != "burn-in" for phase in phases], dtype=bool)
    later = later if later.any() else ~later
    shown = np.concatenate([v[later] for v in values])
    shown = shown[np.isfinite(shown)]
    if not len(shown):
        return 0.0, 1.0
    low, high = float(shown.min()), float(np.percentile(shown, 98))
    room = 0.08 * (high - low) or 1.0
    return low - room, high + 3.0 * room
