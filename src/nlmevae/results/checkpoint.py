"""What a later run needs to go on where this one stands."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """outcomes: finished parts of the run, by name; `part` the one that is under way and `state` how far it is ("" and
    b"": none was begun or it has not said). All bytes are snapshots (estimation/snapshot.py). `seconds` spent so far,
    by part and in "total"."""

    outcomes: dict[str, bytes] = field(default_factory=dict)
    part: str = ""
    state: bytes = b""
    seconds: dict[str, float] = field(default_factory=dict)
