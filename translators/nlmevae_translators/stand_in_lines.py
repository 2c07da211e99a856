"""Lines that stand in for the data file of a Monolix project.

One subject for each administration the model has, with a dose of every kind its macros allow, and observations of every
kind the project fits, known and censored. A control stream written for them says all that the project can ask for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nlmevae.ir import Model, MonolixRows, RowColumn
from nlmevae_translators.absent_data import StandIn

MISSING = "."
_VALUE, _LIMIT = "1.5", "0.5"


def stand_in_lines(model: Model) -> StandIn:
    """A header and lines in the columns of the project's header."""
    rows = model.data.monolix
    assert rows is not None
    administrations = _administrations(rows) if model.structural.compartments else []
    categories = [len(c.categories) for c in rows.columns]
    n = max(2, len(administrations), *categories, 0)
    lines = [",".join(rows.header)]
    for subject in range(n):
        uses = []
        if administrations and rows.of("amount"):
            uses.append(_dose(rows, administrations[subject % len(administrations)]))
        uses += _observations(rows)
        lines += [_line(rows, subject, time, use) for time, use in enumerate(uses)]
    return StandIn(lines=lines, taken=tuple(_taken(rows, administrations)))


def _administrations(rows: MonolixRows) -> list[int]:
    found = {d.administration for d in (*rows.routes, *rows.transit, *rows.emptying)}
    return sorted(found) if rows.of("administration") else sorted(found & {1}) or sorted(found)[:1]


def _dose(rows: MonolixRows, administration: int) -> dict[str, str]:
    use = {"amount": "100", "administration": str(administration), "eventidentifier": "1"}
    own = [r for r in rows.routes if r.administration == administration]
    plain = own and all(r.kind == "direct" for r in own)
    if plain and administration not in {d.administration for d in (*rows.transit, *rows.emptying)}:
        use |= {"rate": "50", "infusiontime": "2"}
    return use


def _observations(rows: MonolixRows) -> list[dict[str, str]]:
    """Known, below a value, between two, above a value, of each kind."""
    found = []
    censored = [("0", MISSING)]
    if rows.of("censored"):
        censored += [("1", MISSING), ("-1", MISSING)] + ([("1", _LIMIT)] if rows.of("limit") else [])
    for kind in rows.kinds or (MISSING,):
        for code, limit in censored:
            found.append(
                {
                    "observation": _VALUE,
                    "observationtype": kind,
                    "censored": code,
                    "limit": limit,
                    "eventidentifier": "0",
                }
            )
    return found


def _line(rows: MonolixRows, subject: int, time: int, use: Mapping[str, str]) -> str:
    columns = {c.name: c for c in rows.columns}
    start = rows.initial_time or 0.0
    return ",".join(_item(columns.get(name), subject, start + time, use) for name in rows.header)


def _item(column: RowColumn | None, subject: int, time: float, use: Mapping[str, str]) -> str:
    if column is None:
        return "0"
    match column.use:
        case "identifier":
            return str(subject + 1)
        case "time":
            return f"{time:.15g}"
        case "covariate" if column.categories:
            return f'"{column.categories[subject % len(column.categories)]}"'
        case "covariate":
            return str(60.5 + 7.25 * subject)
        case "regressor" | "occasion":
            return "1"
        case "missingdependentvariable":
            return "0" if "observation" in use else "1"
        case name:
            return use.get(name, MISSING)


# what is taken for granted -------------------------------------------------------------------------------
def _taken(rows: MonolixRows, administrations: list[int]) -> Iterator[tuple[str, str]]:
    if len(administrations) > 1:
        listed = ", ".join(map(str, administrations))
        yield "administrations", f"doses of all the model has are taken to occur: adm {listed}"
    if rows.of("rate") or rows.of("infusiontime"):
        yield "rate, infusiontime", "infusions are taken to occur: the stream has RATE"
    if rows.of("censored"):
        yield "CENS", "every kind of censoring is taken to occur: the stream has a branch for each"
    if rows.of("steadystate") or rows.of("additionaldose"):
        yield "steadystate, additionaldose", "the doses they imply become records of their own with the data"
    if rows.of("regressor"):
        yield "regressors", "where they change is not known; records with EVID 2 for it are written with the data"
    yield "identifiers", "whether they are numbers; those that are not become numbers, with a table, with the data"
