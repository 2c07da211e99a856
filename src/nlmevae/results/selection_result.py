"""The result of a covariate selection: the fit of the selected model and how it was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nlmevae.results.fit_result import FitResult


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectResult:
    """One candidate effect.

    Attributes:
        thetas: names of its coefficients in the selected model (empty if not selected).
        beta: estimates (zeros if not selected); standard_error: same length, NaN where not known.
        penalty: what the criterion charges for it.
        margin: how much worse (higher) the criterion gets if the decision on this effect alone is reversed,
            everything else re-estimated; NaN where that was not computed (forced effects).
        frequency: share of subject resamples in which it is chosen, NaN where not computed.
    """

    name: str
    parameter: str
    covariate: str
    form: str
    coefficients: tuple[str, ...]
    selected: bool
    forced: bool
    thetas: tuple[str, ...]
    beta: tuple[float, ...]
    standard_error: tuple[float, ...]
    penalty: float
    margin: float
    frequency: float

    @property
    def borderline(self) -> bool:
        """Criterion differences under 2 are weak evidence."""
        return bool(self.margin < 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStep:
    """One support of the selection path: optimal while the penalty per effect is within (low, high].

    `minus_two_ll` by the quadratic form of the final iteration, profiled over OMEGA (an approximation away from
    the selected support); `beta` coefficient -> value.
    """

    low: float
    high: float
    support: tuple[str, ...]
    minus_two_ll: float
    beta: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """How the integer programs of the run were solved.

    n_solves, n_uncertified: over all M steps and polish iterations; largest_gap among the uncertified ones
    (criterion units). `solver`, `objective`, `bound`, `nodes`, `seconds` are those of the last program; `audit`:
    name of the independent solver that solved it again, "" if none; `audit_objective` its objective.
    """

    n_solves: int
    n_uncertified: int
    largest_gap: float
    solver: str
    objective: float
    bound: float
    nodes: int
    seconds: float
    audit: str = ""
    audit_objective: float = float("nan")
    audit_agrees: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionTrace:
    """One row per iteration of the run: phase, -2 log-likelihood (bound) of the phase, criterion, beta (n, C) of
    all coefficients, omega_sd (n, d), support (n, n_candidates) bool."""

    phase: tuple[str, ...]
    objective: np.ndarray
    criterion: np.ndarray
    beta: np.ndarray
    omega_sd: np.ndarray
    support: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionResult:
    """What `nlmevae.select` returns.

    Attributes:
        fit: of the selected model, with its standard errors and likelihoods.
        criterion: name as given; `criterion_text`: one sentence that says what it charges.
        criterion_value: of the selected model by importance sampling: BICc, BIC or AIC with this criterion's charges
            for the effects in place of theirs (`lrt`: -2LL plus the charges).
        effects: every candidate, in the search space's order.
        alternatives: criterion name -> support it would select by the final quadratic form.
        parameters: latent names, for `trace.omega_sd`; coefficients: names, for `trace.beta`.
        model_text: the selected model's control stream.
        exchangeable: groups of candidates that the data cannot tell apart.
        warnings: about the selection (those about the fit are in `fit.warnings`).
    """

    fit: FitResult
    criterion: str
    criterion_text: str
    criterion_value: float
    effects: tuple[EffectResult, ...]
    path: tuple[PathStep, ...]
    alternatives: dict[str, tuple[str, ...]]
    certificate: Certificate
    trace: SelectionTrace
    parameters: tuple[str, ...]
    coefficients: tuple[str, ...]
    model_text: str
    exchangeable: tuple[tuple[str, ...], ...]
    warnings: tuple[str, ...]
    settings: dict[str, Any]
    seconds: dict[str, float]

    @property
    def support(self) -> tuple[str, ...]:
        """Names of the selected effects."""
        return tuple(e.name for e in self.effects if e.selected)
