"""Simulated data in place of the observed: the same design, other values."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nlmevae.data.events import EventTable
from nlmevae.data.value_scales import to_scale
from nlmevae.errors import DataError, UnsupportedError
from nlmevae.ir import Model
from nlmevae.prepared_run import PreparedRun
from nlmevae.results.fit_record import REFUSED, FitRecord
from nlmevae.studies.work import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulator:
    """Data sets of a model at its initial estimates."""

    model: Model
    table: EventTable
    backend: str
    rtol: float | None
    seed: int

    def values(self, number: int) -> np.ndarray:
        """(M,) of data set `number`, on the scale of the data; it depends on (seed, number) alone, so everything
        that could remember an earlier data set is made anew. The numbers are those of `nlmevae simulate`."""
        from nlmevae.codegen.latent_form import latent_form
        from nlmevae.decoder.make import make_decoder
        from nlmevae.diagnostics.replicates import replicates
        from nlmevae.estimation.population import Population
        from nlmevae.estimation.problem import make_problem

        form = latent_form(self.model, self.table)
        decoder = make_decoder(form, self.table, backend=self.backend, rtol=self.rtol)
        try:
            joint = make_problem(self.model, form, self.table, decoder).joint(Population.initial(self.model))
            made = next(replicates(joint, 1, first=number - 1, seed=self.seed))
            return self.table.natural(made.y)
        finally:
            decoder.close()


def with_values(table: EventTable, values: np.ndarray) -> EventTable:
    """The table with other observed values (M,), on the scale of the data."""
    on_scale = values if table.ob_scale is None else to_scale(table.ob_scale, values)
    return replace(table, ob_value=np.ascontiguousarray(on_scale))


def not_simulated(task: Task, name: str) -> FitRecord:
    """Of a data set whose values could not all be computed."""
    sentence = "The data set could not be simulated: a prediction is not a number."
    return FitRecord(number=task.number, model=task.model, name=name, status=REFUSED, message=sentence)


def require_simulation(run: PreparedRun) -> None:
    """
    Raises:
        UnsupportedError: simulated values would need a rule that the model does not state.
    """
    table = run.table
    if table.censored.any():
        raise UnsupportedError(
            f"{run.model.source.path}: {int(table.censored.sum())} observations are censored, and neither the model "
            "nor the data say which simulated values would be",
            hint="use a design without censored observations",
        )
    for names in (table.covariate_names, table.record_names):
        if "DV" in names:
            raise UnsupportedError(
                f"{run.model.source.path}: the code reads DV, which is another one in simulated data",
                hint="simulate with nlmevae simulate and fit the data sets one by one",
            )


def require_same_design(run: PreparedRun, other: PreparedRun) -> None:
    """
    Raises:
        DataError: `other` does not observe what `run` does, record by record.
    """
    here, there = (r.dataset.lines[r.table.ob_row] for r in (run, other))
    same_subjects = run.table.subject_labels == other.table.subject_labels
    if not same_subjects or len(here) != len(there) or (here != there).any():
        raise DataError(
            f"{other.model.source.path} does not observe the same records as {run.model.source.path}: it cannot be "
            "fitted to data simulated from it",
            hint="both need the same data file, with the same IGNORE and ACCEPT",
        )
