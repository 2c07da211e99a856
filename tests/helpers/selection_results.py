"""Hand-made selection results: a small one in the shape of theophylline, and simulated ones of any size."""

from __future__ import annotations

import math

import numpy as np

from nlmevae.results.selection_result import Certificate, EffectResult, PathStep, SelectionResult, SelectionTrace
from tests.helpers.results import make_result

NAN = math.nan
PENALTY = math.log(12)


def make_selection(**changes) -> SelectionResult:
    """Theophylline: KA, K and V by WT and SEX; V~WT and KA~WT selected, V~WT borderline."""
    effects = (
        effect("KA", "WT", beta=2.616, standard_error=0.9, margin=2.41, frequency=0.62),
        effect("KA", "SEX", form="categorical", margin=2.2, frequency=0.11),
        effect("K", "WT", margin=1.5, frequency=0.21),
        effect("K", "SEX", form="categorical", margin=2.4843210987654321, frequency=0.02),
        effect("V", "WT", beta=0.5818, standard_error=0.21, margin=0.57, frequency=0.55),
        effect("V", "SEX", form="categorical", margin=0.9, frequency=0.3),
    )
    values = {
        "fit": make_result(name="run1_selected", source_path="run1_selected.ctl"),
        "criterion": "bicc",
        "criterion_text": "BICc charges log(12 subjects) = 2.48 per coefficient.",
        "criterion_value": 363.50312345678,
        "effects": effects,
        "path": make_path(effects),
        "alternatives": {"bicc": ("KA~WT", "V~WT"), "aic": ("KA~WT", "V~WT", "V~SEX"), "lrt:0.01": ()},
        "certificate": Certificate(
            n_solves=96, n_uncertified=0, largest_gap=0.0, solver="table", objective=12.25, bound=12.25, nodes=64,
            seconds=0.0002, audit="scip", audit_objective=12.25, audit_agrees=True,
        ),
        "trace": make_trace(effects, ("KA", "K", "V")),
        "parameters": ("KA", "K", "V"),
        "coefficients": tuple(c for e in effects for c in e.coefficients),
        "model_text": "$PROBLEM selected\n$INPUT ID TIME DV\n",
        "exchangeable": (),
        "warnings": ("a selection warning",),
        "settings": {"criterion": "bicc", "covariates": ["WT", "SEX"], "missing": None},
        "seconds": {"vae": 1.25, "polish": 0.5, "total": 1.75},
    }  # fmt: skip
    return SelectionResult(**{**values, **changes})


def effect(parameter: str, covariate: str, *, beta: float | None = None, form: str = "power", **more) -> EffectResult:
    """One candidate with one coefficient; selected when it has a beta."""
    coefficient = f"{parameter}_{covariate}"
    values = {
        "name": f"{parameter}~{covariate}",
        "parameter": parameter,
        "covariate": covariate,
        "form": form,
        "coefficients": (coefficient,),
        "selected": beta is not None,
        "forced": False,
        "thetas": () if beta is None else (coefficient,),
        "beta": (beta or 0.0,),
        "standard_error": (more.pop("standard_error", NAN),),
        "penalty": PENALTY,
        "margin": 5.0,
        "frequency": NAN,
    }
    return EffectResult(**{**values, **more})


def make_path(effects: tuple[EffectResult, ...]) -> tuple[PathStep, ...]:
    """Effects leave one by one, the selected ones last, as the penalty grows."""
    order = sorted(effects, key=lambda e: (e.selected, e.margin if e.selected else -e.margin))
    steps, low = [], 0.0
    for k in range(len(order) + 1):
        inside = order[k:]
        high = math.inf if not inside else _leaves_at(inside[0], low)
        betas = {c: b or 0.1 for e in inside for c, b in zip(e.coefficients, e.beta, strict=True)}
        present = {e.name for e in inside}
        support = tuple(e.name for e in effects if e.name in present)
        steps.append(PathStep(low=low, high=high, support=support, minus_two_ll=330.0 + 2.0 * k * k, beta=betas))
        low = high
    return tuple(steps)


def _leaves_at(leaving: EffectResult, low: float) -> float:
    margin = 50.0 if math.isnan(leaving.margin) else leaving.margin
    at = leaving.penalty + margin if leaving.selected else leaving.penalty * math.exp(-margin / 2)
    return max(at, low * 1.0001 + 1e-6)


def make_trace(effects: tuple[EffectResult, ...], parameters: tuple[str, ...], n: int = 100) -> SelectionTrace:
    """Burn-in, VAE, start, polish; every coefficient moves, those not selected go to exactly 0."""
    rng = np.random.default_rng(7)
    phase = ("burn-in",) * (n // 4) + ("vae",) * (n // 2) + ("start",) * 6
    phase += ("polish",) * (n - len(phase))
    time = np.arange(n)
    final = np.array([b for e in effects for b in e.beta])
    owner = np.array([k for k, e in enumerate(effects) for _ in e.beta])
    noise = rng.normal(size=(n, len(final))) * np.exp(-time / (n / 6))[:, None]
    beta = final * (1 - np.exp(-time / (n / 8)))[:, None] + 0.3 * noise
    support = np.zeros((n, len(effects)), dtype=bool)
    for k, e in enumerate(effects):
        support[:, k] = True if e.selected else time < rng.integers(n // 8, n // 2)
    beta[~support[:, owner]] = 0.0
    return SelectionTrace(
        phase=phase,
        objective=340 + 80 * np.exp(-time / 10) + rng.normal(size=n),
        criterion=360 + 90 * np.exp(-time / 10) + rng.normal(size=n),
        beta=beta,
        omega_sd=0.3 + 0.4 * np.exp(-time / 20)[:, None] + 0.1 * np.arange(len(parameters)),
        support=support,
    )


def make_large_selection(n_parameters: int, n_covariates: int, n_selected: int, *, seed: int = 3) -> SelectionResult:
    """Every parameter by every covariate; `n_selected` selected at random."""
    rng = np.random.default_rng(seed)
    parameters = ("CL", "V1", "Q", "V2", "KA", "TLAG", "EMAX", "EC50")[:n_parameters]
    known = ("WT", "AGE", "SEX", "CRCL", "ALB", "HT", "RACE", "BILI", "ALT", "SMOKE")
    covariates = (*known, *(f"GENE{k:03d}" for k in range(n_covariates)))[:n_covariates]
    inside = set(rng.choice(n_parameters * n_covariates, size=n_selected, replace=False).tolist())
    effects = []
    for number, (p, c) in enumerate((p, c) for p in parameters for c in covariates):
        chosen = number in inside
        margin = float(rng.gamma(1.2, 8.0) if chosen else min(rng.gamma(3.0, 1.5), 4.6))
        facts = {"margin": margin, "frequency": float(rng.beta(8, 2) if chosen else rng.beta(1, 9)), "penalty": 4.6}
        if chosen:
            facts |= {"beta": float(rng.normal() + 0.5), "standard_error": 0.1}
        effects.append(effect(p, c, **facts))
    effects = tuple(effects)
    return make_selection(
        effects=effects,
        parameters=parameters,
        coefficients=tuple(c for e in effects for c in e.coefficients),
        trace=make_trace(effects, parameters, n=150),
        path=make_path(effects),
    )
