"""`nlmevae select run1.ctl --covariates WT,AGE,SEX`: search, fit, write, show."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from nlmevae.cli.interrupts import interrupts_held, one_interrupt
from nlmevae.cli.run_arguments import (
    add_result_arguments,
    add_run_arguments,
    end_resumption,
    name_checkpoint,
    named_settings,
    print_diagnostics,
    print_notes,
)
from nlmevae.errors import OutputError

if TYPE_CHECKING:
    from nlmevae.estimation.settings import FitSettings, SelectionSettings
    from nlmevae.pipeline import PreparedSelection
    from nlmevae.results.selection_result import SelectionResult
    from nlmevae.resumption import Resumption
    from nlmevae.writers.selection_files import SelectionFiles, WrittenFiles

SOLVERS = ("auto", "native", "highs", "scip", "gurobi")
AUDITS = ("auto", "highs", "scip", "gurobi")

#: Lists and assignments: may be repeated, parts separated by commas.
LIST_OPTIONS = ("covariates", "categorical", "parameters", "effects", "force", "forbid", "forms", "centre", "reference")


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "select",
        help="select covariate effects and fit the selected model, in one run",
        description="Search which covariates act on which parameters, in one run, and fit the selected model. Files "
        "<run>_selected.* are written beside it unless --out names a folder.",
        epilog="example: nlmevae select run1.ctl --covariates WT,AGE,SEX --categorical SEX",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="control stream or Monolix project without the effects searched for"
    )
    add_search_arguments(parser.add_argument_group("what is searched"))
    _add_decision_arguments(parser.add_argument_group("how it is decided"))
    add_run_arguments(parser)
    add_result_arguments(parser)
    parser.add_argument(
        "--final-estimates",
        action="store_true",
        help="write all estimates as initial values into the selected model (default: those of the new effects)",
    )
    parser.set_defaults(run=run)


def add_search_arguments(group: argparse._ArgumentGroup) -> None:
    """What the searches of all verbs have in common."""

    def names(option: str, metavar: str, text: str) -> None:
        group.add_argument(f"--{option}", metavar=metavar, action="append", help=text)

    names("covariates", "WT,AGE,...", "data items to try")
    names("categorical", "SEX,...", "data items to try that are categories")
    names("parameters", "CL,V,...", "individual parameters to try them on (default: all with a random effect)")
    names("effects", "CL~WT,...", "the complete list of effects to try, instead of every covariate on every parameter")
    names("force", "CL~WT,...", "effects that are always in the model")
    names("forbid", "V~SEX,...", "effects that are never in the model")
    names("forms", "power,exponential", "forms to try for continuous covariates: power, exponential, linear")
    names("centre", "mean|median|WT=70", "centre of continuous covariates (default: mean over subjects)")
    names("reference", "RACE=1,...", "reference category (default: the most frequent)")
    group.add_argument(
        "--missing", metavar="NUMBER", help="number that means missing in the data, besides . and blanks"
    )
    group.add_argument(
        "--levels",
        choices=("together", "each"),
        help="categories of a covariate enter together (default) or each on its own",
    )
    group.add_argument("--settings", metavar="FILE.toml", dest="settings_file", help="read these options from a file")
    group.add_argument(
        "--scm-file",
        metavar="RUN.scm",
        help="what a configuration file of PsN's scm searches, instead of these options",
    )
    group.add_argument(
        "--mfl",
        metavar="TEXT",
        help="what COVARIATE statements of Pharmpy's MFL search, as in 'COVARIATE?(@IIV, @CONTINUOUS, exp, *)'",
    )
    group.add_argument(
        "--linear-as",
        choices=("exponential", "power"),
        help="with --scm-file or --mfl: search this form in place of linear effects on log-normal parameters, which "
        "have no exact counterpart",
    )


def _add_decision_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--criterion",
        metavar="NAME",
        help="what an effect must be worth: mbic (default; with --method vae bicc), bicc (the paper's), bic, aic, "
        "lrt:0.01 (any p), ebic",
    )
    group.add_argument("--solver", choices=SOLVERS, help="exact solver of the search (default: auto, the built-in one)")
    group.add_argument(
        "--audit",
        nargs="?",
        const="auto",
        choices=AUDITS,
        help="let an independent solver check the last decision (without a name: the best one installed)",
    )
    group.add_argument(
        "--penalty",
        metavar="CL~WT=4",
        action="append",
        default=[],
        dest="penalties",
        help="what one effect must be worth, instead of the criterion's penalty; may be repeated",
    )
    group.add_argument("--resamples", metavar="N", help="resamples of subjects for selection frequencies; 0: none")


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0 when the selected model may be used as final, 1 when not, 130 when interrupted."""
    from nlmevae.cli.engine import import_engine
    from nlmevae.cli.options import selection_settings_from_text, settings_given
    from nlmevae.cli.report import report_after, require_report_packages
    from nlmevae.pipeline import open_selection_files, prepare_selection, selection_resumption, with_stated_seed

    if arguments.report:
        require_report_packages()

    named = named_settings(arguments, also=("criterion", "solver", "audit", "resamples"))
    named = {**_criterion_of_file(arguments.settings_file), **named}
    settings, decision = selection_settings_from_text(arguments.settings, named, arguments.penalties)
    prepared = prepare_selection(arguments.model, data=arguments.data, **search_options(arguments))
    settings = with_stated_seed(settings, prepared.model, settings_given(arguments.settings, named))
    print_diagnostics(prepared.diagnostics)
    files = open_selection_files(prepared, out=arguments.out, overwrite=arguments.overwrite)
    import_engine("nlmevae.estimation.search")
    resumption = selection_resumption(
        prepared, settings, decision, files, resume=arguments.resume, every=arguments.checkpoint_every
    )
    print_notes(resumption.notes)
    with one_interrupt():
        result = _select(
            prepared, settings, decision, files, resumption,
            quiet=arguments.quiet, final_estimates=arguments.final_estimates,
        )  # fmt: skip
    with interrupts_held():
        try:
            code = _finish(result, files, quiet=arguments.quiet)
        except OutputError:
            name_checkpoint(resumption)
            raise
    end_resumption(resumption, result.fit)
    if arguments.report and files.folder.control_stream.exists():
        report_after(arguments, files.folder.control_stream, result.fit, files.folder.run.report)
    return code


def _criterion_of_file(settings_file: str | None) -> dict[str, str]:
    """The criterion of a settings file, which the command line replaces."""
    from nlmevae.data.search.decision import decision_of_file

    criterion = decision_of_file(settings_file).criterion
    return {} if criterion is None else {"criterion": criterion}


def search_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of the search that were given, as text: `nlmevae.data.search_spec.SearchSpec` reads them."""
    options: dict[str, Any] = {
        name: ",".join(values) for name in LIST_OPTIONS if (values := getattr(arguments, name)) is not None
    }
    for name in ("missing", "levels", "settings_file", "scm_file", "mfl", "linear_as"):
        if getattr(arguments, name) is not None:
            options[name] = getattr(arguments, name)
    return options


def _select(
    prepared: PreparedSelection,
    settings: FitSettings,
    decision: SelectionSettings,
    files: SelectionFiles,
    resumption: Resumption,
    *,
    quiet: bool,
    final_estimates: bool,
) -> SelectionResult:
    from nlmevae.cli.progress import make_progress
    from nlmevae.pipeline import run_selection

    with make_progress(prepared, what="selecting covariates for", quiet=quiet) as progress:
        return run_selection(
            prepared, settings, decision, files=files, progress=progress.update, resumption=resumption,
            final_estimates=final_estimates,
        )  # fmt: skip


def _finish(result: SelectionResult, files: SelectionFiles, *, quiet: bool) -> int:
    """Files first. What was selected is shown even if writing fails."""
    from nlmevae.cli.selection_text import selection_text

    try:
        written = files.finish(result)
    except OutputError:
        print(selection_text(result, paths=()))
        raise
    _print_warnings(result, written)
    if not quiet:
        print(selection_text(result, paths=written.paths))
    elif not result.fit.status.completed:
        print(f"nlmevae: {result.fit.message or result.fit.status.sentence}", file=sys.stderr)
    return exit_code(result)


def _print_warnings(result: SelectionResult, written: WrittenFiles) -> None:
    from nlmevae.cli.selection_text import audit_failure

    failure = audit_failure(result.certificate)
    for warning in dict.fromkeys((*result.warnings, *result.fit.warnings, *([failure] if failure else []))):
        print(f"warning: {warning}", file=sys.stderr)
    if written.note:
        print(f"note: {written.note}", file=sys.stderr)


def exit_code(result: SelectionResult) -> int:
    """130 interrupted; 1 the fit did not complete or the audit contradicts the selection; else 0."""
    from nlmevae.results.status import FitStatus

    if result.fit.status is FitStatus.INTERRUPTED:
        return 130
    return 0 if result.fit.status.completed and result.certificate.audit_agrees is not False else 1
