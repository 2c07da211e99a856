"""Which records a control stream must, may and must not have."""

from __future__ import annotations

from dataclasses import replace

from nlmevae.errors import SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.records import ControlStream, Record
from nlmevae.frontends.nonmem.subroutines import refuse_user_written
from nlmevae.ir import Diagnostic

_UNSUPPORTED = {
    "MIX": "mixture models are not supported; fit one population",
    "AES": "algebraic equations are not supported; solve them in $DES or $ERROR",
    "AESINITIAL": "algebraic equations are not supported; solve them in $DES or $ERROR",
    "AES0": "algebraic equations are not supported; solve them in $DES or $ERROR",
    "LEVEL": "random effects between levels are not supported; use one level of ETAs",
    "CONTR": "user-written contributions to the objective function are not supported; remove the record",
    "BIND": "binding of data items to parameters is not supported; remove the record",
    "INCLUDE": "write one file name: $INCLUDE file.txt",
    "SUPERPROBLEM": "problems are not repeated: only one $PROBLEM is run, once; remove the record",
    "INDEX": "index variables of user-written code are not supported; remove the record",
    "FINEDATA": "records between those of the data are not made; name the file that it would write in $DATA",
    "STIELTJES": "expectations over a nonparametric density are not computed; remove the record",
}
_NOTED = {
    "SIMULATION": "note: run by `nlmevae simulate`, which takes seed and number of data sets from it",
    "PRIOR": "warning: the prior is no part of the model here: estimating stops, and -2LL is without it",
    "NONPARAMETRIC": "note: the nonparametric step is not run; the record is kept",
    "DESIGN": "note: design evaluation is not run; the record is kept",
    "MSFI": "warning: values of a model specification file are not read; initial estimates are those of the records",
    "ETAS": "note: initial values of individual effects are not read",
    "PHIS": "note: initial values of individual effects are not read",
    "CHAIN": "note: initial estimates are not drawn; those of the records are used",
    "THETAI": "note: transformations for result files are not applied",
    "THETAR": "note: transformations for result files are not applied",
    "RCOV": "note: a covariance matrix of estimates is not read",
    "RCOVI": "note: a covariance matrix of estimates is not read",
}
_SINGLE = ("DATA", "PRED", "DES")


def first_problem(stream: ControlStream) -> tuple[ControlStream, list[Diagnostic]]:
    """The records of the first $PROBLEM, and a warning if there are others."""
    problems = stream.named("PROBLEM")
    if len(problems) < 2:
        return stream, []
    second = problems[1]
    warning = Diagnostic(
        code="several-problems",
        severity="warning",
        message="only the first $PROBLEM is used",
        hint="put every problem in a file of its own",
        location=second.head,
    )
    records = tuple(r for r in stream.records if r.start < second.start)
    return replace(stream, records=records), [warning]


def check_records(stream: ControlStream) -> list[Diagnostic]:
    """Notes on records that are kept but not run.

    Raises:
        UnsupportedError: a record whose effect cannot be executed.
        SemanticError: a record missing, twice, or beside one it excludes.
    """
    for record in stream.records:
        if record.name in _UNSUPPORTED:
            raise UnsupportedError(
                f"${record.name} is not supported", hint=_UNSUPPORTED[record.name], location=record.head
            )
    _check_single(stream)
    _check_present(stream)
    return [_note(record) for record in stream.records if record.name in _NOTED]


def one(stream: ControlStream, name: str) -> Record:
    """The record of this name; `check_records` has made sure of it."""
    return stream.named(name)[0]


def _check_single(stream: ControlStream) -> None:
    for name in _SINGLE:
        records = stream.named(name)
        if len(records) > 1:
            raise SemanticError(f"${name} appears twice", hint="join the two records", location=records[1].head)


def _check_present(stream: ControlStream) -> None:
    have = {record.name for record in stream.records}
    pred = stream.named("PRED")
    if pred:
        for record in stream.named("SUBROUTINES"):
            refuse_user_written(record)
        for other in ("PK", "DES", "ERROR", "SUBROUTINES", "MODEL"):
            if other in have:
                raise SemanticError(
                    f"${other} does not go with $PRED",
                    hint="use $PRED alone, or $SUBROUTINES with $PK and $ERROR",
                    location=one(stream, other).head,
                )
    code = ["PRED"] if pred else ["SUBROUTINES", "PK", "ERROR"]
    needed = ["PROBLEM", "INPUT", "DATA", *code, "THETA", "OMEGA", "SIGMA"]
    remedies = {
        "PROBLEM": "start with $PROBLEM and a title",
        "INPUT": "name the columns of the data file: $INPUT ID TIME DV ...",
        "DATA": "name the data file: $DATA file.csv IGNORE=@",
        "SUBROUTINES": "add $SUBROUTINES ADVANn TRANSn, or write the model in $PRED",
        "PK": "add $PK with the individual parameters, or write the model in $PRED",
        "ERROR": "add $ERROR with Y = ...",
        "THETA": "add initial estimates of the parameters; a model without THETA is not fitted",
        "OMEGA": "add variances of the random effects; a model without ETA is not fitted",
        "SIGMA": "add the variance of EPS(1); a model without residual error (LIKELIHOOD, -2LL) is not fitted",
    }
    head = stream.records[0].head
    for name in needed:
        if name not in have:
            # without random effects the model is legal, but nothing this engine can fit
            error = UnsupportedError if name in ("THETA", "OMEGA", "SIGMA") else SemanticError
            raise error(f"the control stream has no ${name}", hint=remedies[name], location=head)


def _note(record: Record) -> Diagnostic:
    severity, _, message = _NOTED[record.name].partition(": ")
    return Diagnostic(
        code="record-not-run",
        severity="warning" if severity == "warning" else "note",
        message=f"${record.name}: {message}",
        location=record.head,
    )
