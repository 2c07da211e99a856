"""Records that stand in for the data file of a control stream.

One subject for each way by which doses may enter, with one observation of each kind the code tells apart. Whatever the
text leaves open is said in `StandIn.taken`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product

import numpy as np

from nlmevae.ir import Assign, Column, Compare, DoseInput, Expression, Model, Number, Statement, Symbol, names_read
from nlmevae.ir.evaluate import evaluate
from nlmevae_translators.absent_data import StandIn

#: Values of a continuous item: positive, neither whole nor round.
_FIRST, _STEP = 60.5, 7.25
#: Of DV by the scale of the outcome: above any limit of quantification, plain as a logarithm or a logit.
_VALUES = {"natural": 1000.0, "log": 3.0, "logit": 0.5}
#: Combinations of data items that are tried to find records of one outcome.
_MOST_TRIALS = 20000
#: Records of one outcome: code may tell them apart without another residual error.
_MOST_OF_A_KIND = 6
_FIXED = {"mdv": 0.0, "evid": 0.0, "amt": 0.0, "rate": 0.0, "ii": 0.0, "addl": 0.0, "ss": 0.0}


@dataclass(frozen=True, slots=True)
class _Way:
    """A dose into an input: `rate` is a RATE, -1, -2, or 0 for a bolus."""

    input: int
    rate: float


def stand_in_records(model: Model) -> StandIn:
    """In the columns of $INPUT."""
    columns = model.data.file_columns
    ways = _ways(model) if model.structural.compartments else []
    kinds = _kinds(model)
    categories = {c.name: levels for c in columns if (levels := _levels(model, c))}
    n = max(2, len(ways), *(len(levels) for levels in categories.values()), 0)
    lines = []
    for subject in range(n):
        held = {name: levels[subject % len(levels)] for name, levels in categories.items()}
        way = ways[subject % len(ways)] if ways else None
        rows = [_observation(model, kind, time) for time, kind in enumerate(kinds, 1)]
        if way is not None:
            rows.insert(0, _dose(model, way))
        rows.sort(key=lambda row: row["time"])
        lines += [",".join(_item(c, row, held, subject) for c in columns) for row in rows]
    return StandIn(lines=lines, taken=tuple(_taken(model, ways, categories)))


# doses ---------------------------------------------------------------------------------------------------
def _ways(model: Model) -> list[_Way]:
    """Into the default compartment and, where there is CMT, into each whose doses $PK gives a property."""
    structural, roles = model.structural, {c.role for c in model.data.columns}
    found = []
    for entry in structural.dose_inputs:
        stated = any((entry.bioavailability, entry.lag, entry.duration, entry.rate)) and "cmt" in roles
        if entry.number == structural.default_dose or stated:
            found += [_Way(entry.number, rate) for rate in _rates(entry, with_rate="rate" in roles)]
    return found


def _rates(entry: DoseInput, *, with_rate: bool) -> list[float]:
    if not with_rate:
        return [0.0]
    stated = [code for code, name in ((-1.0, entry.rate), (-2.0, entry.duration)) if name is not None]
    return [*([0.0] if entry.bioavailability is not None else []), 10.0, *stated]


def _dose(model: Model, way: _Way) -> dict[str, float]:
    roles = {c.role for c in model.data.columns}
    row = {"time": 0.0, "amt": 100.0, "rate": way.rate, "cmt": float(way.input), "evid": 1.0, "mdv": 1.0}
    if "ii" in roles:
        row |= {"ss": 0.0 if _reads_time(model) else 1.0, "addl": 1.0, "ii": 24.0}
    return row


def _reads_time(model: Model) -> bool:
    """Equations that read T have no steady state."""
    return "T" in names_read(model.program.des)


# observations --------------------------------------------------------------------------------------------
def _kinds(model: Model) -> list[dict[str, float]]:
    """Values of data items, by their columns' names, for one record of each outcome and kind of censoring."""
    conditions = [c for o in model.observations for c in (o.when, *(k.when for k in o.censoring))]
    names = {n: c for c in model.data.columns for n in (c.name, c.synonym) if n and c.role != "drop"}
    items = sorted({names[n].name for c in conditions if c is not None for n in c.names() if n in names})
    roles = {c.name: c.role for c in model.data.columns}
    cmt = tuple(float(c.number) for c in model.structural.compartments)
    choices = [cmt if roles[i] == "cmt" else _choices(roles[i], i, conditions, names, _value(model)) for i in items]
    found: dict[int, list[dict[str, float]]] = {}
    for values in islice(product(*choices), _MOST_TRIALS):
        chosen = dict(zip(items, values, strict=True))
        env = {n: chosen[c.name] for n, c in names.items() if c.name in chosen}
        holds = [k for k, condition in enumerate(conditions) if _holds(condition, env)]
        if len(holds) == 1 and len(found.setdefault(holds[0], [])) < _MOST_OF_A_KIND:
            found[holds[0]].append(chosen)
    rows = [row for k in sorted(found) for row in found[k]] or [{}]
    return rows + _censored(model)


def _choices(
    role: str, item: str, conditions: list[Expression | None], names: Mapping[str, Column], value: float
) -> tuple[float, ...]:
    """Values of an item that conditions may tell apart: the numbers it is compared with and their neighbours."""
    if role in _FIXED:
        return (_FIXED[role],)
    numbers = set()
    for condition in conditions:
        for node in condition.walk() if condition is not None else ():
            if isinstance(node, Compare) and any(names[n].name == item for n in node.names() if n in names):
                numbers |= {x.value for x in node.walk() if isinstance(x, Number)}
    if role == "dv":
        return (value, *sorted(numbers))
    near = sorted({x + d for x in numbers for d in (-1.0, 1.0)} - numbers)
    return tuple(x for x in (*sorted(numbers), 0.0, *near) if role != "time" or x >= 0.0)


def _holds(condition: Expression | None, env: Mapping[str, float]) -> bool:
    if condition is None:
        return True
    with np.errstate(all="ignore"):
        return bool(np.all(evaluate(condition, {n: np.asarray(v) for n, v in env.items()})))


def _censored(model: Model) -> list[dict[str, float]]:
    """Records of the columns CENS and LIMIT where these say what is censored."""
    from nlmevae.data.endpoints import CENSORING_ITEM, LIMIT_ITEM, censoring_column

    column = censoring_column(model)
    if column is None:
        return []
    limit = next((c.name for c in model.data.columns if (c.name or "").upper() == LIMIT_ITEM), None)
    assert column.name.upper() == CENSORING_ITEM or column.synonym
    return [{column.name: 1.0, **({limit: 0.5} if limit else {})}]


def _value(model: Model) -> float:
    """A plain value of DV."""
    return _VALUES[next((o.scale for o in model.observations if o.scale != "natural"), "natural")]


def _observation(model: Model, kind: Mapping[str, float], time: int) -> dict[str, float]:
    row = {"time": float(time), "dv": _value(model), "cmt": 0.0, "evid": 0.0, "mdv": 0.0}
    for name, value in kind.items():
        role = next(c.role for c in model.data.columns if c.name == name)
        row[name if role == "covariate" else role] = value
    return row


# items ---------------------------------------------------------------------------------------------------
def _levels(model: Model, column: Column) -> tuple[float, ...]:
    """The values an item is compared with in $PK, with the one that no comparison names; empty: it is no category."""
    names = {n for n in (column.name, column.synonym) if n}
    code = model.program.pk if model.structural.compartments else model.program.error
    if column.role != "covariate" or names & _deciding(model):
        return ()
    found = set()
    for node in (n for e in _expressions(code) for n in e.walk()):
        match node:
            case Compare(operator=("==" | "!="), left=Symbol(name), right=Number(value)) if name in names:
                found.add(value)
            case Compare(operator=("==" | "!="), left=Number(value), right=Symbol(name)) if name in names:
                found.add(value)
    if not found or any(value != round(value) or abs(value) > 20 for value in found):
        return ()
    low = min(found)
    if len(found) == 1:
        return (low, low + 1.0) if low == 0.0 else (low - 1.0, low)
    return tuple(sorted(found | ({low - 1.0} if low >= 2.0 else set())))


def _expressions(statements: Iterable[Statement]) -> Iterator[Expression]:
    for statement in statements:
        if isinstance(statement, Assign):
            yield statement.value
            continue
        for condition, body in statement.arms:
            yield condition
            yield from _expressions(body)
        yield from _expressions(statement.orelse)


def _deciding(model: Model) -> set[str]:
    """Items that tell outcomes apart."""
    conditions = [c for o in model.observations for c in (o.when, *(k.when for k in o.censoring)) if c is not None]
    return {name for condition in conditions for name in condition.names()}


def _item(column: Column, row: Mapping[str, float], held: Mapping[str, float], subject: int) -> str:
    match column.role:
        case "id":
            value = float(subject + 1)
        case "date":
            value = 1.0
        case "drop" | "inert":
            return "0"
        case "covariate":
            usual = 0.0 if column.name.upper() in ("CENS", "LIMIT") else _FIRST + _STEP * subject
            value = row.get(column.name, held.get(column.name, usual))
        case role:
            value = row.get(role, 0.0)
    return f"{value:.15g}"


# what is taken for granted -------------------------------------------------------------------------------
def _taken(model: Model, ways: list[_Way], categories: Mapping[str, tuple[float, ...]]) -> Iterator[tuple[str, str]]:
    roles = {c.role: c.name for c in model.data.columns}
    if ways and {"cmt", "rate"} & roles.keys():
        yield "doses", _doses_taken(ways, roles)
    if "ii" in roles and ways:
        steady = "SS is 0, or 1 at a subject's first dose; " if "ss" in roles and not _reads_time(model) else ""
        yield "II, ADDL, SS", f"{steady}doses may have ADDL"
    if ways and "cmt" in roles and roles["cmt"] not in _deciding(model):
        number = model.structural.default_observation
        yield roles["cmt"], f"all values are taken to be observed in compartment {number}"
    if "evid" in roles:
        yield "EVID", "it is taken to be 0, 1 or 2: no resets (3, 4)"
    for name, levels in categories.items():
        listed = ", ".join(f"{x:g}" for x in levels)
        yield name, f"its categories are taken to be {listed}, from the values the code compares it with"
    read = names_read(model.program.pk) | names_read(model.program.des) | names_read(model.program.error)
    held = [c.name for c in model.data.columns if c.role == "covariate" and {c.name, c.synonym} & read]
    held = [name for name in held if name not in _deciding(model)]
    if held:
        yield (
            ", ".join(held),
            "taken to have one value per subject. Where it changes, NONMEM uses the value of the next record and "
            "Monolix that of the last: the conversion with the data then writes a regressor",
        )
    yield "ID, TIME", "every ID is taken to come once, and no value to be observed just after a bolus at its time"


def _doses_taken(ways: list[_Way], roles: Mapping[str, str]) -> str:
    words = {0.0: "RATE=0", -1.0: "RATE=-1", -2.0: "RATE=-2"}
    listed = []
    for number in dict.fromkeys(w.input for w in ways):
        rates = [words.get(w.rate, "RATE>0") for w in ways if w.input == number]
        rates = rates if 0.0 in {w.rate for w in ways if w.input == number} else ["RATE=0", *rates]
        listed.append(f"compartment {number}" + (f" with {' or '.join(rates)}" if "rate" in roles else ""))
    return f"all doses are taken to enter {', or '.join(listed)}"
