"""`nlmevae scm run1.ctl --covariates WT,AGE`: stepwise covariate modelling on this program's engine."""

from __future__ import annotations

import argparse

from nlmevae.cli.stepwise import add_p_values, add_stepwise_parser


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = add_stepwise_parser(
        verbs,
        "scm",
        text="stepwise covariate modelling, to compare `select` with",
        description="Add the covariate effect with the smallest p-value while one is significant, then remove those "
        "that are not, as PsN's scm does; or what lowers BICc most while it falls, as Monolix does. Every model is "
        "estimated from its parent's estimates.",
    )
    parser.add_argument(
        "--criterion",
        type=str.lower,
        choices=("lrt", "bicc", "bic", "aic", "mbic", "ebic"),
        help="what decides: the likelihood-ratio test (lrt, default), or a criterion that every step has to lower",
    )
    add_p_values(parser, "default: 0.05", "default: 0.01")
    parser.add_argument(
        "--direction", choices=("forward", "backward", "both"), help="default: that of --scm-file, else both"
    )
