"""`nlmevae profile run1.ctl THETA(1) OMEGA(1,1)`: likelihood intervals of some parameters."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nlmevae.cli.interrupts import one_interrupt
from nlmevae.cli.run_arguments import add_run_arguments, named_settings, print_diagnostics

if TYPE_CHECKING:
    from nlmevae.estimation.profile_run import ProfileEvent
    from nlmevae.estimation.settings import FitSettings
    from nlmevae.prepared_run import PreparedRun
    from nlmevae.results.fit_result import FitResult

SECONDS_BETWEEN_LINES = 5.0


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "profile",
        help="likelihood intervals of some parameters, also where they are far from symmetric",
        description="Hold a parameter, estimate all others again, and find where -2LL rises by the chi-square "
        "quantile. Starts from --estimates, or fits the model first. Writes <run>.profile.csv.",
    )
    parser.add_argument("model", metavar="MODEL", help="NONMEM control stream or Monolix project (.mlxtran)")
    parser.add_argument("parameters", metavar="PARAMETER", nargs="+", help="THETA(1), OMEGA(1,1), or a label (ka_pop)")
    parser.add_argument("--level", type=float, default=0.95, help="of the intervals (default: 0.95)")
    parser.add_argument("--estimates", metavar="PATH", help="results.json of a fit of this model, instead of a new fit")
    add_run_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0 when all ends were found, 1 when not, 130 when interrupted."""
    from nlmevae.cli.options import settings_from_text, settings_given
    from nlmevae.cli.profile_text import profile_text
    from nlmevae.errors import SettingsError
    from nlmevae.pipeline import prepare, with_stated_seed
    from nlmevae.profiling import open_profile_file, profile_names, run_profile
    from nlmevae.writers.profile_csv import write_profile_csv

    if not 0.0 < arguments.level < 1.0:
        raise SettingsError(f"--level is {arguments.level}", hint="give a number between 0 and 1, as 0.95")
    named = named_settings(arguments)
    settings = settings_from_text(arguments.settings, named)
    prepared = prepare(arguments.model, data=arguments.data)
    settings = with_stated_seed(settings, prepared.model, settings_given(arguments.settings, named))
    names = profile_names(prepared.model, arguments.parameters)
    print_diagnostics(prepared.diagnostics)
    path = open_profile_file(prepared, out=arguments.out, overwrite=arguments.overwrite)
    with one_interrupt():
        fitted = _estimates(arguments.estimates, prepared, settings, quiet=arguments.quiet)
        shown = None if arguments.quiet else _Lines()
        result = run_profile(prepared, fitted, names, settings, level=arguments.level, progress=shown)
    write_profile_csv(path, result)
    if result.message:
        print(f"warning: {result.message}", file=sys.stderr)
    if not arguments.quiet:
        print(profile_text(result, fitted, paths=[path]))
    if result.message.startswith("Interrupted"):
        return 130
    return 0 if all(p.low == p.low and p.high == p.high for p in result.profiles) else 1


def _estimates(path: str | None, prepared: PreparedRun, settings: FitSettings, *, quiet: bool) -> FitResult:
    from nlmevae.cli.progress import make_progress
    from nlmevae.pipeline import run_fit
    from nlmevae.profiling import fit_of

    if path is not None:
        return fit_of(prepared, Path(path))
    with make_progress(prepared, quiet=quiet) as progress:
        return run_fit(prepared, settings, progress=progress.update)


class _Lines:
    """A line to stderr every few seconds: parameter, maxima so far, time left."""

    def __init__(self) -> None:
        self._next = time.monotonic() + SECONDS_BETWEEN_LINES

    def __call__(self, event: ProfileEvent) -> None:
        from nlmevae.cli.text_table import duration

        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SECONDS_BETWEEN_LINES
        count = f"{event.number} of {event.n_parameters}"
        left = duration(event.seconds_left)
        print(
            f"profile  {event.name} ({count}), {event.n_maxima} maxima, about {left} left", file=sys.stderr, flush=True
        )
