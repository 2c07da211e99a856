"""$PRIOR: which records and which elements belong to the prior distribution, and which to the model.

NWPRI has two forms (NONMEM help, $PRIOR): the prior in records of its own ($THETAP, $THETAPV, $OMEGAP, $OMEGAPD,
$SIGMAP, $SIGMAPD), or behind the model's elements in $THETA, $OMEGA and $SIGMA, with NTHETA, NETA and NEPS telling how
many of them are the model's. No estimation here uses a prior, so estimating stops; the model itself can be computed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nlmevae.errors import SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.options import Option, read_options
from nlmevae.frontends.nonmem.records import ControlStream, Record
from nlmevae.ir import CovarianceBlock, PopulationParameter, PriorRequest

#: Records of prior distributions, legal only with $PRIOR.
PRIOR_RECORDS = ("THETAP", "THETAPV", "OMEGAP", "OMEGAPD", "SIGMAP", "SIGMAPD", "TTDF", "OLKJDF", "OVARF", "SLKJDF",
                 "SVARF")  # fmt: skip
#: Record whose first elements are the model's -> options of $PRIOR that count them.
_COUNTS = {"THETA": ("NTHETA", "NTH"), "OMEGA": ("NETA", "NET"), "SIGMA": ("NEPS", "NEP")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """counts: record -> how many of its elements are the model's; all of them where it is not named."""

    request: PriorRequest
    record: Record
    counts: dict[str, int]

    def thetas(self, found: tuple[PopulationParameter, ...]) -> tuple[PopulationParameter, ...]:
        """Those of the model."""
        return found[: self.counts.get("THETA", len(found))]

    def blocks(self, name: str, found: tuple[CovarianceBlock, ...]) -> tuple[CovarianceBlock, ...]:
        """Blocks of $OMEGA or $SIGMA of the model.

        Raises:
            SemanticError: the count ends within a block.
        """
        left, kept = self.counts.get(name, sum(len(b.names) for b in found)), []
        for block in found:
            if left <= 0:
                break
            if len(block.names) > left:
                raise SemanticError(
                    f"$PRIOR counts {self.counts[name]} elements of ${name} as the model's, which ends within a block",
                    hint=f"correct {_COUNTS[name][0]}",
                    location=self.record.head,
                )
            left -= len(block.names)
            kept.append(block)
        return tuple(kept)


def read_prior(stream: ControlStream) -> Prior | None:
    """
    Raises:
        UnsupportedError: the prior has another form than NWPRI, or does not say what is the model's.
    """
    own = [record for record in stream.records if record.name in PRIOR_RECORDS]
    priors = stream.named("PRIOR")
    if own and not priors:
        raise UnsupportedError(
            f"${own[0].name} states a prior distribution, and there is no $PRIOR",
            hint="remove the record",
            location=own[0].head,
        )
    if not priors:
        return None
    options, record = read_options(priors[0]), priors[0]
    counts = {
        name: number
        for option in options
        for name, spellings in _COUNTS.items()
        if (number := _number(option, spellings)) is not None
    }
    if any(option.key.startswith("TNPRI") for option in options) or not (own or "THETA" in counts):
        raise UnsupportedError(
            "$PRIOR does not say which elements of $THETA, $OMEGA and $SIGMA are the model's",
            hint=_remedy(own, counts),
            location=record.head,
        )
    return Prior(request=PriorRequest(remedy=_remedy(own, counts), at=record.head), record=record, counts=counts)


def _remedy(own: list[Record], counts: dict[str, int]) -> str:
    if own:
        names = ", ".join(f"${name}" for name in dict.fromkeys(record.name for record in own))
        return f"to estimate without the prior remove $PRIOR and {names}"
    left = [f"the first {n} of ${record}" for record, n in counts.items() if n]
    if not left:
        return "to estimate without the prior remove $PRIOR and the elements of $THETA, $OMEGA and $SIGMA that state it"
    return f"to estimate without the prior remove $PRIOR and keep {', '.join(left)}: those behind them state the prior"


def _number(option: Option, spellings: tuple[str, ...]) -> int | None:
    """``NTHETA=4``."""
    if option.key not in spellings or not re.fullmatch(r"\d+", option.value or ""):
        return None
    return int(option.value or 0)
