"""`<run>.checkpoint`: where a running fit or search stands, whole or not there.

One line of JSON (who wrote it, what the run depends on, the sizes of the parts, a checksum), then the parts. The
parts are snapshots; reading this file interprets none of them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from nlmevae.errors import DataError
from nlmevae.results.checkpoint import Checkpoint
from nlmevae.results.run_folder import GENERATOR
from nlmevae.writers.atomic import write_atomically

FORMAT = 1


def write_checkpoint(path: Path, checkpoint: Checkpoint, provenance: dict[str, str]) -> None:
    """Replace the file.

    Args:
        provenance: what the run's numbers depend on, by name.

    Raises:
        OutputError: it cannot be written; an earlier checkpoint is then as it was.
    """
    body = b"".join((*checkpoint.outcomes.values(), checkpoint.state))
    head = {
        "generator": GENERATOR,
        "format": FORMAT,
        "provenance": provenance,
        "seconds": checkpoint.seconds,
        "outcomes": {name: len(data) for name, data in checkpoint.outcomes.items()},
        "part": checkpoint.part,
        "state": len(checkpoint.state),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    write_atomically(path, json.dumps(head).encode("utf-8") + b"\n" + body)


def read_checkpoint(path: Path) -> tuple[Checkpoint, dict[str, str]]:
    """The checkpoint and its provenance.

    Raises:
        DataError: the file cannot be read, is damaged, or is of another version's format.
    """
    try:
        head_line, _, body = path.read_bytes().partition(b"\n")
        head = json.loads(head_line)
        if head["generator"] != GENERATOR or head["format"] != FORMAT:
            raise ValueError("it has another format")
        if head["sha256"] != hashlib.sha256(body).hexdigest():
            raise ValueError("its checksum is wrong")
        return _checkpoint(head, body), dict(head["provenance"])
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint=_ANEW) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no checkpoint that this version can read ({error})", hint=_ANEW) from error


_ANEW = "run without --resume to start anew"


def _checkpoint(head: dict[str, Any], body: bytes) -> Checkpoint:
    outcomes, position = {}, 0
    for name, size in head["outcomes"].items():
        outcomes[name] = body[position : position + size]
        position += size
    if len(body) != position + head["state"]:
        raise ValueError("its sizes are wrong")
    return Checkpoint(outcomes=outcomes, part=head["part"], state=body[position:], seconds=head["seconds"])
