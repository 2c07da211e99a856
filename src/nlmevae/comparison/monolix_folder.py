"""A results folder of Monolix, or one in its layout: 2017 to 2024R1.

Files are found by name, columns by theirs; what versions call differently has one name here:

    s.e._sa, se_sa, se_lin       `standard_error`, with `error_method`
    OFV, -2LL                    `minus_two_ll`
    standardError, stdError      `mc_se`
    indPred_mode, indivPred_mode indivPred_mode
    LLInformation/               LogLikelihood/

Files that are absent are None or empty: which there are depends on the tasks that were run.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nlmevae.comparison.monolix_table import MonolixTable, cell_number, read_rows, read_table
from nlmevae.errors import DataError

ErrorMethod = Literal["sa", "lin"]
_STANDARD_ERROR = re.compile(r"s\.?e\.?_(sa|lin)$")
_RELATIVE_ERROR = re.compile(r"r\.?s\.?e\.?_(sa|lin)$")
_LL_ROWS = {
    "-2LL": "minus_two_ll",
    "OFV": "minus_two_ll",
    "AIC": "aic",
    "BIC": "bic",
    "BICc": "bicc",
    "stdError": "mc_se",
    "standardError": "mc_se",
}
_METHODS = {"importanceSampling": "is", "linearization": "lin"}
_VERSION = re.compile(r"(Monolix|nlmevae) version\s*:\s*(\S+)")
_COUNTS = re.compile(r"Number of (individuals|doses|observations)(?: \((?:obsid )?([^)]*)\))?\s*:\s*(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class MonolixParameter:
    """One population parameter, on the scale of the file: standard deviations are standard deviations.

    `fixed`: None where no standard errors were computed, which is what tells. `standard_error` NaN where there is
    none; `relative_error` in percent.
    """

    name: str
    value: float
    standard_error: float = math.nan
    relative_error: float = math.nan
    fixed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MonolixLikelihood:
    """By one method ("is" or "lin", else Monolix's word), with the constant n log(2 pi). NaN for what the file does
    not have. `individual`: -2LL by label of the subject; empty if there is no such file."""

    method: str
    minus_two_ll: float
    aic: float
    bic: float
    bicc: float
    mc_se: float
    individual: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Information:
    """Covariance (or correlation) of the estimates: `names` and rows (K, K)."""

    method: ErrorMethod
    names: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonolixFolder:
    """Everything read.

    Attributes:
        version: of the program that wrote it ("2023R1"), "" where it does not say; `by_nlmevae`: ours.
        error_method: of the standard errors; None without any.
        covariances, correlations: of the estimates, by method; see `transformed`.
        predictions: observation -> table, with the columns of 2023R1 whatever the version.
        individuals, random_effects, simulated_individuals, simulated_random_effects: of IndividualParameters/.
        tests: file (without .txt) -> table.
        convergence: ChartsData/Saem/CvParam.txt.
        counts: what summary.txt says: "individuals", "doses", and observations by name.
    """

    path: str
    version: str
    by_nlmevae: bool
    parameters: tuple[MonolixParameter, ...]
    error_method: ErrorMethod | None
    likelihoods: tuple[MonolixLikelihood, ...]
    covariances: tuple[Information, ...]
    correlations: tuple[Information, ...]
    predictions: dict[str, MonolixTable]
    individuals: MonolixTable | None
    random_effects: MonolixTable | None
    simulated_individuals: MonolixTable | None
    simulated_random_effects: MonolixTable | None
    shrinkage: MonolixTable | None
    tests: dict[str, MonolixTable]
    convergence: MonolixTable | None
    counts: dict[str, int]

    def parameter(self, name: str) -> MonolixParameter:
        """
        Raises:
            KeyError: there is none.
        """
        for p in self.parameters:
            if p.name == name:
                return p
        raise KeyError(name)

    def likelihood(self, method: str = "is") -> MonolixLikelihood | None:
        return next((v for v in self.likelihoods if v.method == method), None)

    @property
    def n_obs(self) -> int:
        """Of the endpoints that were fitted: rows of the predictions."""
        return sum(table.n_rows for table in self.predictions.values())

    @property
    def n_subjects(self) -> int | None:
        """As summary.txt says, else those with individual parameters; None where neither is there."""
        if "individuals" in self.counts:
            return self.counts["individuals"]
        return None if self.individuals is None else len(set(self.individuals.texts("id")))

    def transformed(self, information: Information) -> bool | None:
        """Whether a covariance has typical values on the Gaussian scale (since 2020 by stochastic approximation, since
        2021 by linearisation) and not as in populationParameters.txt; None where their standard errors do not tell."""
        known = {p.name: p.standard_error for p in self.parameters}
        told = []
        for k, name in enumerate(information.names):
            error, variance = known.get(name, math.nan), information.rows[k][k]
            if name.endswith("_pop") and error > 0.0 and variance > 0.0:
                told.append(not math.isclose(math.sqrt(variance), error, rel_tol=1e-3))
        return any(told) if told else None


def read_monolix_folder(path: str | os.PathLike[str]) -> MonolixFolder:
    """
    Raises:
        DataError: there is no such folder, no populationParameters.txt in it, or a file is not as Monolix writes it.
    """
    folder = Path(path)
    if not (folder / "populationParameters.txt").is_file():
        raise DataError(f"{folder} is no results folder of Monolix: {_why(folder)}", hint=_remedy(folder))
    parameters, method = _population(folder / "populationParameters.txt")
    summary = _text(folder / "summary.txt")
    program = _VERSION.search(summary)
    people = folder / "IndividualParameters"
    return MonolixFolder(
        path=str(folder),
        version=program[2] if program else "",
        by_nlmevae=bool(program) and program[1] == "nlmevae",
        parameters=parameters,
        error_method=method,
        likelihoods=_likelihoods(folder),
        covariances=_information(folder / "FisherInformation", "covariance"),
        correlations=_information(folder / "FisherInformation", "correlation"),
        predictions=_predictions(folder),
        individuals=_optional(people / "estimatedIndividualParameters.txt"),
        random_effects=_optional(people / "estimatedRandomEffects.txt"),
        simulated_individuals=_optional(people / "simulatedIndividualParameters.txt"),
        simulated_random_effects=_optional(people / "simulatedRandomEffects.txt"),
        shrinkage=_optional(people / "shrinkage.txt"),
        tests={p.stem: read_table(p) for p in sorted((folder / "Tests").glob("*.txt")) if p.stat().st_size},
        convergence=_optional(folder / "ChartsData" / "Saem" / "CvParam.txt"),
        counts=_counts(summary),
    )


def _why(folder: Path) -> str:
    if not folder.is_dir():
        return "there is no such folder"
    if (folder / "estimates.txt").is_file():
        return "its estimates.txt is that of Monolix 4"
    return "it has no populationParameters.txt"


def _remedy(folder: Path) -> str:
    if (folder / "estimates.txt").is_file():
        return "run the project with Monolix 2018 or later; results of version 4 are not read"
    return "give the folder that the project's exportpath names, after the population parameters were estimated"


def _population(path: Path) -> tuple[tuple[MonolixParameter, ...], ErrorMethod | None]:
    """The first kind of standard errors, where there are two."""
    table = read_table(path)
    errors = {m[1]: name for name in table.columns if (m := _STANDARD_ERROR.match(name))}
    relative = {m[1]: name for name in table.columns if (m := _RELATIVE_ERROR.match(name))}
    method: ErrorMethod | None = "sa" if "sa" in errors else "lin" if "lin" in errors else None
    names, values = table.texts("parameter"), table.numbers("value")
    if method is None:
        plain = (MonolixParameter(name=n, value=v) for n, v in zip(names, values, strict=True))
        return tuple(plain), None
    cells, se = table.texts(errors[method]), table.numbers(errors[method])
    rse = table.numbers(relative[method]) if method in relative else (math.nan,) * len(names)
    found = tuple(
        MonolixParameter(
            name=names[k], value=values[k], standard_error=se[k], relative_error=rse[k], fixed=not cells[k]
        )
        for k in range(len(names))
    )
    return found, method


def _likelihoods(folder: Path) -> tuple[MonolixLikelihood, ...]:
    """One for each method that is a column."""
    for name in ("LogLikelihood", "LLInformation"):
        if (folder / name / "logLikelihood.txt").is_file():
            table = read_table(folder / name / "logLikelihood.txt")
            each = _optional(folder / name / "individualLL.txt")
            break
    else:
        return ()
    criteria = table.texts("criteria")
    found = []
    for column in table.columns:
        if column == "criteria":
            continue
        values = dict.fromkeys(_LL_ROWS.values(), math.nan)
        values |= {
            _LL_ROWS[name]: v for name, v in zip(criteria, table.numbers(column), strict=True) if name in _LL_ROWS
        }
        individual: dict[str, float] = {}
        if each is not None and column in each.columns and "id" in each.columns:
            individual = dict(zip(each.texts("id"), each.numbers(column), strict=True))
        found.append(MonolixLikelihood(method=_METHODS.get(column, column), individual=individual, **values))
    return tuple(found)


def _information(folder: Path, kind: str) -> tuple[Information, ...]:
    found = []
    for suffix, method in (("SA", "sa"), ("Lin", "lin")):
        path = folder / f"{kind}Estimates{suffix}.txt"
        if not path.is_file():
            continue
        rows = read_rows(path)
        if any(len(row) != len(rows) + 1 for row in rows):
            raise DataError(f"{path} is no square matrix", hint="give a results folder as Monolix wrote it")
        numbers = tuple(tuple(cell_number(c, str(path), i + 1) for c in row[1:]) for i, row in enumerate(rows))
        names = tuple(row[0].strip() for row in rows)
        found.append(Information(method=method, names=names, rows=numbers))  # type: ignore[arg-type]
    return tuple(found)


def _predictions(folder: Path) -> dict[str, MonolixTable]:
    """By the name of the observation: the column before the first prediction."""
    found = {}
    for path in sorted(folder.glob("predictions*.txt")):
        table = read_table(path)
        columns = {re.sub(r"^indPred_", "indivPred_", name): cells for name, cells in table.columns.items()}
        names = list(columns)
        first = next((k for k, name in enumerate(names) if name.startswith(("popPred", "indivPred"))), 0)
        if first < 2:
            raise DataError(f"{path} has no observations", hint="give a results folder as Monolix wrote it")
        found[names[first - 1]] = MonolixTable(path=str(path), columns=columns)
    return found


def _counts(summary: str) -> dict[str, int]:
    """Observations that were not fitted are counted too, under their own name."""
    found = {}
    for what, name, number in _COUNTS.findall(summary):
        found[name if what == "observations" and name else what] = int(number)
    return found


def _optional(path: Path) -> MonolixTable | None:
    return read_table(path) if path.is_file() and path.stat().st_size else None


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace") if path.is_file() else ""
