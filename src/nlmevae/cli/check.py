"""`nlmevae check run1.ctl`: what was understood, without fitting."""

from __future__ import annotations

import argparse


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "check",
        help="show what nlmevae understands of a model and its data; fits nothing",
        description="Read a model and its data and print what was understood. Exit code 0 if both are usable, "
        "else 2, with the place and the reason.",
    )
    parser.add_argument("model", metavar="MODEL", help="NONMEM control stream or Monolix project (.mlxtran)")
    parser.add_argument("--data", metavar="PATH", help="read this data file instead of the one the model names")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from nlmevae.cli.summary_text import summary_text
    from nlmevae.errors import DataError, ModelSyntaxError, NlmevaeError, SemanticError, UnsupportedError
    from nlmevae.pipeline import check

    try:
        print(summary_text(check(arguments.model, data=arguments.data)))
    except NlmevaeError as error:
        tiers = {
            ModelSyntaxError: "not parsed",
            SemanticError: "parsed, not resolved",
            UnsupportedError: "parsed, not executable",
            DataError: "model executable, data not usable",
        }
        tier = next((words for kind, words in tiers.items() if isinstance(error, kind)), "")
        if tier and arguments.model.lower().endswith(".mlxtran"):
            print(f"{'Model':<13} {arguments.model}\n{'Status':<13} refused: {tier}", flush=True)
        raise
    return 0
