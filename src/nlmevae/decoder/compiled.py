"""Decoder back end: generated machine code with forward sensitivities, the default for every model.

Models with compartments go through the Runge-Kutta kernels and the engine; models given by a formula
are one compiled function of each observation.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.codegen.link_llvm import host_width
from nlmevae.data.events import EventTable
from nlmevae.decoder.base import Decoder, Solution, SolveStatus
from nlmevae.decoder.compiled_model import Call, Workspace, make_tolerances
from nlmevae.decoder.model_code import Kind, ModelCode
from nlmevae.decoder.steady_state import SteadyStateSolver
from nlmevae.threads import each, inside, parts, shared_by

Method = Literal["auto", "explicit", "rosenbrock"]
_PILOT_ROWS = 8
#: Rows that one thread solves at a time.
_SHARED = 512
#: A Rosenbrock step costs at most about this many explicit steps. Measured with and without derivatives: 0.6 with one
#: state, 0.8 with three, 1.0 to 1.3 (indirect response) and 1.7 to 2.0 (target-mediated disposition) with four.
_COST_OF_ROSENBROCK_STEP = 2.0
_USUAL_STEPS, _STEPS_PER_EVENT, _MORE_FOR_ROSENBROCK = 10_000, 50, 10
#: Tolerances of steady states, as a share of those of the predictions, and the tightest that rounding allows.
_STEADY_SHARE, _TIGHTEST = 0.01, 1e-13


class CompiledDecoder(Decoder):
    """Dormand-Prince 5(4) or RODAS 4(3) with dense output, W rows at a time, one step length per row.

    Kernels with and without sensitivities are compiled when first needed. Calls from several threads at
    once are safe.

    Args:
        rtol: relative tolerance of the amounts.
        atol: absolute tolerance of every amount; None: rtol / 100 of the largest amount the compartment
            has held so far (its largest dose, at the start), and much less where logarithms are predicted.
        max_steps: per row, rejected steps included; a row that needs more gets SolveStatus.MAX_STEPS. None: 10 000 and
            some for every dose and reset, ten times as many of the Rosenbrock method.
        threads: that share the rows, unless the caller shares work already.
        width: rows per SIMD group (1, 2, 4, 8); None: what suits the CPU.
        method: "explicit", "rosenbrock" (for stiff models) or "auto": rows the explicit method cannot
            finish within max_steps are repeated with the Rosenbrock method; for a model declared stiff
            both are tried on a few rows of the first call and the cheaper one is kept.
        draws_rtol: of `for_draws`, if that is looser.
        code: of the same form, table and width, if there is already some; who made it closes it.
    """

    backend = "compiled"

    def __init__(
        self,
        form: LatentForm,
        table: EventTable,
        *,
        rtol: float = 1e-8,
        atol: float | None = None,
        max_steps: int | None = None,
        threads: int = 1,
        width: int | None = None,
        method: Method = "auto",
        draws_rtol: float | None = None,
        code: ModelCode | None = None,
    ) -> None:
        super().__init__(form, table)
        self.tolerances = make_tolerances(form, rtol=rtol, atol=atol)
        self.max_steps = max_steps
        self.threads = threads
        self.width = width or host_width()
        self.method = method
        #: whether the Rosenbrock method is taken
        self.learned = {"explicit": False, "rosenbrock": True, "auto": None}[method]
        self._all_rows = np.arange(table.n_subjects)
        self._counts = np.diff(table.ob_ptr).astype(np.int64)
        self._code, self._owns_code = code or ModelCode(form, table, self.width), code is None
        self._idle: dict[Kind, list[Workspace]] = {(s, i): [] for s in (False, True) for i in (False, True)}
        self._steady = self._steady_solver() if table.ev_is_steady.any() else None
        self._for_draws = self.at(draws_rtol) if draws_rtol is not None and rtol < draws_rtol else self

    def predict(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        return self._solve(x, rows, sensitivities=False)

    def linearise(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        return self._solve(x, rows, sensitivities=True)

    def at(self, rtol: float) -> CompiledDecoder:
        """Shares the machine code: tolerances are numbers that it reads."""
        options = {"max_steps": self.max_steps, "threads": self.threads, "width": self.width, "method": self.method}
        return CompiledDecoder(self.form, self.table, rtol=rtol, code=self._code, **options)

    @property
    def for_draws(self) -> CompiledDecoder:
        return self._for_draws

    def close(self) -> None:
        for idle in self._idle.values():
            idle.clear()
        if self._steady is not None:
            self._steady.close()
        if self._for_draws is not self:
            self._for_draws.close()
        if self._owns_code:
            self._code.close()

    def _solve(self, x: np.ndarray, rows: np.ndarray | None, *, sensitivities: bool) -> Solution:
        rows = self._all_rows if rows is None else np.ascontiguousarray(rows, dtype=np.int64)
        x = np.ascontiguousarray(x, dtype=np.float64)
        if x.shape != (len(rows), self.n_inputs):
            raise ValueError(f"x has shape {x.shape}, expected {(len(rows), self.n_inputs)}")
        if self.form.n_compartments == 0:
            return self._code.formula(sensitivities=sensitivities).solve(x, rows, self._pointer(rows))
        implicit = self._is_stiff(x, rows) if self.learned is None else self.learned
        if not inside():
            self.learned = implicit
        solution = self._integrate(x, rows, sensitivities=sensitivities, implicit=implicit)
        exhausted = np.flatnonzero(solution.status == SolveStatus.MAX_STEPS)
        if self.method == "auto" and not implicit and len(exhausted):
            self._repeat(solution, x, rows, exhausted, sensitivities=sensitivities)
            if not inside():
                self.learned = 2 * len(exhausted) > len(rows)  # then later calls need not try in vain
        return solution

    def _steady_solver(self) -> SteadyStateSolver:
        """With tolerances well below those of the predictions: errors of one interval add up over all of them."""
        rtol = max(_STEADY_SHARE * self.tolerances.rtol, _TIGHTEST)
        atol = None if self.tolerances.atol is None else _STEADY_SHARE * self.tolerances.atol
        model = self.form.model
        stiff = self.method == "rosenbrock" or (model is not None and model.structural.stiff)

        def make_flow(form: LatentForm, table: EventTable) -> CompiledDecoder:
            method: Method = "rosenbrock" if stiff else self.method
            options = {"max_steps": self.max_steps, "threads": self.threads, "width": self.width}
            return CompiledDecoder(form, table, rtol=rtol, atol=atol, method=method, **options)

        return SteadyStateSolver(self.form, self.table, make_flow, rtol=rtol)

    def _pointer(self, rows: np.ndarray) -> np.ndarray:
        ptr = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(self._counts[rows], out=ptr[1:])
        return ptr

    # choice of method -----------------------------------------------------------------------------
    def _is_stiff(self, x: np.ndarray, rows: np.ndarray) -> bool:
        """Steps, not time, decide: the choice must not depend on how busy the machine is."""
        model = self.form.model
        if model is None or not model.structural.stiff:
            return False
        few = slice(0, _PILOT_ROWS)
        explicit, implicit = (
            self._integrate(x[few], rows[few], sensitivities=False, implicit=i) for i in (False, True)
        )
        solved = (implicit.status == SolveStatus.OK) & (self._counts[rows[few]] > 0)
        return bool(explicit.n_steps[solved].sum() > _COST_OF_ROSENBROCK_STEP * implicit.n_steps[solved].sum())

    def _repeat(
        self, solution: Solution, x: np.ndarray, rows: np.ndarray, which: np.ndarray, *, sensitivities: bool
    ) -> None:
        """Replace the results of rows `which` by those of the Rosenbrock method."""
        again = self._integrate(x[which], rows[which], sensitivities=sensitivities, implicit=True)
        for r, row in enumerate(which):
            source = slice(again.ptr[r], again.ptr[r + 1])
            target = slice(solution.ptr[row], solution.ptr[row + 1])
            solution.prediction[target] = again.prediction[source]
            if sensitivities:
                solution.jacobian[target] = again.jacobian[source]
            solution.status[row], solution.n_steps[row] = again.status[r], again.n_steps[r]

    def _most_steps(self, *, implicit: bool) -> int:
        """Every event is a corner at which the steps begin anew. The Rosenbrock method is the last resort, and its
        order is lower."""
        if self.max_steps is not None:
            return self.max_steps
        events = int(np.diff(self.table.ev_ptr).max(initial=0))
        return (_USUAL_STEPS + _STEPS_PER_EVENT * events) * (_MORE_FOR_ROSENBROCK if implicit else 1)

    # running the engine ---------------------------------------------------------------------------
    def _integrate(self, x: np.ndarray, rows: np.ndarray, *, sensitivities: bool, implicit: bool) -> Solution:
        kind = (sensitivities, implicit)
        model, ptr = self._code.model(kind), self._pointer(rows)
        prediction, jacobian = np.empty(ptr[-1]), np.empty((ptr[-1], model.n_wrt))
        status, n_steps = np.zeros(len(rows), dtype=np.int32), np.zeros(len(rows), dtype=np.int32)
        ranges, steady = np.zeros(len(rows) + 1, dtype=np.int64), model.no_steady
        if self._steady is not None:
            states = self._steady.solve(x, rows)
            ranges, steady = states.ptr, model.steady_arrays(states)
        call = Call.of((x, rows, ptr, status, n_steps, ranges), (prediction, jacobian, *steady))
        with shared_by(self.threads):
            each(lambda part: self._run(kind, call, part), parts(len(rows), _SHARED))
        jacobian = jacobian if sensitivities else None
        return Solution(prediction=prediction, jacobian=jacobian, status=status, n_steps=n_steps, ptr=ptr)

    def _run(self, kind: Kind, call: Call, part: slice) -> None:
        idle = self._idle[kind]
        try:
            workspace = idle.pop()
        except IndexError:
            most = self._most_steps(implicit=kind[1])
            workspace = self._code.model(kind).workspace(self.tolerances, max_steps=most)
        workspace.run(call, part.start, part.stop)
        idle.append(workspace)
