"""Stepwise searches over sets of effects: what the compared programs do, on any engine that fits a set of effects.

`scm` is stepwise covariate modelling as PsN does it (Jonsson and Karlsson, Pharm. Res. 15 (1998) 1463-1468): every
step fits all one-effect changes, and takes the one with the smallest (forward) or largest (backward) p-value of the
likelihood-ratio test; or, as Monolix does it, the one that lowers an information criterion most. `cossac` (Ayral et
al., CPT Pharmacometrics Syst. Pharmacol. 10 (2021) 318-329) fits one change at a time, the one that correlation tests
on samples of the conditional distribution find most promising. `samba` (Prague and Lavielle, CPT Pharmacometrics Syst.
Pharmacol. 11 (2022) 161-172) chooses all effects at once by regressions of such samples on the covariates, and repeats.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy.stats import chi2

#: Of the correlation tests of COSSAC: above the first an effect is not tried, below the second one is not questioned
#: (as in Rsmlx).
LARGEST_FORWARD, SMALLEST_BACKWARD = 0.4, 0.01
MOST_ITERATIONS = 20

Support = tuple[bool, ...]


class FittedModel(Protocol):
    """`minus_two_ll` NaN where the fit failed."""

    support: Support
    minus_two_ll: float


#: Fits a set of effects, from the estimates of another.
Fit = Callable[[Support, FittedModel | None], FittedModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """size (n,) coefficients of each effect; forced (n,); exclusive: at most one of each group (forms of a pair)."""

    size: tuple[int, ...]
    forced: tuple[bool, ...]
    exclusive: tuple[tuple[int, ...], ...] = ()

    @property
    def start(self) -> Support:
        return self.forced

    def addable(self, support: Support) -> list[int]:
        """Effects that are not in and have no other form in."""
        taken = {u for group in self.exclusive if any(support[v] for v in group) for u in group}
        return [u for u in range(len(self.size)) if not support[u] and u not in taken]

    def removable(self, support: Support) -> list[int]:
        return [u for u in range(len(self.size)) if support[u] and not self.forced[u]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One change that was fitted: the effect, -2LL before and after, what the drop had to exceed, the p-value of the
    likelihood-ratio test (NaN where there is none), and whether it was taken."""

    step: int
    backward: bool
    effect: int
    base: float
    new: float
    goal: float
    df: int
    p_value: float
    significant: bool
    chosen: bool = False

    @property
    def drop(self) -> float:
        return self.base - self.new


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """model: the final one. supports: after each step, the start first."""

    model: FittedModel
    tests: tuple[Test, ...]
    supports: tuple[Support, ...]


def changed(support: Support, effect: int) -> Support:
    """With the effect in, if it was out, and the other way round."""
    return tuple(not s if u == effect else s for u, s in enumerate(support))


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """By p-values of the likelihood-ratio test where they are given, else by a penalty (n,) for each effect: what a
    criterion charges, which falls where -2LL falls by more."""

    penalty: tuple[float, ...] = ()
    p_forward: float | None = None
    p_backward: float | None = None

    def p_limit(self, *, backward: bool) -> float | None:
        return self.p_backward if backward else self.p_forward

    def goal(self, u: int, df: int, *, backward: bool) -> float:
        """What the drop of -2LL has to exceed: of a removal, minus what the effect must be worth (PsN's signs)."""
        p_value = self.p_limit(backward=backward)
        worth = self.penalty[u] if p_value is None else float(chi2.isf(p_value, df))
        return -worth if backward else worth


#: PsN's.
BY_P_VALUES = Acceptance(p_forward=0.05, p_backward=0.01)


def scm(
    fit: Fit,
    effects: Effects,
    acceptance: Acceptance = BY_P_VALUES,
    *,
    direction: str = "both",
    start: Support | None = None,
) -> Path:
    """Add effects until none is worth it, then remove until all are; or ``forward``, ``backward`` only.

    All forms of an effect that is out are tried side by side (PsN's parallel_states); a form that is in is not
    exchanged for another.
    """
    model = fit(effects.start if start is None else start, None)
    tests: list[Test] = []
    supports = [model.support]
    for backward in (False, True):
        while direction in ("both", "backward" if backward else "forward"):
            step = len(supports)
            units = effects.removable(model.support) if backward else effects.addable(model.support)
            fitted = {u: fit(changed(model.support, u), model) for u in units}
            found = [_tested(step, u, model, fitted[u], effects.size[u], acceptance, backward=backward) for u in units]
            best = _best(found, by_p_value=acceptance.p_limit(backward=backward) is not None, backward=backward)
            tests += [replace(t, chosen=t is best) for t in found]
            supports.append(model.support if best is None else changed(model.support, best.effect))
            if best is None:
                break
            model = fitted[best.effect]
    return Path(model=model, tests=tuple(tests), supports=tuple(supports))


def _tested(
    step: int, u: int, before: FittedModel, after: FittedModel, df: int, acceptance: Acceptance, *, backward: bool
) -> Test:
    """A model that failed is never taken: its -2LL is NaN."""
    goal = acceptance.goal(u, df, backward=backward)
    drop = before.minus_two_ll - after.minus_two_ll
    gain = -drop if backward else drop
    return Test(
        step=step,
        backward=backward,
        effect=u,
        base=before.minus_two_ll,
        new=after.minus_two_ll,
        goal=goal,
        df=-df if backward else df,
        p_value=float(chi2.sf(gain, df)) if gain >= 0.0 else math.nan,
        significant=bool(drop > goal),
    )


def _best(tests: list[Test], *, by_p_value: bool, backward: bool) -> Test | None:
    """Of those that count: by p-values forward the smallest, backward the largest (a removal that lowers -2LL has none
    and goes first), equal ones by the drop; by a criterion the one that lowers it most."""
    usable = [t for t in tests if t.significant and math.isfinite(t.drop)]
    if not usable:
        return None
    if not by_p_value:
        return max(usable, key=lambda t: t.drop - t.goal)
    if backward:
        return max(usable, key=lambda t: (2.0 if math.isnan(t.p_value) else t.p_value, t.drop))
    return min(usable, key=lambda t: (t.p_value, -t.drop))


def cossac(
    fit: Fit,
    effects: Effects,
    p_values: Callable[[FittedModel], np.ndarray],
    acceptance: Acceptance,
) -> Path:
    """Forward, then backward, one fit at a time.

    Args:
        p_values: of a fitted model, (n,): for effects that are out, of the correlation of the random effects with the
            covariate; for those that are in, of the individual parameters with it.
    """
    model = fit(effects.start, None)
    tests: list[Test] = []
    supports = [model.support]
    for backward in (False, True):
        refused: set[int] = set()
        known = p_values(model)
        while True:
            units = effects.removable(model.support) if backward else effects.addable(model.support)
            units = [u for u in units if u not in refused]
            if not units:
                break
            u = max(units, key=lambda u: known[u]) if backward else min(units, key=lambda u: known[u])
            if (known[u] <= SMALLEST_BACKWARD) if backward else not known[u] < LARGEST_FORWARD:
                break
            after = fit(changed(model.support, u), model)
            test = _tested(len(supports), u, model, after, effects.size[u], acceptance, backward=backward)
            tests.append(replace(test, chosen=test.significant))
            if test.significant:
                model = after
                known = p_values(model)
            else:
                refused.add(u)
            supports.append(model.support)
    return Path(model=model, tests=tuple(tests), supports=tuple(supports))


def samba(
    fit: Fit,
    effects: Effects,
    choose: Callable[[FittedModel], Support],
    criterion: Callable[[FittedModel], float],
) -> Path:
    """Fit, choose all effects by the samples of that fit, and so on until a choice repeats; the best model counts.

    Args:
        choose: the effects that regressions of a model's samples select.
        criterion: of a fitted model, the smaller the better.
    """
    model = best = fit(effects.start, None)
    supports = [model.support]
    for _ in range(MOST_ITERATIONS):
        support = choose(model)
        if support in supports:
            break
        model = fit(support, model)
        supports.append(support)
        if criterion(model) < criterion(best) or math.isnan(criterion(best)):
            best = model
    return Path(model=best, tests=(), supports=tuple(supports))
