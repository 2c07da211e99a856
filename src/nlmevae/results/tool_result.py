"""What one program found in one model: the normal form that results of all programs are compared in."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRelation:
    """A covariate effect in the final model.

    `form`: power, exponential, linear, hockey-stick, categorical, a word of the program, "" where it does not say.
    `n_coefficients`: None where it does not say. `locked`: it was never questioned. `p_value` of its last test, NaN
    without one. `beta`: its coefficients as the program writes them, () where the files do not have them.
    """

    parameter: str
    covariate: str
    form: str = ""
    n_coefficients: int | None = None
    beta: tuple[float, ...] = ()
    p_value: float = math.nan
    step: int | None = None
    locked: bool = False

    @property
    def pair(self) -> tuple[str, str]:
        return self.parameter, self.covariate


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTest:
    """One candidate model of a stepwise search: the relation that was added or removed. Values as printed, NaN for
    FAILED; `state` as the program names it."""

    step: int
    backward: bool
    parameter: str
    covariate: str
    state: str
    base: float
    new: float
    drop: float
    goal: float
    df: int | None
    p_value: float
    significant: bool
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLikelihood:
    """-2 log-likelihood or NONMEM's OBJ, by its method: a name of `likelihood_names`, or what the program calls it, or
    "" where the files do not tell. `with_constant`: n log(2 pi) is in it; None where nobody knows."""

    value: float
    method: str
    with_constant: bool | None
    mc_se: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEstimate:
    """`fixed`: None where the file does not tell."""

    name: str
    value: float
    standard_error: float = math.nan
    fixed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """One program's result.

    Attributes:
        tool: what it is called in tables; source: the file or folder.
        parameters: names of the model's individual parameters, () where the files do not tell.
        relations: of the final model; None where the files do not tell (an .ext names no covariates).
        tested: every (parameter, covariate) that was a candidate, None where the files do not tell.
        tests: candidate models in order, where they are listed.
        criteria: numbers the program itself states, by its own name for them (BICc, BIC, AIC, OFV).
        random_part, fixed_part: estimated parameters by what BICc charges for them (`likelihood.criteria`), None where
            the files do not tell; n_parameters: all of them.
        n_runs: models that were estimated; seconds: of the whole search.
        control_stream, parameters_file: NONMEM's text of the final model and the .ext with its estimates, "" without.
        notes: sentences on what the files do not tell or contradict.
    """

    tool: str
    source: str
    model: str = ""
    parameters: tuple[str, ...] = ()
    relations: tuple[ToolRelation, ...] | None = None
    tested: tuple[tuple[str, str], ...] | None = None
    tests: tuple[ToolTest, ...] = ()
    likelihoods: tuple[ToolLikelihood, ...] = ()
    criteria: dict[str, float] = field(default_factory=dict)
    estimates: tuple[ToolEstimate, ...] = ()
    random_part: int | None = None
    fixed_part: int | None = None
    n_parameters: int | None = None
    n_subjects: int | None = None
    n_obs: int | None = None
    n_runs: int | None = None
    seconds: float | None = None
    control_stream: str = ""
    parameters_file: str = ""
    notes: tuple[str, ...] = ()

    def likelihood(self, method: str) -> ToolLikelihood | None:
        return next((v for v in self.likelihoods if v.method == method), None)
