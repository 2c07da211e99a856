"""The tests of a Monolix results folder for one fit.

What Monolix calls PWRES and NPDE are, judged by the values in its charts (tests/diagnostics/test_folder_tests.py), not
decorrelated within subjects: (y - E) / sd of simulations, and the share of simulated values below y as a normal
quantile (`npd` here).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.diagnostics import hypothesis_tests as tests
from nlmevae.diagnostics.censoring import censoring
from nlmevae.diagnostics.diagnose import observation_diagnostics
from nlmevae.diagnostics.endpoints import endpoints
from nlmevae.diagnostics.hypothesis_tests import Found
from nlmevae.diagnostics.replicates import Steps, simulate_observations
from nlmevae.estimation.at_estimates import AtEstimates
from nlmevae.results.fit_result import FitResult
from nlmevae.results.monolix_content import CovariateColumn, FolderTests, HypothesisTest, IndividualValues
from nlmevae.results.natural_parameter import NaturalParameter, standard_errors

#: Simulated data sets behind PWRES and NPDE.
N_SIMULATIONS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """What the tests are of. `shown`: individual parameter, as in programs -> its name in the files; `observations`:
    names of the endpoints."""

    random_effects: IndividualValues
    covariates: tuple[CovariateColumn, ...]
    parameters: tuple[NaturalParameter, ...]
    shown: dict[str, str]
    observations: tuple[str, ...]

    @property
    def parameter_of(self) -> dict[str, str]:
        """Random effect -> individual parameter: eta_V -> V."""
        return {f"eta_{name}": name for name in self.shown.values()}


def folder_tests(
    at: AtEstimates, fit: FitResult, tested: Tested, dataset: Dataset, *, steps: Steps | None = None
) -> FolderTests:
    """Those that need draws of the random effects are left out where the fit kept none."""
    etas, draws = tested.random_effects, tested.random_effects.draws
    if not len(draws):
        return FolderTests(fixed_effects=_wald(fit, tested.parameters))
    normality = [tests.shapiro(draws[:, :, k]) for k in range(len(etas.names))]
    plain = _without_covariates(at, tested)
    residuals = folder_residuals(at, fit, dataset, tested.observations, steps=steps)
    return FolderTests(
        random_effects_covariates=_with_covariates(etas, tested.covariates),
        parameters_covariates=_coefficients(at, fit, tested),
        random_effects=_pairs(at, fit, etas),
        fixed_effects=_wald(fit, tested.parameters),
        normality_random_effects=_lines(zip(etas.names, normality, strict=True)),
        normality_parameters=_lines(
            ((tested.parameter_of[n], f) for n, f in zip(etas.names, normality, strict=True) if n in plain),
            name="Shapiro-Wilk",
        ),
        normality_residuals=_lines(_normality(residuals), name="Shapiro-Wilk"),
        symmetry_residuals=_lines(_symmetry(residuals), name="Symmetry"),
    )


def _lines(found: Iterable[tuple[str | tuple[str, ...], Found]], name: str = "") -> tuple[HypothesisTest, ...]:
    return tuple(
        HypothesisTest(of=(of,) if isinstance(of, str) else of, statistic=f.statistic, p_value=f.p_value, name=name)
        for of, f in found
        if np.isfinite(f.p_value)
    )


def _with_covariates(etas: IndividualValues, covariates: Sequence[CovariateColumn]) -> tuple[HypothesisTest, ...]:
    """Categorical covariates first, both kinds by name."""
    means = etas.draws.mean(axis=0)
    found: list[HypothesisTest] = []
    for k, eta in enumerate(etas.names):
        for c in sorted(covariates, key=lambda c: (not c.categorical, c.name)):
            test = tests.anova if c.categorical else tests.pearson
            line = ((eta, c.name), test(c.values, means[:, k]))
            found += _lines([line], name="Anova" if c.categorical else "Pearson")
    return tuple(found)


def _coefficients(at: AtEstimates, fit: FitResult, tested: Tested) -> tuple[HypothesisTest, ...]:
    """Regression of z on the terms its effects multiply; only where mu is a sum of such terms."""
    problem = at.problem
    if not problem.mean.linear:
        return ()
    design = problem.mean.design(fit.thetas)
    thetas = [problem.model.thetas[i].name for i in problem.mean.indices]
    row_of = {next(iter(p.gradient)): p for p in tested.parameters if p.effect and len(p.gradient) == 1}
    found: list[HypothesisTest] = []
    for k, latent in enumerate(problem.form.latents):
        columns = [j for j, t in enumerate(thetas) if t in row_of and np.any(design[:, k, j] != 0.0)]
        if not columns or latent.changing or latent.name == latent.eta:
            continue
        eta = fit.individuals.eta_samples[:, :, problem.latent_index[k]].mean(axis=0)
        results = tests.coefficients(design[:, k, columns], at.joint.mean[:, k] + eta)
        parameter = tested.shown[latent.name]
        found += _lines(
            [((parameter, row_of[thetas[j]].name), f) for j, f in zip(columns, results, strict=True)], name="t-Test"
        )
    return tuple(found)


def _pairs(at: AtEstimates, fit: FitResult, etas: IndividualValues) -> tuple[HypothesisTest, ...]:
    """Of every pair; the second cell but one is the model's correlation."""
    model = at.problem.model
    index = [k for k, eta in enumerate(model.etas) if eta not in model.zero_etas]
    omega, found = fit.omega[np.ix_(index, index)], []
    for i, first in enumerate(etas.names):
        for j in range(i + 1, len(etas.names)):
            expected = float(omega[i, j])
            scale = float(np.sqrt(omega[i, i] * omega[j, j]))
            correlation = expected / scale if scale > 0.0 else 0.0
            result = tests.product(etas.draws[:, :, i], etas.draws[:, :, j], expected)
            found += _lines([((first, etas.names[j], f"{correlation:.6g}"), result)])
    return tuple(found)


def _wald(fit: FitResult, parameters: Sequence[NaturalParameter]) -> tuple[HypothesisTest, ...]:
    errors = standard_errors(parameters, fit.uncertainty)
    rows = [(p.name, tests.wald(p.value, float(e))) for p, e in zip(parameters, errors, strict=True) if p.effect]
    return _lines(rows)


def _without_covariates(at: AtEstimates, tested: Tested) -> set[str]:
    """Random effects of parameters whose distribution is the same for all subjects."""
    found = set()
    for name, k in zip(tested.random_effects.names, _latents(at), strict=True):
        if k is not None and name in tested.parameter_of and np.ptp(at.joint.mean[:, k]) < 1e-12:
            found.add(name)
    return found


def _latents(at: AtEstimates) -> list[int | None]:
    """Number of the latent of each random effect that is not fixed at zero."""
    model, index = at.problem.model, list(at.problem.latent_index)
    shown = [k for k, eta in enumerate(model.etas) if eta not in model.zero_etas]
    return [index.index(k) if k in index else None for k in shown]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderResiduals:
    """Of one endpoint with m observations: `iwres` (S, m) of every draw, `pwres`, `npde` (m,). NaN: no number."""

    name: str
    iwres: np.ndarray
    pwres: np.ndarray
    npde: np.ndarray


def folder_residuals(
    at: AtEstimates, fit: FitResult, dataset: Dataset, names: Sequence[str], *, steps: Steps | None = None
) -> tuple[FolderResiduals, ...]:
    """Of every endpoint, which have these `names`. Censored values have none but the last."""
    joint = at.joint
    z = joint.mean + fit.individuals.eta_samples[..., at.problem.latent_index]
    prediction = joint.predict(z)
    simulated = simulate_observations(joint, N_SIMULATIONS, seed=fit.seed, steps=steps)
    observed = observation_diagnostics(at, dataset, simulated, seed=fit.seed)
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an observation without any simulated value
        iwres = np.stack([(joint.y - f) / joint.sd(f, zz) for f, zz in zip(prediction, z, strict=True)])
        pwres = (joint.y - np.nanmean(simulated.y, axis=0)) / np.nanstd(simulated.y, axis=0)
    censored = censoring(at.problem.table).censored
    iwres[:, censored] = pwres[censored] = np.nan
    kinds = endpoints(at.problem)
    return tuple(
        FolderResiduals(
            name=name,
            iwres=iwres[:, kinds.of == k],
            pwres=pwres[kinds.of == k],
            npde=observed.npd[kinds.of == k],
        )
        for k, name in enumerate(names)
    )


def _normality(residuals: Sequence[FolderResiduals]) -> list[tuple[str, Found]]:
    found = []
    for r in residuals:
        found += [(f"IWRES_{r.name}", tests.shapiro(r.iwres))]
        found += [(f"PWRES_{r.name}", tests.shapiro(r.pwres)), (f"NPDE_{r.name}", tests.shapiro(r.npde))]
    return found


def _symmetry(residuals: Sequence[FolderResiduals]) -> list[tuple[str, Found]]:
    found = []
    for r in residuals:
        found += [(f"PWRES_{r.name}", tests.symmetry(r.pwres)), (f"NPDE_{r.name}", tests.symmetry(r.npde))]
    return found
