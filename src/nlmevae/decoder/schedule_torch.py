"""Everything the torchode back end integrates, as tensors that are made beside the processor and copied in one block.

Parameters, doses and times are small and full of decisions: they are worked out on the CPU, whatever the device, and
derivatives flow through them. The device gets a `Schedule`: all rows go from stretch to stretch together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.codegen.print_torch import link_torch
from nlmevae.data.events import EventKind, EventTable
from nlmevae.decoder.steady_torch import SteadyState
from nlmevae.decoder.timeline import Change, Clock, Given, Segment, Timelines, pieces_before

Parameters = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Stretch:
    """One segment of all R rows: from start (R,) over length (R,) with infusion rates (R, n) to the jump
    y -> share * y + add, both (R, n). `points` (R, E + 2) where the state is wanted, as shares of the length: 0, at
    observations, 1. Wanted are those at (`seen_rows`, `seen_points`); `parameters` is a number in the schedule's.
    `moves` is False where every length is 0."""

    start: torch.Tensor
    length: torch.Tensor
    points: torch.Tensor
    rate: torch.Tensor
    share: torch.Tensor
    add: torch.Tensor
    seen_rows: torch.Tensor
    seen_points: torch.Tensor
    parameters: int
    moves: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """initial (R, n) amounts; parameters: sets of (R,) tensors; order (M,): the states found on the way, in the order
    of rows and their observations."""

    initial: torch.Tensor
    parameters: tuple[tuple[torch.Tensor, ...], ...]
    stretches: tuple[Stretch, ...]
    order: torch.Tensor

    def on(self, device: torch.device) -> Schedule:
        """The same there, in one copy. Numbers of rows are exact as float64."""
        of_stretches = [
            (s.start, s.length, s.points, s.rate, s.share, s.add, s.seen_rows, s.seen_points) for s in self.stretches
        ]
        flat = [self.initial, *(v for one in self.parameters for v in one), *(v for one in of_stretches for v in one)]
        block = torch.cat([v.reshape(-1).to(torch.float64) for v in flat]).to(device)
        there = iter(
            part.reshape(v.shape) for part, v in zip(block.split([v.numel() for v in flat]), flat, strict=True)
        )
        initial = next(there)
        parameters = tuple(tuple(next(there) for _ in one) for one in self.parameters)
        stretches = []
        for s in self.stretches:
            *numbers, rows, points = (next(there) for _ in range(8))
            stretches.append(Stretch(*numbers, rows.to(torch.int64), points.to(torch.int64), s.parameters, s.moves))
        return Schedule(initial, parameters, tuple(stretches), self.order)


@dataclass(frozen=True, slots=True)
class _Doses:
    """Of all events of all rows, (P,) each; those of row r begin at first[r]."""

    first: np.ndarray
    arrival: torch.Tensor
    end: torch.Tensor
    amount: torch.Tensor
    speed: torch.Tensor


@dataclass(frozen=True, slots=True)
class _Steady:
    """Of all steady states of all rows; those of row r begin at first[r]."""

    first: np.ndarray
    amounts: torch.Tensor
    rate: torch.Tensor
    end: torch.Tensor


class Schedules:
    """Parameters and schedules of the rows of one decoder."""

    def __init__(self, form: LatentForm, table: EventTable) -> None:
        self.form, self.table = form, table
        self._individual = link_torch(form.individual, title=f"{form.model.name}: individual parameters")
        self._initial = link_torch(form.initial, title=f"{form.model.name}: initial amounts")
        self._event_piece = pieces_before(table, table.ev_ptr, table.ev_time, table.ev_order)
        self._observation_piece = pieces_before(table, table.ob_ptr, table.ob_time, table.ob_order)
        self._timelines = Timelines(form, table)

    # parameters -------------------------------------------------------------------------------------
    def parameters(self, x: torch.Tensor, pieces: np.ndarray, past: torch.Tensor | None = None) -> Parameters:
        """Name -> (P,). pieces (P,): rows of covariates; past (P, n_switches): model times that have passed, none if
        not given."""
        covariates = torch.as_tensor(self.table.cov[pieces])
        past = x.new_zeros(len(pieces), len(self.form.switches)) if past is None else past
        individual = self._individual(*x.unbind(-1), *covariates.T, *past.T)
        return dict(zip(self.form.parameters, (full(v, x) for v in individual), strict=True))

    def model_times(self, x: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
        """(R, n_switches), which are constant in each row."""
        if not self.form.switches:
            return x.new_zeros(len(rows), 0)
        p = self.parameters(x, self.table.cov_ptr[rows])
        return torch.stack([p[name] for name in self.form.model_times], -1)

    def at_events(self, x: torch.Tensor, rows: np.ndarray, own: np.ndarray, events: np.ndarray, when: np.ndarray):
        """Parameters of rows own (P,) at events (P,), with the model times that have passed at `when` (P,)."""
        past = _past(self.model_times(x, rows)[own], when)
        return self.parameters(x[own], self.table.cov_ptr[rows][own] + self._event_piece[events], past)

    def at_observations(self, x: torch.Tensor, rows: np.ndarray, own: np.ndarray, observations: np.ndarray):
        """Parameters of rows own (M,) at observations (M,)."""
        past = _past(self.model_times(x, rows)[own], self.table.ob_time[observations])
        return self.parameters(x[own], self.table.cov_ptr[rows][own] + self._observation_piece[observations], past)

    # the schedule -----------------------------------------------------------------------------------
    def make(
        self, x: torch.Tensor, rows: np.ndarray, steady: dict[int, list[SteadyState]]
    ) -> tuple[Schedule | None, list[int]]:
        """The schedule of rows of subjects `rows` (R,), x (R, n_inputs) and their steady states; or the rows whose
        times are no numbers."""
        switches = self.model_times(x, rows)
        doses, states = self._doses(x, rows), self._steady(x, rows, steady)
        given = self._given(rows, doses, switches, steady)
        unknown = [row for row, one in enumerate(given) if not one.known]
        if unknown:
            return None, unknown
        lines = [self._timelines.of(int(subject), one) for subject, one in zip(rows, given, strict=True)]
        start = torch.as_tensor(self.table.start_time[rows], dtype=torch.float64)
        stops = self._stops(lines, start, doses, switches, states)
        unknown = torch.nonzero(~torch.isfinite(stops.detach()).all(0)).flatten().tolist()
        if unknown:
            return None, unknown
        changes = [[line[k].change if k < len(line) else None for line in lines] for k in range(len(stops))]
        sets, which, amounts = self._parameter_sets(x, rows, changes, _past(switches, self.table.start_time[rows]))
        shares, adds, rates = self._jumps(changes, doses, states, [amounts[i] for i in which[1:]])
        starts = torch.cat([start.unsqueeze(0), stops[:-1]]) if len(stops) else stops
        stretches = [
            _stretch(lines, k, starts[k], stops[k], (rates[k], shares[k], adds[k]), which[k]) for k in range(len(stops))
        ]
        counts = np.diff(self.table.ob_ptr)[rows]
        order = _order(lines, len(stops), np.concatenate([[0], np.cumsum(counts)]))
        return Schedule(amounts[0], tuple(tuple(p.values()) for p in sets), tuple(stretches), order), []

    def _doses(self, x: torch.Tensor, rows: np.ndarray) -> _Doses:
        table = self.table
        ranges = [np.arange(*table.ev_ptr[s : s + 2]) for s in rows]
        events = np.concatenate([np.zeros(0, dtype=np.int64), *ranges])
        counts = np.array([len(own) for own in ranges], dtype=np.int64)
        own = np.repeat(np.arange(len(rows)), counts)
        targets, kind = self.form.dosing, torch.as_tensor(table.ev_kind[events])
        number = torch.as_tensor(np.where(table.ev_is_dose[events], table.ev_cmt[events], 0))
        asks = any(t.lag or t.bioavailability or t.rate or t.duration for t in targets)
        p = self.at_events(x, rows, own, events, table.ev_time[events]) if asks and len(events) else {}

        def column(names: Sequence[str | None], default: float) -> torch.Tensor:
            value = x.new_full((len(events),), default)
            for k, name in enumerate(names, start=1):
                if name and p:
                    value = torch.where(number == k, p[name], value)
            return value

        arrival = torch.as_tensor(table.ev_time[events]) + column([t.lag for t in targets], 0.0)
        amount = column([t.bioavailability for t in targets], 1.0) * torch.as_tensor(table.ev_amt[events])
        duration, rate = column([t.duration for t in targets], 1.0), column([t.rate for t in targets], 1.0)
        stated = torch.as_tensor(table.ev_rate[events])
        lasts = kind == EventKind.INFUSION_DURATION
        speed = torch.where(kind == EventKind.INFUSION, stated, torch.ones_like(stated))
        speed = torch.where(kind == EventKind.INFUSION_RATE, rate, speed)
        speed = torch.where(lasts, amount / duration, speed)
        # an unused quotient of the other kind would be 0/0 and its derivative would spoil the sum
        length = torch.where(lasts, duration, amount / torch.where(lasts, torch.ones_like(speed), speed))
        infuses = lasts | (kind == EventKind.INFUSION) | (kind == EventKind.INFUSION_RATE)
        end = torch.where(infuses, arrival + length, arrival)
        return _Doses(np.concatenate([[0], np.cumsum(counts)]), arrival, end, amount, speed)

    def _steady(self, x: torch.Tensor, rows: np.ndarray, steady: dict[int, list[SteadyState]]) -> _Steady:
        found = [state for row in range(len(rows)) for state in steady.get(row, [])]
        counts = [len(steady.get(row, [])) for row in range(len(rows))]
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        if not found:
            empty = x.new_zeros(0)
            return _Steady(first, x.new_zeros(0, self.form.n_compartments), empty, empty)
        return _Steady(
            first, *(torch.stack(v) for v in zip(*((s.amounts, s.rate, s.ends) for s in found), strict=True))
        )

    def _given(
        self, rows: np.ndarray, doses: _Doses, switches: torch.Tensor, steady: dict[int, list[SteadyState]]
    ) -> list[Given]:
        arrivals, ends = doses.arrival.detach().tolist(), doses.end.detach().tolist()
        clocks = switches.detach().tolist()
        result = []
        for row in range(len(rows)):
            own = slice(*doses.first[row : row + 2])
            states = tuple((s.event, s.running, float(s.ends.detach())) for s in steady.get(row, []))
            result.append(Given(tuple(arrivals[own]), tuple(ends[own]), tuple(clocks[row]), states))
        return result

    def _stops(
        self, lines: list[list[Segment]], start: torch.Tensor, doses: _Doses, switches: torch.Tensor, states: _Steady
    ) -> torch.Tensor:
        """(K, R) ends of the segments; a row that has no more stays where it is."""
        blocks = (start.new_zeros(1), doses.arrival, doses.end, switches.reshape(-1), states.end)
        base = [0, *accumulate(len(block) for block in blocks)]
        width = switches.shape[1]
        shape = (max((len(line) for line in lines), default=0), len(lines))
        where, offset = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        offset[:] = start.tolist()
        for row, line in enumerate(lines):
            firsts = (0, doses.first[row], doses.first[row], row * width, states.first[row])
            for k, segment in enumerate(line):
                stop, fixed = segment.stop, segment.stop.clock is Clock.FIXED
                where[k:, row] = base[stop.clock] + (0 if fixed else firsts[stop.clock] + stop.place)
                offset[k:, row] = stop.when if fixed else stop.offset
        return torch.cat(blocks)[torch.as_tensor(where)] + torch.as_tensor(offset)

    def _parameter_sets(
        self, x: torch.Tensor, rows: np.ndarray, changes: list[list[Change | None]], past: torch.Tensor
    ) -> tuple[list[Parameters], list[int], list[torch.Tensor]]:
        """The different sets of parameters, which one holds in each segment and after the last, and the initial
        amounts (R, n) by each."""
        piece = self.table.cov_ptr[rows].astype(np.int64)
        sets, which = [self.parameters(x, piece, past)], [0]
        for current in changes:
            turned = [(row, c.place) for row, c in enumerate(current) if c and c.kind == "switch"]
            new = np.array([c is not None and c.kind == "piece" for c in current], dtype=np.int64)
            if turned or new.any():
                past = past.clone()  # MPAST(i) may itself be a parameter of an earlier set
                for row, number in turned:
                    past[row, number] = 1.0
                piece = piece + new
                sets.append(self.parameters(x, piece, past))
            which.append(len(sets) - 1)
        amounts = [torch.stack([full(v, x) for v in self._initial(*p.values())], -1) for p in sets]
        return sets, which, amounts

    def _jumps(
        self, changes: list[list[Change | None]], doses: _Doses, states: _Steady, initial: list[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
        """(K, R, n) shares that stay and amounts that come at the end of each segment, and infusion rates during
        each; `initial`: amounts at which a reset begins again."""
        shape = (len(changes), len(changes[0]) if changes else 0, self.form.n_compartments)
        stays, keeps, afresh = np.ones(shape), np.ones((*shape[:2], 1)), np.zeros((*shape[:2], 1))
        bolus, speed = _Puts(), _Puts()
        sets = _Puts()
        for k, current in enumerate(changes):
            for row, c in enumerate(current):
                if c is None:
                    continue
                if c.kind in ("reset", "set"):
                    keeps[k, row], afresh[k, row] = 0.0, float(c.kind == "reset")
                if c.kind == "empty":
                    stays[k, row, c.compartment] = 0.0
                elif c.kind in ("set", "add"):
                    sets.put(states.first[row] + c.place, k, row)
                elif c.kind == "bolus":
                    bolus.put(doses.first[row] + c.place, k, row, c.compartment)
                elif c.kind == "rate":
                    place = len(doses.speed) + states.first[row] if c.steady else doses.first[row]
                    speed.put(place + c.place, k, row, c.compartment, sign=c.sign)
        zero = torch.zeros(shape, dtype=torch.float64)
        add = bolus.into(zero, doses.amount)
        add = sets.into(add, states.amounts)
        speeds = speed.into(zero, torch.cat([doses.speed, states.rate]))
        rates = [zero[0]] if len(zero) else []
        for k in range(len(changes) - 1):
            rates.append(torch.as_tensor(keeps[k]) * rates[k] + speeds[k])
        if afresh.any():
            add = add + torch.as_tensor(afresh) * torch.stack(initial)
        return torch.as_tensor(keeps * stays), add, rates


class _Puts:
    """Values by place, and where in a tensor they go."""

    def __init__(self) -> None:
        self.values: list[int] = []
        self.where: list[tuple[int, ...]] = []
        self.signs: list[float] = []

    def put(self, value: int, *where: int, sign: float = 1.0) -> None:
        self.values.append(int(value))
        self.where.append(where)
        self.signs.append(sign)

    def into(self, tensor: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        if not self.values:
            return tensor
        chosen = values[torch.tensor(self.values)]
        signs = torch.tensor(self.signs, dtype=torch.float64).reshape(-1, *[1] * (chosen.ndim - 1))
        return tensor.index_put(tuple(torch.tensor(self.where).T), signs * chosen)


def full(value: torch.Tensor | float, like: torch.Tensor) -> torch.Tensor:
    """A generated output may be a plain number; give it one value per row."""
    if isinstance(value, torch.Tensor):
        return value
    return torch.full((len(like),), float(value), dtype=torch.float64, device=like.device)


def _past(times: torch.Tensor, when: np.ndarray) -> torch.Tensor:
    """(P, n_switches) 1 where the model time (P, n_switches) has passed at `when` (P,), else 0."""
    return (times.detach() <= torch.as_tensor(when, dtype=torch.float64).unsqueeze(-1)).to(torch.float64)


def _stretch(
    lines: list[list[Segment]],
    k: int,
    start: torch.Tensor,
    stop: torch.Tensor,
    rate_share_add: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    parameters: int,
) -> Stretch:
    """Segment k of every row."""
    seen = [(row, j, time) for row, line in enumerate(lines) if k < len(line) for j, (_, time) in _observed(line[k])]
    at = np.full((len(lines), 1 + max((j for _, j, _ in seen), default=-1)), np.inf)
    for row, j, time in seen:
        at[row, j] = time
    length, at = stop - start, torch.as_tensor(at)
    moves = bool((length.detach() > 0).any())
    safe = torch.where(length > 0, length, torch.ones_like(length)).unsqueeze(-1)
    # rounding may put the last observation a hair past u = 1, where torchode leaves rubbish
    inside = (length > 0).unsqueeze(-1) & (at < stop.unsqueeze(-1))
    at = torch.where(inside, at, start.unsqueeze(-1))
    points = torch.where(inside, (at - start.unsqueeze(-1)) / safe, torch.ones_like(at)).clamp(0.0, 1.0)
    zero = torch.zeros_like(length).unsqueeze(-1)
    points = torch.cat([zero, points, torch.ones_like(zero)], -1)
    rows = torch.tensor([row for row, _, _ in seen], dtype=torch.int64)
    # nothing is integrated where nobody moves: there is only the state before the jump
    which = torch.tensor([j + 1 if moves else 0 for _, j, _ in seen], dtype=torch.int64)
    return Stretch(start, length, points, *rate_share_add, rows, which, parameters, moves)


def _observed(segment: Segment):
    return enumerate(segment.observations)


def _order(lines: list[list[Segment]], n_segments: int, ptr: np.ndarray) -> torch.Tensor:
    """(M,) where each prediction is among the states that the stretches find."""
    places = [
        int(ptr[row]) + o
        for k in range(n_segments)
        for row, line in enumerate(lines)
        if k < len(line)
        for o, _ in line[k].observations
    ]
    return torch.as_tensor(np.argsort(np.array(places, dtype=np.int64), kind="stable"))
