"""The Monolix results folder of `nlmevae fit`: that of a project, or `--monolix-folder DIR`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Container
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nlmevae.estimation.settings import FitSettings
    from nlmevae.ir import Model
    from nlmevae.prepared_run import PreparedRun
    from nlmevae.results.fit_result import FitResult
    from nlmevae.writers.monolix_folder import MonolixFolder


def add_monolix_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--monolix-folder",
        metavar="DIR",
        help="also write the results as Monolix does (2023R1), into this folder; keeps 10 samples per subject unless "
        "--samples says how many (default: of a Monolix project its exportpath, else none)",
    )


def with_samples(
    settings: FitSettings, model: Model, arguments: argparse.Namespace, given: Container[str]
) -> FitSettings:
    """The tests of such a folder are of samples: as many as Monolix has, unless the user or the project said how
    many."""
    import dataclasses

    from nlmevae.pipeline import with_stated_samples
    from nlmevae.results_folder import SAMPLES

    if model.project is not None:
        return with_stated_samples(settings, model, given)
    if arguments.monolix_folder is None or "samples" in given:
        return settings
    return dataclasses.replace(settings, samples=SAMPLES)


def checked_folder(run: PreparedRun, arguments: argparse.Namespace) -> MonolixFolder | None:
    """The folder, if the command line or a project asks for one; an error now rather than after the fit."""
    from nlmevae.results_folder import open_monolix_folder, open_project_folder

    if arguments.monolix_folder is None:
        opened = open_project_folder(run, out=arguments.out)
        if opened is not None and opened[1]:
            print(f"note: {opened[1]}", file=sys.stderr)
        return None if opened is None else opened[0]
    return open_monolix_folder(run, arguments.monolix_folder, overwrite=arguments.overwrite)


def show_folder(run: PreparedRun, fit: FitResult, folder: MonolixFolder | None, *, threads: int, quiet: bool) -> None:
    """Write it after a fit whose other files are on disk: what fails here is a warning."""
    from nlmevae.cli.step_progress import StepProgress
    from nlmevae.errors import NlmevaeError
    from nlmevae.results_folder import write_monolix_folder

    if folder is None:
        return
    try:
        paths = write_monolix_folder(run, fit, folder, threads=threads, steps=StepProgress(quiet=quiet))
    except NlmevaeError as error:
        print(f"warning: the Monolix folder was not written: {error}", file=sys.stderr)
        return
    except KeyboardInterrupt:
        print("warning: the Monolix folder was not written", file=sys.stderr)
        return
    if not paths:
        print(
            f"warning: nothing was written into {folder.folder}: the estimates are not final; results of an earlier "
            "run stay there",
            file=sys.stderr,
        )
    elif not quiet:
        print(f"Wrote {len(paths)} files into {folder.folder}")
