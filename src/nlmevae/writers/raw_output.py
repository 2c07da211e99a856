"""$ESTIMATION's FILE: the content of `.ext` once more, in the layout that FORMAT, NOTITLE and NOLABEL ask for.

The objective keeps the digits it has in `.ext`, whatever the layout of the other numbers is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from nlmevae.errors import DataError, OutputError
from nlmevae.ir import NONMEM_RAW_FORMAT, RawOutput, TableFormat
from nlmevae.results.fit_result import FitResult
from nlmevae.results.run_folder import METHOD_TITLE, RunFolder, check_replaceable, make_folder
from nlmevae.writers.atomic import write_atomically
from nlmevae.writers.ext import ExtRow, ext_tables, ext_title
from nlmevae.writers.nonmem_layout import parameter_labels
from nlmevae.writers.nonmem_table import number_text
from nlmevae.writers.results_json import read_results_json


class RawOutputFile:
    """Where the file goes: FILE relative to the run's folder. `path` is None where there is none to write: no FILE, the
    run's `.ext` itself, a device such as /dev/null."""

    def __init__(self, folder: RunFolder, request: RawOutput, n_tables: int = 1) -> None:
        self._folder, self._request, self._n_tables = folder, request, n_tables
        self.path = _path(folder, request)

    def prepare(
        self,
        *,
        overwrite: bool = False,
        inputs: Iterable[str | os.PathLike[str]] = (),
        tables: Iterable[Path] = (),
    ) -> None:
        """Make sure that it can be written, before hours are spent on a fit.

        Args:
            overwrite: also replace a file that another program wrote.
            inputs: files of this run that must survive.
            tables: files of $TABLE, and what belongs to them.

        Raises:
            OutputError: a file would be lost: an input, another program's, another result of this run.
        """
        if self.path is None:
            return
        others = (*self._folder.files, self._folder.checkpoint, self._folder.report, *tables)
        if self.path.resolve() in {path.resolve() for path in others}:
            raise OutputError(
                f"$ESTIMATION FILE={self._request.file} is the name of another file of this run",
                hint="give FILE another name, or leave it out: .ext has the same content",
            )
        make_folder(self.path.parent)
        check_replaceable([self.path], overwrite=overwrite, inputs=inputs, own=self._is_own)

    def write(self, result: FitResult) -> tuple[Path, ...]:
        """Write it; its path, if there is one. OutputError if it cannot be written."""
        if self.path is None:
            return ()
        write_atomically(self.path, raw_output_text(result, self._request, self._n_tables))
        return (self.path,)

    def remove_previous(self) -> None:
        """Remove that of an earlier run; call only after `prepare`."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _is_own(self, path: Path) -> bool:
        """By its title; without one by its content: that of the results beside it."""
        try:
            text = path.read_bytes().decode("utf-8", errors="replace")
        except OSError:
            return False
        if METHOD_TITLE in text.partition("\n")[0]:
            return True
        try:
            result = read_results_json(self._folder.results_json)
            return text == raw_output_text(result, self._request, self._n_tables)
        except DataError:
            return False


def _path(folder: RunFolder, request: RawOutput) -> Path | None:
    if request.file is None:
        return None
    path = folder.folder / request.file
    is_device = path.exists() and not path.is_file() and not path.is_dir()
    return None if is_device or path.resolve() == folder.ext.resolve() else path


def raw_output_text(result: FitResult, request: RawOutput, n_tables: int = 1) -> str:
    """The file's content."""
    layout = request.format or NONMEM_RAW_FORMAT
    labels = parameter_labels(n_theta=len(result.thetas), n_eps=len(result.sigma), n_eta=len(result.omega))
    lines = []
    for table, rows in enumerate(ext_tables(result, n_tables), 1):
        lines += [] if request.title is False else [ext_title(table)]
        lines += [] if request.labels is False else [_header(["ITERATION", *labels, "OBJ"], layout)]
        lines += [_line(row, layout) for row in rows]
    return "".join(f"{line}\n" for line in lines)


def _header(labels: list[str], layout: TableFormat) -> str:
    if layout.delimiter != " ":  # SIGMA(1,1) is one label among commas, too
        return layout.delimiter.join(f'"{label}"' if layout.delimiter in label else label for label in labels)
    return (" " + " ".join(label.ljust(layout.width) for label in labels)).rstrip()


def _line(row: ExtRow, layout: TableFormat) -> str:
    iteration, values, objective_text = row
    numbers = [number_text(float(value), layout).rjust(layout.width) for value in values]
    if layout.delimiter == " ":
        return " ".join([f"{iteration:{layout.width + 1}d}", *numbers]) + objective_text
    return layout.delimiter.join([f"{iteration:{layout.width}d}", *numbers, objective_text.strip()])
