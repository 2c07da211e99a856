"""What a Monolix project says about the rows of its data file, as far as the numbers depend on it.

The data layer reads such a file into records of the engine's own items (`MonolixRows.items`), see data.monolix_rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nlmevae.errors import Location
from nlmevae.ir.data_item import Column, Role
from nlmevae.ir.expression import Expression
from nlmevae.ir.individual import Transform

RowUse = Literal[
    "identifier",
    "time",
    "observation",
    "observationtype",
    "amount",
    "administration",
    "rate",
    "infusiontime",
    "additionaldose",
    "interdoseinterval",
    "steadystate",
    "eventidentifier",
    "missingdependentvariable",
    "censored",
    "limit",
    "occasion",
    "covariate",
    "regressor",
    "ignored",
    "ignoredline",
]
#: Items every data set has, and those it has where the file has a column of that use.
_ALWAYS: tuple[tuple[str, Role], ...] = (
    ("ID", "id"), ("TIME", "time"), ("DV", "dv"), ("AMT", "amt"), ("RATE", "rate"), ("EVID", "evid"),
    ("MDV", "mdv"), ("CMT", "cmt"),
)  # fmt: skip
_WHERE_USED = (("CENS", "censored"), ("LIMIT", "limit"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RowColumn:
    """A column of the file that is used.

    Attributes:
        name: as in the header.
        item: of a covariate, regressor or occasion: the data item programs read; "": not wanted.
        categories: labels of a categorical covariate, in declared order: the item is the position from 0.
        n_doses: doses added before a steady-state dose.
    """

    name: str
    use: RowUse
    item: str = ""
    categories: tuple[str, ...] = ()
    n_doses: int = 5
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedItem:
    """A covariate computed from others; `value` reads their items, or computed ones before it."""

    item: str
    value: Expression
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegroupedItem:
    """A categorical covariate whose categories are groups of those of the column `source` (its name in the header):
    the item is the position of the group from 0."""

    item: str
    source: str
    groups: tuple[tuple[str, ...], ...]
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoseRoute:
    """Doses of one administration enter one input (`ir.DoseInput`).

    Attributes:
        kind: "direct": at once, or as an infusion where the record has a rate or a duration (iv, depot without
            absorption); "zero_order": over the time the model says (Tk0); "absorption": at once into a depot.
            Infusions into an input with a fraction need `MonolixRows.dose_duration` and, as duration of the input, a
            variable that is that item.
    """

    administration: int
    input: int
    kind: Literal["direct", "zero_order", "absorption"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitDose:
    """Doses of one administration that arrive through transit compartments: the right-hand side has their rate.

    Attributes:
        time, amount: items: time and amount of the last such dose, 0 before the first.
        constant: regressors and step functions the rate depends on: a change while a dose arrives is refused.
    """

    administration: int
    time: str
    amount: str
    constant: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyingDose:
    """Doses of one administration set the amounts of `compartments` to 0 and bring nothing."""

    administration: int
    compartments: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonolixRows:
    """How the rows of a file become records.

    Attributes:
        header: names of all columns in order; the first line of the file is not read.
        delimiter: the character; None: found from the file.
        columns: those that are used.
        kinds: values of the observationtype column whose observations are fitted; item YTYPE is the position from 1.
            Empty: the file has no such column, YTYPE is 1.
        scales: of each kind, the scale on which its values are compared with predictions: "log" of a log-normal
            outcome, "logit" of a logit-normal one. Values in the file are natural. Empty: all are compared as they are.
        routes: several for an administration whose doses are split.
        transit: administrations whose doses enter no input, or not only.
        emptying: administrations whose doses empty compartments.
        computed, regrouped: covariates, after those of columns; `computed` may read `regrouped`.
        dose_time, dose_amount, dose_duration: items for the step functions tDose, amtDose, inftDose; None: not read.
        event_occasion: item that counts the periods which records with event identifier 4 begin (OCCevid).
        initial_time: where the state is initialised; None: at a subject's first record.
    """

    header: tuple[str, ...]
    delimiter: str | None = None
    columns: tuple[RowColumn, ...] = ()
    kinds: tuple[str, ...] = ()
    scales: tuple[Transform, ...] = ()
    routes: tuple[DoseRoute, ...] = ()
    transit: tuple[TransitDose, ...] = ()
    emptying: tuple[EmptyingDose, ...] = ()
    computed: tuple[ComputedItem, ...] = ()
    regrouped: tuple[RegroupedItem, ...] = ()
    dose_time: str | None = None
    dose_amount: str | None = None
    dose_duration: str | None = None
    event_occasion: str | None = None
    initial_time: float | None = None

    def of(self, use: RowUse) -> tuple[RowColumn, ...]:
        """The columns with this use, in header order."""
        found = [c for c in self.columns if c.use == use]
        return tuple(sorted(found, key=lambda c: self.header.index(c.name) if c.name in self.header else 0))

    @property
    def meaning(self) -> tuple:
        """What predictions depend on besides the file itself."""
        doses = self.routes, self.transit, self.emptying
        return self.kinds, self.scales, *doses, self.computed, self.regrouped, self.initial_time

    @property
    def steps(self) -> tuple[str, ...]:
        """Items of the step functions that are read: time, amount, duration of the last dose, of any administration
        or of one with transit compartments."""
        own = [n for n in (self.dose_time, self.dose_amount, self.dose_duration) if n is not None]
        return tuple(dict.fromkeys((*own, *(n for t in self.transit for n in (t.time, t.amount)))))

    @property
    def occasion_items(self) -> tuple[str, ...]:
        own = tuple(c.item for c in self.of("occasion") if c.item)
        return own + ((self.event_occasion,) if self.event_occasion else ())

    @property
    def covariate_items(self) -> tuple[str, ...]:
        own = tuple(c.item for c in self.of("covariate") if c.item)
        return (*own, *(r.item for r in self.regrouped), *(c.item for c in self.computed))

    @property
    def regressor_items(self) -> tuple[str, ...]:
        return tuple(c.item for c in self.of("regressor") if c.item)

    @property
    def items(self) -> tuple[Column, ...]:
        """The columns of the data set, which `DataSpec.columns` must be."""
        used = [Column(name=name, role=role) for name, role in _ALWAYS]
        names = [name for name, use in _WHERE_USED if self.of(use)] + ["YTYPE"]
        names += [*self.occasion_items, *self.covariate_items, *self.regressor_items, *self.steps]
        return (*used, *(Column(name=name, role="covariate") for name in names))
