"""Entries of the report on data, structure and what else a control stream asks for."""

from __future__ import annotations

import numpy as np

from nlmevae.ir import Model
from nlmevae_translators.report import Entry, EntryKind
from nlmevae_translators.to_monolix.data_text import DataText
from nlmevae_translators.to_monolix.doses import Doses
from nlmevae_translators.to_monolix.groups import OutcomeGroup
from nlmevae_translators.to_monolix.regressors import Regressors
from nlmevae_translators.to_monolix.source_data import SourceData


def data_entries(
    data: SourceData,
    doses: Doses,
    groups: list[OutcomeGroup],
    regressors: Regressors,
    rows: DataText,
    n_doses: int,
) -> list[Entry]:
    """Of $DATA, $INPUT, doses, outcomes and regressors."""
    model = data.model
    at = model.data.at

    def entry(construct: str, kind: EntryKind, reason: str, target: str = "") -> Entry:
        return Entry(construct=construct, kind=kind, reason=reason, source=at, target=target)

    filters = model.data.ignore or model.data.accept or model.data.records
    n, kept = len(data.subject), len(rows.columns["ID"])
    reason = f"{kept} of the {n} records that are left of {model.data.path} are in a new file with Monolix's columns"
    if filters:
        reason += "; IGNORE, ACCEPT and RECORDS are applied"
    found = [entry("$DATA, $INPUT", "rule", reason, "header")]
    if model.structural.compartments:
        found.append(entry(f"$SUBROUTINES {model.structural.solver_name}", "rule", _structure_reason(model)))
    for a in doses.administrations:
        codes = {"record": "", "duration": ", RATE=-2: Tk0", "rate": ", RATE=-1: Tk0 = amtDose/R"}[a.way]
        found.append(entry(f"doses into compartment {a.input.number}{codes}", "rule", f"administration {a.number}"))
    if "SS" in rows.columns:
        reason = f"NONMEM's steady state is exact, Monolix adds {n_doses} doses before the dose"
        found.append(entry("SS=1", "lossy", reason, "SS"))
    if np.any(data.run.dataset.evid == 4):
        found.append(entry("EVID=4", "rule", "event identifier 3: a reset and a dose; times go on"))
    if len(groups) > 1:
        found.append(entry("outcomes", "rule", f"{len(groups)} observation types in the column YTYPE"))
    if data.run.table.ob_limits is not None:
        found.append(entry("F_FLAG, CENS", "rule", "values known as intervals: columns CENS and LIMIT"))
    for name, (item, ahead) in regressors.columns.items():
        reason = f"regressor {name}"
        if ahead:
            reason += ": at each record the value of the next one, because Monolix carries values forward"
        found.append(entry(item, "rule", reason, name))
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
