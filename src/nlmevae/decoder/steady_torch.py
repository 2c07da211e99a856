"""Steady states for the torchode back end: the same fixed point as steady_state, by other code.

The fixed point y of one interval, y = Phi(x, y), is found without derivatives. One more interval then gives it
derivatives: y + (1 - Phi_y)^-1 (Phi(x, y) - y) has the value y and, with the inverse held fixed, the derivative of the
implicit function theorem, in forward and in reverse mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.codegen.print_torch import link_torch
from nlmevae.data.events import EventTable
from nlmevae.decoder.steady_flow import flow_form

Parameters = dict[str, torch.Tensor]
#: slopes in time 0 to 1, state at the start (P, m) -> state at 1
Integrate = Callable[[Callable, torch.Tensor], torch.Tensor]
#: (row, event) -> where its parameters are in `Parameters`
Place = Callable[[int, int], int]

_MOST_ITERATIONS = 60
#: a residual of so many tolerances of the integration is rounding
_NOISE = 30.0
#: constant infusions are carried on for 2^_SPANS units of time at most
_SPANS = 14


@dataclass(frozen=True, slots=True)
class SteadyState:
    """At the record of event `event`: amounts (n,), and `running` infusions of `rate`, one of which ends
    `ends` later."""

    event: int
    amounts: torch.Tensor
    running: int
    rate: torch.Tensor
    ends: torch.Tensor


@dataclass(slots=True)
class FixedPoint:
    """Of one row and event, without derivatives: amounts (n,), and (1 - Phi_y)^-1 (n, n); -J^-1 of a constant
    infusion."""

    amounts: torch.Tensor
    inverse: torch.Tensor


@dataclass(slots=True)
class _Doses:
    """Of P events, all tensors (P,); `overlap` earlier infusions still run when one ends, (P,) whole numbers."""

    row: np.ndarray
    into: torch.Tensor
    constant: torch.Tensor
    interval: torch.Tensor
    amount: torch.Tensor
    rate: torch.Tensor
    duration: torch.Tensor
    lag: torch.Tensor
    overlap: torch.Tensor


class TorchSteadyStates:
    """Steady states of the rows of one decoder; `rtol` is the relative tolerance of `integrate`."""

    def __init__(self, form: LatentForm, table: EventTable, integrate: Integrate, *, rtol: float) -> None:
        self.form, self.table, self.integrate, self.rtol = form, table, integrate, rtol
        self._rhs = link_torch(flow_form(form, observed=1).rhs, title="steady states")

    def events_of(self, subject: int) -> list[int]:
        own = range(int(self.table.ev_ptr[subject]), int(self.table.ev_ptr[subject + 1]))
        return [e for e in own if self.table.ev_is_steady[e]]

    def fixed_points(
        self, p: Parameters, place: Place, pairs: list[tuple[int, int]]
    ) -> dict[tuple[int, int], FixedPoint | None]:
        """(row, event) -> fixed point, None where there is none. One pair at a time: none can disturb another."""
        return {pair: self._fixed_point(self._doses(p, [(place(*pair), pair[1])]), p) for pair in pairs}

    def states(
        self, p: Parameters, place: Place, fixed: dict[tuple[int, int], FixedPoint]
    ) -> dict[int, list[SteadyState]]:
        """Row -> its steady states, differentiable."""
        pairs = list(fixed)
        result: dict[int, list[SteadyState]] = {}
        if not pairs:
            return result
        doses, points = self._doses(p, [(place(*pair), pair[1]) for pair in pairs]), list(fixed.values())
        y = torch.stack([point.amounts for point in points])
        inverse = torch.stack([point.inverse for point in points])
        steady = doses.constant.unsqueeze(-1)
        moved = torch.where(steady, self._balance(doses, y, p)[0], self._interval(doses, y, p)[0] - y)
        y = y + (inverse @ moved.unsqueeze(-1)).squeeze(-1)
        after, running = self._record(doses, y, p)
        y = torch.where(steady, y, after)
        ends = doses.lag + doses.duration - running * doses.interval
        for k, (row, e) in enumerate(pairs):
            state = SteadyState(e, y[k], int(running[k]), doses.rate[k], ends[k])
            result.setdefault(row, []).append(state)
        return result

    # what is given --------------------------------------------------------------------------------------
    def _doses(self, p: Parameters, pairs: list[tuple[int, int]]) -> _Doses:
        columns = [self._dose(p, row, e) for row, e in pairs]
        amount, rate, duration, lag = (torch.stack(column) for column in zip(*columns, strict=True))
        events = [e for _, e in pairs]
        interval = torch.as_tensor(self.table.ev_ii[events])
        compartments = torch.as_tensor(self.form.dosed_states(self.table.ev_cmt[events]))
        rounds = torch.ceil(duration.detach() / torch.where(interval > 0, interval, 1.0)) - 1.0
        return _Doses(
            row=np.array([row for row, _ in pairs]),
            into=torch.nn.functional.one_hot(compartments, self.form.n_compartments).to(torch.float64),
            constant=interval == 0,
            interval=interval,
            amount=amount,
            rate=rate,
            duration=duration,
            lag=lag,
            overlap=torch.where(duration.detach() > 0, rounds, 0.0),
        )

    def _dose(self, p: Parameters, row: int, e: int) -> tuple[torch.Tensor, ...]:
        """Amount of a bolus, rate and duration of an infusion, lag; 0 for what the dose has not."""
        table, target = self.table, self.form.dosing[int(self.table.ev_cmt[e]) - 1]
        one, zero = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        share = p[target.bioavailability][row] if target.bioavailability else one
        lag = p[target.lag][row] if target.lag else zero
        amount, stated = share * float(table.ev_amt[e]), float(table.ev_rate[e])
        if table.ev_ii[e] == 0:
            return zero, p[target.rate][row] if stated == -1 else one * stated, zero, zero
        if stated == 0:
            return amount, zero, zero, lag
        if stated == -2:
            duration = p[target.duration][row]
            return zero, amount / duration, duration, lag
        rate = p[target.rate][row] if stated == -1 else one * stated
        return zero, rate, amount / rate, lag

    # intervals ------------------------------------------------------------------------------------------
    def _pieces(self, doses: _Doses):
        """(length, running infusions) of the two pieces of an interval; none of a constant infusion."""
        infused = doses.duration > 0
        first = torch.where(infused, doses.duration - doses.overlap * doses.interval, doses.interval)
        running = torch.where(infused, doses.overlap + 1.0, 0.0)
        return (first, running), (doses.interval - first, doses.overlap)

    def _slopes(self, doses: _Doses, state, length, running, p: Parameters):
        """Of amounts and the columns of V, times `length`; see steady_flow.flow_form for the order of arguments."""
        n = self.form.n_compartments
        arguments = [v[torch.as_tensor(doses.row)] for v in p.values()]
        starts = [torch.zeros_like(length)] * n
        source = running * doses.rate
        values = self._rhs(length, *state.unbind(-1), *arguments, *starts, source, length, *doses.into.unbind(-1))
        return torch.stack([torch.as_tensor(v, dtype=torch.float64).expand(len(length)) for v in values], -1)

    def _carry(self, doses: _Doses, state: tuple[torch.Tensor, torch.Tensor], length, running, p: Parameters):
        """(y (P, n), V (P, n, n)) after `length` (P,); nothing changes where that is 0."""
        y, before = state
        if not bool((length > 0).any()):
            return state
        n, count = y.shape[1], len(y)
        start = torch.cat([y, torch.eye(n, dtype=torch.float64).reshape(1, -1).repeat(count, 1)], -1)
        end = self.integrate(lambda u, at: self._slopes(doses, at, length, running, p), start)
        columns = end[:, n:].reshape(count, n, n).transpose(1, 2)
        return end[:, :n], columns @ before

    def _dosed(self, doses: _Doses, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        unit = torch.eye(y.shape[1], dtype=torch.float64).repeat(len(y), 1, 1)
        return y + doses.into * doses.amount.unsqueeze(-1), unit

    def _interval(self, doses: _Doses, y: torch.Tensor, p: Parameters) -> tuple[torch.Tensor, torch.Tensor]:
        """Phi (P, n) and Phi_y (P, n, n)."""
        state = self._dosed(doses, y)
        for length, running in self._pieces(doses):
            state = self._carry(doses, state, length, running, p)
        return state

    def _balance(self, doses: _Doses, y: torch.Tensor, p: Parameters) -> tuple[torch.Tensor, torch.Tensor]:
        """Slopes (P, n) under a constant infusion and their derivatives by the amounts (P, n, n)."""
        n, one = y.shape[1], torch.ones_like(doses.rate)
        unit = torch.eye(n, dtype=torch.float64).reshape(1, -1).repeat(len(y), 1)
        slopes = self._slopes(doses, torch.cat([y, unit], -1), one, one, p)
        return slopes[:, :n], slopes[:, n:].reshape(len(y), n, n).transpose(1, 2)

    def _record(self, doses: _Doses, y: torch.Tensor, p: Parameters) -> tuple[torch.Tensor, torch.Tensor]:
        """From an arrival on to the record, II - lag later; and how many infusions then run."""
        (first, running), (_, overlap) = self._pieces(doses)
        late = doses.lag.detach() > 0
        phase = doses.interval - doses.lag
        inside = late & (phase < first).detach()
        zero = torch.zeros_like(phase)
        begin = torch.where(late, torch.where(inside, phase, first), zero)
        end = torch.where(late & ~inside, phase - first, zero)
        moved = self._carry(doses, self._dosed(doses, y), begin, running, p)
        moved, _ = self._carry(doses, moved, end, overlap, p)
        y = torch.where(late.unsqueeze(-1), moved, y)
        return y, overlap + (inside & (doses.duration > 0)).to(torch.float64)

    # fixed points ---------------------------------------------------------------------------------------
    def _fixed_point(self, doses: _Doses, p: Parameters) -> FixedPoint | None:
        values = torch.cat([doses.amount, doses.rate, doses.duration, doses.lag])
        late = not bool(doses.constant) and bool(doses.lag >= doses.interval)
        if late or not bool((torch.isfinite(values) & (values >= 0)).all()):
            return None
        return self._balanced(doses, p) if bool(doses.constant) else self._periodic(doses, p)

    def _balanced(self, doses: _Doses, p: Parameters) -> FixedPoint | None:
        """Newton's method from amounts carried on for 0, 1, 3, 7 ... units of time."""
        start, one = torch.zeros(1, self.form.n_compartments, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
        for k in range(_SPANS):
            y = start
            for _ in range(_MOST_ITERATIONS):
                slope, matrix = self._balance(doses, y, p)
                if not bool(torch.isfinite(matrix).all()) or float(torch.linalg.det(matrix[0])) == 0.0:
                    break
                step = -torch.linalg.solve(matrix[0], slope[0]).unsqueeze(0)
                y = y + step
                if bool((step.abs() <= 1e-12 * y.abs() + 1e-15 * y.abs().max()).all()):
                    stable = float(torch.linalg.eigvals(matrix[0]).real.max()) < 0.0
                    if stable and bool((y >= -1e-9 * y.abs().max()).all()):
                        return FixedPoint(y[0], -torch.linalg.inv(matrix[0]))
                    break
            start, _ = self._carry(doses, (start, self._dosed(doses, start)[1]), 2.0**k * one, one, p)
        return None

    def _periodic(self, doses: _Doses, p: Parameters) -> FixedPoint | None:
        """Newton's method; an interval of doses in place of a step that makes the residual larger."""
        n = self.form.n_compartments
        y, _ = self._interval(doses, torch.zeros(1, n, dtype=torch.float64), p)
        before, fallback = np.inf, y
        for _ in range(_MOST_ITERATIONS):
            after, slope = self._interval(doses, y, p)
            matrix = torch.eye(n, dtype=torch.float64) - slope[0]
            if not bool(torch.isfinite(after).all() & torch.isfinite(matrix).all()):
                return None
            singular = float(torch.linalg.det(matrix).abs()) == 0.0
            size = after.abs() + 1e-9 * after.abs().max()
            residual = float(((after - y).abs() / torch.where(size > 0, size, torch.ones_like(size))).max())
            if residual < _NOISE * self.rtol and not singular:
                radius = float(torch.linalg.eigvals(slope[0]).abs().max())
                step = torch.linalg.solve(matrix, (after - y)[0])
                # amounts that grow without end also change little, relatively, but Newton's correction is large
                if bool((step.abs() <= 1e-3 * size[0]).all()):
                    return FixedPoint(y[0], torch.linalg.inv(matrix)) if radius < 1.0 else None
            if singular or residual >= before:
                y, before = fallback, np.inf
                fallback, _ = self._interval(doses, y, p)
                continue
            step = y + torch.linalg.solve(matrix, (after - y)[0]).unsqueeze(0)
            wrong = bool(((step < 0) & (after >= 0)).any())
            y, before, fallback = (after if wrong else step), residual, after
        return None
