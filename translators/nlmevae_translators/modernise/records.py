"""What stays as it is written although it is old, and what it means today."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nlmevae.frontends.nonmem.options import read_options
from nlmevae.frontends.nonmem.records import Record
from nlmevae_translators.modernise.draft import Draft
from nlmevae_translators.report import Entry

_METHODS = {
    "0": "first order (FO); no estimate changes, so it stays",
    "1": "conditional (FOCE); it does not use MU, and stays",
}
_IDIOMS = (
    (r"\bNEWIND\b", "NEWIND", "it tells a subject's first record, today as then"),
    (r"\bICALL\b", "ICALL", "it tells initialisation and simulation from estimation, today as then"),
    (r"\bCALLFL\b", "CALLFL", "it says at which records the code runs, today as then"),
    (r"\bI(?:PRED?|RES|WRES?)\b", "IPRED, IRES, IWRES", "variables of the tables; they keep their names"),
)
_COMMENT = re.compile(r";[^\r\n]*")


def kept_records(draft: Draft) -> Iterator[Entry]:
    """One entry for each of them."""
    for record in draft.stream.records:
        if record.name == "ESTIMATION":
            yield from _estimation(draft, record)
        elif record.name in ("PK", "PRED", "ERROR"):
            yield from _idioms(draft, record)
        elif record.name == "SUBROUTINES":
            yield from (
                _kept(draft, record, f"{o.key}={o.value}", "the integrator's tolerance, as it was")
                for o in read_options(record)
                if o.key == "TOL"
            )


def _estimation(draft: Draft, record: Record) -> Iterator[Entry]:
    for option in read_options(record):
        if "METHOD".startswith(option.key) and len(option.key) >= 3 and option.value in _METHODS:
            yield _kept(draft, record, f"METHOD={option.value}", _METHODS[option.value])


def _idioms(draft: Draft, record: Record) -> Iterator[Entry]:
    code = _COMMENT.sub(lambda m: " " * len(m.group()), record.source.text[record.body : record.end])
    for pattern, name, reason in _IDIOMS:
        match = re.search(pattern, code, re.IGNORECASE)
        if match is not None:
            at = draft.place(record.source.location(record.body + match.start()))
            yield Entry(
                construct=f"{name} in ${record.name}", kind="lossless", reason=f"as it was: {reason}", source=at
            )


def _kept(draft: Draft, record: Record, construct: str, reason: str) -> Entry:
    return Entry(construct=construct, kind="lossless", reason=reason, source=draft.place(record.head))
