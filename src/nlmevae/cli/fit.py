"""`nlmevae fit run1.ctl`: read, fit, write, show."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlmevae.prepared_run import PreparedRun
    from nlmevae.results.fit_result import FitResult
    from nlmevae.writers.run_files import RunFiles

METHODS = ("vae", "vae+polish")
BACKENDS = ("auto", "formula", "closed_form", "compiled", "torchode")


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "fit",
        help="fit a model and write .ext, .phi and .results.json",
        description="Fit a model. Files are written beside the control stream unless --out names a folder.",
    )
    parser.add_argument("model", metavar="CONTROL_STREAM", help="NONMEM control stream")
    parser.add_argument(
        "--method",
        choices=METHODS,
        help="vae+polish (default): VAE, then Monte-Carlo EM to the maximum likelihood; vae: the published algorithm",
    )
    parser.add_argument("--seed", metavar="N", help="random seed; same seed, same numbers")
    parser.add_argument("--backend", choices=BACKENDS, help="how predictions are computed (default: auto)")
    parser.add_argument("--data", metavar="PATH", help="read this data file instead of the one $DATA names")
    parser.add_argument("--out", metavar="DIR", help="folder for the result files; created if missing")
    parser.add_argument("--overwrite", action="store_true", help="also replace result files that another program wrote")
    parser.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="settings",
        help="any other setting, for example --set n_draws=512; may be repeated",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0 when the estimates may be used as final, 1 when not, 130 when interrupted."""
    from nlmevae.cli.options import settings_from_text
    from nlmevae.pipeline import open_files, prepare

    settings = settings_from_text(arguments.settings, _named_options(arguments))
    prepared = prepare(arguments.model, data=arguments.data)
    _print_diagnostics(prepared)
    files = open_files(prepared, out=arguments.out, overwrite=arguments.overwrite)
    with _termination_as_interrupt():
        result = _fit(prepared, settings, files, quiet=arguments.quiet)
    with _interrupts_held():
        return _finish(result, files, quiet=arguments.quiet)


def _named_options(arguments: argparse.Namespace) -> dict[str, str]:
    names = ("method", "seed", "backend")
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}


def _print_diagnostics(prepared: PreparedRun) -> None:
    from nlmevae.cli.summary_text import diagnostic_lines

    for line in diagnostic_lines(n for n in prepared.diagnostics if n.severity == "warning"):
        print(line, file=sys.stderr)


def _fit(prepared: PreparedRun, settings: Any, files: RunFiles, *, quiet: bool) -> FitResult:
    from nlmevae.cli.progress import make_progress
    from nlmevae.pipeline import run_fit

    with make_progress(prepared, quiet=quiet) as progress:
        return run_fit(prepared, settings, files=files, progress=progress.update)


def _finish(result: FitResult, files: RunFiles, *, quiet: bool) -> int:
    """Files first: a finished estimation is on disk before anything else happens. Estimates are shown even if
    writing fails."""
    from nlmevae.cli.result_text import result_text
    from nlmevae.errors import OutputError
    from nlmevae.results.status import FitStatus

    try:
        paths = files.finish(result)
    except OutputError:
        print(result_text(result, paths=()))
        raise
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if not quiet:
        print(result_text(result, paths=paths))
    elif not result.status.completed:
        print(f"nlmevae: {result.message or result.status.sentence}", file=sys.stderr)
    if result.status is FitStatus.INTERRUPTED:
        return 130
    return 0 if result.status.completed else 1


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """A cluster's SIGTERM ends the fit as Ctrl-C does: with a valid partial result."""

    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """A second Ctrl-C must not cut the files in half."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
