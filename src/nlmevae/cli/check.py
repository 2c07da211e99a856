"""`nlmevae check run1.ctl`: what was understood, without fitting."""

from __future__ import annotations

import argparse


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "check",
        help="show what nlmevae understands of a model and its data; fits nothing",
        description="Read a model and its data and print what was understood. Exit code 0 if both are usable, else 2.",
    )
    parser.add_argument("model", metavar="CONTROL_STREAM", help="NONMEM control stream")
    parser.add_argument("--data", metavar="PATH", help="read this data file instead of the one $DATA names")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from nlmevae.cli.summary_text import summary_text
    from nlmevae.pipeline import check

    print(summary_text(check(arguments.model, data=arguments.data)))
    return 0
