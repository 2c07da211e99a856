"""The `nlmevae` command: reads the command line, calls one verb, turns errors into messages and exit codes.

Exit codes: 0 done; 1 the fit failed numerically or did not converge, a selection failed its audit, or a prediction
could not be computed; 2 the
input, a setting or an output file is wrong; 3 a defect of nlmevae; 130 interrupted (a valid partial result is on
disk once the first iteration was finished).

Nothing heavy is imported here: `nlmevae --help` must answer at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from nlmevae import __version__
from nlmevae.cli import (
    bootstrap,
    check,
    code,
    compare,
    convert,
    cossac,
    estimate_time,
    fit,
    likelihood,
    multistart,
    nmfe,
    predict,
    profile,
    report,
    samba,
    scm,
    select,
    simulate,
    sse,
    tables,
    vpc,
)
from nlmevae.errors import NlmevaeError

DONE, UNFINISHED, BAD_INPUT, DEFECT, INTERRUPTED = 0, 1, 2, 3, 130

_VERBS = (
    fit,
    select,
    scm,
    cossac,
    samba,
    compare,
    convert,
    predict,
    profile,
    bootstrap,
    multistart,
    sse,
    report,
    estimate_time,
    likelihood,
    tables,
    simulate,
    vpc,
    check,
    code,
    nmfe,
)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="nlmevae",
        description="Fit nonlinear mixed-effects models stated as NONMEM control streams or Monolix projects and "
        "select their covariates.",
        epilog="'nlmevae VERB --help' explains each verb. NLMEVAE_DEBUG=1 shows tracebacks.",
    )
    parser.add_argument("--version", action="version", version=f"nlmevae {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in _VERBS:
        verb.add_parser(verbs)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code. argparse itself exits with 2 on a wrong command line."""
    _print_any_text()
    arguments = build_parser().parse_args(argv)
    arguments.command = sys.argv[1:] if argv is None else list(argv)
    try:
        return arguments.run(arguments)
    except NlmevaeError as error:
        _show_traceback_if_debugging()
        print(f"nlmevae: error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("nlmevae: interrupted before there was a result", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `nlmevae check run1.ctl | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        _show_traceback_if_debugging()
        print(
            f"nlmevae: this is a defect of nlmevae, not of your model: {type(error).__name__}: {error}", file=sys.stderr
        )
        print("  -> run again with NLMEVAE_DEBUG=1 and report what it prints", file=sys.stderr)
        return DEFECT


def _print_any_text() -> None:
    """A control stream may hold bytes of any encoding; a terminal that cannot show one gets ``\\xe9``."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _show_traceback_if_debugging() -> None:
    if os.environ.get("NLMEVAE_DEBUG") == "1":
        import traceback

        traceback.print_exc()


if __name__ == "__main__":
    sys.exit(main())
