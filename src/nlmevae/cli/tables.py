"""`nlmevae tables run1.ctl --fit run1.results.json`: the $TABLE files at the estimates of a fit."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from nlmevae.cli.run_arguments import print_diagnostics

if TYPE_CHECKING:
    from nlmevae.fitted_run import WrittenTables
    from nlmevae.prepared_run import PreparedRun
    from nlmevae.results.fit_result import FitResult
    from nlmevae.writers.table_files import TableFiles


_NO_TABLES = "tables are of control streams; the results folder that fit writes has the predictions of a project"


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "tables",
        help="write the $TABLE files of a model at the estimates of a fit",
        description="Write what the $TABLE records of a control stream ask for, at the conditional modes of the random "
        "effects, in NONMEM's layout.",
    )
    parser.add_argument("model", metavar="MODEL", help="NONMEM control stream or Monolix project (.mlxtran)")
    add_fit_arguments(parser)
    parser.add_argument("--data", metavar="PATH", help="read this data file instead of the one the model names")
    parser.add_argument("--out", metavar="DIR", help="folder for the files; created if missing")
    parser.add_argument("--overwrite", action="store_true", help="also replace files that another program wrote")
    parser.add_argument("--threads", metavar="N", type=int, default=1, help="of the predictions (default: 1)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")
    parser.set_defaults(run=run)


def add_fit_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the parameter values come from."""
    parser.add_argument("--fit", metavar="FILE", help="results of `nlmevae fit`: run1.results.json")
    parser.add_argument(
        "--params",
        metavar="FILE",
        help="parameter values instead of a fit: a NONMEM .ext, a .results.json, or a CSV file of name,value (default "
        "without --fit: the initial estimates)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0; 1 if a column could not be computed."""
    from nlmevae.after_fit import run_with_fit

    given = run_with_fit(arguments.model, fit=arguments.fit, params=arguments.params, data=arguments.data)
    print_diagnostics(given.run.diagnostics)
    files = checked_tables(given.run, arguments)
    if not files.paths:
        what = "the model has no $TABLE with a FILE" if given.run.model.project is None else _NO_TABLES
        print(f"nlmevae: {what}: nothing to write", file=sys.stderr)
        return 0
    if not arguments.quiet:
        print(f"At {given.origin}")
    written = _written(given.run, given.fit, files, threads=arguments.threads, quiet=arguments.quiet)
    _show(written, quiet=arguments.quiet)
    return 1 if any("NaN in every row" in w for w in written.warnings) else 0


def checked_tables(run: PreparedRun, arguments: argparse.Namespace) -> TableFiles:
    """The run's table files; an error now rather than after the fit."""
    from nlmevae.fitted_run import table_files

    return table_files(run, out=arguments.out, overwrite=arguments.overwrite)


def show_tables(run: PreparedRun, fit: FitResult, files: TableFiles, *, threads: int, quiet: bool) -> None:
    """Write the tables after a fit whose other files are on disk: what fails here is a warning."""
    from nlmevae.errors import NlmevaeError

    try:
        _show(_written(run, fit, files, threads=threads, quiet=quiet), quiet=quiet)
    except NlmevaeError as error:
        print(f"warning: the $TABLE files were not written: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("warning: the $TABLE files were not written; `nlmevae tables --fit` writes them", file=sys.stderr)


def _written(run: PreparedRun, fit: FitResult | None, files: TableFiles, *, threads: int, quiet: bool) -> WrittenTables:
    from nlmevae.cli.step_progress import StepProgress
    from nlmevae.fitted_run import write_tables

    return write_tables(run, fit, files, threads=threads, steps=StepProgress(quiet=quiet))


def _show(written: WrittenTables, *, quiet: bool) -> None:
    for warning in written.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if not quiet:
        for path in written.paths:
            print(f"Wrote {path}")
