"""Predictions of every macro, against equations and doses written out by hand and integrated by scipy.

Right-hand sides, doses and outputs below are those of the Mlxtran documentation's PK macros pages, in plain Python.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, gamma

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from nlmevae.frontends.monolix.names import program_name
from nlmevae.frontends.monolix.structural.structure import structure
from tests.helpers.mlxtran_text import decoder_of, mlxtran, predictions

#: relative to the largest prediction: integrators are asked for two digits more
PREDICTION = 1e-7
TOLERANCES = {"closed_form": {}, "compiled": {"rtol": 1e-10, "atol": 1e-10, "max_steps": 100_000},
              "torchode": {"rtol": 1e-9, "atol": 1e-8, "max_steps": 100_000}}  # fmt: skip
TIMES = (0.3, 0.7, 1.5, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0)
#: time, amount, rate, adm
ONCE = ((0.0, 100.0, 0.0, 1),)
TWICE = (*ONCE, (12.0, 60.0, 0.0, 1))
INFUSED = ((0.0, 100.0, 40.0, 1), (12.0, 60.0, 0.0, 1))


@dataclass(frozen=True)
class Case:
    """`slopes(t, y, **values)`, `events(**values)`: (time, state, amount given, rate from then on), `out(t, y,
    **values)`."""

    values: dict
    slopes: object
    events: object
    out: object
    pk: str = ""
    equations: str = ""
    n: int = 1
    doses: tuple = TWICE
    start: object = None
    output: str = "Cc"
    closed: str | None = None
    items: dict = field(default_factory=dict)


def given(state, lag=lambda v: 0.0, part=lambda v: 1.0, doses=TWICE, adm=1):
    """Doses of `adm` as boluses, or at their rate until they are given."""

    def events(v):
        found = []
        for time, amount, rate, own in doses:
            if own != adm:
                continue
            begins, enters = time + lag(v), amount * part(v)
            if rate:
                found += [(begins, state, 0.0, rate), (begins + enters / rate, state, 0.0, -rate)]
            else:
                found.append((begins, state, enters, 0.0))
        return found

    return events


def zero_order(state, duration, lag=lambda v: 0.0, part=lambda v: 1.0, doses=TWICE):
    def events(v):
        found = []
        for time, amount, _, _ in doses:
            speed, begins = amount * part(v) / duration(v), time + lag(v)
            found += [(begins, state, 0.0, speed), (begins + duration(v), state, 0.0, -speed)]
        return found

    return events


def both(*parts):
    return lambda v: [event for part in parts for event in part(v)]


def transit(t, v, doses=ONCE):
    """Input rate of the one dose."""
    (time, amount, _, _) = doses[0]
    since = t - time - v.get("Tlag", 0.0)
    n = v["Mtt"] * v["Ktr"] - 1
    if since <= 0:
        return 0.0
    return amount * v.get("p", 1.0) * v["Ktr"] * (v["Ktr"] * since) ** n * exp(-v["Ktr"] * since) / gamma(n + 1)


CASES = {
    "pkmodel bolus": Case(
        {"V": 8.0, "k": 0.2}, lambda t, y, v: [-v["k"] * y[0]], given(0), lambda t, y, v: y[0] / v["V"],
        "Cc = pkmodel(V, k)", closed="one",
    ),
    "pkmodel infusion, lag and fraction": Case(
        {"V": 8.0, "Cl": 1.5, "Tlag": 0.4, "p": 0.8}, lambda t, y, v: [-v["Cl"] / v["V"] * y[0]],
        given(0, lambda v: v["Tlag"], lambda v: v["p"], INFUSED), lambda t, y, v: y[0] / v["V"],
        "Cc = pkmodel(V, Cl, Tlag, p)", doses=INFUSED, closed="one",
    ),
    "pkmodel first order": Case(
        {"ka": 1.1, "V": 8.0, "Cl": 1.5, "F": 0.7},
        lambda t, y, v: [-v["ka"] * y[0], v["ka"] * y[0] - v["Cl"] / v["V"] * y[1]],
        given(0, part=lambda v: v["F"]), lambda t, y, v: y[1] / v["V"],
        "Cc = pkmodel(ka, V, Cl, p=F)", n=2, closed="one_absorption",
    ),
    "pkmodel zero order, two compartments": Case(
        {"Tk0": 2.5, "V": 8.0, "Cl": 1.5, "Q": 2.0, "V2": 20.0, "Tlag": 0.4},
        lambda t, y, v: [-(v["Cl"] + v["Q"]) / v["V"] * y[0] + v["Q"] / v["V2"] * y[1],
                         v["Q"] / v["V"] * y[0] - v["Q"] / v["V2"] * y[1]],
        zero_order(0, lambda v: v["Tk0"], lambda v: v["Tlag"]), lambda t, y, v: y[0] / v["V"],
        "Cc = pkmodel(Tk0, Tlag, V, k=Cl/V, k12=Q/V, k21=Q/V2)", n=2, closed="two",
    ),
    "pkmodel first order, three compartments": Case(
        {"ka": 1.1, "V": 8.0, "k": 0.2, "k12": 0.3, "k21": 0.15, "k13": 0.05, "k31": 0.02},
        lambda t, y, v: [-v["ka"] * y[0],
                         v["ka"] * y[0] - (v["k"] + v["k12"] + v["k13"]) * y[1] + v["k21"] * y[2] + v["k31"] * y[3],
                         v["k12"] * y[1] - v["k21"] * y[2], v["k13"] * y[1] - v["k31"] * y[3]],
        given(0), lambda t, y, v: y[1] / v["V"],
        "Cc = pkmodel(ka, V, k, k12, k21, k13, k31)", n=4, closed="three_absorption",
    ),
    "pkmodel Michaelis-Menten": Case(
        {"ka": 1.1, "V": 8.0, "Vm": 9.0, "Km": 3.0},
        lambda t, y, v: [-v["ka"] * y[0],
                         v["ka"] * y[0] - v["Vm"] * (y[1] / v["V"]) / (v["Km"] + y[1] / v["V"])],
        given(0), lambda t, y, v: y[1] / v["V"], "Cc = pkmodel(ka, V, Vm, Km)", n=2,
    ),
    "pkmodel effect": Case(
        {"V": 8.0, "k": 0.2, "ke0": 0.4}, lambda t, y, v: [-v["k"] * y[0], v["ke0"] * (y[0] / v["V"] - y[1])],
        given(0), lambda t, y, v: y[1], "{Cc, Ce} = pkmodel(V, k, ke0)", n=2, output="Ce",
    ),
    "pkmodel transit": Case(
        {"Mtt": 1.7, "Ktr": 2.4, "ka": 1.1, "V": 8.0, "k": 0.2, "Tlag": 0.25, "p": 0.8},
        lambda t, y, v: [transit(t, v) - v["ka"] * y[0], v["ka"] * y[0] - v["k"] * y[1]],
        lambda v: [(v["Tlag"], 0, 0.0, 0.0)], lambda t, y, v: y[1] / v["V"],
        "Cc = pkmodel(Mtt, Ktr, ka, V, k, Tlag, p)", n=2, doses=ONCE,
        items={"tDose": lambda t: 0.0, "amtDose": lambda t: 100.0},
    ),
    "parent and metabolite": Case(
        {"ka": 1.1, "V": 8.0, "k": 0.2, "k12": 0.3, "k21": 0.15, "km": 0.1, "Kpm": 0.25},
        lambda t, y, v: [-v["ka"] * y[0],
                         v["ka"] * y[0] - (v["k"] + v["k12"] + v["Kpm"]) * y[1] + v["k21"] * y[2],
                         v["k12"] * y[1] - v["k21"] * y[2], v["Kpm"] * y[1] - v["km"] * y[3]],
        given(0), lambda t, y, v: y[3] / v["V"],
        """compartment(cmt = 1, volume = V, concentration = Cp)
        oral(cmt = 1, ka)
        peripheral(k12, k21)
        elimination(cmt = 1, k)
        compartment(cmt = 3, volume = V, concentration = Cm)
        elimination(cmt = 3, k = km)
        transfer(from = 1, to = 3, kt = Kpm)""", n=4, output="Cm", closed="linear",
    ),
    "two eliminations, peripheral concentration": Case(
        {"V": 8.0, "Cl": 1.0, "Vm": 9.0, "Km": 3.0, "k12": 0.3, "k21": 0.15, "V2": 11.0, "Ve": 5.0},
        lambda t, y, v: [-(v["Cl"] / v["Ve"] + v["k12"]) * y[0] + v["k21"] * y[1]
                         - v["Vm"] * (y[0] / v["V"]) / (v["Km"] + y[0] / v["V"]),
                         v["k12"] * y[0] - v["k21"] * y[1]],
        given(0), lambda t, y, v: y[1] / v["V2"],
        """compartment(cmt=1, amount=Ac, volume=V)
        iv(adm=1, cmt=1)
        peripheral(k12, k21, amount=Ap, volume=V2, concentration=Cp)
        elimination(cmt=1, V=Ve, Cl)
        elimination(cmt=1, Vm, Km)""", n=2, output="Cp",
    ),
    "an elimination that is the sum of two": Case(
        {"k": 0.2, "kr": 0.1}, lambda t, y, v: [-(v["k"] + v["kr"]) * y[0]], given(0), lambda t, y, v: y[0],
        """compartment(amount=Ac)
        iv()
        elimination(k)
        elimination(k=kr)""", output="Ac", closed="one",
    ),
    "oral and iv": Case(
        {"ka": 1.1, "V": 8.0, "Cl": 1.5, "F": 0.6, "Tlag": 0.5},
        lambda t, y, v: [-v["ka"] * y[0], v["ka"] * y[0] - v["Cl"] / v["V"] * y[1]],
        both(given(0, lambda v: v["Tlag"], lambda v: v["F"], ((0.0, 100.0, 0.0, 1),)),
             given(1, doses=((4.0, 50.0, 20.0, 2),), adm=2)),
        lambda t, y, v: y[1] / v["V"],
        """compartment(cmt=1, volume=V, concentration=Cc)
        absorption(adm=1, cmt=1, ka, Tlag, p=F)
        iv(type=2, cmt=1)
        elimination(cmt=1, Cl)""", n=2, doses=((0.0, 100.0, 0.0, 1), (4.0, 50.0, 20.0, 2)), closed="one_absorption",
    ),
    "zero and first order with one adm": Case(
        {"ka": 1.1, "Tk0": 2.0, "V": 8.0, "k": 0.2, "F1": 0.3},
        lambda t, y, v: [-v["ka"] * y[0], v["ka"] * y[0] - v["k"] * y[1]],
        both(zero_order(1, lambda v: v["Tk0"], part=lambda v: v["F1"]),
             given(0, lambda v: v["Tk0"], lambda v: 1 - v["F1"])),
        lambda t, y, v: y[1] / v["V"],
        """compartment(cmt=1, volume=V, concentration=Cc)
        absorption(adm=1, cmt=1, Tk0, p=F1)
        absorption(adm=1, cmt=1, ka, p=1-F1, Tlag=Tk0)
        elimination(cmt=1, k)""", n=2, closed="one_absorption",
    ),
    "two depots": Case(
        {"ka1": 2.0, "ka2": 0.4, "V": 8.0, "k": 0.2, "F1": 0.3, "Tlag2": 1.2},
        lambda t, y, v: [-v["ka1"] * y[0], -v["ka2"] * y[1], v["ka1"] * y[0] + v["ka2"] * y[1] - v["k"] * y[2]],
        both(given(0, part=lambda v: v["F1"]), given(1, lambda v: v["Tlag2"], lambda v: 1 - v["F1"])),
        lambda t, y, v: y[2] / v["V"],
        """compartment(cmt=1, volume=V, concentration=Cc)
        absorption(cmt=1, ka=ka1, p=F1)
        absorption(cmt=1, ka=ka2, p=1-F1, Tlag=Tlag2)
        elimination(cmt=1, k)""", n=3, closed="linear",
    ),
    "effect of the macros": Case(
        {"ka": 1.1, "V": 8.0, "k": 0.2, "ke0": 0.4},
        lambda t, y, v: [-v["ka"] * y[0], v["ka"] * y[0] - v["k"] * y[1], v["ke0"] * (y[1] / v["V"] - y[2])],
        given(0), lambda t, y, v: y[2],
        """compartment(cmt=1, volume=V, concentration=Cc)
        oral(ka)
        elimination(k)
        effect(cmt=1, ke0, concentration=Ce)""", n=3, output="Ce",
    ),
    "equations with a depot": Case(
        {"ka": 1.1, "V": 8.0, "Cl": 1.5, "F": 0.7},
        lambda t, y, v: [-v["ka"] * y[0], v["ka"] * y[0] - v["Cl"] / v["V"] * y[1]],
        given(0, part=lambda v: v["F"]), lambda t, y, v: y[1] / v["V"],
        "depot(target=Ac, ka, p=F)", "Cc = Ac/V\nddt_Ac = -k*Ac\nk = Cl/V", n=2,
    ),
    "equations with a zero-order depot, doses in the order of ddt_": Case(
        {"ka": 1.1, "V": 8.0, "k": 0.2, "Tk0": 2.0, "Tlag": 0.3},
        lambda t, y, v: [-v["ka"] * y[0], v["ka"] * y[0] - v["k"] * y[1]],
        zero_order(0, lambda v: v["Tk0"], lambda v: v["Tlag"]), lambda t, y, v: y[1] / v["V"],
        "depot(adm=1, target=Ad, Tk0, Tlag)", "ddt_Ad = -ka*Ad\nddt_Ac = ka*Ad - k*Ac\nCc = Ac/V", n=2,
    ),
    "a compartment with its own equation": Case(
        {"V": 8.0, "k": 0.2}, lambda t, y, v: [-v["k"] * y[0]], given(0, doses=INFUSED), lambda t, y, v: y[0] / v["V"],
        "compartment(cmt=1, amount=Ac, volume=V, concentration=Cc)\niv(cmt=1)", "ddt_Ac = -k*Ac", doses=INFUSED,
    ),
    "pkmodel and a turnover equation": Case(
        {"ka": 1.1, "V": 8.0, "k": 0.2, "R0": 20.0, "kout": 0.3, "Imax": 0.9, "IC50": 2.0},
        lambda t, y, v: [
            -v["ka"] * y[0], v["ka"] * y[0] - v["k"] * y[1],
            v["R0"] * v["kout"] * (1 - v["Imax"] * y[1] / v["V"] / (y[1] / v["V"] + v["IC50"])) - v["kout"] * y[2]],
        given(0), lambda t, y, v: y[2], "Cc = pkmodel(ka, V, k)",
        "ddt_R = kin*(1 - Imax*Cc/(Cc + IC50)) - kout*R\nR_0 = R0\nkin = R_0*kout", n=3, output="R",
        start=lambda v: [0.0, 0.0, v["R0"]],
    ),
    "time in an equation and in an output": Case(
        {"k": 0.2, "a": 0.05, "b": 3.0}, lambda t, y, v: [-v["k"] * (1 + v["a"] * t) * y[0]], given(0),
        lambda t, y, v: y[0] * (2.0 if t > v["b"] else 1.0) + t, "depot(target=A)",
        "E = base + t\nbase = A\nIF (t > b) base = 2*A\nspeed = k*(1 + a*t)\nddt_A = -speed*A", output="E",
    ),
    "an amount without elimination": Case(
        {"V": 4.0}, lambda t, y, v: [0.0], given(0), lambda t, y, v: y[0] / v["V"],
        "compartment(cmt=1, volume=V, concentration=Cc)\niv(cmt=1)",
    ),
    "what has left a compartment, and one apart": Case(
        {"k": 0.2, "kr": 0.1}, lambda t, y, v: [-(v["k"] + v["kr"]) * y[0], v["kr"] * y[0], 0.0],
        both(given(0), given(2, doses=((3.0, 7.0, 0.0, 2),), adm=2)), lambda t, y, v: y[1] + y[2],
        """compartment(amount=Ac)
        compartment(cmt=2, amount=U)
        compartment(cmt=5, amount=B)
        iv()
        iv(adm=2, cmt=5)
        elimination(k)
        transfer(from=1, to=2, kt=kr)""", "S = U + B", n=3, output="S", closed="linear",
        doses=(*TWICE, (3.0, 7.0, 0.0, 2)),
    ),
    "initial amounts of macros": Case(
        {"k": 0.2, "k1_12": 0.3, "k12_1": 0.1, "A0": 40.0},
        lambda t, y, v: [-(v["k"] + v["k1_12"]) * y[0] + v["k12_1"] * y[1], v["k1_12"] * y[0] - v["k12_1"] * y[1]],
        given(0), lambda t, y, v: y[0],
        """compartment(amount=Ac)
        iv()
        peripheral(k1_12, k12_1, amount=Ap)
        elimination(k)""", "Ap_0 = Ac_0/2\nAc_0 = A0", n=2, output="Ac", closed="two",
        start=lambda v: [v["A0"], v["A0"] / 2],
    ),
}  # fmt: skip


def by_hand(case, values):
    y = np.array(case.start(values) if case.start else np.zeros(case.n), float)
    when, rates, found = 0.0, np.zeros(case.n), []
    changes = [*((t, 0, s, amount, rate) for t, s, amount, rate in case.events(values)),
               *((t, 1, 0, 0.0, 0.0) for t in TIMES)]  # fmt: skip
    for time, seen, state, amount, rate in sorted(changes):
        if time > when:
            running = rates.copy()
            run = solve_ivp(
                lambda t, a, r=running: np.array(case.slopes(t, a, values)) + r, (when, time), y,
                method="LSODA" if "Ktr" in values else "DOP853", rtol=1e-11, atol=1e-11,
            )  # fmt: skip
            y, when = run.y[:, -1].copy(), time
        if seen:
            found.append(case.out(time, y, values))
        y[state] += amount
        rates[state] += rate
    return np.array(found)


def compiled_structure(case):
    return structure(mlxtran(" ".join(case.values), pk=case.pk, equations=case.equations, output=case.output))


@pytest.mark.parametrize("name", CASES)
def test_the_closed_form_is_the_one_of_the_system(name):
    assert compiled_structure(CASES[name]).structural.closed_form == CASES[name].closed


BACKENDS = [
    pytest.param(name, backend, marks=[pytest.mark.slow] if backend == "torchode" else [])
    for name, case in CASES.items()
    for backend in (["closed_form"] if case.closed else []) + ["compiled", "torchode"]
]


@pytest.mark.parametrize(("name", "backend"), BACKENDS)
def test_predictions_are_those_by_hand(tmp_path, name, backend):
    case = CASES[name]
    values = {program_name(n): v for n, v in case.values.items()}
    decoder = decoder_of(
        tmp_path, compiled_structure(case), values, case.doses, TIMES, output=case.output, items=case.items,
        backend=backend, **TOLERANCES[backend],
    )  # fmt: skip
    found = predictions(decoder, len(case.values))
    expected = by_hand(case, case.values)
    np.testing.assert_allclose(found, expected, rtol=0, atol=PREDICTION * np.abs(expected).max())


def slopes_by_hand(case):
    """d prediction / d log of each value: differences of fourth order."""
    columns = []
    for name, value in case.values.items():
        at = {m: by_hand(case, case.values | {name: value * exp(m * 1e-3)}) for m in (-2, -1, 1, 2)}
        columns.append((at[-2] - 8 * at[-1] + 8 * at[1] - at[2]) / (12 * 1e-3))
    return np.stack(columns, axis=1)


#: one of each kind of input and of right-hand side
WITH_GRADIENTS = [
    ("pkmodel infusion, lag and fraction", "closed_form"),
    ("pkmodel zero order, two compartments", "closed_form"),
    ("pkmodel Michaelis-Menten", "compiled"),
    ("pkmodel transit", "compiled"),
    ("two depots", "closed_form"),
    ("pkmodel and a turnover equation", "compiled"),
]
#: the oracle's error of 1e-10 over the step of 1e-3, with the constant of the differences
GRADIENT = 1e-6


@pytest.mark.parametrize(("name", "backend"), WITH_GRADIENTS)
def test_gradients_are_those_by_hand(tmp_path, name, backend):
    case = CASES[name]
    values = {program_name(n): v for n, v in case.values.items()}
    decoder = decoder_of(
        tmp_path, compiled_structure(case), values, case.doses, TIMES, output=case.output, items=case.items,
        backend=backend, **TOLERANCES[backend],
    )  # fmt: skip
    found = decoder.linearise(np.zeros((1, len(values)))).jacobian.reshape(len(TIMES), -1)
    expected = slopes_by_hand(case)
    np.testing.assert_allclose(found, expected, rtol=0, atol=GRADIENT * np.abs(expected).max())
