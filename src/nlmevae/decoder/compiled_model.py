"""What the engine reads, as arrays: the event table, sparse patterns, workspaces, and the record of their
addresses (records.PLAN)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.codegen.link_llvm import MachineCode
from nlmevae.data.events import DOSE_KINDS, STEADY_KINDS, EventTable
from nlmevae.decoder import engine
from nlmevae.decoder import engine_records as records
from nlmevae.decoder.kernels import KERNELS, print_kernels
from nlmevae.decoder.layout import Layout, make_layout
from nlmevae.decoder.logarithms import share_for_logarithms
from nlmevae.decoder.steady_state import SteadyStates, unknown_states
from nlmevae.errors import UnsupportedError

_FIELD = {name: i for i, name in enumerate(records.PLAN.names)}
_PER_CALL = ("n_rows", "n_predictions", "x", "rows", "ptr", "prediction", "jacobian", "status", "steps", "n_steady",
             "steady_ptr", "steady", "steady_block", "steady_sens")  # fmt: skip
_PER_CALL_FIELDS = np.array([_FIELD[name] for name in _PER_CALL])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """atol None: `share` of rtol times the largest amount a compartment has held."""

    rtol: float
    atol: float | None
    share: float


#: Absolute tolerance, as a share of rtol times the largest amount the compartment has held.
_ATOL_SHARE = 0.01


def make_tolerances(form: LatentForm, *, rtol: float, atol: float | None) -> Tolerances:
    """The usual ones of a model, unless `atol` is given."""
    return Tolerances(rtol=rtol, atol=atol, share=_ATOL_SHARE * share_for_logarithms(form))


class CompiledModel:
    """Compiled kernels of one model, joined with one event table.

    Args:
        wrt: inputs the sensitivities refer to: all of them, or none for predictions only.
        implicit: integrate with the Rosenbrock method, for stiff models.
    """

    def __init__(
        self, form: LatentForm, table: EventTable, wrt: tuple[str, ...], width: int, *, implicit: bool = False
    ) -> None:
        self.layout = make_layout(form, wrt, implicit=implicit)
        self.width, self.n_wrt = width, len(wrt)
        self.code = MachineCode(print_kernels(self.layout, width), KERNELS)
        # the plan holds addresses only; these keep what they point to alive
        self._arrays = {**_table_arrays(form, table), **_maps(self.layout)}
        self._capacity = 2 + 2 * int(np.diff(table.ev_ptr).max(initial=0)) + len(form.switches)
        self._base = _base_plan(self.layout, self.code, self._arrays, width, self._capacity)
        #: What `steady_arrays` makes of no steady states.
        self.no_steady = self.steady_arrays(unknown_states(np.zeros(1, dtype=np.int64), form))

    def close(self) -> None:
        self.code.close()

    def steady_arrays(self, steady: SteadyStates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Steady states as the engine reads them: records.STEADY (P,), amounts and sensitivities in the order of a
        state block (P, n_block), derivatives of rate and end of running infusions (P, 2, n_wrt)."""
        n_pairs, wrt = len(steady.status), self.layout.wrt
        known = np.zeros(n_pairs, dtype=records.STEADY)
        known["rate"], known["ends"] = steady.rate, steady.ends
        known["running"], known["status"] = steady.running, steady.status
        sens = np.zeros((n_pairs, 2, len(wrt)))
        pairs = np.array(self.layout.sensitivities, dtype=np.int64).reshape(-1, 2)
        block = np.hstack([steady.amounts, steady.d_amounts[:, pairs[:, 0], pairs[:, 1]]] if wrt else [steady.amounts])
        if wrt:
            sens[:, 0], sens[:, 1] = steady.d_rate, steady.d_ends
        return known, np.ascontiguousarray(block), sens

    def workspace(self, tolerances: Tolerances, *, max_steps: int) -> Workspace:
        return Workspace(self._base, self.layout, self.width, self._capacity, tolerances, max_steps)


class Workspace:
    """Memory of one running engine; not shared between threads."""

    def __init__(
        self, base: np.ndarray, layout: Layout, width: int, capacity: int, tolerances: Tolerances, max_steps: int
    ) -> None:
        n, n_wrt, scalar = layout.form.n_compartments, len(layout.wrt), layout.scalar
        work = _aligned_zeros(layout.size, width)
        rtol, atol = tolerances.rtol, tolerances.atol
        work[scalar["rtol"]] = rtol
        work[scalar["atol_growth"]] = tolerances.share * rtol if atol is None else 0.0
        work[layout.start["atol"] : layout.start["atol"] + n] = atol or 0.0
        work[scalar["max_steps"]] = max_steps
        self._arrays = {
            "work": work,
            "lanes": np.zeros(width, dtype=records.LANE),
            "pending": np.zeros((width, capacity), dtype=records.PENDING),
            "pending_sens": np.zeros((width, capacity, 2, n_wrt)),
            "jump": np.zeros((width, n + n_wrt)),
        }
        self._fields = base.copy()
        for name, array in self._arrays.items():
            self._fields[_FIELD[name]] = _address(array)
        self._plan = self._fields.view(records.PLAN)

    def run(self, call: Call, start: int, end: int) -> None:
        """Solve rows start:end of a call."""
        self._fields[_PER_CALL_FIELDS] = call.fields(start, end)
        engine.run_rows(self._plan, True if call.n_steady else None)


@dataclass(frozen=True, slots=True)
class Call:
    """The arrays of a call and where they are, looked up once for all parts of its rows.

    by_row (R, ...): x, rows, ptr, status, n_steps, ranges of the rows in the steady states; whole: prediction,
    jacobian and the steady states as `CompiledModel.steady_arrays` makes them. status and n_steps are zero at the
    start.
    """

    by_row: tuple[np.ndarray, ...]
    whole: tuple[np.ndarray, ...]
    _address: tuple[int, ...]
    _stride: tuple[int, ...]

    @classmethod
    def of(cls, by_row: tuple[np.ndarray, ...], whole: tuple[np.ndarray, ...]) -> Call:
        address = tuple(map(_address, (*by_row, *whole)))
        return cls(by_row, whole, address, tuple(array.strides[0] for array in by_row))

    @property
    def n_steady(self) -> int:
        return len(self.whole[2])

    def fields(self, start: int, end: int) -> list[int]:
        """Of `_PER_CALL_FIELDS`, for rows start:end."""
        found = [a + start * s for a, s in zip(self._address, self._stride, strict=False)]
        x, rows, ptr, status, steps, ranges = found
        prediction, jacobian, *steady = self._address[len(found) :]
        counts = end - start, len(self.whole[0])
        return [*counts, x, rows, ptr, prediction, jacobian, status, steps, self.n_steady, ranges, *steady]


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def _aligned_zeros(size: int, width: int) -> np.ndarray:
    """(size, width) zeros on a 64-byte boundary."""
    raw = np.zeros(size * width + 8)
    offset = (-_address(raw) % 64) // 8
    return raw[offset : offset + size * width].reshape(size, width)


def _base_plan(
    layout: Layout, code: MachineCode, arrays: dict[str, np.ndarray], width: int, capacity: int
) -> np.ndarray:
    """Everything that is the same for all calls, as the int64 fields of records.PLAN."""
    form = layout.form
    known = {
        **layout.scalar,
        **layout.start,
        **{f"run_{name}": address for name, address in code.address.items()},
        **{name: _address(array) for name, array in arrays.items()},
        "n_states": form.n_compartments,
        "n_dose_inputs": len(form.dosing),
        "n_inputs": form.n_inputs,
        "n_covariates": len(form.covariates),
        "n_records": len(form.record_items),
        "n_parameters": len(form.parameters),
        "n_switches": len(form.switches),
        "n_outputs": len(form.observed),
        "n_wrt": len(layout.wrt),
        "width": width,
        "capacity": capacity,
        "n_subjects": len(arrays["subjects"]),
        "n_events": len(arrays["events"]),
        "n_observations": len(arrays["observations"]),
        "n_covariate_rows": len(arrays["covariates"]),
        "n_block": form.n_compartments + len(layout.sensitivities),
        "n_forcing": form.n_compartments + len(layout.forcing_sensitivities),
    }
    return np.array([known.get(name, 0) for name in records.PLAN.names], dtype=np.int64)


def _maps(layout: Layout) -> dict[str, np.ndarray]:
    """Sparse patterns as slot numbers, -1 for what is zero.

    dosing_map (n_dose_inputs, 4): parameter index of bioavailability, lag, duration and rate; switch_map (n_switches,):
    of model times; parameter_map (n_parameters, n_wrt); state_map (n_states, n_wrt): row within a state block;
    forcing_map (n_states, n_wrt): within the running infusions; output_map (n_outputs, n_wrt).
    """
    form, n, width = layout.form, layout.form.n_compartments, len(layout.wrt)
    state = {pair: n + index for index, pair in enumerate(layout.sensitivities)}
    start = layout.start["output_sens"]
    output = {pair: start + index for index, pair in enumerate(layout.output_sensitivities)}
    forcing = {pair: n + index for index, pair in enumerate(layout.forcing_sensitivities)}
    dosing = [_parameter_index(form, (t.bioavailability, t.lag, t.duration, t.rate)) for t in form.dosing]
    return {
        "dosing_map": np.array(dosing, dtype=np.int64).reshape(-1, 4),
        "switch_map": np.array([form.parameters.index(name) for name in form.model_times], dtype=np.int64),
        "parameter_map": _dense_map(layout.parameter_by_input_slot, len(form.parameters), width),
        "state_map": _dense_map(state, n, width),
        "forcing_map": _dense_map(forcing, n, width),
        "output_map": _dense_map(output, len(form.observed), width),
    }


def _parameter_index(form: LatentForm, names: tuple[str | None, ...]) -> list[int]:
    return [-1 if name is None else form.parameters.index(name) for name in names]


def _dense_map(entries: dict[tuple[int, int], int], n_rows: int, n_columns: int) -> np.ndarray:
    table = np.full((n_rows, n_columns), -1, dtype=np.int64)
    for place, slot in entries.items():
        table[place] = slot
    return table


def _table_arrays(form: LatentForm, table: EventTable) -> dict[str, np.ndarray]:
    """The engine's copy of the event table. records (M, n_records); covariates (C, 2 + n_covariates) with
    time and order first; dose_scale (N, n_states)."""
    ranges = {
        name: (ptr[:-1], ptr[1:])
        for name, ptr in (("event", table.ev_ptr), ("observation", table.ob_ptr), ("covariate", table.cov_ptr))
    }
    subjects = np.zeros(table.n_subjects, dtype=records.SUBJECT)
    for name, (start, end) in ranges.items():
        subjects[name], subjects[f"{name}_end"] = start, end
    subjects["start"] = table.start_time
    events = np.zeros(len(table.ev_time), dtype=records.EVENT)
    events["time"], events["amount"], events["rate"] = table.ev_time, table.ev_amt, table.ev_rate
    events["kind"], events["input"] = table.ev_kind, table.ev_cmt.astype(np.int64) - 1
    events["compartment"] = form.dosed_states(table.ev_cmt)
    events["order"], events["interval"] = table.ev_order, table.ev_ii
    observations = np.zeros(table.n_obs_total, dtype=records.OBSERVATION)
    observations["time"], observations["order"] = table.ob_time, table.ob_order
    observations["output"] = _output_index(form, table.ob_cmt)
    return {
        "subjects": subjects,
        "events": events,
        "observations": observations,
        "records": np.array(table.ob_data, dtype=np.float64, order="C"),
        "covariates": np.array(
            np.column_stack([table.cov_time, table.cov_order, table.cov]), dtype=np.float64, order="C"
        ),
        "dose_scale": _dose_scale(form, table),
    }


def _dose_scale(form: LatentForm, table: EventTable) -> np.ndarray:
    """(N, n_states) largest dose each compartment of each subject gets."""
    scale = np.zeros((table.n_subjects, form.n_compartments))
    subject = np.repeat(np.arange(table.n_subjects), np.diff(table.ev_ptr))
    doses = np.isin(table.ev_kind, (*DOSE_KINDS, *STEADY_KINDS))
    np.maximum.at(scale, (subject[doses], form.dosed_states(table.ev_cmt)[doses]), table.ev_amt[doses])
    return scale


def _output_index(form: LatentForm, compartments: np.ndarray) -> np.ndarray:
    """Which output of `form.output` predicts each observation."""
    index = {compartment: o for o, compartment in enumerate(form.observed)}
    missing = sorted(set(compartments.tolist()) - set(index))
    if missing:
        raise UnsupportedError(
            f"The data observe compartment {missing[0]}, which the model does not predict.",
            hint="Check the CMT column of the observation records.",
        )
    return np.array([index[c] for c in compartments.tolist()], dtype=np.int64)
