"""Write a whole file or nothing: readers never meet half a result."""

from __future__ import annotations

import contextlib
import glob
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from nlmevae.errors import OutputError


def write_atomically(path: Path, content: str | bytes | Iterable[str]) -> None:
    """Write to a temporary file in the same folder, then rename it over `path`. Text is written as UTF-8; a long
    one may come in pieces.

    Raises:
        OutputError: the file cannot be written; `path` is then as it was.
    """
    temporary = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.tmp")
    remove_abandoned(path)
    try:
        with temporary.open("wb") as stream:
            for piece in [content] if isinstance(content, str | bytes) else content:
                stream.write(piece if isinstance(piece, bytes) else piece.encode("utf-8"))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(
            f"cannot write {path}: {error.strerror}", hint="free some space or choose another folder with --out"
        ) from error


def remove_abandoned(path: Path) -> None:
    """Remove half-written temporary files of `path` whose writers, on this machine, were killed."""
    for temporary in path.parent.glob(f".{glob.escape(f'{path.name}.{platform.node()}')}.*.tmp"):
        writer = temporary.name.removesuffix(".tmp").rpartition(".")[2]
        if writer.isdigit() and not _may_be_running(int(writer)):
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _may_be_running(process: int) -> bool:
    if os.name != "posix":  # elsewhere asking could end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
