"""`nlmevae simulate run1.ctl --n 100 --out sim.csv`: data sets simulated from a model."""

from __future__ import annotations

import argparse
import sys

from nlmevae.cli.run_arguments import print_diagnostics
from nlmevae.cli.tables import add_fit_arguments


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "simulate",
        help="simulate data sets from a model at the estimates of a fit or at other parameter values",
        description="Simulate data sets with the design of the data (or of another file) and write them to one CSV "
        "file. The same seed gives the same numbers, whatever the number of threads.",
    )
    parser.add_argument("model", metavar="MODEL", help="NONMEM control stream or Monolix project (.mlxtran)")
    add_fit_arguments(parser)
    parser.add_argument(
        "--data", metavar="PATH", help="the design: doses, times, covariates (default: that of the model)"
    )
    parser.add_argument("--n", metavar="N", type=int, help="data sets (default: SUBPROBLEMS of $SIMULATION, else 1)")
    parser.add_argument("--seed", metavar="N", type=int, help="random seed (default: that of $SIMULATION, else 1)")
    parser.add_argument("--out", metavar="FILE", required=True, help="the CSV file")
    parser.add_argument("--no-iiv", action="store_true", help="typical subjects: all random effects 0")
    parser.add_argument("--no-residual", action="store_true", help="no residual error: DV is IPRED")
    parser.add_argument(
        "--uncertainty",
        action="store_true",
        help="draw the parameters of each data set from the covariance of the estimates",
    )
    parser.add_argument("--threads", metavar="N", type=int, default=1, help="of the predictions (default: 1)")
    parser.add_argument("--overwrite", action="store_true", help="also replace a file that another program wrote")
    parser.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0, or 130 when interrupted; the file then has the data sets that were finished."""
    from nlmevae.after_fit import simulate
    from nlmevae.cli.step_progress import StepProgress

    try:
        found = simulate(
            arguments.model,
            arguments.out,
            fit=arguments.fit,
            params=arguments.params,
            data=arguments.data,
            n=arguments.n,
            seed=arguments.seed,
            iiv=not arguments.no_iiv,
            residual=not arguments.no_residual,
            uncertainty=arguments.uncertainty,
            threads=arguments.threads,
            overwrite=arguments.overwrite,
            steps=StepProgress(quiet=arguments.quiet),
            notice=print_diagnostics,
        )
    except KeyboardInterrupt:
        print(f"nlmevae: interrupted; {arguments.out} has the data sets that were finished", file=sys.stderr)
        return 130
    if not arguments.quiet:
        plural = "s" if found.n > 1 else ""
        print(f"Wrote {found.path}: {found.n} data set{plural} from {found.origin}, seed {found.seed}")
    return 0
