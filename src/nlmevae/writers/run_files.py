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
from nlmevae.writers.encoder_file import write_encoder
from nlmevae.writers.ets import write_ets
from nlmevae.writers.ext import ExtStream, write_ext
from nlmevae.writers.individuals_csv import write_individuals_csv
from nlmevae.writers.phi import write_phi
from nlmevae.writers.raw_output import RawOutputFile
from nlmevae.writers.results_json import write_results_json
from nlmevae.writers.shk import write_shk
from nlmevae.writers.shm import write_shm


def run_writers(folder: RunFolder, result: FitResult, n_tables: int = 1) -> list[tuple[Path, Callable[[], None]]]:
    """Every file of a finished fit with what writes it, `results.json` first; NONMEM's files have a table for each of
    `n_tables` estimation steps."""
    people = result.individuals
    writers: list[tuple[Path, Callable[[], None]]] = [
        (folder.results_json, lambda: write_results_json(folder.results_json, result)),
        (folder.ext, lambda: write_ext(folder.ext, result, n_tables)),
        (folder.phi, lambda: write_phi(folder.phi, result, n_tables)),
        (folder.shk, lambda: write_shk(folder.shk, result, n_tables)),
        (folder.shm, lambda: write_shm(folder.shm, result, n_tables)),
        (folder.individuals_csv, lambda: write_individuals_csv(folder.individuals_csv, people)),
    ]
    if result.uncertainty is not None and result.uncertainty.method != "none":
        writers += [
            (folder.cov, lambda: write_cov(folder.cov, result, n_tables)),
            (folder.cor, lambda: write_cor(folder.cor, result, n_tables)),
            (folder.coi, lambda: write_coi(folder.coi, result, n_tables)),
        ]
    if len(people.eta_samples):
        writers.append((folder.ets, lambda: write_ets(folder.ets, people, n_tables)))
    encoder = result.encoder
    if encoder is not None:
        writers.append((folder.encoder, lambda: write_encoder(folder.encoder, encoder)))
    return writers


class RunFiles:
    """Writes the files of one run into `folder`, which must be prepared (`RunFolder.prepare`), and the file that
    $ESTIMATION names (`raw_output`), which must be prepared, too.

    Files of an earlier run stay until the first iteration arrives, then all of them go: files of two runs
    never stand side by side. Of two runs at once in one folder the one that ends last leaves its files, all
    of them.
    """

    def __init__(self, folder: RunFolder, model: Model, *, n_obs_total: int) -> None:
        self.folder = folder
        self._n_tables = max(1, len(model.estimation))
        self.raw_output = RawOutputFile(folder, model.raw_output, self._n_tables)
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
                self._remove_previous()
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
                self._remove_previous()
        first_error: OutputError | None = None
        written = set()
        for path, write in run_writers(self.folder, result, self._n_tables):
            try:
                write()
                written.add(path)
            except OutputError as error:
                first_error = first_error or error
        try:
            raw_output = self.raw_output.write(result)
        except OutputError as error:
            first_error = first_error or error
        if first_error is not None:
            raise first_error
        return (*(path for path in self.folder.files if path in written), *raw_output)

    def _remove_previous(self) -> None:
        self.folder.remove_previous()
        self.raw_output.remove_previous()

    def close(self) -> None:
        """Close `.ext` as it is (the fit ended with an exception)."""
        self._stream.close()
