"""Steady states for the torchode back end: the same fixed point as steady_state, by other code.

The fixed point y of one interval, y = Phi(x, y), is found without derivatives. One more interval then gives it
derivatives: y + (1 - Phi_y)^-1 (Phi(x, y) - y) has the value y and, with the inverse held fixed, the derivative of the
implicit function theorem, in forward and in reverse mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.data.events import EventTable

Parameters = dict[str, torch.Tensor]
#: y (P, n), length (P,), infusion rates (P, n), row of each (P,), parameters -> y at the end
Flow = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, np.ndarray, Parameters], torch.Tensor]

_MOST_ITERATIONS = 60
#: a residual of so many tolerances of the integration is rounding
_NOISE = 30.0
_SLOWEST = 0.5


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
    """Of one row and event, without derivatives: amounts (n,), (1 - Phi_y)^-1 (n, n), length of a constant infusion."""

    amounts: torch.Tensor
    inverse: torch.Tensor
    length: float


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
    """Steady states of the rows of one decoder; `rtol` is the relative tolerance of the flow."""

    def __init__(self, form: LatentForm, table: EventTable, flow: Flow, *, rtol: float) -> None:
        self.form, self.table, self.flow, self.rtol = form, table, flow, rtol

    def events_of(self, subject: int) -> list[int]:
        own = range(int(self.table.ev_ptr[subject]), int(self.table.ev_ptr[subject + 1]))
        return [e for e in own if self.table.ev_is_steady[e]]

    def fixed_points(self, p: Parameters, rows: np.ndarray) -> dict[tuple[int, int], FixedPoint | None]:
        """(row, event) -> fixed point, None where there is none. One pair at a time: none can disturb another."""
        return {
            (row, e): self._fixed_point(self._doses(p, [(row, e)]), p)
            for row, subject in enumerate(rows)
            for e in self.events_of(int(subject))
        }

    def states(self, p: Parameters, fixed: dict[tuple[int, int], FixedPoint]) -> dict[int, list[SteadyState]]:
        """Row -> its steady states, differentiable."""
        pairs = list(fixed)
        result: dict[int, list[SteadyState]] = {}
        if not pairs:
            return result
        doses, points = self._doses(p, pairs), list(fixed.values())
        y = torch.stack([point.amounts for point in points])
        inverse = torch.stack([point.inverse for point in points])
        lengths = torch.tensor([point.length for point in points], dtype=torch.float64)
        moved = self._interval(doses, y, lengths, p) - y
        y = y + (inverse @ moved.unsqueeze(-1)).squeeze(-1)
        y, running = self._record(doses, y, p)
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
        compartments = torch.as_tensor(self.table.ev_cmt[events].astype(np.int64)) - 1
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
    def _pieces(self, doses: _Doses, lengths: torch.Tensor):
        """(length, running infusions) of the two pieces of an interval."""
        infused = doses.duration > 0
        rest = doses.duration - doses.overlap * doses.interval
        first = torch.where(doses.constant, lengths, torch.where(infused, rest, doses.interval))
        running = torch.where(infused, doses.overlap + 1.0, doses.constant.to(torch.float64))
        second = torch.where(doses.constant, 0.0, doses.interval - first)
        return (first, running), (second, doses.overlap)

    def _carry(self, doses: _Doses, y: torch.Tensor, length: torch.Tensor, running: torch.Tensor, p: Parameters):
        rates = doses.into * (running * doses.rate).unsqueeze(-1)
        return self.flow(y, length, rates, doses.row, p)

    def _interval(self, doses: _Doses, y: torch.Tensor, lengths: torch.Tensor, p: Parameters) -> torch.Tensor:
        y = y + doses.into * doses.amount.unsqueeze(-1)
        for length, running in self._pieces(doses, lengths):
            y = self._carry(doses, y, length, running, p)
        return y

    def _record(self, doses: _Doses, y: torch.Tensor, p: Parameters) -> tuple[torch.Tensor, torch.Tensor]:
        """From an arrival on to the record, II - lag later; and how many infusions then run."""
        (first, running), (_, overlap) = self._pieces(doses, torch.ones_like(doses.lag))
        late = doses.lag.detach() > 0
        phase = doses.interval - doses.lag
        inside = late & (phase < first).detach()
        given = y + doses.into * doses.amount.unsqueeze(-1)
        zero = torch.zeros_like(phase)
        begin = torch.where(late, torch.where(inside, phase, first), zero)
        end = torch.where(late & ~inside, phase - first, zero)
        moved = self._carry(doses, self._carry(doses, given, begin, running, p), end, overlap, p)
        y = torch.where(late.unsqueeze(-1), moved, y)
        still = torch.where(doses.constant, 0.0, overlap + (inside & (doses.duration > 0)).to(torch.float64))
        return y, still

    # fixed points ---------------------------------------------------------------------------------------
    def _fixed_point(self, doses: _Doses, p: Parameters) -> FixedPoint | None:
        """Newton's method; an interval of doses in place of a step that makes the residual larger."""
        values = torch.cat([doses.amount, doses.rate, doses.duration, doses.lag])
        late = not bool(doses.constant) and bool(doses.lag >= doses.interval)
        if late or not bool((torch.isfinite(values) & (values >= 0)).all()):
            return None
        n = self.form.n_compartments
        y, lengths = torch.zeros(1, n, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
        y = self._interval(doses, y, lengths, p)
        before, fallback = np.inf, y
        for _ in range(_MOST_ITERATIONS):
            after, slope = self._slope(doses, y, lengths, p)
            matrix = torch.eye(n, dtype=torch.float64) - slope
            if not bool(torch.isfinite(after).all() & torch.isfinite(matrix).all()):
                return None
            radius = float(torch.linalg.eigvals(slope).abs().max())
            residual = float(
                ((after - y).abs() / after.abs().clamp(min=1e-6 * float(after.abs().max()) + 1e-300)).max()
            )
            singular = float(torch.linalg.det(matrix).abs()) == 0.0
            if bool(doses.constant) and radius > _SLOWEST:
                lengths, before = 2.0 * lengths, np.inf
                y = after
                continue
            if residual < _NOISE * self.rtol:
                return None if singular or radius >= 1.0 else FixedPoint(y[0], torch.linalg.inv(matrix), float(lengths))
            if singular or residual >= before:
                y, before = fallback, np.inf
                fallback = self._interval(doses, y, lengths, p)
                continue
            step = y + torch.linalg.solve(matrix, (after - y)[0]).unsqueeze(0)
            wrong = bool(((step < 0) & (after >= 0)).any())
            y, before, fallback = (after if wrong else step), residual, after
        return None

    def _slope(self, doses: _Doses, y: torch.Tensor, lengths: torch.Tensor, p: Parameters):
        """Phi(y) (1, n) and Phi_y (n, n): n copies of the event, each carried on in another direction."""
        n = y.shape[1]
        copies = replace(doses, row=np.repeat(doses.row, n), **{
            name: torch.cat([getattr(doses, name)] * n)
            for name in ("into", "constant", "interval", "amount", "rate", "duration", "lag", "overlap")
        })  # fmt: skip
        lengths = lengths.repeat(n)
        after, slopes = torch.func.jvp(
            lambda at: self._interval(copies, at, lengths, p), (y.repeat(n, 1),), (torch.eye(n, dtype=torch.float64),)
        )
        return after[:1].detach(), slopes.T.detach()
