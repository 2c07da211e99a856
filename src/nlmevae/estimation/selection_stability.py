"""How often each effect is chosen when the subjects are drawn again.

Resampling is at the level of the Gaussian likelihoods: every subject counts as often as it was drawn, its likelihood
stays what it is. No model is evaluated, so a resample costs about as much as one integer program or two.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.estimation.observed_selection import EffectSearch, Exploration, Solver

ROUGH = 0.01  # of -2LL


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """frequency (n_units,) share of the `n_done` resamples in which a unit is chosen (NaN if there are none); same:
    share in which exactly the given support is."""

    frequency: np.ndarray
    same: float
    n_done: int


def stability(
    search: EffectSearch,
    omega: np.ndarray,
    support: np.ndarray,
    *,
    rng: np.random.Generator,
    resamples: int = 100,
    seconds: float = 10.0,
    profile_omega: bool = True,
    solver: Solver | None = None,
) -> Stability:
    """Bootstrap of subjects around the chosen support.

    Args:
        omega: (d, d) estimate on the chosen support.
        support: (n_units,).
        seconds: after which no further resample is begun.
        profile_omega: Omega is estimated again on every support found; else it is held, which is faster and
            chooses too rarely the effects that lower Omega.
        solver: as in `choose`.
    """
    deadline = time.perf_counter() + seconds
    n = search.model.n_subjects
    chosen = []
    for _ in range(resamples):
        if time.perf_counter() > deadline:
            break
        weight = np.bincount(rng.integers(n, size=n), minlength=n).astype(float)
        drawn = replace(search, model=search.model.resampled(weight))
        chosen.append(_chosen(drawn, omega, support, solver, profile_omega=profile_omega))
    counts = np.array(chosen, dtype=bool).reshape(len(chosen), search.n_units)
    if not len(counts):
        return Stability(frequency=np.full(search.n_units, np.nan), same=float("nan"), n_done=0)
    return Stability(
        frequency=counts.mean(axis=0), same=float((counts == support).all(axis=1).mean()), n_done=len(counts)
    )


def _chosen(
    search: EffectSearch, omega: np.ndarray, support: np.ndarray, solver: Solver | None, *, profile_omega: bool
) -> np.ndarray:
    run = Exploration(search, omega, solver=solver)
    if not profile_omega:
        return run.solve(omega, support).support
    if not run.profile_everything(support, tolerance=ROUGH):
        run.profile([support], omega, tolerance=ROUGH)
        run.alternate([support], tolerance=ROUGH)
    return min(run.profiles_allowed(), key=run.criterion)
