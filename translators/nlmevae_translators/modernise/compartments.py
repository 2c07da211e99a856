"""$PRED with a formula that is a PREDPP model -> $SUBROUTINES, $PK and $ERROR, with dose records in the data."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from nlmevae.errors import ModelError
from nlmevae.frontends.nonmem.options import Token, scan
from nlmevae.frontends.nonmem.records import Record
from nlmevae.ir import Assign, Column, Model, Symbol, assignments, names_assigned, names_read, needed_for
from nlmevae.ir.evaluate import run as evaluated
from nlmevae.prepared_run import PreparedRun
from nlmevae.writers.stream_edit import (
    Edit,
    assignment_text,
    insertion,
    line_end_of,
    line_start,
)
from nlmevae_translators.modernise.closed_forms import ClosedForm, find_closed_form
from nlmevae_translators.modernise.draft import Draft
from nlmevae_translators.modernise.fixed_parts import FixedParts
from nlmevae_translators.report import Entry
from nlmevae_translators.to_monolix.source_data import SourceData

#: Data items that are events for PREDPP, and plain numbers for $PRED.
_EVENT_ROLES = ("evid", "rate", "addl", "ii", "ss", "cmt")
#: Variables of $PK that act on doses and scales whatever the model.
_PREDPP = re.compile(r"(?:F|S|R|D|ALAG)\d+|FO|SC|XSCALE|TSCALE")


@dataclass(frozen=True, slots=True)
class Compartmental:
    """The draft with compartments; `data`: name and text of the data file it reads, None: the one it read."""

    draft: Draft
    entries: tuple[Entry, ...]
    data: tuple[str, str] | None


def with_compartments(draft: Draft, run: PreparedRun, stem: str) -> Compartmental | str:
    """The draft as a PREDPP model, or why it stays a formula; "": it is no formula."""
    model = draft.model
    record = next(iter(draft.stream.named("PRED")), None)
    if record is None:
        return ""
    data = SourceData(run)
    parts = FixedParts(model, draft.source, model.program.error, data.constant_items)
    form = find_closed_form(model, parts)
    if form is None:
        return "no variable is the solution of ADVAN1 or ADVAN2 with parameters that are variables, too"
    name = f"ADVAN{form.advan}"
    reason = _unsuitable(model, form)
    doses = _doses(data, form) if not reason else None
    if reason or isinstance(doses, str):
        return f"the formula is that of {name}, but {reason or doses}"
    edits = [*_head(draft, record, form), *_code(draft, form)]
    written = None
    if doses is not None:
        written = f"{stem}_data.csv", _data_text(data, doses)
        edits += _data_edits(draft, written[0])
    try:
        made = draft.edited(edits)
        _ = made.model
    except (ModelError, ValueError) as error:
        return f"the formula is that of {name}, but it is not read back: {getattr(error, 'message', error)}"
    return Compartmental(made, _entries(draft, record, form, written), written)


def _unsuitable(model: Model, form: ClosedForm) -> str:
    """Why the record cannot be cut in two before the prediction."""
    code = model.program.error
    k = code.index(form.statement)
    before, after = code[:k], code[k + 1 :]
    again = names_assigned(before) & names_assigned(after)
    if again:
        return f"{min(again)} is assigned before and after the prediction"
    others = [n for n in sorted(names_assigned(code)) if form.parameters.get(n, n) != n or _acts(n, form)]
    if others:
        return f"{others[0]} is another variable there"
    if "F" in names_assigned(after) and not _repeats(model, form):
        return "F is another variable there"
    items = [c.name for c in model.data.columns if c.role in _EVENT_ROLES]
    if items:
        return f"the data item {items[0]} would then act"
    if names_read(before) & {*model.epsilons, "DV"}:
        return "the residual error stands before it"
    return ""


def _repeats(model: Model, form: ClosedForm) -> list[Assign]:
    """``F = CP`` behind the prediction CP."""
    code = model.program.error
    same = [s for s in code if isinstance(s, Assign) and s.target == "F" and s.value == Symbol(form.statement.target)]
    return same if sum(a.target == "F" for a in assignments(code)) == len(same) else []


def _acts(name: str, form: ClosedForm) -> bool:
    """PREDPP would take the variable for one of its own."""
    return bool(_PREDPP.fullmatch(name)) and form.parameters.get(name) != name


def _doses(data: SourceData, form: ClosedForm) -> np.ndarray | str | None:
    """The dose of each subject; None: the data have dose records that are it; a sentence: neither is possible."""
    run = data.run
    ptr = run.dataset.subject_ptr
    first = ptr[:-1]
    if np.any(data.time < 0.0):
        return "TIME is negative on some records"
    if np.any(np.diff(data.time)[np.diff(data.subject) == 0] < 0.0):
        return "TIME does not grow within subjects"
    doses = _dose_values(data, form)
    if doses is None or np.any(np.diff(doses)[np.diff(data.subject) == 0] != 0.0):
        return f"{form.dose} changes within subjects"
    if np.any(doses <= 0.0):
        return f"{form.dose} is not positive for all subjects"
    if not any(c.role == "amt" for c in run.model.data.columns):
        return doses[first]
    amounts = data.rows.of("amt")
    expected = np.zeros(len(amounts))
    expected[first] = doses[first]
    own = np.array_equal(amounts, expected) and np.all(data.time[first] == 0.0) and np.all(run.dataset.mdv[first] == 1)
    return None if own else "AMT of the data is not one dose at time 0 of each subject, on a record of its own"


def _dose_values(data: SourceData, form: ClosedForm) -> np.ndarray | None:
    """(n_rows,)"""
    if form.dose in data.canonical:
        return data.values(form.dose)
    code = needed_for(data.model.program.error, {form.dose})
    with np.errstate(all="ignore"):
        found = evaluated(code, {name: data.values(name) for name in data.canonical}).get(form.dose)
    return None if found is None else np.broadcast_to(np.asarray(found, dtype=float), data.time.shape)


# text -----------------------------------------------------------------------------------------------


def _head(draft: Draft, record: Record, form: ClosedForm) -> list[Edit]:
    start = draft.text.index("$", record.start)
    end = line_end_of(draft.text)
    return [Edit(start, record.body, f"$SUBROUTINES ADVAN{form.advan} TRANS{form.trans}{end}$PK")]


def _code(draft: Draft, form: ClosedForm) -> list[Edit]:
    """PREDPP's names, then $ERROR with F in place of the formula."""
    statement = form.statement
    text = assignment_text(draft.source, statement.at)
    end = line_end_of(draft.text)
    begin = line_start(draft.source, text.start)
    indent = draft.text[begin : text.start]
    indent = indent if not indent.strip() else "  "
    needed = {n: own for n, own in form.parameters.items() if n != "V" or form.trans == 2}
    names = [f"{name} = {own}" for name, own in needed.items() if name != own]
    lines = [*names, f"S{form.advan} = {form.parameters['V']}"]
    block = "".join(f"{indent}{line}{end}" for line in lines) + f"$ERROR{end}"
    comment = f"; F is that of ADVAN{form.advan}"
    if statement.target == "F":
        return [insertion(begin, block), Edit(text.start, text.stop, comment)]
    again = [assignment_text(draft.source, a.at) for a in _repeats(draft.model, form)]
    edits = [insertion(begin, block), Edit(text.value, text.stop, "F")]
    return edits + [Edit(a.start, a.stop, comment) for a in again]


def _data_edits(draft: Draft, name: str) -> list[Edit]:
    """AMT in $INPUT, and the new file in $DATA: without the records and options that chose among the old ones."""
    items = [token for record in draft.stream.named("INPUT") for token in scan(record)]
    record = draft.stream.named("DATA")[0]
    tokens = scan(record)
    return [_amount_item(items), Edit(tokens[0].start, tokens[-1].end, f"{name} IGNORE=@")]


def _amount_item(items: list[Token]) -> Edit:
    """AMT at the end, or in place of AMT=DROP."""
    for left, equals, right in zip(items, items[1:], items[2:], strict=False):
        if equals.kind == "=" and "AMT" in (left.upper, right.upper):
            return Edit(left.start, right.end, "AMT")
    return insertion(items[-1].end, " AMT")


def _data_text(data: SourceData, doses: np.ndarray) -> str:
    """The records that are used, with one dose before those of each subject; dropped items are not copied."""
    columns = data.model.data.file_columns
    added = [] if any(_is_amount(c) for c in columns) else ["AMT"]
    lines = [",".join(["AMT" if _is_amount(c) else c.name for c in columns] + added)]
    for k, start in enumerate(data.run.dataset.subject_ptr[:-1]):
        lines.append(_line(data, columns, int(start), float(doses[k])))
        lines += [_line(data, columns, row, None) for row in range(start, data.run.dataset.subject_ptr[k + 1])]
    return "\n".join(lines) + "\n"


def _is_amount(column: Column) -> bool:
    """AMT=DROP"""
    return "AMT" in (column.name, column.synonym)


def _line(data: SourceData, columns: tuple[Column, ...], row: int, dose: float | None) -> str:
    cells = []
    amount = "0" if dose is None else _number(dose)
    for column in columns:
        if _is_amount(column):
            cells.append(amount)
            continue
        value = None if column.role == "drop" else float(data.values(column.name)[row])
        if dose is not None:
            value = {"dv": 0.0, "time": 0.0, "mdv": 1.0, "evid": 1.0}.get(column.role, value)
        cells.append("." if value is None or value != value else _number(value))
    return ",".join(cells if any(_is_amount(c) for c in columns) else [*cells, amount])


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _entries(draft: Draft, record: Record, form: ClosedForm, data: tuple[str, str] | None) -> tuple[Entry, ...]:
    roles = ", ".join(f"{name} = {own}" if name != own else name for name, own in form.parameters.items())
    target = form.statement.target
    found = [
        Entry(
            construct="$PRED",
            kind="rule",
            reason=f"{target} is the solution of ADVAN{form.advan} TRANS{form.trans} with {roles} and the dose "
            f"{form.dose} at time 0: $PK and $ERROR with the statements of $PRED",
            source=draft.place(record.head),
        ),
        Entry(
            construct=f"{target} = ...",
            kind="rule",
            reason="F in place of the formula",
            source=draft.place(form.statement.at),
        ),
    ]
    if data is not None:
        at = draft.stream.named("DATA")[0].head
        reason = f"{data[0]}, with a dose record for each subject and the item AMT; tables have those records too"
        found.append(Entry(construct="$DATA", kind="rule", reason=reason, source=draft.place(at)))
    return tuple(found)
