"""Sums over weighted draws against differences and quadrature, updates of coefficients against a generic optimiser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm
from tests.helpers.observed import FORMS, A, B, by_hand, eps_blocks, residual_model, theta_error

from nlmevae.decoder.residual import NO_MULTIPLIER, ResidualModel
from nlmevae.decoder.residual_kernels import N_SUMS, Observed, residual_sums
from nlmevae.decoder.residual_update import Sums, update
from nlmevae.ir import ErrorCoefficient, ObservationModel, ResidualError

F = np.array([0.3, -0.7, 2.0, 5.0, 11.0, 40.0])


def sums(model, f, observed, c, multiplier=NO_MULTIPLIER) -> list[Sums]:
    """One group per observation."""
    f = np.atleast_2d(f)
    groups = np.arange(f.shape[1] + 1)
    parts = []
    for error in model.numbers(c):
        out = np.zeros((f.shape[1], N_SUMS))
        residual_sums(f, np.ones(f.shape), observed, groups, error, multiplier, True, out)
        parts.append(out)
    return [Sums.of(model, [part[m] for part in parts]) for m in range(f.shape[1])]


@pytest.mark.parametrize("form", FORMS)
def test_the_score_is_a_central_difference_in_the_coordinates(form):
    model, c = residual_model(form)
    observed = Observed.of(F + np.random.default_rng(1).normal(size=6))
    x, found = model.coordinates(c), sums(model, F, observed, c)
    for j in range(len(c)):
        step = np.zeros(len(c))
        step[j] = 1e-6
        up, down = (model.log_density(F, observed, model.from_coordinates(x + s * step)) for s in (1, -1))
        np.testing.assert_allclose([m.score[j] for m in found], (up - down) / 2e-6, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("form", FORMS)
def test_information_is_the_variance_of_the_score(form):
    """E[s s'] = E[-l''], by Gauss-Hermite quadrature over y, which is exact for these polynomials."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    weights = weights / weights.sum()
    model, c = residual_model(form)
    f = np.repeat(np.array([0.5, -3.0, 20.0])[:, None], 12, axis=1)
    found = sums(model, f.ravel(), Observed.of((f + nodes * by_hand(form, f)).ravel()), c)
    score = np.array([m.score for m in found]).reshape(3, 12, -1)
    outer = np.einsum("q,mqi,mqj->mij", weights, score, score)
    information = np.array([found[12 * k].information for k in range(3)])
    np.testing.assert_allclose(outer, information, rtol=1e-10, atol=1e-13)


def test_a_multiplier_of_the_sd_is_part_of_the_sums():
    model, c = residual_model("combined1")
    observed, log = Observed.of(F + 0.4), np.linspace(-1, 1, 6)[None]
    found = sums(model, F, observed, c, multiplier=log)
    np.testing.assert_allclose(
        [m.value for m in found], norm.logpdf(observed.y, F, by_hand("combined1", F) * np.exp(log[0]))
    )


# updates ---------------------------------------------------------------------------------------------------
def total(form, y, f, weights, c):
    """c: a, b, power, correlation in coordinates."""
    sd = by_hand(form, f, np.exp(c[0]), np.exp(c[1]), c[2], np.tanh(c[3]))
    return (weights * norm.logpdf(y, f, sd)).sum()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n_draws", [1, 5])
def test_updates_end_where_a_generic_optimiser_does(form, n_draws):
    rng = np.random.default_rng(3)
    f = rng.lognormal(1.0, 1.2, size=(n_draws, 80))
    y = f[0] + rng.normal(size=80) * by_hand(form, f[0], 0.6, 0.1)
    weights = rng.random((n_draws, 80))
    model, c = residual_model(form)
    observed = Observed.of(y)
    values = [(weights * model.log_density(f, observed, c)).sum()]
    for _ in range(25):
        c = update(model, observed, f, weights, c)
        values.append((weights * model.log_density(f, observed, c)).sum())
    assert np.all(np.diff(values) >= -1e-9)
    best = minimize(
        lambda x: -total(form, y, f, weights, x), [-1.0, -1.0, 1.0, 0.1], method="Nelder-Mead",
        options={"xatol": 1e-10, "fatol": 1e-13, "maxiter": 8000, "maxfev": 8000},
    )  # fmt: skip
    assert values[-1] == pytest.approx(-best.fun, rel=1e-7)


@pytest.mark.parametrize("form", ["combined1", "combined2"])
@pytest.mark.parametrize("start", [(1e-8, 30.0), (500.0, 1e-8), (0.0, 0.0)])
def test_three_scoring_steps_from_far_away_stay_positive_and_never_lose(form, start):
    rng = np.random.default_rng(5)
    f = rng.lognormal(1.0, 1.0, size=(1, 100))
    observed = Observed.of(f[0] + rng.normal(size=100) * by_hand(form, f[0]))
    model, truth = residual_model(form)
    c = np.array(start)
    for _ in range(40):
        c = update(model, observed, f, np.ones((1, 100)), c)
        assert (c > 0.0).all()
    assert model.log_density(f, observed, c).sum() > model.log_density(f, observed, truth).sum() - 1e-6


def test_a_coefficient_that_goes_to_zero_does_not_hold_back_the_other():
    """Data without any proportional part: the additive one is the root of the mean square however small b is."""
    rng = np.random.default_rng(11)
    f = rng.lognormal(1.0, 1.0, size=(1, 200))
    y = f[0] + np.sign(rng.normal(size=200)) * 0.4 / (1.0 + 0.3 * f[0])
    model, _ = residual_model("combined2")
    c = np.array([2.0, 1e-5])
    for _ in range(6):
        c = update(model, Observed.of(y), f, np.ones((1, 200)), c)
    assert c[1] < 1e-6
    assert c[0] == pytest.approx(np.sqrt(((y - f) ** 2).mean()), rel=1e-6)


def test_weightless_failed_and_spreadless_terms_do_not_count():
    y, weights = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 0.0, 1.0, 2.0])
    model, c = residual_model("additive")
    found = update(model, Observed.of(y), np.array([1.5, 2.5, np.nan, 5.0]), weights, c)
    assert found[0] == pytest.approx(np.sqrt((0.25 + 2.0) / 3.0))
    model, c = residual_model("proportional")
    found = update(model, Observed.of(y), np.array([2.0, 1.0, 0.0, 5.0]), weights, c)
    assert found[0] == pytest.approx(np.sqrt((0.25 + 2 * 0.04) / 3))


def test_a_constant_at_zero_says_nothing_about_the_coefficient():
    model, c = theta_error("proportional", at_zero=2.0)
    y, f = np.array([1.0, 3.0]), np.array([0.0, 2.0])
    assert sums(model, f, Observed.of(y), c)[0].score == pytest.approx([0.0])
    assert update(model, Observed.of(y), f, np.ones(2), c)[0] == pytest.approx(2 * 0.5)


def test_what_is_fixed_stays():
    model, c = theta_error("combined2")
    model = replace(model, parts=(replace(model.parts[0], fixed=True), model.parts[1]))
    rng = np.random.default_rng(6)
    f = rng.lognormal(1.0, 1.0, size=200)
    observed = Observed.of(f + rng.normal(size=200) * by_hand("combined2", f, A, 0.3))
    c = np.array([A, 0.1])
    for _ in range(10):
        c = update(model, observed, f, np.ones(200), c)
    assert c[0] == A
    assert c[1] == pytest.approx(0.6, rel=0.2)


def test_endpoints_are_updated_each_from_its_own_observations():
    """Additive on EPS(1) and proportional on EPS(2): the two roots of mean squares."""
    errors = [FORMS["additive"][0], FORMS["proportional"][0]]
    model = ResidualModel.build([ObservationModel(name="Y", error=e) for e in errors], [], eps_blocks(2))
    rng = np.random.default_rng(7)
    f, y, which = rng.lognormal(size=30), rng.lognormal(size=30), np.arange(30) % 3 // 2
    found = update(model, Observed.of(y, which), f, np.ones(30), np.array([1.0, 1.0]))
    first, second = which == 0, which == 1
    assert found[0] == pytest.approx(np.sqrt(((y - f)[first] ** 2).mean()))
    assert found[1] == pytest.approx(np.sqrt((((y - f) / f)[second] ** 2).mean()))


def test_a_coefficient_of_two_endpoints_is_updated_from_both():
    """sd = c in one, 2 c |f| in the other."""
    one = ErrorCoefficient(parameter="EPS(1)", kind="sigma")
    errors = [ResidualError(kind="additive", a=one), ResidualError(kind="proportional", b=replace(one, scale=2.0))]
    model = ResidualModel.build([ObservationModel(name="Y", error=e) for e in errors], [], eps_blocks(1))
    rng = np.random.default_rng(8)
    f, y, which = rng.lognormal(size=30), rng.lognormal(size=30), np.arange(30) % 2
    found = update(model, Observed.of(y, which), f, np.ones(30), np.array([1.0]))
    scaled = (y - f) / np.where(which == 0, 1.0, 2.0 * f)
    assert found[0] == pytest.approx(np.sqrt((scaled**2).mean()))


def test_without_free_coefficients_nothing_moves():
    model, c = theta_error("additive")
    model = replace(model, parts=(replace(model.parts[0], fixed=True),))
    assert update(model, Observed.of(F), F + 1.0, np.ones(6), c) is c


def test_weights_of_groups_are_those_of_their_observations():
    rng = np.random.default_rng(9)
    f, y, ptr = rng.lognormal(size=(4, 6)), rng.lognormal(size=6), np.array([0, 2, 2, 6])
    weight = rng.random((4, 3))
    for form in ("additive", "combined1", "combined2 power"):
        model, c = residual_model(form)
        grouped = update(model, Observed.of(y), f, weight, c, ptr=ptr)
        repeated = update(model, Observed.of(y), f, np.repeat(weight, np.diff(ptr), axis=1), c)
        assert grouped == pytest.approx(repeated, rel=1e-9)


def test_the_numbers_of_a_model_are_those_of_each_endpoint():
    model, _ = residual_model("combined2 power")
    (numbers,) = model.numbers(np.array([A, B, 0.7]))
    assert (numbers.a, numbers.b, numbers.power, numbers.index) == (A, B, 0.7, -1)
    assert model.slot_map(0).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
