"""Amounts at steady state where only integration knows the model, with exact derivatives.

A steady state is the fixed point y = Phi(y) of one dosing interval: the dose given, the amounts carried on over II.
It is found by Newton's method, and the implicit function theorem gives its derivatives:

    dy/dx = (1 - Phi_y)^-1 Phi_x

An interval consists of one or two pieces in which the running infusions do not change; D is the duration of an
infusion, K + 1 = ceil(D / II) the number of them that run at its start:

    bolus       II without infusions
    infusion    D - K II with K + 1 of them, the rest with K  (Users Guide VI, V.F.4, note 2)
    constant    any length; the amounts are those that do not change

All pieces are solved by one decoder, that of `flow_form`: the model's equations with the initial amounts, the rate of
a source and the length of the piece as inputs. With a lag L the amounts at the record are those II - L after the last
arrival (note 3 there); L is less than II.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.codegen.batch_llvm import link_batch
from nlmevae.codegen.graph import Function
from nlmevae.codegen.latent_form import DosingTarget, LatentForm
from nlmevae.data.events import EventKind, EventTable
from nlmevae.decoder.base import Decoder, SolveStatus

#: Inputs of the flow besides the model's own; no name of a program looks like these.
_SOURCE, _SPAN = "SOURCE()", "SPAN()"
#: Intervals given one by one before Newton's method starts, as NONMEM does (Users Guide VI, V.F.4).
_PLAIN_INTERVALS = 3
_MOST_ITERATIONS = 60
#: Newton's correction, relative to the amounts, after which the next one is below any tolerance: it is squared.
_SMALL_CORRECTION = 1e-8
#: A residual of so many tolerances of the integration is rounding.
_NOISE = 10.0
#: Amounts of a constant infusion are carried on for at least so long that what is not steady halves.
_SLOWEST = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SteadyStates:
    """P = events of all rows. Events of row r are ptr[r]:ptr[r+1], in the order of the table.

    amounts (P, n) at the record, before its dose, with d_amounts (P, n, n_inputs); `running` (P,) infusions of `rate`
    (P,) go on, of which one ends `ends` (P,) after the record and the others at distances of the interval; d_rate and
    d_ends (P, n_inputs); status (P,) int64 SolveStatus.
    """

    ptr: np.ndarray
    amounts: np.ndarray
    d_amounts: np.ndarray
    rate: np.ndarray
    d_rate: np.ndarray
    ends: np.ndarray
    d_ends: np.ndarray
    running: np.ndarray
    status: np.ndarray


@dataclass(slots=True)
class _Doses:
    """What is given at each event: values (P,) and derivatives (P, n_inputs). Of amount, rate and duration those
    that the kind of dose has not are 0."""

    constant: np.ndarray
    interval: np.ndarray
    amount: tuple[np.ndarray, np.ndarray]
    rate: tuple[np.ndarray, np.ndarray]
    duration: tuple[np.ndarray, np.ndarray]
    lag: tuple[np.ndarray, np.ndarray]

    def pick(self, which: np.ndarray) -> _Doses:
        pairs = (self.amount, self.rate, self.duration, self.lag)
        return _Doses(self.constant[which], self.interval[which], *((v[which], d[which]) for v, d in pairs))


@dataclass(slots=True)
class _State:
    """Amounts (P, n), their derivatives by the inputs (P, n, n_inputs) and by the amounts at the start (P, n, n)."""

    value: np.ndarray
    by_input: np.ndarray
    by_start: np.ndarray


@dataclass(slots=True)
class _Piece:
    """Length (P,) with derivative (P, n_inputs), and how many infusions run (P,)."""

    length: np.ndarray
    d_length: np.ndarray
    infusions: np.ndarray


MakeFlow = Callable[[LatentForm, EventTable], Decoder]


class SteadyStateSolver:
    """Steady states of all events of a table that are steady states.

    Args:
        make_flow: the decoder of the flow; its tolerances are those of the steady states.
        rtol: its relative tolerance.
    """

    def __init__(
        self,
        form: LatentForm,
        table: EventTable,
        make_flow: Callable[[LatentForm, EventTable], Decoder],
        *,
        rtol: float,
    ) -> None:
        self.form, self.table, self.rtol = form, table, rtol
        self._events = np.flatnonzero(table.ev_is_steady)
        self._event_ptr = np.searchsorted(self._events, table.ev_ptr)
        self._compartment = table.ev_cmt[self._events].astype(int) - 1
        self._covariates = table.cov[covariate_rows_at(table, self._events)]
        self.flow = make_flow(flow_form(form), self._flow_table())
        self._dosing = _DosingParameters(form)

    def close(self) -> None:
        self.flow.close()
        self._dosing.close()

    def solve(self, x: np.ndarray, rows: np.ndarray) -> SteadyStates:
        """For x (R, n_inputs) and the subjects `rows` (R,)."""
        counts = np.diff(self._event_ptr)[rows]
        ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        row = np.repeat(np.arange(len(rows)), counts)
        event = self._event_ptr[rows][row] + np.arange(ptr[-1]) - ptr[row]
        n, n_x = self.form.n_compartments, self.form.n_inputs
        result = SteadyStates(
            ptr=ptr,
            amounts=np.full((ptr[-1], n), np.nan),
            d_amounts=np.zeros((ptr[-1], n, n_x)),
            **{name: np.zeros(ptr[-1]) for name in ("rate", "ends")},
            **{name: np.zeros((ptr[-1], n_x)) for name in ("d_rate", "d_ends")},
            running=np.zeros(ptr[-1], dtype=np.int64),
            status=np.full(ptr[-1], SolveStatus.NO_STEADY_STATE, dtype=np.int64),
        )
        doses = self._doses(x[row], event)
        possible = np.flatnonzero(_possible(doses))
        if len(possible):
            self._fill(result, possible, _Batch(self, x[row][possible], event[possible], doses.pick(possible)))
        return result

    def _fill(self, result: SteadyStates, which: np.ndarray, batch: _Batch) -> None:
        state, good = batch.arrival()
        state, running = batch.record(state)
        good &= np.isfinite(state.value).all(axis=1)
        keep, doses = which[good], batch.doses
        result.status[keep] = SolveStatus.OK
        result.amounts[keep], result.d_amounts[keep] = state.value[good], state.by_input[good]
        result.running[keep] = running[good]
        result.rate[keep], result.d_rate[keep] = doses.rate[0][good], doses.rate[1][good]
        result.ends[keep] = (doses.lag[0] + doses.duration[0] - running * doses.interval)[good]
        result.d_ends[keep] = (doses.lag[1] + doses.duration[1])[good]

    def _doses(self, x: np.ndarray, event: np.ndarray) -> _Doses:
        table, e = self.table, self._events[event]
        compartment = self._compartment[event]
        parameter = self._dosing.at(x, self._covariates[event], compartment)
        given, stated, interval = table.ev_amt[e], table.ev_rate[e], table.ev_ii[e]
        share, d_share = parameter["bioavailability"]
        amount, d_amount = share * given, d_share * given[:, None]
        constant, bolus = interval == 0, (stated == 0) & (interval > 0)
        by_duration, by_rate = stated == -2, stated == -1
        modelled, d_modelled = parameter["duration"]
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.select([by_rate, by_duration], [parameter["rate"][0], amount / modelled], np.maximum(stated, 0.0))
            d_rate = np.select(
                [by_rate[:, None], by_duration[:, None]],
                [parameter["rate"][1], (d_amount - rate[:, None] * d_modelled) / modelled[:, None]],
                0.0,
            )
            timed = ~bolus & ~constant
            duration = np.select([by_duration, timed], [modelled, amount / rate], 0.0)
            shift = (d_amount - duration[:, None] * d_rate) / rate[:, None]
            d_duration = np.select([by_duration[:, None], timed[:, None]], [d_modelled, shift], 0.0)
        lag, d_lag = parameter["lag"]
        return _Doses(
            constant=constant,
            interval=interval,
            amount=(np.where(bolus, amount, 0.0), np.where(bolus[:, None], d_amount, 0.0)),
            rate=(rate, d_rate),
            duration=(duration, d_duration),
            lag=(np.where(constant, 0.0, lag), np.where(constant[:, None], 0.0, d_lag)),
        )

    def _flow_table(self) -> EventTable:
        """One subject per event, all compartments observed at the end, time 1."""
        table, n, count = self.table, self.form.n_compartments, len(self._events)
        each = np.arange(count + 1, dtype=np.int32)
        once = np.ones(count)
        size = np.maximum(table.ev_amt, table.ev_rate)[self._events]
        into = np.eye(n)[self._compartment]
        return EventTable(
            # a dose that nothing sees any more: absolute tolerances follow the size of the doses
            ev_ptr=each, ev_time=2.0 * once, ev_kind=np.full(count, EventKind.BOLUS, dtype=np.int8),
            ev_cmt=(self._compartment + 1).astype(np.int16), ev_amt=np.maximum(size, 0.0), ev_rate=0.0 * once,
            ev_ii=0.0 * once, ev_order=np.full(count, n, dtype=np.int32),
            ob_ptr=n * each, ob_time=np.ones(n * count), ob_value=np.zeros(n * count),
            ob_cmt=np.tile(np.arange(1, n + 1, dtype=np.int16), count), ob_row=np.arange(n * count, dtype=np.int32),
            ob_order=np.tile(np.arange(n, dtype=np.int32), count), start_time=0.0 * once,
            covariate_names=(*self.form.covariates, *_into(n)), cov_ptr=each, cov_time=once,
            cov_order=np.full(count, n, dtype=np.int32), cov=np.hstack([self._covariates, into]),
            record_names=(), ob_data=np.zeros((n * count, 0)), subject_labels=tuple(str(e) for e in range(count)),
        )  # fmt: skip


def _possible(doses: _Doses) -> np.ndarray:
    """(P,) bool: lag, F, rate and duration make sense, and the dose has arrived before the next is given."""
    with np.errstate(invalid="ignore"):
        good = np.isfinite(doses.amount[0]) & (doses.amount[0] >= 0) & np.isfinite(doses.rate[0])
        good &= (doses.rate[0] >= 0) & np.isfinite(doses.duration[0]) & (doses.duration[0] >= 0)
        return good & (doses.lag[0] >= 0) & (doses.constant | (doses.lag[0] < doses.interval))


class _Batch:
    """Events solved together: inputs x (P, n_inputs), the event each belongs to, and its doses."""

    def __init__(self, solver: SteadyStateSolver, x: np.ndarray, event: np.ndarray, doses: _Doses) -> None:
        self.solver, self.x, self.event, self.doses = solver, x, event, doses
        self.compartment = solver._compartment[event]
        interval, duration = doses.interval, doses.duration[0]
        self.overlap = np.where(duration > 0, np.ceil(duration / np.where(interval > 0, interval, 1.0)) - 1, 0.0)
        self.first, self.second = self._pieces()

    def _pieces(self) -> tuple[_Piece, _Piece]:
        doses = self.doses
        infused = doses.duration[0] > 0
        rest = doses.duration[0] - self.overlap * doses.interval
        d_rest = np.where(infused[:, None], doses.duration[1], 0.0)
        first = np.where(doses.constant, 1.0, np.where(infused, rest, doses.interval))
        running = np.where(infused, self.overlap + 1, doses.constant * 1.0)
        rest = np.where(doses.constant, 0.0, doses.interval - first)
        return _Piece(first, d_rest, running), _Piece(rest, -d_rest, self.overlap)

    def pick(self, which: np.ndarray) -> _Batch:
        part = _Batch(self.solver, self.x[which], self.event[which], self.doses.pick(which))
        part.first.length[:] = self.first.length[which]
        return part

    # maps ---------------------------------------------------------------------------------------------
    def start(self, amounts: np.ndarray) -> _State:
        """Just before the dose arrives."""
        n, n_x = amounts.shape[1], self.x.shape[1]
        identity = np.tile(np.eye(n), (len(amounts), 1, 1))
        return _State(amounts, np.zeros((len(amounts), n, n_x)), identity)

    def dosed(self, state: _State) -> _State:
        """With the bolus."""
        at = np.arange(len(self.x)), self.compartment
        value, by_input = state.value.copy(), state.by_input.copy()
        value[at] += self.doses.amount[0]
        by_input[at] += self.doses.amount[1]
        return _State(value, by_input, state.by_start)

    def carry(self, state: _State, piece: _Piece) -> _State:
        """Amounts at the end of a piece; NaN where it cannot be solved."""
        moved = np.flatnonzero(piece.length > 0)
        if not len(moved):
            return state
        n, n_x = state.value.shape[1], self.x.shape[1]
        source = piece.infusions * self.doses.rate[0]
        inputs = np.column_stack([self.x, state.value, source, piece.length])[moved]
        found = self.solver.flow.linearise(inputs, self.event[moved])
        jacobian = found.jacobian.reshape(len(moved), n, -1)
        by_start, by_source, by_length = np.split(jacobian[:, :, n_x:], [n, n + 1], axis=2)
        value, by_input, own = state.value.copy(), state.by_input.copy(), state.by_start.copy()
        value[moved] = found.prediction.reshape(len(moved), n)
        by_input[moved] = (
            jacobian[:, :, :n_x]
            + by_start @ state.by_input[moved]
            + by_source * (piece.infusions[:, None] * self.doses.rate[1])[moved, None, :]
            + by_length * piece.d_length[moved, None, :]
        )
        own[moved] = by_start @ state.by_start[moved]
        return _State(value, by_input, own)

    def interval(self, amounts: np.ndarray) -> _State:
        """Phi: amounts one interval after `amounts`, just before the next arrival."""
        return self.carry(self.carry(self.dosed(self.start(amounts)), self.first), self.second)

    # steady states ------------------------------------------------------------------------------------
    def arrival(self) -> tuple[_State, np.ndarray]:
        """Steady amounts just before an arrival, and (P,) bool where there are such.

        Newton's method, safeguarded: a step that makes the residual larger, or amounts negative that an interval
        would not, is replaced by an interval of doses.
        """
        n_pairs, n = len(self.x), self.solver.form.n_compartments
        amounts = np.zeros((n_pairs, n))
        for _ in range(_PLAIN_INTERVALS):
            amounts = self.interval(amounts).value
        result = self.start(amounts)
        good, open_ = np.zeros(n_pairs, dtype=bool), np.arange(n_pairs)
        before = np.full(n_pairs, np.inf)
        fallback = amounts.copy()
        for _ in range(_MOST_ITERATIONS):
            open_ = open_[np.isfinite(amounts[open_]).all(axis=1)]
            if not len(open_):
                break
            part = self.pick(open_)
            now = amounts[open_]
            after = part.interval(now)
            step, slope = _newton(now, after)
            size = np.abs(after.value) + 1e-6 * np.abs(after.value).max(axis=1, keepdims=True)
            residual = (np.abs(after.value - now) / np.where(size > 0, size, 1.0)).max(axis=1)
            small = (np.abs(step) <= _SMALL_CORRECTION * size).all(axis=1) | (residual <= _NOISE * self.solver.rtol)
            settled = small & np.isfinite(step).all(axis=1) & np.isfinite(slope).all(axis=(1, 2))
            settled &= _attracting(after.by_start)
            if self._lengthen(open_, settled, after):
                before[open_] = np.inf
                continue
            done = open_[settled]
            result.value[done], result.by_input[done] = (now + step)[settled], slope[settled]
            good[done] = True
            worse = ~(residual < before[open_])
            wrong = ~np.isfinite(step).all(axis=1) | ((now + step < 0) & (after.value >= 0)).any(axis=1)
            amounts[open_] = np.where(
                worse[:, None], fallback[open_], np.where(wrong[:, None], after.value, now + step)
            )
            before[open_] = np.where(worse, np.inf, residual)
            fallback[open_] = np.where(worse[:, None], fallback[open_], after.value)
            open_ = open_[~settled]
        return result, good

    def _lengthen(self, open_: np.ndarray, settled: np.ndarray, after: _State) -> bool:
        """Carry constant infusions on for longer where the amounts have hardly changed, so that nothing cancels."""
        doses = self.doses.pick(open_)
        if not (doses.constant & settled).any():
            return False
        radius = np.abs(np.linalg.eigvals(np.where(np.isfinite(after.by_start), after.by_start, 0.0))).max(axis=1)
        short = doses.constant & settled & (radius > _SLOWEST)
        if not short.any():
            return False
        factor = np.clip(np.log(_SLOWEST) / np.log(np.minimum(radius[short], 1 - 1e-12)), 1.5, 1e4)
        self.first.length[open_[short]] *= factor
        return True

    def record(self, state: _State) -> tuple[_State, np.ndarray]:
        """Amounts at the record, II - L after an arrival, and how many infusions then run."""
        doses, first, second = self.doses, self.first, self.second
        late = (doses.lag[0] > 0) | (doses.lag[1] != 0).any(axis=1)
        phase, d_phase = doses.interval - doses.lag[0], -doses.lag[1]
        inside = late & (phase < first.length)
        lengths = np.where(late, np.minimum(phase, first.length), 0.0)
        d_lengths = np.where(inside[:, None], d_phase, first.d_length)
        rest = np.where(late & ~inside, phase - first.length, 0.0)
        given = self.dosed(state)
        moved = self.carry(given, _Piece(lengths, d_lengths, first.infusions))
        moved = self.carry(moved, _Piece(rest, d_phase - first.d_length, second.infusions))
        value = np.where(late[:, None], moved.value, state.value)
        by_input = np.where(late[:, None, None], moved.by_input, state.by_input)
        running = np.where(doses.constant, 0, self.overlap + (inside & (doses.duration[0] > 0)))
        return _State(value, by_input, state.by_start), running.astype(np.int64)


def _newton(now: np.ndarray, after: _State) -> tuple[np.ndarray, np.ndarray]:
    """(1 - Phi_y)^-1 of the residual (P, n) and of Phi_x (P, n, n_inputs); NaN where there is no inverse."""
    matrix = np.eye(now.shape[1]) - after.by_start
    right = np.concatenate([(after.value - now)[:, :, None], after.by_input], axis=2)
    usable = np.isfinite(matrix).all(axis=(1, 2)) & np.isfinite(right).all(axis=(1, 2))
    usable[usable] = np.abs(np.linalg.det(matrix[usable])) > 0
    solved = np.full(right.shape, np.nan)
    solved[usable] = np.linalg.solve(matrix[usable], right[usable])
    return solved[:, :, 0], solved[:, :, 1:]


def _attracting(slope: np.ndarray) -> np.ndarray:
    """(P,) bool: doses given again and again lead to the fixed point, not away from it."""
    finite = np.isfinite(slope).all(axis=(1, 2))
    radius = np.abs(np.linalg.eigvals(np.where(finite[:, None, None], slope, 0.0))).max(axis=1)
    return finite & (radius < 1.0)


_DOSING_DEFAULTS = {"bioavailability": 1.0, "lag": 0.0, "duration": 1.0, "rate": 0.0}


class _DosingParameters:
    """F, lag, duration and rate of the compartments, with derivatives."""

    def __init__(self, form: LatentForm) -> None:
        fields = list(_DOSING_DEFAULTS)
        names = sorted({n for t in form.dosing for f in fields if (n := getattr(t, f))})
        outputs = dict(form.individual.outputs)
        self._function = None
        if names:
            function = replace(form.individual, name="dosing", outputs=tuple((n, outputs[n]) for n in names))
            self._function = link_batch(function, form.input_names)
        self._n_inputs = form.n_inputs
        self._where = {
            f: np.array([names.index(n) if (n := getattr(t, f)) else -1 for t in form.dosing], dtype=np.int64)
            for f in fields
        }

    def close(self) -> None:
        if self._function is not None:
            self._function.close()

    def at(self, x: np.ndarray, covariates: np.ndarray, compartment: np.ndarray) -> dict:
        """Field -> values (P,) and derivatives (P, n_inputs) of each event's compartment."""
        n_pairs, function = len(x), self._function
        values, slopes = np.zeros((0, n_pairs)), np.zeros((0, n_pairs, self._n_inputs))
        if function is not None and n_pairs:
            values, entries = function(np.vstack([x.T, covariates.T]))
            slopes = np.zeros((len(values), n_pairs, self._n_inputs))
            for (i, k), entry in zip(function.pattern, entries, strict=True):
                slopes[i, :, k] = entry
        result = {}
        for field, default in _DOSING_DEFAULTS.items():
            value, slope = np.full(n_pairs, default), np.zeros((n_pairs, self._n_inputs))
            place = self._where[field][compartment]
            own = np.flatnonzero(place >= 0)
            if len(own) and len(values):
                value[own], slope[own] = values[place[own], own], slopes[place[own], own]
            result[field] = value, slope
        return result


# the flow -----------------------------------------------------------------------------------------------
def _into(n: int) -> tuple[str, ...]:
    return tuple(f"INTO({c + 1})" for c in range(n))


def flow_form(form: LatentForm) -> LatentForm:
    """The model from time 0 to 1 with more inputs: initial amounts START(c), the rate SOURCE() of an infusion into the
    compartment with INTO(c) = 1, and the length SPAN() that time 1 stands for. All amounts are observed."""
    graph, n = form.individual.graph, form.n_compartments
    starts, into = tuple(f"START({c + 1})" for c in range(n)), _into(n)
    more = (*starts, _SOURCE, _SPAN)
    span, source = graph.input(_SPAN), graph.input(_SOURCE)
    slopes = [
        graph.mul(span, graph.add(node, graph.mul(source, graph.input(name))))
        for node, name in zip(form.rhs.output_nodes, into, strict=True)
    ]
    structural, covariates = (*form.structural, *more), (*form.covariates, *into)
    parameters = (*form.parameters, *more, *into)
    amounts = tuple(f"A({c + 1})" for c in range(n))
    latents = form.input_names[: form.n_latents]
    individual = (*form.individual.outputs, *((name, graph.input(name)) for name in (*more, *into)))

    def function(name: str, inputs: tuple[str, ...], names: tuple[str, ...], nodes: list[int]) -> Function:
        return Function(name=name, graph=graph, inputs=inputs, outputs=tuple(zip(names, nodes, strict=True)))

    slope_names = tuple(f"DADT({c + 1})" for c in range(n))
    outputs = tuple(f"Y({c + 1})" for c in range(n))
    moving = ("T", *amounts, *parameters)
    return replace(
        form,
        structural=structural,
        covariates=covariates,
        record_items=(),
        parameters=parameters,
        observed=tuple(range(1, n + 1)),
        closed_form=None,
        dosing=tuple(DosingTarget(compartment=c + 1) for c in range(n)),
        individual=replace(form.individual, inputs=(*latents, *structural, *covariates), outputs=individual),
        initial=function("initial", parameters, amounts, [graph.input(name) for name in starts]),
        rhs=function("rhs", moving, slope_names, slopes),
        output=function("output", moving, outputs, [graph.input(name) for name in amounts]),
    )


def covariate_rows_at(table: EventTable, events: np.ndarray) -> np.ndarray:
    """(len(events),) row of `table.cov` that holds at each event."""
    subject = np.searchsorted(table.ev_ptr, events, side="right") - 1
    rows = np.zeros(len(events), dtype=int)
    for k, (event, i) in enumerate(zip(events, subject, strict=True)):
        own = np.arange(table.cov_ptr[i], table.cov_ptr[i + 1])
        when = (table.ev_time[event], table.ev_order[event])
        later = [c for c in own if (table.cov_time[c], table.cov_order[c]) >= when]
        rows[k] = later[0] if later else own[-1]
    return rows
