"""`nlmevae samba run1.ctl --covariates WT,AGE`: SAMBA's covariate search on this program's engine."""

from __future__ import annotations

import argparse

from nlmevae.cli.stepwise import add_stepwise_parser


def add_parser(verbs: argparse._SubParsersAction) -> None:
    add_stepwise_parser(
        verbs,
        "samba",
        text="search by regressions on samples (SAMBA), to compare `select` with",
        description="Choose all covariate effects by regressions of samples of the conditional distribution on the "
        "covariates, estimate, and repeat until the choice does (Prague and Lavielle 2022).",
    )
