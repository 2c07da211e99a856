"""Residual error: densities against scipy, derivatives against differences and simulation, updates against a
generic optimiser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import norm
from tests.helpers.pk_models import oral_model

from nlmevae.decoder.residual import ResidualModel
from nlmevae.ir import CovarianceBlock, ErrorCoefficient, ObservationModel, ResidualError

A, B = 0.4, 0.15
KINDS = ("additive", "proportional", "combined1", "combined2")


def torch_log_density(model, y, f, a, b):
    """The normal log density with the standard deviation written out, for automatic differentiation."""
    size = f.abs()
    sd = {
        "additive": lambda: a + 0.0 * size,
        "proportional": lambda: b * size,
        "combined1": lambda: a + b * size,
        "combined2": lambda: torch.sqrt(a * a + (b * size) ** 2),
    }[model.error.kind]()
    if model.error.at_zero is not None and model.error.kind != "additive":
        at_zero = float(model.sd(np.zeros(1), float(a), float(b))[0])
        sd = torch.where(f == 0.0, at_zero, sd)
    return torch.distributions.Normal(f, sd).log_prob(y)


def residual(kind: str, **changes) -> ResidualModel:
    """a = THETA(4), b = THETA(5) / 2, so that scales matter."""
    a = ErrorCoefficient(parameter="THETA(4)", kind="theta") if kind != "proportional" else None
    b = ErrorCoefficient(parameter="THETA(5)", kind="theta", scale=0.5) if kind != "additive" else None
    error = replace(ResidualError(kind=kind, a=a, b=b), **changes)
    return ResidualModel(error=error, where=(3 if a else None, 4 if b else None))


def by_hand(kind: str, f: np.ndarray, a: float = A, b: float = B) -> np.ndarray:
    return {
        "additive": np.full_like(f, a),
        "proportional": b * abs(f),
        "combined1": a + b * abs(f),
        "combined2": np.sqrt(a**2 + b**2 * f**2),
    }[kind]


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    f = np.array([0.3, -0.7, 2.0, 5.0, 11.0, 40.0])
    return f + rng.normal(size=(7, 6)), np.broadcast_to(f, (7, 6))


@pytest.mark.parametrize("kind", KINDS)
def test_the_density_is_the_normal_one(kind, data):
    y, f = data
    np.testing.assert_allclose(residual(kind).sd(f, A, B), by_hand(kind, f))
    expected = norm.logpdf(y, f, by_hand(kind, f))
    np.testing.assert_allclose(residual(kind).log_density(y, f, A, B), expected, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_slope_in_f_is_a_central_difference(kind, data):
    y, f = data
    h = 1e-6
    difference = (norm.logpdf(y, f + h, by_hand(kind, f + h)) - norm.logpdf(y, f - h, by_hand(kind, f - h))) / (2 * h)
    np.testing.assert_allclose(residual(kind).dlogp_df(y, f, A, B), difference, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_the_score_in_log_a_and_log_b_is_a_central_difference(kind, data):
    y, f = data
    h = 1e-6

    def density(log_a, log_b):
        return norm.logpdf(y, f, by_hand(kind, f, A * np.exp(log_a), B * np.exp(log_b)))

    difference = np.stack([density(h, 0) - density(-h, 0), density(0, h) - density(0, -h)], axis=-1) / (2 * h)
    np.testing.assert_allclose(residual(kind).score(y, f, A, B), difference, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_information_is_the_variance_of_the_score(kind):
    """E[s s'] = E[-l''], by Gauss-Hermite quadrature over y, which is exact for these polynomials."""
    f = np.array([0.5, -3.0, 20.0])
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    weights = weights / weights.sum()
    model = residual(kind)
    y = f + nodes[:, None] * by_hand(kind, f)
    slope = model.dlogp_df(y, np.broadcast_to(f, y.shape), A, B)
    np.testing.assert_allclose(weights @ slope**2, model.expected_information(f, A, B), rtol=1e-10)
    score = model.score(y, np.broadcast_to(f, y.shape), A, B)
    outer = np.einsum("q,qmi,qmj->mij", weights, score, score)
    np.testing.assert_allclose(outer, model.information(f, A, B), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_the_torch_version_agrees_and_has_the_same_slopes(kind, data):
    y, f = data
    inputs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (f.copy(), A, B)]
    density = torch_log_density(residual(kind), torch.tensor(y), *inputs)
    np.testing.assert_allclose(density.detach().numpy(), residual(kind).log_density(y, f, A, B), rtol=1e-12)
    slopes = torch.autograd.grad(density.sum(), inputs, allow_unused=True)
    np.testing.assert_allclose(slopes[0].numpy(), residual(kind).dlogp_df(y, f, A, B), rtol=1e-9, atol=1e-12)
    score = residual(kind).score(y, f, A, B).sum(axis=(0, 1))
    for slope, value, expected in zip(slopes[1:], (A, B), score, strict=True):
        np.testing.assert_allclose(0.0 if slope is None else slope * value, expected, rtol=1e-9, atol=1e-9)


# predictions of zero ---------------------------------------------------------------------------------------
def test_without_spread_at_zero_the_density_is_zero_there():
    values = residual("proportional").log_density(np.array([1.0, 0.0]), np.zeros(2), 0.0, B)
    assert np.isneginf(values).all()


@pytest.mark.parametrize("kind", ["proportional", "combined1", "combined2"])
def test_a_number_substituted_at_zero_is_the_sd_there_and_moves_with_nothing(kind):
    """W = THETA(5) * F; IF (F.EQ.0) W = 2; Y = F + W * EPS(1), with the variance of EPS(1) fixed to 1."""
    model, f = residual(kind, at_zero=2.0), np.array([0.0, 3.0])
    np.testing.assert_allclose(model.sd(f, A, B), [2.0, by_hand(kind, f)[1]])
    y = np.array([1.0, 3.5])
    assert np.isfinite(model.log_density(y, f, A, B)).all()
    np.testing.assert_array_equal(model.score(y, f, A, B)[0], [0.0, 0.0])
    np.testing.assert_allclose(model.dlogp_df(y, f, A, B)[0], 1.0 / 4.0)
    expected = torch_log_density(model, torch.tensor(y), torch.tensor(f), A, B)
    np.testing.assert_allclose(model.log_density(y, f, A, B), expected)


def test_a_number_substituted_at_zero_times_eps_moves_with_its_variance():
    """W = 3 * F; IF (F.EQ.0) W = 2; Y = F + W * EPS(1): sd is 2 sd(EPS) = 2 b / 3 at zero."""
    b = ErrorCoefficient(parameter="EPS(1)", kind="sigma", scale=3.0)
    model = ResidualModel(error=ResidualError(kind="proportional", b=b, at_zero=2.0), where=(None, 0))
    f, y, h = np.zeros(1), np.array([0.3]), 1e-6
    np.testing.assert_allclose(model.sd(f, 0.0, B), 2.0 * B / 3.0)
    up, down = (norm.logpdf(y, 0.0, 2.0 / 3.0 * B * np.exp(s)) for s in (h, -h))
    np.testing.assert_allclose(model.score(y, f, 0.0, B)[:, 1], (up - down) / (2 * h), rtol=1e-6)


# updates ---------------------------------------------------------------------------------------------------
def total(kind, y, f, weights, a, b):
    return (weights * norm.logpdf(y, f, by_hand(kind, f, a, b))).sum()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(60,), (5, 60)])
def test_updates_end_where_a_generic_optimiser_does(kind, shape):
    rng = np.random.default_rng(3)
    f = rng.lognormal(1.0, 1.2, size=shape)
    y = f[0] if len(shape) == 2 else f
    y = y + rng.normal(size=60) * by_hand(kind, y, 0.6, 0.1)
    weights = rng.random(shape)
    a, b = 0.5 if kind != "proportional" else 0.0, 0.2 if kind != "additive" else 0.0
    values = [total(kind, y, f, weights, a, b)]
    for _ in range(15):
        a, b = residual(kind).update(y, f, weights, a, b)
        values.append(total(kind, y, f, weights, a, b))
    assert np.all(np.diff(values) >= -1e-9)
    best = minimize(
        lambda log: -total(kind, y, f, weights, *np.exp(log)), [-1.0, -1.0], method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000},
    )  # fmt: skip
    np.testing.assert_allclose(values[-1], -best.fun, rtol=1e-8)
    expected = np.exp(best.x)
    if kind != "proportional":
        np.testing.assert_allclose(a, expected[0], rtol=1e-3)
    if kind != "additive":
        np.testing.assert_allclose(b, expected[1], rtol=1e-3)


@pytest.mark.parametrize("kind", ["combined1", "combined2"])
@pytest.mark.parametrize("start", [(1e-8, 30.0), (500.0, 1e-8), (0.0, 0.0)])
def test_three_scoring_steps_from_far_away_stay_positive_and_never_lose(kind, start):
    rng = np.random.default_rng(5)
    f = rng.lognormal(1.0, 1.0, size=100)
    y = f + rng.normal(size=100) * by_hand(kind, f)
    a, b = start
    best = total(kind, y, f, 1.0, A, B)
    for _ in range(40):
        a, b = residual(kind).update(y, f, np.ones(100), a, b)
        assert a > 0.0
        assert b > 0.0
    assert total(kind, y, f, 1.0, a, b) > best - 1e-6


def test_weightless_failed_and_spreadless_terms_do_not_count():
    y, weights = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 0.0, 1.0, 2.0])
    f = np.array([1.5, 2.5, np.nan, 5.0])
    assert residual("additive").update(y, f, weights, A, 0.0)[0] == pytest.approx(np.sqrt((0.25 + 2.0) / 3.0))
    f = np.array([2.0, 1.0, 0.0, 5.0])
    assert residual("proportional").update(y, f, weights, 0.0, B)[1] == pytest.approx(np.sqrt((0.25 + 2 * 0.04) / 3))


def test_what_is_fixed_stays():
    model = residual("combined2", a=ErrorCoefficient(parameter="THETA(4)", kind="theta", fixed=True))
    rng = np.random.default_rng(6)
    f = rng.lognormal(1.0, 1.0, size=200)
    y = f + rng.normal(size=200) * by_hand("combined2", f, A, 0.3)
    a, b = A, 0.05
    for _ in range(10):
        a, b = model.update(y, f, np.ones(200), a, b)
    assert a == A
    assert b == pytest.approx(0.3, rel=0.2)
    thetas, _ = model.with_coefficients(np.array([1.0, 2.0, 3.0, 7.0, 5.0]), np.eye(1), a, b)
    np.testing.assert_allclose(thetas, [1.0, 2.0, 3.0, 7.0, 2 * b])


# coefficients ----------------------------------------------------------------------------------------------
def test_coefficients_are_read_from_the_model_and_written_back():
    a = ErrorCoefficient(parameter="EPS(2)", kind="sigma", scale=2.0)
    b = ErrorCoefficient(parameter="THETA(3)", kind="theta", scale=0.5)
    model = ResidualModel.of(
        oral_model(
            observations=(ObservationModel(name="Y", error=ResidualError(kind="combined1", a=a, b=b)),),
            sigma=tuple(CovarianceBlock(names=(f"EPS({k})",), matrix=((1.0,),)) for k in (1, 2)),
        )
    )
    thetas, sigma = np.array([1.0, 2.0, -0.3]), np.diag([1.0, 0.09])
    assert model.coefficients(thetas, sigma) == (pytest.approx(0.6), pytest.approx(0.15))
    new_thetas, new_sigma = model.with_coefficients(thetas, sigma, 0.8, 0.25)
    np.testing.assert_allclose(new_thetas, [1.0, 2.0, -0.5])  # a negative coefficient stays negative
    np.testing.assert_allclose(new_sigma, np.diag([1.0, 0.16]))
    assert model.coefficients(new_thetas, new_sigma) == (pytest.approx(0.8), pytest.approx(0.25))
    np.testing.assert_array_equal(thetas, [1.0, 2.0, -0.3])
    np.testing.assert_array_equal(sigma, np.diag([1.0, 0.09]))
