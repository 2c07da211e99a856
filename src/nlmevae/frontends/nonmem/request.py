"""$ESTIMATION, $COVARIANCE and $TABLE: what is asked for beyond the model, kept as written."""

from __future__ import annotations

from nlmevae.errors import UnsupportedError
from nlmevae.frontends.nonmem.options import Option, abbreviates, read_options
from nlmevae.frontends.nonmem.records import Record
from nlmevae.ir import Diagnostic, EstimationStep, TableRequest

_TABLE_FLAGS = (
    "PRINT", "NOPRINT", "HEADER", "NOHEADER", "ONEHEADER", "ONEHEADERALL", "ONEHEADERPERFILE", "FIRSTONLY",
    "FIRSTRECORDONLY",
    "LASTONLY", "FIRSTLASTONLY", "FORWARD", "NOFORWARD", "APPEND", "NOAPPEND", "UNCONDITIONAL", "CONDITIONAL",
    "OMITTED", "WRESCHOL", "NOTITLE", "NOLABEL", "CLOCKSEED", "NOSUB", "NPDTYPE",
)  # fmt: skip
_LIKELIHOOD = ("LIKELIHOOD", "-2LOGLIKELIHOOD", "-2LLIKELIHOOD", "-2LL")


def read_estimation(records: tuple[Record, ...]) -> tuple[EstimationStep, ...]:
    """One step for each record; METHOD is 0 (first order) where none is written.

    Raises:
        UnsupportedError: Y is a likelihood (LIKELIHOOD, -2LL).
    """
    return tuple(_step(record) for record in records)


def _step(record: Record) -> EstimationStep:
    options = read_options(record)
    method = "0"
    for option in options:
        if option.key in _LIKELIHOOD or abbreviates(option.key, *_LIKELIHOOD):
            raise UnsupportedError(
                f"$ESTIMATION {option.token.text}: a user-defined likelihood is not supported",
                hint="remove it if Y is a prediction with residual error",
                location=option.at,
            )
        if abbreviates(option.key, "METHOD") and option.value is not None:
            method = option.value
    return EstimationStep(
        method=method,
        options=tuple(_pair(o) for o in options),
        evaluates_only=any(_evaluates_only(o) for o in options),
        at=record.head,
    )


def _evaluates_only(option: Option) -> bool:
    value = (option.value or "").strip()
    if len(option.key) >= 3 and abbreviates(option.key, "MAXEVALS"):
        return value.strip("0") == "" and value != ""
    return option.key == "EONLY" and value not in ("", "0")


def unmet_requests(covariance: tuple[Record, ...], tables: tuple[TableRequest, ...]) -> list[Diagnostic]:
    """What the control stream asks for and this version does not produce."""
    notes = []
    if covariance:
        notes.append(
            Diagnostic(
                code="no-covariance-step",
                severity="warning",
                message="$COVARIANCE is not run: this version computes no standard errors",
                location=covariance[0].head,
            )
        )
    if tables:
        files = ", ".join(t.file or "the output" for t in tables)
        notes.append(
            Diagnostic(
                code="no-tables",
                severity="warning",
                message=f"$TABLE is not written in this version ({files})",
                hint="individual random effects are in the .phi file, individual parameters in results.json",
                location=tables[0].at,
            )
        )
    return notes


def _pair(option: Option) -> tuple[str, str | None]:
    return option.token.text, option.value


def read_tables(records: tuple[Record, ...]) -> tuple[TableRequest, ...]:
    """One request for each record: file, columns in order (upper case), options in order."""
    return tuple(_table(record) for record in records)


def _table(record: Record) -> TableRequest:
    file: str | None = None
    columns: list[str] = []
    options: list[tuple[str, str | None]] = []
    for option in read_options(record):
        if option.assigned and abbreviates(option.key, "FILE"):
            file = option.value
        elif option.assigned or option.key in _TABLE_FLAGS or _long_flag(option):
            options.append(_pair(option))
        else:
            columns.append(option.key + (option.value or "").upper().replace(" ", ""))
    return TableRequest(file=file, columns=tuple(columns), options=tuple(options), at=record.head)


def _long_flag(option: Option) -> bool:
    """An abbreviated flag; five letters or more, so that no short column name is taken for one."""
    return len(option.key) >= 5 and option.value is None and abbreviates(option.key, *_TABLE_FLAGS)
