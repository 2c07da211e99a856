"""How sure the decisions of a search are: margins, frequencies, the path, what other criteria would select."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from nlmevae.estimation.fit import ENDED_EARLY
from nlmevae.estimation.observed_selection import EffectSearch
from nlmevae.estimation.search import SearchOutcome
from nlmevae.estimation.selection_path import PathPoint, path, supports_by_criterion
from nlmevae.estimation.selection_stability import Stability, stability
from nlmevae.estimation.selector import SUBJECTS_PER_EFFECT, allowed_margins, collapsed_latents, penalties_of
from nlmevae.likelihood.importance import weighted_moments
from nlmevae.results.selection_result import PathStep
from nlmevae.selection.criterion import parse_criterion

#: Criteria whose supports are reported beside the chosen one.
OTHER_CRITERIA = ("bicc", "aic", "lrt:0.01", "ebic", "mbic")
#: Generous: a deadline that is met makes results depend on the machine, so it only guards against hours.
LONGEST = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known about the decisions besides the support itself: margin and frequency (n_units,), NaN where not
    known; see `SelectionResult` for the others."""

    margin: np.ndarray
    frequency: np.ndarray
    path: tuple[PathStep, ...] = ()
    alternatives: dict[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @classmethod
    def unknown(cls, outcome: SearchOutcome) -> Evidence:
        """Only the margins that the polish left."""
        unknown = np.full(outcome.problem.effects.n_units, np.nan)
        state = outcome.estimation.search
        margin = unknown if state is None or state.margins is None else state.margins
        return cls(margin=margin, frequency=unknown)


def evidence_of(outcome: SearchOutcome) -> Evidence:
    """From the Gaussian likelihoods at the final estimates: no fit, no decoder. Ctrl-C keeps what is known."""
    known = Evidence.unknown(outcome)
    if outcome.estimation.status in ENDED_EARLY:
        return known
    try:
        outcome.selector.certify()
        known = _decisions(outcome, known)
        outcome.clock.lap("decisions")
        if outcome.selection.resamples:
            found, asked = _frequency(outcome), outcome.selection.resamples
            known = replace(known, frequency=found.frequency)
            if found.n_done < asked:
                note = f"Frequencies are those of {found.n_done} resamples; {asked} take over {LONGEST:g} s."
                known = replace(known, warnings=(*known.warnings, note))
            outcome.clock.lap("resamples")
    except KeyboardInterrupt:
        note = "Interrupted after the estimation: what was not computed yet about its decisions is left out."
        known = replace(known, warnings=(*known.warnings, note))
    return known


def _decisions(outcome: SearchOutcome, known: Evidence) -> Evidence:
    """With the path and the supports of other criteria."""
    search, omega = _final_search(outcome)
    support, names = outcome.problem.support, _names(outcome)
    points = path(search, omega, support=support, seconds=LONGEST)
    penalties = {name: _penalty(outcome, name) for name in OTHER_CRITERIA}
    others = supports_by_criterion(search, omega, penalties, support=support)
    known = _without_untrusted(outcome, replace(known, margin=_margins(outcome, search, omega)))
    return replace(
        known,
        path=tuple(_step(outcome, point, names) for point in points),
        alternatives={name: tuple(names[s].tolist()) for name, s in others.items()},
        warnings=(*known.warnings, *_limit_warning(outcome, known)),
    )


def _without_untrusted(outcome: SearchOutcome, known: Evidence) -> Evidence:
    """Where a variance has collapsed, dropping the parameter's effects would revive it: no likelihood near the
    estimates says how much worse that is."""
    problem, effects = outcome.problem, outcome.problem.effects
    collapsed = collapsed_latents(problem, outcome.estimation.population)
    untrusted = np.unique(effects.unit[np.isin(effects.latent, collapsed)])
    untrusted = untrusted[problem.support[untrusted]]
    state = outcome.estimation.search
    if state is not None and state.support is not None:
        untrusted = np.setdiff1d(untrusted, state.compared)
    if not len(untrusted):
        return known
    margin = known.margin.copy()
    margin[untrusted] = np.nan
    names = ", ".join(effects.space.candidates[u].name for u in untrusted)
    note = f"The variance of the parameter is nearly 0: no margin is given for {names}."
    return replace(known, margin=margin, warnings=(note,))


def _limit_warning(outcome: SearchOutcome, known: Evidence) -> tuple[str, ...]:
    most, support = outcome.selector.rules.at_most, outcome.problem.support
    if most is None or support.sum() < most or not (known.margin[~support] < 0).any():
        return ()
    return (
        f"The search stopped at {most} effects, one per {SUBJECTS_PER_EFFECT} subjects: more would not be supported by "
        f"{outcome.problem.n_subjects} subjects, even if they improve the criterion.",
    )


def _names(outcome: SearchOutcome) -> np.ndarray:
    return np.array([c.name for c in outcome.problem.effects.space.candidates])


def _final_search(outcome: SearchOutcome) -> tuple[EffectSearch, np.ndarray]:
    """The Gaussian likelihoods at the final estimates, and Omega there."""
    problem, population = outcome.problem, outcome.estimation.population
    search = outcome.selector.effect_search(problem, population, *_final_moments(outcome))
    return search, problem.latent_omega(population)


def _final_moments(outcome: SearchOutcome) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Posterior mean (N, d), covariance (N, d, d) and which subjects have them (N,)."""
    state = outcome.estimation.search
    population = outcome.estimation.population
    if state is not None and state.sample is not None:
        weighted = state.sample.weigh(population)
        mean, cov = weighted_moments(state.sample.draws(population).z, weighted.weight)
        return mean, cov, np.isfinite(weighted.minus_two_ll)
    posterior = outcome.estimation.posteriors[0]
    return posterior.mean, posterior.cov, posterior.ok


def _margins(outcome: SearchOutcome, search: EffectSearch, omega: np.ndarray) -> np.ndarray:
    """Those the polish knows, on the exact likelihood where it checked them; after a VAE by the Gaussian one."""
    state = outcome.estimation.search
    if state is not None and state.margins is not None:
        return state.margins
    from nlmevae.estimation.observed_selection import Exploration

    run = Exploration(search, omega)
    run.profile([outcome.problem.support, *run.neighbours_of(outcome.problem.support)], omega)
    return allowed_margins(run, outcome.problem.support)


def _penalty(outcome: SearchOutcome, criterion: str) -> np.ndarray:
    return penalties_of(parse_criterion(criterion), outcome.problem, outcome.selection)


def _frequency(outcome: SearchOutcome) -> Stability:
    search, omega = _final_search(outcome)
    return stability(
        search,
        omega,
        outcome.problem.support,
        rng=np.random.default_rng([outcome.settings.seed, 3]),
        resamples=outcome.selection.resamples,
        seconds=LONGEST,
        profile_omega=False,
    )


def _step(outcome: SearchOutcome, point: PathPoint, names: np.ndarray) -> PathStep:
    """Penalties are given as those of an effect with one coefficient."""
    effects, penalty = outcome.problem.effects, outcome.selector.penalty
    unit = float(np.median(penalty / effects.n_coefficients))
    used = point.support[effects.unit]
    return PathStep(
        low=point.low * unit,
        high=point.high * unit,
        support=tuple(names[point.support].tolist()),
        minus_two_ll=point.profile.minus_two_ll,
        beta={name: float(b) for name, b, u in zip(effects.names, point.profile.beta, used, strict=True) if u},
    )
