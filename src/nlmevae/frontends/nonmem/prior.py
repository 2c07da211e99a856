"""$PRIOR: not executed, but which records and which elements belong to the prior is said.

NWPRI has two forms (NONMEM help, $PRIOR): the prior in records of its own ($THETAP, $THETAPV, $OMEGAP, $OMEGAPD,
$SIGMAP, $SIGMAPD), or behind the model's elements in $THETA, $OMEGA and $SIGMA, with NTHETA, NETA and NEPS telling how
many of them are the model's.
"""

from __future__ import annotations

import re

from nlmevae.errors import UnsupportedError
from nlmevae.frontends.nonmem.options import Option, read_options
from nlmevae.frontends.nonmem.records import ControlStream, Record

#: Records of prior distributions, legal only with $PRIOR.
PRIOR_RECORDS = ("THETAP", "THETAPV", "OMEGAP", "OMEGAPD", "SIGMAP", "SIGMAPD", "TTDF", "OLKJDF", "OVARF", "SLKJDF",
                 "SVARF")  # fmt: skip
#: Options of $PRIOR that count the model's elements -> where the prior's follow them.
_COUNTS = {
    "NTHETA": ("THETA", ("NTHETA", "NTH")), "NETA": ("OMEGA", ("NETA", "NET")), "NEPS": ("SIGMA", ("NEPS", "NEP")),
}  # fmt: skip


def refuse_prior(stream: ControlStream) -> None:
    """Raises UnsupportedError where the control stream has a prior distribution."""
    own = [record for record in stream.records if record.name in PRIOR_RECORDS]
    priors = stream.named("PRIOR")
    if priors:
        raise UnsupportedError(
            "$PRIOR is not supported: estimation maximises the likelihood alone",
            hint=_remedy(priors[0], own),
            location=priors[0].head,
        )
    if own:
        raise UnsupportedError(
            f"${own[0].name} (a prior distribution) is not supported",
            hint="remove the record",
            location=own[0].head,
        )


def _remedy(prior: Record, own: list[Record]) -> str:
    if own:
        names = ", ".join(f"${name}" for name in dict.fromkeys(record.name for record in own))
        return f"to estimate without the prior remove $PRIOR and {names}"
    counts = {}
    for option in read_options(prior):
        for name, (record, spellings) in _COUNTS.items():
            number = _number(option, spellings)
            if number is not None:
                counts[name] = (record, number)
    left = [f"the first {n} of ${record}" for record, n in counts.values() if n]
    if not left:
        return "to estimate without the prior remove $PRIOR and the elements of $THETA, $OMEGA and $SIGMA that state it"
    return f"to estimate without the prior remove $PRIOR and keep {', '.join(left)}: those behind them state the prior"


def _number(option: Option, spellings: tuple[str, ...]) -> int | None:
    """``NTHETA=4``."""
    if option.key not in spellings or not re.fullmatch(r"\d+", option.value or ""):
        return None
    return int(option.value or 0)
