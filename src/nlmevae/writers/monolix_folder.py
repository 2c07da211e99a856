"""A whole Monolix results folder (layout of 2023R1), and which existing folder it may replace.

Results of Monolix cost hours and stand in folders of the same names. So a folder that is not empty is written to only
if an earlier run of nlmevae filled it and `--overwrite` is given; a folder that Monolix filled never is. Which files
are ours stands in `nlmevae-files.json`; others that someone put beside them stay.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from nlmevae.errors import OutputError
from nlmevae.results.fit_result import FitResult
from nlmevae.results.monolix_content import MonolixContent
from nlmevae.results.run_folder import GENERATOR, make_folder
from nlmevae.writers.atomic import write_atomically
from nlmevae.writers.monolix.convergence import convergence_text
from nlmevae.writers.monolix.fisher_information import correlation_text, covariance_text
from nlmevae.writers.monolix.individual_parameters import estimated_text, shrinkage_text, simulated_text
from nlmevae.writers.monolix.log_likelihood import individual_ll_text, log_likelihood_text
from nlmevae.writers.monolix.population_parameters import population_parameters_text
from nlmevae.writers.monolix.predictions import predictions_name, predictions_text
from nlmevae.writers.monolix.summary import summary_text
from nlmevae.writers.monolix.tests import texts_of_tests

MANIFEST = "nlmevae-files.json"


def folder_texts(
    fit: FitResult, content: MonolixContent, *, date: datetime, likelihood: Literal["is", "lin"] | None = "is"
) -> dict[str, str]:
    """File, relative to the folder -> content. `likelihood`: the method in LogLikelihood/ (None: no such folder); that
    of linearisation has no values by subject."""
    people = fit.individuals
    found = {
        "summary.txt": summary_text(fit, content, date=date.strftime("%B %d, %Y at %H:%M:%S"), likelihood=likelihood),
        "populationParameters.txt": population_parameters_text(content.parameters, fit.uncertainty),
    }
    for endpoint in content.endpoints:
        found[predictions_name(content.endpoints, endpoint)] = predictions_text(people.labels, endpoint)
    value = None if likelihood is None else fit.likelihood(likelihood)
    if value is not None:
        found["LogLikelihood/logLikelihood.txt"] = log_likelihood_text(value)
    if value is not None and likelihood == "is":
        found["LogLikelihood/individualLL.txt"] = individual_ll_text(fit)
    if fit.uncertainty is not None and fit.uncertainty.method != "none":
        found["FisherInformation/covarianceEstimatesSA.txt"] = covariance_text(content.parameters, fit.uncertainty)
        found["FisherInformation/correlationEstimatesSA.txt"] = correlation_text(content.parameters, fit.uncertainty)
    kinds = {"IndividualParameters": content.individuals, "RandomEffects": content.random_effects}
    for kind, values in kinds.items():
        where = "IndividualParameters"
        found[f"{where}/estimated{kind}.txt"] = estimated_text(people.labels, values, content.covariates)
        if len(values.draws):
            found[f"{where}/simulated{kind}.txt"] = simulated_text(people.labels, values, content.covariates)
    found["IndividualParameters/shrinkage.txt"] = shrinkage_text(content)
    found |= {f"Tests/{name}": text for name, text in texts_of_tests(content.tests).items()}
    if fit.trace:
        found["ChartsData/Saem/CvParam.txt"] = convergence_text(fit, content.parameters)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class MonolixFolder:
    """Where the files go."""

    folder: Path

    @property
    def is_foreign(self) -> bool:
        """It has files, and none of them are ours: results of Monolix."""
        return self.folder.is_dir() and any(self.folder.iterdir()) and self._listed() is None

    def prepare(self, *, overwrite: bool = False, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
        """Make sure it may be written, before hours are spent on a fit.

        Raises:
            OutputError: it has files of another program, an input of the run, or results of an earlier run that may
                not be replaced.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise OutputError(f"{self.folder} is not a folder", hint="give the name of a folder to --monolix-folder")
        if self.folder.is_dir() and any(self.folder.iterdir()):
            if self._listed() is None:
                raise OutputError(
                    f"the folder {self.folder} has files that nlmevae did not write, perhaps results of Monolix",
                    hint="give a new folder to --monolix-folder; --overwrite does not help here",
                )
            if not overwrite:
                raise OutputError(
                    f"the folder {self.folder} has results of an earlier run of nlmevae",
                    hint="give a new folder to --monolix-folder, or replace them with --overwrite",
                )
        kept = {Path(p).resolve() for p in inputs if str(p)}
        lost = [p for p in self._present() if p.resolve() in kept]
        if lost:
            raise OutputError(f"{lost[0]} is an input of this run", hint="give a new folder to --monolix-folder")
        make_folder(self.folder)

    def write(self, texts: dict[str, str]) -> tuple[Path, ...]:
        """Replace what an earlier run wrote; the paths written. Call after `prepare`.

        Raises:
            OutputError: a file cannot be written, or someone else's is in its place.
        """
        ours = {p.resolve() for p in self._present()}
        paths = {self.folder / name: text for name, text in texts.items()}
        for path in paths:
            if path.exists() and path.resolve() not in ours:
                raise OutputError(
                    f"{path} was not written by nlmevae", hint="give a new folder to --monolix-folder, or move the file"
                )
        for path in self._present():
            path.unlink(missing_ok=True)
        # first: files without it would be nobody's
        document = {
            "generator": GENERATOR,
            "monolix_layout": "2023R1",
            "monolix_was_run": False,
            "files": sorted(texts),
        }
        write_atomically(self.folder / MANIFEST, json.dumps(document, indent=1) + "\n")
        for path, text in paths.items():
            make_folder(path.parent)
            write_atomically(path, text)
        return (*paths, self.folder / MANIFEST)

    def _listed(self) -> list[str] | None:
        """What an earlier run wrote; None if none did."""
        try:
            document = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
            if document["generator"] != GENERATOR:
                return None
            return [str(name) for name in document["files"]]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _present(self) -> list[Path]:
        """Files of an earlier run that are still here; only below the folder, whatever the list says."""
        root = self.folder.resolve()
        paths = [self.folder / name for name in self._listed() or ()]
        return [p for p in paths if p.is_file() and root in p.resolve().parents]
