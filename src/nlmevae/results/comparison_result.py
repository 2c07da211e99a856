"""Results of several programs side by side, ours first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from nlmevae.results.tool_result import ToolLikelihood, ToolResult

#: What a program did with a relation: it is in its final model; it was a candidate and is not; it was none; the files
#: do not tell.
Status = Literal["selected", "left out", "not searched", "unknown"]
#: Against ours: "missed" we selected it and the program did not, "extra" the other way round.
Verdict = Literal["agree", "missed", "extra", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRelation:
    """One parameter and covariate, by our names where we have them. `status`, `verdict`, `forms` and `betas` have one
    entry per program; verdicts of ours, and where a status is unknown, are "". `betas`: () where not known."""

    parameter: str
    covariate: str
    status: tuple[Status, ...]
    verdict: tuple[Verdict, ...]
    forms: tuple[str, ...]
    betas: tuple[tuple[float, ...], ...]

    @property
    def name(self) -> str:
        return f"{self.parameter}~{self.covariate}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedLikelihood:
    """-2LL with the constant n log(2 pi), by one method, and BICc from it under one convention (NaN where the number of
    parameters is not known). `difference`: from ours by the same method, NaN where ours has none: values of different
    methods are never subtracted. `by`: "tool" as the program computed it, "nlmevae" evaluated at its estimates."""

    method: str
    minus_two_ll: float
    bicc: float
    difference: float
    mc_se: float = math.nan
    by: Literal["tool", "nlmevae"] = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedTool:
    """One program.

    Attributes:
        result: as its files tell it.
        likelihoods: those that are comparable; unclear: those that are not, because the files do not tell the method or
            the constant.
        random_part, fixed_part: of the model, None where not known; counted: how they are known.
        n_agree, n_missed, n_extra: relations against ours.
    """

    result: ToolResult
    likelihoods: tuple[ComparedLikelihood, ...]
    unclear: tuple[ToolLikelihood, ...]
    random_part: int | None
    fixed_part: int | None
    counted: str
    n_agree: int
    n_missed: int
    n_extra: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedEstimate:
    """One quantity: a parameter's typical value, "omega P" a standard deviation, "beta P~C" an effect. NaN where a
    program has none."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonResult:
    """`tools[0]` is ours. `flags`: sentences on what makes the programs not comparable, the gravest first."""

    tools: tuple[ComparedTool, ...]
    relations: tuple[ComparedRelation, ...]
    estimates: tuple[ComparedEstimate, ...]
    n_subjects: int
    n_obs: int
    n_known: int
    convention: str
    flags: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(t.result.tool for t in self.tools)
