"""`nlmevae bootstrap run1.ctl --samples 200`: subjects drawn with replacement, every sample fitted."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nlmevae.cli.interrupts import interrupts_held, one_interrupt
from nlmevae.cli.run_arguments import named_settings, print_diagnostics, print_notes
from nlmevae.cli.select import add_search_arguments, search_options
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
from nlmevae.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from nlmevae.results.bootstrap_result import BootstrapResult
    from nlmevae.studies.pool import Workers
    from nlmevae.studies.run import Fits


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "bootstrap",
        help="fit samples of the subjects: standard errors and intervals without assumptions",
        description="Draw subjects with replacement and fit every sample from the estimates of the data. Finished "
        "fits are on disk at once: the same command goes on where it was stopped. The same seed gives the same "
        "numbers, whatever the number of workers.",
        epilog="example: nlmevae bootstrap run1.ctl --samples 500 --stratify SEX --workers 4",
    )
    parser.add_argument("model", metavar="MODEL", help="NONMEM control stream or Monolix project (.mlxtran)")
    parser.add_argument("--samples", metavar="N", default="200", help="samples (default: 200); more are added later")
    parser.add_argument(
        "--stratify",
        metavar="ITEM",
        help="data item, constant in every subject, within whose values subjects are drawn",
    )
    parser.add_argument("--fit", metavar="FILE", help="<run>.results.json of the data (default: they are fitted first)")
    add_covariance_argument(parser, "default: of the fit of the data only")
    add_study_arguments(parser, "<run>_bootstrap beside the model")
    add_worker_arguments(parser)
    add_search_arguments(parser.add_argument_group("covariates that are selected anew in every sample"))
    parser.add_argument("--criterion", metavar="NAME", help="what an effect must be worth, as in nlmevae select")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0 when all samples are finished, 1 when some are missing or all failed, 130 when interrupted."""
    from nlmevae.cli.progress import make_progress
    from nlmevae.cli.study_progress import StudyProgress
    from nlmevae.studies.bootstrap import bootstrap_result, fit_of_data, fit_samples, plan_bootstrap
    from nlmevae.writers.study_tables import write_bootstrap

    workers, samples = workers_of(arguments), whole_number(arguments, "samples")
    if search_options(arguments):
        return _run_of_search(arguments, workers, samples)
    prepared, settings = study_run(arguments)
    plan = plan_bootstrap(
        prepared,
        settings,
        samples=samples,
        stratify=arguments.stratify,
        fit=arguments.fit,
        out=arguments.out,
        covariance=arguments.covariance not in (None, "none"),
        restart=arguments.restart,
        overwrite=arguments.overwrite,
    )
    print_notes(plan.notes)
    with one_interrupt():
        with make_progress(prepared, quiet=arguments.quiet) as progress:
            original = fit_of_data(plan, progress.update)
        fits = fit_samples(plan, original, workers, StudyProgress("samples", quiet=arguments.quiet))
    with interrupts_held():
        result = bootstrap_result(plan, original, fits)
        paths = write_bootstrap(plan.folder, result)
    return _shown(result, paths, fits, quiet=arguments.quiet)


def _run_of_search(arguments: argparse.Namespace, workers: Workers, samples: int) -> int:
    """Covariates are selected in every sample."""
    from nlmevae.cli.options import selection_settings_from_text, settings_given
    from nlmevae.cli.progress import make_progress
    from nlmevae.cli.study_progress import StudyProgress
    from nlmevae.pipeline import prepare_selection, with_stated_seed
    from nlmevae.studies.selection_bootstrap import (
        plan_selection_bootstrap,
        search_of_data,
        search_samples,
        selection_bootstrap_result,
    )
    from nlmevae.writers.study_tables import write_bootstrap

    for option in ("fit", "covariance"):
        if getattr(arguments, option) is not None:
            raise SettingsError(
                f"--{option} is for a bootstrap without a search", hint="the data and every sample are searched"
            )
    named = named_settings(arguments, also=("criterion",))
    settings, selection = selection_settings_from_text(arguments.settings, named)
    prepared = prepare_selection(arguments.model, data=arguments.data, **search_options(arguments))
    settings = with_stated_seed(settings, prepared.model, settings_given(arguments.settings, named))
    print_diagnostics(prepared.diagnostics)
    plan = plan_selection_bootstrap(
        prepared,
        settings,
        selection,
        samples=samples,
        stratify=arguments.stratify,
        out=arguments.out,
        restart=arguments.restart,
        overwrite=arguments.overwrite,
    )
    print_notes(plan.notes)
    with one_interrupt():
        with make_progress(prepared, quiet=arguments.quiet, what="searching") as progress:
            original = search_of_data(plan, progress.update)
        fits = search_samples(plan, original, workers, StudyProgress("samples", quiet=arguments.quiet))
    with interrupts_held():
        result = selection_bootstrap_result(plan, original, fits)
        paths = write_bootstrap(plan.folder, result)
    return _shown(result, paths, fits, quiet=arguments.quiet)


def _shown(result: BootstrapResult, paths: tuple[Path, ...], fits: Fits, *, quiet: bool) -> int:
    print_warnings(result.warnings)
    if not quiet:
        print(bootstrap_text(result, paths))
    return exit_code(interrupted=fits.interrupted, missing=len(fits.missing), usable=len(result.usable))


def bootstrap_text(result: BootstrapResult, paths: tuple[Path, ...]) -> str:
    """The summary for the console."""
    from nlmevae.cli.study_arguments import number_or_blank as short_number
    from nlmevae.cli.text_table import text_table

    header = ["parameter", "estimate", "SE", "bootstrap SE", "bias", "2.5 %", "97.5 %", "BCa 2.5 %", "BCa 97.5 %"]
    rows = [
        [
            s.parameter.label,
            *map(
                short_number,
                (
                    s.parameter.value, s.parameter.standard_error, s.standard_error, s.bias, s.percentiles[0],
                    s.percentiles[-1], *s.bca,
                ),
            ),
        ]
        for s in result.summaries
    ]  # fmt: skip
    strata = f", stratified by {result.stratify}" if result.stratify else ""
    return "\n".join(
        [
            f"Bootstrap of {result.source_path}: {len(result.usable)} of {result.n_samples} samples, "
            f"seed {result.seed}{strata}",
            *failed_lines(result.records),
            "",
            *text_table(header, rows),
            "",
            *_inclusion_lines(result),
            *(f"Wrote {path}" for path in paths),
        ]
    )


def _inclusion_lines(result: BootstrapResult) -> list[str]:
    """How often each effect was chosen, the most frequent first."""
    from nlmevae.cli.text_table import text_table

    if not result.inclusion:
        return []
    chosen = set(result.original.chosen)
    shares = sorted(result.inclusion.items(), key=lambda item: -item[1])
    rows = [[name, "yes" if name in chosen else "", f"{100 * share:.0f}"] for name, share in shares]
    return [*text_table(["effect", "chosen in the data", "% of the samples"], rows), ""]
