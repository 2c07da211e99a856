"""`nlmevae report run1.ctl`: one HTML file about a finished fit."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nlmevae.results.fit_result import FitResult

THEMES = ("colour", "grey")


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "report",
        help="write one HTML file with estimates, plots and diagnostics of a finished fit",
        description="Compute the diagnostics of a finished fit and write one HTML file that needs no network. Needs "
        "'nlmevae[report]'.",
    )
    parser.add_argument("model", metavar="MODEL", help="the control stream or Monolix project that was fitted")
    parser.add_argument("--fit", metavar="FILE", help="its results (default: <run>.results.json beside it)")
    parser.add_argument(
        "--selection", metavar="FILE", help="of a covariate search (default: <run>.selection.json beside the results)"
    )
    parser.add_argument("--out", metavar="FILE", help="the HTML file (default: <run>.html beside the results)")
    add_report_arguments(parser)
    parser.add_argument("--data", metavar="PATH", help="read this data file instead of the one that was fitted")
    parser.add_argument("--overwrite", action="store_true", help="also replace a file that another program wrote")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.set_defaults(run=run)


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """What the report shows."""
    parser.add_argument(
        "--stratify",
        metavar="SEX",
        action="append",
        help="data item that splits the predictive checks; may be repeated",
    )
    parser.add_argument("--subjects", metavar="N", help="most subjects among the individual fits (default: 24)")
    parser.add_argument(
        "--simulations", metavar="N", help="simulated data sets behind predictive checks and NPDE (default: 500)"
    )
    parser.add_argument("--theme", choices=THEMES, help="colours (default: colour; grey for black-and-white print)")


def report_options(arguments: argparse.Namespace) -> dict[str, object]:
    """Those that were given, as `nlmevae.report` takes them.

    Raises:
        SettingsError: a number is none.
    """
    from nlmevae.errors import SettingsError

    options: dict[str, object] = {}
    for name in ("subjects", "simulations"):
        text = getattr(arguments, name)
        if text is not None:
            try:
                options[name] = int(text)
            except ValueError:
                raise SettingsError(f"{name} is {text!r}", hint="give a whole number") from None
    if arguments.stratify:
        options["stratify"] = tuple(item for text in arguments.stratify for item in text.split(",") if item)
    if arguments.theme is not None:
        options["theme"] = arguments.theme
    return options


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0: the report was written, whatever the fit was like."""
    from nlmevae.cli.step_progress import StepProgress
    from nlmevae.reporting import write_report

    path = write_report(
        arguments.model,
        fit=arguments.fit,
        selection=arguments.selection,
        out=arguments.out,
        data=arguments.data,
        overwrite=arguments.overwrite,
        progress=StepProgress(quiet=arguments.quiet),
        **report_options(arguments),
    )
    if not arguments.quiet:
        print(f"Wrote {path} ({size(path)})")
    return 0


def require_report_packages() -> None:
    """Before hours are spent: MissingDependencyError with the install command."""
    from nlmevae.report.page.page import require_packages

    require_packages()


def report_after(arguments: argparse.Namespace, model: Path | str, result: FitResult, path: Path) -> None:
    """The report of a run that has just ended and whose files are written: whatever goes wrong is a note, never the
    loss of the result."""
    from nlmevae.cli.step_progress import StepProgress
    from nlmevae.errors import NlmevaeError
    from nlmevae.reporting import write_report

    note = ""
    try:
        progress = StepProgress(quiet=arguments.quiet)
        write_report(model, fit=result, out=path, data=arguments.data, overwrite=arguments.overwrite, progress=progress)
    except NlmevaeError as error:
        note = str(error)
    except KeyboardInterrupt:
        note = "interrupted"
    except Exception as error:
        note = f"{type(error).__name__}: {error}"
    if note:
        print(f"note: no report: {note}", file=sys.stderr)
    elif not arguments.quiet:
        print(f"Wrote {path} ({size(path)})")


def size(path: Path) -> str:
    """``850 kB``, ``1.4 MB``."""
    n = path.stat().st_size
    return f"{n / 1e6:.1f} MB" if n >= 1e6 else f"{n / 1e3:.0f} kB"
