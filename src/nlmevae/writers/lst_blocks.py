"""The printed blocks of NONMEM's report: star boxes, vectors of THETA and lower triangles of OMEGA and SIGMA.

Readers take estimates from `.ext`; these blocks are for people. Twelve numbers stand in a line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nlmevae.results.fit_result import FitResult

_STARS = " " + "*" * 120
_SIDE = "*" * 20
_PER_LINE = 12
#: Columns of a matrix of the covariance step.
LARGEST_PRINTED = 60
#: What NONMEM prints where an element is not estimated.
NOT_ESTIMATED = "........."


def box(*lines: str) -> list[str]:
    """Lines of text in a frame of stars, on a new page."""
    inside = ["", *lines, ""]
    return ["1", _STARS, *(f" {_SIDE}{line.center(80)}{_SIDE}" for line in inside), _STARS]


def objective_box(method: str, goal: str, value: float) -> list[str]:
    """The value of the objective; readers find its tags."""
    first, *_, last = box(method)[2:-1]
    return [
        "1",
        _STARS,
        first,
        f" {_SIDE}{method.center(80)}{_SIDE}",
        f" #OBJT:**************{goal.center(80)}{_SIDE}",
        last,
        _STARS,
        "",
        f" #OBJV:{'*' * 44}{f'{value:.3f}'.center(22)}{'*' * 50}",
    ]


def estimate_blocks(result: FitResult) -> list[str]:
    """Final estimates: THETA, OMEGA, SIGMA and the last two as correlations (standard deviations on the diagonal)."""
    lines = [" THETA - VECTOR OF FIXED EFFECTS PARAMETERS   *********", *_vector([_number(v) for v in result.thetas])]
    for title, matrix in (
        ("COV MATRIX", np.asarray),
        ("CORR MATRIX", sd_and_correlations),
    ):
        lines += [f" OMEGA - {title} FOR RANDOM EFFECTS - ETAS  ********", *_triangle("ETA", matrix(result.omega))]
        lines += [f" SIGMA - {title} FOR RANDOM EFFECTS - EPSILONS  ****", *_triangle("EPS", matrix(result.sigma))]
    return lines


def error_blocks(result: FitResult) -> list[str]:
    """Standard errors in the same layout; only of a result that has some."""
    known = result.uncertainty
    if known is None:
        return []
    n_theta, n_eps = len(result.thetas), len(result.sigma)
    end = n_theta + n_eps * (n_eps + 1) // 2
    lines = [" THETA - VECTOR OF FIXED EFFECTS PARAMETERS   *********"]
    lines += _vector([_error(v) for v in known.standard_errors[:n_theta]])
    for title, errors in (("COV MATRIX", known.standard_errors), ("CORR MATRIX", known.sd_standard_errors)):
        omega, sigma = _square(errors[end:], len(result.omega)), _square(errors[n_theta:end], n_eps)
        lines += [f" OMEGA - {title} FOR RANDOM EFFECTS - ETAS  ********", *_triangle("ETA", omega, _error)]
        lines += [f" SIGMA - {title} FOR RANDOM EFFECTS - EPSILONS  ****", *_triangle("EPS", sigma, _error)]
    return lines


def covariance_boxes(result: FitResult, method: str) -> list[str]:
    """The three matrices of the covariance step, each in its box; larger ones than NONMEM's users read are left to
    `.cov`, `.cor` and `.coi`. Readers take the first box for the end of the standard errors."""
    known = result.uncertainty
    if known is None:
        return []
    labels, order = _matrix_order(result)
    errors = known.standard_errors[order]
    correlation = known.correlation.copy()
    np.fill_diagonal(correlation, known.standard_errors)
    lines = []
    for title, matrix in (("", known.covariance), ("", correlation), ("INVERSE ", known.inverse)):
        name = "CORRELATION" if matrix is correlation else "COVARIANCE"
        lines += [*box(method, f"{title}{name} MATRIX OF ESTIMATE"), ""]
        if len(labels) > LARGEST_PRINTED:
            lines += [" NOT PRINTED: MORE PARAMETERS THAN FIT; SEE THE FILES .cov, .cor AND .coi", ""]
            continue
        lines += _labels(labels, 12)
        for i, label in enumerate(labels):
            row = matrix[order][i, order[: i + 1]]
            there = (errors[i] > 0) & (errors[: i + 1] > 0)
            texts = [_number(v) if seen else NOT_ESTIMATED for v, seen in zip(row, there, strict=True)]
            lines += [" ", f" {label}", *_rows(texts, "+")]
        lines.append("")
    return lines


def _matrix_order(result: FitResult) -> tuple[list[str], np.ndarray]:
    """Labels THETA, OMEGA, SIGMA, and where they stand in the order of files (THETA, SIGMA, OMEGA)."""
    n_theta, n_eps, n_eta = len(result.thetas), len(result.sigma), len(result.omega)
    n_sigma, n_omega = n_eps * (n_eps + 1) // 2, n_eta * (n_eta + 1) // 2
    sigma = np.arange(n_theta, n_theta + n_sigma)
    omega = np.arange(n_theta + n_sigma, n_theta + n_sigma + n_omega)
    labels = [f"TH{k + 1:2d}" for k in range(n_theta)]
    for word, n in (("OM", n_eta), ("SG", n_eps)):
        digits = 1 if n < 10 else 2
        labels += [f"{word}{j + 1:0{digits}d}{i + 1:0{digits}d}" for i in range(n) for j in range(i + 1)]
    return labels, np.concatenate([np.arange(n_theta), omega, sigma]).astype(int)


def sd_and_correlations(matrix: np.ndarray) -> np.ndarray:
    """Standard deviations on the diagonal, correlations off it (0 where a variance is 0)."""
    sd = np.sqrt(np.clip(np.diag(matrix), 0.0, None))
    scale = np.outer(sd, sd)
    found = np.divide(matrix, scale, out=np.zeros_like(matrix, dtype=float), where=scale > 0.0)
    np.fill_diagonal(found, sd)
    return found


def statistics_lines(name: str, values: Sequence[str]) -> list[str]:
    """`` ETABAR:         1.6884E-03 -1.1976E-03``, ten in a line; readers know the next lines by their blanks."""
    rows = [values[k : k + 10] for k in range(0, len(values), 10)] or [()]
    heads = [f" {name}".ljust(15), *([" " * 15] * (len(rows) - 1))]
    return [head + "".join(value.rjust(12) for value in row) for head, row in zip(heads, rows, strict=True)]


def _square(triangle: np.ndarray, n: int) -> np.ndarray:
    square = np.zeros((n, n))
    square[np.tril_indices(n)] = triangle
    return square


def _vector(values: list[str]) -> list[str]:
    labels = [f"TH{k + 1:2d}" for k in range(len(values))]
    return ["", *_labels(labels), " ", *_rows(values, " "), ""]


def _triangle(name: str, matrix: np.ndarray, text=None) -> list[str]:
    text = _number if text is None else text
    labels = [f"{name}{k + 1}" for k in range(len(matrix))]
    lines = ["", *_labels(labels)]
    for i, label in enumerate(labels):
        lines += [" ", f" {label}", *_rows([text(v) for v in matrix[i, : i + 1]], "+")]
    return [*lines, ""]


def _labels(labels: list[str], indent: int = 9) -> list[str]:
    parts = [labels[k : k + _PER_LINE] for k in range(0, len(labels), _PER_LINE)]
    return [" " * indent + "".join(label.ljust(10) for label in part) for part in parts]


def _rows(values: list[str], mark: str) -> list[str]:
    parts = [values[k : k + _PER_LINE] for k in range(0, len(values), _PER_LINE)]
    return [f"{mark if k == 0 else ' '}      " + "".join(v.rjust(10) for v in part) for k, part in enumerate(parts)]


def _number(value: float) -> str:
    return f"{value:.2E}"


def _error(value: float) -> str:
    return f"{value:.2E}" if math.isfinite(value) and value > 0 else NOT_ESTIMATED
