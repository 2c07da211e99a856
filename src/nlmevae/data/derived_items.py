"""Data items that code computes from data items, record after record: what NONMEM's variables keep between records.

$PK and $ERROR (or $PRED) run once at every event record, in the order of the data; a variable that a record does not
assign keeps its value (NONMEM Users Guide IV, chapter IV; help for NEWIND). At the first record of a subject nothing
is kept: NONMEM would show what the subject before, or an earlier pass, left behind, so here there is no value.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nlmevae.data.roles import Rows
from nlmevae.errors import DataError
from nlmevae.ir import Model, Statement, names_assigned, names_read
from nlmevae.ir.evaluate import run

#: 0 at the first record of the data, 1 at the first of any other subject, else 2; the number of the subject and of its
#: record, from 1 (help for RECORD COUNTERS).
NEWIND, NIREC, NDREC = "NEWIND", "NIREC", "NDREC"


def run_records(
    statements: tuple[Statement, ...], ptr: np.ndarray, inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Name -> (n_rows,) of everything `statements` assign, evaluated record after record in every subject.

    Args:
        ptr: (N + 1,) row range of each subject.
        inputs: name -> (n_rows,) what code may read besides.
    """
    assigned = sorted(names_assigned(statements))
    read = [name for name in names_read(statements) if name in inputs]
    n_rows, counts = int(ptr[-1]), np.diff(ptr)
    values = {name: np.full(n_rows, np.nan) for name in assigned}
    for rank in range(int(counts.max(initial=0))):
        rows = ptr[:-1][counts > rank] + rank
        env = {name: inputs[name][rows] for name in read}
        env |= {name: values[name][rows - 1] if rank else np.full(len(rows), _start(name)) for name in assigned}
        after = run(statements, env)
        for name in assigned:
            values[name][rows] = after[name]
    return values


def _start(name: str) -> float:
    """Before the first assignment; NM-TRAN: A_0(n) is 0 where $PK does not assign it."""
    return 0.0 if name.startswith("A_0(") else float("nan")


def with_derived(model: Model, rows: Rows, ptr: np.ndarray) -> Rows:
    """`rows` with the derived items of the model as columns behind the others; NaN where one has no value."""
    derived = model.data.derived
    if derived is None:
        return rows
    inputs = {n: rows.values[:, k] for k, c in enumerate(rows.columns) for n in (c.name, c.synonym) if n}
    inputs = _counters(ptr) | inputs
    values = inputs | run_records(derived.statements, ptr, inputs)
    columns = [c for c in model.data.columns if c.role == "derived"]
    added = np.column_stack([values[c.name] for c in columns])
    position = rows.items[rows.index("id")]
    return Rows(
        path=rows.path,
        columns=(*rows.columns, *columns),
        items=(*rows.items, *(position for _ in columns)),
        values=np.column_stack([rows.values, added]),
        missing=np.column_stack([rows.missing, np.zeros(added.shape, dtype=bool)]),
        lines=rows.lines,
    )


def _counters(ptr: np.ndarray) -> dict[str, np.ndarray]:
    """NEWIND, NIREC and NDREC of every row; `ptr` (N + 1,) is the row range of each subject."""
    n_rows, counts = int(ptr[-1]), np.diff(ptr)
    newind = np.full(n_rows, 2.0)
    newind[ptr[:-1]] = 1.0
    newind[:1] = 0.0
    number = np.repeat(np.arange(1.0, len(ptr)), counts)
    return {NEWIND: newind, NIREC: number, NDREC: np.arange(1.0, n_rows + 1) - np.repeat(ptr[:-1], counts)}


def check_derived(model: Model, rows: Rows, names: tuple[str, ...], used: np.ndarray) -> None:
    """Raises DataError where the prediction reads a derived item on a record where it has no value.

    Args:
        used: (n_rows,) bool, records whose values of `names` are used.
    """
    derived = model.data.derived
    if derived is None:
        return
    for name in names:
        k = next(k for k, c in enumerate(rows.columns) if name in (c.name, c.synonym))
        wrong = used & np.isnan(rows.values[:, k])
        if rows.columns[k].role != "derived" or name in derived.partial or not wrong.any():
            continue
        row = int(np.argmax(wrong))
        variable = derived.variables.get(name, name)
        raise DataError(
            f"{variable} has no value on line {rows.lines[row]}: no record of the subject has assigned it before",
            hint="NONMEM would use what the subject before left behind; give a value to "
            f"{' and '.join(derived.kept) or variable} where IF (NEWIND.NE.2)",
            location=rows.at(row),
        )
