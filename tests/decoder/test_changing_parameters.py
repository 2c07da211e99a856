"""Parameters that change from record to record, as in NONMEM: each record's own values hold since the record before.

Oracle: PREDPP's own procedure, one record after the other, with a matrix exponential in between.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.optimize import least_squares
from tests.helpers.pharmpy_wheel import wheel_file

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.read import read_dataset
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.mean_model import MeanModel
from nlmevae.frontends.nonmem.read import read_control_stream

STREAM = """$PROBLEM occasions
$INPUT ID TIME AMT RATE CMT EVID DV OCC WT
$DATA data.csv IGNORE=@
$SUBROUTINES {advan}
{model}$PK
IOV = ETA(4)
IF (OCC.EQ.2) IOV = ETA(5)
KA = THETA(1)*EXP(ETA(1))
CL = THETA(2)*(WT/70)**0.75*EXP(ETA(2)+IOV)
V = THETA(3)*(WT/70)*EXP(ETA(3))
F1 = 1
IF (OCC.EQ.2) F1 = THETA(4)
S2 = V
{more}$ERROR
Y = F + F*EPS(1)
$THETA (0,1.2) (0,3) (0,30) (0,0.7)
$OMEGA 0.1 0.1 0.1
$OMEGA BLOCK(1) 0.05
$OMEGA BLOCK(1) SAME
$SIGMA 0.04
"""
CLOSED = {"advan": "ADVAN2 TRANS2", "model": "", "more": ""}
EQUATIONS = {
    "advan": "ADVAN13 TOL=9",
    "model": "$MODEL COMP=(DEPOT) COMP=(CENTRAL)\n",
    "more": "$DES\nDADT(1) = -KA*A(1)\nDADT(2) = KA*A(1) - CL/V*A(2)\n",
}
#: TIME AMT RATE CMT EVID DV OCC WT. Subject 1: a trough and the next dose at one time, in different occasions, and an
#: infusion that is running when the weight changes. Subject 2: two periods, each beginning at TIME 0 (EVID 4).
RECORDS = {
    1: [
        (0, 100, 0, 1, 1, 0, 1, 60), (1, 0, 0, 2, 0, 1, 1, 60), (4, 0, 0, 2, 0, 1, 1, 60), (24, 0, 0, 2, 0, 1, 1, 60),
        (24, 100, 0, 1, 1, 0, 2, 62), (24, 0, 0, 2, 0, 1, 2, 62), (26, 0, 0, 2, 0, 1, 2, 62),
        (30, 60, 20, 2, 1, 0, 2, 62),
        (31, 0, 0, 2, 0, 1, 2, 65), (36, 0, 0, 2, 0, 1, 1, 61), (36, 0, 0, 2, 0, 1, 2, 66),
    ],
    2: [
        (0, 80, 0, 1, 1, 0, 1, 80), (2, 0, 0, 2, 0, 1, 1, 80), (12, 0, 0, 2, 0, 1, 1, 80),
        (0, 80, 0, 1, 4, 0, 2, 80), (2, 0, 0, 2, 0, 1, 2, 80), (12, 0, 0, 2, 0, 1, 2, 81),
    ],
}  # fmt: skip


def problem(tmp_path, parts):
    lines = [",".join(f"{v:g}" for v in (i, *record)) for i, records in RECORDS.items() for record in records]
    (tmp_path / "data.csv").write_text("\n".join(["ID,TIME,AMT,RATE,CMT,EVID,DV,OCC,WT", *lines]) + "\n")
    path = tmp_path / "run.ctl"
    path.write_text(STREAM.format(**parts))
    model = read_control_stream(path)
    table = event_table(model, read_dataset(model))
    return model, latent_form(model, table), table


def record_by_record(records, thetas, etas):
    """Amounts move with each record's own parameters; then its dose is given or its observation made."""
    amounts, now, running, found = np.zeros(2), records[0][0], [], []
    for time, amt, rate, cmt, evid, _, occ, wt in records:
        ka = thetas[0] * np.exp(etas[0])
        cl = thetas[1] * (wt / 70) ** 0.75 * np.exp(etas[1] + etas[3 if occ == 1 else 4])
        v = thetas[2] * (wt / 70) * np.exp(etas[2])
        if evid == 4:
            amounts, running, now = np.zeros(2), [], time
        ends = sorted({end for _, end in running if now < end < time} | {time})
        for stop in ends:
            source = sum((rate for rate, end in running if end > now), 0.0)
            system = np.array([[-ka, 0.0, 0.0], [ka, -cl / v, source], [0.0, 0.0, 0.0]])
            amounts, now = (expm(system * (stop - now)) @ np.append(amounts, 1.0))[:2], stop
        if evid in (1, 4):
            fraction = (thetas[3] if occ == 2 else 1.0) if cmt == 1 else 1.0
            if rate:
                running.append((rate, time + fraction * amt / rate))
            else:
                amounts = amounts + fraction * amt * np.eye(2)[cmt - 1]
        else:
            found.append(amounts[1] / v)
    return np.array(found)


@pytest.mark.parametrize(
    ("parts", "backend"),
    [(CLOSED, "closed_form"), (CLOSED, "compiled"), (EQUATIONS, "compiled")],
    ids=["closed form", "closed form, integrated", "equations"],
)
def test_predictions_equal_those_of_nonmems_own_procedure(tmp_path, parts, backend):
    model, form, table = problem(tmp_path, parts)
    thetas = np.array([1.2, 3.0, 30.0, 0.7])
    etas = np.random.default_rng(2).normal(0, 0.3, (2, 5))
    mean = MeanModel.of(model, form, table).mean(thetas)
    x = np.hstack([mean + etas, np.tile(thetas[[int(n[6]) - 1 for n in form.structural]], (2, 1))])
    decoder = make_decoder(form, table, backend=backend, rtol=1e-11, atol=1e-11)
    expected = np.concatenate([record_by_record(RECORDS[i], thetas, etas[i - 1]) for i in RECORDS])
    np.testing.assert_allclose(decoder.predict(x).prediction, expected, rtol=1e-8)
    solution = decoder.linearise(x)
    np.testing.assert_allclose(solution.prediction, expected, rtol=1e-8)
    for k in range(form.n_inputs):
        step = 1e-5 * np.eye(form.n_inputs)[k]
        slope = (decoder.predict(x + step).prediction - decoder.predict(x - step).prediction) / 2e-5
        # central differences of predictions with a relative error of 1e-11
        np.testing.assert_allclose(solution.jacobian[:, k], slope, atol=3e-5 * np.abs(expected).max())


def test_the_closed_form_is_used_where_parameters_change(tmp_path):
    _, form, table = problem(tmp_path, CLOSED)
    assert make_decoder(form, table).backend == "closed_form"
    assert not table.static


def test_rows_and_draws_do_not_mix_segments(tmp_path):
    """Subjects with different numbers of segments, in any order and repeated."""
    _, form, table = problem(tmp_path, CLOSED)
    decoder = make_decoder(form, table)
    rows = np.array([1, 0, 0, 1, 0])
    x = np.random.default_rng(1).normal(0, 0.2, (5, form.n_inputs)) + np.append([0, 1, 3, 0, 0], 0.7)
    together = decoder.linearise(x, rows)
    for r, subject in enumerate(rows):
        alone = decoder.linearise(x[r : r + 1], rows[r : r + 1])
        where = slice(together.ptr[r], together.ptr[r + 1])
        assert np.array_equal(together.prediction[where], alone.prediction), subject
        assert np.array_equal(together.jacobian[where], alone.jacobian), subject


def test_the_simulated_moxonidine_data_are_reproduced_to_their_digits(tmp_path):
    """The example that pharmpy ships was simulated without residual error, by another program: some individual
    parameters must give every value. Occasions, lag, reset and steady state (here 30 doses before, SS = 1 is read
    elsewhere) all act; values have five digits."""
    head, *lines = [line.split(",") for line in wheel_file("moxo.csv").read_text().splitlines()]
    column = {name: k for k, name in enumerate(head)}
    records = []
    for record in lines:
        steady = float(record[column["SS"]]) == 1
        record[column["TIME"]] = str(float(record[column["TIME"]]) - 360 * steady)
        record[column["II"]] = "12" if steady else "0"
        records.append([*record, "30" if steady else "0"])
    (tmp_path / "moxo.csv").write_text("\n".join(",".join(r) for r in [[*head, "ADDL"], *records]) + "\n")
    text = (
        wheel_file("moxo.mod").read_text().replace("EVID\n$DATA", "EVID ADDL\n$DATA").replace(" SS II ", " SS=DROP II ")
    )
    (tmp_path / "moxo.mod").write_text(text)
    model = read_control_stream(tmp_path / "moxo.mod")
    table = event_table(model, read_dataset(model))
    form = latent_form(model, table)
    decoder = make_decoder(form, table)
    start = MeanModel.of(model, form, table).mean(np.array([t.init for t in model.thetas]))
    for i in (0, 5, 20, 40, 70):
        rows, y = np.array([i]), table.ob_value[table.ob_ptr[i] : table.ob_ptr[i + 1]]

        def relative(z, rows=rows, y=y):
            return decoder.predict(np.append(z, 0.237773)[None], rows).prediction / y - 1.0

        found = least_squares(relative, start[i], x_scale=0.1, xtol=1e-14, ftol=1e-14)
        assert np.abs(found.fun).max() < 1e-4
