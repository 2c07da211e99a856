"""What `nlmevae scm`, `cossac` and `samba` have in common: the search's options, the runs as they come, the result."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from nlmevae.cli.run_arguments import add_backend_arguments, add_file_arguments, named_settings, print_diagnostics
from nlmevae.cli.select import add_search_arguments, exit_code, search_options

if TYPE_CHECKING:
    from nlmevae.pipeline import PreparedSelection
    from nlmevae.results.stepwise_result import StepwiseMethod


def add_stepwise_parser(
    verbs: argparse._SubParsersAction, method: StepwiseMethod, *, text: str, description: str
) -> argparse.ArgumentParser:
    """The parser of one of the verbs; what only that one has is added by it."""
    parser = verbs.add_parser(
        method,
        help=text,
        description=f"{description} Files <run>_selected.* are written to the folder <run>_{method} unless --out names "
        "one.",
        epilog=f"example: nlmevae {method} run1.ctl --covariates WT,AGE,SEX --categorical SEX",
    )
    parser.add_argument(
        "model", metavar="CONTROL_STREAM", help="NONMEM control stream without the effects searched for"
    )
    add_search_arguments(parser.add_argument_group("what is searched"))
    parser.add_argument("--seed", metavar="N", help="random seed; same seed, same numbers")
    add_backend_arguments(parser)
    parser.add_argument("--covariance", help="of the estimates of the final model, as in nlmevae fit")
    add_file_arguments(parser)
    parser.set_defaults(run=lambda arguments: run_stepwise_verb(arguments, method))
    return parser


def add_p_values(parser: argparse.ArgumentParser, forward: str, backward: str) -> None:
    """``--p-forward``, ``--p-backward``, with their defaults in words."""
    parser.add_argument("--p-forward", metavar="P", help=f"of the likelihood-ratio test to add an effect ({forward})")
    parser.add_argument("--p-backward", metavar="P", help=f"to keep it ({backward})")


def run_stepwise_verb(arguments: argparse.Namespace, method: StepwiseMethod) -> int:
    """Exit code 0 when the final model may be used as final, 1 when not, 130 when interrupted."""
    from nlmevae.cli.options import read_number, settings_from_text, settings_given
    from nlmevae.cli.stepwise_text import stepwise_text
    from nlmevae.pipeline import prepare_selection, with_stated_seed
    from nlmevae.stepwise import open_stepwise_files, run_stepwise
    from nlmevae.writers.stepwise_files import write_stepwise_file

    limits = {
        name: read_number(name, text, float)
        for name in ("p_forward", "p_backward")
        if (text := getattr(arguments, name, None)) is not None
    }
    named = named_settings(arguments)
    settings = settings_from_text(arguments.settings, named)
    prepared = prepare_selection(arguments.model, data=arguments.data, **search_options(arguments))
    settings = with_stated_seed(settings, prepared.model, settings_given(arguments.settings, named))
    print_diagnostics(prepared.diagnostics)
    files = open_stepwise_files(prepared, method, out=arguments.out, overwrite=arguments.overwrite)
    told = None if arguments.quiet else _tell
    how = {**_decision_of_file(arguments, method, prepared), **limits}
    how |= {n: v for n in ("direction", "criterion") if (v := getattr(arguments, n, None)) is not None}
    result = run_stepwise(prepared, settings, method, files=files, told=told, **how)
    written = files.finish(result.selection)
    log = write_stepwise_file(files.folder.folder, result)
    for warning in (*result.selection.warnings, *result.selection.fit.warnings):
        print(f"warning: {warning}", file=sys.stderr)
    if not arguments.quiet:
        print(stepwise_text(result, paths=(log, *written.paths)))
    return exit_code(result.selection)


def _decision_of_file(
    arguments: argparse.Namespace, method: StepwiseMethod, prepared: PreparedSelection
) -> dict[str, Any]:
    """p-values (unless a criterion is asked for), direction and start of a configuration file of scm, for `scm`; of a
    settings file what it says."""
    from nlmevae.stepwise import decision_of_settings, scm_plan

    criterion = getattr(arguments, "criterion", None)
    if method != "scm" or arguments.scm_file is None:
        return decision_of_settings(arguments.settings_file, method, criterion=criterion)
    plan = scm_plan(arguments.scm_file, prepared, linear_as=arguments.linear_as)
    found = {"direction": plan.direction}
    if criterion in (None, "lrt"):
        found |= {"p_forward": plan.p_forward, "p_backward": plan.p_backward}
    return {**{name: value for name, value in found.items() if value is not None}, "start": plan.start}


def _tell(number: int, effects: str, minus_two_ll: float) -> None:
    print(f"run {number}: {effects}: -2LL {minus_two_ll:.2f}", file=sys.stderr, flush=True)
