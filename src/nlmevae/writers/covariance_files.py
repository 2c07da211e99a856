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
from nlmevae.writers.nonmem_layout import header_line, number, parameter_labels, title_line


def write_cov(path: Path, result: FitResult) -> None:
    """Write `.cov` whole or not at all; OutputError if it cannot be written."""
    write_atomically(path, matrix_text(result, result.uncertainty.covariance))


def write_cor(path: Path, result: FitResult) -> None:
    """The same for `.cor`."""
    correlation = result.uncertainty.correlation.copy()
    np.fill_diagonal(correlation, result.uncertainty.standard_errors)
    write_atomically(path, matrix_text(result, correlation))


def write_coi(path: Path, result: FitResult) -> None:
    """The same for `.coi`."""
    write_atomically(path, matrix_text(result, result.uncertainty.inverse))


def matrix_text(result: FitResult, matrix: np.ndarray) -> str:
    """The file's content for a matrix (P, P)."""
    labels = parameter_labels(n_theta=len(result.thetas), n_eps=len(result.sigma), n_eta=len(result.omega))
    lines = [title_line(METHOD_TITLE), header_line(["NAME", *labels])]
    lines += [
        f" {label:<12}" + "".join(number(float(v)) for v in row) for label, row in zip(labels, matrix, strict=True)
    ]
    return "\n".join(lines) + "\n"
