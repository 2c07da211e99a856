"""Compartments switched off, and dosing parameters that change within a subject."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.dosing import PARAMETERS, stream

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.read import read_dataset
from nlmevae.decoder.make import make_decoder
from nlmevae.errors import DataError, UnsupportedError
from nlmevae.estimation.informed import informed_latents
from nlmevae.frontends.nonmem.read import parse_control_stream

STREAM = """$PROBLEM switched off
$INPUT ID TIME AMT RATE ADDL II EVID CMT DV MDV WT
$DATA data.csv IGNORE=@
$SUBROUTINES {solver}
{model}$PK
KA = THETA(1)*EXP(ETA(1))
CL = THETA(2)*EXP(ETA(2))
V = 20
S2 = V
{more}
{equations}$ERROR
Y = F + EPS(1)
$THETA (0, 1) (0, 2)
$OMEGA 0.1 0.1
$SIGMA 1
"""
EQUATIONS = "$DES\nDADT(1) = -KA*A(1)\nDADT(2) = KA*A(1) - CL/V*A(2)\n"
MODEL = "$MODEL COMP=(DEPOT) COMP=(CENTRAL)\n"


def prepared(folder, records: str, *, equations: bool = False, more: str = ""):
    (folder / "data.csv").write_text("ID,TIME,AMT,RATE,ADDL,II,EVID,CMT,DV,MDV,WT\n" + records)
    text = STREAM.format(
        solver="ADVAN13 TOL=9" if equations else "ADVAN2 TRANS2",
        model=MODEL if equations else "",
        equations=EQUATIONS if equations else "",
        more=more,
    )
    model = parse_control_stream(text, str(folder / "run.ctl"))
    table = event_table(model, read_dataset(model))
    return model, latent_form(model, table), table


OFF = (
    "1,0,100,0,0,0,1,1,0,1,70\n1,1,0,0,0,0,2,-1,0,1,70\n1,1,0,0,0,0,0,2,0,0,70\n1,3,0,0,0,0,0,2,0,0,70\n"
    "1,4,50,0,0,0,1,1,0,1,70\n1,4,0,0,0,0,0,1,0,0,70\n1,6,0,0,0,0,0,2,0,0,70\n"
)


def expected(ka: float, cl: float) -> np.ndarray:
    """Absorption of the first dose ends at 1; the second, at 4, switches the depot on again."""
    k = cl / 20

    def absorbed(dose: float, t: float) -> float:
        return dose * ka / (ka - k) * (np.exp(-k * t) - np.exp(-ka * t))

    at_one = absorbed(100.0, 1.0)
    last = at_one * np.exp(-5 * k) + absorbed(50.0, 2.0)
    return np.array([at_one / 20, at_one * np.exp(-2 * k) / 20, 50.0, last / 20])


@pytest.mark.parametrize("backend", ["closed_form", "compiled", "torchode"])
def test_a_depot_that_is_switched_off_holds_nothing_until_the_next_dose(backend, tmp_path):
    _, form, table = prepared(tmp_path, OFF, equations=backend != "closed_form")
    options = {} if backend == "closed_form" else {"rtol": 1e-9}
    x = np.log([[1.3, 3.0]])
    found = make_decoder(form, table, backend=backend, **options).linearise(x)
    np.testing.assert_allclose(found.prediction, expected(1.3, 3.0), atol=5e-6)
    for k, step in enumerate(1e-5 * np.eye(2)):
        slope = (expected(*np.exp(x[0] + step)) - expected(*np.exp(x[0] - step))) / 2e-5
        np.testing.assert_allclose(found.jacobian[:, k], slope, atol=1e-5)


def test_the_central_compartment_of_a_built_in_model_cannot_be_switched_off(tmp_path):
    with pytest.raises(DataError, match="may not be turned off"):
        prepared(tmp_path, OFF.replace("2,-1,", "2,-2,"))


def test_a_compartment_with_infusions_cannot_be_switched_off(tmp_path):
    with pytest.raises(UnsupportedError, match="gets infusions"):
        prepared(tmp_path, OFF.replace("1,4,50,0", "1,4,50,5"))


def test_only_the_compartments_of_the_model_can_be_switched_off(tmp_path):
    with pytest.raises(DataError, match="no compartment to turn off"):
        prepared(tmp_path, OFF.replace("2,-1,", "2,-4,"))


def test_observations_cannot_switch_a_depot_off(tmp_path):
    with pytest.raises(DataError, match="no other"):
        prepared(tmp_path, OFF.replace("0,2,0,0,70\n1,3", "0,-1,0,0,70\n1,3"))


CHANGING = "1,0,100,{rate},{addl},12,1,1,0,1,70\n1,14,0,0,0,0,0,2,0,0,80\n1,30,0,0,0,0,0,2,0,0,80\n"


@pytest.mark.parametrize(
    ("more", "rate", "addl", "why"),
    [
        ("ALAG1 = WT/70", 0, 2, "additional doses keep"),
        ("ALAG1 = 1\nF1 = WT/70", 0, 0, "ALAG1 delays"),
        ("ALAG1 = 1\nD1 = WT/70", -2, 0, "ALAG1 delays"),
        ("R1 = WT", -1, 0, "while an infusion runs"),
    ],
)
def test_changing_dosing_parameters_that_nonmem_reads_at_another_time_stop(more, rate, addl, why, tmp_path):
    with pytest.raises(UnsupportedError, match=why):
        prepared(tmp_path, CHANGING.format(rate=rate, addl=addl), more=more)


@pytest.mark.parametrize(("rate", "addl", "more"), [(0, 0, "ALAG1 = WT/70"), (-2, 2, "D1 = WT/70")])
def test_other_changing_dosing_parameters_are_those_of_the_dose(rate, addl, more, tmp_path):
    """The dose's own weight is 70: lag and duration are 1 whatever the later records say."""
    data, x = CHANGING.format(rate=rate, addl=addl), np.log([[1.3, 3.0]])

    def predicted(code: str, backend: str) -> np.ndarray:
        _, form, table = prepared(tmp_path, data, more=code, equations=backend != "closed_form")
        return make_decoder(form, table, backend=backend).predict(x).prediction

    expected = predicted(more.partition("=")[0] + "= 1", "closed_form") if not addl else None
    found = predicted(more, "closed_form")
    assert (found > 0.0).all()
    for backend in ("compiled", "torchode"):
        np.testing.assert_allclose(predicted(more, backend), found, rtol=1e-6)
    if expected is not None:
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_data_inform_about_durations_and_rates_of_their_own_infusions(tmp_path):
    dose = "{i},0,100,{rate},0,0,0,1,1,0,1\n{i},2,0,0,0,0,0,0,2,5,0\n"
    text = "".join(dose.format(i=i, rate=rate) for i, rate in enumerate((0, -1, -2), 1))
    (tmp_path / "data.csv").write_text("ID,TIME,AMT,RATE,II,ADDL,SS,EVID,CMT,DV,MDV\n" + text)
    model = parse_control_stream(stream("data.csv", equations=False), str(tmp_path / "run.ctl"))
    table = event_table(model, read_dataset(model))
    found = informed_latents(latent_form(model, table), table, model.omega)
    columns = [PARAMETERS.index("D1"), PARAMETERS.index("R1")]
    assert found[:, columns].tolist() == [[False, False], [False, True], [True, False]]
