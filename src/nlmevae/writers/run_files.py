"""All files of one run: `.ext` grows while the fit runs, the others appear when it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from nlmevae.errors import OutputError
from nlmevae.ir import Model
from nlmevae.results.fit_result import FitResult, TraceRow
from nlmevae.results.run_folder import RunFolder
from nlmevae.writers.covariance_files import write_coi, write_cor, write_cov
from nlmevae.writers.ext import ExtStream, write_ext
from nlmevae.writers.phi import write_phi
from nlmevae.writers.results_json import write_results_json


class RunFiles:
    """Writes the files of one run into `folder`, which must be prepared (`RunFolder.prepare`).

    Files of an earlier run stay until the first iteration arrives, then all of them go: files of two runs
    never stand side by side. Of two runs at once in one folder the one that ends last leaves its files,
    all of them.
    """

    def __init__(self, folder: RunFolder, model: Model, *, n_obs_total: int) -> None:
        self.folder = folder
        self._stream = ExtStream(
            folder.ext,
            n_theta=len(model.thetas),
            n_eps=len(model.epsilons),
            n_eta=len(model.etas),
            n_obs_total=n_obs_total,
        )
        self._streaming = True

    def add_iteration(self, row: TraceRow) -> None:
        """Append to `.ext`. A full disk must not end a fit of hours: `finish` writes the file anew."""
        if not self._streaming:
            return
        try:
            if self._stream.n_rows == 0:
                self.folder.remove_previous()
            self._stream.append(row)
        except (OSError, OutputError):
            self._streaming = False

    def finish(self, result: FitResult) -> tuple[Path, ...]:
        """Write everything, `results.json` (the full truth) first; the paths written. Each file is whole or as
        it was.

        Raises:
            OutputError: a file could not be written; the others were still tried.
        """
        self.close()
        if self._stream.n_rows == 0:
            with contextlib.suppress(OSError):  # the writers below say what is wrong
                self.folder.remove_previous()
        first_error: OutputError | None = None
        writers = _writers(self.folder, result)
        for path, write in writers.items():
            try:
                write(path, result)
            except OutputError as error:
                first_error = first_error or error
        if first_error is not None:
            raise first_error
        return tuple(path for path in self.folder.files if path in writers)

    def close(self) -> None:
        """Close `.ext` as it is (the fit ended with an exception)."""
        self._stream.close()


def _writers(folder: RunFolder, result: FitResult) -> dict[Path, Callable[[Path, FitResult], None]]:
    """The result's files, the full truth first."""
    writers = {folder.results_json: write_results_json, folder.ext: write_ext, folder.phi: write_phi}
    return writers | covariance_writers(folder, result)


def covariance_writers(folder: RunFolder, result: FitResult) -> dict[Path, Callable[[Path, FitResult], None]]:
    """`.cov`, `.cor` and `.coi`, if there are standard errors."""
    if result.uncertainty is None or result.uncertainty.method == "none":
        return {}
    return {folder.cov: write_cov, folder.cor: write_cor, folder.coi: write_coi}
