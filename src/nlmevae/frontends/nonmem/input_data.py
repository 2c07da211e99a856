"""$INPUT and $DATA -> DataSpec."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches

from nlmevae.errors import Location, ModelSyntaxError, SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.data_filters import DataFilterReader
from nlmevae.frontends.nonmem.options import Option, abbreviates, read_options
from nlmevae.frontends.nonmem.records import Record
from nlmevae.ir import Column, DataSpec

#: Reserved data item -> its role.
ROLES = {
    "ID": "id", "TIME": "time", "DATE": "date", "DAT1": "date", "DAT2": "date", "DAT3": "date", "DV": "dv",
    "MDV": "mdv", "EVID": "evid", "AMT": "amt", "RATE": "rate", "II": "ii", "ADDL": "addl", "SS": "ss", "CMT": "cmt",
}  # fmt: skip

_DROP = ("DROP", "SKIP")

#: Data items with a meaning this engine does not execute, accepted where their values ask for nothing
#: (`data.acting_items`).
_PERHAPS_ACTING = ("L2", "CALL", "RPT_", "CONT", "XVID1", "XVID2", "XVID3", "XVID4", "XVID5")

#: Data items with a meaning this engine does not execute -> what to do.
_UNSUPPORTED_ITEMS = {
    "L1": "name the column that tells subjects apart ID",
    "REPL_": "repetition of subjects is not supported; drop the column: REPL_=DROP",
}
_IGNORED_OPTIONS = (
    "NOWIDE", "WIDE", "REWIND", "NOREWIND", "NOOPEN", "CHECKOUT", "BLANKOK", "NOOMIT",
)  # fmt: skip
_UNSUPPORTED_OPTIONS = {
    "TRANSLATE": "scale the columns in the data file",
    "MISDAT": "write missing values in the data file as .",
    "LRECL": "remove it: lines may be of any length",
    "FORMAT": "separate the columns by commas or blanks",
    "REPL": "repetition of the data is not supported; remove it, or repeat the records in the file",
    "PRED_IGNORE_DATA": "dropping records by code is not supported; write IGNORE=(...)",
}


def read_columns(records: tuple[Record, ...]) -> tuple[Column, ...]:
    """$INPUT items in order; of two names the reserved one, else the first, is what programs read.

    Raises:
        SemanticError: two columns with one name, no ID or no DV.
        UnsupportedError: a data item whose meaning is not executed.
    """
    columns: list[Column] = []
    for record in records:
        columns += [_column(option) for option in read_options(record)]
    _check_columns(columns, records[0])
    return tuple(columns)


def _column(option: Option) -> Column:
    first = option.key
    if option.token.kind not in ("word",) or option.is_list:
        raise ModelSyntaxError(
            f"{option.token.text} is no data item", hint="write names: ID TIME DV=CONC X=DROP", location=option.at
        )
    second = option.value.upper() if option.value is not None else None
    for name, other in ((first, second), (second, first)):
        if name in _DROP:
            kept = other or name
            if ROLES.get(kept) == "date":
                # DATE=DROP keeps the text out of the program; NM-TRAN still turns it into TIME
                return Column(name=kept, role="date", at=option.at)
            return Column(name=kept, role="drop", at=option.at)
    if second in ROLES and first not in ROLES:
        first, second = second, first
    for name in (first, second):
        if name in _UNSUPPORTED_ITEMS:
            raise UnsupportedError(
                f"the data item {name} is not supported", hint=_UNSUPPORTED_ITEMS[name], location=option.at
            )
    role = "inert" if {first, second} & set(_PERHAPS_ACTING) else ROLES.get(first, "covariate")
    if role == "inert" and second in _PERHAPS_ACTING:
        first, second = second, first
    return Column(name=first, role=role, synonym=second, at=option.at)


def _check_columns(columns: list[Column], record: Record) -> None:
    seen: set[str] = set()
    for column in columns:
        names = {n for n in (column.name, column.synonym) if n} if column.role != "drop" else set()
        for name in sorted(names & seen):
            raise SemanticError(
                f"the data item {name} appears twice", hint="rename one, or drop it: NAME=DROP", location=column.at
            )
        seen |= names
    for name in ("ID", "DV"):
        if name not in seen:
            raise SemanticError(
                f"$INPUT has no {name}", hint=f"name the column {name}, or write {name}=its name", location=record.head
            )


def read_data(record: Record, columns: tuple[Column, ...]) -> DataSpec:
    """$DATA with its filters.

    Raises:
        ModelSyntaxError: no file name, a condition that cannot be read.
        SemanticError: a condition on an unknown column.
        UnsupportedError: an option that changes values.
    """
    options = read_options(record)
    if not options or options[0].assigned or options[0].token.kind not in ("word", "quoted"):
        raise ModelSyntaxError("$DATA has no file name", hint="write $DATA file.csv IGNORE=@", location=record.head)
    if options[0].token.text == "*":
        raise UnsupportedError(
            "$DATA * (the data of the problem before) is not supported",
            hint="write the file name",
            location=options[0].at,
        )
    fields: dict = {"ignore": (), "accept": (), "ignore_character": None, "null_value": 0.0, "records": None}
    reader = DataFilterReader(record, columns)
    rest = iter(options[1:])
    for option in rest:
        if option.value is None and abbreviates(option.key, "IGNORE", "ACCEPT"):
            option = _separated(option, next(rest, None))
        elif option.value is None and abbreviates(option.key[:-1], "IGNORE") and not option.key[-1].isalnum():
            key = replace(option.token, text=option.token.text[:-1])  # IGNORE@
            option = Option(key, option.token.text[-1], option.token.end - 1, assigned=True)
        _apply(option, fields, reader)
    return DataSpec(path=options[0].token.text, columns=columns, at=options[0].at, **fields)


def _separated(option: Option, following: Option | None) -> Option:
    """``IGNORE @`` or ``IGNORE (A.EQ.1)`` written with a blank."""
    if following is not None and following.token.kind == "(":
        return Option(option.token, following.value, following.value_start)
    if following is not None and following.value is None and len(following.token.text) == 1:
        return Option(option.token, following.token.text, following.token.start, assigned=True)
    raise ModelSyntaxError(f"{option.key} has no value", hint=f"write {option.key}=(NAME.EQ.value)", location=option.at)


def _apply(option: Option, fields: dict, reader: DataFilterReader) -> None:
    key = option.key
    if abbreviates(key, "IGNORE"):
        if option.is_list:
            fields["ignore"] += reader.read(option)
        else:
            _ignore_character(option, fields)
    elif abbreviates(key, "ACCEPT"):
        fields["accept"] += reader.read(option)
    elif abbreviates(key, "NULL"):
        fields["null_value"] = _null(option)
    elif key == "LAST20":
        fields["last20"] = _last20(option)
    elif key in ("RECS", "NRECS", "NRECORDS") or abbreviates(key, "RECORDS"):
        fields["records"] = _records(option)
    elif key in _IGNORED_OPTIONS or abbreviates(key, *_IGNORED_OPTIONS):
        pass
    else:
        raise _unknown_option(option)


def _ignore_character(option: Option, fields: dict) -> None:
    value = option.value or ""
    if len(value) != 1:
        raise ModelSyntaxError(
            f"IGNORE={value} is not one character",
            hint="write IGNORE=@ or IGNORE=(NAME.EQ.value)",
            location=option.at,
        )
    if fields["ignore_character"] not in (None, value):
        raise SemanticError(
            "IGNORE names two characters", hint="keep one; @ drops every line that starts with a letter",
            location=option.at,
        )  # fmt: skip
    fields["ignore_character"] = value


def _null(option: Option) -> float:
    value = option.value or ""
    if value == ".":
        return 0.0
    if not value.isdigit():
        raise ModelSyntaxError(f"NULL={value} is not a digit", hint="write NULL=0", location=option.at)
    return float(value)


def _last20(option: Option) -> int:
    if option.value is None or not option.value.isdigit() or int(option.value) > 99:
        raise ModelSyntaxError(
            f"LAST20={option.value or ''} is no year of two digits", hint="write LAST20=50", location=option.at
        )
    return int(option.value)


def _records(option: Option) -> int:
    if option.value is None or not option.value.isdigit():
        raise UnsupportedError(
            f"{option.key}={option.value} is not a number of records",
            hint="write RECORDS=n, or use IGNORE=(...)",
            location=option.at,
        )
    return int(option.value)


def _unknown_option(option: Option) -> ModelSyntaxError | UnsupportedError:
    location: Location = option.at
    if option.token.kind == "(":
        return UnsupportedError(
            "a FORTRAN format of the data file is not supported",
            hint="separate the columns by commas or blanks",
            location=location,
        )
    for name, hint in _UNSUPPORTED_OPTIONS.items():
        if abbreviates(option.key, name):
            return UnsupportedError(f"$DATA {name} is not supported", hint=hint, location=location)
    known = ("IGNORE", "ACCEPT", "NULL", "RECORDS", "REWIND", "WIDE", "NOWIDE")
    close = get_close_matches(option.key, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
    return ModelSyntaxError(f"{option.token.text} is not a $DATA option", hint=hint, location=location)
