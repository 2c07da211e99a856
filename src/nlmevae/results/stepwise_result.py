"""The result of a stepwise search on this program's own engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nlmevae.results.selection_result import SelectionResult
from nlmevae.results.tool_result import ToolTest

StepwiseMethod = Literal["scm", "cossac", "samba"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepwiseResult:
    """Attributes:
    selection: the final model as any selection's; without margins and frequencies, which need the exact search.
    tests: models that were compared, in order (none for samba); values are -2LL by importance sampling.
    steps: the effects after each step, the start first.
    criterion: what a change must lower: bicc, bic, aic, mbic, ebic; lrt where p_forward or p_backward decide.
    p_forward, p_backward: None where a criterion decides, or nothing is searched in that direction.
    n_runs: models that were estimated; seconds: of the search.
    """

    method: StepwiseMethod
    selection: SelectionResult
    tests: tuple[ToolTest, ...]
    steps: tuple[tuple[str, ...], ...]
    criterion: str
    p_forward: float | None
    p_backward: float | None
    n_runs: int
    seconds: float
