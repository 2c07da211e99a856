"""What stops a conversion: the construct, why, and where."""

from __future__ import annotations

from nlmevae.errors import Location
from nlmevae_translators.report import Entry


class RefusedError(Exception):
    """There is no counterpart, and without the construct nothing sensible can be written."""

    def __init__(self, construct: str, reason: str, source: Location | None = None) -> None:
        super().__init__(reason)
        self.entry = Entry(construct=construct, kind="refused", reason=reason, source=source)
