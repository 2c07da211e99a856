"""The `.phi` file: one line per individual with its random effects and their uncertainty.

ETA(k) is the importance-weighted posterior mean, ETC(i,j) the posterior covariance, OBJ the individual's
-2 log-likelihood minus n_i ln(2 pi), n_i its observations that are not censored; the OBJ column sums to
the table's objective. An individual without observations gets a line of zeros, as NONMEM writes it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nlmevae.results.fit_result import FitResult
from nlmevae.results.run_folder import METHOD_TITLE
from nlmevae.writers.atomic import write_atomically
from nlmevae.writers.nonmem_layout import (
    LOG_2PI,
    each_table,
    header_line,
    id_text,
    lower_triangle_indices,
    number_rows,
    objective,
)


def write_phi(path: Path, result: FitResult, n_tables: int = 1) -> None:
    """Write `.phi` whole or not at all; OutputError if it cannot be written."""
    write_atomically(path, phi_text(result, n_tables))


def phi_text(result: FitResult, n_tables: int = 1) -> str:
    """The file's content: the same table for each of the model's estimation steps."""
    d = len(result.omega)
    pairs = lower_triangle_indices(d)
    etas = [f"ETA({k + 1})" for k in range(d)]
    etcs = [f"ETC({i + 1},{j + 1})" for i, j in pairs]
    lines = [header_line(["SUBJECT_NO", "ID", *etas, *etcs, "OBJ"])]
    people = result.individuals
    observed = people.n_obs > 0
    values = np.column_stack([people.eta_mean, *(people.eta_cov[:, i, j] for i, j in pairs)])
    values[~observed] = 0.0
    own = np.where(observed, people.minus_two_ll - people.n_known * LOG_2PI, 0.0)
    for subject, (label, text) in enumerate(zip(people.labels, number_rows(values), strict=True)):
        lines.append(f"{subject + 1:13d}{id_text(label)}{text}{objective(float(own[subject]))}")
    return each_table(METHOD_TITLE, lines, n_tables)
