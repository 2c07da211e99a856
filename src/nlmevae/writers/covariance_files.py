"""`.cov`, `.cor` and `.coi`: covariance of the estimates, their correlations, and the inverse, in NONMEM's layout.

Full squares in the order THETA, SIGMA, OMEGA. Rows and columns of what is not estimated, or held at a bound, are 0; of
what the data do not determine NaN. The diagonal of `.cor` holds the standard errors, as NONMEM's does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nlmevae.results.fit_result import FitResult
from nlmevae.results.run_folder import METHOD_TITLE
from nlmevae.writers.atomic import write_atomically
from nlmevae.writers.nonmem_layout import each_table, header_line, number, parameter_labels


def write_cov(path: Path, result: FitResult, n_tables: int = 1) -> None:
    """Write `.cov` whole or not at all; OutputError if it cannot be written."""
    write_atomically(path, matrix_text(result, result.uncertainty.covariance, n_tables))


def write_cor(path: Path, result: FitResult, n_tables: int = 1) -> None:
    """The same for `.cor`."""
    correlation = result.uncertainty.correlation.copy()
    np.fill_diagonal(correlation, result.uncertainty.standard_errors)
    write_atomically(path, matrix_text(result, correlation, n_tables))


def write_coi(path: Path, result: FitResult, n_tables: int = 1) -> None:
    """The same for `.coi`."""
    write_atomically(path, matrix_text(result, result.uncertainty.inverse, n_tables))


def matrix_text(result: FitResult, matrix: np.ndarray, n_tables: int = 1) -> str:
    """The file's content for a matrix (P, P): the same table for each of the model's estimation steps."""
    labels = parameter_labels(n_theta=len(result.thetas), n_eps=len(result.sigma), n_eta=len(result.omega))
    lines = [header_line(["NAME", *labels])]
    lines += [
        f" {label:<12}" + "".join(number(float(v)) for v in row) for label, row in zip(labels, matrix, strict=True)
    ]
    return each_table(METHOD_TITLE, lines, n_tables)
