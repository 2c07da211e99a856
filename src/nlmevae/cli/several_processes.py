"""`nlmevae fit --processes K`: one fit by several processes, started here, by torchrun or by a scheduler."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

from nlmevae.errors import ProcessError, SettingsError

if TYPE_CHECKING:
    from nlmevae.estimation.settings import FitSettings
    from nlmevae.prepared_run import PreparedRun

#: Set for processes that this program started: their input ends with it, and so do they.
STARTED_HERE = "NLMEVAE_STARTED_HERE"
#: Seconds that the others have to end by themselves when one has failed, and to end after process 0.
GRACE, PAUSE = 20.0, 0.1


def add_processes_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--processes",
        metavar="K",
        help="share the subjects of one fit among K processes of this machine; the numbers do not depend on it "
        "(several machines: torchrun)",
    )


def is_to_be_started(arguments: argparse.Namespace) -> bool:
    """Whether this process is the one that starts the others.

    Raises:
        SettingsError: no number of processes, or several models.
    """
    from nlmevae.processes import are_several

    if arguments.processes is None and not are_several():
        return False
    if len(arguments.model) > 1:
        raise SettingsError(
            "several processes share one model, not several", hint="fit several models with --workers, without torchrun"
        )
    if are_several():
        return False
    if not arguments.processes.isdigit() or int(arguments.processes) < 1:
        raise SettingsError(f"--processes is {arguments.processes}, not a number from 1 on", hint="as in --processes 4")
    return int(arguments.processes) > 1


@contextlib.contextmanager
def sharing(prepared: PreparedRun, settings: FitSettings) -> Iterator[FitSettings]:
    """The settings of this process, while it shares the fit with those that were started with it, if any.

    Raises:
        ProcessError: they do not find each other, or read different things. SettingsError: samples are asked for.
    """
    from nlmevae.processes import are_several, interrupts_shared, joined
    from nlmevae.resumption import provenance_of

    if are_several() and settings.samples:
        raise SettingsError(
            "samples of the random effects are not for a fit by several processes: none of them has all draws",
            hint="fit without --samples; nlmevae predict draws samples at the estimates",
        )
    with joined() as group:
        if group is None:
            yield settings
            return
        for other, found in enumerate(group.values(provenance_of(prepared, settings), "what is fitted")):
            own = provenance_of(prepared, settings)
            if differing := [name for name in own if own[name] != found[name]]:
                raise ProcessError(
                    f"processes {group.rank} and {other} of the fit do not agree on {', '.join(differing)}",
                    hint="let all of them read the same files on machines of one kind",
                )
        with interrupts_shared(group):
            yield settings if settings.threads is not None else replace(settings, threads=group.threads)


def follow(prepared: PreparedRun, settings: FitSettings) -> int:
    """The part of a process that is not the first: it writes nothing and shows nothing."""
    from nlmevae.pipeline import run_fit

    with sharing(prepared, settings) as own:
        run_fit(prepared, own)
    return 0


def is_follower() -> bool:
    from nlmevae.processes import are_several

    return are_several() and os.environ["RANK"].strip() != "0"


def end_with_starter() -> None:
    """A process that was started here does not outlive who started it."""
    if os.environ.get(STARTED_HERE) != "1":
        return

    def wait() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


# the process that starts the others -------------------------------------------------------------------
@dataclass(slots=True)
class _Started:
    rank: int
    process: subprocess.Popen
    messages: IO[bytes] | None  # of any but the first

    @property
    def code(self) -> int | None:
        return self.process.poll()


def start(command: Sequence[str], n: int) -> int:
    """Start `n` processes of this command line and wait for them; the exit code of the first, or of one that failed."""
    started = _start_all(command, n)

    def forward(signum: int, frame: object) -> None:
        for s in started:
            if s.code is None:
                s.process.send_signal(signum)

    previous = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        failed = _wait(started)
    finally:
        for s in started:
            if s.code is None:
                s.process.kill()
            s.process.wait()
        for number, handler in previous.items():
            signal.signal(number, handler)
    if failed is not None and failed.rank:
        print(f"nlmevae: {_end_of(failed)}", file=sys.stderr)
        return _exit_code(started[0].code) or _exit_code(failed.code)
    return _exit_code(started[0].code)


def _start_all(command: Sequence[str], n: int) -> list[_Started]:
    known = os.environ | {"WORLD_SIZE": str(n), "LOCAL_WORLD_SIZE": str(n), STARTED_HERE: "1"}
    known |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    known.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    started = []
    for rank in range(n):
        messages = tempfile.TemporaryFile() if rank else None  # noqa: SIM115  (open while the process runs)
        process = subprocess.Popen(
            [sys.executable, "-m", "nlmevae.cli", *command],
            env=known | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL if rank else None,
            stderr=messages,
            start_new_session=True,  # a Ctrl-C of the terminal comes by way of this process, once
        )
        started.append(_Started(rank, process, messages))
    return started


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _wait(started: list[_Started]) -> _Started | None:
    """Until all have ended, or those that have not had time to; the first that failed."""
    failed, deadline = None, float("inf")
    while any(s.code is None for s in started) and time.monotonic() < deadline:
        for s in started:
            if failed is None and s.code not in (None, 0):
                failed = s
        if deadline == float("inf") and (failed is not None or started[0].code is not None):
            deadline = time.monotonic() + GRACE
        time.sleep(PAUSE)
    return failed or next((s for s in started if s.code not in (None, 0)), None)


def _end_of(failed: _Started) -> str:
    code = failed.code
    how = f"was ended by signal {-code}" if code is not None and code < 0 else f"failed with exit code {code}"
    failed.messages.seek(0)
    said = failed.messages.read().decode(errors="replace").strip()
    return f"process {failed.rank} of the fit {how}" + (f"; it said:\n{said}" if said else "")


def _exit_code(code: int | None) -> int:
    """As a shell has it: 128 and the number of the signal."""
    return 1 if code is None else 128 - code if code < 0 else code
