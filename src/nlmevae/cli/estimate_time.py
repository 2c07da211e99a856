"""`nlmevae estimate-time run1.ctl`: how long a fit or a search will take, before it is started."""

from __future__ import annotations

import argparse

from nlmevae.cli.run_arguments import add_run_arguments, named_settings, print_diagnostics
from nlmevae.cli.select import add_search_arguments, search_options


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "estimate-time",
        help="how long a fit or a search will take on this machine",
        description="Run a few iterations of every part of a fit, or of a covariate search if covariates are given, "
        "and say how long the command will take. Writes nothing.",
        epilog="example: nlmevae estimate-time run1.ctl --covariates WT,AGE,SEX",
    )
    parser.add_argument("model", metavar="MODEL", help="NONMEM control stream or Monolix project (.mlxtran)")
    add_search_arguments(parser.add_argument_group("what is searched (nothing: the time of a fit)"))
    group = parser.add_argument_group("a bootstrap of it")
    group.add_argument("--bootstrap", metavar="SAMPLES", help="the time of nlmevae bootstrap with so many samples")
    group.add_argument("--workers", metavar="N", help="that share the samples (default: one per core); 0: no workers")
    add_run_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from nlmevae.cli.options import read_number, selection_settings_from_text, settings_given
    from nlmevae.cli.time_text import time_text
    from nlmevae.forecasting import bootstrap_time, fit_time, selection_time
    from nlmevae.pipeline import prepare, prepare_selection, require_no_prior, with_stated_seed

    named = named_settings(arguments)
    given = settings_given(arguments.settings, named)
    settings, decision = selection_settings_from_text(arguments.settings, named)
    options, samples = search_options(arguments), arguments.bootstrap is not None
    if options:
        searched = prepare_selection(arguments.model, data=arguments.data, **options)
        print_diagnostics(searched.diagnostics)
        found = selection_time(searched, with_stated_seed(settings, searched.model, given), decision, samples=samples)
    else:
        prepared = prepare(arguments.model, data=arguments.data)
        require_no_prior(prepared.model)
        print_diagnostics(prepared.diagnostics)
        found = fit_time(prepared, with_stated_seed(settings, prepared.model, given), samples=samples)
    verb = "select" if options else "fit"
    if samples:
        numbers = [
            None if text is None else read_number(name, text, int)
            for name, text in (("bootstrap", arguments.bootstrap), ("workers", arguments.workers))
        ]
        found, verb = bootstrap_time(found, *numbers), "bootstrap"
    print(time_text(found, verb=verb))
    return 0
