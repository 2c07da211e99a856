"""$ESTIMATION, kept as written, and what is asked for beyond the model."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from nlmevae.errors import ModelSyntaxError, UnsupportedError
from nlmevae.frontends.nonmem.options import Option, abbreviates, read_options
from nlmevae.frontends.nonmem.records import Record
from nlmevae.ir import CovarianceRequest, Diagnostic, EstimationStep, TableRequest

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
        interaction=_interaction(options),
        at=record.head,
    )


def _interaction(options: list[Option]) -> bool | None:
    stated = None
    for option in options:
        if abbreviates(option.key, "INTERACTION"):
            stated = True
        elif option.key.startswith("NOI") and abbreviates(option.key, "NOINTERACTION"):
            stated = False
    return stated


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
    for table in tables:
        if table.file is None and not table.omitted:
            hint = "add FILE=name to have it written"
            message = "this $TABLE names no FILE: it is not printed"
            notes.append(
                Diagnostic(code="no-table-file", severity="note", message=message, hint=hint, location=table.at)
            )
        if table.unread:
            message = f"$TABLE: {', '.join(table.unread)} is not acted on"
            notes.append(Diagnostic(code="table-option", severity="note", message=message, location=table.at))
    return notes


def _pair(option: Option) -> tuple[str, str | None]:
    return option.token.text, option.value
