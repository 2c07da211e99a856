"""`nlmevae fit run1.ctl`: read, fit, write, show."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from nlmevae.cli.interrupts import interrupts_held, one_interrupt
from nlmevae.cli.monolix_folder import add_monolix_argument, checked_folder, show_folder, with_samples
from nlmevae.cli.run_arguments import (
    add_result_arguments,
    add_run_arguments,
    end_resumption,
    name_checkpoint,
    named_settings,
    print_diagnostics,
    print_notes,
)
from nlmevae.cli.several_processes import (
    add_processes_argument,
    end_with_starter,
    follow,
    is_follower,
    is_to_be_started,
    sharing,
    start,
)
from nlmevae.cli.study_arguments import add_worker_arguments
from nlmevae.errors import OutputError

if TYPE_CHECKING:
    from nlmevae.ir import Expression
    from nlmevae.prepared_run import PreparedRun
    from nlmevae.results.fit_result import FitResult
    from nlmevae.resumption import Resumption
    from nlmevae.writers.run_files import RunFiles


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "fit",
        help="fit a model and write .ext, .phi, .results.json and its $TABLE files or Monolix results folder",
        description="Fit a model. Files are written beside it unless --out names a folder; a Monolix project also "
        "gets its results folder. Several models are fitted at once by several processes; those that an earlier run "
        "finished, and that have not changed since, are not fitted again.",
    )
    parser.add_argument(
        "model", metavar="MODEL", nargs="+", help="NONMEM control stream or Monolix project (.mlxtran); one or several"
    )
    parser.add_argument(
        "--derive",
        metavar="EXPRESSION",
        action="append",
        default=[],
        help='a function of the parameters to be given with its standard error, as "LOG(2)*V/CL"; may be repeated',
    )
    parser.add_argument("--lst", action="store_true", help="also write <run>.lst, a report in NONMEM's layout")
    add_run_arguments(parser)
    add_result_arguments(parser)
    add_monolix_argument(parser)
    add_worker_arguments(parser)
    add_processes_argument(parser)
    parser.add_argument("--restart", action="store_true", help="of several models: fit those that are finished, too")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0 when the estimates may be used as final, 1 when not, 130 when interrupted."""
    from nlmevae.cli.batch import run_batch_of
    from nlmevae.cli.engine import import_engine
    from nlmevae.cli.options import settings_from_text, settings_given
    from nlmevae.cli.report import report_after, require_report_packages
    from nlmevae.cli.tables import checked_tables, show_tables
    from nlmevae.hosts.nmfe import Begin, prepare_report, report_notes, write_report
    from nlmevae.pipeline import fit_resumption, open_files, parse_derived, prepare, with_stated_seed

    if is_to_be_started(arguments):
        return start(arguments.command, int(arguments.processes))
    if len(arguments.model) > 1:
        return run_batch_of(arguments)
    end_with_starter()
    arguments.model = arguments.model[0]
    if any((arguments.workers, arguments.scheduler, arguments.scheduler_file, arguments.restart)):
        print_notes(["--workers, --scheduler, --scheduler-file and --restart are for several models."])
    if arguments.report:
        require_report_packages()
    named = named_settings(arguments)
    settings = settings_from_text(arguments.settings, named)
    prepared = prepare(arguments.model, data=arguments.data)
    settings = with_stated_seed(settings, prepared.model, settings_given(arguments.settings, named))
    settings = with_samples(settings, prepared.model, arguments, settings_given(arguments.settings, named))
    derive = parse_derived(prepared.model, arguments.derive)
    if is_follower():
        return follow(prepared, settings)
    print_diagnostics(prepared.diagnostics)
    files = open_files(prepared, out=arguments.out, overwrite=arguments.overwrite)
    tables = checked_tables(prepared, arguments)
    folder = checked_folder(prepared, arguments)
    import_engine("nlmevae.estimation.fit")
    begin = Begin.now()
    if arguments.lst:
        prepare_report(files.folder.lst, prepared, overwrite=arguments.overwrite)
    resumption = fit_resumption(prepared, settings, files, resume=arguments.resume, every=arguments.checkpoint_every)
    print_notes(resumption.notes)
    with one_interrupt():
        result = _fit(prepared, settings, files, derive, resumption, quiet=arguments.quiet)
    with interrupts_held():
        try:
            code = _finish(result, files, quiet=arguments.quiet)
            if arguments.lst:
                notes = report_notes(prepared, result)
                write_report(files.folder.lst, prepared, result, begin=begin, warnings=notes)
        except OutputError:
            name_checkpoint(resumption)
            raise
    threads = settings.on(prepared.table).threads
    show_tables(prepared, result, tables, threads=threads, quiet=arguments.quiet)
    show_folder(prepared, result, folder, threads=threads, quiet=arguments.quiet)
    end_resumption(resumption, result)
    if arguments.report:
        report_after(arguments, arguments.model, result, files.folder.report)
    return code


def _fit(
    prepared: PreparedRun,
    settings: Any,
    files: RunFiles,
    derive: dict[str, Expression],
    resumption: Resumption,
    *,
    quiet: bool,
) -> FitResult:
    from nlmevae.cli.progress import make_progress
    from nlmevae.pipeline import run_fit

    with make_progress(prepared, quiet=quiet) as progress, sharing(prepared, settings) as settings:
        return run_fit(prepared, settings, files=files, progress=progress.update, derive=derive, resumption=resumption)


def _finish(result: FitResult, files: RunFiles, *, quiet: bool) -> int:
    """Files first: a finished estimation is on disk before anything else happens. Estimates are shown even if
    writing fails."""
    from nlmevae.cli.result_text import result_text
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
