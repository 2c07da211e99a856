"""Every ADVAN's predictions and gradients, in every back end, against equations and events written out by hand.

Oracle: the differential equations of NONMEM Users Guide VI, chapter VII, integrated by scipy from event to event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.read import read_dataset
from nlmevae.decoder.make import make_decoder
from nlmevae.frontends.nonmem.read import read_control_stream

#: predictions relative to the largest one
PREDICTION = 1e-7
#: central differences of fourth order of the oracle, whose own error of 1e-12 is divided by the step of 1e-3
GRADIENT = 1e-6
#: integrators are asked for so much that their error stays below PREDICTION
TOLERANCES = {"closed_form": {}, "compiled": {"rtol": 1e-10, "atol": 1e-10, "max_steps": 100_000},
              "torchode": {"rtol": 1e-9, "atol": 1e-8, "max_steps": 100_000}}  # fmt: skip

STREAM = """$PROBLEM {name}
$INPUT ID TIME AMT RATE CMT EVID DV
$DATA data.csv IGNORE=@
$SUBROUTINES {subroutines}
{model}$PK
{pk}
{dosing}{des}$ERROR
Y = F + F*EPS(1)
$THETA {thetas}
$OMEGA 0.1
$SIGMA 0.04
"""
DOSING = """ALAG1 = THETA({a})
F1 = THETA({b})
"""
LAG, FRACTION = 0.3, 0.8
#: time, amount, rate, compartment: a bolus with lag and fraction, an infusion whose end depends on the fraction
DOSES = ((0.0, 100.0, 0.0, 1), (12.0, 60.0, 20.0, 1))
#: the system is emptied (EVID 3), then dosed once more
RESET, LAST = 30.0, (31.0, 50.0, 0.0, 1)
TIMES = (0.5, 2.0, 6.0, 11.0, 13.0, 16.0, 24.0, 33.0, 48.0)


@dataclass(frozen=True)
class Case:
    """`slopes(theta, y)` is the right-hand side; `flows` the same in $DES; S of `observed` is the THETA `scale`."""

    subroutines: str
    pk: str
    thetas: tuple[float, ...]
    n: int
    observed: tuple[int, ...]
    slopes: object
    equations: tuple[str, ...]
    scale: int
    model: str = ""


def mammillary(k, out, back, ka=None):
    """Rate matrix of a central compartment with peripherals, behind a depot if `ka` is given."""
    first = 0 if ka is None else 1
    n = 1 + first + len(out)
    matrix = np.zeros((n, n))
    if ka is not None:
        matrix[0, 0], matrix[1, 0] = -ka, ka
    matrix[first, first] = -k - sum(out)
    for j, (leave, enter) in enumerate(zip(out, back, strict=True), start=first + 1):
        matrix[j, first], matrix[first, j], matrix[j, j] = leave, enter, -enter
    return matrix


def advan5(ktr, k, km, ke):
    matrix = np.zeros((5, 5))
    for rate, source, to in ((ktr, 1, 3), (ktr, 3, 4), (ktr, 4, 2), (k, 2, 0), (km, 2, 5), (ke, 5, 0)):
        matrix[source - 1, source - 1] -= rate
        if to:
            matrix[to - 1, source - 1] += rate
    return matrix


def by_exponents(alpha, beta, gamma, k21, k31):
    """Rate constants by solving for them: the matrix has these eigenvalues."""
    k = alpha * beta * gamma / (k21 * k31)
    total, pairs = alpha + beta + gamma, alpha * beta + alpha * gamma + beta * gamma
    # K12 + K13 and K12 K31 + K13 K21 from the characteristic polynomial
    k12, k13 = np.linalg.solve(
        [[1.0, 1.0], [k31, k21]], [total - k - k21 - k31, pairs - k * (k21 + k31) - k21 * k31]
    )  # fmt: skip
    return mammillary(k, [k12, k13], [k21, k31])


CASES = {
    "ADVAN3 TRANS5": Case(
        "ADVAN3 TRANS5", "AOB = THETA(1)*EXP(ETA(1))\nALPHA = THETA(2)\nBETA = THETA(3)\nS1 = THETA(4)",
        (2.5, 0.9, 0.08, 10.0), 2, (1,),
        lambda t, y: mammillary(
            t[1] * t[2] / (b := (t[0] * t[2] + t[1]) / (t[0] + 1)), [t[1] + t[2] - b - t[1] * t[2] / b], [b]
        ) @ y,
        ("K21E = (AOB*BETA + ALPHA)/(AOB + 1)", "KE = ALPHA*BETA/K21E",
         "DADT(1) = -(ALPHA + BETA - K21E)*A(1) + K21E*A(2)", "DADT(2) = (ALPHA + BETA - K21E - KE)*A(1) - K21E*A(2)"),
        4,
    ),
    "ADVAN4 TRANS6": Case(
        "ADVAN4 TRANS6", "ALPHA = THETA(1)*EXP(ETA(1))\nBETA = THETA(2)\nK32 = THETA(3)\nKA = THETA(4)\nSC = THETA(5)",
        (0.9, 0.08, 0.3, 1.4, 10.0), 3, (2,),
        lambda t, y: mammillary(t[0] * t[1] / t[2], [t[0] + t[1] - t[2] - t[0] * t[1] / t[2]], [t[2]], t[3]) @ y,
        ("DADT(1) = -KA*A(1)", "DADT(2) = KA*A(1) - (ALPHA + BETA - K32)*A(2) + K32*A(3)",
         "DADT(3) = (ALPHA + BETA - K32 - ALPHA*BETA/K32)*A(2) - K32*A(3)"),
        5,
    ),
    "ADVAN11 TRANS1": Case(
        "ADVAN11",
        "K = THETA(1)*EXP(ETA(1))\nK12 = THETA(2)\nK21 = THETA(3)\nK13 = THETA(4)\nK31 = THETA(5)\nS1 = THETA(6)",
        (0.3, 0.4, 0.25, 0.05, 0.02, 10.0), 3, (1,),
        lambda t, y: mammillary(t[0], [t[1], t[3]], [t[2], t[4]]) @ y,
        ("DADT(1) = -(K + K12 + K13)*A(1) + K21*A(2) + K31*A(3)", "DADT(2) = K12*A(1) - K21*A(2)",
         "DADT(3) = K13*A(1) - K31*A(3)"),
        6,
    ),
    "ADVAN11 TRANS6": Case(
        "ADVAN11 TRANS6",
        "ALPHA = THETA(1)*EXP(ETA(1))\nBETA = THETA(2)\nGAMMA = THETA(3)\nK21 = THETA(4)\nK31 = THETA(5)\n"
        "S1 = THETA(6)",
        (1.1, 0.2, 0.02, 0.5, 0.05, 10.0), 3, (1,),
        lambda t, y: by_exponents(*t[:5]) @ y,
        (), 6,
    ),
    "ADVAN12 TRANS4": Case(
        "ADVAN12 TRANS4",
        "KA = THETA(1)\nCL = THETA(2)*EXP(ETA(1))\nV2 = THETA(3)\nQ3 = THETA(4)\nV3 = THETA(5)\nQ4 = THETA(6)\n"
        "V4 = THETA(7)\nS2 = V2",
        (1.2, 4.0, 20.0, 8.0, 30.0, 1.0, 90.0), 4, (2,),
        lambda t, y: mammillary(t[1] / t[2], [t[3] / t[2], t[5] / t[2]], [t[3] / t[4], t[5] / t[6]], t[0]) @ y,
        ("C2 = A(2)/V2", "DADT(1) = -KA*A(1)", "DADT(2) = KA*A(1) - (CL + Q3 + Q4)*C2 + Q3*A(3)/V3 + Q4*A(4)/V4",
         "DADT(3) = Q3*(C2 - A(3)/V3)", "DADT(4) = Q4*(C2 - A(4)/V4)"),
        3,
    ),
    "ADVAN5": Case(
        "ADVAN5",
        "K13 = THETA(1)*EXP(ETA(1))\nK34 = K13\nK4T2 = K13\nK20 = THETA(2)\nK25 = THETA(3)\nK56 = THETA(4)\n"
        "S2 = THETA(5)\nS5 = S2",
        (1.1, 0.3, 0.1, 0.05, 10.0), 5, (2, 5),
        lambda t, y: advan5(*t[:4]) @ y,
        ("DADT(1) = -K13*A(1)", "DADT(2) = K13*A(4) - (K20 + K25)*A(2)", "DADT(3) = K13*A(1) - K13*A(3)",
         "DADT(4) = K13*A(3) - K13*A(4)", "DADT(5) = K25*A(2) - K56*A(5)"),
        5, model="$MODEL COMP=(GUT) COMP=(CENTRAL) COMP=(T1) COMP=(T2) COMP=(MET)\n",
    ),
    "ADVAN7": Case(
        "ADVAN7", "K12 = THETA(1)*EXP(ETA(1))\nK21 = THETA(2)\nK23 = THETA(3)\nK32 = THETA(4)\nK20 = THETA(5)\n"
        "S2 = THETA(6)",
        (1.1, 0.1, 0.3, 0.15, 0.2, 10.0), 3, (2,),
        lambda t, y: np.array([
            t[1] * y[1] - t[0] * y[0], t[0] * y[0] + t[3] * y[2] - (t[1] + t[2] + t[4]) * y[1],
            t[2] * y[1] - t[3] * y[2],
        ]),
        ("DADT(1) = K21*A(2) - K12*A(1)", "DADT(2) = K12*A(1) + K32*A(3) - (K20 + K21 + K23)*A(2)",
         "DADT(3) = K23*A(2) - K32*A(3)"),
        6, model="$MODEL COMP=(GUT) COMP=(CENTRAL) COMP=(PERIPH)\n",
    ),
    "ADVAN10": Case(
        "ADVAN10", "VM = THETA(1)*EXP(ETA(1))\nKM = THETA(2)\nSC = THETA(3)", (12.0, 30.0, 10.0), 1, (1,),
        lambda t, y: -t[0] * y / (t[1] + y),
        ("DADT(1) = -VM*A(1)/(KM + A(1))",), 3,
    ),
}  # fmt: skip
#: ADVAN10 has no closed form; torchode takes half a minute for each of these
BACKENDS = [
    pytest.param(name, backend, marks=[pytest.mark.slow] if backend == "torchode" and name != "ADVAN10" else [])
    for name in CASES
    for backend in TOLERANCES
    if not (name == "ADVAN10" and backend == "closed_form")
]


def records(case):
    """(time, amount, rate, compartment, event) in order; observations in turn of the observed compartments."""
    seen = [(t, 0.0, 0.0, case.observed[i % len(case.observed)], 0) for i, t in enumerate(TIMES)]
    given = [(*dose, 1) for dose in (*DOSES, LAST)]
    return sorted([*seen, *given, (RESET, 0.0, 0.0, 1, 3)], key=lambda record: record[0])


def problem(folder, case, *, equations=False):
    """(form, table) of the case's control stream, or of the same model in $DES."""
    thetas = (*case.thetas, LAG, FRACTION)
    parts = {"name": "x", "model": case.model, "des": "", "subroutines": case.subroutines, "pk": case.pk}
    if equations:
        compartments = " ".join(f"COMP=(C{c + 1})" for c in range(case.n))
        pk = case.pk.replace("SC =", f"S{case.observed[0]} =")
        des = "$DES\n" + "\n".join(case.equations) + "\n"
        parts |= {"model": f"$MODEL {compartments}\n", "subroutines": "ADVAN13 TOL=9", "pk": pk, "des": des}
    dosing = DOSING.format(a=len(thetas) - 1, b=len(thetas))
    lines = [f"1,{t:g},{amt:g},{rate:g},{cmt},{evid},0" for t, amt, rate, cmt, evid in records(case)]
    (folder / "data.csv").write_text("\n".join(["ID,TIME,AMT,RATE,CMT,EVID,DV", *lines]) + "\n")
    bounds = " ".join(f"(0, {t:g})" for t in thetas)
    (folder / "run.ctl").write_text(STREAM.format(**parts, dosing=dosing, thetas=bounds))
    model = read_control_stream(folder / "run.ctl")
    table = event_table(model, read_dataset(model))
    return latent_form(model, table), table


def inputs(form, case):
    """The decoder's x, and the position in it of every THETA: log-normal parameters are z = log THETA at ETA = 0."""
    thetas = (*case.thetas, LAG, FRACTION)
    numbers = [int(name[6:-1]) - 1 for name in form.structural]
    (random,) = set(range(len(thetas))) - set(numbers)
    return np.array([[np.log(thetas[random]), *(thetas[k] for k in numbers)]]), [random, *numbers]


def expected(case, thetas):
    """Predictions by hand: `thetas` ends with lag and fraction."""
    lag, fraction = thetas[-2:]
    when, y, rate, found = 0.0, np.zeros(case.n), 0.0, []
    (t1, bolus, _, _), (t2, amount, speed, _), (t3, last, _, _) = *DOSES, LAST
    changes = [
        (t1 + lag, "give", bolus), (t2 + lag, "rate", speed), (t2 + lag + fraction * amount / speed, "rate", -speed),
        (RESET, "empty", 0.0), (t3 + lag, "give", last), *((t, "see", i) for i, t in enumerate(TIMES)),
    ]  # fmt: skip
    for time, what, value in sorted(changes, key=lambda change: change[0]):
        if time > when:
            unit = np.eye(case.n)[0] * rate
            run = solve_ivp(
                lambda _, a, unit=unit: case.slopes(thetas, a) + unit, (when, time), y,
                method="DOP853", rtol=1e-12, atol=1e-13,
            )  # fmt: skip
            y, when = run.y[:, -1], time
        if what == "see":
            c = case.observed[value % len(case.observed)]
            found.append(y[c - 1] / thetas[case.scale - 1])
        elif what == "give":
            y = y + np.eye(case.n)[0] * fraction * value
        elif what == "rate":
            rate += value
        else:
            y, rate = np.zeros(case.n), 0.0
    return np.array(found)


def gradients(case, thetas, order):
    """d prediction / d x in the order of the decoder's inputs; the first is by log THETA."""
    columns = []
    for position, k in enumerate(order):
        step = 1e-3 * thetas[k]
        at = {}
        for m in (-2, -1, 1, 2):
            moved = np.array(thetas)
            moved[k] += m * step
            at[m] = expected(case, moved)
        slope = (at[-2] - 8 * at[-1] + 8 * at[1] - at[2]) / (12 * step)
        columns.append(slope * (thetas[k] if position == 0 else 1.0))
    return np.stack(columns, axis=1)


@pytest.fixture(scope="module")
def oracle():
    """name -> (predictions, gradients), each computed once."""
    found = {}

    def of(name, order):
        if name not in found:
            thetas = np.array([*CASES[name].thetas, LAG, FRACTION])
            found[name] = expected(CASES[name], thetas), gradients(CASES[name], thetas, order)
        return found[name]

    return of


@pytest.mark.parametrize(("name", "backend"), BACKENDS)
def test_predictions_and_gradients_equal_those_by_hand(tmp_path, oracle, name, backend):
    torch.set_num_threads(1)
    case = CASES[name]
    form, table = problem(tmp_path, case)
    x, order = inputs(form, case)
    prediction, gradient = oracle(name, order)
    decoder = make_decoder(form, table, backend=backend, **TOLERANCES[backend])
    found = decoder.linearise(x)
    size = np.abs(prediction).max()
    np.testing.assert_allclose(found.prediction / size, prediction / size, rtol=0, atol=PREDICTION)
    np.testing.assert_allclose(decoder.predict(x).prediction / size, prediction / size, rtol=0, atol=PREDICTION)
    scales = np.abs(gradient).max(axis=0)
    np.testing.assert_allclose(found.jacobian / scales, gradient / scales, rtol=0, atol=GRADIENT)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.equations])
def test_the_same_model_in_des_gives_the_same_predictions(tmp_path, name):
    case = CASES[name]
    form, table = problem(tmp_path, case)
    x, _ = inputs(form, case)
    own = make_decoder(form, table, **({} if form.linear else TOLERANCES["compiled"])).predict(x).prediction
    written, table = problem(tmp_path, case, equations=True)
    assert (written.linear is None) == (form.linear is None)
    x, size = inputs(written, case)[0], np.abs(own).max()
    des = make_decoder(written, table, backend="compiled", **TOLERANCES["compiled"]).predict(x).prediction
    np.testing.assert_allclose(des, own, rtol=0, atol=PREDICTION * size)
    if written.linear:
        exact = make_decoder(written, table, backend="closed_form").predict(x).prediction
        np.testing.assert_allclose(exact, own, rtol=0, atol=1e-12 * size)


INITIAL = """$PROBLEM initial amounts by the flag
$INPUT ID TIME AMT EVID DV WT
$DATA data.csv IGNORE=@
$SUBROUTINES {advan}
$MODEL COMP=(CENTRAL)
$PK
K10 = THETA(1)*EXP(ETA(1))
IF (A_0FLG.EQ.1) THEN
  EXTRA = WT/70
  A_0(1) = THETA(2)*EXTRA
ENDIF
{des}$ERROR
Y = F + EPS(1)
$THETA (0, 0.1) (0, 50)
$OMEGA 0.1
$SIGMA 1
"""


@pytest.mark.parametrize("parts", [("ADVAN7", ""), ("ADVAN13 TOL=9", "$DES\nDADT(1) = -K10*A(1)\n")])
def test_initial_amounts_are_those_of_the_first_record_and_of_every_reset(tmp_path, parts):
    lines = ["0,10,1,0,70", "5,0,0,1,72", "10,0,3,0,84", "15,0,0,1,60", "20,10,4,0,105", "22,0,0,1,50"]
    (tmp_path / "data.csv").write_text("\n".join(["ID,TIME,AMT,EVID,DV,WT", *(f"1,{line}" for line in lines)]) + "\n")
    (tmp_path / "run.ctl").write_text(INITIAL.format(advan=parts[0], des=parts[1]))
    model = read_control_stream(tmp_path / "run.ctl")
    table = event_table(model, read_dataset(model))
    form = latent_form(model, table)
    found = make_decoder(form, table).linearise(np.array([[np.log(0.1), 50.0]]))
    left, start = np.exp(-0.1 * np.array([5.0, 5.0, 2.0])), 50.0 * np.array([70.0, 84.0, 105.0]) / 70.0
    given = np.array([10.0, 0.0, 10.0])
    np.testing.assert_allclose(found.prediction, (start + given) * left, rtol=PREDICTION)
    by_rate = -0.1 * np.array([5.0, 5.0, 2.0]) * (start + given) * left
    np.testing.assert_allclose(found.jacobian, np.stack([by_rate, start / 50.0 * left], axis=1), rtol=GRADIENT)


STEADY = """$PROBLEM steady states
$INPUT ID TIME AMT RATE SS II CMT EVID DV
$DATA data.csv IGNORE=@
$SUBROUTINES {advan}
{model}$PK
{first} = THETA(1)*EXP(ETA(1))
{rates}
K20 = THETA(2)
{elimination}S2 = THETA(3)
D1 = THETA(4)
ALAG1 = THETA(5)
$ERROR
Y = F + EPS(1)
$THETA (0, 1.2) (0, 0.3) (0, 10) (0, 3) (0, 0.4)
$OMEGA 0.1
$SIGMA 1
"""
TRANSIT = {
    "advan": "ADVAN5", "model": "$MODEL NCOMP=4\n", "first": "K13", "rates": "K34 = K13\nK42 = K13", "elimination": "",
}  # fmt: skip
PERIPHERALS = {
    "advan": "ADVAN12", "model": "", "first": "KA", "elimination": "K = K20\n",
    "rates": "K23 = 0.4\nK32 = 0.25\nK24 = 0.05\nK42 = 0.02",
}  # fmt: skip


def transit(ktr, k):
    return np.array([[-ktr, 0, 0, 0], [0, -k, 0, ktr], [ktr, 0, -ktr, 0], [0, 0, ktr, -ktr]])


@pytest.mark.parametrize("parts", [TRANSIT, PERIPHERALS], ids=["transit", "peripherals"])
def test_steady_states_of_modelled_infusions_equal_many_explicit_doses(tmp_path, parts):
    """RATE -2 with lag every 12 h, then an added steady state of boluses every 8 h: equal eigenvalues in ADVAN5."""
    times = np.array([0.2, 2.0, 5.0, 11.0, 15.0, 40.0])
    lines = ["0,100,-2,1,12,1,1,0", "12,80,0,2,8,1,1,0", *(f"{t:g},0,0,0,0,2,0,1" for t in times)]
    lines.sort(key=lambda line: float(line.split(",")[0]))
    header = "ID,TIME,AMT,RATE,SS,II,CMT,EVID,DV"
    (tmp_path / "data.csv").write_text("\n".join([header, *(f"1,{line}" for line in lines)]) + "\n")
    (tmp_path / "run.ctl").write_text(STEADY.format(**parts))
    model = read_control_stream(tmp_path / "run.ctl")
    table = event_table(model, read_dataset(model))
    decoder = make_decoder(latent_form(model, table), table, backend="closed_form")
    thetas = np.array([1.2, 0.3, 10.0, 3.0, 0.4])
    x = np.array([[np.log(1.2), *thetas[1:]]])

    def by_hand(first, k, volume, duration, lag):
        matrix = transit(first, k) if parts is TRANSIT else mammillary(k, [0.4, 0.05], [0.25, 0.02], first)
        values, right = np.linalg.eig(matrix) if parts is PERIPHERALS else (None, None)
        augmented = np.zeros((5, 5))
        augmented[:4, :4], augmented[0, 4] = matrix, 100.0 / duration

        def flow(h, y):
            if values is None:
                return expm(matrix * h) @ y
            return (right * np.exp(values * h)) @ np.linalg.solve(right, y)

        def amounts(t):
            y = np.zeros(4)
            for since in t - lag + 12.0 * np.arange(300):
                if since > 0.0:
                    given = min(since, duration)
                    y = y + flow(since - given, (expm(augmented * given) @ np.eye(5)[4])[:4])
            for since in t - 12.0 - lag + 8.0 * np.arange(450):
                y = y + flow(since, 80.0 * np.eye(4)[0]) if t > 12.0 and since > 0.0 else y
            return y[1] / volume

        return np.array([amounts(t) for t in times])

    found = decoder.linearise(x)
    np.testing.assert_allclose(found.prediction, by_hand(*thetas), rtol=PREDICTION)
    for j, theta in enumerate(thetas):
        step = 1e-4 * theta * np.eye(5)[j]
        slope = (by_hand(*(thetas + step)) - by_hand(*(thetas - step))) / (2e-4 * theta)
        slope *= theta if j == 0 else 1.0
        # second order: truncation of 1e-8 times the third derivative
        np.testing.assert_allclose(found.jacobian[:, j], slope, rtol=1e-5, atol=1e-6 * np.abs(slope).max())
