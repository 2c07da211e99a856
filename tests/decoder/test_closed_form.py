"""Closed-form decoder: exact amounts and Jacobians for any mix of events, against matrix exponentials and an
integrator that know nothing of eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.forms import bolus, infusion, make_table, reset
from tests.helpers.linear_forms import N_COMPARTMENTS, RATES, linear_form, simulate

from nlmevae.decoder.base import SolveStatus
from nlmevae.decoder.closed_form import ClosedFormDecoder
from nlmevae.errors import UnsupportedError

KINDS = tuple(RATES)
#: which compartments have lag, F and initial amount of their own
EXTRAS = {
    "plain": {},
    "first": {"lag": [1], "bioavailability": [1], "initial": [1]},
    "all": {"lag": [1, 2, 3], "bioavailability": [1, 2, 3], "initial": [1, 2, 3]},
}


def make_form(kind: str, extras: str = "plain", **more):
    n = N_COMPARTMENTS[kind]
    options = {name: [c for c in where if c <= n] for name, where in EXTRAS[extras].items()}
    return linear_form(kind, **options, **more)


def random_subject(rng: np.random.Generator, n: int) -> dict:
    """Doses into any compartment at times that often coincide with each other and with observations."""
    events = []
    for _ in range(rng.integers(1, 6)):
        when = float(rng.integers(0, 25)) if rng.random() < 0.6 else rng.uniform(0.0, 24.0)
        c, amount = int(rng.integers(1, n + 1)), rng.uniform(50.0, 200.0)
        short = rng.random() < 0.6
        events.append(bolus(when, amount, c) if short else infusion(when, amount, amount / rng.uniform(0.5, 8.0), c))
    if rng.random() < 0.3:
        events.append(reset(float(rng.integers(4, 20))))
    whole = rng.random(8) < 0.4
    times = rng.integers(0, 40, 8) + np.where(whole, 0.0, rng.random(8))
    observations = [(float(t), int(rng.integers(1, n + 1))) for t in times]
    return {"events": events, "observations": observations, "observe_first": bool(rng.random() < 0.5)}


def random_inputs(rng: np.random.Generator, form, n_rows: int) -> np.ndarray:
    """Log parameters: rates around 0.6, lags between 0.1 and 7 (doses change order), amounts of tens."""
    x = rng.normal(-0.5, 0.8, size=(n_rows, form.n_inputs))
    for j, name in enumerate(form.parameters):
        if name.startswith("ALAG"):
            x[:, j] = rng.uniform(-2.0, 2.0, n_rows)
        elif name.startswith("A0"):
            x[:, j] = rng.uniform(1.0, 4.0, n_rows)
    return x


def expected(kind, form, x, table, by="expm") -> np.ndarray:
    return np.concatenate([simulate(kind, form, x[i], table, i, by=by) for i in range(len(x))])


def differences(kind, form, x, table, h: float = 1e-4) -> np.ndarray:
    """Jacobian of the oracle by five-point central differences."""
    columns = []
    for j in range(x.shape[1]):
        step = h * np.eye(x.shape[1])[j]
        at = {m: expected(kind, form, x + m * step, table) for m in (-2, -1, 1, 2)}
        columns.append((at[-2] - 8 * at[-1] + 8 * at[1] - at[2]) / (12 * h))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("extras", EXTRAS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_any_mix_of_events_matches_matrix_exponentials_and_their_differences(kind, extras, seed):
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    form = make_form(kind, extras)
    table = make_table([random_subject(rng, N_COMPARTMENTS[kind]) for _ in range(5)])
    x = random_inputs(rng, form, 5)
    decoder = ClosedFormDecoder(form, table)
    found = decoder.linearise(x)
    assert (found.status == SolveStatus.OK).all()
    reference = expected(kind, form, x, table)
    np.testing.assert_allclose(found.prediction, reference, rtol=1e-11, atol=1e-12 * np.abs(reference).max())
    jacobian = differences(kind, form, x, table)
    np.testing.assert_allclose(found.jacobian, jacobian, rtol=1e-7, atol=1e-8 * np.abs(jacobian).max())
    np.testing.assert_allclose(decoder.predict(x).prediction, found.prediction, rtol=1e-13, atol=1e-300)
    assert decoder.predict(x).jacobian is None


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_match_a_tight_numerical_integration(kind):
    rng = np.random.default_rng(7)
    form = make_form(kind, "all")
    table = make_table([random_subject(rng, N_COMPARTMENTS[kind]) for _ in range(3)])
    x = random_inputs(rng, form, 3)
    reference = expected(kind, form, x, table, by="solve_ivp")
    found = ClosedFormDecoder(form, table).predict(x).prediction
    np.testing.assert_allclose(found, reference, rtol=1e-9, atol=1e-10 * np.abs(reference).max())


def test_the_textbook_formula_of_one_oral_dose():
    ka, k, v = 1.5, 0.08, 32.0
    t = np.array([0.25, 1.0, 4.0, 24.0])
    table = make_table([{"events": [bolus(0.0, 320.0)], "observations": [(s, 2) for s in t]}])
    found = ClosedFormDecoder(make_form("one_absorption"), table).predict(np.log([[ka, k, v]]))
    formula = 320.0 * ka / (v * (ka - k)) * (np.exp(-k * t) - np.exp(-ka * t))
    np.testing.assert_allclose(found.prediction, formula, rtol=1e-13)


# times that coincide -------------------------------------------------------------------------------------
def test_an_observation_at_the_time_of_a_dose_follows_record_order():
    events, observations = [bolus(0.0, 10.0), bolus(4.0, 10.0)], [(4.0, 1)]
    subjects = [{"events": events, "observations": observations, "observe_first": first} for first in (False, True)]
    form = linear_form("one", observed=[1])
    found = ClosedFormDecoder(form, make_table(subjects)).predict(np.log([[0.5, 2.0]] * 2)).prediction
    before = 10.0 * np.exp(-2.0) / 2.0 + 0.5 * 4.0
    np.testing.assert_allclose(found, [before + 5.0, before], rtol=1e-14)


def test_a_dose_arriving_at_the_very_time_of_an_observation_has_the_derivative_from_the_right():
    """The lag moves the dose away from the observation: the slope is that of a slightly shorter lag."""
    form = linear_form("one", lag=[1], observed=[1])
    table = make_table([{"events": [bolus(0.0, 10.0)], "observations": [(2.0, 1)]}])
    decoder = ClosedFormDecoder(form, table)
    x = np.array([[np.log(0.5), 0.0, np.log(2.0)]])
    at = decoder.linearise(x)
    np.testing.assert_allclose(at.prediction, 10.0 + 1.0, rtol=1e-14)
    h = 1e-6
    earlier = decoder.predict(x - [0.0, 0.0, h]).prediction
    np.testing.assert_allclose(at.jacobian[0, 2], (at.prediction - earlier)[0] / h, rtol=1e-5)
    np.testing.assert_allclose(at.jacobian[0, 2], 2.0 * 0.5 * 10.0, rtol=1e-14)  # lag dA/dlag = lag K dose


def test_lags_reorder_doses_and_a_reset_cancels_those_still_to_come():
    """Depot dose lagged beyond a later central dose; a reset at 5 removes what arrives at 7."""
    form = linear_form("one_absorption", lag=[1], observed=[2])
    events = [bolus(0.0, 10.0, 1), bolus(1.0, 20.0, 2), reset(5.0)]
    table = make_table([{"events": events, "observations": [(4.0, 2), (8.0, 2)]}])
    x = np.log([[1.0, 0.3, 1.0, 3.0], [1.0, 0.3, 1.0, 7.0]])
    found = ClosedFormDecoder(form, table).predict(x, np.zeros(2, dtype=int)).prediction.reshape(2, 2)
    central = 20.0 * np.exp(-0.3 * 3.0)
    oral = 10.0 / 0.7 * (np.exp(-0.3) - np.exp(-1.0))
    np.testing.assert_allclose(found[:, 0], [central + oral, central], rtol=1e-13)
    np.testing.assert_array_equal(found[:, 1], 0.0)


def test_an_infusion_shortened_to_nothing_by_bioavailability_gives_nothing():
    form = linear_form("one", bioavailability=[1], observed=[1])
    table = make_table([{"events": [infusion(1.0, 10.0, 5.0)], "observations": [(0.5, 1), (1.0, 1), (3.0, 1)]}])
    x = np.array([[np.log(0.5), 0.0, -800.0]])
    found = ClosedFormDecoder(form, table).linearise(x)
    np.testing.assert_array_equal(found.prediction, 0.5 * np.array([0.5, 1.0, 3.0]))  # only K T
    assert found.status[0] == SolveStatus.OK


# exact zeros and extreme values ----------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_where_no_drug_has_arrived_the_prediction_is_exactly_zero(kind):
    """Before the first dose, and in other compartments at the time of a dose: f = 0 is a special case of
    residual error models."""
    n = N_COMPARTMENTS[kind]
    observed = [c for c in range(1, n + 1) if c != 1] or [1]
    observations = [(0.0, c) for c in observed] + [(3.0, c) for c in observed if n > 1]
    events = [bolus(3.0, 123.456, 1)]
    table = make_table([{"events": events, "observations": observations}] * 200)
    x = random_inputs(np.random.default_rng(0), form := linear_form(kind), 200)
    found = ClosedFormDecoder(form, table).predict(x).prediction.reshape(200, -1)
    if kind == "one":
        found = found[:, :1]
    np.testing.assert_array_equal(found, 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_fast_rates_and_long_times_underflow_quietly(kind):
    form = linear_form(kind)
    n = N_COMPARTMENTS[kind]
    events = [bolus(0.0, 10.0), infusion(1.0, 10.0, 2.0, n)]
    table = make_table([{"events": events, "observations": [(1e5, n), (2e5, n)]}])
    equal = {
        "one": [2e3], "one_absorption": [2e3, 2e3], "two": [2e3, 1e-9, 2e3], "two_absorption": [2e3, 2e3, 1e-9, 2e3],
        "three": [2e3, 1e-9, 2e3, 1e-9, 2e3], "three_absorption": [2e3, 2e3, 1e-9, 2e3, 1e-9, 2e3], "linear": [2e3] * 4,
    }  # fmt: skip
    rates = len(RATES[kind])
    x = np.full((2, form.n_inputs), 0.0)
    x[0, :rates], x[1, :rates] = np.log([3e3, 2e3, 5e2, 7e2, 6e2, 4e2][:rates]), np.log(equal[kind])
    found = ClosedFormDecoder(form, table).linearise(x, np.zeros(2, dtype=int))
    assert (found.status == SolveStatus.OK).all()
    if n == 1:  # K T is part of what is observed there
        np.testing.assert_allclose(found.prediction, np.outer(np.exp(x[:, 0]), [1e5, 2e5]).ravel(), rtol=1e-14)
    else:
        np.testing.assert_allclose(found.prediction, 0.0, atol=1e-100)
    assert np.isfinite(found.jacobian).all()


def test_no_elimination_keeps_the_dose_and_its_infusion():
    """Rate constant 0: eigenvalue 0, phi(0) = 1."""
    form = linear_form("one")
    table = make_table([{"events": [bolus(0.0, 1.0), infusion(1.0, 4.0, 2.0)], "observations": [(2.0, 1), (9.0, 1)]}])
    found = ClosedFormDecoder(form, table).predict(np.array([[-np.inf, 0.0]]))
    np.testing.assert_array_equal(found.prediction, [3.0, 5.0])


# rows ------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def many():
    rng = np.random.default_rng(11)
    form = make_form("two_absorption", "all", covariate="WT")
    subjects = [random_subject(rng, 3) | {"covariates": [(0.0, (rng.uniform(0.5, 2.0),))]} for _ in range(7)]
    subjects[3]["observations"] = []
    return form, make_table(subjects, covariate_names=["WT"]), random_inputs(rng, form, 7)


def test_covariates_act_through_the_individual_parameters(many):
    form, table, x = many
    found = ClosedFormDecoder(form, table).predict(x).prediction
    np.testing.assert_allclose(found, expected("two_absorption", form, x, table), rtol=1e-10, atol=1e-10)


def test_each_row_gets_what_it_would_get_alone(many):
    """More rows than a block holds, subjects in any order and number, one of them without observations."""
    form, table, x = many
    decoder = ClosedFormDecoder(form, table)
    rng = np.random.default_rng(5)
    rows = rng.integers(0, 7, 1200)
    inputs = x[rows] + 0.1 * rng.normal(size=(1200, form.n_inputs))
    found = decoder.linearise(inputs, rows)
    threaded = ClosedFormDecoder(form, table, threads=3).linearise(inputs, rows)
    np.testing.assert_array_equal(found.prediction, threaded.prediction)
    np.testing.assert_array_equal(found.jacobian, threaded.jacobian)
    for r in [0, 511, 512, 1199, *rng.integers(0, 1200, 20)]:
        alone = decoder.linearise(inputs[r : r + 1], rows[r : r + 1])
        part = slice(found.ptr[r], found.ptr[r + 1])
        np.testing.assert_allclose(found.prediction[part], alone.prediction, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(found.jacobian[part], alone.jacobian, rtol=1e-9, atol=1e-11)


def test_a_failed_row_is_nan_with_a_zero_jacobian_and_touches_no_other(many):
    form, table, x = many
    decoder = ClosedFormDecoder(form, table)
    good = decoder.linearise(x)
    bad = x.copy()
    bad[2, 0], bad[4, 1] = np.nan, 800.0  # exp(800) is infinite
    found = decoder.linearise(bad)
    failed = np.isin(np.repeat(np.arange(7), np.diff(found.ptr)), [2, 4])
    assert [int(s) for s in found.status] == [0, 0, SolveStatus.NON_FINITE, 0, SolveStatus.NON_FINITE, 0, 0]
    assert np.isnan(found.prediction[failed]).all()
    assert (found.jacobian[failed] == 0.0).all()
    np.testing.assert_array_equal(found.prediction[~failed], good.prediction[~failed])
    np.testing.assert_array_equal(found.jacobian[~failed], good.jacobian[~failed])


def test_no_observations_at_all(many):
    form, table, x = many
    found = ClosedFormDecoder(form, table).linearise(x[3:4], np.array([3]))
    assert found.prediction.shape == (0,)
    assert found.jacobian.shape == (0, form.n_inputs)
    assert found.status.tolist() == [SolveStatus.OK]


# refusals --------------------------------------------------------------------------------------------------
def test_compartments_it_does_not_have_are_refused():
    form = linear_form("one", observed=[1])
    with pytest.raises(UnsupportedError, match="does not have"):
        ClosedFormDecoder(form, make_table([{"events": [bolus(0.0, 1.0, 2)], "observations": [(1.0, 1)]}]))
    with pytest.raises(UnsupportedError, match="observe compartment 2"):
        ClosedFormDecoder(form, make_table([{"events": [], "observations": [(1.0, 2)]}]))


def test_inputs_of_the_wrong_shape_are_refused(many):
    form, table, x = many
    with pytest.raises(ValueError, match="shape"):
        ClosedFormDecoder(form, table).predict(x[:, :-1])
