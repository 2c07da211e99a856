"""What became of every construct of a converted model."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Literal

from nlmevae.errors import Location

#: lossless: the same statement in the other language; rule: the same model by a stated rule; lossy: the numbers can
#: differ or something asked for is lost; refused: the other language has nothing that means this.
EntryKind = Literal["lossless", "rule", "lossy", "refused"]
#: Relative difference of predictions above which a conversion is wrong. Both sides are integrated or evaluated by the
#: same engine; closed form against integration differs by about 1e-8.
PROOF_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One construct: what became of it and why.

    Attributes:
        construct: in the words of the source language (``OMEGA BLOCK(2)``, ``errorModel=combined1``).
        reason: the rule, what is lost, or why there is no counterpart and what to do.
        source: where it stands; None: nowhere in particular.
        target: "file:line" of what was written; "": nothing was.
    """

    construct: str
    kind: EntryKind
    reason: str
    source: Location | None = None
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Predictions of both models at the same individual parameters.

    Attributes:
        largest: largest relative difference; NaN: not computed.
        density: largest difference of a value's log density at the same prediction, and of a subject's log density of
            random effects, relative to its size where that is above 1: residual errors, censoring, variances.
        compared: observations compared.
        points: draws of individual parameters per subject.
        sentence: what was done, or why nothing was.
    """

    largest: float = math.nan
    density: float = 0.0
    compared: int = 0
    points: int = 0
    sentence: str = ""

    @property
    def done(self) -> bool:
        return self.compared > 0

    @property
    def holds(self) -> bool:
        """Computed and within the tolerance."""
        return self.done and max(self.largest, self.density) <= PROOF_TOLERANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Every construct in source order, and the proof if one was made."""

    entries: tuple[Entry, ...] = ()
    proof: Proof | None = None

    def of(self, kind: EntryKind) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.kind == kind)

    @property
    def failed(self) -> bool:
        """The proof was made and does not hold."""
        return self.proof is not None and self.proof.done and not self.proof.holds

    @property
    def exit_code(self) -> int:
        """0: lossless or by rule; 1: something is lost; 2: refused, or the proof does not hold."""
        if self.failed or self.of("refused"):
            return 2
        return 1 if self.of("lossy") else 0

    @property
    def json(self) -> str:
        """The report as JSON text."""
        return json.dumps(
            {
                "exit_code": self.exit_code,
                "entries": [_entry_values(entry) for entry in self.entries],
                "proof": _proof_values(self.proof),
            },
            indent=2,
        )

    @property
    def text(self) -> str:
        """The report in lines: counts, then what is refused, lossy, by rule and lossless, then the proof."""
        kinds: tuple[EntryKind, ...] = ("refused", "lossy", "rule", "lossless")
        counts = ", ".join(f"{len(self.of(kind))} {_WORDS[kind]}" for kind in reversed(kinds) if self.of(kind))
        lines = [f"constructs: {counts or 'none'}"]
        for kind in kinds:
            lines += [_line(entry) for entry in self.of(kind)]
        if self.proof is not None:
            lines.append(_proof_line(self.proof))
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """`files`: name to text, relative to the output folder; empty where the conversion was refused. `main`: the name
    of the file to open."""

    files: dict[str, str] = field(default_factory=dict)
    report: Report = field(default_factory=Report)
    main: str = ""


_WORDS = {"lossless": "lossless", "rule": "by rule", "lossy": "lossy", "refused": "refused"}


def _line(entry: Entry) -> str:
    places = "" if entry.source is None else f" ({entry.source})"
    target = f" -> {entry.target}" if entry.target else ""
    return f"  {_WORDS[entry.kind]:<8}  {entry.construct}{places}{target}: {entry.reason}"


def _proof_line(proof: Proof) -> str:
    if not proof.done:
        return f"proof: not made: {proof.sentence}"
    if not proof.holds and proof.sentence != "computed":
        return f"proof: failed: {proof.sentence}"
    verdict = "the same" if proof.holds else f"NOT the same (tolerance {PROOF_TOLERANCE:g})"
    return (
        f"proof: {proof.compared} predictions at {proof.points} draws of individual parameters are {verdict}; "
        f"largest relative difference {proof.largest:.2g}, of log densities {proof.density:.2g}"
    )


def _entry_values(entry: Entry) -> dict:
    source = None
    if entry.source is not None:
        source = {"path": entry.source.path, "line": entry.source.line, "column": entry.source.column}
    return {
        "construct": entry.construct,
        "kind": entry.kind,
        "reason": entry.reason,
        "source": source,
        "target": entry.target,
    }


def _proof_values(proof: Proof | None) -> dict | None:
    if proof is None:
        return None
    return {
        "largest_relative_difference": proof.largest if math.isfinite(proof.largest) else None,
        "largest_log_density_difference": proof.density if math.isfinite(proof.density) else None,
        "compared": proof.compared,
        "points": proof.points,
        "holds": proof.holds,
        "sentence": proof.sentence,
    }
