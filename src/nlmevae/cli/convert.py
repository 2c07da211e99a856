"""`nlmevae convert run1.mod --to mlxtran`: a model file in the other language; `--modernise`: in today's style."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

#: Entry points of packages that convert.
GROUP = "nlmevae.translators"


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "convert",
        help="write a NONMEM control stream as a Monolix project, or the other way round, or in today's style",
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
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument(
        "--to",
        choices=("mlxtran", "nonmem", "scm", "select", "cossac"),
        help="the language to write; scm, select and cossac are those of search settings",
    )
    target.add_argument(
        "--modernise",
        action="store_true",
        help="rewrite an old control stream: MU-referenced, labelled, in today's spelling; the rest keeps its text",
    )
    parser.add_argument("--model", metavar="MODEL", dest="searched", help="of search settings: the model searched")
    parser.add_argument(
        "--linear-as",
        choices=("exponential", "power"),
        help="of search settings: this form in place of scm's linear effects that have no counterpart",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="folder for the files (default: MODEL's name and the language, or _modern)"
    )
    parser.add_argument(
        "--from-results",
        metavar="PATH",
        help="final estimates to start from: RUN.results.json, .ext, a results folder of Monolix, or a CSV",
    )
    parser.add_argument("--data", metavar="PATH", help="read this data file instead of the one the model names")
    parser.add_argument(
        "--allow-lossy", action="store_true", help="leave out what is refused where no prediction depends on it"
    )
    parser.add_argument("--no-proof", action="store_true", help="do not compare the predictions of the two")
    parser.add_argument("--report", metavar="FILE", help="write the report as JSON, too")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0, 1 or 2 as the report says."""
    from nlmevae.errors import OutputError

    suffix = "modern" if arguments.modernise else arguments.to
    out = Path(arguments.out) if arguments.out else Path(f"{Path(arguments.model).with_suffix('')}_{suffix}")
    conversion = _modernised(arguments, out) if arguments.modernise else _converted(arguments, out)
    print(conversion.report.text)
    if arguments.report:
        try:
            Path(arguments.report).write_text(conversion.report.json + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write {arguments.report}: {error.strerror}", hint="check the path") from None
    for name in conversion.files:
        print(f"written: {out / name}")
    if not conversion.files:
        done = arguments.modernise and conversion.report.exit_code == 0
        print("nothing is written: nothing had to change" if done else "nothing is written")
    return conversion.report.exit_code


def _converted(arguments: argparse.Namespace, out: Path) -> Any:
    return _translator("convert")(
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


def _modernised(arguments: argparse.Namespace, out: Path) -> Any:
    """
    Raises:
        SettingsError: final estimates are asked for.
    """
    from nlmevae.errors import SettingsError

    if arguments.from_results:
        raise SettingsError(
            "--from-results does not go with --modernise, which keeps the initial estimates",
            hint="leave it out",
        )
    return _translator("modernise")(
        arguments.model,
        out=out,
        data=arguments.data,
        proof=not arguments.no_proof,
        overwrite=arguments.overwrite,
    )


def _translator(name: str) -> Any:
    """The installed function of that name.

    Raises:
        MissingDependencyError: there is none.
    """
    import importlib
    from importlib.metadata import entry_points

    from nlmevae.errors import MissingDependencyError

    for point in entry_points(group=GROUP, name=name):
        return point.load()
    try:  # a source tree that is on the path without being installed
        return getattr(importlib.import_module("nlmevae_translators"), name)
    except (ImportError, AttributeError):
        raise MissingDependencyError(
            "the package that converts models is not installed", hint="pip install --force-reinstall nlmevae"
        ) from None
