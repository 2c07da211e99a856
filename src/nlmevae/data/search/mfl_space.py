"""The search that Pharmpy's MFL asks for, in this program's terms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nlmevae.data.covariate_values import Covariate, Obstacle, subject_values
from nlmevae.data.dataset import Dataset
from nlmevae.data.event_table import dataset_rows
from nlmevae.data.search.asked_pairs import AskedNames
from nlmevae.data.search.effect_request import EffectRequest
from nlmevae.data.search.foreign_forms import KINDS, WORDS, same_form
from nlmevae.data.search.mfl import CovariateStatement, MflSearch, Names
from nlmevae.data.search.suggestion import suggestion
from nlmevae.data.search_spec import SearchSpec
from nlmevae.errors import SettingsError, UnsupportedError
from nlmevae.ir import Diagnostic, Model
from nlmevae.ir.candidate import EffectForm

_SHAPES = {
    "lin": "linear",
    "piece_lin": "hockey-stick",
    "exp": "exponential",
    "pow": "power",
    "cat": "categorical",
    "cat2": "categorical",
    "custom": "custom",
}
#: What "*" stands for among the effects.
_CONTINUOUS = ("lin", "piece_lin", "exp", "pow")
#: Groups of parameters that Pharmpy finds by the structure of its own models.
_STRUCTURAL = ("PK", "PD", "PK_IIV", "PD_IIV", "ABSORPTION", "ELIMINATION", "DISTRIBUTION", "BIOAVAIL")


def mfl_space(
    search: MflSearch, model: Model, dataset: Dataset, spec: SearchSpec, *, linear_as: str | None = None
) -> tuple[SearchSpec, list[Diagnostic]]:
    """`spec` with the effects that the statements ask for, and what they ask for that cannot be searched.

    Raises:
        SettingsError: an unknown name or group.
        UnsupportedError: a parameter and covariate without any effect that can be searched exactly.
    """
    space = _Space(search, model, dataset, spec, linear_as)
    effects: list[EffectRequest] = []
    forced: list[EffectRequest] = []
    for statement in search.statements:
        found = list(space.requests(statement))
        (effects if statement.optional else forced).extend(found)
    always = {(e.parameter, e.covariate) for e in forced}
    tried = [e for e in dict.fromkeys(effects) if (e.parameter, e.covariate) not in always]
    if not tried and not forced:
        raise SettingsError("the MFL leaves nothing to search", hint="name covariates that the data have")
    return (
        replace(
            spec,
            effects=(*tried, *(e for e in dict.fromkeys(forced))),
            force=(*spec.force, *dict.fromkeys(forced)),
            centre="median",
            missing=-99.0 if spec.missing is None else spec.missing,
        ),
        space.notes(),
    )


class _Space:
    def __init__(
        self, search: MflSearch, model: Model, dataset: Dataset, spec: SearchSpec, linear_as: str | None
    ) -> None:
        self.search, self.model, self.spec, self.linear_as = search, model, spec, linear_as
        self.dataset = dataset
        self.names = AskedNames(model, spec)
        self.dropped: dict[str, list[str]] = {}
        self.replaced: list[str] = []
        self.left_out: dict[str, Diagnostic] = {}
        rows = dataset_rows(model, dataset)
        position = {item: k for k, item in enumerate(rows.items)}
        missing = -99.0 if spec.missing is None else spec.missing
        self.values = {k: subject_values(dataset, position[k], missing) for k in self.names.columns}

    # statements -----------------------------------------------------------------------------------
    def requests(self, statement: CovariateStatement) -> Iterator[EffectRequest]:
        covariates = self.covariates(statement.covariates)
        for k in self.parameters(statement.parameters):
            for j in covariates:
                for form in self.forms(statement, k, j):
                    yield EffectRequest(
                        parameter=self.model.individual_parameters[k].name.upper(),
                        covariate=self.model.data.columns[j].name.upper(),
                        form=form,
                        at=statement.at,
                    )

    def forms(self, statement: CovariateStatement, k: int, j: int) -> list[EffectForm]:
        """Ours for the effects of a statement on one parameter and covariate.

        Raises:
            UnsupportedError: there is none.
        """
        parameter, covariate = self.model.individual_parameters[k], self.model.data.columns[j].name
        place = "individual" if statement.operation == "*" else "shifted"
        pair = f"{parameter.name}-{covariate}"
        every = not statement.effects
        effects = ("cat",) if every and self.has_two_values(j) else statement.effects or _CONTINUOUS
        found: list[EffectForm] = []
        lost = []
        for effect in effects:
            form = same_form(_SHAPES[effect], place, parameter.transform)
            if form is None and effect == "lin" and self.linear_as and self.takes_linear_as(statement, k):
                form = self.linear_as  # type: ignore[assignment]
                self.replaced.append(pair)
            if form is None:
                lost.append(f"{effect} ({WORDS[_SHAPES[effect]]})")
            else:
                found.append(form)
        if not found:
            raise UnsupportedError(
                f"{pair}, operation {statement.operation}: no effect of it can be searched exactly on "
                f"{parameter.name}, which is {KINDS[parameter.transform.kind]}: {', '.join(lost)}",
                hint="ask for exp, pow or cat with * on log-normal parameters, for lin or cat with + on normal ones"
                + (
                    "; or give --linear-as exponential"
                    if "lin" in effects and self.takes_linear_as(statement, k)
                    else ""
                ),
                location=statement.at,
            )
        for effect in lost:
            self.dropped.setdefault(effect, []).append(pair)
        return list(dict.fromkeys(found))

    def takes_linear_as(self, statement: CovariateStatement, k: int) -> bool:
        """A linear factor on a log-normal parameter."""
        return statement.operation == "*" and self.model.individual_parameters[k].transform.kind == "log"

    # names ----------------------------------------------------------------------------------------
    def parameters(self, names: Names) -> list[int]:
        if names.every or (names.group == "IIV" and "IIV" not in self.search.definitions):
            return list(self.names.parameters)
        values = self.defined(names, "parameters", ("IIV",))
        return list(dict.fromkeys(self.names.parameter(v, "--mfl", names.at) for v in values))

    def covariates(self, names: Names) -> list[int]:
        group = names.group
        if names.every or (group in ("CONTINUOUS", "CATEGORICAL") and group not in self.search.definitions):
            found = []
            for j in self.names.columns:
                values = self.values[j]
                if isinstance(values, Obstacle):
                    name = self.model.data.columns[j].name
                    self.left_out.setdefault(name, values.warning(self.dataset, name))
                elif names.every or self.is_categorical(j) == (group == "CATEGORICAL"):
                    found.append(j)
            return found
        values = self.defined(names, "covariates", ("CONTINUOUS", "CATEGORICAL"))
        return list(dict.fromkeys(self.names.column(v, "--mfl", names.at) for v in values))

    def defined(self, names: Names, what: str, known: tuple[str, ...]) -> tuple[str, ...]:
        """The values of a group that LET defines, or those that stand there."""
        if not names.group:
            return names.values
        if names.group in self.search.definitions:
            return self.search.definitions[names.group]
        if names.group in _STRUCTURAL and what == "parameters":
            message = f"@{names.group} is a group that Pharmpy finds by the structure of its models"
            hint = f"define it, LET({names.group}, [CL, V]), name the parameters, or take @IIV for all with an ETA"
        else:
            groups = [f"@{name}" for name in (*known, *self.search.definitions)]
            message = f"there is no group @{names.group} of {what}"
            hint = suggestion(f"@{names.group}", groups, "groups are")
        raise SettingsError(message, hint=hint, location=names.at)

    def has_two_values(self, j: int) -> bool:
        values = self.values[j]
        return isinstance(values, Covariate) and len(values.levels) <= 2

    def is_categorical(self, j: int) -> bool:
        """Flagged, or two values; the categories of more are told with --categorical."""
        return self.model.data.columns[j].name.upper() in self.spec.categorical or self.has_two_values(j)

    def notes(self) -> list[Diagnostic]:
        found = list(self.left_out.values())
        for effect, pairs in self.dropped.items():
            message = f"{effect} is not searched on {', '.join(dict.fromkeys(pairs))}: there is no such form here"
            hint = "the other effects of these pairs are searched"
            found.append(Diagnostic(code="mfl-effect", severity="warning", message=message, hint=hint))
        if self.replaced:
            message = f"{self.linear_as} is searched in place of lin on {', '.join(dict.fromkeys(self.replaced))}"
            hint = "as --linear-as says; the two are close where effects are small"
            found.append(Diagnostic(code="mfl-linear-as", severity="warning", message=message, hint=hint))
        return found
