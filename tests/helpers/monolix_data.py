"""Models whose data file is a Monolix one, from a few lines of code and the text of the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nlmevae.data.dataset import Dataset
from nlmevae.data.monolix_rows import read_monolix_rows
from nlmevae.ir import DoseInput, DoseRoute, Model, MonolixRows, RowColumn, SourceReference
from tests.helpers.code_models import make_model

#: header name -> use, for the names tests use
USES = {
    "ID": "identifier", "TIME": "time", "Y": "observation", "YTYPE": "observationtype", "AMT": "amount",
    "ADM": "administration", "RATE": "rate", "TINF": "infusiontime", "ADDL": "additionaldose",
    "II": "interdoseinterval", "SS": "steadystate", "EVID": "eventidentifier", "MDV": "missingdependentvariable",
    "CENS": "censored", "LIMIT": "limit", "OCC": "occasion", "OCC2": "occasion", "IGN": "ignoredline",
    "WT": "covariate", "AGE": "covariate", "REG": "regressor", "REG2": "regressor",
}  # fmt: skip
#: doses of administration 1 go into compartment 1 at once
ROUTES = (DoseRoute(administration=1, input=1, kind="direct"),)


def rows_of(header: str, *, categories: dict[str, tuple[str, ...]] | None = None, **more) -> MonolixRows:
    """Columns by their names; SEX, GRP are categorical covariates."""
    categories = {"SEX": ("F", "M"), "GRP": ("a", "b", "c")} | (categories or {})
    columns = []
    for name in header.split():
        use = USES.get(name, "covariate" if name in categories else None)
        if use is None:
            continue
        named = use in ("covariate", "regressor", "occasion")
        columns.append(
            RowColumn(
                name=name, use=use, item=name if named else "", categories=categories.get(name, ()),
                n_doses=more.pop("n_doses", 5) if use == "steadystate" else 5,
            )
        )  # fmt: skip
    more = {"delimiter": ",", "routes": ROUTES} | more
    return MonolixRows(header=tuple(header.split()), columns=tuple(columns), **more)


def monolix_model(
    folder: Path, text: str, rows: MonolixRows, *, inputs: tuple[DoseInput, ...] = (), n_compartments: int = 1, **code
) -> Model:
    """`text`: the whole file."""
    (folder / "data.csv").write_text(text)
    if "pk" not in code:
        code |= {"pk": "CL = THETA(1)*EXP(ETA(1))\nV = THETA(2)*EXP(ETA(2))", "error": "Y = A(1)/V + EPS(1)"}
    model = make_model(n_compartments=n_compartments, scale=None, **code)
    return replace(
        model,
        source=SourceReference(format="monolix", path=str(folder / "project.mlxtran"), text=""),
        data=replace(model.data, path="data.csv", columns=rows.items, monolix=rows),
        structural=replace(model.structural, inputs=inputs),
    )


def read(folder: Path, text: str, rows: MonolixRows, *, design: bool = False, **code) -> Dataset:
    """The records of `text`; its first line is the header."""
    return read_monolix_rows(monolix_model(folder, text, rows, **code), folder=folder, design=design)


def table(dataset: Dataset, names: str) -> list[tuple[float, ...]]:
    """Values of columns, record by record; LINE is the line of the file."""
    columns = [dataset.lines if name == "LINE" else dataset.column(name) for name in names.split()]
    return [tuple(float(v) for v in row) for row in zip(*columns, strict=True)]
