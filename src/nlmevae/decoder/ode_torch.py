"""The portable ODE back end: torchode on generated torch code.

It runs anywhere torch runs (GPU included), is differentiable end to end, and is the independent
check of the compiled kernels. torchode has no events, so a solve goes from one discontinuity to the
next, all rows together. Each segment is solved in normalised time u in [0, 1]: zero-length segments
are then harmless and gradients reach dose times (lags, ends of infusions). See decoder.md section 3
for the traps this module avoids: no dt_min, one failing row may not spoil the others, unreached
evaluation points hold uninitialised memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
import torchode

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.codegen.print_torch import link_torch
from nlmevae.data.events import EventKind, EventTable
from nlmevae.decoder.base import Decoder, Solution, SolveStatus
from nlmevae.decoder.logarithms import share_for_logarithms
from nlmevae.decoder.steady_torch import FixedPoint, Place, SteadyState, TorchSteadyStates


@dataclass(slots=True)
class _Change:
    """A jump of one row's state or infusion rates. `time` is a tensor, for it may depend on parameters;
    `given` is the record that caused it. A switch has its number in place of a compartment."""

    time: torch.Tensor
    when: float
    order: float
    kind: str
    given: float
    compartment: int = 0
    value: torch.Tensor | float = 0.0


@dataclass(slots=True)
class _Segment:
    """Up to `time`, where `change` happens; observations on the way as (index, time)."""

    time: torch.Tensor
    change: _Change | None = None
    observations: list[tuple[int, float]] = field(default_factory=list)


_ALL = slice(None)


@dataclass(slots=True)
class _Clock:
    """Model times (R, n_switches) of rows, with x and subject index of each."""

    x: torch.Tensor
    rows: np.ndarray
    times: torch.Tensor

    def past(self, time: torch.Tensor, which: slice | torch.Tensor = _ALL) -> torch.Tensor:
        """(R, n_switches) 1 where the model time has passed at `time` (R,) of rows `which`, else 0."""
        times = self.times[which].detach()
        return (times <= time.to(times).unsqueeze(-1)).to(self.x)

    @property
    def unknown(self) -> list[int]:
        """Rows with a model time that is not a number."""
        return torch.nonzero(torch.isnan(self.times.detach()).any(-1)).flatten().tolist()

    def changes(self, row: int, start: float, end: float) -> list[_Change]:
        """Those after the first record up to the last observation; they come before all records of their time, and
        nothing cancels them."""
        ahead = [(i, t) for i, t in enumerate(self.times[row].unbind()) if start < float(t.detach()) <= end]
        return [_Change(t, float(t.detach()), -1.0, "switch", np.inf, i) for i, t in ahead]


#: Tolerances of steady states, as a share of the others, and the tightest that rounding allows.
_STEADY_SHARE, _TIGHTEST = 0.1, 1e-13
_USUAL_STEPS = 10_000


class TorchodeDecoder(Decoder):
    """Dopri5 by torchode, float64, gradients by differentiating the solver's steps."""

    backend = "torchode"

    def __init__(
        self,
        form: LatentForm,
        table: EventTable,
        *,
        rtol: float = 1e-8,
        atol: float | None = None,
        max_steps: int | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(form, table)
        if form.n_compartments == 0:
            raise ValueError("a model given by a formula has nothing to integrate")
        self.device = torch.device(device)
        self.rtol, self.max_steps = rtol, max_steps or _USUAL_STEPS
        largest = float(np.abs(table.ev_amt).max()) if len(table.ev_amt) else 1.0
        self.atol = atol if atol is not None else share_for_logarithms(form) * rtol * max(largest, 1.0)
        self._individual = link_torch(form.individual, title=f"{form.model.name}: individual parameters")
        self._initial = link_torch(form.initial, title=f"{form.model.name}: initial amounts")
        self._rhs = link_torch(form.rhs, title=f"{form.model.name}: right-hand side")
        self._output = link_torch(form.output, title=f"{form.model.name}: prediction")
        self._event_piece = _pieces(table, table.ev_ptr, table.ev_time, table.ev_order)
        self._observation_piece = _pieces(table, table.ob_ptr, table.ob_time, table.ob_order)
        self._steady = TorchSteadyStates(form, table, self._carry_on, rtol=max(_STEADY_SHARE * rtol, _TIGHTEST))

    # the Decoder interface --------------------------------------------------------------------------
    def predict(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        tensor, row_index = self._tensor(x), self._rows(rows)
        fixed = self._fixed_points(tensor, row_index)
        with torch.no_grad():
            value, status = self._solve(tensor, row_index, fixed)
        return self._solution(value, None, status, rows)

    def linearise(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        """The Jacobian is a forward-mode pass per input column."""
        tensor, row_index = self._tensor(x), self._rows(rows)
        fixed, columns = self._fixed_points(tensor, row_index), []
        for j in range(self.n_inputs):
            direction = torch.zeros_like(tensor)
            direction[:, j] = 1.0
            (value, status), (column, _) = torch.func.jvp(
                lambda inputs: self._solve(inputs, row_index, fixed), (tensor,), (direction,)
            )
            columns.append(column)
        return self._solution(value.detach(), torch.stack(columns, -1).detach(), status, rows)

    def decode(self, x: torch.Tensor, rows: np.ndarray | None = None) -> torch.Tensor:
        """Predictions (M,) as a differentiable tensor."""
        x, row_index = x.to(self.device, torch.float64), self._rows(rows)
        return self._solve(x, row_index, self._fixed_points(x.detach(), row_index))[0]

    # solving ----------------------------------------------------------------------------------------
    def _fixed_points(self, x: torch.Tensor, rows: np.ndarray) -> dict[tuple[int, int], FixedPoint | None]:
        """Of every (row, event) that is a steady state."""
        if not self.table.ev_is_steady.any():
            return {}
        with torch.no_grad():
            pairs = [(row, e) for row, subject in enumerate(rows) for e in self._steady.events_of(int(subject))]
            return self._steady.fixed_points(*self._of_pairs(x, rows, pairs), pairs)

    def _solve(
        self, x: torch.Tensor, rows: np.ndarray, fixed: dict[tuple[int, int], FixedPoint | None]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(M,) predictions, NaN for failed rows, and (R,) status; failed rows are left out and the rest re-solved."""
        status = torch.zeros(len(rows), dtype=torch.int32)
        unsteady = {row for (row, _), point in fixed.items() if point is None}
        status[sorted(unsteady)] = int(SolveStatus.NO_STEADY_STATE)
        alive = np.array([r for r in range(len(rows)) if r not in unsteady], dtype=np.int64)
        ptr = self.row_ptr(rows)
        while True:
            own = {(k, e): fixed[r, e] for k, r in enumerate(alive) for row, e in fixed if row == r}
            values, failed = self._attempt(x[alive], rows[alive], own) if len(alive) else (x.new_zeros(0), [])
            if not failed:
                break
            for local, code in failed:
                status[alive[local]] = int(code)
            alive = np.delete(alive, [local for local, _ in failed])
        if len(alive) == len(rows):
            return values, status
        full = torch.full((int(ptr[-1]),), torch.nan, dtype=x.dtype, device=x.device)
        where = np.concatenate([np.arange(ptr[r], ptr[r + 1]) for r in alive] or [np.empty(0, int)])
        return full.index_put((torch.as_tensor(where),), values), status

    def _parameters(
        self, x: torch.Tensor, pieces: np.ndarray, past: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Name -> (P,). pieces (P,): rows of covariates; past (P, n_switches): model times that have passed, none if
        not given."""
        inputs = [x[:, j] for j in range(self.n_inputs)]
        covariates = torch.as_tensor(self.table.cov[pieces], device=self.device)
        past = x.new_zeros(len(pieces), len(self.form.switches)) if past is None else past
        individual = self._individual(*inputs, *covariates.T, *past.T)
        return dict(zip(self.form.parameters, (self._full(v, x) for v in individual), strict=True))

    def _of_pairs(
        self, x: torch.Tensor, rows: np.ndarray, pairs: Iterable[tuple[int, int]]
    ) -> tuple[dict[str, torch.Tensor], Place]:
        """Parameters of every (row, event), and the place of each among them."""
        order = {pair: k for k, pair in enumerate(pairs)}
        own = np.array([row for row, _ in order], dtype=np.int64)
        pieces = np.array([self.table.cov_ptr[rows[row]] + self._event_piece[e] for row, e in order], dtype=np.int64)
        x, start = x[torch.as_tensor(own)], torch.as_tensor(self.table.start_time[rows[own]])
        return self._parameters(x, pieces, self._clock(x, rows[own]).past(start)), lambda row, e: order[row, e]

    def _attempt(
        self, x: torch.Tensor, rows: np.ndarray, fixed: dict[tuple[int, int], FixedPoint]
    ) -> tuple[torch.Tensor, list[tuple[int, SolveStatus]]]:
        """One pass over all rows: predictions, or the rows that must be left out of the next pass."""
        time = torch.as_tensor(self.table.start_time[rows], dtype=x.dtype, device=self.device)
        clock = self._clock(x, rows)
        if clock.unknown:
            return x.new_zeros(0), [(row, SolveStatus.NON_FINITE) for row in clock.unknown]
        past, piece = clock.past(time), self.table.cov_ptr[rows].astype(np.int64)
        p = self._parameters(x, piece, past)
        steady = self._steady.states(*self._of_pairs(x, rows, fixed), fixed) if fixed else {}
        y = initial = self._initial_amounts(p, x)
        rate = torch.zeros_like(initial)
        segments = [self._segments(row, subject, clock, p, steady.get(row, [])) for row, subject in enumerate(rows)]
        found: dict[tuple[int, int], torch.Tensor] = {}
        for k in range(max((len(s) for s in segments), default=0)):
            current = [s[k] if k < len(s) else _Segment(time=time[r]) for r, s in enumerate(segments)]
            stop = torch.stack([segment.time.to(x) for segment in current])
            y, failed = self._advance(y, time, stop, rate, tuple(p.values()), current, found)
            if failed:
                return x.new_zeros(0), failed
            time, changes = stop, [segment.change for segment in current]
            turned = [(row, c.compartment) for row, c in enumerate(changes) if c and c.kind == "switch"]
            new = np.array([c is not None and c.kind == "piece" for c in changes], dtype=np.int64)
            if turned:
                past = past.index_put(tuple(torch.tensor(index) for index in zip(*turned, strict=True)), x.new_ones(()))
            if turned or new.any():
                piece = piece + new
                p = self._parameters(x, piece, past)
                initial = self._initial_amounts(p, x)
            y, rate = self._apply(changes, y, rate, initial)
        return self._outputs(found, rows, clock, x), []

    def _initial_amounts(self, p: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        """(R, n)."""
        return torch.stack([self._full(v, x) for v in self._initial(*p.values())], -1)

    def _clock(self, x: torch.Tensor, rows: np.ndarray) -> _Clock:
        """Model times of every row, and parameters by them."""
        p = self._parameters(x, self.table.cov_ptr[rows])
        times = torch.stack([p[name] for name in self.form.model_times] or [x.new_zeros(len(rows))], -1)
        return _Clock(x, rows, times[:, : len(self.form.model_times)])

    def _advance(self, y, start, stop, rate, arguments, current, found):
        """State at `stop` (R,) with the observations of the segment noted in `found`, and the rows that failed."""
        length = stop - start
        n_eval = max(len(segment.observations) for segment in current)
        if not bool((length > 0).any()):
            for row, segment in enumerate(current):
                found.update({(row, o): y[row] for o, _ in segment.observations})
            return y, []
        safe = torch.where(length > 0, length, torch.ones_like(length))
        ends = [torch.zeros_like(length)]
        for j in range(n_eval):
            at = [
                torch.as_tensor(s.observations[j][1], dtype=y.dtype).to(y) if j < len(s.observations) else None
                for s in current
            ]
            at = torch.stack([stop[r] if t is None else t for r, t in enumerate(at)])
            # rounding may put the last observation a hair past u = 1, where torchode leaves rubbish
            inside = (length > 0) & (at < stop)
            ends.append(torch.where(inside, (at - start) / safe, torch.ones_like(length)).clamp(0.0, 1.0))
        ends.append(torch.ones_like(length))
        span = length.unsqueeze(-1)

        def scaled(u: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
            slopes = self._rhs(start + u * length, *state.unbind(-1), *arguments)
            return span * (torch.stack([self._full(v, state) for v in slopes], -1) + rate)

        solution = self._integrate(scaled, y, torch.stack(ends, -1))
        codes = solution.status.tolist()
        reached = solution.stats["n_initialized"] == len(ends)
        finite = (torch.isfinite(solution.ys).all(-1).all(-1) & reached).tolist()
        # torchode stops every row at the first failure and leaves rubbish behind: blame only rows that report one
        failed = [(r, SolveStatus.MAX_STEPS) for r, c in enumerate(codes) if c != 0]
        failed = failed or [(r, SolveStatus.NON_FINITE) for r, ok in enumerate(finite) if not ok]
        if failed:
            return y, failed
        for row, segment in enumerate(current):
            found.update({(row, o): solution.ys[row, j + 1] for j, (o, _) in enumerate(segment.observations)})
        return solution.ys[:, -1], []

    def _integrate(self, rhs, y0: torch.Tensor, t_eval: torch.Tensor, share: float = 1.0):
        """`share`: of the decoder's tolerances."""
        term = torchode.ODETerm(rhs)
        atol, rtol = share * self.atol, max(share * self.rtol, _TIGHTEST)
        controller = torchode.IntegralController(atol=atol, rtol=rtol, term=term).to(torch.float64)
        method = torchode.Dopri5(term=term).to(torch.float64)
        solver = torchode.AutoDiffAdjoint(
            method, controller, max_steps=self.max_steps, backprop_through_step_size_control=False
        )
        zero = torch.zeros(len(y0), dtype=y0.dtype, device=y0.device)
        problem = torchode.InitialValueProblem(y0=y0, t_eval=t_eval, t_start=zero, t_end=torch.ones_like(zero))
        return solver.solve(problem)

    def _carry_on(self, rhs, y: torch.Tensor) -> torch.Tensor:
        """State (P, m) at time 1 of a system that starts with y at time 0; NaN if the solver gives up."""
        ends = torch.tensor([[0.0, 1.0]], dtype=y.dtype, device=self.device).repeat(len(y), 1)
        solution = self._integrate(rhs, y, ends, share=_STEADY_SHARE)
        failed = bool((solution.status != 0).any())
        return torch.full_like(y, torch.nan) if failed else solution.ys[:, -1]

    # events -----------------------------------------------------------------------------------------
    def _segments(
        self, row: int, subject: int, clock: _Clock, p: dict[str, torch.Tensor], steady: list[SteadyState]
    ) -> list[_Segment]:
        """The row's timeline cut at doses, ends of infusions, resets, steady states, model times and changes of
        covariates, in order of actual time."""
        table, first = self.table, int(self.table.ob_ptr[subject])
        observations = range(first, int(table.ob_ptr[subject + 1]))
        last = max((float(table.ob_time[o]) for o in observations), default=-np.inf)
        changes = [*clock.changes(row, float(table.start_time[subject]), last), *self._new_pieces(subject)]
        for e in range(*table.ev_ptr[subject : subject + 2]):
            at, own = row, p
            if self.form.switches or self._event_piece[e]:  # parameters of the dose are those of its time
                at, one = 0, slice(row, row + 1)
                past = clock.past(torch.tensor([float(table.ev_time[e])]), one)
                piece = np.array([table.cov_ptr[subject] + self._event_piece[e]])
                own = self._parameters(clock.x[one], piece, past)
            changes += self._changes(e, at, own, steady)
        changes.sort(key=lambda c: (c.when, c.order))
        changes = _without_cancelled(changes)
        segments = [_Segment(time=c.time, change=c) for c in changes]
        closing = changes[-1].when if changes else float(table.start_time[subject])
        if last > closing or not changes:
            end = torch.tensor(max(last, closing), dtype=torch.float64, device=self.device)
            segments.append(_Segment(time=end))
        else:
            segments.append(_Segment(time=changes[-1].time))
        keys = [(c.when, c.order) for c in changes]
        for o in observations:
            key = (float(table.ob_time[o]), float(table.ob_order[o]))
            segments[sum(k < key for k in keys)].observations.append((o - first, key[0]))
        return segments

    def _new_pieces(self, subject: int) -> list[_Change]:
        """Covariates change after the last record of their row."""
        ends = range(self.table.cov_ptr[subject], self.table.cov_ptr[subject + 1] - 1)
        times, orders = self.table.cov_time[ends], self.table.cov_order[ends] + 0.5
        at = torch.as_tensor(times, dtype=torch.float64, device=self.device)
        return [_Change(at[k], float(times[k]), float(orders[k]), "piece", np.inf) for k in range(len(ends))]

    def _changes(self, e: int, row: int, p: dict[str, torch.Tensor], steady: list[SteadyState]) -> list[_Change]:
        table = self.table
        kind = EventKind(int(table.ev_kind[e]))
        order = float(table.ev_order[e])
        nominal = torch.tensor(float(table.ev_time[e]), dtype=torch.float64, device=self.device)
        if kind is EventKind.RESET:
            return [_Change(nominal, float(nominal), order, "reset", order)]
        number = int(table.ev_cmt[e])
        if kind is EventKind.EMPTY:
            return [_Change(nominal, float(nominal), order, "empty", order, number - 1)]
        if table.ev_is_steady[e]:
            return self._steady_changes(e, nominal, next(s for s in steady if s.event == e))
        target = self.form.dosing[number - 1]
        state = target.compartment - 1
        time = nominal + p[target.lag][row] if target.lag else nominal
        share = p[target.bioavailability][row] if target.bioavailability else torch.ones_like(nominal)
        amount = share * float(table.ev_amt[e])
        if kind is EventKind.BOLUS:
            return [_Change(time, float(time.detach()), order, "bolus", order, state, amount)]
        speed = torch.full_like(nominal, float(table.ev_rate[e]))
        if kind is EventKind.INFUSION_RATE:
            speed = p[target.rate][row]
        elif kind is EventKind.INFUSION_DURATION:
            speed = amount / p[target.duration][row]
        end = time + (p[target.duration][row] if kind is EventKind.INFUSION_DURATION else amount / speed)
        return [
            _Change(time, float(time.detach()), order, "rate", order, state, speed),
            _Change(end, float(end.detach()), order, "rate", order, state, -speed),
        ]

    def _steady_changes(self, e: int, nominal: torch.Tensor, state: SteadyState) -> list[_Change]:
        """The amounts, and infusions of earlier doses that go on."""
        order, when = float(self.table.ev_order[e]), float(nominal)
        compartment = self.form.dosing[int(self.table.ev_cmt[e]) - 1].compartment - 1
        adds = self.table.ev_kind[e] == EventKind.STEADY_STATE_ADD
        changes = [_Change(nominal, when, order, "add" if adds else "set", order, value=state.amounts)]
        for k in range(state.running):
            end = nominal + state.ends + k * float(self.table.ev_ii[e])
            changes.append(_Change(nominal, when, order, "rate", order, compartment, state.rate))
            changes.append(_Change(end, float(end.detach()), order, "rate", order, compartment, -state.rate))
        return changes

    def _apply(self, changes, y, rate, initial):
        """The state and infusion rates after each row's change."""
        keep, afresh, stays = y.new_ones(len(y), 1), y.new_ones(len(y), 1), y.new_ones(y.shape)
        bolus, speed = torch.zeros_like(y), torch.zeros_like(y)
        for row, change in enumerate(changes):
            if change is None or change.kind == "piece":
                continue
            if change.kind in ("reset", "set"):
                keep[row] = 0.0
            if change.kind == "empty":
                stays[row, change.compartment] = 0.0
            if change.kind in ("set", "add"):
                bolus = bolus.index_put((torch.tensor(row),), change.value)
                afresh[row] = float(change.kind == "reset")
            elif change.kind not in ("reset", "empty", "switch"):
                where = (torch.tensor(row), torch.tensor(change.compartment))
                value = torch.as_tensor(change.value, dtype=y.dtype).to(y)
                if change.kind == "bolus":
                    bolus = bolus.index_put(where, value)
                else:
                    speed = speed.index_put(where, value)
        return keep * stays * y + (1 - keep) * afresh * initial + bolus, keep * rate + speed

    # outputs ----------------------------------------------------------------------------------------
    def _outputs(self, found, rows, clock, x):
        counts = np.diff(self.table.ob_ptr)[rows]
        if not counts.sum():
            return torch.zeros(0, dtype=torch.float64, device=self.device)
        states = torch.stack([found[r, o] for r in range(len(rows)) for o in range(counts[r])])
        source = np.concatenate([np.arange(self.table.ob_ptr[s], self.table.ob_ptr[s + 1]) for s in rows])
        own = np.repeat(np.arange(len(rows)), counts)
        owner = torch.as_tensor(own)
        pieces = self.table.cov_ptr[rows][own] + self._observation_piece[source]
        time = torch.as_tensor(self.table.ob_time[source], device=self.device)
        items = torch.as_tensor(self.table.ob_data[source], device=self.device)
        p = self._parameters(x[owner], pieces, clock.past(time, owner))
        values = self._output(time, *states.unbind(-1), *p.values(), *items.unbind(-1))
        values = [self._full(v, time) for v in values]
        observed = list(self.form.observed)
        if len(values) == 1:
            return values[0]
        which = torch.as_tensor([observed.index(int(c)) for c in self.table.ob_cmt[source]])
        return torch.stack(values, -1).gather(-1, which.unsqueeze(-1)).squeeze(-1)

    # conversions ------------------------------------------------------------------------------------
    def _tensor(self, x: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.asarray(x, dtype=np.float64), device=self.device)

    def _rows(self, rows: np.ndarray | None) -> np.ndarray:
        return np.arange(self.n_subjects) if rows is None else np.asarray(rows)

    def _full(self, value: torch.Tensor | float, like: torch.Tensor) -> torch.Tensor:
        """A generated output may be a plain number; give it one value per row."""
        if isinstance(value, torch.Tensor):
            return value
        return torch.full((len(like),), float(value), dtype=torch.float64, device=self.device)

    def _solution(self, value, jacobian, status, rows) -> Solution:
        if jacobian is not None:
            jacobian = torch.nan_to_num(jacobian, nan=0.0).cpu().numpy()
        return Solution(
            prediction=value.cpu().numpy(),
            jacobian=jacobian,
            status=status.numpy(),
            n_steps=np.zeros(len(status), dtype=np.int32),
            ptr=self.row_ptr(rows),
        )


def _pieces(table: EventTable, ptr: np.ndarray, time: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(n,) how often covariates have changed before each record, in its subject; `ptr` (N + 1,) its ranges."""
    found = np.zeros(len(time), dtype=np.int64)
    for i in range(table.n_subjects):
        own, ends = slice(*ptr[i : i + 2]), slice(table.cov_ptr[i], table.cov_ptr[i + 1] - 1)
        earlier = table.cov_time[ends] < time[own, None]
        earlier |= (table.cov_time[ends] == time[own, None]) & (table.cov_order[ends] < order[own, None])
        found[own] = earlier.sum(axis=1)
    return found


def _without_cancelled(changes: list[_Change]) -> list[_Change]:
    """A reset, or a steady state that is set, cancels what was given before it and has not happened yet (lagged doses,
    running infusions)."""
    kept: list[_Change] = []
    for position, change in enumerate(changes):
        resets = [c for c in changes[:position] if c.kind in ("reset", "set")]
        if change.kind == "reset" or not any(change.given < reset.given for reset in resets):
            kept.append(change)
    return kept
