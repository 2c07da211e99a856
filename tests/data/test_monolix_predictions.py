"""Predictions from Monolix data files against scipy, with every event written out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from nlmevae.codegen.latent_form import LatentForm, latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.events import EventTable
from nlmevae.data.read import read_dataset
from nlmevae.decoder.make import make_decoder
from nlmevae.frontends.recognition import recognise
from nlmevae.ir import DoseInput, DoseRoute
from tests.helpers.monolix_data import monolix_model, rows_of

#: the integrators' relative tolerance is 1e-8, scipy's 1e-11
CLOSE = {"rtol": 2e-7, "atol": 1e-9}
KA, CL, V, FR, LG, TK = 1.1, 3.0, 20.0, 0.6, 0.7, 2.5
THETAS = tuple((0.0, value) for value in (KA, CL, V, FR, LG, TK))
PK = """KA = THETA(1)*EXP(ETA(1))
CL = THETA(2)*EXP(ETA(2))
V = THETA(3)*EXP(ETA(3))
FR = THETA(4)*EXP(ETA(4))
LG = THETA(5)*EXP(ETA(5))
TK = THETA(6)*EXP(ETA(6))
"""
DES = "DADT(1) = -KA*A(1)\nDADT(2) = KA*A(1) - {}CL/V*A(2)"


def predicted(
    folder, text: str, rows, *, pk: str = "", factor: str = "", inputs=(), error: str = "Y = A(2)/V + EPS(1)"
) -> np.ndarray:
    """Predictions at the typical values, the same with and without the closed form; their Jacobian is that of central
    differences."""
    model = monolix_model(
        folder, text, rows, inputs=inputs, n_compartments=2, pk=PK + pk, des=DES.format(factor), error=error,
        thetas=THETAS, omega=(0.1,) * 6, sigma=(1.0,),
    )  # fmt: skip
    model = recognise(model)
    table = event_table(model, read_dataset(model))
    mu = np.log([[KA, CL, V, FR, LG, TK]])
    x = np.repeat(mu, table.n_subjects, axis=0)
    by = {backend: _checked(latent_form(model, table), table, x, backend) for backend in ("closed_form", "compiled")}
    np.testing.assert_allclose(by["closed_form"], by["compiled"], **CLOSE)
    return by["closed_form"]


def _checked(form: LatentForm, table: EventTable, x: np.ndarray, backend: str) -> np.ndarray:
    decoder = make_decoder(form, table, backend=backend)
    found, h = decoder.linearise(x), 1e-5
    steps = h * np.eye(x.shape[1])
    slopes = [(decoder.predict(x + e).prediction - decoder.predict(x - e).prediction) / (2 * h) for e in steps]
    np.testing.assert_allclose(found.jacobian, np.column_stack(slopes), rtol=1e-4, atol=2e-4)  # h^2, tolerance / h
    return found.prediction


def integrated(
    times: list[float], boluses: list[tuple[float, int, float]], infusions: list[tuple[float, float, int, float]] = (),
    factor: Callable[[float], float] = lambda t: 1.0, breaks: tuple[float, ...] = (), *, start: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """Central concentrations at `times`, just before a bolus of the same time.

    Args:
        boluses: time, state, amount. infusions: from, to, state, rate.
        factor: of the clearance, constant between `breaks`.
    """
    stops = sorted({start, *times, *breaks, *(b[0] for b in boluses), *(t for i in infusions for t in i[:2])})
    y, found = np.zeros(2), {}
    for now, end in zip(stops, [*stops[1:], stops[-1] + 1.0], strict=True):
        found[now] = y[1] / V
        for time, state, amount in boluses:
            y = y + amount * (np.arange(2) == state) * (time == now)
        middle = 0.5 * (now + end)
        source = sum((r * (np.arange(2) == s) for a, b, s, r in infusions if a < middle < b), np.zeros(2))
        elimination = CL / V * factor(middle)

        def slope(t, a, source=source, elimination=elimination):
            return np.array([-KA * a[0], KA * a[0] - elimination * a[1]]) + source

        y = solve_ivp(slope, (now, end), y, rtol=1e-11, atol=1e-13, method="LSODA").y[:, -1]
    return np.array([found[t] for t in times])


def test_a_regressor_in_the_equations_is_carried_forward(tmp_path):
    rows = rows_of("ID TIME AMT Y REG")
    text = "ID,TIME,AMT,Y,REG\n1,0,100,.,1\n1,1,.,0,.\n1,2.5,.,.,3\n1,3,.,0,.\n1,4,.,0,0.5\n1,4,50,.,.\n1,9,.,0,.\n"
    pk = "U = FR + LG + TK\n"  # keeps every random effect in use
    found = predicted(tmp_path, text, rows, factor="REG*", pk=pk, error="Y = A(2)/V + 0*U + EPS(1)")
    factor = lambda t: 1.0 if t < 2.5 else (3.0 if t < 4 else 0.5)  # noqa: E731
    expected = integrated([1, 3, 4, 9], [(0, 0, 100), (4, 0, 50)], factor=factor, breaks=(2.5, 4.0))
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_two_administrations_into_one_compartment(tmp_path):
    """Administration 1 is delayed and reduced, administration 2 an infusion and a bolus without either."""
    inputs = (DoseInput(number=3, compartment=2, bioavailability="FR", lag="LG"),)
    routes = (
        DoseRoute(administration=1, input=3, kind="direct"),
        DoseRoute(administration=2, input=2, kind="direct"),
    )
    rows = rows_of("ID TIME AMT Y ADM TINF", routes=routes)
    text = (
        "ID,TIME,AMT,Y,ADM,TINF\n1,0,100,.,1,.\n1,0.5,.,0,.,.\n1,1,60,.,2,2\n1,2,.,0,.,.\n1,4,30,.,2,.\n1,4,.,0,.,.\n"
        "1,5,80,.,1,.\n1,5.5,.,0,.,.\n1,8,.,0,.,.\n"
    )
    error = "U = KA + TK\nY = A(2)/V + 0*U + EPS(1)"
    found = predicted(tmp_path, text, rows, inputs=inputs, error=error)
    boluses = [(LG, 1, FR * 100), (4, 1, 30), (5 + LG, 1, FR * 80)]
    expected = integrated([0.5, 2, 4, 5.5, 8], boluses, [(1, 3, 1, 30)])
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_one_administration_enters_two_inputs(tmp_path):
    """A fraction is absorbed from the depot after a lag, the rest in zero order; additional and steady-state doses."""
    inputs = (
        DoseInput(number=3, compartment=1, bioavailability="FR", lag="LG"),
        DoseInput(number=4, compartment=2, bioavailability="REST", duration="TK"),
    )
    routes = (
        DoseRoute(administration=1, input=3, kind="absorption"),
        DoseRoute(administration=1, input=4, kind="zero_order"),
    )
    rows = rows_of("ID TIME AMT Y SS II ADDL", routes=routes, n_doses=3)
    text = "ID,TIME,AMT,Y,SS,II,ADDL\n1,24,100,.,1,12,1\n" + "".join(f"1,{t},.,0,.,.,.\n" for t in (25, 30, 36, 40))
    found = predicted(tmp_path, text, rows, inputs=inputs, pk="REST = 1 - FR\n")
    given = [24 - 36, 24 - 24, 24 - 12, 24, 36]
    boluses = [(t + LG, 0, FR * 100) for t in given]
    infusions = [(t, t + TK, 1, (1 - FR) * 100 / TK) for t in given]
    expected = integrated([25, 30, 36, 40], boluses, infusions, start=-12.0)
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_a_fraction_acts_on_the_rate_of_an_infusion(tmp_path):
    inputs = (DoseInput(number=3, compartment=2, bioavailability="FR", duration="LONG"),)
    routes = (DoseRoute(administration=1, input=3, kind="direct"),)
    rows = rows_of("ID TIME AMT Y TINF RATE", routes=routes, dose_duration="DD")
    text = (
        "ID,TIME,AMT,Y,TINF,RATE\n1,0,100,.,2,.\n1,1,.,0,.,.\n1,3,.,0,.,.\n1,4,60,.,.,20\n1,8,.,0,.,.\n"
        "1,9,40,.,.,.\n1,10,.,0,.,.\n"
    )
    error = "U = KA + TK + LG\nY = A(2)/V + 0*U + EPS(1)"
    found = predicted(tmp_path, text, rows, inputs=inputs, pk="LONG = DD\n", error=error)
    infusions = [(0, 2, 1, FR * 50), (4, 7, 1, FR * 20)]
    expected = integrated([1, 3, 8, 10], [(9, 1, FR * 40)], infusions)
    np.testing.assert_allclose(found, expected, **CLOSE)


@pytest.mark.parametrize("washout", [True, False])
def test_occasions_change_parameters(tmp_path, washout):
    rows = rows_of("ID TIME AMT Y OCC")
    second = 0.0 if washout else 12.0
    text = "ID,TIME,AMT,Y,OCC\n1,0,100,.,1\n1,1,.,0,1\n1,6,.,0,1\n"
    text += f"1,{second},100,.,2\n1,{second + 1},.,0,2\n1,{second + 6},.,0,2\n"
    pk = "IF (OCC.EQ.2) THEN\nQ = 2\nELSE\nQ = 1\nENDIF\nU = FR + LG + TK\n"
    found = predicted(tmp_path, text, rows, factor="Q*", pk=pk, error="Y = A(2)/V + 0*U + EPS(1)")
    times = [1.0, 6.0]
    if washout:
        parts = [integrated(times, [(0, 0, 100)], factor=lambda t, q=q: q) for q in (1.0, 2.0)]
        expected = np.concatenate(parts)
    else:
        factor = lambda t: 1.0 if t < 12 else 2.0  # noqa: E731
        expected = integrated([1, 6, 13, 18], [(0, 0, 100), (12, 0, 100)], factor=factor, breaks=(12.0,))
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_a_step_function_in_the_equations(tmp_path):
    """Clearance follows the amount of the last dose."""
    rows = rows_of("ID TIME AMT Y", dose_amount="AD")
    text = "ID,TIME,AMT,Y\n1,0,100,.\n1,1,.,0\n1,3,50,.\n1,4,.,0\n1,9,.,0\n"
    error = "U = FR + LG + TK\nY = A(2)/V + 0*U + EPS(1)"
    found = predicted(tmp_path, text, rows, factor="(AD/100)*", error=error)
    factor = lambda t: 1.0 if t < 3 else 0.5  # noqa: E731
    expected = integrated([1, 4, 9], [(0, 0, 100), (3, 0, 50)], factor=factor, breaks=(3.0,))
    np.testing.assert_allclose(found, expected, **CLOSE)
