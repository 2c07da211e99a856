"""Covariate effects the search may put into the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

EffectForm = Literal["power", "exponential", "linear", "categorical"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateColumn:
    """One coefficient's regressor x on the Gaussian scale of the parameter: h(psi) gets + beta x.

    Attributes:
        name: of the coefficient: ``CL_WT``, ``CL_RACE_2``.
        shape: "log": x = log(w / centre); "linear": x = w - centre; "indicator": x = 1 if w == level else 0.
        centre: of "log" and "linear".
        level: of "indicator".
    """

    name: str
    shape: Literal["log", "linear", "indicator"]
    centre: float | None = None
    level: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One effect: in or out as a whole.

    Attributes:
        name: ``CL~WT``; with the form, ``CL~WT:exponential``, where the pair has several forms; with the
            level, ``CL~RACE=2``, where levels are chosen one by one.
        parameter: name of the individual parameter (ir.IndividualParameter.name).
        covariate: data item, the spelling of $INPUT.
        form: "power" is log(w / centre), "exponential" and "linear" are w - centre (on a log-normal parameter
            exp(beta (w - centre)), on a normal one psi + beta (w - centre)), "categorical" indicators.
        columns: one per coefficient.
        forced: always in the model.
        missing_code: the value a program sees where the covariate is missing (x = 0 there: no effect, as for a
            subject at the centre or in the reference category); None: nothing is missing.
    """

    name: str
    parameter: str
    covariate: str
    form: EffectForm
    columns: tuple[CandidateColumn, ...]
    forced: bool = False
    missing_code: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """All candidates, with the rules between them as indices into `candidates`.

    `exclusive`: at most one of each tuple (forms of one pair, forbidden pairs). `criterion_size`: the number of
    candidate effects that criteria with a multiplicity term count.
    """

    candidates: tuple[Candidate, ...]
    exclusive: tuple[tuple[int, ...], ...] = ()

    @property
    def criterion_size(self) -> int:
        return len(self.candidates)

    @property
    def n_columns(self) -> int:
        return sum(len(c.columns) for c in self.candidates)
