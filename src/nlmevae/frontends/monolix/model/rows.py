"""<DATAFILE> and what the model needs of it: the description of the rows that the data layer reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nlmevae.data.monolix_occasions import event_period_line, occasion_levels
from nlmevae.errors import DataError, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.model.covariate_code import Covariates
from nlmevae.frontends.monolix.model.emptying import emptying
from nlmevae.frontends.monolix.model.outcome_code import observed_scale
from nlmevae.frontends.monolix.names import program_name
from nlmevae.frontends.monolix.project import ColumnUse, IndividualDefinition, Project
from nlmevae.frontends.monolix.structural.structure import Structure
from nlmevae.ir import DataSpec, DoseRoute, MonolixRows, RowColumn, Transform, TransitDose

#: The data item that counts the occasions which event identifier 4 begins.
EVENT_OCCASION = "OCCevid"
_STEPS = {"tDose": "dose_time", "amtDose": "dose_amount", "inftDose": "dose_duration"}


class UnknownOccasionsError(DataError):
    """Parameters vary between occasions, which only the data number, and the data cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRows:
    """`occasion_item`, `occasions`: the data item and its values where parameters vary between occasions."""

    spec: DataSpec
    occasion_item: str | None
    occasions: tuple[float, ...]


def data_rows(project: Project, stated: Structure, routes: tuple[DoseRoute, ...]) -> ProjectRows:
    """Raises:
    DataError: parameters vary between occasions, and the file that has them cannot be read.
    SemanticError: not as many regressor columns as the model declares.
    """
    rows = MonolixRows(
        header=project.data.header,
        delimiter=project.data.delimiter,
        columns=_columns(project, stated),
        kinds=_kinds(project),
        scales=_scales(project),
        routes=routes,
        transit=_transit(stated),
        emptying=emptying(stated),
        event_occasion=_event_occasion(project),
        initial_time=stated.initial_time,
        **{_STEPS[name]: name for name in stated.steps},
    )
    spec = DataSpec(path=project.data.path, columns=rows.items, monolix=rows, at=project.data.at)
    item, occasions = _occasions(project, rows, spec)
    return ProjectRows(spec=spec, occasion_item=item, occasions=occasions)


def _columns(project: Project, stated: Structure) -> tuple[RowColumn, ...]:
    categories = Covariates.of_project(project).categories
    regressors = project.data.of("regressor")
    if len(regressors) != len(stated.regressors):
        raise SemanticError(
            f"the data have {len(regressors)} regressor columns, the model declares {len(stated.regressors)}",
            hint="columns and declarations meet in their order: declare as many X={use=regressor} as there are columns",
            location=project.structural.at or project.data.at,
        )
    of_regressor = {c.name: item for c, item in zip(regressors, stated.regressors, strict=True)}
    columns = []
    for column in project.data.columns:
        if column.use in ("ignored", "ignoredline") or (
            column.use == "covariate" and not _is_wanted(column, categories)
        ):
            continue
        item = ""
        if column.use in ("covariate", "occasion"):
            item = program_name(column.name)
        elif column.use == "regressor":
            item = of_regressor[column.name]
        columns.append(
            RowColumn(
                name=column.name,
                use=column.use,
                item=item,
                categories=categories.get(column.name, ()),
                n_doses=5 if column.n_doses is None else column.n_doses,
                at=column.at,
            )
        )
    return tuple(columns)


def _is_wanted(column: ColumnUse, categories: dict[str, tuple[str, ...]]) -> bool:
    """A categorical covariate without declared categories takes no part in the model."""
    return not column.categorical or column.name in categories


def _kinds(project: Project) -> tuple[str, ...]:
    """Values of the observationtype column, in the order of <FIT>."""
    if not project.data.of("observationtype"):
        return ()
    observed = project.data.of("observation")[0]
    return tuple(kind_of(name, observed) for name in project.fit.data)


def _transit(stated: Structure) -> tuple[TransitDose, ...]:
    """One per administration; two macros of one have its items in common."""
    found: dict[int, TransitDose] = {}
    for dose in stated.transit:
        before = found[dose.adm].constant if dose.adm in found else ()
        constant = tuple(dict.fromkeys((*before, *dose.constant)))
        found[dose.adm] = TransitDose(
            administration=dose.adm, time=program_name(dose.time), amount=program_name(dose.amount), constant=constant
        )
    return tuple(found.values())


def _scales(project: Project) -> tuple[Transform, ...]:
    """Of the outcomes, in the order of <FIT>; empty where all are normal."""
    by_name = {o.name: o for o in project.observations}
    scales = tuple(observed_scale(by_name[name]) for name in project.fit.models)
    return () if all(s.kind == "identity" for s in scales) else scales


def kind_of(name: str, observed: ColumnUse) -> str:
    """What <FIT> calls `name` is this value of the observationtype column."""
    if name in observed.kinds or name not in observed.names or len(observed.names) != len(observed.kinds):
        return name
    return observed.kinds[observed.names.index(name)]


def _levels(project: Project) -> list[IndividualDefinition]:
    """Individual parameters that vary between occasions."""
    return [d for d in project.individual if any(len(v.level) > 1 for v in d.variability)]


def _event_occasion(project: Project) -> str | None:
    """Without a column of occasions, those that event identifier 4 begins."""
    if not _levels(project) or project.data.of("occasion"):
        return None
    return EVENT_OCCASION


def _occasions(project: Project, rows: MonolixRows, spec: DataSpec) -> tuple[str | None, tuple[float, ...]]:
    varying = _levels(project)
    if not varying:
        return None, ()
    items = rows.occasion_items
    if len(items) != 1:
        raise UnsupportedError(
            f"parameters vary between occasions, and the data have {len(items)} levels of occasions",
            hint="give one column use=occasion in [CONTENT]",
            location=varying[0].at,
        )
    try:
        found = occasion_levels(spec, Path(project.path).parent)
    except DataError as error:
        raise UnknownOccasionsError(error.message, hint=error.hint, location=error.location) from error
    both = next((d for d in varying if len(d.variability) > 1), None)
    if len(found) < 2 and both is not None:
        how = "no line has event identifier 4" if rows.event_occasion else f"{items[0]} has one value"
        raise SemanticError(
            f"{both.name} varies between subjects and between occasions, and the data have one occasion: {how}",
            hint="leave one level of variability, or correct the occasions",
            location=both.at,
        )
    if rows.event_occasion is None and project.data.of("eventidentifier"):
        line = event_period_line(spec, Path(project.path).parent)
        if line is not None:
            raise UnsupportedError(
                f"parameters vary between occasions, and event identifier 4 on line {line} begins one beside the "
                f"column {items[0]}: whose value parameters take then is not certain",
                hint="number the occasions in the column, and use event identifier 3",
                location=varying[0].at,
            )
    return items[0], tuple(float(level[0]) for level in found)
