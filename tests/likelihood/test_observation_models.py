"""Exact likelihoods of every observation model: from a control stream and a data file to -2LL, against integrals that
are written out with scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.at_estimates import at_estimates
from nlmevae.estimation.problem import make_problem
from nlmevae.likelihood.gauss_hermite import gauss_hermite
from nlmevae.likelihood.importance import importance_likelihood
from nlmevae.likelihood.laplace import laplace
from nlmevae.likelihood.linearisation import linearised_minus_two_ll
from nlmevae.pipeline import prepare

TIMES = np.array([0.5, 1.0, 2.0, 4.0, 6.0])
LOQ = 1.0
#: -2LL of a subject; both sides are quadratures with errors far below
QUADRATURE = 2e-5

STREAM = """$PROBLEM decay
$INPUT ID TIME DV {items}
$DATA data.csv IGNORE=@
$PRED
K = THETA(1)*EXP(ETA(1))
IPRED = 10*EXP(-K*TIME)
{code}
$THETA (0,0.5) (0,0.4) (0,0.1)
$OMEGA {omega}
$SIGMA 1 FIX
"""
COMBINED = "W = THETA(2) + THETA(3)*IPRED\n"
DENSITY = "Y = IPRED + W*EPS(1)"


def m3(probability: str, *, ylo: str = "") -> str:
    return f"IF (BLQ.EQ.1) THEN\nF_FLAG = 1\nY = {probability}\nELSE\nF_FLAG = 0\n{ylo}{DENSITY}\nENDIF"


def log_tail(low, high, f, sd):
    """log P(low < y < high), by the smaller tail."""
    a, b = (low - f) / sd, (high - f) / sd
    flip = a + b > 0
    a, b = np.where(flip, -b, a), np.where(flip, -a, b)
    return norm.logcdf(b) + np.log1p(-np.exp(norm.logcdf(a) - norm.logcdf(b)))


def combined(f):
    return 0.4 + 0.1 * f


#: name -> (items, code, (y, censored, f) -> log density of each observation)
MODELS = {
    "M3": (
        "BLQ", COMBINED + m3(f"PHI(({LOQ} - IPRED)/W)"),
        lambda y, c, f: np.where(c, norm.logcdf(LOQ, f, combined(f)), norm.logpdf(y, f, combined(f))),
    ),
    "M4": (
        "BLQ", COMBINED + m3(f"(PHI(({LOQ} - IPRED)/W) - PHI(-IPRED/W))/(1 - PHI(-IPRED/W))", ylo="YLO = 0\n"),
        lambda y, c, f: np.where(c, log_tail(0.0, LOQ, f, combined(f)), norm.logpdf(y, f, combined(f)))
        - norm.logsf(0.0, f, combined(f)),
    ),
    "interval by CENS and LIMIT": (
        "CENS LIMIT", COMBINED + DENSITY,
        lambda y, c, f: np.where(c, log_tail(0.0, LOQ, f, combined(f)), norm.logpdf(y, f, combined(f))),
    ),
    "M3 with a random effect on the residual error": (
        "BLQ", "W = (THETA(2) + THETA(3)*IPRED)*EXP(ETA(2))\n" + m3(f"PHI(({LOQ} - IPRED)/W)"), None,
    ),
    "log scale, additive": (
        "CENS", "IPRED = LOG(IPRED)\nW = THETA(2) + 0*THETA(3)\n" + DENSITY, None,
    ),
}  # fmt: skip


def simulated(n_subjects: int = 12):
    """(N, 5) values and which of them are below the limit."""
    rng = np.random.default_rng(4)
    rate = 0.5 * np.exp(0.4 * rng.normal(size=(n_subjects, 1)))
    f = 10.0 * np.exp(-rate * TIMES)
    y = np.abs(f + combined(f) * rng.normal(size=f.shape))
    return np.where(y < LOQ, LOQ, y), y < LOQ


def write(folder, items: str, code: str, omega: str, y: np.ndarray, censored: np.ndarray):
    lines = []
    for i in range(len(y)):
        for t, value, below in zip(TIMES, y[i], censored[i], strict=True):
            more = {"BLQ": f"{below:d}", "CENS": f"{below:d}", "LIMIT": "0"}
            lines.append(f"{i + 1},{t},{value:.17g}," + ",".join(more[name] for name in items.split()))
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    (folder / "run.ctl").write_text(STREAM.format(items=items, code=code, omega=omega))
    run = prepare(folder / "run.ctl")
    form = latent_form(run.model, run.table)
    return make_problem(run.model, form, run.table, make_decoder(form, run.table))


def quadrature(y, censored, log_density):
    """(N,) -2LL over ETA(1) ~ N(0, 0.16) by the trapezoidal rule, exact to rounding for smooth integrands."""
    eta = np.linspace(-3.6, 3.6, 1201)
    f = 10.0 * np.exp(-0.5 * np.exp(eta)[:, None, None] * TIMES)
    terms = log_density(y, censored, f).sum(axis=-1) + norm.logpdf(eta, 0.0, 0.4)[:, None]
    return -2.0 * (logsumexp(terms, axis=0) + np.log(eta[1] - eta[0]))


@pytest.mark.parametrize("name", ["M3", "M4", "interval by CENS and LIMIT"])
def test_the_likelihood_of_censored_data_is_the_integral(name, tmp_path):
    items, code, log_density = MODELS[name]
    y, censored = simulated()
    assert 0.15 < censored.mean() < 0.6
    problem = write(tmp_path, items, code, "0.16", y, censored)
    here = at_estimates(problem, problem.initial, rng=np.random.default_rng(0))
    expected = quadrature(y, censored, log_density)
    found = gauss_hermite(here.joint, here.mode)
    assert found.minus_two_ll == pytest.approx(expected, abs=QUADRATURE)
    sampled = importance_likelihood(
        here.joint, here.modes.mean, here.modes.chol, n_draws=2048, rng=np.random.default_rng(1)
    )
    assert sampled.total == pytest.approx(expected.sum(), abs=4 * sampled.mc_se + 1e-3)
    assert laplace(here.joint, here.mode).minus_two_ll == pytest.approx(expected, abs=0.3)


def test_a_random_effect_on_the_residual_error_is_integrated_too(tmp_path):
    """Two random effects: a grid of 241 x 241 points."""
    items, code, _ = MODELS["M3 with a random effect on the residual error"]
    y, censored = simulated(6)
    problem = write(tmp_path, items, code, "0.16 0.25", y, censored)
    here = at_estimates(problem, problem.initial, rng=np.random.default_rng(0))
    eta, size = np.linspace(-2.6, 2.6, 241), np.linspace(-3.5, 3.5, 241)
    f = 10.0 * np.exp(-0.5 * np.exp(eta)[:, None, None, None] * TIMES)
    sd = combined(f) * np.exp(size)[:, None, None]
    terms = np.where(censored, norm.logcdf(LOQ, f, sd), norm.logpdf(y, f, sd)).sum(axis=-1)
    terms += norm.logpdf(eta, 0, 0.4)[:, None, None] + norm.logpdf(size, 0, 0.5)[:, None]
    expected = -2.0 * (logsumexp(terms, axis=(0, 1)) + np.log((eta[1] - eta[0]) * (size[1] - size[0])))
    assert gauss_hermite(here.joint, here.mode).minus_two_ll == pytest.approx(expected, abs=1e-3)


def test_limits_of_logarithms_are_logarithms(tmp_path):
    y, censored = simulated()
    problem = write(tmp_path, *MODELS["log scale, additive"][:2], "0.16", np.log(y), censored)
    here = at_estimates(problem, problem.initial, rng=np.random.default_rng(0))

    def log_density(value, below, f):
        return np.where(below, norm.logcdf(np.log(LOQ), np.log(f), 0.4), norm.logpdf(value, np.log(f), 0.4))

    expected = quadrature(np.log(y), censored, log_density)
    assert gauss_hermite(here.joint, here.mode).minus_two_ll == pytest.approx(expected, abs=QUADRATURE)


LINEAR = """$PROBLEM linear
$INPUT ID TIME DV DVID
$DATA data.csv IGNORE=@
$PRED
A = THETA(1) + ETA(1)
B = THETA(2) + ETA(2)
IF (DVID.EQ.1) THEN
  Y = A + B*TIME + EPS(1)
ELSE
  Y = B - A*TIME + 0.5*EPS(2)
ENDIF
$THETA 1 2
$OMEGA BLOCK(2) 0.5 0.2 0.3
$SIGMA 0.09 0.36
"""


def test_several_endpoints_of_a_linear_model_have_the_exact_gaussian_likelihood(tmp_path):
    rng = np.random.default_rng(2)
    n, t = 8, np.array([0.0, 0.5, 1.0, 2.0])
    design = np.vstack([np.column_stack([np.ones(4), t]), np.column_stack([-t, np.ones(4)])])
    omega = np.array([[0.5, 0.2], [0.2, 0.3]])
    covariance = design @ omega @ design.T + np.diag([0.09] * 4 + [0.25 * 0.36] * 4)
    y = rng.multivariate_normal(design @ [1.0, 2.0], covariance, size=n)
    order = np.argsort(np.tile(t, 2), kind="stable")  # the two endpoints alternate
    rows = [f"{i + 1},{np.tile(t, 2)[k]},{y[i, k]:.17g},{1 + k // 4}" for i in range(n) for k in order]
    (tmp_path / "data.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "run.ctl").write_text(LINEAR)
    run = prepare(tmp_path / "run.ctl")
    form = latent_form(run.model, run.table)
    problem = make_problem(run.model, form, run.table, make_decoder(form, run.table))
    expected = -2.0 * multivariate_normal.logpdf(y, design @ [1.0, 2.0], covariance)
    here = at_estimates(problem, problem.initial, rng=rng)
    assert linearised_minus_two_ll(here.joint, here.mode) == pytest.approx(expected, abs=1e-8)
    assert gauss_hermite(here.joint, here.mode).minus_two_ll == pytest.approx(expected, abs=1e-6)


def test_a_correlation_of_two_residual_errors_enters_the_variance(tmp_path):
    """Without random effects -2LL is a sum of normal densities with variance a^2 + 2 rho a b f + b^2 f^2."""
    code = (
        "IPRED = (THETA(1) + ETA(1))*TIME\nY = IPRED + EPS(1) + IPRED*EPS(2)\n$THETA (0,2)\n$OMEGA 0 FIX\n"
        "$SIGMA BLOCK(2) 0.09 0.02 0.04"
    )
    times, y = np.array([1.0, 2.0, 3.0]), np.array([1.5, 4.4, 6.9])
    (tmp_path / "data.csv").write_text("".join(f"1,{t},{v}\n" for t, v in zip(times, y, strict=True)))
    (tmp_path / "run.ctl").write_text(f"$PROBLEM p\n$INPUT ID TIME DV\n$DATA data.csv\n$PRED\n{code}\n")
    run = prepare(tmp_path / "run.ctl")
    form = latent_form(run.model, run.table)
    problem = make_problem(run.model, form, run.table, make_decoder(form, run.table))
    f = 2.0 * times
    expected = norm.logpdf(y, f, np.sqrt(0.09 + 2 * 0.02 * f + 0.04 * f**2)).sum()
    joint = problem.joint(problem.initial)
    assert joint.log_likelihood(joint.predict(joint.mean)).sum() == pytest.approx(expected, rel=1e-12)
