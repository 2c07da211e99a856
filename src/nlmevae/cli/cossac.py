"""`nlmevae cossac run1.ctl --covariates WT,AGE`: COSSAC on this program's engine."""

from __future__ import annotations

import argparse

from nlmevae.cli.stepwise import add_p_values, add_stepwise_parser


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = add_stepwise_parser(
        verbs,
        "cossac",
        text="stepwise search led by correlations (COSSAC), to compare `select` with",
        description="Add and remove one covariate effect at a time, in the order of correlation tests on samples of "
        "the conditional distribution (Ayral et al. 2021); every model is estimated from its parent's estimates.",
    )
    add_p_values(parser, "default: BICc decides", "default: BICc decides")
