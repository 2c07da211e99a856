"""`nlmevae sse run1.ctl --samples 100 --alternative run2.ctl`: simulate, and estimate with both models."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nlmevae.cli.interrupts import interrupts_held, one_interrupt
from nlmevae.cli.run_arguments import named_settings, print_diagnostics, print_notes
from nlmevae.cli.study_arguments import (
    add_covariance_argument,
    add_study_arguments,
    add_worker_arguments,
    exit_code,
    failed_lines,
    print_warnings,
    whole_number,
    workers_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from nlmevae.results.sse_result import OfvComparison, SseResult


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "sse",
        help="simulate data sets from a model and fit them: bias, precision, coverage, type I error, power",
        description="Simulate data sets with the design of the data and fit each with the simulation model and with "
        "alternatives. Finished fits are on disk at once: the same command goes on where it was stopped. The same seed "
        "gives the same numbers, whatever the number of workers.",
        epilog="example: nlmevae sse run1.ctl --params run1.ext --samples 500 --alternative run0.ctl",
    )
    parser.add_argument("model", metavar="MODEL", help="NONMEM control stream or Monolix project (.mlxtran)")
    parser.add_argument("--samples", metavar="N", default="100", help="data sets (default: 100); more are added later")
    parser.add_argument(
        "--alternative",
        metavar="MODEL",
        nargs="+",
        action="extend",
        default=[],
        help="models of the same data file that are fitted to the same data sets",
    )
    parser.add_argument(
        "--params",
        "--fit",
        metavar="FILE",
        help="true values: .ext, .results.json or CSV of name,value (default: the initial estimates of MODEL)",
    )
    add_covariance_argument(parser, "default: as in nlmevae fit; none: no coverage")
    add_study_arguments(parser, "<run>_sse beside the model")
    add_worker_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0 when all fits are finished, 1 when some are missing or all failed, 130 when interrupted."""
    from nlmevae.at_parameters import prepare_at
    from nlmevae.cli.options import settings_from_text, settings_given
    from nlmevae.cli.progress import make_progress
    from nlmevae.cli.study_progress import StudyProgress
    from nlmevae.pipeline import with_stated_seed
    from nlmevae.studies.sse import fit_data_sets, plan_sse, sse_result, starts_of
    from nlmevae.writers.study_tables import write_sse

    workers, samples = workers_of(arguments), whole_number(arguments, "samples")
    named = named_settings(arguments)
    settings = settings_from_text(arguments.settings, named)
    at = prepare_at(arguments.model, arguments.params, data=arguments.data)
    settings = with_stated_seed(settings, at.run.model, settings_given(arguments.settings, named))
    plan = plan_sse(
        at.run,
        settings,
        samples=samples,
        alternatives=arguments.alternative,
        origin=at.origin,
        data=arguments.data,
        out=arguments.out,
        covariance=arguments.covariance != "none",
        restart=arguments.restart,
        overwrite=arguments.overwrite,
    )
    print_diagnostics(plan.diagnostics)
    print_notes(plan.notes)
    with one_interrupt():
        if len(plan.runs) == 1:
            models = starts_of(plan)
        else:
            what = "fitting data set 1 with the alternatives of"
            with make_progress(plan.runs[0], quiet=arguments.quiet, what=what) as progress:
                models = starts_of(plan, progress.update)
        fits = fit_data_sets(plan, models, workers, StudyProgress("fits", quiet=arguments.quiet))
    with interrupts_held():
        result = sse_result(plan, models, fits)
        paths = write_sse(plan.folder, result)
    print_warnings(result.warnings)
    if not arguments.quiet:
        print(sse_text(result, paths))
    return exit_code(interrupted=fits.interrupted, missing=len(fits.missing), usable=len(result.usable))


def sse_text(result: SseResult, paths: tuple[Path, ...]) -> str:
    """The summary for the console."""
    from nlmevae.cli.study_arguments import number_or_blank as short_number
    from nlmevae.cli.text_table import text_table

    lines = [
        f"{result.n_samples} data sets simulated from {result.models[0].source_path} at {result.origin}, "
        f"seed {result.seed}",
        *failed_lines(result.records),
    ]
    header = ["parameter", "true", "mean", "bias %", "RMSE %", "SD", "mean SE", "coverage"]
    for m, model in enumerate(result.models):
        rows = [
            [
                s.parameter.label,
                *map(
                    short_number,
                    (s.true, s.mean, s.relative_bias, s.relative_rmse, s.sd, s.mean_standard_error, s.coverage),
                ),
            ]
            for s in result.summaries
            if s.model == m
        ]
        n = sum(r.usable for r in result.of_model(m))
        role = "alternative" if m else "simulation model"
        lines += ["", f"{role} {model.source_path}: {n} fits", "", *text_table(header, rows)]
    for comparison in result.comparisons:
        lines += ["", *_comparison_lines(result, comparison)]
    return "\n".join([*lines, "", *(f"Wrote {path}" for path in paths)])


def _comparison_lines(result: SseResult, c: OfvComparison) -> list[str]:
    """The test that the numbers of parameters suggest, in words; the file has the others."""
    from nlmevae.cli.text_table import short_number

    path = result.models[c.model].source_path
    lines = [f"OFV of the simulation model minus that of {path}: mean {short_number(c.mean)}, SD {short_number(c.sd)}"]
    for s in c.shares:
        if s.df != abs(c.df) or s.level != 0.05:
            continue
        if c.df > 0:
            what, share = "type I error, if it contains the simulation model", s.better
        else:
            what, share = "power, if the simulation model contains it", s.worse
        lines.append(f"{what} ({s.df} df, 5 %, {s.critical:.3f}): {100 * share:.1f} % of {c.n} data sets")
    return lines
