"""How long a fit or a search will take: what a step of each of its parts takes on this machine (`trial.py`), times how
many there will be.

The VAE's steps are known beforehand, numbers of draws are those of the parts themselves, and rounds of draws follow
from the noise that the trial sees. Iterations of the approach and of the polish end by a stopping rule; how many they
usually are is in `iteration_counts.py`. Costs of subjects add up, so of many subjects some are tried.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.events import EventTable
from nlmevae.data.search_space import Search
from nlmevae.estimation import iteration_counts as counts
from nlmevae.estimation.covariance_step import rounds
from nlmevae.estimation.decoders import Decoders, is_integrated
from nlmevae.estimation.evaluate import final_draws
from nlmevae.estimation.fit import MANY_SUBJECTS, START_SUBJECTS
from nlmevae.estimation.iteration_counts import Usual
from nlmevae.estimation.polish import (
    FEWEST_DRAWS,
    LARGEST_SAMPLE,
    SOME,
    TEST_DRAWS,
)
from nlmevae.estimation.polish import MANY_SUBJECTS as SOME_FIRST
from nlmevae.estimation.problem import make_problem
from nlmevae.estimation.refined_posterior import MORE_DRAWS, MOST_AGAIN, MOST_DRAWS, MOST_INTEGRATED_AGAIN
from nlmevae.estimation.ridge import batch_sizes
from nlmevae.estimation.sample import first_draws
from nlmevae.estimation.schedule import Schedule
from nlmevae.estimation.search import effects_of
from nlmevae.estimation.selector import Selector
from nlmevae.estimation.settings import FitSettings, SelectionSettings
from nlmevae.estimation.subset import restricted, spread_subjects
from nlmevae.estimation.trial import Trial, try_parts
from nlmevae.estimation.warm_fit import SHARP_DRAWS, SHARP_TOTAL
from nlmevae.ir import Model
from nlmevae.results.time_forecast import PartTime, TimeForecast

#: Seconds of compiling from which on the model was compiled now; below, its code was read from disk, as a run does.
COMPILED = 1.0
#: Of a part that has no count: what the clock of a machine may be off by.
STEADY = Usual(0.8, 1.0, 1.3)
#: Share of a part's time that threads divide among them, the rest is one thread's: what is 0 sees so few subjects that
#: there is nothing to divide (`python -m tests.benchmarks.time_forecast --shared`: 2000 subjects, one compartment).
SHARED = {"vae": 0.0, "approach": 0.0, "polish": 0.75, "likelihood": 0.85, "covariance": 0.8}


def forecast(
    model: Model,
    table: EventTable,
    settings: FitSettings,
    requested: Search | None = None,
    selection: SelectionSettings | None = None,
    *,
    samples: bool = False,
) -> TimeForecast:
    """Of a fit, or of a search for `requested` effects, without what comes before and after it (reading, writing).
    `samples`: of the fit of a sample of such data too, that starts at their estimates.

    Raises:
        ModelError: as `fit_model` and `search_effects` say.
    """
    settings = settings.on(table)
    threads, settings = settings.threads, replace(settings, threads=1)
    began, clock = time.process_time(), time.perf_counter()
    subjects = spread_subjects(table, START_SUBJECTS)
    if len(np.flatnonzero(np.diff(table.ob_ptr) > 0)) <= MANY_SUBJECTS or settings.method == "vae":
        subjects = np.arange(table.n_subjects)
    some = restricted(table, subjects)
    form = latent_form(model, some)
    decoders = Decoders.of(form, some, settings)
    try:
        problem = make_problem(model, form, some, decoders.exact)
        selector = None
        if requested is not None:
            problem = problem.searching(effects_of(model, problem, requested).subset(subjects))
            selector = Selector.of(problem, selection or SelectionSettings(), settings.method)
        trial = try_parts(problem, decoders, settings, selector, selection)
        run = _Run(trial, settings, table, searching=requested is not None)
        parts = run.parts()
    finally:
        decoders.close()
    spent = time.process_time() - began
    compiled = trial.first_use if trial.first_use > COMPILED else 0.0
    parts = {name: _shared(part, threads, SHARED.get(name, 0.0)) for name, part in parts.items()}
    return TimeForecast(
        parts=tuple(_part_time(name, part) for name, part in parts.items()),
        sample=_part_time("a sample", run.sample()) if samples else None,
        first_use=compiled,
        loading=trial.loading + trial.first_use - compiled,
        trial=spent,
        busy=(time.perf_counter() - clock) / max(spent, 1e-9),
        threads=threads,
        n_subjects=table.n_subjects,
        n_tried=trial.tried.n_subjects,
        n_observations=table.n_obs_total,
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """From the trial's seconds to those of a run on `table`."""

    trial: Trial
    settings: FitSettings
    table: EventTable
    searching: bool

    def _all(self, seconds: Callable[[Trial], float]) -> float:
        """Of all subjects, from those on which draws were tried."""
        return self.trial.of_all(seconds, self.table.n_obs_total)

    def parts(self) -> dict[str, Usual]:
        """Part -> seconds of one thread."""
        if self.settings.method == "vae":
            return {"vae": self._vae(), "likelihood": self._likelihood()}
        found = {"vae": self._vae(), "approach": self._approach(self.settings.n_alternatives), "polish": self._polish()}
        found["likelihood"] = self._likelihood()
        if self.trial.covariance is not None:
            found["covariance"] = self._covariance()
        if self.searching:
            found["decisions"] = STEADY.times(self._all(lambda trial: trial.decisions))
        return found

    def sample(self) -> Usual:
        """Of a sample's fit: no VAE, one start, and an end that is sharpened (`warm_fit`)."""
        n = self.table.n_subjects
        sharp = self._drawn(max(self.settings.n_draws, min(SHARP_DRAWS, SHARP_TOTAL // n)))
        found = self._approach(0).plus(self._polish())
        if self.searching:
            return found
        return found.plus(counts.SHARPENING.times(sharp)).plus(self._likelihood(others=False))

    def _vae(self) -> Usual:
        schedule = Schedule.of(
            self.settings, n_latents=self.trial.problem.n_latents, n_subjects=self.trial.problem.n_subjects
        )
        burn_in = schedule.burn_in_iterations * self.trial.burn_in
        return STEADY.times(burn_in + schedule.training_iterations * self.trial.training)

    def _approach(self, n_alternatives: int) -> Usual:
        """With the choice of its starts."""
        own = self.settings.its_iterations
        first = Usual(*(own + more for more in (counts.LONGER.low, counts.LONGER.usual, counts.LONGER.high)))
        iterations = first.plus(counts.ALTERNATIVE.times(n_alternatives))
        screen = self.trial.screen if n_alternatives else 0.0
        return iterations.times(self.trial.approach).plus(Usual(screen, screen, screen))

    def _draws(self, n_subjects: int) -> tuple[int, int]:
        """Per subject: of an ordinary iteration of the polish, and most."""
        most = int(LARGEST_SAMPLE / (max(n_subjects, 1) * self.trial.problem.numbers_per_draw))
        most = max(FEWEST_DRAWS, most // 8 * 8)
        return min(self.settings.n_draws, most), most

    def _drawn(self, n_draws: float) -> float:
        return self._all(lambda trial: trial.polish.at(n_draws))

    def _polish(self) -> Usual:
        n = self.table.n_subjects
        if not self.trial.problem.n_latents:
            return counts.ORDINARY.times(self._drawn(1))
        usual, most = self._draws(n)
        ordinary, test = self._drawn(usual), self._drawn(min(TEST_DRAWS * usual, most))
        first = first_draws(n, usual)
        if first < usual:  # of many subjects the usual draws are a test
            test = ordinary
        before = counts.ORDINARY.times(self._drawn(first))
        if n >= SOME_FIRST and not self.searching:
            part = self._drawn(first_draws(n // SOME, usual)) / SOME
            before = counts.ORDINARY.times(part).plus(counts.AFTER_SOME.times(self._drawn(first)))
        found = before.plus(counts.TESTS.times(test))
        batches = batch_sizes(n, usual=usual, test=min(TEST_DRAWS * usual, most))
        if self.trial.ridge and batches:
            large = float(np.mean([self._drawn(b) for b in batches]))
            found = found.plus(counts.RIDGE_ORDINARY.times(ordinary)).plus(counts.RIDGE_LARGE.times(large))
        if self.searching:
            factors = counts.SEARCH
            found = Usual(found.low * factors.low, found.usual * factors.usual, found.high * factors.high)
        return found

    def _likelihood(self, *, others: bool = True) -> Usual:
        """Draws of all subjects, and more of those that the trial does not know well enough."""
        tried, n = self.trial.posterior, self.table.n_subjects
        integrated = is_integrated(self.trial.problem.decoder)
        n_draws = final_draws(n, self.settings.final_draws)
        once = self._all(lambda trial: trial.posterior.modes + trial.posterior.draws.at(n_draws))
        if others:
            once += self._all(lambda trial: trial.posterior.others)
        most, again, draws = MOST_INTEGRATED_AGAIN if integrated else MOST_AGAIN, 0.0, n_draws
        while draws < MOST_DRAWS * n_draws and self.trial.problem.n_latents:
            rough = min(n * tried.rough(draws, n, integrated=integrated), most / (MORE_DRAWS * draws))
            draws *= MORE_DRAWS
            again += rough * draws
        again *= self._all(lambda trial: trial.posterior.draws.slope) / n
        unseen = counts.UNSEEN.times(self._all(lambda trial: trial.posterior.draws.at(n_draws)))
        return STEADY.times(once).plus(counts.REDRAWN.times(again)).plus(unseen)

    def _covariance(self) -> Usual:
        """The rounds of draws that the noise of the trial asks for; at least the first, at most one more."""
        tried, n = self.trial.covariance, self.table.n_subjects
        planned = rounds(self.trial.problem, n)
        needed = next((k for k, draws in enumerate(planned, 1) if tried.enough(draws, n)), len(planned))
        each = [self._all(lambda trial, n=draws: trial.covariance.round.at(n)) for draws in planned]
        twice = each[0] if tried.collapsed else 0.0
        return Usual(
            STEADY.low * each[0],
            twice + sum(each[:needed]),
            twice + STEADY.high * sum(each[: needed + 1]),
        )


def _shared(part: Usual, threads: int, share: float) -> Usual:
    return part.times(1.0 - share + share / max(threads, 1))


def _part_time(name: str, part: Usual) -> PartTime:
    return PartTime(name, part.low, part.usual, part.high)
