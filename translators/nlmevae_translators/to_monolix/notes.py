"""Entries of the report on data, structure and what else a control stream asks for."""

from __future__ import annotations

import numpy as np

from nlmevae.errors import Location
from nlmevae.ir import Model
from nlmevae_translators.report import Entry, EntryKind
from nlmevae_translators.to_monolix.data_text import DataText
from nlmevae_translators.to_monolix.doses import Doses
from nlmevae_translators.to_monolix.groups import OutcomeGroup
from nlmevae_translators.to_monolix.occasions import Occasions
from nlmevae_translators.to_monolix.places import assigned_at, outcome_at, read_at
from nlmevae_translators.to_monolix.plain_events import EventEdit
from nlmevae_translators.to_monolix.regressors import Regressors
from nlmevae_translators.to_monolix.source_data import SourceData

_WAYS = {
    "record": "",
    "duration": ", RATE=-2: Tk0",
    "rate": ", RATE=-1: Tk0 = amtDose/R",
    "share": ", RATE>0 with F, which acts on the duration: Tk0 = amtDose F/RATE",
}


def file_entry(data: SourceData, rows: DataText) -> Entry:
    """Of $DATA and $INPUT: the file that is written instead."""
    spec = data.model.data
    n, kept = len(data.subject), len(rows.columns["ID"])
    reason = f"the {n} records that are used of {spec.path} are {kept} in a new file with Monolix's columns"
    if spec.ignore or spec.accept or spec.records:
        reason += "; IGNORE, ACCEPT and RECORDS are applied"
    return Entry(construct="$DATA, $INPUT", kind="rule", reason=reason, source=spec.at, target="header")


def data_entries(
    data: SourceData,
    doses: Doses,
    groups: list[OutcomeGroup],
    regressors: Regressors,
    rows: DataText,
    n_doses: int,
) -> list[Entry]:
    """Of doses, outcomes and regressors."""
    model = data.model
    at = model.data.at

    def entry(construct: str, kind: EntryKind, reason: str, target: str = "", source: Location | None = at) -> Entry:
        return Entry(construct=construct, kind=kind, reason=reason, source=source, target=target)

    found = []
    if model.structural.compartments:
        found.append(
            Entry(
                construct=f"$SUBROUTINES {model.structural.solver_name}",
                kind="rule",
                reason=_structure_reason(model),
                source=model.structural.at,
            )
        )
    for a in doses.administrations:
        stated = assigned_at(model, a.input.duration if a.way == "duration" else None, a.input.rate, a.input.lag) or at
        where = " and ".join(f"{item}={value:g}" for item, value in a.items.items())
        construct = f"doses into compartment {a.input.number}{_WAYS[a.way]}" + (f", {where}" if where else "")
        found.append(entry(construct, "rule", f"administration {a.number}", source=stated))
    for compartment, number in doses.emptying.items():
        found.append(entry(f"CMT=-{compartment}", "rule", f"turned off and on again: empty(adm={number})"))
    if np.any(doses.data.rows.of("ss")[doses.is_dose] > 0):
        reason = f"NONMEM's steady state is exact, Monolix adds {n_doses} doses before the dose"
        found.append(entry("SS=1", "lossy", reason, "SS"))
    if data.occasion is not None and np.any(doses.resets & ~doses.opens) and not data.restarts:
        found.append(entry("EVID=4", "rule", "event identifier 3: a reset and a dose; times go on"))
    if len(groups) > 1:
        reason = f"{len(groups)} observation types in the column YTYPE"
        found.append(entry("outcomes", "rule", reason, source=outcome_at(model)))
    if data.run.table.ob_limits is not None:
        reason = "values known as intervals: columns CENS and LIMIT"
        found.append(entry("F_FLAG, CENS", "rule", reason, source=assigned_at(model, "F_FLAG", "Y")))
    for name, (item, ahead) in regressors.columns.items():
        reason = f"regressor {name}"
        if ahead:
            reason += ": at each record the value of the next one, because Monolix carries values forward"
        names = [n for n, canonical in data.canonical.items() if canonical == item]
        found.append(entry(item, "rule", reason, name, read_at(model, names)))
    return found


def event_entries(data: SourceData, made: tuple[EventEdit, ...]) -> list[Entry]:
    """Of resets, and of records that became others; those of one kind in one entry."""
    model = data.model
    kinds: dict[tuple, list[EventEdit]] = {}
    for edit in made:
        kinds.setdefault((edit.steady, edit.reset, edit.constant, edit.later > 0.0), []).append(edit)
    found = _reset_entries(data)
    for (steady, reset, constant, moved), edits in kinds.items():
        if steady:
            counts = sorted({e.n_doses for e in edits})
            doses = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
            before = "a constant infusion before it" if constant else f"{doses} doses before it"
            reason = f"{'a reset, then ' if reset else ''}{before}; NONMEM's steady state is exact, see the proof"
            if not reset and model.structural.closed_form is None:
                reason += "; they add up so only where the equations are linear"
        else:
            reason = "it has the time of a value, and Monolix does not define which comes first"
            if not moved:
                reason = "doses at its time, which it cancels, are left out"
        if moved:
            reason += f"; it and what follows come {edits[0].later:g} later, on which no prediction depends"
        construct = f"SS={steady}" if steady else "reset"
        kind: EntryKind = "lossy" if steady else "rule"
        where = f"{construct} on line{_listed([e.line for e in edits])}"
        found.append(Entry(construct=where, kind=kind, reason=reason, source=model.data.at))
    return found


def _reset_entries(data: SourceData) -> list[Entry]:
    model, evid = data.model, data.run.dataset.evid
    found = []
    for code, what in ((4, "a reset and a dose"), (3, "with the amount 0: a reset")):
        if model.structural.compartments and np.any(evid == code):
            reason = f"event identifier 3, {what}; times go on"
            found.append(Entry(construct=f"EVID={code}", kind="rule", reason=reason, source=model.data.at))
    return found


def _listed(lines: list[int], most: int = 8) -> str:
    shown = ", ".join(map(str, lines[:most])) + (", ..." if len(lines) > most else "")
    return f" {shown}" if len(lines) == 1 else f"s {shown}"


def occasion_entries(data: SourceData, occasions: Occasions | None, rows: DataText) -> list[Entry]:
    """Of the column of occasions and the times at which they begin."""
    if occasions is None:
        return []
    at = data.model.data.at
    column = next((name for name, use in rows.uses.items() if use == "occasion"), "")
    found = []
    if column:
        what = f"values of {occasions.item}" if occasions.item else "numbered by which ETA acts on a record"
        reason = f"column {column}: {what}"
        if data.restarts:
            reason += "; TIME begins anew with every occasion, which empties the compartments: resets are left out"
        found.append(Entry(construct="occasions", kind="rule", reason=reason, source=at, target=column))
    if rows.begun:
        reason = (
            f"{rows.begun} lines without dose or observation: an occasion begins where the last record of the one "
            "before was, as NONMEM's value of a record holds from the record before it up to itself"
        )
        found.append(Entry(construct="beginnings of occasions", kind="rule", reason=reason, source=at, target=column))
    if rows.moved:
        reason = (
            f"{rows.moved} lines at the time of the last line of the occasion before are later by less than 1e-8 of "
            "the time to the next: Monolix does not say what occasions do that touch"
        )
        found.append(Entry(construct="occasions that touch", kind="rule", reason=reason, source=at, target=column))
    if rows.added:
        reason = (
            f"{rows.added} doses that ADDL or SS imply are lines: they reach another occasion, or their occasion "
            "begins with the steady state, which leaves nothing of the doses before"
        )
        found.append(Entry(construct="ADDL, SS", kind="rule", reason=reason, source=at, target=column))
    if occasions.unused:
        reason = "left out: the data have no record of this occasion"
        construct = ", ".join(e for e in data.model.etas if e in occasions.unused)
        found.append(Entry(construct=construct, kind="rule", reason=reason, source=at))
    return found


def _structure_reason(model: Model) -> str:
    if model.structural.closed_form is None or any(c.initial for c in model.structural.compartments):
        return "differential equations (ddt_) with depot macros"
    return "compartments and flows as macros, which are solved exactly"


def request_entries(model: Model) -> list[Entry]:
    """Of $ESTIMATION, $COVARIANCE, $TABLE, $SIMULATION."""
    found = []
    for step in model.estimation:
        reason = "Monolix estimates by SAEM; the options of the method have no counterpart"
        found.append(Entry(construct=f"$ESTIMATION {step.method}", kind="rule", reason=reason, source=step.at))
    for table in model.tables:
        reason = "Monolix writes its own tables; the model is the same"
        found.append(Entry(construct="$TABLE", kind="rule", reason=reason, source=table.at))
    if model.covariance is not None:
        reason = "the task fim"
        found.append(Entry(construct="$COVARIANCE", kind="rule", reason=reason, source=model.covariance.at))
    if model.simulation is not None:
        reason = "a project does not simulate; use the model in Simulx"
        found.append(Entry(construct="$SIMULATION", kind="rule", reason=reason, source=model.simulation.at))
    return found
