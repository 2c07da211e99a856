"""Steady states of nonlinear equations, against explicit doses integrated by scipy, events written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.read import read_dataset
from nlmevae.decoder.base import SolveStatus
from nlmevae.decoder.make import make_decoder
from nlmevae.errors import UnsupportedError
from nlmevae.frontends.nonmem.read import parse_control_stream

#: relative to the largest prediction, the requirement
PREDICTION = 1e-7
#: central differences of the decoder's own predictions at rtol 1e-10
JACOBIAN = 1e-5
N_DOSES = 200

STREAM = """$PROBLEM steady state
$INPUT ID TIME AMT RATE II ADDL SS EVID CMT DV MDV
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN13 TOL=9
$MODEL COMP=(DEPOT) COMP=(CENTRAL) COMP=(RESPONSE)
$PK
VM = THETA(1)*EXP(ETA(1))
KM = THETA(2)*EXP(ETA(2))
KA = THETA(3)*EXP(ETA(3))
ALAG1 = THETA(4)*EXP(ETA(4))
D2 = THETA(5)*EXP(ETA(5))
F1 = THETA(6)*EXP(ETA(6))
R2 = 20
KOUT = 0.1
A_0(3) = 10
$DES
C = A(2)/20
DADT(1) = -KA*A(1)
DADT(2) = KA*A(1) - VM*C/(KM + C)
DADT(3) = {production} - KOUT*A(3)*(1 + C/(2 + C))
$ERROR
Y = A(2) + A(3) + EPS(1)
$THETA (0, 30) (0, 2) (0, 0.8) (0, 1.5) (0, 9) (0, 0.8)
$OMEGA 0.1 0.1 0.1 0.1 0.1 0.1
$SIGMA 1
"""
TYPICAL = np.array([30.0, 2.0, 0.8, 1.5, 9.0, 0.8])


def decoder(folder, records: str, *, production: str = "KOUT*10", **options):
    (folder / "data.csv").write_text("ID,TIME,AMT,RATE,II,ADDL,SS,EVID,CMT,DV,MDV\n" + records)
    model = parse_control_stream(STREAM.format(production=production), str(folder / "run.ctl"))
    table = event_table(model, read_dataset(model))
    form = latent_form(model, table)
    return make_decoder(form, table, **{"backend": "compiled", "rtol": 1e-10, "max_steps": 200_000, **options})


def carried(psi, y, start, stop, rate=0.0):
    """Amounts by scipy with a constant infusion into the central compartment."""
    vm, km, ka = psi[:3]

    def rhs(_, a):
        c = a[1] / 20
        return [-ka * a[0], ka * a[0] - vm * c / (km + c) + rate, 1.0 - 0.1 * a[2] * (1 + c / (2 + c))]

    return solve_ivp(rhs, (start, stop), y, method="DOP853", rtol=1e-11, atol=1e-11).y[:, -1] if stop > start else y


def timeline(psi, changes, y, start, times):
    """Amounts (n, 3) at `times`; changes: (time, amount into the depot, change of the rate into the central one)."""
    events = sorted([(t, 0, a, r) for t, a, r in changes] + [(t, 1, 0.0, 0.0) for t in times])
    now, rate, found = start, 0.0, []
    for time, seen, amount, change in events:
        y = carried(psi, y, now, time, rate)
        now = time
        if seen:
            found.append(y)
        y, rate = y + np.array([amount, 0.0, 0.0]), rate + change
    return np.array(found)


OBSERVED = [0.0, 0.7, 2.0, 5.0, 11.9, 20.0]
LATER = "".join(f"1,{t},0,0,0,0,0,0,2,0,0\n" for t in OBSERVED)


def explicit(psi, kind: str) -> np.ndarray:
    """The same with N_DOSES doses before: from no amounts, the response included, for SS=1 forgets what was."""
    lag, duration, share = psi[3:]
    starts = 12.0 * np.arange(-N_DOSES, 1)
    if kind == "bolus":
        changes = [(t + lag, 80.0 * share, 0.0) for t in starts]
    else:
        length = duration if kind == "duration" else 150.0 / 9.0
        rate = 100.0 / duration if kind == "duration" else 9.0
        changes = [c for t in starts for c in ((t, 0.0, rate), (t + length, 0.0, -rate))]
    return timeline(psi, changes, np.zeros(3), float(starts[0]), OBSERVED)


RECORDS = {
    "bolus": "1,0,80,0,12,0,1,1,1,0,1\n",
    "duration": "1,0,100,-2,12,0,1,1,2,0,1\n",
    "longer than the interval": "1,0,150,9,12,0,3,1,2,0,1\n",
}


@pytest.mark.parametrize("kind", RECORDS)
def test_steady_state_equals_two_hundred_explicit_doses(kind, tmp_path):
    found = decoder(tmp_path, RECORDS[kind] + LATER).predict(np.log(TYPICAL)[None])
    reference = explicit(TYPICAL, kind)[:, 1:].sum(axis=1)
    assert found.status.tolist() == [SolveStatus.OK]
    np.testing.assert_allclose(found.prediction, reference, atol=PREDICTION * reference.max())


def test_added_to_what_there_is(tmp_path):
    """SS=2: A_0 and an earlier dose, carried on to 5 by themselves, plus the steady state."""
    records = "1,0,50,0,0,0,0,1,2,0,1\n1,5,80,0,12,0,2,1,1,0,1\n1,5.5,0,0,0,0,0,0,2,0,0\n1,9,0,0,0,0,0,0,2,0,0\n"
    found = decoder(tmp_path, records).predict(np.log(TYPICAL)[None])
    lag, share = TYPICAL[3], TYPICAL[5]
    before = carried(TYPICAL, np.array([0.0, 50.0, 10.0]), 0.0, 5.0)
    starts = 5.0 + lag + 12.0 * np.arange(-N_DOSES, 0)
    steady = timeline(TYPICAL, [(t, 80.0 * share, 0.0) for t in starts], np.zeros(3), float(starts[0]), [5.0])[0]
    after = timeline(TYPICAL, [(5.0 + lag, 80.0 * share, 0.0)], before + steady, 5.0, [5.5, 9.0])
    reference = after[:, 1:].sum(axis=1)
    np.testing.assert_allclose(found.prediction, reference, atol=PREDICTION * reference.max())


@pytest.mark.parametrize("rate", ["9", "-1", "0"])
def test_a_constant_infusion_ends_at_its_record(rate, tmp_path):
    found = decoder(tmp_path, f"1,0,0,{rate},0,0,1,1,2,0,1\n" + LATER).predict(np.log(TYPICAL)[None])
    speed = {"9": 9.0, "-1": 20.0, "0": 0.0}[rate]
    steady = carried(TYPICAL, np.zeros(3), 0.0, 2000.0, speed)
    reference = timeline(TYPICAL, [], steady, 0.0, OBSERVED)[:, 1:].sum(axis=1)
    np.testing.assert_allclose(found.prediction, reference, atol=PREDICTION * reference.max())


EVERY_KIND = (
    "1,0,80,0,12,1,1,1,1,0,1\n1,3,0,0,0,0,0,0,2,0,0\n1,20,0,0,0,0,0,0,2,0,0\n"
    "1,30,100,-2,8,0,1,1,2,0,1\n1,30.5,0,0,0,0,0,0,2,0,0\n1,36,0,0,0,0,0,0,2,0,0\n1,40,60,0,24,0,2,1,1,0,1\n"
    "1,41,0,0,0,0,0,0,2,0,0\n1,50,0,9,0,0,1,1,2,0,1\n1,52,0,0,0,0,0,0,2,0,0\n"
)


@pytest.mark.parametrize("method", ["explicit", "rosenbrock"])
def test_derivatives_match_central_differences(method, tmp_path):
    solver = decoder(tmp_path, EVERY_KIND)
    solver.method, solver.learned = method, method == "rosenbrock"
    x = np.log(TYPICAL)[None] + 0.1
    found = solver.linearise(x)
    assert found.status.tolist() == [SolveStatus.OK]
    for k, step in enumerate(1e-3 * np.eye(x.shape[1])):
        at = {m: solver.predict(x + m * step).prediction for m in (-2, -1, 1, 2)}
        slope = (at[-2] - 8 * at[-1] + 8 * at[1] - at[2]) / 12e-3
        np.testing.assert_allclose(found.jacobian[:, k], slope, atol=JACOBIAN * np.abs(found.jacobian).max())


@pytest.mark.slow
def test_torchode_agrees(tmp_path):
    x = np.log(TYPICAL)[None] + 0.1
    compiled = decoder(tmp_path, EVERY_KIND).linearise(x)
    found = decoder(tmp_path, EVERY_KIND, backend="torchode", rtol=1e-8).linearise(x)
    np.testing.assert_allclose(found.prediction, compiled.prediction, atol=PREDICTION * compiled.prediction.max())
    np.testing.assert_allclose(found.jacobian, compiled.jacobian, atol=JACOBIAN * np.abs(compiled.jacobian).max())


@pytest.mark.parametrize("backend", ["compiled", pytest.param("torchode", marks=pytest.mark.slow)])
def test_what_has_no_steady_state_fails_alone(backend, tmp_path):
    """Rows: elimination below the dose rate; a lag that is longer than the interval; one that is well."""
    x = np.tile(np.log(TYPICAL), (3, 1))
    x[0, 0], x[1, 3] = np.log(5.0), np.log(13.0)
    solver = decoder(tmp_path, RECORDS["bolus"] + LATER, backend=backend, rtol=1e-7)
    found = solver.linearise(x, np.zeros(3, dtype=int))
    assert found.status.tolist() == [SolveStatus.NO_STEADY_STATE, SolveStatus.NO_STEADY_STATE, SolveStatus.OK]
    alone = solver.predict(x[2:], np.zeros(1, dtype=int)).prediction
    np.testing.assert_allclose(found.prediction[found.ptr[2] :], alone, rtol=1e-9)
    assert np.isnan(found.prediction[: found.ptr[2]]).all()


def test_amounts_that_only_add_up_have_no_steady_state(tmp_path):
    solver = decoder(tmp_path, RECORDS["bolus"] + LATER, production="C + KOUT*A(3)*(1 + C/(2 + C))")
    assert solver.predict(np.log(TYPICAL)[None]).status.tolist() == [SolveStatus.NO_STEADY_STATE]


def test_equations_that_read_the_time_have_no_steady_state(tmp_path):
    with pytest.raises(UnsupportedError, match=r"SS = 1 \(line 2\) with equations that depend on the time") as caught:
        decoder(tmp_path, RECORDS["bolus"] + LATER, production="KOUT*T")
    assert "records" in caught.value.hint
