"""What a Monolix project states: names, expressions and numbers with their places, before any meaning is given to it.

Project and model file -> `Project` (this file) -> `ir.Model`. Everything is as written: standard deviations stay
standard deviations, names keep their case, values are on the scale of the text. Expressions are `ir` nodes whose
symbols are Mlxtran's own names. Terms are those of the Mlxtran documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from nlmevae.errors import Location
from nlmevae.ir import Diagnostic, Expression, PriorRequest, RowUse, Statement

#: A population parameter's name, or a number in its place.
NameOrNumber = str | float


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnUse:
    """One entry of [CONTENT].

    Attributes:
        name: of the column, as in `header`.
        categorical: a covariate of type=categorical.
        names: an observation column's `name` (older) or `yname` (newer): what <FIT> calls its kinds of observation.
        kinds: the observation column's `yname` or `ytype` values, the values of the observationtype column.
        types: continuous, discrete, event, count or categorical, one per kind or one for all.
        n_doses: `nbdoses` of a steady-state column; None: not said (5).
    """

    name: str
    use: RowUse
    categorical: bool = False
    names: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    n_doses: int | None = None
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """<DATAFILE>. `header` is authoritative for the order of columns, the file's first line is not read. `delimiter`
    is the character itself, None where the text does not say. `path` as written (`\\` kept)."""

    path: str
    header: tuple[str, ...]
    delimiter: str | None
    columns: tuple[ColumnUse, ...]
    at: Location | None = field(default=None, compare=False, repr=False)

    def of(self, use: RowUse) -> tuple[ColumnUse, ...]:
        """The columns with this use, in header order."""
        return tuple(c for c in self.columns if c.use == use)


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoricalCovariate:
    """`SEX = {type=categorical, categories={'F','M'}}`, in declared order."""

    name: str
    categories: tuple[str, ...]
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedCovariate:
    """`lw70 = log(wt/70)` of [COVARIATE] EQUATION."""

    name: str
    value: Expression
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegroupedCovariate:
    """`tSex = {transform=sex, categories={'F'={'0'}, 'M'={'1'}}, reference='M'}`: groups in declared order, each with
    its members among the categories of `source`."""

    name: str
    source: str
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    reference: str | None = None
    at: Location | None = field(default=None, compare=False, repr=False)


Covariate = CategoricalCovariate | ComputedCovariate | RegroupedCovariate


@dataclass(frozen=True, slots=True, kw_only=True)
class CovariateTerm:
    """One covariate of an individual parameter with its coefficient (continuous), or one coefficient per category in
    the covariate's declared order (categorical; 0 at the reference)."""

    covariate: str
    coefficients: tuple[NameOrNumber, ...]
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variability:
    """One level: `level` ("id",), ("id", "occ"), ...; `value` its standard deviation, or variance where `variance`."""

    level: tuple[str, ...]
    value: NameOrNumber
    variance: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IndividualDefinition:
    """One entry of [INDIVIDUAL] DEFINITION: h(P) = h(typical) + sum of terms + random effects.

    `distribution` in lower case; `lower`, `upper` are `min`, `max` (logitNormal: 0 and 1 where not said, else None).
    `gaussian`: written as `mean=`, `typical` is then h(typical) itself. No `variability`: no-variability.
    """

    name: str
    distribution: Literal["normal", "lognormal", "logitnormal", "probitnormal"]
    typical: NameOrNumber
    gaussian: bool = False
    lower: float | None = None
    upper: float | None = None
    terms: tuple[CovariateTerm, ...] = ()
    variability: tuple[Variability, ...] = ()
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """`r(V, Cl) = corr_V_Cl` at `level`."""

    level: tuple[str, ...]
    parameters: tuple[str, str]
    value: NameOrNumber
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorModel:
    """`errorModel=combined1(a, b)`: `kind` constant, proportional, combined1 or combined2 without the suffix c;
    `power` its third argument, or that of the forms with c; None: 1."""

    kind: Literal["constant", "proportional", "combined1", "combined2"]
    a: NameOrNumber | None = None
    b: NameOrNumber | None = None
    power: NameOrNumber | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationDefinition:
    """One continuous outcome of [LONGITUDINAL] DEFINITION (or of the model file); other types stop before this.
    `prediction` names a variable of the structural model."""

    name: str
    distribution: Literal["normal", "lognormal", "logitnormal"]
    prediction: str
    error: ErrorModel
    lower: float | None = None
    upper: float | None = None
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Macro:
    """One statement of PK: `Cc = pkmodel(V, Cl=Cl_i, p=0.5)`. A bare argument `V` has the value `Symbol("V")`.
    `results` are the names left of "=" (empty, `Cc`, or `Cc, Ce`). Argument names in lower case."""

    name: str
    arguments: Mapping[str, Expression]
    results: tuple[str, ...] = ()
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StructuralText:
    """The structural model as written, from a file, from the project or generated from a library name.

    Attributes:
        path: the file; that of the project where the model stands there.
        inputs: all names of `input`, regressors included, in order.
        regressors: those with `use=regressor`, in order of declaration: columns of the data meet them in this order.
        macros: of PK, in order. Plain assignments of PK are in `equations`.
        equations: of EQUATION and PK in order: `ddt_A`, `A_0`, `t_0` (also written t0) and variables.
        stiff: odeType=stiff; None: not said.
        outputs: of OUTPUT. tables: of its `table`.
        description: of DESCRIPTION.
    """

    path: str
    text: str
    inputs: tuple[str, ...] = ()
    regressors: tuple[str, ...] = ()
    macros: tuple[Macro, ...] = ()
    equations: tuple[Statement, ...] = ()
    stiff: bool | None = None
    outputs: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    description: str = ""
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """<FIT>: data kind (name or yname of the observation) -> observation model, element by element."""

    data: tuple[str, ...]
    models: tuple[str, ...]
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialValue:
    """One entry of <PARAMETER>, on the scale of the text."""

    name: str
    value: float
    method: Literal["mle", "fixed", "map"] = "mle"
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One entry of [TASKS]: name and arguments as written, lower-case names; `run` as its argument says (True)."""

    name: str
    arguments: Mapping[str, str]
    run: bool = True
    at: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project with its structural model. `settings` are those of <MONOLIX> [SETTINGS] by lower-case name;
    `included`: files read besides the project."""

    path: str
    text: str
    data: DataFile
    covariates: tuple[Covariate, ...]
    individual: tuple[IndividualDefinition, ...]
    correlations: tuple[Correlation, ...]
    structural: StructuralText
    observations: tuple[ObservationDefinition, ...]
    fit: Fit
    parameters: tuple[InitialValue, ...]
    tasks: tuple[Task, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    included: tuple[str, ...] = ()
    prior: PriorRequest | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
