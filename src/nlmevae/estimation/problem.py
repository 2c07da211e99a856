"""Everything an estimator needs to know about one model with one data set."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.data.events import EventTable
from nlmevae.decoder.base import Decoder
from nlmevae.decoder.residual import ResidualModel
from nlmevae.decoder.residual_kernels import Observed
from nlmevae.errors import DataError
from nlmevae.estimation.effect_unit import effect_units
from nlmevae.estimation.effects import Effects, extended, without_effects
from nlmevae.estimation.informed import informed_latents
from nlmevae.estimation.mean_model import MeanModel
from nlmevae.estimation.population import Population, block_mask
from nlmevae.estimation.share import Share
from nlmevae.estimation.subset import decoder_of, restricted
from nlmevae.ir import Model
from nlmevae.likelihood.importance import SubjectView
from nlmevae.likelihood.joint import JointDensity

BESIDE = 6  # numbers per draw of a subject besides z and predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The fixed part of an estimation.

    Attributes:
        latent_index: (d,) index of each latent's ETA among all ETAs (`zero_etas` have no latent).
        structural_index: (s,) index of each structural THETA among all THETAs.
        structural_free: (s,) bool, True where it is estimated.
        omega_mask: (d, d) bool, True where OMEGA (latent part) is estimated.
        informed: (N, d) bool, the data of the subject say something about the latent or its block (informed.py).
        effect_unit: (d,) size of one unit of each latent without a mean (effect_unit.py); NaN for the others.
        support: (n_units,) bool, the candidate effects in the model; None when there is no search.
        share: whose subjects these are, of all; None: all there are, or a part that nobody else knows of.
    """

    model: Model
    form: LatentForm
    table: EventTable
    decoder: Decoder
    mean: MeanModel
    residual: ResidualModel
    initial: Population
    latent_index: np.ndarray
    structural_index: np.ndarray
    structural_free: np.ndarray
    omega_mask: np.ndarray
    informed: np.ndarray
    effect_unit: np.ndarray
    support: np.ndarray | None = None
    share: Share | None = None

    @property
    def whole(self) -> Problem:
        """On the subjects of all processes, where several share them."""
        return self if self.share is None else self.share.whole

    def everyone(self, values: np.ndarray, what: str) -> np.ndarray:
        """(N, ...) of all subjects from the (n, ...) of those of this process."""
        return values if self.share is None else self.share.everyone(values, what)

    @property
    def effects(self) -> Effects | None:
        return self.mean.effects

    @property
    def y(self) -> np.ndarray:
        return self.table.ob_value

    @property
    def observed(self) -> Observed:
        """The observations as densities read them."""
        return Observed.of(self.table.ob_value, self.table.ob_endpoint, self.table.ob_limits)

    @property
    def n_subjects(self) -> int:
        return self.table.n_subjects

    @property
    def n_latents(self) -> int:
        return len(self.latent_index)

    @property
    def shared(self) -> np.ndarray:
        """(q,) bool: the THETA of the mean of z (`mean.indices`) is a decoder input too."""
        if not self.structural_free.any():
            return np.zeros(len(self.mean.indices), dtype=bool)
        return np.isin(self.mean.indices, self.structural_index[self.structural_free])

    def latent_omega(self, population: Population) -> np.ndarray:
        """(d, d) covariance of the latents."""
        return population.omega[self.latent_index[:, None], self.latent_index]

    def joint(self, population: Population) -> JointDensity:
        """p(y, z) at these parameters."""
        return JointDensity(
            decoder=self.decoder,
            residual=self.residual,
            observed=self.observed,
            mean=self.mean.mean(population.thetas),
            omega=self.latent_omega(population),
            structural=population.thetas[self.structural_index],
            coefficients=self.residual.coefficients(population.thetas, population.sigma),
            constant=self.table.log_slope,
        )

    def searching(self, effects: Effects) -> Problem:
        """The problem with candidate effects, only the forced ones in."""
        initial = replace(self.initial, thetas=np.concatenate([self.initial.thetas, np.zeros(len(effects.names))]))
        return replace(self, initial=initial)._with(effects, effects.forced)

    def on_support(self, support: np.ndarray) -> Problem:
        """The problem with other candidate effects in the model."""
        return self if np.array_equal(support, self.support) else self._with(self.effects, support)

    def with_support_of(self, other: Problem) -> Problem:
        """The support of `other`, which may be a problem on fewer subjects."""
        return self if other.support is None else self.on_support(other.support)

    def subset(self, subjects: np.ndarray) -> Problem:
        """The problem on some of the subjects, with a decoder of its own."""
        table = restricted(self.table, subjects)
        model = self.model if self.effects is None else without_effects(self.model, self.effects)
        part = make_problem(model, self.form, table, decoder_of(self.decoder, table))
        return part if self.effects is None else part.searching(self.effects.subset(subjects)).on_support(self.support)

    def part(self, subjects: np.ndarray, share: Share | None = None) -> Problem:
        """The problem on some of the subjects, with a view of the same decoder."""
        return replace(
            self,
            table=restricted(self.table, subjects),
            decoder=SubjectView(self.decoder, subjects),
            mean=self.mean.of_subjects(subjects),
            informed=self.informed[subjects],
            share=share,
        )

    @property
    def numbers_per_draw(self) -> float:
        """In memory per subject on average: z, predictions and their derivatives, densities and weights."""
        per_prediction = 1 + int(self.structural_free.sum())
        return self.n_latents + per_prediction * self.table.n_obs_total / max(self.n_subjects, 1) + BESIDE

    def restricted(self, population: Population) -> Population:
        """The population with the coefficients of effects outside the support at 0."""
        if self.effects is None:
            return population
        return replace(population, thetas=self.effects.on_support(population.thetas, self.support))

    def _with(self, effects: Effects, support: np.ndarray) -> Problem:
        return replace(
            self,
            model=extended(self.model, effects, support),
            mean=self.mean.on_support(effects, support),
            support=support.copy(),
        )


def make_problem(model: Model, form: LatentForm, table: EventTable, decoder: Decoder) -> Problem:
    """Assemble the problem at the model's initial estimates."""
    etas = list(model.etas)
    theta_names = [t.name for t in model.thetas]
    latent_index = np.array([etas.index(latent.eta) for latent in form.latents], dtype=int)
    structural_index = np.array([theta_names.index(name) for name in form.structural], dtype=int)
    problem = Problem(
        model=model,
        form=form,
        table=table,
        decoder=decoder,
        mean=MeanModel.of(model, form, table),
        residual=ResidualModel.of(model, [latent.eta for latent in form.latents]),
        initial=Population.initial(model),
        latent_index=latent_index,
        structural_index=structural_index,
        structural_free=np.array([not model.thetas[i].fixed for i in structural_index], dtype=bool),
        omega_mask=block_mask(model.omega)[np.ix_(latent_index, latent_index)],
        informed=informed_latents(form, table, model.omega),
        effect_unit=np.full(len(latent_index), np.nan),
    )
    _check_typical_values(problem)
    return replace(problem, effect_unit=effect_units(problem.joint(problem.initial), form.latents))


def _check_typical_values(problem: Problem) -> None:
    """Every subject has a finite typical value of every parameter at the initial estimates.

    Raises:
        DataError: it has none: no IF branch applies to the subject, or a function has no value there.
    """
    bad = np.argwhere(~np.isfinite(problem.mean.mean(problem.initial.thetas)))
    if not len(bad):
        return
    subject, k = bad[0]
    latent = problem.form.latents[k]
    place = next(p.at for p in problem.model.individual_parameters if p.name == latent.name)
    raise DataError(
        f"{latent.name} has no value for subject {problem.table.subject_labels[subject]} at the initial estimates",
        hint="no IF branch of its typical value applies to this subject's covariates, or they are outside the range "
        "of a function (the logarithm of 0, a negative base)",
        location=place,
    )
