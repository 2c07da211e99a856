"""The compiled back end against closed forms and against scipy's integrator."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from tests.helpers.forms import bolus, infusion, make_form, make_table, op, reset

from nlmevae.codegen.latent_form import DosingTarget
from nlmevae.decoder.base import SolveStatus
from nlmevae.decoder.compiled import CompiledDecoder


def exp(x):
    return op("exp", x)


def log_normal(*names):
    """Individual parameters exp(Z(1)), exp(Z(2)), ..."""
    return lambda v: {name: exp(v[f"Z{k + 1}"]) for k, name in enumerate(names)}


def central_jacobian(decoder, x, step=1e-4):
    """Fourth-order central differences of predictions, (M, n_inputs); x has one row per subject."""
    columns = []
    for k in range(x.shape[1]):
        d = np.zeros(x.shape[1])
        d[k] = step
        near = decoder.predict(x + d).prediction - decoder.predict(x - d).prediction
        far = decoder.predict(x + 2 * d).prediction - decoder.predict(x - 2 * d).prediction
        columns.append((8 * near - far) / (12 * step))
    return np.stack(columns, axis=1)


def jacobian_error(decoder, x):
    """Largest error of each column relative to the column's largest entry."""
    exact, found = central_jacobian(decoder, x), decoder.linearise(x).jacobian
    scale = np.abs(exact).max(axis=0)
    return (np.abs(exact - found).max(axis=0) / np.where(scale > 0, scale, 1.0)).max()


# one compartment with first-order absorption ------------------------------------------------------
def oral_form(dosing=None, latents=("KA", "V", "CL")):
    names = list(latents)
    return make_form(
        latents=names,
        parameters=names,
        individual=log_normal(*names),
        rhs=lambda v: [-v["KA"] * v["A1"], v["KA"] * v["A1"] - v["CL"] / v["V"] * v["A2"]],
        output=lambda v: [v["A2"] / v["V"]],
        n_compartments=2,
        observed=[2],
        dosing=dosing,
    )


def oral_concentration(z, times, doses, lag=0.0, fraction=1.0):
    """Superposition of the closed form, (len(times),); doses = [(time, amount)]."""
    ka, v, cl = np.exp(z)
    k = cl / v
    total = np.zeros(len(times))
    for when, amount in doses:
        t = np.maximum(np.asarray(times) - when - lag, 0.0)
        total += fraction * amount * ka / (v * (ka - k)) * (np.exp(-k * t) - np.exp(-ka * t))
    return total


TIMES = (0.0, 0.25, 0.57, 1.12, 2.02, 3.82, 5.1, 7.03, 9.05, 12.12, 24.37)
CENTRE = np.log([1.5, 32.0, 2.8])


def random_z(n, centre=CENTRE, seed=1):
    return centre + 0.3 * np.random.default_rng(seed).normal(size=(n, len(centre)))


def test_one_compartment_oral_agrees_with_the_closed_form():
    z = random_z(12)
    table = make_table([{"events": [bolus(0, 320)], "observations": [(t, 2) for t in TIMES]}] * 12)
    decoder = CompiledDecoder(oral_form(), table)
    solution = decoder.linearise(z)
    exact = np.concatenate([oral_concentration(row, TIMES, [(0, 320)]) for row in z])
    assert (solution.status == SolveStatus.OK).all()
    np.testing.assert_allclose(solution.prediction, exact, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(decoder.predict(z).prediction, exact, rtol=1e-7, atol=1e-7)
    assert jacobian_error(decoder, z) < 1e-6


def test_repeated_doses_superpose():
    doses = [(0.0, 100.0), (12.0, 150.0), (24.0, 80.0), (24.0, 20.0), (30.5, 60.0)]
    times = np.linspace(0.5, 60, 25)
    table = make_table([{"events": [bolus(*d) for d in doses], "observations": [(t, 2) for t in times]}])
    decoder = CompiledDecoder(oral_form(), table)
    np.testing.assert_allclose(
        decoder.linearise(CENTRE[None]).prediction, oral_concentration(CENTRE, times, doses), rtol=1e-7, atol=1e-8
    )
    assert jacobian_error(decoder, CENTRE[None]) < 1e-6


def test_lagged_doses_act_in_order_of_their_actual_time():
    """Dose 1 has a lag of 5 h into the depot, dose 2 goes to the central compartment at once."""
    names = ["KA", "V", "CL", "LAG"]
    dosing = [DosingTarget(compartment=1, lag="LAG"), DosingTarget(compartment=2)]
    form = oral_form(dosing=dosing, latents=names)
    table = make_table(
        [{"events": [bolus(0, 100), bolus(2, 50, 2), bolus(3, 70)], "observations": [(t, 2) for t in range(1, 20)]}]
    )
    z = np.append(CENTRE, np.log(5.3))
    times = np.arange(1.0, 20.0)
    k, v = np.exp(z[2] - z[1]), np.exp(z[1])
    direct = np.where(times >= 2, 50 / v * np.exp(-k * (times - 2)), 0.0)
    exact = oral_concentration(z[:3], times, [(0, 100), (3, 70)], lag=np.exp(z[3])) + direct
    decoder = CompiledDecoder(form, table)
    np.testing.assert_allclose(decoder.linearise(z[None]).prediction, exact, rtol=1e-7, atol=1e-9)
    assert jacobian_error(decoder, z[None]) < 1e-6


def test_bioavailability_scales_the_dose_and_has_its_sensitivity():
    names = ["KA", "V", "CL", "F1"]
    form = oral_form(dosing=[DosingTarget(compartment=1, bioavailability="F1"), DosingTarget(compartment=2)],
                     latents=names)  # fmt: skip
    table = make_table([{"events": [bolus(0, 100), bolus(8, 100)], "observations": [(t, 2) for t in range(1, 20)]}])
    z = np.append(CENTRE, np.log(0.6))
    decoder = CompiledDecoder(form, table)
    exact = oral_concentration(CENTRE, np.arange(1.0, 20), [(0, 100), (8, 100)], fraction=0.6)
    solution = decoder.linearise(z[None])
    np.testing.assert_allclose(solution.prediction, exact, rtol=1e-7)
    np.testing.assert_allclose(solution.jacobian[:, 3], exact, rtol=1e-6)  # d/dz of exp(z) times the rest
    assert jacobian_error(decoder, z[None]) < 1e-6


def test_an_observation_at_the_time_of_a_dose_follows_the_record_order():
    form = make_form(
        latents=["K"], parameters=["K"], individual=log_normal("K"), n_compartments=1,
        rhs=lambda v: [-v["K"] * v["A1"]], output=lambda v: [v["A1"]],
    )  # fmt: skip
    subject = {"events": [bolus(0, 10), bolus(4, 5)], "observations": [(4, 1), (6, 1)]}
    table = make_table([subject, {**subject, "observe_first": True}])
    prediction = CompiledDecoder(form, table).predict(np.log([[0.3], [0.3]])).prediction
    before = 10 * np.exp(-1.2)
    np.testing.assert_allclose(prediction[[0, 2]], [before + 5, before], rtol=1e-8)
    np.testing.assert_allclose(prediction[[1, 3]], (before + 5) * np.exp(-0.6), rtol=1e-8)


# against scipy ------------------------------------------------------------------------------------
def michaelis_form(latents=("VM", "KM", "V", "F1", "LAG", "BASE")):
    """Saturable elimination, endogenous baseline, bioavailability and lag."""
    return make_form(
        latents=latents,
        parameters=latents,
        individual=log_normal(*latents),
        rhs=lambda v: [-v["VM"] * v["A1"] / (v["KM"] * v["V"] + v["A1"])],
        initial=lambda v: [v["BASE"]],
        output=lambda v: [op("log", v["A1"] / v["V"])],
        n_compartments=1,
        dosing=[DosingTarget(compartment=1, bioavailability="F1", lag="LAG")],
    )


def michaelis_by_scipy(z, times):
    """Bolus 100 at 0, infusion 80 at rate 20 at 3, reset at 24 then bolus 60; F and lag throughout."""
    vm, km, v, f, lag, base = np.exp(z)

    def rhs(rate):
        return lambda t, y: [-vm * y[0] / (km * v + y[0]) + rate]

    changes = sorted([(lag, "add", 100 * f), (3 + lag, "rate", 20.0), (3 + lag + 80 * f / 20, "rate", -20.0)])
    changes += [(24.0, "reset", base), (24.0 + lag, "add", 60 * f), (np.inf, "", 0.0)]
    out, y, rate, now = np.empty(len(times)), base, 0.0, 0.0
    for when, what, value in changes:
        end = min(when, max(times) + 1)
        inside = (times >= now) & (times < when)
        solved = solve_ivp(rhs(rate), (now, end), [y], rtol=1e-11, atol=1e-12, method="DOP853", dense_output=True)
        out[inside] = np.log(solved.sol(times[inside])[0] / v)
        y = solved.y[0][-1]
        now = when
        y, rate = {"add": (y + value, rate), "rate": (y, rate + value), "reset": (value, 0.0)}.get(what, (y, rate))
    return out


def test_infusion_lag_bioavailability_and_reset_agree_with_scipy():
    times = np.array([0.1, 0.9, 2.0, 3.5, 5.0, 6.5, 9.0, 15.0, 23.9, 24.2, 26.0, 30.0])
    events = [bolus(0, 100), infusion(3, 80, 20), reset(24), bolus(24, 60)]
    table = make_table([{"events": events, "observations": [(t, 1) for t in times]}] * 5)
    centre = np.log([6.0, 8.0, 4.0, 0.7, 0.45, 8.0])
    z = random_z(5, centre, seed=3)
    z[:, 4] = np.log([0.45, 0.3, 0.62, 0.52, 0.71])
    decoder = CompiledDecoder(michaelis_form(), table)
    exact = np.concatenate([michaelis_by_scipy(row, times) for row in z])
    solution = decoder.linearise(z)
    assert (solution.status == SolveStatus.OK).all()
    np.testing.assert_allclose(solution.prediction, exact, atol=2e-7)
    assert jacobian_error(decoder, z) < 1e-5


def test_a_reset_cancels_running_infusions_and_pending_doses():
    form = make_form(
        latents=["K", "LAG"], parameters=["K", "LAG"], individual=log_normal("K", "LAG"), n_compartments=1,
        rhs=lambda v: [-v["K"] * v["A1"]], output=lambda v: [v["A1"]],
        dosing=[DosingTarget(compartment=1, lag="LAG")],
    )  # fmt: skip
    events = [infusion(0, 100, 5), bolus(9.5, 70), reset(10)]
    table = make_table([{"events": events, "observations": [(9, 1), (10.5, 1), (12, 1), (30, 1)]}])
    solution = CompiledDecoder(form, table).linearise(np.log([[0.2, 1.0]]))
    assert solution.prediction[0] > 1.0
    np.testing.assert_array_equal(solution.prediction[1:], 0.0)
    np.testing.assert_array_equal(solution.jacobian[1:], 0.0)


def test_changing_covariates_act_on_the_interval_that_ends_at_their_record():
    form = make_form(
        latents=["CL"], parameters=["CL", "K"], covariates=["WT"], n_compartments=1,
        individual=lambda v: {"CL": exp(v["Z1"]), "K": exp(v["Z1"]) * v["WT"]},
        rhs=lambda v: [-v["K"] * v["A1"]], output=lambda v: [v["A1"] * v["K"]],
    )  # fmt: skip
    subject = {
        "events": [bolus(0, 10), bolus(5, 4)],
        "observations": [(1, 1), (2, 1), (4, 1), (8, 1)],
        "covariates": [(0.0, [9.0]), (2.0, [1.0]), (4.0, [2.0]), (5.0, [3.0])],
    }
    constant = {**subject, "covariates": [(0.0, [2.0])]}
    table = make_table([subject, constant], covariate_names=["WT"])
    decoder = CompiledDecoder(form, table)
    z = np.log([[0.1], [0.1]])
    a2, a4 = 10 * np.exp(-0.2), 10 * np.exp(-0.6)
    a8 = (a4 * np.exp(-0.3) + 4) * np.exp(-0.9)
    expected = [10 * np.exp(-0.1) * 0.1, a2 * 0.1, a4 * 0.2, a8 * 0.3]
    np.testing.assert_allclose(decoder.predict(z).prediction[:4], expected, rtol=1e-8)
    assert jacobian_error(decoder, z) < 1e-7


def test_several_outputs_record_items_and_structural_thetas():
    form = make_form(
        latents=["CL"], structural=["THETA(4)"], parameters=["CL", "KE0"], n_compartments=2, observed=[1, 2],
        individual=lambda v: {"CL": exp(v["Z1"]), "KE0": v["THETA4"]}, record_items=["FLAG", "TIME"],
        rhs=lambda v: [-v["CL"] * v["A1"], v["KE0"] * (v["A1"] - v["A2"])],
        output=lambda v: [v["A1"] + v["FLAG"] + v["TIME"], v["A2"] * v["FLAG"] * v["T"]],
    )  # fmt: skip
    observations = [(1, 1, [5.0, 1.0]), (2, 2, [3.0, 2.0])]
    table = make_table([{"events": [bolus(0, 10)], "observations": observations}], record_names=["FLAG", "TIME"])
    decoder = CompiledDecoder(form, table)
    x = np.array([[np.log(0.2), 0.7]])
    effect = 10 * 0.7 / 0.5 * (np.exp(-0.4) - np.exp(-1.4))
    np.testing.assert_allclose(decoder.predict(x).prediction, [10 * np.exp(-0.2) + 6, effect * 6], rtol=1e-8)
    assert jacobian_error(decoder, x) < 1e-7


def test_time_in_the_right_hand_side_is_data_time():
    form = make_form(
        latents=["B"], parameters=["B"], individual=log_normal("B"), n_compartments=1,
        rhs=lambda v: [v["B"] * op("sin", v["T"])], output=lambda v: [v["A1"]],
    )  # fmt: skip
    table = make_table([{"observations": [(t, 1) for t in (2.0, 3.0, 7.5)], "start": 2.0}])
    solution = CompiledDecoder(form, table).linearise(np.zeros((1, 1)))
    exact = np.cos(2) - np.cos([2.0, 3.0, 7.5])
    np.testing.assert_allclose(solution.prediction, exact, atol=1e-9)
    np.testing.assert_allclose(solution.jacobian[:, 0], exact, atol=1e-9)


# rows and lanes -----------------------------------------------------------------------------------
def uneven_problem(n=23):
    """Subjects with different doses and times, some without observations."""
    rng = np.random.default_rng(5)
    subjects = []
    for i in range(n):
        times = np.sort(rng.uniform(0.1, 40, size=rng.integers(1, 9)))
        events = [bolus(12.0 * j, rng.uniform(50, 150)) for j in range(rng.integers(0, 4))]
        subjects.append({"events": events, "observations": [] if i % 7 == 3 else [(t, 2) for t in times]})
    return oral_form(), make_table(subjects), random_z(n, seed=6)


def test_results_do_not_depend_on_the_other_rows():
    form, table, z = uneven_problem()
    decoder = CompiledDecoder(form, table)
    together = decoder.linearise(z)
    rows = np.random.default_rng(7).permutation(np.repeat(np.arange(23), 3))
    shuffled = decoder.linearise(z[rows], rows)
    for r, subject in enumerate(rows):
        alone = decoder.linearise(z[[subject]], np.array([subject]))
        here = slice(shuffled.ptr[r], shuffled.ptr[r + 1])
        there = slice(together.ptr[subject], together.ptr[subject + 1])
        for solution, part in ((shuffled, here), (together, there)):
            np.testing.assert_allclose(solution.prediction[part], alone.prediction, rtol=1e-12)
            np.testing.assert_allclose(solution.jacobian[part], alone.jacobian, rtol=1e-9, atol=1e-12)
        assert shuffled.n_steps[r] == alone.n_steps[0]


@pytest.mark.parametrize("width", [1, 2, 8])
def test_results_do_not_depend_on_the_simd_width(width):
    form, table, z = uneven_problem()
    reference = CompiledDecoder(form, table, width=4).linearise(z)
    other = CompiledDecoder(form, table, width=width).linearise(z)
    np.testing.assert_allclose(other.prediction, reference.prediction, rtol=1e-12)
    np.testing.assert_allclose(other.jacobian, reference.jacobian, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(other.n_steps, reference.n_steps)


def test_an_observation_at_a_dose_is_not_disturbed_by_a_row_that_starts_in_another_lane():
    """400 rows that end after different numbers of steps: some row is loaded while another observes at its dose.
    Superposition of the closed form, with an initial amount that shows where it does not belong."""
    form = make_form(
        latents=["K", "BASE"], parameters=["K", "BASE"], individual=log_normal("K", "BASE"), n_compartments=1,
        rhs=lambda v: [-v["K"] * v["A1"]], initial=lambda v: [v["BASE"]], output=lambda v: [v["A1"]],
    )  # fmt: skip
    given, times = np.array([2.0, 4.0, 8.0, 12.0]), np.array([2.0, 4.0, 8.0, 12.0, 13.0])
    table = make_table([{"events": [bolus(t, 5) for t in given], "observations": [(t, 1) for t in times]}])
    z = np.random.default_rng(0).normal([-1.0, 3.0], [1.0, 0.5], (400, 2))
    k, base = np.exp(z[:, :1]), np.exp(z[:, 1:])
    since = times - given[:, None]  # of each dose (row) at each observation
    doses = (5 * np.exp(-k[:, :, None] * np.maximum(since, 0.0)) * (since >= 0.0)).sum(axis=1)
    exact = base * np.exp(-k * times) + doses
    for solve in ("predict", "linearise"):
        found = getattr(CompiledDecoder(form, table, width=4), solve)(z, np.zeros(400, dtype=int))
        np.testing.assert_allclose(found.prediction.reshape(400, 5), exact, rtol=1e-6)


def test_threads_give_the_same_results():
    form, table, z = uneven_problem()
    rows, many = np.tile(np.arange(23), 10), np.tile(z, (10, 1))
    one = CompiledDecoder(form, table).linearise(many, rows)
    two = CompiledDecoder(form, table, threads=2).linearise(many, rows)
    np.testing.assert_allclose(two.prediction, one.prediction, rtol=1e-12)
    np.testing.assert_array_equal(two.status, one.status)


def test_a_failing_row_is_nan_and_leaves_the_others_alone():
    form, table, z = uneven_problem()
    clean = CompiledDecoder(form, table).linearise(z)
    broken = z.copy()
    broken[[2, 8]] = [[800.0, 3.0, 1.0], [np.nan, 3.0, 1.0]]
    solution = CompiledDecoder(form, table).linearise(broken)
    assert solution.status[2] == solution.status[8] == SolveStatus.NON_FINITE
    for r in range(23):
        part = slice(solution.ptr[r], solution.ptr[r + 1])
        if r in (2, 8):
            assert np.isnan(solution.prediction[part]).all()
            np.testing.assert_array_equal(solution.jacobian[part], 0.0)
        else:
            np.testing.assert_allclose(solution.prediction[part], clean.prediction[part], rtol=1e-12)


def test_too_many_steps_is_a_status():
    form, table, z = uneven_problem()
    solution = CompiledDecoder(form, table, max_steps=5).linearise(z)
    observed = np.diff(solution.ptr) > 0
    dosed = np.diff(table.ev_ptr) > 0
    assert (solution.status[observed & dosed] == SolveStatus.MAX_STEPS).all()
    assert (solution.n_steps <= 5).all()


def test_states_of_very_different_size_are_both_accurate():
    """Amounts of 1e6 next to a response of order one that starts at zero."""
    form = make_form(
        latents=["K"], parameters=["K"], individual=log_normal("K"), n_compartments=2, observed=[1, 2],
        rhs=lambda v: [-v["K"] * v["A1"], v["A1"] * 1e-6 - v["A2"]], output=lambda v: [v["A1"], v["A2"]],
    )  # fmt: skip
    table = make_table([{"events": [bolus(0, 1e6)], "observations": [(t, 2) for t in (0.5, 1.0, 4.0, 10.0)]}])
    t = np.array([0.5, 1.0, 4.0, 10.0])
    exact = (np.exp(-0.2 * t) - np.exp(-t)) / 0.8
    found = CompiledDecoder(form, table).predict(np.log([[0.2]])).prediction
    np.testing.assert_allclose(found, exact, rtol=1e-7)


# formulas -----------------------------------------------------------------------------------------
def test_a_formula_model_is_evaluated_at_every_observation():
    form = make_form(
        latents=["BASE", "SLOPE"], parameters=["BASE", "SLOPE", "WT"], covariates=["WT"], record_items=["DOSE"],
        individual=lambda v: {"BASE": exp(v["Z1"]), "SLOPE": v["Z2"], "WT": v["WT"]},
        output=lambda v: [v["BASE"] + v["SLOPE"] * v["DOSE"] * v["WT"]],
    )  # fmt: skip
    table = make_table(
        [
            {"observations": [(0, 0, [1.0]), (1, 0, [2.0])], "covariates": [(0, [70.0])]},
            {"observations": [(0, 0, [3.0])], "covariates": [(0, [50.0])]},
        ],
        covariate_names=["WT"],
        record_names=["DOSE"],
    )
    decoder = CompiledDecoder(form, table)
    x = np.array([[0.5, 2.0], [1.0, -1.0]])
    expected = [np.exp(0.5) + 140, np.exp(0.5) + 280, np.e - 150]
    solution = decoder.linearise(x)
    np.testing.assert_allclose(solution.prediction, expected)
    np.testing.assert_allclose(solution.jacobian, [[np.exp(0.5), 70], [np.exp(0.5), 140], [np.e, 150]])
    draws = decoder.predict(np.stack([x[1], x[0], x[1]]), np.array([1, 0, 1]))
    np.testing.assert_allclose(draws.prediction, np.array(expected)[[2, 0, 1, 2]])


def test_a_failing_formula_row_is_isolated():
    form = make_form(
        latents=["A"], parameters=["A"], individual=lambda v: {"A": v["Z1"]},
        output=lambda v: [op("log", v["A"])], record_items=["X"],
    )  # fmt: skip
    table = make_table([{"observations": [(0, 0, [1.0]), (1, 0, [1.0])]}] * 3, record_names=["X"])
    solution = CompiledDecoder(form, table).linearise(np.array([[1.0], [-1.0], [2.0]]))
    assert solution.status.tolist() == [SolveStatus.OK, SolveStatus.NON_FINITE, SolveStatus.OK]
    assert np.isnan(solution.prediction[2:4]).all()
    np.testing.assert_array_equal(solution.jacobian[:, 0], [1, 1, 0, 0, 0.5, 0.5])
