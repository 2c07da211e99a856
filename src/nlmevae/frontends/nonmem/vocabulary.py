"""What names mean in one code record, and what of it is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nlmevae.errors import Location
from nlmevae.frontends.nonmem.element_lists import ElementList
from nlmevae.frontends.nonmem.records import SourceText


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What names mean while one code record is lowered.

    Attributes:
        section: "PK", "DES", "ERROR" or "PRED".
        counts: number of THETA, ETA, EPS and A (compartments).
        synonyms: other spelling of a data item -> the one programs keep.
        replacements: $ABBR REPLACE and parameter labels: ``ETA_CL`` -> ``ETA(1)``, ``THETA(CL)`` -> ``THETA(1)``.
        parameters: of expressions that read population parameters and nothing else, what each may be called ->
            its name; None for code.
        constants: OMEGA(i,j) and SIGMA(i,j) that are numbers.
        lists: elements chosen by a data item, by the name code has for them.
        arrays: declared arrays and their sizes.
        internal: the code includes NONMEM's declarations of its internal variables.
    """

    source: SourceText
    section: str
    counts: Mapping[str, int]
    synonyms: Mapping[str, str] = field(default_factory=dict)
    replacements: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] | None = None
    constants: Mapping[str, float] = field(default_factory=dict)
    lists: Mapping[str, ElementList] = field(default_factory=dict)
    arrays: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    internal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An arm that estimation never runs: what it assigns, and whether NONMEM may run it before the estimation
    (ICALL 0, 1) or in simulations (ICALL 4)."""

    names: frozenset[str]
    before: bool
    simulating: bool
    at: Location
