"""One record of a subject, as the engine takes it."""

from __future__ import annotations

from dataclasses import dataclass

from nlmevae.data.monolix_doses import GivenDose


@dataclass(frozen=True, slots=True)
class Record:
    """`line`: index into `Lines`; `added`: the file has no such line; `dose`: what is given; `held`: values of
    regressors and step functions at this time, after it."""

    time: float
    rank: int
    evid: int
    line: int
    dose: GivenDose | None = None
    added: bool = False
    held: tuple[float, ...] = ()
