"""Write a whole file or nothing: readers never meet half a result."""

from __future__ import annotations

import os
from pathlib import Path

from nlmevae.errors import OutputError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write to a temporary file in the same folder, then rename it over `path`. Text is written as UTF-8.

    Raises:
        OutputError: the file cannot be written; `path` is then as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content if isinstance(content, bytes) else content.encode("utf-8"))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(
            f"cannot write {path}: {error.strerror}", hint="free some space or choose another folder with --out"
        ) from error
