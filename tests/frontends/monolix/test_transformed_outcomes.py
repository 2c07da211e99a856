"""Outcomes with distribution=logNormal and logitNormal: everything reported is about the values in the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

import nlmevae
from nlmevae.errors import DataError
from nlmevae.pipeline import prepare
from tests.helpers.monolix_projects import project_text

#: log y = la_i - k t + a eps, or logit((y - 1)/(5 - 1)) of the same: Gaussian in la and eps.
TIMES, K, LA, OMEGA, A = np.array([0.0, 1.0, 2.5, 4.0]), 0.3, 1.2, 0.4, 0.2
EQUATION = {
    "logNormal": "f = exp(la - k*t)",
    "logitNormal, min=1, max=5": "f = 1 + 4/(1 + exp(-(la - k*t)))",
    "normal": "f = la - k*t",
}
METHODS = ("is", "gauss-hermite", "laplace", "focei", "foce", "fo", "lin")


def h(distribution: str, y: np.ndarray) -> np.ndarray:
    return np.log(y) if distribution.startswith("logN") else np.log((y - 1.0) / (5.0 - y))


def inverse(distribution: str, z: np.ndarray) -> np.ndarray:
    return np.exp(z) if distribution.startswith("logN") else 1.0 + 4.0 / (1.0 + np.exp(-z))


def log_slope(distribution: str, y: np.ndarray) -> np.ndarray:
    return -np.log(y) if distribution.startswith("logN") else np.log(4.0 / ((y - 1.0) * (5.0 - y)))


def drawn(distribution: str, n: int = 6) -> np.ndarray:
    """(n, times) natural values."""
    rng = np.random.default_rng(3)
    z = LA + OMEGA * rng.standard_normal((n, 1)) - K * TIMES + A * rng.standard_normal((n, len(TIMES)))
    return z if distribution == "normal" else inverse(distribution, z)


def write(folder: Path, distribution: str, y: np.ndarray, *, more: str = "", rows: dict | None = None) -> Path:
    """`rows`: (subject, time index) -> cells after ID and TIME, in place of the value."""
    lines = ["ID,TIME,Y" + more]
    for i, values in enumerate(y, 1):
        for j, value in enumerate(values):
            cell = (rows or {}).get((i, j), f"{value:.17g}" + ",0,."[: 0 if not more else None])
            lines.append(f"{i},{TIMES[j]:g},{cell}")
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    uses = "ID = {use=identifier}\nTIME = {use=time}\nY = {use=observation, name=y, type=continuous}"
    uses += "\nCENS = {use=censored}\nLIMIT = {use=limit}" if more else ""
    text = project_text(
        fileinfo=f"file = 'data.csv'\ndelimiter = comma\nheader = {{ID, TIME, Y{more.replace(',', ', ')}}}",
        content=uses,
        individual="input = {la_pop, omega_la, k_pop}\nDEFINITION:\n"
        "la = {distribution=normal, typical=la_pop, sd=omega_la}\n"
        "k = {distribution=normal, typical=k_pop, no-variability}",
        longitudinal=f"input = {{a, la, k}}\nEQUATION:\n{EQUATION[distribution]}\nOUTPUT:\noutput = f\nDEFINITION:\n"
        f"y = {{distribution={distribution}, prediction=f, errorModel=constant(a)}}",
        parameter=f"la_pop = {{value={LA}}}\nk_pop = {{value={K}}}\nomega_la = {{value={OMEGA}}}\na = {{value={A}}}",
    )
    (folder / "project.mlxtran").write_text(text)
    return folder / "project.mlxtran"


@pytest.mark.parametrize("distribution", ["logNormal", "logitNormal, min=1, max=5"])
def test_every_likelihood_is_the_density_of_the_values_in_the_file(tmp_path, distribution):
    y = drawn(distribution)
    path = write(tmp_path, distribution, y)
    variance = OMEGA**2 * np.ones((len(TIMES),) * 2) + A**2 * np.eye(len(TIMES))
    log_density = multivariate_normal(LA - K * TIMES, variance).logpdf(h(distribution, y))
    exact = -2.0 * (log_density + log_slope(distribution, y).sum(axis=1))
    found = nlmevae.likelihoods(path, methods=METHODS)
    for subject in found.subjects:
        # the model is linear: all methods are exact; importance sampling to its error
        tolerance = 5.0 * subject.error.max() if subject.method == "is" else 1e-6
        np.testing.assert_allclose(subject.minus_two_ll, exact, atol=tolerance, err_msg=subject.method)


@pytest.mark.parametrize("distribution", ["logNormal", "logitNormal, min=1, max=5"])
def test_a_fit_is_that_of_transformed_data_but_for_the_constant(tmp_path, distribution):
    y = drawn(distribution, 20)
    (tmp_path / "plain").mkdir()
    settings = {"seed": 2, "final_draws": 2048}
    natural = nlmevae.fit(write(tmp_path, distribution, y), **settings)
    moved = nlmevae.fit(write(tmp_path / "plain", "normal", h(distribution, y)), **settings)
    # equal arithmetic on both sides up to the rounding of h(y)
    np.testing.assert_allclose(natural.thetas, moved.thetas, rtol=1e-6)
    np.testing.assert_allclose(natural.omega, moved.omega, rtol=1e-5)
    constant = -2.0 * log_slope(distribution, y).sum()
    for one, other in zip(natural.likelihoods, moved.likelihoods, strict=True):
        assert one.minus_two_ll - other.minus_two_ll == pytest.approx(constant, abs=1e-4), one.method
    of_subjects = natural.individuals.minus_two_ll - moved.individuals.minus_two_ll
    np.testing.assert_allclose(of_subjects, -2.0 * log_slope(distribution, y).sum(axis=1), atol=1e-4)


@pytest.mark.parametrize("distribution", ["logNormal", "logitNormal, min=1, max=5"])
def test_censored_values_are_probabilities_of_intervals_of_the_file(tmp_path, distribution):
    """Below a limit, within an interval, above a limit; LIMIT at or beyond the bound of the distribution is none."""
    y = drawn(distribution, 2)
    rows = {(1, 0): "2.5,1,.", (1, 1): "2.5,1,1.5", (1, 2): "2.5,-1,.", (1, 3): "2.5,1,0", (2, 3): "2.5,-1,4.5"}
    found = nlmevae.likelihoods(
        write(tmp_path, distribution, y, more=",CENS,LIMIT", rows=rows), methods="gauss-hermite"
    )
    x, w = np.polynomial.hermite_e.hermegauss(200)
    exact = np.zeros(2)
    for i in (0, 1):
        mean = LA + OMEGA * x[:, None] - K * TIMES
        terms = norm.logpdf(h(distribution, y[i]), mean, A) + log_slope(distribution, y[i])
        low, mid = (norm.cdf(h(distribution, np.array(v)), mean, A) for v in (1.5, 2.5))
        above, far = (norm.sf(h(distribution, np.array(v)), mean, A) for v in (2.5, 4.5))
        if i == 0:
            cells = [mid, mid - low, above, mid]
            terms = np.stack([np.log(np.maximum(c[:, j], 1e-300)) for j, c in enumerate(cells)], axis=1)
        else:
            terms[:, 3] = np.log(np.maximum((above - far)[:, 3], 1e-300))
        exact[i] = -2.0 * np.log((w * np.exp(terms.sum(axis=1))).sum() / np.sqrt(2.0 * np.pi))
    # both are quadratures of a smooth integrand; ours has a few dozen points
    np.testing.assert_allclose(found.subjects[0].minus_two_ll, exact, atol=2e-3)


@pytest.mark.parametrize(
    ("distribution", "value", "said"),
    [
        ("logNormal", "0", "above 0"),
        ("logNormal", "-1", "above 0"),
        ("logitNormal, min=1, max=5", "5", "between 1 and 5"),
        ("logitNormal, min=1, max=5", "1", "between 1 and 5"),
    ],
)
def test_values_without_a_density_are_refused_with_their_line(tmp_path, distribution, value, said):
    path = write(tmp_path, distribution, drawn(distribution, 2), rows={(1, 1): value})
    with pytest.raises(DataError, match=f"line 3.*{said}"):
        prepare(path)


def test_a_limit_that_leaves_nothing_is_refused(tmp_path):
    path = write(tmp_path, "logNormal", drawn("logNormal", 2), more=",CENS,LIMIT", rows={(1, 1): "2.5,1,3.5"})
    with pytest.raises(DataError, match="line 3"):
        prepare(path)


def test_predictions_residuals_and_simulations_are_of_the_file(tmp_path):
    y = drawn("logNormal", 20)
    path = write(tmp_path, "logNormal", y)
    result = nlmevae.fit(path, seed=2, final_draws=512)
    la, k, a = (float(result.thetas[j]) for j in range(3))
    diagnostics = nlmevae.diagnose(path, fit=result, n_simulations=200)
    seen = diagnostics.observations
    np.testing.assert_allclose(seen.dv, y.ravel(), rtol=1e-12)
    np.testing.assert_allclose(seen.pred, np.tile(np.exp(la - k * TIMES), 20), rtol=1e-9)
    np.testing.assert_allclose(seen.iwres, (np.log(seen.dv) - np.log(seen.ipred)) / a, rtol=1e-7, atol=1e-9)
    assert diagnostics.endpoints[0].log_scale is False
    assert all(check.value.min() > 0.0 for check in diagnostics.vpcs)
    predicted = nlmevae.predict(path, fit=result, data=tmp_path / "data.csv").records
    np.testing.assert_allclose(predicted.dv, y.ravel(), rtol=1e-12)
    np.testing.assert_allclose(predicted.pred, seen.pred, rtol=1e-9)
    assert np.all((predicted.dv_lower > 0.0) & (predicted.dv_lower < predicted.lower))
    curve = diagnostics.curves[0]
    np.testing.assert_allclose(curve.pred, np.exp(la - k * curve.time), rtol=1e-9)
    folder = nlmevae.monolix_folder(path, tmp_path / "results", fit=result)
    table = np.genfromtxt(tmp_path / "results" / "predictions.txt", delimiter=",", names=True)
    np.testing.assert_allclose(table["y"], y.ravel(), rtol=1e-6)
    np.testing.assert_allclose(table["popPred"], seen.pred, rtol=1e-5)
    np.testing.assert_allclose(table["indWRes_mode"], seen.iwres, rtol=1e-3, atol=1e-3)  # six digits are written
    assert folder is not None
    nlmevae.simulate(path, tmp_path / "sim.csv", fit=result, n=2, seed=1)
    text = np.genfromtxt(tmp_path / "sim.csv", delimiter=",", names=True)
    assert text["DV"].min() > 0.0
