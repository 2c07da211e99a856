"""`nlmevae compare run1_selected.selection.json --scm scm_dir1`: results of several programs in one table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

OFV_METHODS = ("focei", "foce", "fo", "foi", "laplace", "is")

_OPTIONS = (
    ("scm", "DIR", "folder of a PsN scm run, or its log"),
    ("covsearch", "DIR", "results.json of a Pharmpy covsearch, or its folder"),
    ("cossac", "DIR", "COSSAC: folder of Rsmlx's covariateSearch, a file in the exchange format, or a Monolix project"),
    ("samba", "DIR", "SAMBA: folder of Rsmlx's buildmlx, a file in the exchange format, or a Monolix project"),
    ("nonmem", "RUN.ext", "a NONMEM run"),
    ("monolix", "DIR", "results folder of a Monolix run, or its project"),
)


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "compare",
        help="compare a result with those of PsN, Pharmpy, Monolix and NONMEM",
        description="Put the covariates, estimates, -2LL (by method), BICc (by one convention), numbers of runs and "
        "times of several programs beside ours. Nothing is fitted.",
        epilog="example: nlmevae compare run1_selected.selection.json --scm scm_dir1 --monolix run1",
    )
    parser.add_argument("ours", metavar="OURS", help=".selection.json or .results.json, or the folder with one")
    for name, metavar, text in _OPTIONS:
        parser.add_argument(f"--{name}", metavar=metavar, action="append", default=[], help=f"{text}; may be repeated")
    parser.add_argument(
        "--names",
        metavar="lw70=WT,ke=K",
        action="append",
        default=[],
        help="names of another program and what they are called in ours",
    )
    parser.add_argument(
        "--ofv-method",
        choices=OFV_METHODS,
        help="how NONMEM computed the OFV of scm and covsearch, whose files do not tell",
    )
    parser.add_argument(
        "--reevaluate",
        action="store_true",
        help="also compute -2LL of the other programs' models at their estimates, by our importance sampling",
    )
    parser.add_argument("--csv", metavar="FILE", help="also write the table as CSV")
    parser.add_argument("--json", metavar="FILE", help="also write everything as JSON")
    parser.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0; what differs between programs is no error."""
    from nlmevae.cli.comparison_text import comparison_text
    from nlmevae.comparing import compare_results
    from nlmevae.errors import SettingsError
    from nlmevae.writers.comparison_files import write_comparison_csv, write_comparison_json

    others = {name: getattr(arguments, name) for name, _, _ in _OPTIONS if getattr(arguments, name)}
    if not others:
        raise SettingsError(
            "there is nothing to compare with", hint="give --scm, --covsearch, --cossac, --samba, --nonmem or --monolix"
        )
    _check_outputs(arguments, [path for paths in others.values() for path in paths])
    comparison = compare_results(
        arguments.ours, names=read_names(arguments.names), ofv_method=arguments.ofv_method, **others
    )
    if arguments.reevaluate:
        from nlmevae.cli.likelihood import LikelihoodProgress
        from nlmevae.reevaluation import reevaluated

        comparison = reevaluated(comparison, progress=None if arguments.quiet else LikelihoodProgress())
    if arguments.csv:
        write_comparison_csv(Path(arguments.csv), comparison)
    if arguments.json:
        write_comparison_json(Path(arguments.json), comparison)
    if not arguments.quiet:
        print(comparison_text(comparison))
    for flag in comparison.flags:
        print(f"warning: {flag}", file=sys.stderr)
    return 0


def _check_outputs(arguments: argparse.Namespace, inputs: list[str]) -> None:
    """A file that is compared is not replaced.

    Raises:
        OutputError: --csv or --json names one.
    """
    from nlmevae.errors import OutputError

    known = {Path(path).resolve() for path in (arguments.ours, *inputs)}
    for option in ("csv", "json"):
        path = getattr(arguments, option)
        if path and Path(path).resolve() in known:
            raise OutputError(f"--{option} {path} is an input of the comparison", hint="choose another name")


def read_names(texts: list[str]) -> dict[str, str]:
    """``lw70=WT,ke=K``.

    Raises:
        SettingsError: a part is not THEIRS=OURS.
    """
    from nlmevae.errors import SettingsError

    found = {}
    for part in (p.strip() for text in texts for p in text.split(",")):
        theirs, equals, ours = part.partition("=")
        if part and not (equals and theirs.strip() and ours.strip()):
            raise SettingsError(f"--names: {part!r} is not THEIRS=OURS", hint="write it like --names lw70=WT,ke=K")
        if part:
            found[theirs.strip()] = ours.strip()
    return found
