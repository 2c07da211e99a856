"""A balanced random-intercept model, Y = THETA(1) + ETA(1) + EPS(1), whose maximum likelihood estimates are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CONTROL_STREAM = """$PROBLEM random intercepts
$INPUT ID TIME DV GROUP
$DATA data.csv IGNORE=@
$PRED
  Y = THETA(1) + ETA(1) + EPS(1)
$THETA 10 ; LEVEL
$OMEGA 4 ; BETWEEN
$SIGMA 1 ; WITHIN
$ESTIMATION METHOD=1 MAXEVAL=9999
"""


def write_one_way(folder: Path, *, n_subjects: int = 30, n_each: int = 4, seed: int = 3) -> Path:
    """The control stream with its data in `folder`."""
    rng = np.random.default_rng(seed)
    y = 10.0 + 2.0 * rng.standard_normal((n_subjects, 1)) + rng.standard_normal((n_subjects, n_each))
    lines = ["ID,TIME,DV,GROUP"]
    for i, row in enumerate(y, 1):
        lines += [f"{i},{t},{value:.6f},{1 + (i % 3 == 0)}" for t, value in enumerate(row)]
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    path = folder / "run1.ctl"
    path.write_text(CONTROL_STREAM)
    return path


def maximum_likelihood(y: np.ndarray) -> tuple[float, float, float]:
    """(mean, variance between, variance within) of y (N, n): Searle, Casella & McCulloch (1992), section 3.7."""
    n_subjects, n = y.shape
    mean = y.mean(axis=1)
    within = ((y - mean[:, None]) ** 2).sum() / (n_subjects * (n - 1))
    total = n * ((mean - mean.mean()) ** 2).sum() / n_subjects
    between = (total - within) / n
    if between <= 0.0:
        return float(y.mean()), 0.0, float(((y - y.mean()) ** 2).mean())
    return float(y.mean()), float(between), float(within)
