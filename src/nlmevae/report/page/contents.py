"""Everything a report is made of."""

from __future__ import annotations

from dataclasses import dataclass

from nlmevae.report.style import COLOUR, Theme
from nlmevae.results.diagnostics import Diagnostics
from nlmevae.results.effect_size import EffectSize
from nlmevae.results.fit_result import FitResult
from nlmevae.results.run_description import RunDescription
from nlmevae.results.selection_result import SelectionResult
from nlmevae.results.uncertainty_result import UncertaintyResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """`diagnostics` None: `why_no_diagnostics` is a sentence. `selection` None: there was no search. `n_subjects`: most
    subjects among the individual fits."""

    fit: FitResult
    run: RunDescription
    diagnostics: Diagnostics | None
    why_no_diagnostics: str = ""
    selection: SelectionResult | None = None
    effects: tuple[EffectSize, ...] = ()
    n_subjects: int = 24
    theme: Theme = COLOUR

    @property
    def uncertainty(self) -> UncertaintyResult | None:
        """Covariance of the estimates and what follows from it; None without a covariance step."""
        return self.fit.uncertainty
