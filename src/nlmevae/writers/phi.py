"""The `.phi` file: one line per individual with its random effects and their uncertainty.

ETA(k) is the importance-weighted posterior mean, ETC(i,j) the posterior covariance, OBJ the individual's
-2 log-likelihood minus n_i ln(2 pi), n_i its observations that are not censored; the OBJ column sums to
the table's objective. An individual without observations gets a line of zeros, as NONMEM writes it.
"""

from __future__ import annotations

from pathlib import Path

from nlmevae.results.fit_result import FitResult
from nlmevae.results.run_folder import METHOD_TITLE
from nlmevae.writers.atomic import write_atomically
from nlmevae.writers.nonmem_layout import (
    LOG_2PI,
    each_table,
    header_line,
    id_text,
    lower_triangle_indices,
    number,
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
    for subject, label in enumerate(people.labels):
        observed = people.n_obs[subject] > 0
        values = [people.eta_mean[subject, k] for k in range(d)]
        values += [people.eta_cov[subject, i, j] for i, j in pairs]
        own = people.minus_two_ll[subject] - people.n_known[subject] * LOG_2PI
        text = "".join(number(float(v) if observed else 0.0) for v in values)
        lines.append(f"{subject + 1:13d}{id_text(label)}{text}{objective(float(own) if observed else 0.0)}")
    return each_table(METHOD_TITLE, lines, n_tables)
