"""`nlmevae convert run1.mod --to mlxtran`: a model file in the other language."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

#: Entry points of packages that convert.
GROUP = "nlmevae.translators"


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "convert",
        help="write a NONMEM control stream as a Monolix project, or the other way round",
        description="Convert a model file and its data, say what became of every construct, and prove it: both are "
        "read back and their predictions compared. Exit code 0: lossless or by stated rules; 1: something is lost; 2: "
        "refused, nothing is written.",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="NONMEM control stream or Monolix project (.mlxtran); or settings of a covariate search: PsN's .scm, "
        ".toml of nlmevae select, .json of COSSAC",
    )
    parser.add_argument(
        "--to",
        required=True,
        choices=("mlxtran", "nonmem", "scm", "select", "cossac"),
        help="the language to write; scm, select and cossac are those of search settings",
    )
    parser.add_argument("--model", metavar="MODEL", dest="searched", help="of search settings: the model searched")
    parser.add_argument(
        "--linear-as",
        choices=("exponential", "power"),
        help="of search settings: this form in place of scm's linear effects that have no counterpart",
    )
    parser.add_argument("--out", metavar="DIR", help="folder for the files (default: MODEL's name and the language)")
    parser.add_argument(
        "--from-results", metavar="FILE", help="final estimates to start from: RUN.results.json, .ext or a CSV"
    )
    parser.add_argument("--data", metavar="PATH", help="read this data file instead of the one the model names")
    parser.add_argument("--allow-lossy", action="store_true", help="also write what is left where something is refused")
    parser.add_argument("--no-proof", action="store_true", help="do not compare the predictions of the two")
    parser.add_argument("--report", metavar="FILE", help="write the report as JSON, too")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0, 1 or 2 as the report says."""
    from nlmevae.errors import OutputError

    convert = _translator()
    out = Path(arguments.out) if arguments.out else Path(f"{Path(arguments.model).with_suffix('')}_{arguments.to}")
    conversion = convert(
        arguments.model,
        to=arguments.to,
        out=out,
        from_results=arguments.from_results,
        data=arguments.data,
        allow_lossy=arguments.allow_lossy,
        proof=not arguments.no_proof,
        overwrite=arguments.overwrite,
        model=arguments.searched,
        linear_as=arguments.linear_as,
    )
    print(conversion.report.text)
    if arguments.report:
        try:
            Path(arguments.report).write_text(conversion.report.json + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write {arguments.report}: {error.strerror}", hint="check the path") from None
    for name in conversion.files:
        print(f"written: {out / name}")
    if not conversion.files:
        print("nothing is written")
    return conversion.report.exit_code


def _translator() -> Any:
    """The installed function that converts.

    Raises:
        MissingDependencyError: there is none.
    """
    import importlib
    from importlib.metadata import entry_points

    from nlmevae.errors import MissingDependencyError

    for point in entry_points(group=GROUP, name="convert"):
        return point.load()
    try:  # a source tree that is on the path without being installed
        return importlib.import_module("nlmevae_translators").convert
    except (ImportError, AttributeError):
        raise MissingDependencyError(
            "the package that converts models is not installed", hint="pip install --force-reinstall nlmevae"
        ) from None
