"""What is computed from a finished fit: tables, diagnostics, predictive checks, simulated data.

control stream + data + fit or parameter values -> RunWithFit -> AtEstimates (fitted_run.py) -> one function each
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlmevae.at_parameters import parameter_values, prepare_at
from nlmevae.errors import DataError, MissingDependencyError, SettingsError
from nlmevae.fitted_run import Steps, WrittenTables, at_fit, check_same_model, table_files, write_tables
from nlmevae.ir import Diagnostic, Model
from nlmevae.pipeline import ModelSource, notes_with_data, prepare, read_model, with_data
from nlmevae.prepared_run import PreparedRun
from nlmevae.results.fit_result import FitResult

if TYPE_CHECKING:
    from nlmevae.diagnostics.parameter_draws import ParameterDraws
    from nlmevae.estimation.population import Population
    from nlmevae.results.diagnostics import Diagnostics, PredictiveChecks

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWithFit:
    """`fit`: None where the values are the initial estimates of `run.model`. `origin` says where they are from."""

    run: PreparedRun
    fit: FitResult | None
    origin: str


def run_with_fit(
    source: ModelSource,
    *,
    fit: FitResult | PathLike | None = None,
    params: Any = None,
    data: PathLike | None = None,
) -> RunWithFit:
    """Model and data with a fit (or its results.json), or with parameter values (`at_parameters.parameter_values`),
    or at the initial estimates.

    Raises:
        ModelError, DataError: as the readers say, or the values are not those of this model.
        SettingsError: both are given.
    """
    if fit is None:
        at = prepare_at(source, params, data=data)
        return RunWithFit(run=at.run, fit=None, origin=at.origin)
    if params is not None:
        raise SettingsError("a fit and parameter values are given", hint="give one of them")
    from nlmevae.writers.results_json import read_results_json

    found = fit if isinstance(fit, FitResult) else read_results_json(fit)  # type: ignore[arg-type]
    run = prepare(source, data=data)
    check_same_model(run, found)
    return RunWithFit(run=run, fit=found, origin=f"the fit of {found.source_path}")


def tables(
    source: ModelSource,
    *,
    fit: FitResult | PathLike | None = None,
    params: Any = None,
    data: PathLike | None = None,
    out: PathLike | None = None,
    overwrite: bool = False,
    threads: int = 1,
    steps: Steps | None = None,
) -> WrittenTables:
    """Write the $TABLE files of a model at the estimates of a fit (or at other parameter values).

    Args:
        fit, params, data: as `run_with_fit` takes them.
        out: folder; None: that of the control stream.
        overwrite: also replace files that another program wrote.

    Raises:
        ModelError, DataError, OutputError, SettingsError: as the readers and writers say.
    """
    given = run_with_fit(source, fit=fit, params=params, data=data)
    files = table_files(given.run, out=out, overwrite=overwrite)
    return write_tables(given.run, given.fit, files, threads=threads, steps=steps)


def diagnose(
    source: ModelSource,
    *,
    fit: FitResult | PathLike | None = None,
    params: Any = None,
    data: PathLike | None = None,
    n_simulations: int = 1000,
    seed: int = 1,
    stratify: str | None = None,
    threads: int = 1,
    steps: Steps | None = None,
) -> Diagnostics:
    """Residuals, prediction errors, curves and predictive checks (`nlmevae.diagnostics.diagnose`).

    Raises:
        ModelError, DataError, SettingsError: as the readers say.
    """
    from nlmevae.diagnostics.diagnose import diagnose

    given = run_with_fit(source, fit=fit, params=params, data=data)
    with at_fit(given.run, given.fit, threads=threads) as here:
        return diagnose(here, given.run.dataset, n_simulations=n_simulations, seed=seed, stratify=stratify, steps=steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationOptions:
    """What `simulate` does; None: as $SIMULATION says, without one 1 data set and seed 1.

    Attributes:
        n: data sets. seed: same seed, same numbers, whatever `threads`.
        iiv: random effects between subjects. residual: residual error.
        uncertainty: parameters of each data set are drawn from the covariance of the estimates.
    """

    n: int | None = None
    seed: int | None = None
    iiv: bool = True
    residual: bool = True
    uncertainty: bool = False
    threads: int = 1

    def __post_init__(self) -> None:
        for name, least in (("n", 1), ("seed", 0), ("threads", 1)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise SettingsError(f"{name} is {value!r}", hint=f"give a whole number from {least}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """The file, how many data sets are in it and from which seed; `origin`: where the parameters are from."""

    path: Path
    n: int
    seed: int
    origin: str


def simulate(
    source: ModelSource,
    out: PathLike,
    *,
    fit: FitResult | PathLike | None = None,
    params: Any = None,
    data: PathLike | None = None,
    overwrite: bool = False,
    steps: Steps | None = None,
    notice: Callable[[Iterable[Diagnostic]], None] | None = None,
    **options: Any,
) -> Simulation:
    """Simulate data sets of a design and write them to a CSV file (`writers.simulation_csv`) as they come.

    Args:
        out: the file.
        fit, params: parameter values, as `run_with_fit` takes them.
        data: the design; None: the file $DATA names. Its observations need no values.
        overwrite: also replace a file that another program wrote.
        steps: told about every data set. notice: told what was noticed about model and design.
        options: fields of `SimulationOptions`.

    Raises:
        ModelError, DataError, SettingsError, OutputError: before anything is simulated.
    """
    from nlmevae.diagnostics.design_text import design_text
    from nlmevae.diagnostics.fitted import population_at, problem_at
    from nlmevae.diagnostics.simulated_data import simulated_data
    from nlmevae.writers.simulation_csv import check_simulation_file, write_simulation

    chosen = SimulationOptions(**options)
    given = design_with_fit(source, fit=fit, params=params, data=data)
    run, model, path = given.run, given.run.model, Path(out)
    if notice is not None:
        notice(run.diagnostics)
    check_simulation_file(path, overwrite=overwrite, inputs=[model.source.path, run.dataset.path])
    asked = model.simulation
    n = chosen.n or (asked.n if asked else 1)
    seed = chosen.seed if chosen.seed is not None else (asked.seed if asked and asked.seed is not None else 1)
    population = population_at(model, given.fit)
    draws = _draws(given, population) if chosen.uncertainty else None
    problem = problem_at(model, run.table, given.fit)
    try:
        source_of_data = simulated_data(
            problem,
            population,
            n,
            seed=seed,
            random_effects=chosen.iiv,
            residual_error=chosen.residual,
            uncertainty=draws,
            threads=chosen.threads,
            steps=steps,
        )
        write_simulation(path, design_text(problem, run.dataset), source_of_data)
    finally:
        problem.decoder.close()
    return Simulation(path=path, n=n, seed=seed, origin=given.origin)


def design_with_fit(
    source: ModelSource, *, fit: FitResult | PathLike | None, params: Any, data: PathLike | None
) -> RunWithFit:
    """As `run_with_fit`, with data whose observations need no values.

    Raises:
        ModelError, DataError: as the readers say; DataError also where the design has no observation.
    """
    from nlmevae.data.event_table import event_table
    from nlmevae.data.read import read_dataset
    from nlmevae.results.model_at import model_at
    from nlmevae.writers.results_json import read_results_json

    model = source if isinstance(source, Model) else read_model(source)
    if data is not None:
        model = with_data(model, Path(data))
    if fit is not None and params is not None:
        raise SettingsError("a fit and parameter values are given", hint="give one of them")
    origin, found = f"the initial estimates of {model.source.path or model.name}", None
    if params is not None:
        values = parameter_values(params)
        model, origin = model_at(model, values), values.source
    dataset = read_dataset(model, design=True)
    table = event_table(model, dataset)
    if not table.n_obs_total:
        raise DataError(f"{dataset.path} has no observations", hint="a design needs records with MDV = 0 (EVID = 0)")
    run = PreparedRun(
        model=model, dataset=dataset, table=table, diagnostics=(*notes_with_data(model, table), *dataset.diagnostics)
    )
    if fit is not None:
        found = fit if isinstance(fit, FitResult) else read_results_json(fit)  # type: ignore[arg-type]
        check_same_model(run, found)
        origin = f"the fit of {found.source_path}"
    return RunWithFit(run=run, fit=found, origin=origin)


def _draws(given: RunWithFit, population: Population) -> ParameterDraws:
    from nlmevae.diagnostics.parameter_draws import ParameterDraws

    uncertainty = None if given.fit is None else given.fit.uncertainty
    if uncertainty is None or uncertainty.method == "none":
        raise SettingsError(
            "there is no covariance of the estimates to draw parameters from",
            hint="give --fit with the results of a fit whose covariance step was run, or leave --uncertainty out",
        )
    return ParameterDraws.of(given.run.model, population, uncertainty.covariance)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenChecks:
    """Checks, their files, and where the parameters are from."""

    checks: PredictiveChecks
    paths: tuple[Path, ...]
    origin: str


def vpc(
    source: ModelSource,
    *,
    fit: FitResult | PathLike | None = None,
    params: Any = None,
    data: PathLike | None = None,
    n: int = 1000,
    seed: int = 1,
    stratify: str | None = None,
    against: str | None = None,
    out: PathLike | None = None,
    overwrite: bool = False,
    threads: int = 1,
    steps: Steps | None = None,
    notice: Callable[[Iterable[Diagnostic]], None] | None = None,
    **options: Any,
) -> WrittenChecks:
    """Visual predictive check of a fit; with `out`, also as ``<run>.vpc.csv`` and ``<run>.vpc.png``.

    Args:
        fit, params, data: as `run_with_fit` takes them.
        n, seed: simulated data sets.
        stratify: data item whose values are panels of their own.
        against: independent variable: None for TIME, "TAD" for the time after the last dose, or a data item.
        out: folder of the files; None: none is written. The plot needs matplotlib.
        overwrite: also replace files that another program wrote.
        options: fields of `CheckOptions` (prediction_corrected, bins, n_bins, edges, levels, confidence).

    Raises:
        ModelError, DataError, SettingsError, OutputError: before anything is simulated.
    """
    from nlmevae.diagnostics.checks import check_fit
    from nlmevae.diagnostics.vpc import CheckOptions

    chosen = CheckOptions(**options)
    if not isinstance(n, int) or n < 1:
        raise SettingsError(f"n is {n!r}", hint="ask for 1 or more simulated data sets")
    given = run_with_fit(source, fit=fit, params=params, data=data)
    if notice is not None:
        notice(given.run.diagnostics)
    model = given.run.model
    files = None if out is None else _CheckFiles(folder=Path(out), stem=Path(model.source.path or model.name).stem)
    if files is not None:
        files.prepare(overwrite=overwrite, inputs=[model.source.path, given.run.dataset.path])
    with at_fit(given.run, given.fit, threads=threads) as here:
        found = check_fit(
            here,
            given.run.dataset,
            [chosen],
            n_simulations=n,
            seed=seed,
            stratify=stratify,
            against=against,
            steps=steps,
        )
    return WrittenChecks(checks=found, paths=() if files is None else files.write(found), origin=given.origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class _CheckFiles:
    """``<run>.vpc.csv`` and the plots `names` beside it."""

    folder: Path
    stem: str
    names: tuple[str, ...] = ("vpc", "vpc.censored")

    @property
    def table(self) -> Path:
        return self.folder / f"{self.stem}.vpc.csv"

    def plot(self, name: str) -> Path:
        return self.folder / f"{self.stem}.{name}.png"

    def prepare(self, *, overwrite: bool, inputs: list[str]) -> None:
        """Raises OutputError where a file would be lost."""
        from nlmevae.results.run_folder import check_replaceable, make_folder
        from nlmevae.writers.vpc_csv import is_own_vpc

        make_folder(self.folder)
        check_replaceable([self.table], overwrite=overwrite, inputs=inputs, own=is_own_vpc)
        check_replaceable([self.plot(name) for name in self.names], overwrite=overwrite, inputs=inputs)

    def write(self, checks: PredictiveChecks) -> tuple[Path, ...]:
        """The table, and the plots where matplotlib is installed."""
        from nlmevae.report.check_plots import draw_checks
        from nlmevae.writers.atomic import write_atomically
        from nlmevae.writers.vpc_csv import write_vpc

        write_vpc(self.table, checks)
        try:
            drawn = draw_checks(checks)
        except MissingDependencyError:
            drawn = {}
        for name in self.names:
            self.plot(name).unlink(missing_ok=True)  # a plot of an earlier check never stands beside this table
        for name, content in drawn.items():
            write_atomically(self.plot(name), content)
        return (self.table, *map(self.plot, drawn))
