"""What the verbs of many fits have in common: who does the fits, where they are kept, how they are shown."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nlmevae.cli.run_arguments import BACKENDS, COVARIANCES, add_file_arguments, named_settings, print_diagnostics

if TYPE_CHECKING:
    from nlmevae.estimation.settings import FitSettings
    from nlmevae.prepared_run import PreparedRun
    from nlmevae.results.fit_record import FitRecord
    from nlmevae.studies.pool import Workers

#: Failed fits named on the console; the tables have all of them.
MOST_NAMED = 5


def add_worker_arguments(parser: argparse.ArgumentParser) -> None:
    """Processes on this machine, or a cluster."""
    group = parser.add_argument_group("who does the fits")
    group.add_argument(
        "--workers", metavar="N", help="processes on this machine (default: one per core); 0: this one, without dask"
    )
    group.add_argument("--scheduler", metavar="ADDRESS", help="dask cluster, as tcp://node7:8786")
    group.add_argument("--scheduler-file", metavar="FILE", help="that dask scheduler --scheduler-file FILE wrote")


def add_study_arguments(parser: argparse.ArgumentParser, folder: str) -> None:
    """Files and settings; `folder` is the default in words."""
    parser.add_argument("--seed", metavar="N", help="random seed; fit k depends on it and on k alone")
    parser.add_argument("--backend", choices=BACKENDS, help="how predictions are computed (default: auto)")
    add_file_arguments(
        parser,
        out=f"folder for the results (default: {folder})",
        overwrite="also use a folder whose files another program wrote",
    )
    parser.add_argument(
        "--restart", action="store_true", help="forget the fits that an earlier run of this command finished"
    )


def add_covariance_argument(parser: argparse.ArgumentParser, default: str) -> None:
    """Standard errors of every fit; `default` in words."""
    parser.add_argument("--covariance", choices=COVARIANCES, help=f"standard errors of every fit ({default})")


def study_run(arguments: argparse.Namespace) -> tuple[PreparedRun, FitSettings]:
    """The model that is fitted many times, its warnings printed, and the settings of every fit."""
    from nlmevae.cli.options import settings_from_text, settings_given
    from nlmevae.pipeline import prepare, with_stated_seed

    named = named_settings(arguments)
    settings = settings_from_text(arguments.settings, named)
    prepared = prepare(arguments.model, data=arguments.data)
    print_diagnostics(prepared.diagnostics)
    return prepared, with_stated_seed(settings, prepared.model, settings_given(arguments.settings, named))


def print_warnings(warnings: Sequence[str]) -> None:
    """Of a result, to stderr."""
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def workers_of(arguments: argparse.Namespace) -> Workers:
    """
    Raises:
        SettingsError: more than one kind of workers, or no number. MissingDependencyError: dask is not installed.
    """
    from nlmevae.cli.options import read_number
    from nlmevae.studies.pool import Workers

    n = None if arguments.workers is None else read_number("workers", arguments.workers, int)
    workers = Workers(n=n, scheduler=arguments.scheduler, scheduler_file=arguments.scheduler_file)
    workers.require()
    return workers


def whole_number(arguments: argparse.Namespace, name: str) -> int:
    """An option of this verb."""
    from nlmevae.cli.options import read_number

    return read_number(name, getattr(arguments, name), int)


def failed_lines(records: Sequence[FitRecord]) -> list[str]:
    """The first fits that may not be used, with their sentences."""
    failed = [r for r in records if not r.usable]
    lines = [f"  {r.name or f'fit {r.number}'}: {r.message}" for r in failed[:MOST_NAMED]]
    if len(failed) > MOST_NAMED:
        lines.append(f"  ... and {len(failed) - MOST_NAMED} more")
    return lines


def number_or_blank(value: float) -> str:
    """A number for a table; what is not known has none."""
    from nlmevae.cli.text_table import short_number

    return "" if value != value else short_number(value)


def exit_code(*, interrupted: bool, missing: int, usable: int) -> int:
    """130 when interrupted, 1 when fits are missing or none may be used, else 0."""
    if interrupted:
        print("nlmevae: interrupted; finished fits are kept, the same command goes on", file=sys.stderr)
        return 130
    if missing:
        print(f"nlmevae: {missing} fits were not finished; the same command tries them again", file=sys.stderr)
        return 1
    return 0 if usable else 1
