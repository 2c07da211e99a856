"""Dose inputs beyond the compartments: several ways into one compartment, each with its own F, lag and duration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.read import read_dataset
from nlmevae.decoder.make import make_decoder
from nlmevae.errors import DataError
from nlmevae.estimation.informed import informed_latents
from nlmevae.frontends.nonmem.read import lower_control_stream, source_text
from nlmevae.frontends.recognition import recognise
from nlmevae.ir import DoseInput
from nlmevae.model_summary import dose_groups

STREAM = """$PROBLEM inputs
$INPUT ID TIME AMT RATE II ADDL SS EVID CMT DV MDV
$DATA data.csv IGNORE=@
$SUBROUTINES {solver}
{model}$PK
KA = THETA(1)*EXP(ETA(1))
CL = THETA(2)*EXP(ETA(2))
V = 20
LA = THETA(3)*EXP(ETA(3))
FA = THETA(4)*EXP(ETA(4))
DU = THETA(5)*EXP(ETA(5))
RA = THETA(6)*EXP(ETA(6))
LB = 2*LA
FB = 1 - FA
S2 = V + 0*(LA + FA + DU + RA)
{own}
{equations}$ERROR
Y = F + EPS(1)
$THETA (0, 1.2) (0, 3) (0, 0.7) (0, 0.4) (0, 5) (0, 12)
$OMEGA 0.1 0.1 0.1 0.1 0.1 0.1
$SIGMA 1
"""
EQUATIONS = "$DES\nDADT(1) = -KA*A(1)\nDADT(2) = KA*A(1) - CL/V*A(2)\n"
MODEL = "$MODEL COMP=(DEPOT) COMP=(CENTRAL)\n"
#: the dosing variables of an input into compartment 2, and the same for that compartment itself in $PK
INPUTS = {
    3: (DoseInput(number=3, compartment=2, bioavailability="FA", lag="LA"), "F2 = FA\nALAG2 = LA"),
    4: (DoseInput(number=4, compartment=2, bioavailability="FB", lag="LB", duration="DU"),
        "F2 = FB\nALAG2 = LB\nD2 = DU"),
    5: (DoseInput(number=5, compartment=2, rate="RA"), "R2 = RA"),
}  # fmt: skip
BACKENDS = ("closed_form", "compiled", pytest.param("torchode", marks=pytest.mark.slow))
TYPICAL = np.log([1.2, 3.0, 0.7, 0.4, 5.0, 12.0])
HEADER = "ID,TIME,AMT,RATE,II,ADDL,SS,EVID,CMT,DV,MDV\n"
TIMES = (0.3, 0.9, 1.7, 3.0, 5.5, 7.2, 11.0, 19.5)
#: as the inputs' variables are used in the stream with inputs; no dose of the twin goes into compartment 1
REST = "\nF1 = FA\nALAG1 = LA\nD1 = DU\nR1 = RA"
#: doses of the kinds the inputs have, at times apart from one another
DOSES = {
    1: "0,100,0,0,0,0", 3: "0.5,80,0,6,1,0", 4: "1,60,-2,0,0,0", 5: "2,90,-1,0,0,0",
}  # fmt: skip
#: steady states into the inputs
STEADY = {3: "0,80,0,8,1,1", 4: "0,60,-2,6,0,1", 5: "0,0,-1,0,0,1"}


def records(doses: dict[int, str], subject: int = 1) -> str:
    rows = [f"{subject},{text},1,{number},0,1" for number, text in doses.items()]
    rows += [f"{subject},{t},0,0,0,0,0,0,2,0,0" for t in TIMES]
    return "\n".join(sorted(rows, key=lambda row: float(row.split(",")[1]))) + "\n"


def decoder(folder, *subjects: dict[int, str], inputs: tuple[DoseInput, ...] = (), own: str = "", backend: str):
    """Backend "compiled" and "torchode" run equations."""
    equations = backend != "closed_form"
    (folder / "data.csv").write_text(HEADER + "".join(records(d, i) for i, d in enumerate(subjects, 1)))
    text = STREAM.format(
        solver="ADVAN13 TOL=10" if equations else "ADVAN2 TRANS2",
        model=MODEL if equations else "", equations=EQUATIONS if equations else "", own=own,
    )  # fmt: skip
    rtol = 1e-8 if backend == "torchode" else 1e-10
    model = lower_control_stream(source_text(text, str(folder / "run.ctl")))
    model = recognise(replace(model, structural=replace(model.structural, inputs=inputs)))
    table = event_table(model, read_dataset(model))
    return make_decoder(latent_form(model, table), table, backend=backend, rtol=rtol), model, table


def column(form) -> np.ndarray:
    """x at the typical values, for the parameters the form has."""
    names = ("KA", "CL", "LA", "FA", "DU", "RA")
    values = {name: value + 0.05 * k for k, (name, value) in enumerate(zip(names, TYPICAL, strict=True))}
    return np.array([[values[latent.name] for latent in form.latents]])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("doses", [DOSES, STEADY], ids=["doses", "steady"])
def test_an_input_is_what_the_compartment_itself_would_be(tmp_path, backend, doses):
    """Superposition: the model is linear. Tolerance: that of the integrators."""
    inputs = tuple(i for i, _ in INPUTS.values())
    for number in [n for n in doses if n > 2]:
        whole, _, _ = decoder(tmp_path, {number: doses[number]}, inputs=inputs, backend=backend)
        twin, _, _ = decoder(tmp_path, {2: doses[number]}, own=INPUTS[number][1] + REST, backend=backend)
        expected = twin.linearise(column(twin.form))
        found = whole.linearise(column(whole.form))
        np.testing.assert_allclose(found.prediction, expected.prediction, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(found.jacobian, expected.jacobian, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_inputs_into_one_compartment_add_up(tmp_path, backend):
    inputs = tuple(i for i, _ in INPUTS.values())
    whole, _, _ = decoder(tmp_path, DOSES, inputs=inputs, backend=backend)
    x = column(whole.form)
    found = whole.linearise(x)
    parts = [decoder(tmp_path, {n: d}, inputs=inputs, backend=backend)[0].linearise(x) for n, d in DOSES.items()]
    np.testing.assert_allclose(found.prediction, sum(p.prediction for p in parts), rtol=1e-6, atol=1e-7)
    if backend == "torchode":  # its derivatives are compared with the twin's
        return
    h = 1e-5  # of central differences: errors h^2 and rtol / h
    for k in range(x.shape[1]):
        step = h * np.eye(x.shape[1])[k]
        slope = (whole.predict(x + step).prediction - whole.predict(x - step).prediction) / (2 * h)
        np.testing.assert_allclose(found.jacobian[:, k], slope, rtol=1e-4, atol=1e-4)


def test_what_a_subject_informs_and_the_summary_name_the_input(tmp_path):
    inputs = tuple(i for i, _ in INPUTS.values())
    subjects = {4: DOSES[4]}, {5: DOSES[5]}
    decoded, model, table = decoder(tmp_path, *subjects, inputs=inputs, backend="closed_form")
    informed = informed_latents(decoded.form, table, ())
    names = [latent.name for latent in decoded.form.latents]
    assert informed[:, names.index("DU")].tolist() == [True, False]
    assert informed[:, names.index("RA")].tolist() == [False, True]
    assert [g.compartment for g in dose_groups(model, table)] == [f"{n} (an input into 2 CENTRAL)" for n in (4, 5)]


def test_doses_into_inputs_that_are_not_there_are_refused(tmp_path):
    inputs = tuple(i for i, _ in INPUTS.values())
    with pytest.raises(DataError, match="dose into compartment 6"):
        decoder(tmp_path, {6: DOSES[3]}, inputs=inputs, backend="closed_form")
    with pytest.raises(DataError, match="RATE is -1"):
        decoder(tmp_path, {4: DOSES[5]}, inputs=inputs, backend="closed_form")
