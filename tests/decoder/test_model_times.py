"""Model event times: the integration stops at MTIME(i), and the code goes on with MPAST(i) = 1.

Expected values: scipy's integration from event to event, the events written out by hand; slopes by central differences
of it. NONMEM help, MTIME.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from tests.helpers.model_times import RECORDS, STREAM

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.read import read_dataset
from nlmevae.decoder.compiled import CompiledDecoder
from nlmevae.decoder.make import make_decoder
from nlmevae.decoder.ode_torch import TorchodeDecoder
from nlmevae.errors import SettingsError, UnsupportedError
from nlmevae.frontends.nonmem.read import parse_control_stream

#: both integrate with rtol 1e-10; amounts up to 100, predictions up to 5
TOLERANCE = 1e-7
#: torchode takes a minute for what is not linear
BACKENDS = ["explicit", pytest.param("torchode", marks=pytest.mark.slow)]
#: of central differences and sensitivities, slopes up to 10
SLOPES = 2e-6

X = np.array([np.log(4.4), np.log(3.3), 2.7, 0.45, 1.9])  # MTIME(1), CL at 70 kg; THETA(2), THETA(3), THETA(4)


def prepared(folder, records: str, text: str = STREAM):
    (folder / "data.csv").write_text("ID,TIME,AMT,RATE,ADDL,II,EVID,CMT,DV,MDV,WT\n" + records)
    model = parse_control_stream(text, str(folder / "run.ctl"))
    table = event_table(model, read_dataset(model))
    return latent_form(model, table), table


def decoder(form, table, backend: str, rtol: float = 1e-10):
    if backend == "torchode":
        return TorchodeDecoder(form, table, rtol=rtol, atol=10 * rtol)
    return CompiledDecoder(form, table, rtol=1e-10, method=backend)


@dataclass
class Subject:
    """The model by hand: `times` are MTIME, `rate` running infusions, `weights` pairs of time and weight up to it."""

    times: tuple[float, float]
    z: float
    ka: float
    more: float
    weights: list[tuple[float, float]]
    y: np.ndarray = field(default_factory=lambda: np.zeros(3))
    rate: np.ndarray = field(default_factory=lambda: np.zeros(3))
    now: float = 0.0

    def past(self) -> tuple[float, float]:
        return float(self.times[0] <= self.now), float(self.times[1] <= self.now)

    def begin(self) -> None:
        self.y = np.array([0.0, 0.0, 2.0 * (1.0 + self.past()[0])])

    def advance(self, until: float) -> None:
        """Over model times and changes of the weight, each of which holds up to its record."""
        stops = sorted({t for t in (*self.times, *(t for t, _ in self.weights), until) if self.now < t <= until})
        for stop in stops:
            past, weight = self.past(), next(w for t, w in self.weights if t >= stop)
            step = solve_ivp(
                lambda _, y, past=past, weight=weight: self.slope(y, past, weight),
                (self.now, stop), self.y, rtol=1e-12, atol=1e-12, method="DOP853",
            )  # fmt: skip
            self.y, self.now = step.y[:, -1], stop

    def slope(self, y, past, weight):
        ka, k, flag = self.ka * (1 + self.more * past[0]), np.exp(self.z) * weight / 70 / 20, past[0] - past[1]
        back, bile = 1.5 * y[2] * flag, 0.4 * y[1]
        lost = k * y[1] + 8 * y[1] / (30 + y[1]) + bile
        return np.array([-ka * y[0] + back, ka * y[0] - lost, bile - back]) + self.rate

    def observe(self) -> float:
        return self.y[1] / (20 * (1 + 0.5 * self.past()[1])) + 0.1 * self.past()[0]


def by_hand(x: np.ndarray, *, weight: float = 70.0, log: bool = True) -> np.ndarray:
    """log: x[0] is the logarithm of MTIME(1), else MTIME(1)."""
    first = np.exp(x[0]) if log else x[0]
    weights = [(0, 70), (1, 70), (3, weight), (4, 70), (5, weight), (9, 70), (13, weight), (20, 70)]
    s, found = Subject((first, first + x[2]), x[1], x[3], x[4], weights), []
    s.begin()
    for time, what in (
        (0, "dose"), (1, "see"), (3, "on"), (4, "see"), (5, "see"), (6, "dose"), (7.5, "see"), (8, "off"), (9, "see"),
        (12, "dose"), (13, "reset"), (15, "see"), (16, "late"), (20, "see"),
    ):  # fmt: skip
        s.advance(time)
        if what == "see":
            found.append(s.observe())
        elif what in ("dose", "late"):
            s.y[0] += (1 - 0.3 * s.past()[0]) * (100.0 if what == "dose" else 80.0)
        elif what in ("on", "off"):
            s.rate[1] += 10.0 if what == "on" else -10.0
        else:
            s.begin()
    return np.array(found)


def slopes_by_hand(x: np.ndarray, **options) -> np.ndarray:
    """Central differences of a function known to 1e-11, steps of 1e-5: good to 1e-6."""
    steps = 1e-5 * np.eye(len(x))
    return np.column_stack([(by_hand(x + e, **options) - by_hand(x - e, **options)) / 2e-5 for e in steps])


@pytest.mark.parametrize("backend", ["rosenbrock", *BACKENDS])
def test_predictions_and_slopes_are_those_of_the_integration_stopped_by_hand(backend, tmp_path):
    form, table = prepared(tmp_path, RECORDS.format(70))
    assert form.switches == ("MPAST(1)", "MPAST(2)")
    assert form.input_names == ("Z(1)", "Z(2)", "THETA(2)", "THETA(3)", "THETA(4)")
    found = decoder(form, table, backend).linearise(X[None])
    assert found.status.tolist() == [0]
    np.testing.assert_allclose(found.prediction, by_hand(X), atol=TOLERANCE)
    np.testing.assert_allclose(found.jacobian, slopes_by_hand(X), atol=SLOPES)


def test_covariates_may_change_between_model_times(tmp_path):
    form, table = prepared(tmp_path, RECORDS.format(40))
    found = decoder(form, table, "explicit").linearise(X[None])
    np.testing.assert_allclose(found.prediction, by_hand(X, weight=40.0), atol=TOLERANCE)
    np.testing.assert_allclose(found.jacobian, slopes_by_hand(X, weight=40.0), atol=SLOPES)


#: in one call, so that lanes of the same vector stand at different events
TIMES = ((0.5, 0.2), (2.9, 0.2), (6.2, 20.0), (14.0, 0.3), (30.0, 1.0), (-1.0, 4.7), (-3.0, 2.0), (3.5, -2.0))


@pytest.mark.parametrize("backend", BACKENDS)
def test_model_times_may_come_before_after_or_between_any_events(backend, tmp_path):
    text = STREAM.replace("THETA(1)*EXP(ETA(1))", "THETA(1) + ETA(1)").replace("(0, 4) (0, 3)", "4 3")
    form, table = prepared(tmp_path, RECORDS.format(70), text)
    x = np.array([[first, X[1], more, *X[3:]] for first, more in TIMES])
    found = decoder(form, table, backend).linearise(x, np.zeros(len(x), dtype=int))
    np.testing.assert_allclose(found.prediction, np.concatenate([by_hand(row, log=False) for row in x]), atol=TOLERANCE)
    slopes = np.concatenate([slopes_by_hand(row, log=False) for row in x])
    np.testing.assert_allclose(found.jacobian, slopes, atol=SLOPES)


@pytest.mark.parametrize("backend", ["explicit", "torchode"])
def test_at_a_record_of_the_very_time_it_has_passed(backend, tmp_path):
    """NONMEM advances to MTIME(i), evaluates $PK, and again at the record, where MPAST(i) is 1 (help, circadian
    example); 5 is an observation, 6 an additional dose, 16 a dose, 13 a reset."""
    text = STREAM.replace("THETA(1)*EXP(ETA(1))", "THETA(1) + ETA(1)").replace("(0, 4) (0, 3)", "4 3")
    form, table = prepared(tmp_path, RECORDS.format(70), text)
    x = np.array([[first, X[1], more, *X[3:]] for first, more in ((5.0, 1.0), (13.0, 3.0), (0.0, 7.5))])
    found = decoder(form, table, backend).predict(x, np.zeros(len(x), dtype=int))
    np.testing.assert_allclose(found.prediction, np.concatenate([by_hand(row, log=False) for row in x]), atol=TOLERANCE)


LAGGED = """1,0,100,0,0,0,1,1,0,1,70
1,2,0,0,0,0,0,1,1,0,70
1,6,50,0,0,0,1,1,0,1,70
1,8,0,0,0,0,0,1,1,0,70
1,12,0,0,0,0,0,1,1,0,70
"""


@pytest.mark.parametrize("backend", ["explicit", "torchode"])
def test_a_lagged_dose_may_arrive_before_or_after_a_model_time(backend, tmp_path):
    """One compartment whose K changes: sums of exponentials."""
    text = LINEAR.format(more="ALAG1 = THETA(3)\n", thetas="(0, 1.5)")
    form, table = prepared(tmp_path, LAGGED, text)
    x = np.array([[np.log(m), np.log(0.2), 1.5] for m in (1.0, 6.9, 7.7)])
    where = decoder(form, table, backend, rtol=1e-8).linearise(x, np.zeros(3, dtype=int))

    def hand(model_time: float, k: float, lag: float) -> np.ndarray:
        """exp(-integral of K) from the arrival on; K is three times as large after the model time."""

        def left(start, end):
            before = max(0.0, min(end, model_time) - start)
            return np.exp(-k * before - 3 * k * (end - start - before))

        doses = ((lag, 100.0), (6.0 + lag, 50.0))
        return np.array([sum(d * left(t, at) for t, d in doses if t <= at) / 10 for at in (2.0, 8.0, 12.0)])

    for r, model_time in enumerate((1.0, 6.9, 7.7)):
        rows = slice(3 * r, 3 * r + 3)
        x = np.array([np.log(model_time), np.log(0.2), 1.5])
        np.testing.assert_allclose(where.prediction[rows], hand(model_time, 0.2, 1.5), atol=TOLERANCE)
        for j, e in enumerate(1e-6 * np.eye(3)):
            above, below = (hand(np.exp(v[0]), np.exp(v[1]), v[2]) for v in (x + e, x - e))
            np.testing.assert_allclose(where.jacobian[rows, j], (above - below) / 2e-6, atol=SLOPES)


LINEAR = """$PROBLEM elimination changes
$INPUT ID TIME AMT RATE ADDL II EVID CMT DV MDV WT
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN1 TRANS1
$PK
MTIME(1) = THETA(1)*EXP(ETA(1))
K1 = THETA(2)*EXP(ETA(2))
K = K1*(1 + 2*MPAST(1))
S1 = 10
{more}$ERROR
Y = F + EPS(1)
$THETA (0, 4) (0, 0.2) {thetas}
$OMEGA 0.1 0.1
$SIGMA 1
"""


def test_a_linear_model_is_integrated(tmp_path):
    form, table = prepared(tmp_path, LAGGED, LINEAR.format(more="", thetas=""))
    assert make_decoder(form, table).backend == "compiled"
    with pytest.raises(SettingsError, match="model event times"):
        make_decoder(form, table, backend="closed_form")


def test_a_subject_without_a_model_time_has_no_prediction(tmp_path):
    form, table = prepared(tmp_path, LAGGED, LINEAR.format(more="", thetas=""))
    for backend in ("explicit", "torchode"):
        found = decoder(form, table, backend).linearise(np.array([[np.nan, -1.6], [np.inf, -1.6]]), np.array([0, 0]))
        assert found.status.tolist() == [2, 0]
        np.testing.assert_allclose(found.prediction[3], 10 * np.exp(-2 * np.exp(-1.6)), rtol=1e-8)


def test_a_parameter_with_a_random_effect_may_change(tmp_path):
    """The mean of K is constant but for a THETA beside MPAST: K stays mu-referenced, in its own code or behind it."""
    inside = LINEAR.replace("K1 = THETA(2)*EXP(ETA(2))\nK = K1*(1 + 2*MPAST(1))",
                            "K = THETA(2)*(1 + THETA(3)*MPAST(1))*EXP(ETA(2))")  # fmt: skip
    form, table = prepared(tmp_path, LAGGED, inside.format(more="", thetas="(0, 2)"))
    assert [latent.name for latent in form.latents] == ["MTIME(1)", "K"]
    assert form.structural == ("THETA(3)",)
    outside, _ = prepared(tmp_path, LAGGED, LINEAR.format(more="", thetas="").replace("2*MPAST", "2.0*MPAST"))
    found = decoder(form, table, "explicit").linearise(np.array([[1.0, -1.6, 2.0]]))
    expected = decoder(outside, table, "explicit").linearise(np.array([[1.0, -1.6]]))
    np.testing.assert_allclose(found.prediction, expected.prediction, rtol=1e-12)
    np.testing.assert_allclose(found.jacobian[:, :2], expected.jacobian, rtol=1e-12)


def test_a_residual_error_that_changes_is_refused(tmp_path):
    text = LINEAR.format(more="", thetas="").replace("Y = F + EPS(1)", "W = 1 + MPAST(1)\nY = F + W*EPS(1)")
    with pytest.raises(UnsupportedError, match=r"another one after MTIME\(1\)"):
        prepared(tmp_path, LAGGED, text)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("ALAG1 = 1\nF1 = 1 - 0.5*MPAST(1)\n", "F1 depends on MPAST"),
        ("MTIME(2) = TIME + 1\nK = K*(1 - MPAST(2))\n", r"MTIME\(2\) depends on TIME"),
        ("MTIME(2) = 5 + MPAST(1)\nK = K*(1 - MPAST(2))\n", r"MTIME\(2\) depends on MPAST\(1\)"),
    ],
)
def test_what_would_change_is_refused(more, reason, tmp_path):
    with pytest.raises(UnsupportedError, match=reason):
        prepared(tmp_path, LAGGED, LINEAR.format(more=more, thetas=""))


def test_a_clock_that_starts_again_is_refused(tmp_path):
    again = "1,0,100,0,0,0,4,1,0,1,70\n1,0.5,0,0,0,0,0,1,1,0,70\n"
    with pytest.raises(UnsupportedError, match="TIME starts again"):
        prepared(tmp_path, LAGGED + again, LINEAR.format(more="", thetas=""))


def test_steady_states_are_refused(tmp_path):
    text = LINEAR.format(more="", thetas="").replace("RATE", "SS")
    with pytest.raises(UnsupportedError, match=r"SS = 1 .* model event times"):
        prepared(tmp_path, "1,0,100,1,0,12,1,1,0,1,70\n1,2,0,0,0,0,0,1,1,0,70\n", text)
