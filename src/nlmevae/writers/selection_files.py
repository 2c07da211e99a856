"""All files of one covariate selection. They are written when it ends: while it runs, those of an earlier run stay."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nlmevae.errors import MissingDependencyError, OutputError
from nlmevae.frontends.nonmem.records import source_text, split_records
from nlmevae.results.fit_result import FitResult
from nlmevae.results.selection_folder import PLOTS, SelectionFolder
from nlmevae.results.selection_result import SelectionResult
from nlmevae.writers.atomic import write_atomically
from nlmevae.writers.ext import write_ext
from nlmevae.writers.run_files import run_writers
from nlmevae.writers.selection_json import write_selection_json

#: Draws a finished selection: plot name (one of `PLOTS`) -> PNG file.
Draw = Callable[[SelectionResult], Mapping[str, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFiles:
    """The files that are there now; `note` says why the plots are not, "" if they are."""

    paths: tuple[Path, ...]
    note: str = ""


class SelectionFiles:
    """Writes the files of one selection into `folder`, which must be prepared (`SelectionFolder.prepare`).

    Args:
        draw: makes the plots (`nlmevae.report.selection_plots.draw_selection`); None: no plots.
    """

    def __init__(self, folder: SelectionFolder, *, draw: Draw | None = None) -> None:
        self.folder = folder
        self._draw = draw

    def keep(self, result: SelectionResult) -> None:
        """Write all but the plots, before anything is computed from the finished estimation. What cannot be
        written now is tried again by `finish`, which says so."""
        with contextlib.suppress(OutputError):
            self._write(result, plots=False)

    def finish(self, result: SelectionResult) -> WrittenFiles:
        """Replace the files of an earlier run by those of this one, `selection.json` (the full truth) first, the
        plots last. Each file is whole or absent. Without a selected model (interrupted too early) no control stream
        is written.

        Raises:
            OutputError: a file could not be written; the others were still tried.
        """
        return self._write(result, plots=True)

    def _write(self, result: SelectionResult, *, plots: bool) -> WrittenFiles:
        with contextlib.suppress(OSError):  # the writers below say what is wrong
            self.folder.remove_previous()
        first_error: OutputError | None = None
        paths: list[Path] = []
        for path, write in self._writers(result):
            try:
                write()
                paths.append(path)
            except OutputError as error:
                first_error = first_error or error
        note = self._write_plots(result, paths) if plots and first_error is None else ""
        if first_error is not None:
            raise first_error
        return WrittenFiles(paths=tuple(path for path in self.folder.files if path in paths), note=note)

    def _writers(self, result: SelectionResult) -> list[tuple[Path, Callable[[], None]]]:
        folder, run = self.folder, self.folder.run
        text = result.model_text.encode("utf-8", "surrogateescape")
        n_tables = _n_estimation_steps(result.model_text)
        of_fit = dict(run_writers(run, result.fit, n_tables))
        of_fit[run.ext] = lambda: write_ext(run.ext, _iterations_of_the_selected_model(result.fit), n_tables)
        writers: list[tuple[Path, Callable[[], None]]] = [
            (folder.selection_json, lambda: write_selection_json(folder.selection_json, result)),
            (folder.control_stream, lambda: write_atomically(folder.control_stream, text)),
            *of_fit.items(),
        ]
        return [(path, write) for path, write in writers if text or path != folder.control_stream]

    def _write_plots(self, result: SelectionResult, paths: list[Path]) -> str:
        """Plots never cost the result: whatever goes wrong with them is a sentence."""
        if self._draw is None:
            return ""
        try:
            for name, picture in self._draw(result).items():
                if name in PLOTS:
                    write_atomically(self.folder.plot(name), picture)
                    paths.append(self.folder.plot(name))
        except MissingDependencyError as error:
            return f"No plots: {error.message} ({error.hint})."
        except Exception as error:
            return f"No plots: {type(error).__name__}: {error}"
        return ""


def _n_estimation_steps(text: str) -> int:
    """Of the written control stream; readers expect a table for each."""
    if "$" not in text:
        return 1
    return max(1, len(split_records(source_text(text, "")).named("ESTIMATION")))


def _iterations_of_the_selected_model(fit: FitResult) -> FitResult:
    """`.ext` has one column per parameter of the selected model: iterations that had other coefficients are in
    `selection.json` only."""
    n_eta, n_eps = len(fit.omega), len(fit.sigma)
    width = len(fit.thetas) + n_eta * (n_eta + 1) // 2 + n_eps * (n_eps + 1) // 2
    return dataclasses.replace(fit, trace=tuple(row for row in fit.trace if len(row.parameters) == width))
