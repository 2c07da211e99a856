"""What a drawn figure says and shows."""

from __future__ import annotations

import numpy as np


def texts(figure) -> str:
    """Everything written in it."""
    from matplotlib.text import Text

    return "\n".join(t.get_text() for t in figure.findobj(Text) if t.get_text())


def panels(figure) -> list:
    """Panels with something in them."""
    return [axes for axes in figure.get_axes() if axes.axison]


def dots(axes) -> np.ndarray:
    """(n, 2) all dots of a panel."""
    from matplotlib.collections import PathCollection

    found = [c.get_offsets() for c in axes.collections if isinstance(c, PathCollection)]
    return np.concatenate([np.asarray(f) for f in found]) if found else np.zeros((0, 2))


def line(axes, label: str) -> np.ndarray:
    """(n, 2) the line with this label."""
    return next(item.get_xydata() for item in axes.get_lines() if item.get_label() == label)
