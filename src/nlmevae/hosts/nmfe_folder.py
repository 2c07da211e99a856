"""A folder like NONMEM's, with scripts `run/nmfe75` and `util/nmfe75` that call this nlmevae.

The version is 7.5 because our files have the layout of NONMEM 7.5 and programs choose their readers by it.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from nlmevae.errors import OutputError
from nlmevae.results.run_folder import make_folder

#: By which a script is recognised as ours.
MARK = "nlmevae in NONMEM's place"

_NAME = "nmfe75.bat" if os.name == "nt" else "nmfe75"


def install_nmfe(folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Write the scripts; their paths.

    Raises:
        OutputError: one exists and is not ours (a real NONMEM), or cannot be written.
    """
    paths = tuple(Path(folder) / part / _NAME for part in ("run", "util"))
    for path in paths:
        if path.exists() and not (path.is_file() and MARK.encode() in path.read_bytes()):
            raise OutputError(f"{path} exists and is not nlmevae's", hint="choose another folder, not NONMEM's own")
    for path in paths:
        make_folder(path.parent)
        try:
            path.write_text(script_text(), encoding="utf-8", newline="")
            path.chmod(0o755)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}", hint="choose another folder") from error
    return paths


def script_text(python: str | None = None) -> str:
    """The script; `python`: the interpreter that has nlmevae (None: this one)."""
    python = sys.executable if python is None else python
    if os.name == "nt":
        return f'@rem {MARK}\r\n@"{python}" -m nlmevae.cli.nmfe_script %*\r\n'
    return f'#!/bin/sh\n# {MARK}\nexec {shlex.quote(python)} -m nlmevae.cli.nmfe_script "$@"\n'
