"""Real Monolix data files: Monolix's own individual predictions at its own individual parameters, one by one.
What is printed has six digits."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.read import read_dataset
from nlmevae.decoder.make import make_decoder
from nlmevae.frontends.recognition import recognise
from nlmevae.ir import (
    Binary,
    Call,
    ComputedItem,
    DoseRoute,
    MonolixRows,
    Number,
    RegroupedItem,
    RowColumn,
    SourceReference,
    Symbol,
)
from tests.helpers.code_models import make_model
from tests.helpers.reference import reference


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def solved(file: Path, spec: MonolixRows, results: Path, names: dict[str, str], lag: str | None = None, **code):
    """(dataset, table, predictions) at the mode of each individual; `names`: program name -> Monolix's parameter,
    `lag`: of compartment 1."""
    model = make_model(
        scale=None, omega=(0.1,) * len(names), thetas=tuple((0.0, 1.0) for _ in names),
        pk="\n".join(f"{name} = THETA({k})*EXP(ETA({k}))" for k, name in enumerate(names, 1)), **code,
    )  # fmt: skip
    model = recognise(
        replace(
            model,
            source=SourceReference(format="monolix", path=str(file.parent / "x.mlxtran"), text=""),
            data=replace(model.data, path=file.name, columns=spec.items, monolix=spec),
            structural=replace(
                model.structural,
                compartments=tuple(
                    replace(c, lag=lag if c.number == 1 else None) for c in model.structural.compartments
                ),
            ),
        )
    )
    dataset = read_dataset(model)
    table = event_table(model, dataset)
    form = latent_form(model, table)
    modes = {row["id"]: row for row in rows(results / "IndividualParameters/estimatedIndividualParameters.txt")}
    own = [names[latent.name] for latent in form.latents]
    x = np.log([[float(modes[label][f"{name}_mode"]) for name in own] for label in table.subject_labels])
    return dataset, table, make_decoder(form, table).predict(x).prediction


def compared(table, prediction, file: Path, chosen: np.ndarray, rtol: float) -> None:
    """`chosen`: the observations the file of predictions has."""
    expected = rows(file)
    labels = [table.subject_labels[i] for i in table.ob_subject[chosen]]
    assert [row["id"] for row in expected] == labels
    np.testing.assert_allclose(table.ob_time[chosen], [float(row["time"]) for row in expected], rtol=1e-5)
    np.testing.assert_allclose(prediction[chosen], [float(row["indivPred_mode"]) for row in expected], rtol=rtol)


def column(name: str, use: str, **more) -> RowColumn:
    return RowColumn(name=name, use=use, **more)


def log_ratio(item: str, by: float) -> Call:
    return Call("LOG", (Binary("/", Symbol(item), Number(by)),))


def test_warfarin_with_one_of_two_kinds_fitted():
    file = reference("warfarin/warfarin_data.csv")
    spec = MonolixRows(
        header=("id", "time", "amt", "dv", "dvid", "wt", "sex", "age"), delimiter=",", kinds=("1",),
        columns=(
            column("id", "identifier"), column("time", "time"), column("amt", "amount"), column("dv", "observation"),
            column("dvid", "observationtype"), column("wt", "covariate", item="WT"),
            column("sex", "covariate", categories=("0", "1")),
        ),
        routes=(DoseRoute(administration=1, input=1, kind="absorption"),),
        regrouped=(RegroupedItem(item="TSEX", source="sex", groups=(("0",), ("1",))),),
        computed=(ComputedItem(item="LW70", value=log_ratio("WT", 70.0)),),
    )  # fmt: skip
    results = file.parent / "w3"
    names = {"LAG": "Tlag", "KA": "ka", "V": "V", "CL": "Cl"}
    model_code = {
        "des": "DADT(1) = -KA*A(1)\nDADT(2) = KA*A(1) - CL/V*A(2)", "error": "Y = A(2)/V + EPS(1)", "n_compartments": 2,
        "sigma": (1.0,),
    }  # fmt: skip
    dataset, table, prediction = solved(file, spec, results, names, lag="LAG", **model_code)
    assert (table.n_subjects, table.n_obs_total) == (32, 247)
    compared(table, prediction, results / "predictions.txt", np.ones(247, dtype=bool), 1e-4)
    ours = dict(zip(dataset.subject_labels, dataset.column("LW70")[dataset.subject_ptr[:-1]], strict=True))
    sexes = dict(zip(dataset.subject_labels, dataset.column("TSEX")[dataset.subject_ptr[:-1]], strict=True))
    for row in rows(results / "IndividualParameters/estimatedIndividualParameters.txt"):
        np.testing.assert_allclose(ours[row["id"]], float(row["lw70"]), rtol=1e-12)
        assert "FM"[int(sexes[row["id"]])] == row["tSex"]


def test_phenobarbital_without_a_stated_delimiter():
    file = reference("phenobarbital/phenobarbital_data.csv")
    categories = ("1", "10", "2", "3", "4", "5", "6", "7", "8", "9")
    spec = MonolixRows(
        header=("ID", "TIME", "DOSE", "WEIGHT", "APGAR", "CONC"),
        columns=(
            column("ID", "identifier"), column("TIME", "time"), column("DOSE", "amount"), column("CONC", "observation"),
            column("APGAR", "covariate", categories=categories),
        ),
        routes=(DoseRoute(administration=1, input=1, kind="direct"),),
        regrouped=(
            RegroupedItem(item="TA", source="APGAR", groups=(("10", "8", "9"), ("1", "2", "3"), ("4", "5", "6", "7"))),
        ),
    )  # fmt: skip
    results = file.parent / "monolix"
    dataset, table, prediction = solved(
        file, spec, results, {"V": "V", "K": "k"}, des="DADT(1) = -K*A(1)", error="Y = A(1)/V + EPS(1)", sigma=(1.0,)
    )
    assert (table.n_subjects, table.n_obs_total) == (59, 155)
    compared(table, prediction, results / "predictions.txt", np.ones(155, dtype=bool), 1e-4)
    groups = dict(zip(dataset.subject_labels, dataset.column("TA")[dataset.subject_ptr[:-1]], strict=True))
    for row in rows(results / "IndividualParameters/estimatedIndividualParameters.txt"):
        assert ("High", "Low", "Med")[int(groups[row["id"]])] == row["tAPGAR"]


def test_parent_and_metabolite_with_censored_values():
    file = reference("parent_metabolite/parent_metabolite_data.csv")
    spec = MonolixRows(
        header=("ID", "TIME", "OBS", "OBSID", "AMOUNT", "CENS", "LIMIT"), delimiter=",", kinds=("1_Cp", "2_Cm"),
        columns=(
            column("ID", "identifier"), column("TIME", "time"), column("OBS", "observation"),
            column("OBSID", "observationtype"), column("AMOUNT", "amount"), column("CENS", "censored"),
            column("LIMIT", "limit"),
        ),
        routes=(DoseRoute(administration=1, input=1, kind="absorption"),),
    )  # fmt: skip
    results = file.parent / "monolix"
    des = (
        "DADT(1) = -KA*A(1)\nDADT(2) = KA*A(1) - (K + K12 + KPM)*A(2) + K21*A(3)\n"
        "DADT(3) = K12*A(2) - K21*A(3)\nDADT(4) = KPM*A(2) - KM*A(4)"
    )
    error = "IF (YTYPE.EQ.1) THEN\nY = A(2)/V + EPS(1)\nELSE\nY = A(4)/V + EPS(2)\nENDIF"
    names = {"KA": "ka", "V": "V", "K": "k", "K12": "k12", "K21": "k21", "KM": "km", "KPM": "Kpm"}
    _, table, prediction = solved(
        file, spec, results, names, des=des, error=error, sigma=(1.0, 1.0), n_compartments=4
    )  # fmt: skip
    assert (table.n_subjects, table.n_obs_total, int(table.censored.sum())) == (80, 2720, 113)
    for e, name in enumerate(("y1_Cp", "y2_Cm")):
        compared(table, prediction, results / f"predictions_{name}.txt", table.ob_endpoint == e, 2e-4)
