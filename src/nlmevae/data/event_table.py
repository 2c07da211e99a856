"""Dataset to event table: what happens to each subject, in the order it happens."""

from __future__ import annotations

import numpy as np

from nlmevae.data.covariate_table import covariate_rows, formula_covariates, item_names, item_values
from nlmevae.data.dataset import Dataset
from nlmevae.data.derived_items import check_derived
from nlmevae.data.doses import Doses, check_dose_records, explicit_doses, with_emptied
from nlmevae.data.endpoints import observation_kinds
from nlmevae.data.events import EventTable
from nlmevae.data.roles import Rows
from nlmevae.data.switched_model import with_switches
from nlmevae.data.switches import Switches, compartment_numbers, switches
from nlmevae.data.value_scales import scale_rows, to_scale
from nlmevae.errors import DataError, UnsupportedError
from nlmevae.ir import Model, names_read, past_flags


def event_table(model: Model, dataset: Dataset) -> EventTable:
    """Doses, observations, resets and covariate changes of `dataset` as `model` reads them.

    Where TIME starts again at a reset (EVID 3 or 4), the times of the table go on from the last record
    before it; `record_names` items keep the times of the file.

    Raises:
        DataError: a dose or observation record makes no sense for the model.
        UnsupportedError: legal NONMEM records this version does not execute.
    """
    rows = dataset_rows(model, dataset)
    observed = dataset.mdv == 0
    ptr, turned = dataset.subject_ptr, Switches()
    if model.structural.compartments:
        check_dose_records(model, rows, dataset.evid)
        time = running_time(model, rows, dataset)
        turned = switches(model, rows, dataset.evid, observed, time, ptr)
    executed = with_switches(model, turned.status, output=turned.output)
    covariates, record_items = item_names(executed, rows, observed, ptr)
    check_derived(model, rows, record_items, observed)
    check_derived(model, rows, covariates, observed | bool(model.structural.compartments))
    subject = np.repeat(np.arange(dataset.n_subjects), np.diff(ptr))
    order = record_order(dataset, rows)
    if model.structural.compartments:
        doses = explicit_doses(model, rows, dataset.evid, subject, time, order, turned)
        if dataset.emptied is not None:
            doses = with_emptied(doses, dataset.emptied, subject, time, order)
        held = covariate_rows(rows, covariates, ptr, time, order + (dataset.evid == 4), turned.status)
        covariates += tuple(turned.status)
    else:
        time = rows.of("time") if rows.index("time") is not None else order.astype(float)
        doses = Doses(*(np.zeros(0) for _ in Doses.__slots__))
        held = formula_covariates(rows, covariates, ptr, observed)
    ob_row = np.flatnonzero(observed)
    kinds = observation_kinds(model, rows, ob_row)
    scale = _observed_scale(model, rows, ob_row)
    value = rows.of("dv")[ob_row]
    ob_data = [_with_stand_in(item_values(rows, name)[ob_row], kinds.stand_in.get(name)) for name in record_items]
    return EventTable(
        ev_ptr=_pointer(doses.subject, dataset.n_subjects),
        ev_time=_array(doses.time, float),
        ev_kind=_array(doses.kind, np.int8),
        ev_cmt=_array(doses.cmt, np.int16),
        ev_amt=_array(doses.amt, float),
        ev_rate=_array(doses.rate, float),
        ev_ii=_array(doses.ii, float),
        ev_order=_array(doses.order, np.int32),
        ob_ptr=_pointer(subject[ob_row], dataset.n_subjects),
        ob_time=_array(time[ob_row], float),
        ob_value=_array(value if scale is None else _known_value(to_scale(scale, value)), float),
        ob_cmt=_array(observed_compartment(model, rows, dataset.evid)[ob_row], np.int16),
        ob_row=_array(ob_row, np.int32),
        ob_order=_array(order[ob_row], np.int32),
        start_time=_array(time[ptr[:-1]], float),
        covariate_names=covariates,
        cov_ptr=_array(held.ptr, np.int32),
        cov_time=_array(held.time, float),
        cov_order=_array(held.order, np.int32),
        cov=_array(held.values, float),
        record_names=record_items,
        ob_data=_array(np.column_stack(ob_data) if ob_data else np.zeros((len(ob_row), 0)), float),
        subject_labels=dataset.subject_labels,
        ob_endpoint=kinds.endpoint,
        ob_limits=kinds.limits if scale is None else _limits_on_scale(rows, ob_row, scale, kinds.limits),
        output=turned.output,
        unfed=turned.unfed,
        ob_scale=scale,
    )


def record_switches(model: Model, dataset: Dataset) -> Switches:
    """What the records of a compartmental model say about which compartments are on."""
    rows = dataset_rows(model, dataset)
    time = running_time(model, rows, dataset)
    return switches(model, rows, dataset.evid, dataset.mdv == 0, time, dataset.subject_ptr)


def _observed_scale(model: Model, rows: Rows, ob_row: np.ndarray) -> np.ndarray | None:
    """(M, 3) of outcomes with a transformed distribution; of a record that is no observation that of the last kind,
    whose prediction it gets."""
    scales = () if model.data.monolix is None else model.data.monolix.scales
    if all(s.kind == "identity" for s in scales):
        return None
    kind = rows.values[ob_row, [c.name for c in rows.columns].index("YTYPE")].astype(int)
    return scale_rows(scales, kind - 1)


def _known_value(value: np.ndarray) -> np.ndarray:
    """Records that only ask for a prediction have no value."""
    return np.where(np.isfinite(value), value, 0.0)


def _limits_on_scale(rows: Rows, ob_row: np.ndarray, scale: np.ndarray, limits: np.ndarray | None) -> np.ndarray | None:
    if limits is None:
        return None
    moved = np.column_stack([to_scale(scale, limits[:, 0]), to_scale(scale, limits[:, 1]), limits[:, 2]])
    with np.errstate(invalid="ignore"):
        wrong = ~np.isnan(moved[:, 0]) & ~(moved[:, 0] < moved[:, 1])
    if wrong.any():
        at = int(np.argmax(wrong))
        raise DataError(
            f"the value on line {rows.lines[ob_row[at]]} is said to lie between {limits[at, 0]:g} and "
            f"{limits[at, 1]:g}, where this outcome has no values",
            hint="correct the value and its limit, or the distribution of the outcome",
            location=rows.at(int(ob_row[at]), "dv"),
        )
    return moved


def dataset_rows(model: Model, dataset: Dataset) -> Rows:
    """The dataset with the roles its columns have in the model."""
    used = tuple(k for k, c in enumerate(model.data.columns) if c.role != "drop")
    columns = tuple(model.data.columns[k] for k in used)
    used = tuple(k if model.data.columns[k].role != "derived" else 0 for k in used)
    placed = model.data.monolix is None
    if tuple(c.name for c in columns) != dataset.columns:
        raise DataError(
            f"the data were read with the columns {' '.join(dataset.columns)}, not those of this model's $INPUT",
            hint="read the data with this model",
        )
    wrong = ~np.isfinite(dataset.values) & np.array([c.role != "derived" for c in columns])
    if wrong.any():
        row, column = (int(k[0]) for k in np.nonzero(wrong))
        raise DataError(
            f"{dataset.columns[column]} is not finite on line {dataset.lines[row]}", hint='write "." for missing values'
        )
    return Rows(dataset.path, columns, used, dataset.values, dataset.missing, dataset.lines, placed)


def _with_stand_in(values: np.ndarray, replaced: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    """Values of a data item as the prediction reads them: those of a censored record say that it is not."""
    return values if replaced is None else np.where(replaced[0], replaced[1], values)


def _array(values: np.ndarray, kind: type) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=kind)


def _pointer(subject: np.ndarray, n_subjects: int) -> np.ndarray:
    """(n_subjects + 1,) ranges of a sorted subject index."""
    return np.searchsorted(subject, np.arange(n_subjects + 1)).astype(np.int32)


def record_order(dataset: Dataset, rows: Rows) -> np.ndarray:
    """(n_rows,) rank within the subject; EVID 4 takes two, the reset and the dose, and so does an observation that
    turns its compartment off."""
    size = 1 + (dataset.evid == 4) + ((dataset.evid == 0) & (rows.of("cmt") < 0))
    before = np.cumsum(size) - size
    return before - np.repeat(before[dataset.subject_ptr[:-1]], np.diff(dataset.subject_ptr))


def running_time(model: Model, rows: Rows, dataset: Dataset) -> np.ndarray:
    """(n_rows,) TIME, made to go on where a reset sets it back."""
    time = rows.of("time").copy()
    back = np.diff(time, prepend=time[:1]) < 0
    back[dataset.subject_ptr[:-1]] = False
    if not back.any():
        return time
    row = int(np.argmax(back))
    if dataset.evid[row] not in (3, 4):
        raise DataError(f"TIME goes back on line {rows.lines[row]}", hint="sort each subject's records by time")
    held = names_read(model.program.des) | names_read(model.program.pk)
    clock = sorted(held & {"T", *_time_names(rows)}) or past_flags(model.program)
    if clock:
        where = "the code" if model.data.monolix is None else "the structural model"
        raise UnsupportedError(
            f"TIME starts again at the reset on line {rows.lines[row]}, and {where} reads {clock[0]}",
            hint="let TIME go on, or give the period its own ID",
            location=rows.at(row, "time"),
        )
    for row in np.flatnonzero(back):
        end = int(dataset.subject_ptr[np.searchsorted(dataset.subject_ptr, row, side="right")])
        time[row:end] = time[row - 1] + (time[row:end] - time[row])  # so that the reset itself is not rounded
    return time


def _time_names(rows: Rows) -> set[str]:
    column = rows.columns[rows.index("time")]
    return {name for name in (column.name, column.synonym) if name}


def observed_compartment(model: Model, rows: Rows, evid: np.ndarray) -> np.ndarray:
    """(n_rows,) compartment a record observes, 0 for a model without compartments. An observation may turn the
    compartment off (CMT = -n); other records that turn one on or off have the prediction of the default one."""
    structural = model.structural
    if not structural.compartments:
        return np.zeros(len(rows.values), dtype=int)
    cmt = compartment_numbers(structural, rows)
    cmt = np.where(evid == 0, np.abs(cmt), cmt)
    if structural.output is not None:
        seen = [c.number for c in (*structural.compartments, structural.output) if c.output_type]
        cmt = np.where((evid != 0) & np.isin(cmt, seen), 0, cmt)
    return np.where(cmt <= 0, structural.default_observation, cmt)
