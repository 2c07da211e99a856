"""The `.ext` file: NONMEM's table of iterations and final estimates, written while the fit runs.

One table, titled `METHOD_TITLE`, or one for each $ESTIMATION record where there are several: one fit serves all of
them, its iterations are in the first table, and every table ends at the final estimates, so that readers that take
the first and readers that take the last agree. Rows: iterations from 0, one last iteration with the final estimates,
then the special rows

    -1000000000  final estimates and objective
    -1000000001  standard errors                            (this and the next two only when there are any)
    -1000000002  eigenvalues of the correlation matrix of the estimates
    -1000000003  condition number, lowest and highest eigenvalue
    -1000000004  OMEGA and SIGMA as SD and correlation
    -1000000005  standard errors of those                   (only when there are any)
    -1000000006  1 = fixed or structurally zero, 0 = estimated
    -1000000007  termination status
    -1000000008  derivatives of log L (-1/2 OBJ) by the estimated parameters   (only with standard errors)

The objective of the last iteration and of -1000000000 is the same text: pharmpy reads the objective as NaN
otherwise. Units: the scale of NONMEM's OBJ, that is -2LL (-2ELBO while the VAE trains) minus
n ln(2 pi), n the observations that are not censored (with F_FLAG=0).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from nlmevae.errors import OutputError
from nlmevae.results.fit_result import FitResult, TraceRow
from nlmevae.results.run_folder import METHOD_TITLE
from nlmevae.results.status import FitStatus
from nlmevae.results.uncertainty_result import UncertaintyResult
from nlmevae.writers.atomic import write_atomically
from nlmevae.writers.nonmem_layout import (
    LOG_2PI,
    header_line,
    lower_triangle_indices,
    number,
    objective,
    parameter_labels,
    title_line,
)

FINAL, STANDARD_ERRORS, EIGENVALUES, CONDITION, SD_CORRELATION, SD_STANDARD_ERRORS, FIXED, TERMINATION, GRADIENT = (
    -1000000000, -1000000001, -1000000002, -1000000003, -1000000004, -1000000005, -1000000006, -1000000007, -1000000008,
)  # fmt: skip

#: Iteration or number of a special row, parameters in column order, objective as text.
ExtRow = tuple[int, np.ndarray, str]

#: What the objective is.
GOAL = "FINAL VALUE OF OBJECTIVE FUNCTION"

#: NONMEM's column for "no standard error" (fixed or not estimated).
NOT_ESTIMATED = 1e10

#: First number of row -1000000007, as NONMEM's EM methods use it: 0 completed, 1 not completed,
#: 2 not tested for convergence, 4 interrupted (specs of $EST METHOD=IMPMAP).
_TERMINATION_CODE = {
    FitStatus.CONVERGED: 0,
    FitStatus.FINISHED_SCHEDULE: 2,
    FitStatus.EVALUATED: 2,
    FitStatus.NOT_CONVERGED: 1,
    FitStatus.MONTE_CARLO_LIMITED: 1,
    FitStatus.NUMERICAL_FAILURE: 1,
    FitStatus.INTERRUPTED: 4,
}


class ExtStream:
    """Writes iterations to `.ext` while the fit runs; every row is on disk when `append` returns. `write_ext`
    then replaces the file by the whole table.

    The file appears (replacing an earlier one) with the first row, so a fit that fails before its first
    iteration leaves earlier results alone.

    Args:
        path: the file; `RunFolder.prepare` has agreed to it.
        n_theta, n_eps, n_eta: sizes of the population parameters.
        n_obs_total: number of observations that are not censored, for the constant of the objective.
    """

    def __init__(self, path: Path, *, n_theta: int, n_eps: int, n_eta: int, n_obs_total: int) -> None:
        self.path = path
        self.n_rows = 0
        self._labels = parameter_labels(n_theta=n_theta, n_eps=n_eps, n_eta=n_eta)
        self._n_obs_total = n_obs_total
        self._iteration = -1
        self._stream: TextIO | None = None

    def append(self, row: TraceRow) -> None:
        """Add one iteration. Numbers go on counting where a phase starts again at 0.

        Raises:
            OutputError: the file cannot be written.
        """
        if len(row.parameters) != len(self._labels):
            raise ValueError(f"{len(row.parameters)} parameters for {len(self._labels)} columns of {self.path}")
        self._iteration = max(row.iteration, self._iteration + 1)
        lines = [_line(*_iteration_row(self._iteration, row, self._n_obs_total))]
        try:
            if self._stream is None:
                self._stream = self.path.open("w", encoding="utf-8", newline="\n")
                lines = [*_head_lines(self._labels), *lines]
            print(*lines, sep="\n", file=self._stream, flush=True)
        except OSError as error:
            raise OutputError(
                f"cannot write {self.path}: {error.strerror}",
                hint="free some space or choose another folder with --out",
            ) from error
        self.n_rows += 1

    def close(self) -> None:
        """Close the file as it is; harmless when nothing is open. A full disk was reported by `append`."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            with contextlib.suppress(OSError):
                stream.close()


def write_ext(path: Path, result: FitResult, n_tables: int = 1) -> None:
    """Write the whole `.ext` or leave the old one; OutputError if it cannot be written."""
    write_atomically(path, ext_text(result, n_tables))


def ext_text(result: FitResult, n_tables: int = 1) -> str:
    """The file's content: every iteration of the trace, the final iteration, the special rows; then, for every other
    estimation step, the final iteration and the special rows."""
    labels = parameter_labels(n_theta=len(result.thetas), n_eps=len(result.sigma), n_eta=len(result.omega))
    lines = []
    for table, rows in enumerate(ext_tables(result, n_tables), 1):
        lines += [*_head_lines(labels, table), *(_line(*row) for row in rows)]
    return "\n".join(lines) + "\n"


def ext_tables(result: FitResult, n_tables: int = 1) -> list[list[ExtRow]]:
    """The rows of every table, in order."""
    return [ext_rows(result), *(_final_rows(result, 0) for _ in range(n_tables - 1))]


def ext_rows(result: FitResult) -> list[ExtRow]:
    """Every row of the first table, in order."""
    rows, iteration = [], -1
    for row in result.trace:
        iteration = max(row.iteration, iteration + 1)
        rows.append(_iteration_row(iteration, row, result.n_known))
    return rows + _final_rows(result, iteration + 1)


def ext_title(table: int = 1) -> str:
    """The first line of a table."""
    return title_line(METHOD_TITLE, goal=GOAL, table=table)


def _head_lines(labels: Sequence[str], table: int = 1) -> list[str]:
    return [ext_title(table), header_line(["ITERATION", *labels, "OBJ"])]


def _iteration_row(iteration: int, row: TraceRow, n_obs_total: int) -> ExtRow:
    return iteration, row.parameters, objective(row.objective - n_obs_total * LOG_2PI)


def _line(iteration: int, values: np.ndarray, objective_text: str) -> str:
    return f"{iteration:13d}" + "".join(number(float(v)) for v in values) + objective_text


def _final_rows(result: FitResult, iteration: int) -> list[ExtRow]:
    final, text, zero = result_vector(result), objective(final_objective(result)), objective(0.0)
    codes = np.zeros(len(final))
    codes[:1] = _TERMINATION_CODE[result.status]
    rows = [(iteration, final, text), (FINAL, final, text)]
    known = result.uncertainty if result.uncertainty is not None and result.uncertainty.method != "none" else None
    if known is not None:
        rows.append((STANDARD_ERRORS, _or_not_estimated(known.standard_errors), zero))
        rows.append((EIGENVALUES, _padded(known.eigenvalues, len(final)), zero))
        rows.append((CONDITION, _condition(known, len(final)), zero))
    rows.append((SD_CORRELATION, _sd_correlation(result), zero))
    if known is not None:
        errors = _or_not_estimated(known.sd_standard_errors)
        errors[: len(result.thetas)] = 0.0
        rows.append((SD_STANDARD_ERRORS, errors, zero))
    rows += [(FIXED, _fixed_flags(result), zero), (TERMINATION, codes, zero)]
    if known is not None and len(known.gradient):
        rows.append((GRADIENT, known.gradient, zero))
    return rows


def result_vector(result: FitResult) -> np.ndarray:
    """Final estimates in column order."""
    return np.concatenate([result.thetas, _lower(result.sigma), _lower(result.omega)])


def final_objective(result: FitResult) -> float:
    """Importance-sampling -2LL on NONMEM's scale; of a run that ended before it, the last iteration's value."""
    if result.likelihood("is") is not None or not result.trace:
        return result.ofv_nonmem
    return result.trace[-1].objective - result.n_known * LOG_2PI


def _lower(matrix: np.ndarray) -> np.ndarray:
    return np.array([matrix[i, j] for i, j in lower_triangle_indices(len(matrix))])


def _sd_correlation(result: FitResult) -> np.ndarray:
    """THETA columns 0; SD on the diagonal, correlation off it (0 where a variance is 0)."""
    return np.concatenate([np.zeros(len(result.thetas)), _lower(_as_sd(result.sigma)), _lower(_as_sd(result.omega))])


def _as_sd(matrix: np.ndarray) -> np.ndarray:
    sd = np.sqrt(np.clip(np.diag(matrix), 0.0, None))
    scale = np.outer(sd, sd)
    correlation = np.divide(matrix, scale, out=np.zeros_like(matrix), where=scale > 0.0)
    np.fill_diagonal(correlation, sd)
    return correlation


def _by_column(result: FitResult, attribute: str, absent: float) -> np.ndarray:
    """One value per column from the estimates; columns without an estimate (structural zeros) get `absent`."""
    found = {(e.kind, e.row, e.column): getattr(e, attribute) for e in result.estimates}
    keys = [("theta", k + 1, k + 1) for k in range(len(result.thetas))]
    keys += [("sigma", i + 1, j + 1) for i, j in lower_triangle_indices(len(result.sigma))]
    keys += [("omega", i + 1, j + 1) for i, j in lower_triangle_indices(len(result.omega))]
    thetas = {row: value for (kind, row, _), value in found.items() if kind == "theta"}
    values = [thetas.get(row) if kind == "theta" else found.get((kind, row, column)) for kind, row, column in keys]
    return np.array([absent if value is None else float(value) for value in values])


def _fixed_flags(result: FitResult) -> np.ndarray:
    return _by_column(result, "fixed", 1.0)


def _or_not_estimated(errors: np.ndarray) -> np.ndarray:
    """Standard errors with NONMEM's number where there is none."""
    return np.where(errors > 0, errors, NOT_ESTIMATED)


def _condition(known: UncertaintyResult, n_columns: int) -> np.ndarray:
    values = known.eigenvalues
    facts = [known.condition_number, values[0], values[-1]] if len(values) else []
    return _padded(np.array(facts), n_columns)


def _padded(values: np.ndarray, n_columns: int) -> np.ndarray:
    """With zeros behind; what does not fit is left out (three columns are needed for the condition number)."""
    return np.concatenate([values, np.zeros(n_columns)])[:n_columns]
