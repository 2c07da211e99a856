"""What the model text asks for beyond the model: estimation steps, tables, covariance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nlmevae.errors import Location


@dataclass(frozen=True, slots=True, kw_only=True)
class RawOutput:
    """$ESTIMATION's FILE, to which NONMEM writes what it also writes to `.ext`; None: not said. `format` acts on this
    file alone; `title`, `labels`: whether it has these lines."""

    file: str | None = None
    format: TableFormat | None = None
    title: bool | None = None
    labels: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimationStep:
    """One $ESTIMATION record: its method as written and all options, in order.

    Attributes:
        evaluates_only: it estimates nothing (MAXEVAL=0, EONLY=1, BIONLY=1, OMITTED).
        interaction: whether the residual error's variance depends on the random effects in it; None: the record does
            not say.
        seed: of random numbers (SEED); None: the record does not say.
        prior: a distribution of parameters that one of its options states.
        output: its raw output file; of what the record does not say None.
        unused: options without effect here, as written.
    """

    method: str
    options: tuple[tuple[str, str | None], ...] = ()
    evaluates_only: bool = False
    interaction: bool | None = None
    seed: int | None = None
    prior: PriorRequest | None = None
    output: RawOutput = field(default_factory=RawOutput)
    unused: tuple[str, ...] = ()
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CovarianceRequest:
    """$COVARIANCE: `matrix` is R, S or "" (their sandwich); `unconditional`: also when the estimation did not
    converge; `omitted`: not at all; `unused`: options without effect here, as written."""

    matrix: Literal["", "R", "S"] = ""
    unconditional: bool = False
    omitted: bool = False
    unused: tuple[str, ...] = field(default=(), compare=False)
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFormat:
    """How $TABLE prints a number: `delimiter`, then Fortran's `kind` E, F or G with `width` and `decimals`; the default
    is NONMEM's, s1PE11.4."""

    delimiter: str = " "
    kind: Literal["E", "F", "G"] = "E"
    width: int = 11
    decimals: int = 4


#: NONMEM's default of the raw output file, s1PE12.5; the layout of `.ext`.
NONMEM_RAW_FORMAT = TableFormat(width=12, decimals=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRequest:
    """One $TABLE record.

    Attributes:
        file: None where the table would only be printed.
        columns: (name in the code or the data, label to print), ``("ETA(1)", "ETA1")``.
        append: DV PRED RES WRES come behind them.
        header: title and labels before every 900 lines ("pages"), once or never; `title`, `labels`: each of the two.
        records: of every subject, all or some.
        samples, seed: simulations behind NPDE, EPRED and the like (ESAMPLE, SEED).
        cholesky: weighted residuals by the Cholesky factor (WRESCHOL).
        omitted: no table at all (OMITTED).
        unread: options that are not acted on, as written.
    """

    file: str | None = None
    columns: tuple[tuple[str, str], ...] = ()
    append: bool = True
    header: Literal["pages", "one", "none"] = "pages"
    title: bool = True
    labels: bool = True
    records: Literal["all", "first", "last", "first_last"] = "all"
    format: TableFormat = field(default_factory=TableFormat)
    samples: int = 300
    seed: int | None = None
    cholesky: bool = False
    omitted: bool = False
    unread: tuple[str, ...] = ()
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationRequest:
    """$SIMULATION: `n` data sets from `seed`; `only`: nothing is estimated (ONLYSIMULATION); `unread`: options that
    are not acted on, as written."""

    seed: int | None = None
    n: int = 1
    only: bool = False
    unread: tuple[str, ...] = ()
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """Something the user should know that does not stop the run."""

    code: str
    severity: Literal["note", "warning"]
    message: str
    hint: str = ""
    location: Location | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorRequest:
    """The text asks for estimation with a prior distribution of the parameters. Its parameters are no part of the
    model. `remedy`: what to write to estimate without it; `stated_by`: the record, or an option of $ESTIMATION."""

    remedy: str
    stated_by: str = "$PRIOR"
    at: Location | None = field(default=None, compare=False, repr=False)
