"""The covariate search: every candidate effect with its regressors, from model, data and what was asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.data.candidate_columns import candidate_values
from nlmevae.data.covariate_values import Covariate, subject_values
from nlmevae.data.dataset import Dataset
from nlmevae.data.event_table import dataset_rows
from nlmevae.data.events import EventTable
from nlmevae.data.search.asked_pairs import AskedNames, AskedPair, Forbidden, asked_pairs
from nlmevae.data.search.candidate_effects import PairEffects, pair_effects
from nlmevae.data.search.exchangeable import exchangeable_units
from nlmevae.data.search.project_spec import of_project
from nlmevae.data.search.search_notes import already_in_model, covariate_notes, form_notes, space_notes
from nlmevae.data.search_spec import SearchSpec
from nlmevae.errors import DataError, SettingsError
from nlmevae.ir import Candidate, Diagnostic, Model, SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Attributes:
    space: candidates, parameters in the model's order, covariates in the order asked.
    columns: (N, n_columns) float64, x of every coefficient in the order of the candidates and their columns.
    parameter: (n_columns,) index into `model.individual_parameters`.
    unit: (n_columns,) index into `space.candidates`.
    exchangeable: names of candidates that the data cannot tell apart, by group.
    """

    space: SearchSpace
    columns: np.ndarray
    parameter: np.ndarray
    unit: np.ndarray
    exchangeable: tuple[tuple[str, ...], ...]
    diagnostics: tuple[Diagnostic, ...]


def search_space(model: Model, dataset: Dataset, table: EventTable, spec: SearchSpec) -> Search:
    """What the covariate selection chooses from.

    A covariate asked by name that cannot be searched is an error; one that "all" or "*" added is left out with
    a warning.

    Raises:
        SettingsError: `spec` names what is not there, or contradicts itself or the data; with its place in the
            settings file.
        DataError: a covariate is constant, missing everywhere, or not positive where a logarithm is needed.
        UnsupportedError: a covariate that changes within a subject, a parameter without a random effect.
    """
    if table.subject_labels != dataset.subject_labels:
        raise DataError("the event table is not that of the data", hint="make both from one dataset")
    if model.project is not None:
        spec = of_project(spec, model)
    pairs, forbidden = asked_pairs(model, spec)
    _check_names(model, spec)
    pairs, in_model = _not_in_model(model, pairs)
    covariates, pairs, left_out = _covariates(model, dataset, spec, pairs)
    effects, form_gaps = _effects(model, dataset, covariates, pairs, forbidden, spec)
    if not any(found.candidates for _, found in effects):
        reasons = [*left_out, *form_gaps, *in_model]
        because = f": {reasons[0].message}" if reasons else ""
        raise SettingsError(f"no candidate effect is left to search{because}", hint="ask for other covariates")
    search = _assembled(model, covariates, effects)
    notes = [
        *in_model,
        *left_out,
        *form_gaps,
        *covariate_notes(model, dataset, spec, covariates, [pair for pair, _ in effects]),
        *form_notes(model, spec, [(pair, covariates[pair.column]) for pair, _ in effects]),
        *space_notes(search.space, search.exchangeable, dataset.n_subjects),
    ]
    return replace(search, diagnostics=tuple(notes))


def _check_names(model: Model, spec: SearchSpec) -> None:
    """Covariates that have a centre or a reference level exist."""
    names = AskedNames(model, spec)
    for option, pairs in (("centre", spec.centres), ("reference", spec.reference)):
        for name, _ in pairs:
            names.column(name, option, spec.at(option, name))


def _not_in_model(model: Model, pairs: Sequence[AskedPair]) -> tuple[list[AskedPair], list[Diagnostic]]:
    """Pairs the model does not have yet, and notes on those it has."""
    kept, notes = [], []
    for pair in pairs:
        note = already_in_model(model, pair)
        if note is None:
            kept.append(pair)
        else:
            notes.append(note)
    return kept, notes


def _covariates(
    model: Model, dataset: Dataset, spec: SearchSpec, pairs: Sequence[AskedPair]
) -> tuple[dict[int, Covariate], list[AskedPair], list[Diagnostic]]:
    """Values by column of $INPUT, the pairs whose covariate has them, and warnings about the others.

    Raises:
        DataError, UnsupportedError: a covariate asked by name has no usable values.
    """
    rows = dataset_rows(model, dataset)
    position = {item: k for k, item in enumerate(rows.items)}
    found: dict[int, Covariate] = {}
    left_out: list[Diagnostic] = []
    for column in dict.fromkeys(pair.column for pair in pairs):
        values = subject_values(dataset, position[column], spec.missing)
        if isinstance(values, Covariate):
            found[column] = values
            continue
        asked = next((pair for pair in pairs if pair.column == column and pair.named), None)
        if asked is not None:
            raise values.exception(rows, position[column], asked.at)
        left_out.append(values.warning(dataset, model.data.columns[column].name))
    return found, [pair for pair in pairs if pair.column in found], left_out


def _effects(
    model: Model,
    dataset: Dataset,
    covariates: dict[int, Covariate],
    pairs: Sequence[AskedPair],
    forbidden: Sequence[Forbidden],
    spec: SearchSpec,
) -> tuple[list[tuple[AskedPair, PairEffects]], list[Diagnostic]]:
    """Candidates of every pair, and warnings about forms left out.

    Raises:
        DataError: a form asked for a covariate by name is impossible.
        SettingsError: an option does not fit the covariate.
    """
    by_pair: dict[tuple[int, int], list[Forbidden]] = {}
    for ban in forbidden:
        by_pair.setdefault((ban.parameter, ban.column), []).append(ban)
    found: list[tuple[AskedPair, PairEffects]] = []
    left_out: dict[int, Diagnostic] = {}
    for pair in pairs:
        covariate, bans = covariates[pair.column], by_pair.get((pair.parameter, pair.column), ())
        effects = pair_effects(pair, model.individual_parameters[pair.parameter], covariate, spec, bans)
        if isinstance(effects, PairEffects):
            found.append((pair, effects))
            if effects.left_out is not None:
                what = f"the form power of {covariate.name}"
                left_out.setdefault(pair.column, effects.left_out.warning(dataset, what))
        elif pair.named:
            rows = dataset_rows(model, dataset)
            raise effects.exception(rows, rows.items.index(pair.column), pair.at)
        else:
            left_out.setdefault(pair.column, effects.warning(dataset, covariate.name))
    return found, list(left_out.values())


def _assembled(
    model: Model, covariates: dict[int, Covariate], effects: Sequence[tuple[AskedPair, PairEffects]]
) -> Search:
    """Candidates in one list with their regressors; every distinct x is computed once."""
    candidates = _with_unique_names([c for _, found in effects for c in found.candidates])
    of_pair = [pair for pair, found in effects for _ in found.candidates]
    number: dict[tuple, int] = {}
    distinct: list[np.ndarray] = []
    parameter, unit, regressor = [], [], []
    for u, (candidate, pair) in enumerate(zip(candidates, of_pair, strict=True)):
        covariate = covariates[pair.column]
        for column in candidate.columns:
            key = (pair.column, column.shape, column.centre, column.level)
            if key not in number:
                number[key] = len(distinct)
                distinct.append(candidate_values(column, covariate.values, covariate.missing_code))
            parameter.append(pair.parameter)
            unit.append(u)
            regressor.append(number[key])
    columns = np.ascontiguousarray(np.column_stack(distinct)[:, regressor])
    index = [np.array(values, dtype=np.intp) for values in (parameter, unit, regressor)]
    groups = exchangeable_units(columns, *index)
    return Search(
        space=SearchSpace(candidates=tuple(candidates), exclusive=tuple(_exclusive(effects))),
        columns=columns,
        parameter=index[0],
        unit=index[1],
        exchangeable=tuple(tuple(candidates[u].name for u in group) for group in groups),
        diagnostics=(),
    )


def _exclusive(effects: Sequence[tuple[AskedPair, PairEffects]]) -> Iterator[tuple[int, ...]]:
    """Candidates that are forms of one pair."""
    first = 0
    for _, found in effects:
        forms = [k for k, c in enumerate(found.candidates, first) if c.form != "categorical"]
        if len(forms) > 1:
            yield tuple(forms)
        first += len(found.candidates)


def _with_unique_names(candidates: Sequence[Candidate]) -> list[Candidate]:
    """A coefficient name that occurs again (level 2 of RACE, and a covariate RACE_2) gets a number."""
    seen: set[str] = set()
    renamed = []
    for candidate in candidates:
        columns = []
        for column in candidate.columns:
            name, k = column.name, 1
            while name in seen:
                k += 1
                name = f"{column.name}_N{k}"
            seen.add(name)
            columns.append(column if name == column.name else replace(column, name=name))
        same = all(a is b for a, b in zip(columns, candidate.columns, strict=True))
        renamed.append(candidate if same else replace(candidate, columns=tuple(columns)))
    return renamed
