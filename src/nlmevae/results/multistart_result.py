"""Fits of one model from many starts: which maximum each found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from nlmevae.results.fit_record import FitRecord, StudyParameter

#: Two fits found the same maximum if -2LL differs by no more than this, or than twice their Monte-Carlo errors.
SAME = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class MultistartResult:
    """`records`: finished fits by start; start 0 is that of the model's text. `starts`: (P,) initial values of each of
    all starts, in order."""

    name: str
    source_path: str
    n_starts: int
    seed: int
    spread: float
    parameters: tuple[StudyParameter, ...]
    starts: tuple[tuple[float, ...], ...]
    records: tuple[FitRecord, ...]
    warnings: tuple[str, ...]
    settings: dict[str, Any]

    @property
    def ranked(self) -> tuple[FitRecord, ...]:
        """The fits that may be used, lowest -2LL first; of equal ones the first start."""
        known = [r for r in self.records if r.usable and math.isfinite(r.minus_two_ll)]
        return tuple(sorted(known, key=lambda r: (r.minus_two_ll, r.number)))

    @property
    def best(self) -> FitRecord | None:
        return next(iter(self.ranked), None)

    @property
    def same(self) -> tuple[FitRecord, ...]:
        """Those that found the best maximum."""
        best = self.best
        return () if best is None else tuple(r for r in self.ranked if _is_same(r, best))


def _is_same(record: FitRecord, best: FitRecord) -> bool:
    noise = math.hypot(*(0.0 if math.isnan(r.mc_se) else r.mc_se for r in (record, best)))
    return record.minus_two_ll - best.minus_two_ll <= max(SAME, 2.0 * noise)
