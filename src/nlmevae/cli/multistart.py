"""`nlmevae multistart run1.ctl --starts 20`: whole fits from scattered initial estimates."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nlmevae.cli.interrupts import interrupts_held, one_interrupt
from nlmevae.cli.run_arguments import print_notes
from nlmevae.cli.study_arguments import (
    add_covariance_argument,
    add_study_arguments,
    add_worker_arguments,
    exit_code,
    failed_lines,
    print_warnings,
    study_run,
    whole_number,
    workers_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from nlmevae.results.multistart_result import MultistartResult

MOST_SHOWN = 10


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "multistart",
        help="fit a model from many initial estimates: is the maximum the same?",
        description="Fit a model from its own and from scattered initial estimates. Finished fits are on disk at once: "
        "the same command goes on where it was stopped. The best fit is written as nlmevae fit writes it.",
        epilog="example: nlmevae multistart run1.ctl --starts 20 --spread 5",
    )
    parser.add_argument("model", metavar="MODEL", help="NONMEM control stream or Monolix project (.mlxtran)")
    parser.add_argument("--starts", metavar="N", default="20", help="starts (default: 20), the model's own among them")
    parser.add_argument(
        "--spread",
        metavar="FACTOR",
        default="3",
        help="by which typical values and standard deviations of the others differ at most (default: 3)",
    )
    add_covariance_argument(parser, "of the best one only; default: as in nlmevae fit")
    add_study_arguments(parser, "<run>_multistart beside the model")
    add_worker_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0 when all fits are finished, 1 when some are missing or all failed, 130 when interrupted."""
    from nlmevae.cli.options import read_number
    from nlmevae.cli.progress import make_progress
    from nlmevae.cli.study_progress import StudyProgress
    from nlmevae.studies.multistart import best_fit, fit_starts, multistart_result, plan_multistart
    from nlmevae.writers.study_tables import write_multistart

    workers, starts = workers_of(arguments), whole_number(arguments, "starts")
    prepared, settings = study_run(arguments)
    plan = plan_multistart(
        prepared,
        settings,
        starts=starts,
        spread=read_number("spread", arguments.spread, float),
        out=arguments.out,
        restart=arguments.restart,
        overwrite=arguments.overwrite,
    )
    print_notes(plan.notes)
    with one_interrupt():
        fits = fit_starts(plan, workers, StudyProgress("starts", quiet=arguments.quiet))
    with interrupts_held():
        result = multistart_result(plan, fits)
        paths = write_multistart(plan.folder, result)
    print_warnings(result.warnings)
    if not arguments.quiet:
        print(multistart_text(result, paths))
    if not fits.interrupted and not fits.missing and result.best is not None:
        with one_interrupt(), make_progress(prepared, quiet=arguments.quiet, what="the best start of") as progress:
            fit, written = best_fit(plan, result, progress.update)
        if not arguments.quiet:
            from nlmevae.cli.result_text import result_text

            print(result_text(fit, paths=written))
    return exit_code(interrupted=fits.interrupted, missing=len(fits.missing), usable=len(result.ranked))


def multistart_text(result: MultistartResult, paths: tuple[Path, ...]) -> str:
    """The best fits for the console."""
    from nlmevae.cli.text_table import short_number, text_table

    best, shown = result.best, [j for j, p in enumerate(result.parameters) if p.estimated]
    lines = [
        f"{result.source_path} from {result.n_starts} starts within a factor {result.spread:g}, seed {result.seed}: "
        f"{len(result.same)} of {len(result.records)} found the best maximum",
        *failed_lines(result.records),
    ]
    if best is not None:
        header = ["start", "-2LL", "above best", *(result.parameters[j].label for j in shown)]
        rows = [
            [
                str(r.number),
                f"{r.minus_two_ll:.2f}",
                f"{r.minus_two_ll - best.minus_two_ll:.2f}",
                *(short_number(r.values[j]) for j in shown),
            ]
            for r in result.ranked[:MOST_SHOWN]
        ]
        lines += ["", *text_table(header, rows)]
        if len(result.ranked) > MOST_SHOWN:
            lines.append(f"... and {len(result.ranked) - MOST_SHOWN} more")
    return "\n".join([*lines, "", *(f"Wrote {path}" for path in paths)])
