"""The model's own code at every record of the data, as NONMEM runs it for $TABLE.

$PK is evaluated record by record, and at model times between them, then the amounts in all compartments at every record
are computed with the values it gave, then $ERROR (or all of $PRED) is evaluated. A variable that a record does not
assign keeps the value of the record before (TDOS in ``IF (AMT.GT.0) TDOS = TIME``). Before its first assignment in a
subject it has no value: NaN, where NONMEM would print 0 or what the previous subject left behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.dataset import Dataset
from nlmevae.data.derived_items import run_records
from nlmevae.data.event_table import dataset_rows, observed_compartment, record_switches
from nlmevae.data.events import EventTable
from nlmevae.data.record_calls import RecordCalls, record_calls
from nlmevae.data.record_states import states_table
from nlmevae.data.switched_model import switched_model
from nlmevae.data.switches import output_numbered
from nlmevae.decoder.make import make_decoder
from nlmevae.ir import Assign, Model, Program, Symbol, names_read

Values = dict[str, np.ndarray]
#: Of differences in EPS: the error where Y is exponential in EPS is a sixth of its square.
EPS_STEP = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordProgram:
    """A model with its data, population THETAs (n_theta,) and, where code reads them, ``SIGMA(1,1)`` and the like."""

    model: Model
    dataset: Dataset
    table: EventTable
    thetas: np.ndarray
    elements: Mapping[str, float] = field(default_factory=dict)
    threads: int = 1

    def values(self, etas: np.ndarray) -> Values:
        """Name -> (n_rows,) of everything the code assigns, with F, at random effects `etas` (N, all ETAs) and
        EPS = 0."""
        individual, inputs = self._before_error(etas)
        return individual | run_records(self.model.program.error, self.dataset.subject_ptr, inputs)

    def weights(self, etas: np.ndarray) -> np.ndarray:
        """(n_rows, all EPS) dY/dEPS at EPS = 0, by central differences: exact where Y is linear in EPS."""
        _, inputs = self._before_error(etas)
        ptr, error = self.dataset.subject_ptr, self.model.program.error
        columns = []
        for name in self.model.epsilons:
            step = np.full(self.dataset.n_rows, EPS_STEP)
            above, below = (run_records(error, ptr, inputs | {name: sign * step})["Y"] for sign in (1.0, -1.0))
            columns.append((above - below) / (2.0 * EPS_STEP))
        return np.array(columns).T

    @property
    def _switched(self) -> Model:
        """The model with what its data turn on and off."""
        return switched_model(self.model, self.table)

    def _before_error(self, etas: np.ndarray) -> tuple[Values, Values]:
        """What $PK assigns, with F; and all that $ERROR (or $PRED) may read."""
        inputs = self._inputs(etas)
        if not self.model.structural.compartments:
            return {}, inputs
        inputs |= record_switches(self.model, self.dataset).status
        calls = record_calls(self._switched, self.dataset, inputs)
        known = {name: values[calls.row] for name, values in inputs.items()} | dict(calls.past)
        evaluated = run_records(self._switched.program.pk, calls.ptr, known)
        amounts = self._amounts(calls, known | evaluated)
        at = calls.of_record
        individual = {name: values[at] for name, values in evaluated.items()}
        inputs |= {flag: values[at] for flag, values in calls.past.items()}
        inputs |= individual | {f"A({k + 1})": amounts[:, k] for k in range(amounts.shape[1])}
        inputs["F"] = self._scaled(amounts, individual)
        return individual | {"F": inputs["F"]}, inputs

    def _inputs(self, etas: np.ndarray) -> Values:
        """Everything code may read: data items by both names, THETAs, ETAs, EPS = 0."""
        n = self.dataset.n_rows
        subject = np.repeat(np.arange(self.dataset.n_subjects), np.diff(self.dataset.subject_ptr))
        items = [c for c in self.model.data.columns if c.role != "drop"]
        inputs = {name: self.dataset.column(c.name) for c in items for name in (c.name, c.synonym) if name}
        inputs |= {t.name: np.full(n, value) for t, value in zip(self.model.thetas, self.thetas, strict=True)}
        inputs |= {name: np.full(n, value) for name, value in self.elements.items()}
        inputs |= {name: etas[subject, k] for k, name in enumerate(self.model.etas)}
        return inputs | {name: np.zeros(n) for name in self.model.epsilons}

    def _amounts(self, calls: RecordCalls, known: Values) -> np.ndarray:
        """(n_rows, n_compartments); known: (n_calls,) each."""
        model, form_model = self._switched, _states_model(self._switched, self.thetas)
        read = names_read(model.program.des) | model.structural.program_names
        names = [name for name in sorted(read) if name in known and not name.startswith("THETA(")]
        parameters = {f"{name} of the record": known[name] for name in names}
        pk = tuple(Assign(name, Symbol(f"{name} of the record")) for name in names)
        form_model = replace(form_model, program=replace(form_model.program, pk=pk))
        states = states_table(model, self.dataset, self.table, calls, parameters)
        decoder = make_decoder(latent_form(form_model, states), states, threads=self.threads)
        try:
            amounts = decoder.predict(np.zeros((states.n_subjects, 0))).prediction
        finally:
            decoder.close()
        return amounts.reshape(self.dataset.n_rows, -1)

    def _scaled(self, amounts: np.ndarray, individual: Values) -> np.ndarray:
        """F (n_rows,): amount over scale of the compartment CMT names on observation records, of PCMT or the default
        one on others (NONMEM help, CMT and PCMT)."""
        dataset, structural = self.dataset, self._switched.structural
        number = observed_compartment(self.model, dataset_rows(self.model, dataset), dataset.evid)
        other = np.full(dataset.n_rows, structural.default_observation)
        if "PCMT" in dataset.columns:
            asked = output_numbered(self.model.structural, dataset.column("PCMT").astype(int))
            other = np.where((asked > 0) & (asked <= amounts.shape[1]), asked, other)
        number = np.where(dataset.evid == 0, number, other)
        scales = np.ones_like(amounts)
        for compartment in structural.compartments:
            if compartment.scale is not None:
                scales[:, compartment.number - 1] = individual[compartment.scale]
        rows = np.arange(dataset.n_rows)
        with np.errstate(divide="ignore", invalid="ignore"):
            return amounts[rows, number - 1] / scales[rows, number - 1]


def _states_model(model: Model, thetas: np.ndarray) -> Model:
    """The structural part alone, the amount itself as prediction: no random effects, THETAs as numbers."""
    fixed = tuple(
        replace(t, init=float(v), lower=-np.inf, upper=np.inf, fixed=True)
        for t, v in zip(model.thetas, thetas, strict=True)
    )
    compartments = tuple(replace(c, scale=None) for c in model.structural.compartments)
    return replace(
        model,
        thetas=fixed,
        omega=(),
        individual_parameters=(),
        covariate_effects=(),
        structural=replace(model.structural, compartments=compartments),
        program=Program(des=model.program.des, error=(Assign("Y", Symbol("F")),)),
    )
