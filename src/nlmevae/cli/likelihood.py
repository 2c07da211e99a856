"""`nlmevae likelihood run1.ctl --params run1.ext`: -2LL at given parameters; nothing is fitted."""

from __future__ import annotations

import argparse
import math
import sys
import time

from nlmevae.cli.run_arguments import add_backend_arguments, print_diagnostics

#: A computation that ends sooner shows nothing.
FIRST_LINE_AFTER, SECONDS_BETWEEN_LINES = 2.0, 5.0


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "likelihood",
        help="-2 log-likelihood at given parameters, by several methods; fits nothing",
        description="Compute -2 log-likelihood at the initial estimates, or at those of another run, by exact and "
        "approximate methods, each with its error. With --out DIR also per subject, as CSV and JSON.",
    )
    parser.add_argument("model", metavar="MODEL", help="NONMEM control stream or Monolix project (.mlxtran)")
    parser.add_argument(
        "--params",
        metavar="FILE",
        help="parameter values: a NONMEM .ext, a .results.json, or a CSV file of name,value (default: the initial "
        "estimates of the model)",
    )
    parser.add_argument("--table", metavar="N", type=int, help="TABLE NO. of the .ext (default: the last estimation)")
    parser.add_argument(
        "--method",
        metavar="LIST",
        help="some of is, gauss-hermite, laplace, focei, foce, fo, lin, with commas between them, or all "
        "(default: is,laplace,focei,lin)",
    )
    parser.add_argument("--draws", metavar="N", help="importance sampling draws per subject (default: 4096)")
    parser.add_argument("--seed", metavar="N", help="random seed; same seed, same numbers")
    add_backend_arguments(parser)
    parser.add_argument("--data", metavar="PATH", help="read this data file instead of the one the model names")
    parser.add_argument("--out", metavar="DIR", help="folder for .likelihood.csv and .likelihood.json")
    parser.add_argument("--overwrite", action="store_true", help="also replace files that another program wrote")
    parser.add_argument("--quiet", action="store_true", help="print nothing but the values, warnings and errors")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0 if every method gave a value, else 1."""
    from nlmevae.at_parameters import DEFAULT_METHODS, open_files_at, prepare_at, run_likelihoods
    from nlmevae.cli.likelihood_text import likelihood_text
    from nlmevae.cli.options import settings_from_text
    from nlmevae.estimation.settings import method_names

    methods = arguments.method or DEFAULT_METHODS
    method_names(methods)
    texts = {name: getattr(arguments, name) for name in ("seed", "backend", "device")}
    texts |= {"final_draws": arguments.draws}
    settings = settings_from_text([], {name: text for name, text in texts.items() if text is not None})
    at = prepare_at(arguments.model, arguments.params, table=arguments.table, data=arguments.data)
    print_diagnostics(at.run.diagnostics)
    files = None if arguments.out is None else open_files_at(at, out=arguments.out, overwrite=arguments.overwrite)
    result = run_likelihoods(at, methods, settings, progress=None if arguments.quiet else LikelihoodProgress())
    paths = () if files is None else files.write(result)
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(likelihood_text(result, paths=paths))
    return 0 if all(math.isfinite(v.minus_two_ll) for v in result.values) else 1


class LikelihoodProgress:
    """A line every few seconds: what is computed, how much of it is done, time left."""

    def __init__(self) -> None:
        self._next = time.monotonic() + FIRST_LINE_AFTER
        self._method, self._start = "", 0.0

    def __call__(self, method: str, share: float) -> None:
        from nlmevae.cli.text_table import duration
        from nlmevae.results.likelihood_names import LABELS

        now = time.monotonic()
        if method != self._method:
            self._method, self._start = method, now
        if now < self._next:
            return
        self._next = now + SECONDS_BETWEEN_LINES
        what = LABELS.get(method, "conditional modes")
        left = f", at most {duration((now - self._start) * (1.0 - share) / share)} left" if share > 0.0 else ""
        print(f"{what}: {100 * share:.0f} %{left}", file=sys.stderr, flush=True)
