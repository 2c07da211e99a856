"""Amounts at steady state where only integration knows the model, with exact derivatives.

A steady state is the fixed point y = Phi(y) of one dosing interval: the dose given, the amounts carried on over II.
It is found by Newton's method, and the implicit function theorem gives its derivatives:

    dy/dx = (1 - Phi_y)^-1 Phi_x

An interval consists of one or two pieces in which the running infusions do not change; D is the duration of an
infusion, K + 1 = ceil(D / II) the number of them that run at its start:

    bolus       II without infusions
    infusion    D - K II with K + 1 of them, the rest with K  (Users Guide VI, V.F.4, note 2)

All pieces are solved by decoders of one flow (steady_flow). With a lag L the amounts at the record are those II - L
after the last arrival (note 3 there); L is less than II. The steady state of a constant infusion is where the amounts
do not change (steady_balance).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.data.events import EventTable
from nlmevae.decoder.base import SolveStatus
from nlmevae.decoder.steady_balance import Balance
from nlmevae.decoder.steady_dosing import DoseReader, SteadyDoses, covariate_rows_at, possible
from nlmevae.decoder.steady_flow import Flow, MakeDecoder

#: Intervals given one by one before Newton's method starts, as NONMEM does (Users Guide VI, V.F.4).
_PLAIN_INTERVALS = 3
_MOST_ITERATIONS = 60
#: Newton's correction, relative to the amounts, after which the next one is below any tolerance: it is squared.
_SMALL_CORRECTION = 1e-6
#: A residual of so many tolerances of the integration is rounding, unless Newton's correction is this large: amounts
#: that grow without end also change little, relatively.
_NOISE, _LARGEST_CORRECTION = 10.0, 1e-3


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
class _State:
    """Amounts (P, n), their derivatives by the amounts at the start (P, n, n) and, if asked for, by the inputs
    (P, n, n_inputs)."""

    value: np.ndarray
    by_start: np.ndarray
    by_input: np.ndarray | None = None


@dataclass(slots=True)
class _Piece:
    """Length (P,) with derivative (P, n_inputs), and how many infusions run (P,)."""

    length: np.ndarray
    d_length: np.ndarray
    infusions: np.ndarray


class SteadyStateSolver:
    """Steady states of all events of a table that are steady states.

    Args:
        make: the decoder that integrates the flow; its tolerances are those of the steady states.
        rtol: its relative tolerance.
    """

    def __init__(self, form: LatentForm, table: EventTable, make: MakeDecoder, *, rtol: float) -> None:
        self.form, self.table, self.rtol = form, table, rtol
        events = np.flatnonzero(table.ev_is_steady)
        self._event_ptr = np.searchsorted(events, table.ev_ptr)
        self.compartment = form.dosed_states(table.ev_cmt[events])
        self.covariates = table.cov[covariate_rows_at(table, events)]
        self.flow = Flow(form, table, events, self.covariates, make)
        self.balance = Balance(form, self.flow)
        self._reader = DoseReader(form, table, events)

    def close(self) -> None:
        for part in (self.flow, self.balance, self._reader):
            part.close()

    def solve(self, x: np.ndarray, rows: np.ndarray) -> SteadyStates:
        """For x (R, n_inputs) and the subjects `rows` (R,)."""
        counts = np.diff(self._event_ptr)[rows]
        ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        row = np.repeat(np.arange(len(rows)), counts)
        event = self._event_ptr[rows][row] + np.arange(ptr[-1]) - ptr[row]
        result = unknown_states(ptr, self.form)
        doses = self._reader.read(x[row], event)
        usable = possible(doses)
        for which in (np.flatnonzero(usable & doses.constant), np.flatnonzero(usable & ~doses.constant)):
            if len(which):
                batch = _Batch(self, x[row][which], event[which], doses.pick(which))
                _fill(result, which, batch)
        return result


def unknown_states(ptr: np.ndarray, form: LatentForm) -> SteadyStates:
    """As many as `ptr` says, none of them known."""
    count, n, n_x = int(ptr[-1]), form.n_compartments, form.n_inputs
    return SteadyStates(
        ptr=ptr,
        amounts=np.full((count, n), np.nan),
        d_amounts=np.zeros((count, n, n_x)),
        rate=np.zeros(count),
        d_rate=np.zeros((count, n_x)),
        ends=np.zeros(count),
        d_ends=np.zeros((count, n_x)),
        running=np.zeros(count, dtype=np.int64),
        status=np.full(count, SolveStatus.NO_STEADY_STATE, dtype=np.int64),
    )


def _fill(result: SteadyStates, which: np.ndarray, batch: _Batch) -> None:
    doses = batch.doses
    if doses.constant[0]:
        state, running = batch.balanced(), np.zeros(len(which), dtype=np.int64)
    else:
        state, running = batch.record(batch.arrival())
    good = np.isfinite(state.value).all(axis=1) & np.isfinite(state.by_input).all(axis=(1, 2))
    keep = which[good]
    result.status[keep] = SolveStatus.OK
    result.amounts[keep], result.d_amounts[keep] = state.value[good], state.by_input[good]
    result.running[keep] = running[good]
    result.rate[keep], result.d_rate[keep] = doses.rate[0][good], doses.rate[1][good]
    result.ends[keep] = (doses.lag[0] + doses.duration[0] - running * doses.interval)[good]
    result.d_ends[keep] = (doses.lag[1] + doses.duration[1])[good]


class _Batch:
    """Events solved together, all of a constant infusion or none: inputs x (P, n_inputs), the event each belongs to,
    and its doses."""

    def __init__(self, solver: SteadyStateSolver, x: np.ndarray, event: np.ndarray, doses: SteadyDoses) -> None:
        self.solver, self.x, self.event, self.doses = solver, x, event, doses
        self.compartment = solver.compartment[event]
        interval, duration = np.where(doses.constant, 1.0, doses.interval), doses.duration[0]
        infused = duration > 0
        self.overlap = np.where(infused, np.ceil(duration / interval) - 1, 0.0)
        first = np.where(infused, duration - self.overlap * interval, interval)
        d_first = np.where(infused[:, None], doses.duration[1], 0.0)
        self.first = _Piece(first, d_first, np.where(infused, self.overlap + 1, 0.0))
        self.second = _Piece(interval - first, -d_first, self.overlap)

    def pick(self, which: np.ndarray) -> _Batch:
        return _Batch(self.solver, self.x[which], self.event[which], self.doses.pick(which))

    # maps ---------------------------------------------------------------------------------------------
    def start(self, amounts: np.ndarray, *, derive: bool) -> _State:
        """Just before the dose arrives."""
        count, n = amounts.shape
        by_input = np.zeros((count, n, self.x.shape[1])) if derive else None
        return _State(amounts, np.tile(np.eye(n), (count, 1, 1)), by_input)

    def dosed(self, state: _State) -> _State:
        """With the bolus."""
        at = np.arange(len(self.x)), self.compartment
        value, by_input = state.value.copy(), None if state.by_input is None else state.by_input.copy()
        value[at] += self.doses.amount[0]
        if by_input is not None:
            by_input[at] += self.doses.amount[1]
        return _State(value, state.by_start, by_input)

    def carry(self, state: _State, piece: _Piece) -> _State:
        """Amounts at the end of a piece; NaN where it cannot be solved."""
        moved = np.flatnonzero(piece.length > 0)
        if not len(moved):
            return state
        source = piece.infusions * self.doses.rate[0]
        inputs = np.column_stack([self.x, state.value, source, piece.length])[moved]
        value, by_start, by_input = state.value.copy(), state.by_start.copy(), state.by_input
        value[moved], step = self.solver.flow.carry(inputs, self.event[moved])
        by_start[moved] = step @ by_start[moved]
        if by_input is not None:
            by_input = by_input.copy()
            own, by_piece = self.solver.flow.slopes(inputs, self.event[moved])
            d_source = piece.infusions[:, None] * self.doses.rate[1]
            change = np.stack([d_source[moved], piece.d_length[moved]], axis=1)
            by_input[moved] = own + step @ by_input[moved] + by_piece @ change
        return _State(value, by_start, by_input)

    def interval(self, amounts: np.ndarray, *, derive: bool) -> _State:
        """Phi: amounts one interval after `amounts`, just before the next arrival."""
        given = self.dosed(self.start(amounts, derive=derive))
        return self.carry(self.carry(given, self.first), self.second)

    # steady states ------------------------------------------------------------------------------------
    def balanced(self) -> _State:
        """Amounts that a constant infusion does not change."""
        solver, n = self.solver, self.solver.form.n_compartments
        source = (*self.doses.rate, np.eye(n)[self.compartment])
        value, by_input = solver.balance.solve(self.x, solver.covariates[self.event], self.event, source)
        return _State(value, np.zeros((len(value), n, n)), by_input)

    def arrival(self) -> _State:
        """Steady amounts just before an arrival; NaN where doses lead to none."""
        amounts = self._fixed_points()
        good = np.flatnonzero(np.isfinite(amounts).all(axis=1))
        value, by_input = amounts.copy(), np.zeros((*amounts.shape, self.x.shape[1]))
        if len(good):
            after = self.pick(good).interval(amounts[good], derive=True)
            step, by_input[good] = _newton(amounts[good], after)
            value[good] += step
        return _State(value, np.zeros((*amounts.shape, amounts.shape[1])), by_input)

    def _fixed_points(self) -> np.ndarray:
        """y = Phi(y) by Newton's method, to within its last step. A step that makes the residual larger, or amounts
        negative that an interval would not, is replaced by an interval of doses."""
        count, n = len(self.x), self.solver.form.n_compartments
        y, found = np.zeros((count, n)), np.full((count, n), np.nan)
        for _ in range(_PLAIN_INTERVALS):
            y = self.interval(y, derive=False).value
        open_, best, plain = np.arange(count), np.full(count, np.inf), y.copy()
        for _ in range(_MOST_ITERATIONS):
            open_ = open_[np.isfinite(y[open_]).all(axis=1)]
            if not len(open_):
                break
            now, after = y[open_], self.pick(open_).interval(y[open_], derive=False)
            step, _ = _newton(now, after)
            size = np.abs(after.value) + 1e-9 * np.abs(after.value).max(axis=1, keepdims=True)
            residual = (np.abs(after.value - now) / np.where(size > 0, size, 1.0)).max(axis=1)
            correction = (np.abs(step) / np.where(size > 0, size, 1.0)).max(axis=1)
            small = (correction <= _SMALL_CORRECTION) | (
                (correction <= _LARGEST_CORRECTION) & (residual <= _NOISE * self.solver.rtol)
            )
            settled = small & np.isfinite(step).all(axis=1) & _attracting(after.by_start)
            found[open_[settled]] = (now + step)[settled]
            worse = ~(residual < best[open_])
            wrong = ~np.isfinite(step).all(axis=1) | ((now + step < 0) & (after.value >= 0)).any(axis=1)
            onward = np.where(wrong[:, None], after.value, now + step)
            y[open_] = np.where(worse[:, None], plain[open_], onward)
            best[open_] = np.where(worse, np.inf, residual)
            plain[open_] = np.where(worse[:, None], plain[open_], after.value)
            open_ = open_[~settled]
        return found

    def record(self, state: _State) -> tuple[_State, np.ndarray]:
        """Amounts at the record, II - L after an arrival, and how many infusions then run."""
        doses, first = self.doses, self.first
        late = (doses.lag[0] > 0) | (doses.lag[1] != 0).any(axis=1)
        phase, d_phase = doses.interval - doses.lag[0], -doses.lag[1]
        inside = late & (phase < first.length)
        begin = np.where(late, np.minimum(phase, first.length), 0.0)
        d_begin = np.where(inside[:, None], d_phase, first.d_length)
        rest = np.where(late & ~inside, phase - first.length, 0.0)
        moved = self.carry(self.dosed(state), _Piece(begin, d_begin, first.infusions))
        moved = self.carry(moved, _Piece(rest, d_phase - first.d_length, self.overlap))
        value = np.where(late[:, None], moved.value, state.value)
        by_input = np.where(late[:, None, None], moved.by_input, state.by_input)
        running = self.overlap + (inside & (doses.duration[0] > 0))
        return _State(value, state.by_start, by_input), running.astype(np.int64)


def _newton(now: np.ndarray, after: _State) -> tuple[np.ndarray, np.ndarray]:
    """(1 - Phi_y)^-1 of the residual (P, n) and, if known, of Phi_x (P, n, n_inputs); NaN where there is no inverse."""
    matrix = np.eye(now.shape[1]) - after.by_start
    right = (after.value - now)[:, :, None]
    if after.by_input is not None:
        right = np.concatenate([right, after.by_input], axis=2)
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
