"""The commands nmfe73 to nmfe76: what other programs call to run NONMEM, executed by nlmevae.

    nmfe75 model.ctl model.lst [options of NONMEM's script]

The options are those of a program that compiles Fortran and shares work between computers; they are accepted and mean
nothing here. Exit codes: 0 there are results (the report says how the fit ended, as NONMEM's does); 1 the model could
not be evaluated; 2 refused, the report says why; 3 a defect of nlmevae; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlmevae.cli.interrupts import one_interrupt
from nlmevae.errors import NlmevaeError, OutputError

if TYPE_CHECKING:
    from nlmevae.estimation.trace import ProgressEvent
    from nlmevae.prepared_run import PreparedRun

REFUSED, DEFECT, INTERRUPTED = 2, 3, 130

USAGE = """usage: nmfe75 CONTROL_STREAM REPORT [options of NONMEM's nmfe script, which are ignored]

This is nlmevae in NONMEM's place: it executes the control stream itself; NONMEM is not run.
Settings: comments in the control stream, ';; nlmevae: seed=7 method=vae+polish', or NLMEVAE_OPTIONS="seed=7".
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Execute one control stream; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    names = positional(sys.argv[1:] if argv is None else argv)
    if not names:
        print(USAGE, end="", file=sys.stderr)
        return REFUSED
    control_stream = Path(names[0])
    report = Path(names[1]) if len(names) > 1 else control_stream.with_suffix(".lst")
    try:
        require_here(control_stream)
        return _run(control_stream, report)
    except NlmevaeError as error:
        _show_traceback_if_debugging()
        print(f"nlmevae: error: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("nlmevae: interrupted before there was a result", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        _show_traceback_if_debugging()
        what = f"{type(error).__name__}: {error}"
        print(f"nlmevae: this is a defect of nlmevae, not of your model: {what}", file=sys.stderr)
        print("  -> run again with NLMEVAE_DEBUG=1 and report what it prints", file=sys.stderr)
        return DEFECT


def positional(argv: Sequence[str]) -> list[str]:
    """The file names: what is neither empty nor an option (-background, [nodes]=4)."""
    return [word for word in argv if word and not word.startswith(("-", "["))]


def require_here(control_stream: Path) -> None:
    """Raises OutputError for a control stream of another folder: NONMEM takes the names in it from the current folder,
    and writes its files there; nlmevae takes both from the control stream's folder."""
    if control_stream.absolute().parent.resolve() != Path.cwd().resolve():
        raise OutputError(
            f"{control_stream} is not in the current folder", hint=f"cd {control_stream.parent}, then call nmfe there"
        )


def _run(control_stream: Path, report: Path) -> int:
    from nlmevae.hosts.nmfe import run_nmfe

    print("nlmevae executes this control stream; NONMEM is not run.", flush=True)
    with one_interrupt():
        done = run_nmfe(control_stream, report, progress=_show, started=_show_data)
    for warning in done.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if done.result is None:
        print(" AN ERROR WAS FOUND IN THE CONTROL STATEMENTS OR ON THE DATA SET.")
        print(f"nlmevae: error: {done.message}")
        print(f"nlmevae: error: {done.message}", file=sys.stderr)
    elif done.message:
        print(done.message)
    print(f"Done with nlmevae execution: {report}")
    return done.code


def _show_data(run: PreparedRun) -> None:
    print(f"Starting: {run.table.n_subjects} individuals, {run.table.n_obs_total} observations", flush=True)


def _show(event: ProgressEvent) -> None:
    if event.row is not None:
        print(f" {event.phase} iteration {event.iteration:8d}  -2LL or -2ELBO= {event.objective:.4f}", flush=True)


def _show_traceback_if_debugging() -> None:
    if os.environ.get("NLMEVAE_DEBUG") == "1":
        import traceback

        traceback.print_exc()


if __name__ == "__main__":
    sys.exit(main())
