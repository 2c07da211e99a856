"""$ESTIMATION, $COVARIANCE and $TABLE: what is asked for beyond the model, kept as written."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from nlmevae.errors import ModelSyntaxError, UnsupportedError
from nlmevae.frontends.nonmem.options import Option, abbreviates, read_options
from nlmevae.frontends.nonmem.records import Record
from nlmevae.ir import CovarianceRequest, Diagnostic, EstimationStep, TableRequest

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
        UnsupportedError: Y is a likelihood (LIKELIHOOD, -2LL), or no step estimates (MAXEVAL=0, EONLY=1).
    """
    steps = tuple(_step(record) for record in records)
    evaluating = [next((o for o in read_options(r) if _evaluates_only(o)), None) for r in records]
    if evaluating and None not in evaluating:
        option = evaluating[0]
        raise UnsupportedError(
            f"$ESTIMATION {option.token.text}={option.value} asks to evaluate the model without estimating, "
            "which is not supported",
            hint="remove the option to estimate; nlmevae does not evaluate at given parameters yet",
            location=option.at,
        )
    return steps


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
    return EstimationStep(method=method, options=tuple(_pair(o) for o in options), at=record.head)


def _evaluates_only(option: Option) -> bool:
    value = (option.value or "").strip()
    if len(option.key) >= 3 and abbreviates(option.key, "MAXEVALS"):
        return value.strip("0") == "" and value != ""
    return option.key == "EONLY" and value not in ("", "0")


def read_covariance_request(records: tuple[Record, ...]) -> CovarianceRequest | None:
    """What $COVARIANCE asks for; options of NONMEM's own numerical methods have no counterpart and are passed over.

    Raises:
        ModelSyntaxError: MATRIX is neither R nor S.
    """
    if not records:
        return None
    asked = CovarianceRequest(at=records[0].head)
    for option in (o for record in records for o in read_options(record)):
        if abbreviates(option.key, "MATRIX") and option.assigned:
            asked = replace(asked, matrix=_matrix(option))
        elif abbreviates(option.key, "UNCONDITIONAL"):
            asked = replace(asked, unconditional=True)
        elif abbreviates(option.key, "CONDITIONAL"):
            asked = replace(asked, unconditional=False)
        elif abbreviates(option.key, "OMITTED"):
            asked = replace(asked, omitted=True)
    return asked


def _matrix(option: Option) -> Literal["R", "S"]:
    value = (option.value or "").upper()
    if value not in ("R", "S"):
        raise ModelSyntaxError(
            f"$COVARIANCE MATRIX={option.value} is not a covariance matrix of NONMEM",
            hint="write MATRIX=R (inverse observed information), MATRIX=S (inverse cross-product of the scores), or "
            "leave it out for their sandwich",
            location=option.at,
        )
    return value


def unmet_requests(covariance: tuple[Record, ...], tables: tuple[TableRequest, ...]) -> list[Diagnostic]:
    """What the control stream asks for and this version does not produce."""
    notes = []
    resampled = [o for r in covariance for o in read_options(r) if o.key == "SIRSAMPLE"]
    if resampled:
        notes.append(
            Diagnostic(
                code="no-sir",
                severity="warning",
                message="$COVARIANCE SIRSAMPLE: sampling importance resampling is not done",
                hint="for intervals that are not symmetric use nlmevae profile",
                location=resampled[0].at,
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
