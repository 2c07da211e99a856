"""Everything a Monolix results folder holds beside the result itself, on one page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.diagnostics.endpoints import endpoints
from nlmevae.diagnostics.folder_tests import Tested, folder_tests
from nlmevae.diagnostics.natural_parameters import eta_name, natural_parameters
from nlmevae.diagnostics.point_predictions import point_predictions
from nlmevae.diagnostics.record_items import RecordItems
from nlmevae.diagnostics.replicates import Steps
from nlmevae.diagnostics.subject_covariates import subject_covariates
from nlmevae.estimation.at_estimates import AtEstimates
from nlmevae.estimation.individual_parameters import changing_covariates
from nlmevae.ir import ProjectCovariate
from nlmevae.ir.evaluate import evaluate
from nlmevae.results.fit_result import FitResult
from nlmevae.results.monolix_content import CovariateColumn, IndividualValues, MonolixContent
from nlmevae.results.monolix_names import MonolixNames, observation_names


def monolix_content(
    at: AtEstimates,
    dataset: Dataset,
    fit: FitResult,
    names: MonolixNames | None = None,
    *,
    tests: bool = True,
    steps: Steps | None = None,
) -> MonolixContent:
    """At the estimates of `fit`.

    Args:
        dataset: the data `at` was made from.
        names: None: those of the model.
        tests: also simulate for the tests of residuals, and test.
        steps: told about simulations.
    """
    names = MonolixNames.of_model(at.problem.model) if names is None else names
    parameters = natural_parameters(at.problem, fit, names)
    etas = _random_effects(at, fit, names)
    covariates = _covariates(at, dataset, names)
    observations = observation_names([names.of(kind.name) for kind in endpoints(at.problem).kinds])
    tested = Tested(
        random_effects=etas,
        covariates=covariates,
        parameters=parameters,
        shown={p.name: names.of(p.name) for p in at.problem.model.individual_parameters},
        observations=observations,
    )
    found = folder_tests(at, fit, tested, dataset, steps=steps) if tests else None
    return MonolixContent(
        parameters=parameters,
        individuals=_individuals(at, dataset, fit, names),
        random_effects=etas,
        covariates=covariates,
        endpoints=point_predictions(at, dataset, fit, observations, frozenset(names.categories)),
        **({} if found is None else {"tests": found}),
        shrinkage=_shrinkage(fit, etas, at),
        n_doses=int(at.problem.table.ev_is_dose.sum()),
    )


def _shown_etas(at: AtEstimates) -> list[int]:
    model = at.problem.model
    return [k for k, eta in enumerate(model.etas) if eta not in model.zero_etas]


def _random_effects(at: AtEstimates, fit: FitResult, names: MonolixNames) -> IndividualValues:
    people, index, model = fit.individuals, _shown_etas(at), at.problem.model
    samples = people.eta_samples
    return IndividualValues(
        names=tuple(f"eta_{eta_name(model, model.etas[k], names)}" for k in index),
        mean=people.eta_mean[:, index],
        mode=people.eta_mode[:, index],
        sd=people.eta_sd[:, index],
        draws=samples[:, :, index] if len(samples) else np.zeros((0, len(people.labels), len(index))),
    )


def _individuals(at: AtEstimates, dataset: Dataset, fit: FitResult, names: MonolixNames) -> IndividualValues:
    """Parameters with random effects, in the model's order, then those without (``ka_pop`` labels name them)."""
    people, n = fit.individuals, len(fit.individuals.labels)
    own = [p.name for p in at.problem.model.individual_parameters if p.name in people.psi_names]
    index = [people.psi_names.index(name) for name in own]
    constant = _without_random_effect(at, dataset, set(own))
    more = np.column_stack(list(constant.values())) if constant else np.zeros((n, 0))
    samples = people.psi_samples[:, :, index] if len(people.psi_samples) else np.zeros((0, n, len(own)))
    return IndividualValues(
        names=(*(names.of(name) for name in own), *(names.of(name) for name in constant)),
        mean=np.hstack([people.psi_mean[:, index], more]),
        mode=np.hstack([people.psi_mode[:, index], more]),
        sd=np.hstack([people.psi_sd[:, index], np.zeros_like(more)]),
        draws=np.concatenate([samples, np.broadcast_to(more, (len(samples), *more.shape))], axis=2),
    )


def _without_random_effect(at: AtEstimates, dataset: Dataset, known: set[str]) -> dict[str, np.ndarray]:
    """Name -> (N,) of parameters X whose THETA is labelled ``X_pop``, as the model's code computes them; only where
    they are constant in every subject and indeed the same at all random effects."""
    labels = [t.label for t in at.problem.model.thetas]
    wanted = [label.removesuffix("_pop") for label in labels if label.endswith("_pop")]
    wanted = [name for name in dict.fromkeys(wanted) if name not in known]
    if not wanted:
        return {}
    items, found = RecordItems.of(at, dataset), {}
    first = dataset.subject_ptr[:-1]
    for name in wanted:
        if name not in items.individual:
            continue
        values = np.asarray(items.individual[name], dtype=float)
        own = np.repeat(values[first], np.diff(dataset.subject_ptr))
        if np.array_equal(values, own) and np.array_equal(values, items.typical[name]):
            found[name] = values[first]
    return found


def _covariates(at: AtEstimates, dataset: Dataset, names: MonolixNames) -> tuple[CovariateColumn, ...]:
    """Those that are constant in every subject."""
    if names.covariates is not None:
        return _project_covariates(dataset, names.covariates)
    found, changing = subject_covariates(at.problem.model, dataset), changing_covariates(at.problem.table)
    columns = []
    for j, name in enumerate(found.names):
        if name in changing:
            continue
        levels, values = names.categories.get(name), found.values[:, j]
        columns.append(
            CovariateColumn(
                name=names.of(name),
                categorical=bool(found.categorical[j]) or levels is not None,
                texts=tuple(_text(v, levels) for v in values),
                values=values,
            )
        )
    return tuple(columns)


def _project_covariates(dataset: Dataset, covariates: Sequence[ProjectCovariate]) -> tuple[CovariateColumn, ...]:
    """The project's own, computed ones too."""
    items = {name: dataset.values[:, k] for k, name in enumerate(dataset.columns)}
    first, subject = dataset.subject_ptr[:-1], np.repeat(np.arange(dataset.n_subjects), np.diff(dataset.subject_ptr))
    columns = []
    for c in covariates:
        values = np.broadcast_to(np.asarray(evaluate(c.value, items), dtype=float), len(subject))
        items[c.item] = values
        own = values[first]
        if np.array_equal(values, own[subject], equal_nan=True):
            texts = tuple(_text(v, c.categories or None) for v in own)
            columns.append(CovariateColumn(name=c.name, categorical=bool(c.categories), texts=texts, values=own))
    return tuple(columns)


def _text(value: float, levels: tuple[str, ...] | None) -> str:
    if not np.isfinite(value):
        return "nan"
    if levels is not None and value == int(value) and 0 <= int(value) < len(levels):
        return levels[int(value)]
    return f"{value:.15g}"


def _shrinkage(fit: FitResult, etas: IndividualValues, at: AtEstimates) -> dict[str, tuple[float, float, float]]:
    """Percent of the variance: 1 - var / omega^2, of modes, means and draws."""
    found = {}
    for name, k in zip(etas.names, _shown_etas(at), strict=True):
        draws, omega = etas.draws[:, :, etas.names.index(name)], float(fit.omega[k, k])
        third = 100.0 * (1.0 - float(np.nanvar(draws)) / omega) if len(draws) and omega > 0.0 else float("nan")
        means, modes = fit.shrinkage.means.variance[k], fit.shrinkage.modes.variance[k]
        found[name.removeprefix("eta_")] = (float(modes), float(means), third)
    return found
