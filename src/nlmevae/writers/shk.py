"""The `.shk` file: ETABAR and shrinkage, row TYPE 1 to 11 in NONMEM's layout.

As NONMEM writes it after a Monte-Carlo method: rows 1-4 and 8 are those of the conditional means. EPS shrinkages
stand in the first columns of rows 5 and 10; those of more EPS than ETAs are in `results.json` only. Negative
shrinkages are written as 1E-10; a random effect of variance 0 has P value 1 and 100 % shrinkage.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nlmevae.results.fit_result import FitResult
from nlmevae.results.run_folder import METHOD_TITLE
from nlmevae.writers.atomic import write_atomically
from nlmevae.writers.nonmem_layout import each_table, number

SMALLEST = 1e-10


def write_shk(path: Path, result: FitResult, n_tables: int = 1) -> None:
    """Write `.shk` whole or not at all; OutputError if it cannot be written."""
    write_atomically(path, shk_text(result, n_tables))


def shk_text(result: FitResult, n_tables: int = 1) -> str:
    """The file's content: the same table for each of the model's estimation steps."""
    labels = "".join(name.ljust(13) for name in (f"ETA({k + 1})" for k in range(len(result.omega))))
    lines = [f"TYPE          SUBPOP       {labels}".rstrip()]
    for kind, values in enumerate(shk_rows(result), 1):
        lines.append(f"{kind:13d}{1:13d}" + "".join(number(float(v)) for v in values))
    return each_table(METHOD_TITLE, lines, n_tables)


def shk_rows(result: FitResult) -> list[np.ndarray]:
    """Rows TYPE 1 to 11, (n_eta,) each."""
    found, means = result.shrinkage, result.shrinkage.means
    absent = result.omega.diagonal() == 0.0
    counts = np.full(len(absent), float(found.n_subjects))

    def eta(values: np.ndarray) -> np.ndarray:
        return np.where(absent, 100.0, np.where(values < 0.0, SMALLEST, values))

    return [
        np.where(absent, 0.0, means.bar),
        np.where(absent, 0.0, means.standard_error),
        np.where(absent, 1.0, means.p_value),
        eta(means.sd),
        _of_eps(found.eps_sd, len(absent)),
        eta(found.ebv_sd),
        counts,
        eta(means.variance),
        eta(found.ebv_variance),
        _of_eps(found.eps_variance, len(absent)),
        np.where(absent, 0.0, found.relative_information),
    ]


def _of_eps(values: np.ndarray, n_eta: int) -> np.ndarray:
    row = np.zeros(n_eta)
    shown = values[:n_eta]
    row[: len(shown)] = np.where(shown < 0.0, SMALLEST, shown)
    return row
