"""$TABLE: which columns, of which records, in what layout (NONMEM help, $TABLE)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from nlmevae.errors import SemanticError
from nlmevae.frontends.nonmem.options import Option, abbreviates, read_options
from nlmevae.frontends.nonmem.records import Record
from nlmevae.ir import TableFormat, TableRequest

#: Flag -> the field of `TableRequest` it sets and its value; None: no effect here.
_FLAGS: dict[str, tuple[str, object] | None] = {
    "PRINT": None, "NOPRINT": None, "FORWARD": None, "NOFORWARD": None, "UNCONDITIONAL": None, "CONDITIONAL": None,
    "NOSUB": None, "CLOCKSEED": None,
    "HEADER": ("header", "pages"), "NOHEADER": ("header", "none"), "ONEHEADER": ("header", "one"),
    "ONEHEADERALL": ("header", "one"), "ONEHEADERPERFILE": ("header", "one"),
    "NOTITLE": ("title", False), "NOLABEL": ("labels", False),
    "FIRSTONLY": ("records", "first"), "FIRSTRECORDONLY": ("records", "first"), "LASTONLY": ("records", "last"),
    "FIRSTLASTONLY": ("records", "first_last"),
    "APPEND": ("append", True), "NOAPPEND": ("append", False), "OMITTED": ("omitted", True),
    "WRESCHOL": ("cholesky", True),
}  # fmt: skip
#: Options with a value that is not acted on.
_NOT_READ = ("LFORMAT", "RFORMAT", "IDFORMAT", "RANMETHOD", "NPDTYPE", "PARAFILE", "VARCALC", "FIXEDETAS",
             "EXCLUDE_BY", "BY", "RESTRICT", "CLOCKSEED")  # fmt: skip
_FORMAT = re.compile(r"(?P<delimiter>[STC,]?)(?:\d+P)?(?P<kind>[EDFG])(?P<width>\d+)\.(?P<decimals>\d+)(?::\d+)?\Z")
_DELIMITERS = {"S": " ", "T": "\t", ",": ",", "C": ",", "": " "}
_ETAS = re.compile(r"ETAS?\((\d+)(?::|TO)(\d+|LAST)\)\Z")
_ETA_NUMBER = re.compile(r"ETA(\d+)\Z|ETA\((\d+)\)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableNames:
    """What the names in $TABLE may be.

    Attributes:
        n_etas: what LAST means in ETAS(1:LAST).
        known: data items and variables of the code: never taken for an abbreviated option.
        replacements: other names of elements and data items -> what they mean (``ETA(CL)`` -> ``ETA(1)``).
    """

    n_etas: int
    known: Collection[str]
    replacements: Mapping[str, str]


def read_tables(records: tuple[Record, ...], names: TableNames) -> tuple[TableRequest, ...]:
    """One request for each record.

    Raises:
        SemanticError: an ETA that does not exist.
    """
    return tuple(_table(record, names) for record in records)


def _table(record: Record, names: TableNames) -> TableRequest:
    fields: dict[str, object] = {}
    columns: list[tuple[str, str]] = []
    unread: list[str] = []
    by: list[tuple[str, str]] = []  # what sorts the printed table
    target = columns
    for option in read_options(record):
        if option.assigned:
            _assigned(option, fields, columns, unread)
        elif option.key == "BY" and "BY" not in names.known:
            target = by
        elif (flag := _flag(option, names)) is not None:
            if _FLAGS[flag] is not None:
                field, value = _FLAGS[flag]
                fields[field] = value
        else:
            target += _columns(option, names)
    if by:
        unread.append(" ".join(["BY", *(label for _, label in by)]))
    return TableRequest(columns=tuple(columns), unread=tuple(unread), at=record.head, **fields)


def _flag(option: Option, names: TableNames) -> str | None:
    if option.value is not None or option.key in names.known:
        return None
    if option.key in _FLAGS:
        return option.key
    if option.key == "WRES":  # the item, not an abbreviated WRESCHOL
        return None
    return next((name for name in _FLAGS if abbreviates(option.key, name)), None)


def _assigned(option: Option, fields: dict[str, object], columns: list[tuple[str, str]], unread: list[str]) -> None:
    """``FILE=name``, ``FORMAT=s1PE11.4``, ``ESAMPLE=1000``, ``SEED=n``; else a column with a label of its own."""
    key, value = option.key, option.value or ""
    if abbreviates(key, "FILE"):
        fields["file"] = value
    elif abbreviates(key, "FORMAT"):
        fields["format"] = number_format(value)
        if fields["format"] is None:
            del fields["format"]
            unread.append(f"FORMAT={value}")
    elif abbreviates(key, "ESAMPLE") and value.isdigit():
        fields["samples"] = int(value)
    elif key == "SEED" and value.isdigit():
        fields["seed"] = int(value)
    elif abbreviates(key, *_NOT_READ) or abbreviates(key, "ESAMPLE") or key == "SEED":
        unread.append(f"{option.token.text}={value}")
    else:
        columns.append((key, value.upper()))


def number_format(value: str) -> TableFormat | None:
    """``s1PE11.4``: delimiter (s blank, t tab, c or comma), then a Fortran edit descriptor; None for anything else."""
    match = _FORMAT.match(value.upper())
    if match is None:
        return None
    return TableFormat(
        delimiter=_DELIMITERS[match["delimiter"]],
        kind="E" if match["kind"] == "D" else match["kind"],
        width=int(match["width"]),
        decimals=int(match["decimals"]),
    )


def _columns(option: Option, names: TableNames) -> list[tuple[str, str]]:
    """(name in the code, label) of one item; ``ETAS(1:LAST)`` is several."""
    written = option.key + re.sub(r"\s", "", (option.value or "").upper())
    several = _ETAS.match(written)
    if several:
        last = names.n_etas if several[2] == "LAST" else int(several[2])
        return [_eta(number, names, option) for number in range(int(several[1]), last + 1)]
    name = names.replacements.get(written, written)
    single = _ETA_NUMBER.match(name)
    if single is None:
        return [(name, written)]
    found, label = _eta(int(single[1] or single[2]), names, option)
    return [(found, label if name == written else written)]


def _eta(number: int, names: TableNames, option: Option) -> tuple[str, str]:
    if not 1 <= number <= names.n_etas:
        raise SemanticError(
            f"$TABLE asks for ETA({number}): the last one of $OMEGA is {names.n_etas}",
            hint=f"use a number from 1 to {names.n_etas}",
            location=option.at,
        )
    return f"ETA({number})", f"ETA{number}"
