"""Decoder back end for linear models: any number of compartments with first-order flows and constant inputs, whether
the text names a linear model or writes the equations.

Per row: compiled individual parameters and spectral decomposition with derivatives (one SIMD function), once
for every segment in which covariates are constant; then the amounts at every observation (linear_kernels),
then the compiled prediction function and the chain rule. Exact to rounding, no step sizes, no tolerances.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from nlmevae.codegen.batch_llvm import BatchFunction, link_batch
from nlmevae.codegen.execute import substitute
from nlmevae.codegen.graph import Function
from nlmevae.codegen.latent_form import LatentForm
from nlmevae.data.events import EventKind, EventTable
from nlmevae.decoder import linear_doses as doses
from nlmevae.decoder import linear_kernels as kernels
from nlmevae.decoder import output_kernels
from nlmevae.decoder.base import Decoder, Solution
from nlmevae.decoder.linear_system import LinearSystem, linear_system
from nlmevae.errors import UnsupportedError
from nlmevae.threads import each, parts, shared_by

#: Rows solved at a time: their values stay in the processor's cache.
_BLOCK = 512
_SHARED = 8 * _BLOCK  # rows that one thread takes at a time
_PADDING = 8  # columns of compiled calls come in multiples of this

_ACTIONS = {kind: getattr(doses, kind.name) for kind in EventKind}


class ClosedFormDecoder(Decoder):
    """Any mix of boluses and infusions into any compartment, steady states, resets, lags, bioavailabilities
    and initial amounts; observations of any compartment.

    Raises:
        ValueError: the model has no closed form.
        UnsupportedError: a dose into, or an observation of, a compartment the model has not.
    """

    backend = "closed_form"

    def __init__(self, form: LatentForm, table: EventTable, *, threads: int = 1) -> None:
        super().__init__(form, table)
        obstacle = form.closed_form_obstacle(table)
        if obstacle:
            raise ValueError(f"the model has no closed form: {obstacle}")
        self.threads = threads
        self._schedule = _schedule(table, form)
        self._needs = _needs(form, self._schedule)
        self._observations = _observations(form, table, self._schedule)
        self._covariates = np.ascontiguousarray(table.cov.T)
        self._segments = _segments(table, self._observations)
        self._everyone = np.arange(table.n_subjects)
        self._ptr = super().row_ptr(None)
        self._programs: dict[tuple[str, ...], _Program] = {}
        self._linking = threading.Lock()

    def predict(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        return self._solve(x, rows, ())

    def linearise(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        return self._solve(x, rows, self.form.input_names)

    def close(self) -> None:
        for program in self._programs.values():
            program.system.close()
            program.output.close()
        self._programs.clear()

    def row_ptr(self, rows: np.ndarray | None) -> np.ndarray:
        return self._ptr if rows is None else super().row_ptr(rows)

    def _solve(self, x: np.ndarray, rows: np.ndarray | None, wrt: tuple[str, ...]) -> Solution:
        with self._linking:
            program = self._programs.get(wrt)
            if program is None:
                program = self._programs[wrt] = _link(self.form, self._schedule, wrt)
        ptr = self.row_ptr(rows)
        subjects = self._everyone if rows is None else np.ascontiguousarray(rows, dtype=np.int64)
        x = np.asarray(x, dtype=np.float64)
        if x.shape != (len(subjects), self.n_inputs):
            raise ValueError(f"x has shape {x.shape}, expected {(len(subjects), self.n_inputs)}")
        prediction, jacobian = np.empty(ptr[-1]), np.empty((ptr[-1], len(wrt)))
        status = np.zeros(len(subjects), dtype=np.int32)

        def solve(part: slice) -> None:
            for start in range(part.start, part.stop, _BLOCK):
                block = slice(start, min(start + _BLOCK, part.stop))
                bounds = ptr[block.start : block.stop + 1]
                found = slice(bounds[0], bounds[-1])
                results = prediction[found], jacobian[found], status[block]
                self._solve_block(program, x[block], subjects[block], bounds - bounds[0], results)

        with shared_by(self.threads):
            each(solve, parts(len(subjects), _SHARED))
        return Solution(
            prediction=prediction,
            jacobian=jacobian if wrt else None,
            status=status,
            n_steps=np.zeros(len(subjects), dtype=np.int32),
            ptr=ptr,
        )

    def _solve_block(self, program: _Program, x: np.ndarray, rows: np.ndarray, ptr: np.ndarray, results) -> None:
        """`results`: prediction, jacobian and status of these rows, filled in place."""
        n_obs = int(ptr[-1])
        if n_obs == 0:
            return
        segments, inputs = self._system_inputs(x, rows)
        values, slopes = program.system(inputs)
        plan = program.plan
        columns = np.empty((program.n_columns, _padded(n_obs)))
        d_amounts = np.empty((n_obs, len(plan.wanted), plan.template.shape[1] - 1))
        known = plan, self._schedule, rows, ptr, segments, values, slopes, *self._needs
        wanted = np.ones(len(rows), dtype=bool), columns, d_amounts
        if program.modes == "number":
            kernels.solve_rows(*known, True, True, *wanted)
        elif program.modes == "none" or kernels.solve_rows(*known, None, None, *wanted):
            kernels.solve_rows(*known, None, True, *wanted)
        output_kernels.fill_columns(program.where, self._observations, rows, ptr, segments, values, columns)
        outputs, d_outputs = program.output(columns)
        output_kernels.chain_rule(
            program.chain, self._observations, rows, ptr, segments, outputs, d_outputs, slopes, d_amounts, *results
        )

    def _system_inputs(self, x: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Column of each row's first segment (R,), and the inputs of all segments, one column each."""
        counts = self._segments[rows]
        ends = np.cumsum(counts)
        first, n = ends - counts, int(ends[-1])
        row = np.repeat(np.arange(len(rows)), counts)
        inputs = np.empty((self.n_inputs + len(self._covariates), _padded(n)))
        inputs[: self.n_inputs, :n] = x.T[:, row]
        inputs[self.n_inputs :, :n] = self._covariates[:, self.table.cov_ptr[rows][row] + np.arange(n) - first[row]]
        inputs[:, n:] = inputs[:, n - 1 : n]
        return first, inputs


def _padded(n: int) -> int:
    return -(-n // _PADDING) * _PADDING


# what is fixed by the data ----------------------------------------------------------------------------
def _schedule(table: EventTable, form: LatentForm) -> kernels.Schedule:
    """Events and observations of each subject in the order in which they happen."""
    _check_events(table, form)
    n_events, n_obs = len(table.ev_time), len(table.ob_time)
    changes = np.delete(np.arange(len(table.cov_time)), table.cov_ptr[1:] - 1)  # a subject's last row has no end
    n_records = n_events + n_obs
    of_events, of_rows = (np.repeat(np.arange(table.n_subjects), np.diff(p)) for p in (table.ev_ptr, table.cov_ptr))
    subject = np.concatenate([of_events, table.ob_subject, of_rows[changes]])
    time = np.concatenate([table.ev_time, table.ob_time, table.cov_time[changes]])
    order = np.concatenate([table.ev_order, table.ob_order, table.cov_order[changes]])
    sequence = np.lexsort((np.arange(len(time)) >= n_records, order, time, subject))  # changes after their record
    observed = (sequence >= n_events) & (sequence < n_records)
    first = np.searchsorted(subject[sequence], np.arange(table.n_subjects))
    last = first.copy()  # one past each subject's last observation
    positions = np.flatnonzero(observed)
    np.maximum.at(last, subject[sequence][positions], positions + 1)
    actions = np.array([_ACTIONS[EventKind(k)] for k in table.ev_kind], dtype=np.int64)
    place = np.arange(n_obs) - table.ob_ptr[:-1].astype(np.int64)[table.ob_subject]
    what = np.zeros((len(time), 6), dtype=np.int64)
    what[:, doses.ORDER] = order
    what[:n_events, doses.ACTION], what[n_events:n_records, doses.ACTION] = actions, doses.OBSERVE
    what[n_records:, doses.ACTION] = doses.CHANGE
    what[:n_events, doses.INPUT] = np.maximum(table.ev_cmt.astype(np.int64) - 1, 0)
    what[:n_events, doses.COMPARTMENT] = form.dosed_states(np.maximum(table.ev_cmt, 1))
    what[n_events:n_records, doses.PLACE] = place
    what[:n_events, doses.DOSE] = np.select(
        [table.ev_rate > 0, table.ev_rate == -2, table.ev_rate == -1],
        [doses.INFUSION, doses.INFUSION_DURATION, doses.INFUSION_RATE],
        doses.BOLUS,
    )
    number = np.zeros((len(time), 4))
    number[:, doses.TIME] = time
    number[:n_events, doses.AMOUNT], number[:n_events, doses.RATE] = table.ev_amt, table.ev_rate
    number[:n_events, doses.INTERVAL] = table.ev_ii
    return kernels.Schedule(
        first=first.astype(np.int64),
        last=last.astype(np.int64),
        start=np.ascontiguousarray(table.start_time, dtype=np.float64),
        what=np.ascontiguousarray(what[sequence]),
        number=np.ascontiguousarray(number[sequence]),
    )


def _needs(form: LatentForm, schedule: kernels.Schedule) -> tuple[bool | None, bool | None]:
    """Whether doses wait (infusions, lags, steady states), and whether there are steady states; None for no."""
    action, entry = schedule.what[:, doses.ACTION], schedule.what[:, doses.INPUT]
    steady = np.isin(action, (doses.STEADY_STATE, doses.STEADY_STATE_ADD))
    infused = np.isin(action, (doses.INFUSION, doses.INFUSION_DURATION, doses.INFUSION_RATE))
    lagged = np.array([target.lag is not None for target in form.dosing], dtype=bool)
    delayed = (action == doses.BOLUS) & lagged[entry]
    return True if (steady | infused | delayed).any() else None, True if steady.any() else None


def _check_events(table: EventTable, form: LatentForm) -> None:
    given = table.ev_kind != EventKind.RESET
    if np.any((table.ev_cmt[given] < 1) | (table.ev_cmt[given] > len(form.dosing))):
        raise UnsupportedError(
            f"A dose goes into a compartment the model does not have (it has {form.n_compartments}).",
            hint="Check the CMT column of the dose records.",
        )


def _observations(form: LatentForm, table: EventTable, schedule: kernels.Schedule) -> output_kernels.Observations:
    index = {compartment: o for o, compartment in enumerate(form.observed)}
    missing = sorted(set(table.ob_cmt.tolist()) - set(index))
    if missing:
        raise UnsupportedError(
            f"The data observe compartment {missing[0]}, which the model does not predict.",
            hint="Check the CMT column of the observation records.",
        )
    return output_kernels.Observations(
        ptr=table.ob_ptr.astype(np.int64),
        time=np.ascontiguousarray(table.ob_time, dtype=np.float64),
        data=np.ascontiguousarray(table.ob_data, dtype=np.float64),
        output=np.array([index[c] for c in table.ob_cmt.tolist()], dtype=np.int64),
        segment=_segment_of_observations(schedule),
    )


def _segment_of_observations(schedule: kernels.Schedule) -> np.ndarray:
    """(M,) how often covariates have changed before it, in its subject."""
    action = schedule.what[:, doses.ACTION]
    changed = np.concatenate([[0], np.cumsum(action == doses.CHANGE)])
    before = np.repeat(changed[schedule.first], np.diff(np.append(schedule.first, len(action))))
    observed = action == doses.OBSERVE
    return np.ascontiguousarray((changed[:-1] - before)[observed], dtype=np.int64)


def _segments(table: EventTable, observations: output_kernels.Observations) -> np.ndarray:
    """(N,) number of segments up to the last observation; at least 1."""
    count = np.ones(table.n_subjects, dtype=np.int64)
    np.maximum.at(count, table.ob_subject, observations.segment + 1)
    return count


# what is fixed by the model ---------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class _Program:
    """Compiled functions and index maps for one set of derivatives."""

    system: BatchFunction
    modes: str  # LinearSystem.modes
    plan: kernels.Plan
    output: BatchFunction
    where: output_kernels.OutputColumns
    n_columns: int
    chain: output_kernels.Chain


def _link(form: LatentForm, schedule: kernels.Schedule, wrt: tuple[str, ...]) -> _Program:
    output = _output_function(form)
    amounts = [f"A({c + 1})" for c in range(form.n_compartments)]
    wanted = [c for c, name in enumerate(amounts) if name in output.inputs]
    parameters = [name for name in form.parameters if name in output.inputs]
    linear = linear_system(form.individual.graph, form.linear.at(form.individual.graph, dict(form.individual.outputs)))
    function, n_system = _system_function(form, linear, parameters)
    system = link_batch(function, wrt)
    active = sorted({k for i, k in system.pattern if i < n_system})
    linked = link_batch(output, (*(amounts[c] for c in wanted), *parameters) if wrt else ())
    constants = [function.graph.value_of(node) for node in function.output_nodes[:n_system]]
    return _Program(
        system=system,
        modes=linear.modes,
        plan=kernels.Plan(
            n=linear.n_compartments,
            **_slots(linear.n_compartments, constants, system, active),
            lagged=np.array([target.lag is not None for target in form.dosing]),
            wanted=np.array(wanted, dtype=np.int64),
            capacity=4 + 2 * int((schedule.last - schedule.first).max(initial=0)),
        ),
        output=linked,
        where=_output_columns(form, output, parameters, n_system),
        n_columns=len(output.inputs),
        chain=_chain(system, linked, len(wanted), n_system, active),
    )


def _slots(n: int, constants: list[float | None], system: BatchFunction, active: list[int]) -> dict[str, np.ndarray]:
    """Where the first outputs of the system function go, see kernels.Plan; the value of those that are constant."""
    n_system = len(constants)
    template = np.zeros((n_system + n * n, 1 + len(active)))  # drift follows
    template[:n_system, 0] = [0.0 if c is None else c for c in constants]
    values = [(i, i) for i, c in enumerate(constants) if c is None]
    slopes = [(i, 1 + active.index(k), e) for e, (i, k) in enumerate(system.pattern) if i < n_system]
    of_matrix = range(n + 2 * n * n, n + 3 * n * n)
    return {
        "template": template,
        "modal_values": _index([v for v in values if v[0] not in of_matrix], 2),
        "modal_slopes": _index([s for s in slopes if s[0] not in of_matrix], 3),
        "matrix_values": _index([v for v in values if v[0] in of_matrix], 2),
        "matrix_slopes": _index([s for s in slopes if s[0] in of_matrix], 3),
    }


def _index(entries: list[tuple[int, ...]], width: int) -> np.ndarray:
    """(count, width), also for an empty list."""
    return np.array(entries, dtype=np.int64).reshape(-1, width)


def _system_function(form: LatentForm, system: LinearSystem, parameters: list[str]) -> tuple[Function, int]:
    """x, covariates -> what linear_kernels.Plan lists, then `parameters`; and the number of the former."""
    graph = form.individual.graph
    individual = dict(form.individual.outputs)
    initial = [substitute(graph, node, individual) for node in form.initial.output_nodes]
    zero, one = graph.constant(0.0), graph.constant(1.0)
    initial += [one] * (system.n_compartments - form.n_compartments)  # the source of constant rates
    nodes = [
        *system.eigenvalues,
        *(node for row in system.right for node in row),
        *(node for row in system.left for node in row),
        *(node for row in system.rate_matrix for node in row),
        *initial,
        *(
            individual[name] if name else default
            for t in form.dosing
            for name, default in ((t.bioavailability, one), (t.lag, zero), (t.duration, zero), (t.rate, zero))
        ),
    ]
    outputs = [(f"system {i}", node) for i, node in enumerate(nodes)]
    outputs += [(name, individual[name]) for name in parameters]
    function = Function(name="system", graph=graph, inputs=form.individual.inputs, outputs=tuple(outputs))
    return function, len(nodes)


def _output_function(form: LatentForm) -> Function:
    """`output` with the inputs it needs only: amounts first, in order of compartments."""
    used = form.output.graph.inputs_of(form.output.output_nodes)
    amounts = [f"A({c + 1})" for c in range(form.n_compartments) if f"A({c + 1})" in used]
    others = [name for name in form.output.inputs if name in used and name not in amounts]
    return Function(name="output", graph=form.output.graph, inputs=(*amounts, *others), outputs=form.output.outputs)


def _output_columns(
    form: LatentForm, output: Function, parameters: list[str], n_system: int
) -> output_kernels.OutputColumns:
    position = {name: row for row, name in enumerate(output.inputs)}
    records = [name for name in form.record_items if name in position and name not in parameters]
    return output_kernels.OutputColumns(
        time=position.get("T", -1),
        parameter=_index([(n_system + j, position[name]) for j, name in enumerate(parameters)], 2),
        record=_index([(form.record_items.index(name), position[name]) for name in records], 2),
    )


def _chain(
    system: BatchFunction, output: BatchFunction, n_wanted: int, n_system: int, active: list[int]
) -> output_kernels.Chain:
    """`output` was linked for the wanted amounts, then the parameters in the order of the system's values."""
    entries, links = [], []
    for o, source in output.pattern:
        row, first = n_system + source - n_wanted, len(links)
        if source >= n_wanted:
            links += [(e, k) for e, (i, k) in enumerate(system.pattern) if i == row]
        entries.append((o, int(source < n_wanted), source, first, len(links)))
    return output_kernels.Chain(
        entry=_index(entries, 5),
        link=_index(links, 2),
        active=np.array(active, dtype=np.int64),
    )
