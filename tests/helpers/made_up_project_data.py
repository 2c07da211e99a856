"""A data file for any Monolix project: a dose and a few observations of each kind for three subjects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nlmevae.frontends.monolix.project import CategoricalCovariate, ColumnUse, Project
from nlmevae.frontends.monolix.structural.structure import structure

_TIMES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0)


def made_up_project_data(project: Project, folder: Path) -> Path:
    """Written into `folder` under the name the project has for it, in the columns of its header."""
    uses = {c.name: c for c in project.data.columns}
    categories = {c.name.lower(): c.categories for c in project.covariates if isinstance(c, CategoricalCovariate)}
    dosed = structure(project.structural, predictions=[o.prediction for o in project.observations]).inputs
    observed = project.data.of("observation")
    kinds = observed[0].kinds or observed[0].names or ("1",)
    separator = project.data.delimiter or ","
    lines = [separator.join(project.data.header)]
    for subject in (1, 2, 3):
        if dosed:
            lines.append(separator.join(_item(uses.get(n), subject, 0, "", categories) for n in project.data.header))
        for k in range(1, len(_TIMES)):
            for kind in kinds:
                row = (_item(uses.get(n), subject, k, kind, categories) for n in project.data.header)
                lines.append(separator.join(row))
    path = folder / Path(project.data.path.replace("\\", "/")).name
    path.write_text("\n".join(lines) + "\n")
    return path


def _item(column: ColumnUse | None, subject: int, k: int, kind: str, categories: Mapping[str, tuple[str, ...]]) -> str:
    dose = not kind
    if column is None:
        return "0"
    match column.use:
        case "identifier":
            return str(subject)
        case "time":
            return f"{_TIMES[k]:g}"
        case "observation":
            return "." if dose else f"{2.0 + 0.3 * subject - 0.2 * k:g}"
        case "observationtype":
            return "." if dose else kind
        case "amount":
            return "100" if dose else "."
        case "administration":
            return "1" if dose else "."
        case "eventidentifier" | "missingdependentvariable":
            return str(int(dose))
        case "censored":
            return str(int(k == 3))
        case "occasion":
            return str(1 + (k > 3))
        case "covariate":
            known = categories.get(column.name.lower())
            if known is None and column.categorical:  # the text has another name for it than the file
                known = next(iter(categories.values()), None)
            return known[(subject - 1) % len(known)] if known else str(20 + 15 * subject)
        case "regressor":
            return f"{1.0 + 0.1 * subject + 0.05 * k:g}"
        case _:
            return "." if dose or column.use in ("limit", "additionaldose", "interdoseinterval") else "0"
