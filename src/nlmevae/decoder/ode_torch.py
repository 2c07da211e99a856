"""The portable ODE back end: torchode on generated torch code.

It runs on the CPU or on a GPU, is differentiable end to end, and is the independent check of the compiled kernels.
torchode has no events, so a solve goes from one discontinuity to the next, all rows together. Each segment is solved in
normalised time u in [0, 1]: zero-length segments are then harmless and gradients reach dose times (lags, ends of
infusions). See decoder.md section 3 for the traps this module avoids: no dt_min, one failing row may not spoil the
others, unreached evaluation points hold uninitialised memory.

Parameters, timelines, steady states and the last formula are worked out on the CPU; the device gets a schedule in one
copy and gives back the amounts at the observations in one copy (docs/decisions/0024).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
import torchode
from torch.autograd import forward_ad

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.codegen.print_torch import link_torch
from nlmevae.data.events import EventTable
from nlmevae.decoder.base import Decoder, Solution, SolveStatus
from nlmevae.decoder.device import out_of_memory
from nlmevae.decoder.logarithms import share_for_logarithms
from nlmevae.decoder.schedule_torch import Schedule, Schedules, Stretch, full
from nlmevae.decoder.steady_torch import FixedPoint, Place, TorchSteadyStates

#: Tolerances of steady states, as a share of the others, and the tightest that rounding allows.
_STEADY_SHARE, _TIGHTEST = 0.1, 1e-13
_USUAL_STEPS = 10_000
#: Of the device's memory that one chunk of rows may take. Fixed, not what happens to be free: the same rows share a
#: chunk in every run.
CHUNK_BYTES = 2**30

Fixed = dict[tuple[int, int], FixedPoint | None]


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
        chunk_bytes: int = CHUNK_BYTES,
        draws_rtol: float | None = None,
    ) -> None:
        super().__init__(form, table)
        if form.n_compartments == 0:
            raise ValueError("a model given by a formula has nothing to integrate")
        self.device = device
        self._on, self._chunk_bytes = torch.device(device), chunk_bytes
        self.rtol, self.max_steps = rtol, max_steps or _USUAL_STEPS
        largest = float(np.abs(table.ev_amt).max()) if len(table.ev_amt) else 1.0
        self.atol = atol if atol is not None else share_for_logarithms(form) * rtol * max(largest, 1.0)
        self._rhs = link_torch(form.rhs, title=f"{form.model.name}: right-hand side")
        self._output = link_torch(form.output, title=f"{form.model.name}: prediction")
        self._schedules = Schedules(form, table)
        self._solvers: dict[tuple[str, float], torchode.AutoDiffAdjoint] = {}
        self._steady = TorchSteadyStates(form, table, self._carry_on, rtol=max(_STEADY_SHARE * rtol, _TIGHTEST))

        self._for_draws = self.at(draws_rtol) if draws_rtol is not None and rtol < draws_rtol else self

    # the Decoder interface --------------------------------------------------------------------------
    def at(self, rtol: float) -> TorchodeDecoder:
        options = {"max_steps": self.max_steps, "device": self.device, "chunk_bytes": self._chunk_bytes}
        return TorchodeDecoder(self.form, self.table, rtol=rtol, **options)

    @property
    def for_draws(self) -> TorchodeDecoder:
        return self._for_draws

    def predict(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        tensor, row_index = self._tensor(x), self._rows(rows)
        found = []
        for own in self._chunks(row_index, copies=1):
            fixed = self._fixed_points(tensor[own], row_index[own])
            with torch.no_grad():
                value, status = self._solve(tensor[own], row_index[own], fixed)
            found.append((value, None, status))
        return self._solution(found, rows)

    def linearise(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        """Forward mode; a copy of every row for each input, all integrated together."""
        tensor, row_index = self._tensor(x), self._rows(rows)
        found = [self._linearised(tensor[own], row_index[own]) for own in self._chunks(row_index, copies=self.n_inputs)]
        return self._solution(found, rows)

    def _linearised(self, x: torch.Tensor, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Predictions (M,), Jacobian (M, n_inputs) and status (R,) of one chunk."""
        n, count = self.n_inputs, len(rows)
        fixed = self._fixed_points(x, rows)
        fixed = {(j * count + row, e): point for j in range(n) for (row, e), point in fixed.items()}
        direction = torch.eye(n, dtype=torch.float64).repeat_interleave(count, 0)
        with torch.no_grad(), forward_ad.dual_level():
            inputs = forward_ad.make_dual(x.repeat(n, 1), direction)
            value, status = self._solve(inputs, np.tile(rows, n), fixed)
            value, column = forward_ad.unpack_dual(value)
        column = torch.zeros_like(value) if column is None else column
        m = len(value) // n
        return value[:m], column.reshape(n, m).T, status[:count]

    def decode(self, x: torch.Tensor, rows: np.ndarray | None = None) -> torch.Tensor:
        """Predictions (M,) as a differentiable tensor on the CPU; all rows are one chunk."""
        x, row_index = x.to("cpu", torch.float64), self._rows(rows)
        return self._solve(x, row_index, self._fixed_points(x.detach(), row_index))[0]

    def _chunks(self, rows: np.ndarray, *, copies: int) -> list[slice]:
        """Rows that are integrated together: `copies` of each, with tangents if more than one, fit into the memory."""
        n = self.form.n_compartments
        observed = int(np.diff(self.table.ob_ptr).max(initial=0))
        jumps = 2 * int(np.diff(self.table.ev_ptr).max(initial=0)) + int(np.diff(self.table.cov_ptr).max(initial=0))
        stretches = jumps + len(self.form.switches) + 1
        # the schedule, states at observations, locals of the generated code, stages and interpolation of a step
        numbers = stretches * (5 * n + 6 + len(self.form.parameters)) + observed * (2 * n + 2)
        numbers += len(self.form.rhs.graph.nodes) + 64 * n + 64
        at_once = max(1, self._chunk_bytes // (8 * numbers * (1 if copies == 1 else 3) * copies))
        return [slice(i, i + at_once) for i in range(0, max(len(rows), 1), at_once)]

    # solving ----------------------------------------------------------------------------------------
    def _fixed_points(self, x: torch.Tensor, rows: np.ndarray) -> Fixed:
        """Of every (row, event) that is a steady state."""
        if not self.table.ev_is_steady.any():
            return {}
        with torch.no_grad():
            pairs = [(row, e) for row, subject in enumerate(rows) for e in self._steady.events_of(int(subject))]
            return self._steady.fixed_points(*self._of_pairs(x, rows, pairs), pairs)

    def _of_pairs(
        self, x: torch.Tensor, rows: np.ndarray, pairs: Iterable[tuple[int, int]]
    ) -> tuple[dict[str, torch.Tensor], Place]:
        """Parameters of every (row, event), and the place of each among them."""
        order = {pair: k for k, pair in enumerate(pairs)}
        own = np.array([row for row, _ in order], dtype=np.int64)
        events = np.array([e for _, e in order], dtype=np.int64)
        p = self._schedules.at_events(x, rows, own, events, self.table.start_time[rows[own]])
        return p, lambda row, e: order[row, e]

    def _solve(self, x: torch.Tensor, rows: np.ndarray, fixed: Fixed) -> tuple[torch.Tensor, torch.Tensor]:
        """(M,) predictions, NaN for failed rows, and (R,) status; failed rows are left out and the rest re-solved."""
        status = torch.zeros(len(rows), dtype=torch.int32)
        unsteady = {row for (row, _), point in fixed.items() if point is None}
        status[sorted(unsteady)] = int(SolveStatus.NO_STEADY_STATE)
        alive = np.array([r for r in range(len(rows)) if r not in unsteady], dtype=np.int64)
        ptr = self.row_ptr(rows)
        while True:
            place = {int(r): k for k, r in enumerate(alive)}
            own = {(place[row], e): point for (row, e), point in fixed.items() if row in place}
            values, failed = self._attempt(x[alive], rows[alive], own) if len(alive) else (x.new_zeros(0), [])
            if not failed:
                break
            for local, code in failed:
                status[alive[local]] = int(code)
            alive = np.delete(alive, [local for local, _ in failed])
        if len(alive) == len(rows):
            return values, status
        full_length = torch.full((int(ptr[-1]),), torch.nan, dtype=x.dtype)
        where = np.concatenate([np.arange(ptr[r], ptr[r + 1]) for r in alive] or [np.empty(0, int)])
        return full_length.index_put((torch.as_tensor(where),), values), status

    def _attempt(
        self, x: torch.Tensor, rows: np.ndarray, fixed: dict[tuple[int, int], FixedPoint]
    ) -> tuple[torch.Tensor, list[tuple[int, SolveStatus]]]:
        """One pass over all rows: predictions, or the rows that must be left out of the next pass."""
        ordered = dict(sorted(fixed.items()))
        steady = self._steady.states(*self._of_pairs(x, rows, ordered), ordered) if ordered else {}
        schedule, unknown = self._schedules.make(x, rows, steady)
        if schedule is None:
            return x.new_zeros(0), [(row, SolveStatus.NON_FINITE) for row in unknown]
        try:
            states, failed = self._follow(schedule.on(self._on))
            states = states.to("cpu")
        except torch.OutOfMemoryError as error:
            raise out_of_memory(self.device, error) from error
        if failed:
            return x.new_zeros(0), failed
        return self._outputs(states[schedule.order], rows, x), []

    def _follow(self, schedule: Schedule) -> tuple[torch.Tensor, list[tuple[int, SolveStatus]]]:
        """The states (M, n) that are seen, stretch by stretch, on the device; or the rows that failed."""
        y = schedule.initial
        found = [y[:0]]
        for stretch in schedule.stretches:
            states = y.unsqueeze(1)
            if stretch.moves:
                states, failed = self._advance(y, stretch, schedule.parameters[stretch.parameters])
                if failed:
                    return y[:0], failed
            if len(stretch.seen_rows):
                found.append(states[stretch.seen_rows, stretch.seen_points])
            y = stretch.share * states[:, -1] + stretch.add
        return torch.cat(found), []

    def _advance(
        self, y: torch.Tensor, stretch: Stretch, arguments: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, list[tuple[int, SolveStatus]]]:
        """States (R, E + 2, n) at the points of a stretch, and the rows that failed."""
        start, length, rate = stretch.start, stretch.length, stretch.rate
        span = length.unsqueeze(-1)

        def scaled(u: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
            slopes = self._rhs(start + u * length, *state.unbind(-1), *arguments)
            return span * (torch.stack([full(v, state) for v in slopes], -1) + rate)

        solution = self._integrate(scaled, y, stretch.points)
        reached = solution.stats["n_initialized"] == stretch.points.shape[1]
        finite = torch.isfinite(solution.ys).all(-1).all(-1) & reached
        # the device is asked once whether all went well
        if bool(((solution.status == 0) & finite).all()):
            return solution.ys, []
        # torchode stops every row at the first failure and leaves rubbish behind: blame only rows that report one
        failed = [(r, SolveStatus.MAX_STEPS) for r, c in enumerate(solution.status.to("cpu").tolist()) if c != 0]
        return y, failed or [(r, SolveStatus.NON_FINITE) for r, ok in enumerate(finite.to("cpu").tolist()) if not ok]

    def _integrate(self, rhs, y0: torch.Tensor, t_eval: torch.Tensor, share: float = 1.0):
        """`share`: of the decoder's tolerances. Where y0 is."""
        solver = self._solver(y0.device, share)
        solver.step_method.term.f = rhs
        zero = torch.zeros(len(y0), dtype=y0.dtype, device=y0.device)
        problem = torchode.InitialValueProblem(y0=y0, t_eval=t_eval, t_start=zero, t_end=torch.ones_like(zero))
        return solver.solve(problem)

    def _solver(self, device: torch.device, share: float) -> torchode.AutoDiffAdjoint:
        """Its coefficients are copied to the device once."""
        key = (str(device), share)
        if key not in self._solvers:
            term = torchode.ODETerm(None, with_stats=False)
            atol, rtol = share * self.atol, max(share * self.rtol, _TIGHTEST)
            controller = torchode.IntegralController(atol=atol, rtol=rtol, term=term).to(device, torch.float64)
            method = torchode.Dopri5(term=term).to(device, torch.float64)
            method.tableau = method.tableau.to(device, torch.float64, torch.float64)
            self._solvers[key] = torchode.AutoDiffAdjoint(
                method, controller, max_steps=self.max_steps, backprop_through_step_size_control=False
            )
        return self._solvers[key]

    def _carry_on(self, rhs, y: torch.Tensor) -> torch.Tensor:
        """State (P, m) at time 1 of a system that starts with y at time 0; NaN if the solver gives up. On the CPU."""
        ends = torch.tensor([[0.0, 1.0]], dtype=y.dtype).repeat(len(y), 1)
        solution = self._integrate(rhs, y, ends, share=_STEADY_SHARE)
        failed = bool((solution.status != 0).any())
        return torch.full_like(y, torch.nan) if failed else solution.ys[:, -1]

    # outputs ----------------------------------------------------------------------------------------
    def _outputs(self, states: torch.Tensor, rows: np.ndarray, x: torch.Tensor) -> torch.Tensor:
        """(M,) predictions from the amounts (M, n) at the observations."""
        if not len(states):
            return x.new_zeros(0)
        source = np.concatenate([np.arange(self.table.ob_ptr[s], self.table.ob_ptr[s + 1]) for s in rows])
        own = np.repeat(np.arange(len(rows)), np.diff(self.table.ob_ptr)[rows])
        time, items = torch.as_tensor(self.table.ob_time[source]), torch.as_tensor(self.table.ob_data[source])
        p = self._schedules.at_observations(x, rows, own, source)
        values = self._output(time, *states.unbind(-1), *p.values(), *items.unbind(-1))
        values = [full(v, time) for v in values]
        observed = list(self.form.observed)
        if len(values) == 1:
            return values[0]
        which = torch.as_tensor([observed.index(int(c)) for c in self.table.ob_cmt[source]])
        return torch.stack(values, -1).gather(-1, which.unsqueeze(-1)).squeeze(-1)

    # conversions ------------------------------------------------------------------------------------
    def _tensor(self, x: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.asarray(x, dtype=np.float64))

    def _rows(self, rows: np.ndarray | None) -> np.ndarray:
        return np.arange(self.n_subjects) if rows is None else np.asarray(rows)

    def _solution(
        self, found: list[tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]], rows: np.ndarray | None
    ) -> Solution:
        """Of all chunks."""
        values, jacobians, statuses = zip(*found, strict=True)
        jacobian = None
        if jacobians[0] is not None:
            jacobian = torch.nan_to_num(torch.cat(jacobians), nan=0.0).numpy()
        status = torch.cat(statuses).numpy()
        return Solution(
            prediction=torch.cat(values).numpy(),
            jacobian=jacobian,
            status=status,
            n_steps=np.zeros(len(status), dtype=np.int32),
            ptr=self.row_ptr(rows),
        )
