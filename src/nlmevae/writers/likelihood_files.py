"""The files of `nlmevae likelihood`: ``<run>.likelihood.json`` with everything, ``<run>.likelihood.csv`` per subject."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nlmevae.results.likelihood_result import LikelihoodResult
from nlmevae.results.run_folder import GENERATOR, SUBJECT_COLUMNS, check_replaceable, make_folder
from nlmevae.writers.atomic import write_atomically
from nlmevae.writers.results_json import plain

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LikelihoodFiles:
    """``<stem>.likelihood.json`` and ``<stem>.likelihood.csv`` in `folder`."""

    folder: Path
    stem: str

    @property
    def paths(self) -> tuple[Path, Path]:
        return self.folder / f"{self.stem}.likelihood.json", self.folder / f"{self.stem}.likelihood.csv"

    def prepare(self, *, overwrite: bool = False, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
        """Make sure they can be written before anything is computed.

        Raises:
            OutputError: they cannot, or a file of another program would be lost.
        """
        make_folder(self.folder)
        check_replaceable(self.paths, overwrite=overwrite, inputs=inputs)

    def write(self, result: LikelihoodResult) -> tuple[Path, Path]:
        """Both files, each whole or as it was; OutputError if one cannot be written."""
        document, table = self.paths
        write_atomically(document, json_text(result))
        write_atomically(table, csv_text(result))
        return document, table


def json_text(result: LikelihoodResult) -> str:
    """Full precision; NaN is null. `ofv` of every method is written beside its -2LL."""
    content = plain(result)
    for value in content["values"]:
        value["ofv"] = plain(result.ofv(value["method"]))
    return json.dumps({"generator": GENERATOR, "schema": SCHEMA, **content}, indent=1, allow_nan=False) + "\n"


def csv_text(result: LikelihoodResult) -> str:
    """One row per subject: -2LL with the constant n*ln(2*pi) by every method, and its error."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    methods = [s.method for s in result.subjects]
    head = [column for m in methods for column in (m, f"{m}_error")]
    diagnostics = ["ess", "khat"] if "is" in methods else []
    writer.writerow([*SUBJECT_COLUMNS.split(",")[:2], *head, *diagnostics])
    for i, label in enumerate(result.labels):
        cells = [x for s in result.subjects for x in (s.minus_two_ll[i], s.error[i])]
        cells += [result.ess[i], result.khat[i]] if diagnostics else []
        writer.writerow([label, int(result.n_obs[i]), *(_text(float(x)) for x in cells)])
    return stream.getvalue()


def _text(value: float) -> str:
    return repr(value) if math.isfinite(value) else ""
