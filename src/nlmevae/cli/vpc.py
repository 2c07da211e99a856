"""`nlmevae vpc run1.ctl --fit run1.results.json`: a visual predictive check."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nlmevae.cli.run_arguments import print_diagnostics
from nlmevae.cli.tables import add_fit_arguments


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "vpc",
        help="visual predictive check: quantiles of the data beside those of simulated data",
        description="Simulate data sets at the estimates of a fit and compare quantiles of the data with those of the "
        "simulations, in bins of time. Writes <run>.vpc.csv and, if matplotlib is installed, a plot.",
    )
    parser.add_argument("model", metavar="MODEL", help="NONMEM control stream or Monolix project (.mlxtran)")
    add_fit_arguments(parser)
    parser.add_argument("--data", metavar="PATH", help="read this data file instead of the one the model names")
    parser.add_argument("--n", metavar="N", type=int, default=1000, help="simulated data sets (default: 1000)")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="random seed (default: 1)")
    parser.add_argument("--pc", action="store_true", help="prediction-corrected")
    parser.add_argument("--stratify", metavar="ITEM", help="one panel for each value of this data item")
    parser.add_argument(
        "--idv", metavar="ITEM", help="independent variable: TAD (time after dose) or a data item (default: TIME)"
    )
    parser.add_argument(
        "--bins",
        metavar="HOW",
        default="natural",
        help="natural (breaks in the largest gaps, default), count (equal counts), or edges: 0,2,6,24",
    )
    parser.add_argument("--n-bins", metavar="N", type=int, help="at most so many bins (default: up to 10)")
    parser.add_argument("--levels", metavar="LIST", default="0.05,0.5,0.95", help="quantiles (default: 0.05,0.5,0.95)")
    parser.add_argument("--confidence", metavar="P", type=float, default=0.9, help="of the bands (default: 0.9)")
    parser.add_argument("--out", metavar="DIR", help="folder for the files (default: beside the model)")
    parser.add_argument("--threads", metavar="N", type=int, default=1, help="of the predictions (default: 1)")
    parser.add_argument("--overwrite", action="store_true", help="also replace files that another program wrote")
    parser.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0."""
    from nlmevae.after_fit import vpc
    from nlmevae.cli.step_progress import StepProgress

    edges = _numbers("--bins", arguments.bins) if arguments.bins[:1] in "-.0123456789" else None
    found = vpc(
        arguments.model,
        fit=arguments.fit,
        params=arguments.params,
        data=arguments.data,
        n=arguments.n,
        seed=arguments.seed,
        stratify=arguments.stratify,
        against=arguments.idv,
        out=arguments.out if arguments.out is not None else Path(arguments.model).parent,
        overwrite=arguments.overwrite,
        threads=arguments.threads,
        steps=StepProgress(quiet=arguments.quiet),
        notice=print_diagnostics,
        prediction_corrected=arguments.pc,
        bins="natural" if edges else arguments.bins,
        n_bins=arguments.n_bins,
        edges=edges,
        levels=_numbers("--levels", arguments.levels),
        confidence=arguments.confidence,
    )
    for warning in found.checks.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if not arguments.quiet:
        print(f"At {found.origin}: {found.checks.n_simulations} simulated data sets, seed {found.checks.seed}")
        for path in found.paths:
            print(f"Wrote {path}")
    return 0


def _numbers(option: str, text: str) -> tuple[float, ...]:
    """``0,2,6,24``.

    Raises:
        SettingsError: something is not a number.
    """
    from nlmevae.errors import SettingsError

    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise SettingsError(f"{option} is {text!r}", hint="write numbers with commas between them") from None
