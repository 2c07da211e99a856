"""What `--allow-lossy` leaves out: constructs that no prediction depends on, one by one.

$PRIOR                              estimates change, predictions do not
L2                                  residual errors of one time become independent
a value above a limit (M2, M4)      the likelihood is that of M1, M3
a value just after a bolus          the record is not an observation; the others are as they were

Everything else that is refused is part of the model: without it another one would be written.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nlmevae.data.event_table import event_table
from nlmevae.errors import UnsupportedError
from nlmevae.ir import Model, names_read
from nlmevae.pipeline import prepare
from nlmevae.prepared_run import PreparedRun
from nlmevae_translators.report import Entry
from nlmevae_translators.to_monolix.doses import Doses
from nlmevae_translators.to_monolix.groups import outcome_groups
from nlmevae_translators.to_monolix.source_data import SourceData

#: Said of what is refused with --allow-lossy, too.
NOT_LEFT_OUT = "it cannot be left out: without it this is another model"


def _left_out(construct: str, reason: str, source=None) -> Entry:
    return Entry(construct=construct, kind="lossy", reason=f"left out: {reason}", source=source)


def without_statements(model: Model) -> tuple[Model, tuple[Entry, ...]]:
    """The model without its prior and without conditions of its likelihood on limits."""
    entries = []
    if model.prior is not None:
        reason = "estimates are those of the likelihood alone; predictions do not depend on it"
        entries.append(_left_out(model.prior.stated_by, reason, model.prior.at))
        model = replace(model, prior=None)
    if any(o.floor is not None or any(c.floor is not None for c in o.censoring) for o in model.observations):
        at = next((b.at for b in model.sigma), None)
        reason = "the condition that values lie above a limit (M2, M4): the likelihood is that of M1 or M3"
        entries.append(_left_out("likelihood given a limit", reason, at))
        observations = (
            replace(o, floor=None, censoring=tuple(replace(c, floor=None) for c in o.censoring))
            for o in model.observations
        )
        model = replace(model, observations=tuple(observations))
    return model, tuple(entries)


def prepared_without_level_two(model: Model, data: Path | None) -> tuple[PreparedRun, tuple[Entry, ...]]:
    """The model with its data; where L2 is what stops it, without that column.

    Raises:
        ModelError, DataError: for another reason.
    """
    try:
        return prepare(model, data=data), ()
    except UnsupportedError as error:
        columns = tuple(replace(c, role="drop") if c.name == "L2" else c for c in model.data.columns)
        if columns == model.data.columns:
            raise
        try:
            run = prepare(replace(model, data=replace(model.data, columns=columns)), data=data)
        except UnsupportedError:
            raise error from None
        reason = "records that have one L2 share residual errors; they become independent"
        return run, (_left_out("L2", reason, error.location),)


def without_values_behind_doses(run: PreparedRun) -> tuple[PreparedRun, tuple[Entry, ...]]:
    """The run without observations just after a bolus at its time."""
    data = SourceData(run)
    if not run.model.structural.compartments:
        return run, ()
    doses = Doses(data)
    behind = doses.observed_behind(outcome_groups(data), names_read(run.model.executed.error))
    if not behind or len(behind) == run.table.n_obs_total:
        return run, ()
    mdv = run.dataset.mdv.copy()
    mdv[behind] = 1
    dataset = replace(run.dataset, mdv=mdv)
    lines = ", ".join(str(run.dataset.lines[row]) for row in behind[:10]) + (", ..." if len(behind) > 10 else "")
    what = "value" if len(behind) == 1 else "values"
    reason = f"{len(behind)} {what} just after a bolus at its time, where Monolix predicts before it: line {lines}"
    entry = _left_out("observation at the time of a dose", reason, run.model.data.at)
    return replace(run, dataset=dataset, table=event_table(run.model, dataset)), (entry,)


def with_reasons(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """What is still refused says why leaving it out is no way."""
    return tuple(replace(e, reason=f"{e.reason}; {NOT_LEFT_OUT}") if e.kind == "refused" else e for e in entries)


def with_message(files: dict[str, str], entries: tuple[Entry, ...]) -> dict[str, str]:
    """The files; the model and the control stream begin with what was left out."""
    lines = []
    for entry in entries:
        place = "" if entry.source is None else f" ({Path(entry.source.path).name}:{entry.source.line})"
        lines += _wrapped(f"{entry.construct}{place} {entry.reason}")
    head = "".join(f"; {line}\n" for line in lines)
    return {name: head + text if name.endswith((".ctl", "_model.txt")) else text for name, text in files.items()}


def _wrapped(text: str, width: int = 100) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("  ")
        lines[-1] += word if not lines[-1].strip() else f" {word}"
    return lines
