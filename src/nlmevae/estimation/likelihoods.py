"""-2LL of a model at fixed parameters by any of the methods, each with its error and its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.errors import SettingsError
from nlmevae.estimation.at_estimates import AtEstimates
from nlmevae.estimation.refined_posterior import RefinedPosterior, refined_posterior
from nlmevae.likelihood.first_order import first_order
from nlmevae.likelihood.foce import foce
from nlmevae.likelihood.focei import focei
from nlmevae.likelihood.gauss_hermite import MOST_LATENTS, gauss_hermite
from nlmevae.likelihood.hessian import sharpened
from nlmevae.likelihood.importance import ImportanceLikelihood
from nlmevae.likelihood.joint import JointDensity
from nlmevae.likelihood.laplace import laplace
from nlmevae.likelihood.linearisation import linearised
from nlmevae.likelihood.marginal import Marginal
from nlmevae.likelihood.pareto import RELIABLE
from nlmevae.results.likelihood_names import LABELS, METHODS

#: Methods that start from the conditional modes.
AT_MODE = {"gauss-hermite", "laplace", "focei", "lin"}
#: NONMEM's methods that need residual errors to be normal.
FIRST_ORDER = {"fo", "foce", "focei"}

MOST_SHOWN = 10  # subjects named in a sentence

#: (method, share): how much of a method is done, from 0 to 1.
Report = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodValue:
    """One method's values of all subjects. `refined`: modes and the draws' moments and diagnostics, of method "is"."""

    method: str
    marginal: Marginal
    seconds: float
    refined: RefinedPosterior | None = None

    @property
    def importance(self) -> ImportanceLikelihood | None:
        return None if self.refined is None else self.refined.importance


def likelihoods_at(
    here: AtEstimates,
    methods: Sequence[str],
    *,
    n_draws: int,
    rng: np.random.Generator,
    report: Report | None = None,
) -> tuple[MethodValue, ...]:
    """All of `methods` (names in METHODS), in the order of METHODS: importance sampling first, whose draws check the
    modes that the others start from."""
    mode, found = None, []
    for method in (m for m in METHODS if m in methods):
        if report is not None:
            report(method, 0.0)
        start = time.perf_counter()
        refined = None
        if method == "is":
            refined = refined_posterior(here, n_draws=n_draws, rng=rng, report=_part(report, method))
            here = refined.here
            marginal = _marginal_of(refined.importance, here.problem.table.subject_labels)
        else:
            if mode is None:
                mode = sharpened(here.joint, here.mode) if set(methods) & AT_MODE else here.mode
            marginal = _deterministic(here.joint, mode, method, _part(report, method))
        marginal = _explained(marginal, method, here.problem.table.subject_labels)
        seconds = time.perf_counter() - start
        found.append(MethodValue(method=method, marginal=marginal, seconds=seconds, refined=refined))
    return tuple(found)


def why_not(method: str, n_latents: int, *, censored: bool = False) -> str:
    """A sentence if the method cannot be used with this number of random effects or with censored data, else ""."""
    if censored and method in FIRST_ORDER:
        return (
            f"NONMEM's first-order methods ({method}) are for normal residual errors, and some observations are "
            "censored: use laplace, gauss-hermite or is."
        )
    if method == "gauss-hermite" and n_latents > MOST_LATENTS:
        return (
            f"Gauss-Hermite quadrature is for up to {MOST_LATENTS} random effects, this model has {n_latents}: its "
            "points grow with the power of their number. Importance sampling has no such limit."
        )
    return ""


def require_possible(methods: Sequence[str], n_latents: int, *, censored: bool = False) -> None:
    """Before anything is computed.

    Raises:
        SettingsError: a method cannot be used with this model.
    """
    for method in methods:
        if reason := why_not(method, n_latents, censored=censored):
            raise SettingsError(reason, hint=f"leave {method} out")


def _part(report: Report | None, method: str) -> Callable[[float], None] | None:
    return None if report is None else lambda share: report(method, share)


def _marginal_of(importance: ImportanceLikelihood, labels: Sequence[str]) -> Marginal:
    return Marginal(
        minus_two_ll=importance.minus_two_ll,
        error=np.sqrt(importance.variance),
        random=True,
        remark=unreliable_sentence(labels, importance.khat),
    )


def _explained(marginal: Marginal, method: str, labels: Sequence[str]) -> Marginal:
    """A value that does not exist is said to be missing: the total is then NaN."""
    missing = [label for label, value in zip(labels, marginal.minus_two_ll, strict=True) if not np.isfinite(value)]
    if not missing:
        return marginal
    sentence = (
        f"No value by {LABELS[method]} for {shown_labels(missing)} (the model cannot be evaluated, or has no maximum "
        "to expand around)."
    )
    return replace(marginal, remark=" ".join(text for text in (sentence, marginal.remark) if text))


def shown_labels(labels: Sequence[str]) -> str:
    """``3 subjects: 5, 8, 12``."""
    more = ", ..." if len(labels) > MOST_SHOWN else ""
    return f"{len(labels)} subjects: {', '.join(labels[:MOST_SHOWN])}{more}"


def unreliable_sentence(labels: Sequence[str], khat: np.ndarray) -> str:
    """Which subjects' importance sampling is not to be trusted; "" if there are none."""
    poor = [label for label, k in zip(labels, khat, strict=True) if k > RELIABLE]
    if not poor:
        return ""
    return f"The importance sampling likelihood is unreliable (Pareto k-hat above {RELIABLE}) for {shown_labels(poor)}."


def _deterministic(
    joint: JointDensity, mode: np.ndarray, method: str, report: Callable[[float], None] | None
) -> Marginal:
    match method:
        case "gauss-hermite":
            return gauss_hermite(joint, mode, report=report)
        case "laplace":
            return laplace(joint, mode)
        case "focei":
            return focei(joint, mode)
        case "foce":
            return foce(joint, mode)
        case "fo":
            return first_order(joint)
        case "lin":
            return linearised(joint, mode)
    raise SettingsError(f"there is no method {method!r}", hint=f"use some of {', '.join(METHODS)}")
