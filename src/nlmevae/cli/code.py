"""`nlmevae code run1.ctl`: the code nlmevae generates from the model."""

from __future__ import annotations

import argparse


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "code",
        help="show the code generated from a model",
        description="Print the functions generated from a model: what the decoder computes, in the model's names.",
    )
    parser.add_argument("model", metavar="MODEL", help="NONMEM control stream or Monolix project (.mlxtran)")
    parser.add_argument("--data", metavar="PATH", help="read this data file instead of the one the model names")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from nlmevae.codegen.show import generated_code
    from nlmevae.pipeline import prepare

    prepared = prepare(arguments.model, data=arguments.data)
    print(generated_code(prepared.model, prepared.table))
    return 0
