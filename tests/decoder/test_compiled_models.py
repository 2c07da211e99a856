"""The compiled back end on models that went through the symbolic builder, against the simulator of the IR."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.oracle import simulate_subject
from tests.helpers.pk_models import event_table, oral_model

from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.compiled import CompiledDecoder
from nlmevae.frontends.nonmem.read import parse_control_stream

THETAS = (1.5, 0.08, 32.0)
EVENTS = (
    (0.0, 1, 1, 300.0, 0.0),
    (3.0, 1, 1, 200.0, 0.0),
    (6.0, 2, 2, 300.0, 100.0),
    (6.5, 1, 2, 50.0, 0.0),
    (20.0, 5, 0, 0.0, 0.0),
    (20.0, 1, 1, 100.0, 0.0),
)
TIMES = (0.5, 2.0, 4.0, 6.45, 8.0, 12.0, 19.0, 20.0, 21.0, 30.0)


@pytest.mark.parametrize("lag", [False, True])
@pytest.mark.parametrize("bioavailability", [False, True])
def test_events_agree_with_the_simulator_of_the_ir(lag, bioavailability):
    model = oral_model(lag=lag, bioavailability=bioavailability)
    table = event_table(n_subjects=4, doses=EVENTS, observations=TIMES)
    etas = 0.3 * np.random.default_rng(2).normal(size=(4, 3))
    solution = CompiledDecoder(latent_form(model, table), table).linearise(np.log(THETAS) + etas)
    exact = np.concatenate([simulate_subject(model, THETAS, etas[i], table, i) for i in range(4)])
    np.testing.assert_allclose(solution.prediction, exact, rtol=1e-7, atol=1e-8)


CONTROL_STREAM = """$PROBLEM saturable elimination that changes with time, structural KA, log-scale data
$INPUT ID TIME AMT CMT EVID MDV DV WT
$DATA data.csv
$SUBROUTINES ADVAN13 TOL=9
$MODEL COMP=(DEPOT DEFDOSE) COMP=(CENTRAL DEFOBS)
$PK
KA = THETA(1)
VM = THETA(2)*EXP(ETA(1))
V = THETA(3)*EXP(ETA(2))*WT/70
KM = 2
S2 = V
$DES
DADT(1) = -KA*A(1)
IF (T.GT.5) THEN
  ELIM = VM*A(2)/(KM*V + A(2))
ELSE
  ELIM = 0.5*VM*A(2)/(KM*V + A(2))
END IF
DADT(2) = KA*A(1) - ELIM
$ERROR
IPRED = F
IF (F.LE.0) IPRED = 0.001
Y = LOG(IPRED) + EPS(1)
$THETA (0,1.2) (0,9) (0,12)
$OMEGA 0.1 0.1
$SIGMA 0.04
$ESTIMATION METHOD=1
"""


def test_a_control_stream_with_branches_agrees_with_the_simulator_of_the_ir():
    model = parse_control_stream(CONTROL_STREAM)
    weights = np.array([50.0, 70.0, 90.0])
    doses = ((0.0, 1, 1, 100.0, 0.0), (8.0, 1, 1, 50.0, 0.0))
    table = event_table(doses=doses, observations=(1, 4, 6.5, 8, 9, 15), covariates={"WT": weights})
    form = latent_form(model, table)
    assert form.structural == ("THETA(1)",)
    thetas, etas = (1.2, 9.0, 12.0), 0.2 * np.random.default_rng(4).normal(size=(3, 2))
    psi = np.array([9.0, 12.0]) * np.exp(etas)
    if form.latents[1].transform.lower == 0 and "WT" in form.mu.inputs:
        psi[:, 1] *= weights / 70
    x = np.column_stack([np.log(psi), np.full(3, 1.2)])
    decoder = CompiledDecoder(form, table)
    exact = np.concatenate([simulate_subject(model, thetas, etas[i], table, i) for i in range(3)])
    # the right-hand side jumps at T = 5 without a record there: the error estimate is blunt at that step
    np.testing.assert_allclose(decoder.predict(x).prediction, exact, atol=5e-6)
    sharp, step = CompiledDecoder(form, table, rtol=1e-12), 1e-3 * np.eye(3)
    for k in range(3):
        slope = (sharp.predict(x + step[k]).prediction - sharp.predict(x - step[k]).prediction) / 2e-3
        np.testing.assert_allclose(decoder.linearise(x).jacobian[:, k], slope, atol=1e-4)
