"""$ESTIMATION and $COVARIANCE, and what they and $TABLE ask for that is not done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from nlmevae.errors import ModelSyntaxError
from nlmevae.frontends.nonmem.estimation_options import (
    CLASSICAL,
    COVARIANCE_USED,
    EM,
    PRIORS,
    USED,
    as_written,
    covariance_option,
    estimation_option,
    switched_on,
)
from nlmevae.frontends.nonmem.options import Option, abbreviates, read_options
from nlmevae.frontends.nonmem.records import Record
from nlmevae.frontends.nonmem.table_request import number_format
from nlmevae.ir import (
    NONMEM_RAW_FORMAT,
    CovarianceRequest,
    Diagnostic,
    EstimationStep,
    PriorRequest,
    RawOutput,
    TableFormat,
    TableRequest,
)

_WITH_INTERACTION = {"ITS", "IMP", "IMPMAP", "SAEM", "DIRECT", "BAYES", "NUTS"}
#: FORMAT or DELIM alone, without a number's layout.
_DELIMITERS = {"S": " ", "T": "\t", ",": ",", "C": ","}


def read_estimation(records: tuple[Record, ...]) -> tuple[EstimationStep, ...]:
    """One step for each record; METHOD is 0 (first order) where none is written. Like it, MAXEVALS and EONLY hold from
    step to step, among the methods that read them.

    Raises:
        UnsupportedError: an option that changes the model or what is maximised (LIKELIHOOD, -2LL, ZERO).
        ModelSyntaxError: NONMEM has no such option, or SEED is no whole number.
    """
    held: dict[str, Option] = {}
    return tuple(_step(record, held) for record in records)


def _step(record: Record, held: dict[str, Option]) -> EstimationStep:
    """`held`: METHOD, MAXEVALS and EONLY of the steps before, to which this step adds its own."""
    options = read_options(record)
    named = [(estimation_option(option), option) for option in options]
    held |= {name: option for name, option in named if name in ("METHOD", "MAXEVALS", "EONLY")}
    method = (held["METHOD"].value if "METHOD" in held else None) or "0"
    samples_only = method.upper() == "CHAIN"  # draws initial estimates, from or to its FILE
    return EstimationStep(
        method=method,
        options=tuple(_pair(o) for o in options),
        evaluates_only=any(_evaluates_only(name, o) for name, o in (*named, *_read_from(held, method).items())),
        interaction=_interaction(named, method),
        seed=None if samples_only else _seed(named),
        output=RawOutput() if samples_only else _raw_output(named),
        prior=next((_prior(o) for name, o in named if name in PRIORS and switched_on(o)), None),
        unused=tuple(as_written(o) for name, o in named if _has_no_effect(name, o, samples_only=samples_only)),
        at=record.head,
    )


def _prior(option: Option) -> PriorRequest:
    """A distribution of THETA, OMEGA or SIGMA (``OLKJDF=2``), with or without $PRIOR."""
    remedy = f"to estimate without the prior remove {option.key}"
    return PriorRequest(remedy=remedy, stated_by=f"$ESTIMATION {as_written(option)}", at=option.at)


def _interaction(named: list[tuple[str, Option]], method: str) -> bool | None:
    """EM and Bayesian methods imply it, whatever is said (NM-TRAN's warning 121)."""
    if method.upper() in _WITH_INTERACTION:
        return True
    stated = [name == "INTERACTION" for name, _ in named if name in ("INTERACTION", "NOINTERACTION")]
    return stated[-1] if stated else None


def _read_from(held: dict[str, Option], method: str) -> dict[str, Option]:
    """What the method reads of MAXEVALS and EONLY."""
    read = "MAXEVALS" if abbreviates(method, *CLASSICAL) else "EONLY" if method.upper() in EM else ""
    return {name: option for name, option in held.items() if name == read}


def _evaluates_only(name: str, option: Option) -> bool:
    """BIONLY samples random effects at given parameters; OMITTED: nothing is estimated."""
    if name == "MAXEVALS":
        return option.value is not None and not switched_on(option)
    return name == "OMITTED" or (name in ("EONLY", "BIONLY") and option.value is not None and switched_on(option))


def _seed(named: list[tuple[str, Option]]) -> int | None:
    found = None
    for name, option in named:
        if name == "SEED":
            if not (option.value or "").isdigit():
                raise ModelSyntaxError(
                    f"SEED={option.value} is not a whole number" if option.assigned else "SEED has no value",
                    hint="write SEED=12345",
                    location=option.at,
                )
            found = int(option.value)
    return found


def _raw_output(named: list[tuple[str, Option]]) -> RawOutput:
    output = RawOutput()
    for name, option in named:
        if name == "FILE" and option.value is not None:
            output = replace(output, file=option.value)
        elif name in ("FORMAT", "DELIM"):
            output = replace(output, format=_layout(option))
        elif name == "NOTITLE":
            output = replace(output, title=not switched_on(option))
        elif name == "NOLABEL":
            output = replace(output, labels=not switched_on(option))
    return output


def _layout(option: Option) -> TableFormat | None:
    """``s1PE12.5``, ``,``; None for anything else."""
    value = (option.value or "").upper()
    if value in _DELIMITERS:
        return replace(NONMEM_RAW_FORMAT, delimiter=_DELIMITERS[value])
    return number_format(value)


def _has_no_effect(name: str, option: Option, *, samples_only: bool) -> bool:
    if name == "MAXEVALS" or name in PRIORS:
        return switched_on(option) == (name == "MAXEVALS")
    if name in ("FORMAT", "DELIM"):
        return samples_only or _layout(option) is None
    return name not in USED or (samples_only and name in ("SEED", "FILE", "NOTITLE", "NOLABEL"))


def read_covariance_request(records: tuple[Record, ...]) -> CovarianceRequest | None:
    """What $COVARIANCE asks for; options of NONMEM's own numerical methods have no counterpart.

    Raises:
        ModelSyntaxError: MATRIX is neither R nor S, or NONMEM has no such option.
    """
    if not records:
        return None
    asked = CovarianceRequest(at=records[0].head)
    for option in (o for record in records for o in read_options(record)):
        name = covariance_option(option)
        if name == "MATRIX" and option.assigned:
            asked = replace(asked, matrix=_matrix(option))
        elif name in ("UNCONDITIONAL", "CONDITIONAL"):
            asked = replace(asked, unconditional=name == "UNCONDITIONAL")
        elif name == "OMITTED":
            asked = replace(asked, omitted=True)
        elif name not in COVARIANCE_USED:
            asked = replace(asked, unused=(*asked.unused, as_written(option)))
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


def estimation_notes(steps: tuple[EstimationStep, ...], covariance: CovarianceRequest | None) -> list[Diagnostic]:
    """A prior, where the seed of a fit comes from, and the options that have no effect, in one note for each record's
    kind."""
    notes = []
    for prior in [step.prior for step in steps if step.prior is not None][:1]:
        message = f"{prior.stated_by}: the prior is no part of the model here: estimating stops, and -2LL is without it"
        notes.append(Diagnostic(code="prior-option", severity="warning", message=message, location=prior.at))
    seeds = [step for step in steps if step.seed is not None]
    if seeds:
        message = f"$ESTIMATION SEED={seeds[-1].seed} is the seed of a fit unless another one is given"
        hint = "the random numbers are not those of NONMEM"
        notes.append(Diagnostic(code="seed", severity="note", message=message, hint=hint, location=seeds[-1].at))
    files = [step.output.file for step in steps if step.output.file is not None]
    unused = [f"FILE={file} of an earlier step" for file in files[:-1] if file != files[-1]]
    unused += [text for step in steps for text in step.unused]
    if unused:
        notes.append(_without_effect("$ESTIMATION", unused, steps[0]))
    if covariance is not None and covariance.unused:
        notes.append(_without_effect("$COVARIANCE", covariance.unused, covariance))
    return notes


def _without_effect(record: str, options: Iterable[str], at: EstimationStep | CovarianceRequest) -> Diagnostic:
    message = f"{record}: not applicable: {', '.join(dict.fromkeys(options))}"
    return Diagnostic(code="not-applicable", severity="note", message=message, location=at.at)


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
