"""Programs that can be interrupted, wherever the tests themselves run."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def started(*line: str) -> Iterator[subprocess.Popen]:
    """``nlmevae LINE`` with its standard output and error as text, killed if it is still there at the end.

    A shell starts what it puts in the background with SIGINT ignored, pytest inherits that, and so would the program:
    it would run through where a test of Ctrl-C waits for its end.
    """
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "nlmevae.cli", *line],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
