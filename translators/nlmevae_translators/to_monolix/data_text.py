"""The data file of the project: the records that the control stream uses, as Monolix reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nlmevae_translators.to_monolix.covariates import CovariateSection
from nlmevae_translators.to_monolix.doses import Doses
from nlmevae_translators.to_monolix.expression_text import number_text
from nlmevae_translators.to_monolix.groups import OutcomeGroup
from nlmevae_translators.to_monolix.occasion_lines import DataLines, data_lines
from nlmevae_translators.to_monolix.places import read_at
from nlmevae_translators.to_monolix.refusal import RefusedError
from nlmevae_translators.to_monolix.regressors import Regressors
from nlmevae_translators.to_monolix.source_data import SourceData

MISSING = "."


@dataclass(slots=True)
class DataText:
    """`columns`: name -> texts of the kept rows; `uses`: name -> what stands in [CONTENT]; `begun`, `moved`: numbers of
    lines that begin an occasion, of those that are later than their records; `added`: of doses that records imply."""

    columns: dict[str, list[str]] = field(default_factory=dict)
    uses: dict[str, str] = field(default_factory=dict)
    begun: int = 0
    moved: int = 0
    added: int = 0

    def add(self, name: str, use: str, values: list[str]) -> None:
        self.columns[name], self.uses[name] = values, use

    def empty(self, lines: np.ndarray) -> None:
        """Neither dose nor observation on these lines."""
        for name, values in self.columns.items():
            if self.uses[name] not in ("identifier", "time", "eventidentifier"):
                for k in np.flatnonzero(lines):
                    values[k] = MISSING

    @property
    def csv(self) -> str:
        rows = zip(*self.columns.values(), strict=True)
        return "\n".join([",".join(self.columns), *(",".join(row) for row in rows)]) + "\n"


def data_text(
    data: SourceData,
    doses: Doses,
    groups: list[OutcomeGroup],
    covariates: CovariateSection,
    regressors: Regressors,
    *,
    n_doses: int,
    occasion_column: str,
) -> DataText:
    """
    Raises:
        RefusedError: simultaneous observations need two values of one regressor.
    """
    table = data.run.table
    n = len(data.subject)
    observation = np.full(n, -1)
    observation[table.ob_row] = np.arange(len(table.ob_row))
    used = doses.is_dose | doses.is_reset | (observation >= 0) | (doses.emptied > 0)
    other = np.full(n, regressors.moving) & ~used
    lines = data_lines(data, doses, np.flatnonzero(used | other), n_doses=n_doses)
    kept, held = lines.rows, lines.held
    text = DataText(begun=int(lines.begins.sum()), moved=lines.moved, added=int(lines.added.sum()))
    labels = _labels(table.subject_labels)
    text.add("ID", "identifier", [labels[data.subject[k]] for k in kept])
    text.add("TIME", "time", [number_text(t) for t in lines.time])
    _add_doses(text, doses, lines, n_doses=n_doses)
    anew = doses.resets & ~doses.opens & (not data.restarts)
    if other.any() or lines.begins.any() or doses.is_reset.any() or anew.any():
        kinds = np.where(doses.is_dose | (doses.emptied > 0), np.where(anew, 3, 1), np.where(other, 2, 0))
        kinds = np.where(doses.is_reset, 3, kinds)[kept]
        text.add("EVID", "eventidentifier", [str(k) for k in np.where(lines.begins, 2, kinds)])
    _add_observations(text, data, groups, observation, kept)
    text.empty(lines.begins)
    if data.occasion is not None:
        text.add(occasion_column, "occasion", [number_text(data.occasion[k]) for k in held])
    for name, values in covariates.columns.items():
        kind = "categorical" if name in covariates.categories else "continuous"
        text.add(name, f"covariate, type={kind}", [number_text(values[k]) for k in held])
    replaced = {name: _replaced(data, name, k) for k, name in enumerate(table.record_names)}
    if doses.is_share.any():
        item = data.rows.columns[data.rows.index("rate")].name
        replaced[item] = _filled(np.where(doses.is_share, data.rows.of("rate"), np.nan), data.subject)
    for name, (_, ahead) in regressors.columns.items():
        values = _held(data, regressors, name, replaced, observation)
        # between records the one before has the value up to the next
        between = ahead & (lines.begins | (lines.added & (lines.time < data.time[held])))
        text.add(name, "regressor", [number_text(values[k]) for k in held - between])
    return text


def _labels(stated: tuple[str, ...]) -> list[str]:
    """IDs of subjects, each once: NONMEM begins a new subject where the ID changes, Monolix gathers equal ones."""
    seen: dict[str, int] = {}
    labels = []
    for label in stated:
        seen[label] = seen.get(label, 0) + 1
        labels.append(label if seen[label] == 1 else f"{label}_{seen[label]}")
    return labels


def _add_doses(text: DataText, doses: Doses, lines: DataLines, *, n_doses: int) -> None:
    rows, is_dose, kept = doses.data.rows, doses.is_dose, lines.rows
    emptied, is_reset = doses.emptied, doses.is_reset
    given = is_dose | (emptied > 0)
    if not given.any():
        return
    plain = is_dose.copy()
    plain[list(lines.spelled)] = False

    def column(values: np.ndarray, where: np.ndarray) -> list[str]:
        return [number_text(values[k]) if where[k] else MISSING for k in kept]

    amounts = np.where(is_dose, rows.of("amt"), np.where(is_reset, 0.0, 1.0))
    text.add("AMT", "amount", column(amounts, given | is_reset))
    if len(doses.administrations) + len(doses.emptying) > 1:
        numbers = np.where(is_dose, doses.numbers, [doses.emptying.get(int(c), 0) for c in emptied])
        text.add("ADM", "administration", column(np.where(is_reset, 1, numbers).astype(float), given | is_reset))
    rate = np.where(doses.is_share, 0.0, rows.of("rate"))
    if np.any(rate[is_dose] > 0):
        text.add("RATE", "rate", column(rate, is_dose & (rate > 0)))
    steady, additional = rows.of("ss"), rows.of("addl")
    if np.any(steady[plain] > 0):
        text.add("SS", f"steadystate, nbdoses={n_doses}", column(steady, plain & (steady > 0)))
    if np.any(additional[plain] > 0):
        text.add("ADDL", "additionaldose", column(additional, plain & (additional > 0)))
    if "SS" in text.columns or "ADDL" in text.columns:
        text.add("II", "interdoseinterval", column(rows.of("ii"), plain & ((steady > 0) | (additional > 0))))


def _add_observations(
    text: DataText, data: SourceData, groups: list[OutcomeGroup], observation: np.ndarray, kept: np.ndarray
) -> None:
    table = data.run.table
    values, codes, limits = table.ob_value.copy(), np.zeros(len(table.ob_value), dtype=int), None
    if table.ob_limits is not None:
        limits = np.full(len(values), np.nan)
        for k in np.flatnonzero(table.censored):
            lower, upper = table.ob_limits[k, :2]
            codes[k], values[k], limits[k] = _censored(lower, upper)
    kind = np.zeros(len(values), dtype=int)
    for group in groups:
        kind[group.rows] = group.number

    def column(of) -> list[str]:
        return [MISSING if observation[k] < 0 else of(observation[k]) for k in kept]

    several = len(groups) > 1
    names = [f"y{g.number}" for g in groups]
    labels = ", ".join(f"'{g.number}'" for g in groups)
    kinds = ", ".join(["continuous"] * len(groups))
    use = f"observation, name={{{', '.join(names)}}}, yname={{{labels}}}, type={{{kinds}}}"
    text.add("DV", use if several else "observation, name=y, type=continuous", column(lambda k: number_text(values[k])))
    if several:
        text.add("YTYPE", "observationtype", column(lambda k: str(kind[k])))
    if limits is not None:
        text.add("CENS", "censored", column(lambda k: str(codes[k])))
        if np.isfinite(limits).any():
            text.add("LIMIT", "limit", column(lambda k: number_text(limits[k]) if np.isfinite(limits[k]) else MISSING))


def _censored(lower: float, upper: float) -> tuple[int, float, float]:
    """CENS, DV and LIMIT of a value between two limits."""
    if np.isfinite(upper):
        return 1, upper, lower if np.isfinite(lower) else np.nan
    return -1, lower, np.nan


def _replaced(data: SourceData, name: str, k: int) -> np.ndarray:
    """(n_rows,) a data item as predictions read it."""
    values = np.array(data.values(name))
    values[data.run.table.ob_row] = data.run.table.ob_data[:, k]
    return values


def _held(
    data: SourceData, regressors: Regressors, name: str, replaced: Mapping[str, np.ndarray], observation: np.ndarray
) -> np.ndarray:
    """Values of a regressor; records at one time have one value."""
    item, ahead = regressors.columns[name]
    values = np.array(regressors.values(name, dict(replaced)))
    start = 0
    n = len(values)
    for k in range(1, n + 1):
        if k < n and data.subject[k] == data.subject[start] and data.time[k] == data.time[start]:
            continue
        block = slice(start, k)
        values[block] = values[k - 1] if ahead else _one_value(data, values[block], observation[block], item, start)
        start = k
    return _filled(values, data.subject)


def _filled(values: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Records that do not use the item have no value of it: that of the next one that has, else of the last."""
    for k in range(len(values) - 2, -1, -1):
        if np.isnan(values[k]) and subject[k] == subject[k + 1]:
            values[k] = values[k + 1]
    for k in range(1, len(values)):
        if np.isnan(values[k]) and subject[k] == subject[k - 1]:
            values[k] = values[k - 1]
    return np.where(np.isnan(values), 0.0, values)


def _one_value(data: SourceData, values: np.ndarray, observation: np.ndarray, item: str, row: int) -> float:
    wanted = values[observation >= 0] if np.any(observation >= 0) else values[-1:]
    wanted = wanted[np.isfinite(wanted)]
    if not len(wanted):
        return np.nan
    if np.any(wanted != wanted[0]):
        line = data.run.dataset.lines[row]
        raise RefusedError(
            item,
            f"observations at one time (line {line}) have different values of it, and a regressor has one",
            read_at(data.model, [n for n, canonical in data.canonical.items() if canonical == item]),
        )
    return float(wanted[0])
