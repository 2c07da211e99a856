"""Structural models from a few lines of Mlxtran, without the text front end, and decoders of them."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.read import read_dataset
from nlmevae.decoder.make import make_decoder
from nlmevae.errors import Location
from nlmevae.frontends.monolix.project import Macro, StructuralText
from nlmevae.ir import (
    Assign,
    Binary,
    Call,
    CovarianceBlock,
    DataSpec,
    ErrorCoefficient,
    Model,
    ObservationModel,
    PopulationParameter,
    Program,
    ResidualError,
    SourceReference,
    Symbol,
)
from tests.helpers.code_models import expression, statements
from tests.helpers.models import columns

_MACRO = re.compile(r"(?:\{?([\w, ]+?)\}?\s*=\s*)?(\w+)\((.*)\)\Z")


def mlxtran(
    inputs: str, *, pk: str = "", equations: str = "", output: str = "Cc", regressors: str = "", **fields
) -> StructuralText:
    """`pk`: one macro a line; `equations`: as `tests.helpers.code_models.statements` reads them."""
    lines = [(n, line.strip()) for n, line in enumerate(pk.splitlines(), 1) if line.strip()]
    return StructuralText(
        path="model.txt",
        text="",
        inputs=tuple(inputs.split()),
        regressors=tuple(regressors.split()),
        macros=tuple(_macro(line, n) for n, line in lines),
        equations=statements(equations),
        outputs=tuple(output.split()),
        at=Location("model.txt", 1),
        **fields,
    )


def _macro(line: str, n: int) -> Macro:
    results, name, inside = _MACRO.match(line).groups()
    arguments = {}
    for part in _split(inside):
        key, _, value = part.partition("=")
        arguments[key.strip().lower()] = expression(value or key, n)
    names = tuple(r.strip() for r in results.split(",")) if results else ()
    return Macro(name=name, arguments=arguments, results=names, at=Location("model.txt", n, snippet=line))


def _split(text: str) -> list[str]:
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def decoder_of(
    folder,
    found,
    values,
    doses,
    times,
    *,
    output="Cc",
    items=None,
    backend="auto",
    only=None,
    observed=None,
    **tolerances,
):
    """The decoder of a structure for one subject: every parameter is THETA(k)*EXP(ETA(k)), THETAs fixed.

    Args:
        values: parameter in a program -> value.
        doses: (time, amount, rate, adm); a dose takes every input of its adm, or of these `only` number `only`.
        items: further data items -> value at each time of a record in order.
    """
    inputs = [i for n, i in enumerate(found.inputs, 1) if only is None or n == only]
    observed = observed or found.structural.default_observation
    rows = [(1, t, 0.0, 0.0, observed, 0) for t in times]
    for time, amount, rate, adm in doses:
        entered = [i for i in inputs if i.adm == adm]
        rows += [(1, time, amount, -2.0 if i.zero_order else rate, i.compartment, 1) for i in entered]
        if not entered:
            rows.append((1, time, 0.0, 0.0, observed, 2))
    rows.sort(key=lambda row: (row[1], row[5] == 0))
    return decoder_of_records(
        folder, found, values, rows, inputs=inputs, output=output, items=items, backend=backend, **tolerances
    )


def decoder_of_records(
    folder, found, values, rows, *, inputs=None, output="Cc", items=None, backend="auto", **tolerances
):
    """The same with records (id, time, amount, rate, compartment, event) written out."""
    inputs = found.inputs if inputs is None else inputs
    names, extra = list(values), {} if items is None else items
    pk = tuple(
        Assign(name, Binary("*", Symbol(f"THETA({k})"), Call("EXP", (Symbol(f"ETA({k})"),))))
        for k, name in enumerate(names, 1)
    )
    error = (*found.error, Assign("Y", Binary("+", Symbol(found.outputs[output]), Symbol("EPS(1)"))))
    structural = _with_dosing(found.structural, inputs)
    program = Program(pk=(*pk, *found.pk), des=found.des, error=error)
    if not structural.compartments:
        program = Program(error=(*pk, *found.pk, *error))
    lines = [",".join(["ID,TIME,AMT,RATE,CMT,EVID,DV", *extra])]
    for row in rows:
        more = [value(row[1]) for value in extra.values()]
        lines.append(",".join(f"{v:.17g}" for v in (*row, 0, *more)))
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    additive = ResidualError(kind="additive", a=ErrorCoefficient(parameter="EPS(1)", kind="sigma"))
    model = Model(
        name="model",
        source=SourceReference(format="monolix", path=str(folder / "model.mlxtran"), text=""),
        problem="",
        data=DataSpec(
            path="data.csv", columns=columns(" ".join(["ID TIME AMT RATE CMT EVID DV", *extra])), ignore_character="@"
        ),
        thetas=tuple(
            PopulationParameter(name=f"THETA({k})", label=n, init=float(values[n]), fixed=True)
            for k, n in enumerate(names, 1)
        ),
        omega=tuple(CovarianceBlock(names=(f"ETA({k})",), matrix=((0.1,),)) for k in range(1, len(names) + 1)),
        sigma=(CovarianceBlock(names=("EPS(1)",), matrix=((0.1,),)),),
        structural=structural,
        program=program,
        observations=(ObservationModel(name="Y", error=additive, scale="natural"),),
    )
    table = event_table(model, read_dataset(model))
    return make_decoder(latent_form(model, table), table, backend=backend, **tolerances)


def _with_dosing(structural, inputs):
    """Dosing parameters of the inputs as those of their compartments: at most one input for each."""
    compartments = {c.number: c for c in structural.compartments}
    entered = [i.compartment for i in inputs]
    assert len(set(entered)) == len(entered)
    for i in inputs:
        compartments[i.compartment] = replace(
            compartments[i.compartment], bioavailability=i.fraction, lag=i.lag, duration=i.duration
        )
    return replace(structural, compartments=tuple(compartments[n] for n in sorted(compartments)))


def predictions(decoder, n_parameters: int) -> np.ndarray:
    """At the values themselves."""
    return decoder.predict(np.zeros((1, n_parameters))).prediction.ravel()


def library_structure_text(text: str) -> StructuralText:
    """A generated library text: `input`, PK with macros and assignments, EQUATION, OUTPUT."""
    parts = dict(re.findall(r"^(\[LONGITUDINAL\]|PK:|EQUATION:|OUTPUT:)\n(.*?)(?=^\w+:\n|\Z)", text, re.M | re.S))
    inputs = re.search(r"input = \{(.*)\}", text).group(1).replace(",", " ")
    output = re.search(r"output = (.*)", text).group(1).strip("{}").replace(",", " ")
    lines = parts["PK:"].strip().splitlines()
    macros = [line for line in lines if _MACRO.match(line)]
    plain = [line for line in lines if not _MACRO.match(line)]
    plain += [line for line in parts.get("EQUATION:", "").strip().splitlines() if line and "odeType" not in line]
    code = "\n".join(plain).replace("^", "**").replace("sqrt", "SQRT")
    return mlxtran(inputs, pk="\n".join(macros), equations=code, output=output, stiff="odeType" in text or None)
