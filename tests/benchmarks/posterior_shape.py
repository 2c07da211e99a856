"""Does the shape of the posteriors bias omega and sigma?

    python -m tests.benchmarks.posterior_shape [--design rich|sparse|two_windows] [--sets 30]

120 subjects, one compartment with first-order absorption, log-normal KA, V, CL, proportional error 0.1. Every data
set is fitted twice, by the default method and by the VAE alone (Gaussian posteriors). Prints the mean error of every
omega and of sigma over the data sets, with its standard error. The third line of a data set is what its maximum
likelihood estimates themselves are off, found by a generic optimiser on a likelihood computed here: no method that
maximises the likelihood can do better, and the mean difference of the default method from it is its own error.

    rich         eight observations per subject
    sparse       two per subject, at times drawn over the whole day: every parameter is seen in some subjects
    two_windows  two per subject, one in 0.25-4 h and one in 6-24 h: hardly tells KA's variability from the residual
                 error, so that the maximum likelihood estimates themselves spread; omega of CL must be right
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import norm

if TYPE_CHECKING:
    from nlmevae.results.fit_result import FitResult

N_SUBJECTS, DOSE = 120, 100.0
TYPICAL, OMEGAS, SIGMA = np.array([1.5, 10.0, 1.0]), np.array([0.5, 0.3, 0.3]), 0.1
NAMES = ("omega KA", "omega V", "omega CL", "sigma")
RICH_TIMES = np.array([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0])

CONTROL_STREAM = """$PROBLEM Omega and sigma with few observations per subject
$INPUT ID TIME AMT DV
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN2 TRANS2
$PK
  KA = THETA(1)*EXP(ETA(1))
  V  = THETA(2)*EXP(ETA(2))
  CL = THETA(3)*EXP(ETA(3))
  S2 = V
$ERROR
  Y = F*(1 + EPS(1))
$THETA
  (0, 1) ; KA
  (0, 8) ; V
  (0, 1.3) ; CL
$OMEGA
  0.1 ; IIV_KA
  0.1 ; IIV_V
  0.1 ; IIV_CL
$SIGMA
  0.04
$ESTIMATION METHOD=1 INTERACTION
"""


def observation_times(design: str, rng: np.random.Generator) -> np.ndarray:
    """(N, n) hours."""
    if design == "rich":
        return np.tile(RICH_TIMES, (N_SUBJECTS, 1))
    if design == "two_windows":
        return np.column_stack([rng.uniform(0.25, 4.0, N_SUBJECTS), rng.uniform(6.0, 24.0, N_SUBJECTS)])
    return np.sort(np.exp(rng.uniform(np.log(0.25), np.log(24.0), (N_SUBJECTS, 2))), axis=1)


def simulate(design: str, rng: np.random.Generator) -> str:
    """CSV: a dose at 0, then the observations."""
    ka, v, cl = (TYPICAL * np.exp(OMEGAS * rng.standard_normal((N_SUBJECTS, 3)))).T
    times = observation_times(design, rng)
    k = cl / v
    decay = np.exp(-k[:, None] * times) - np.exp(-ka[:, None] * times)
    concentration = (DOSE * ka / (v * (ka - k)))[:, None] * decay
    observed = concentration * (1.0 + SIGMA * rng.standard_normal(concentration.shape))
    lines = ["ID,TIME,AMT,DV"]
    for i in range(N_SUBJECTS):
        lines.append(f"{i + 1},0,{DOSE},.")
        lines += [f"{i + 1},{t:.4f},.,{y:.6g}" for t, y in zip(times[i], observed[i], strict=True)]
    return "\n".join(lines) + "\n"


def concentrations(z: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(..., T) of log KA, log V, log CL (..., 3)."""
    ka, v, cl = (np.exp(z[..., k, None]) for k in range(3))
    k = cl / v
    return DOSE * ka / (v * (ka - k)) * (np.exp(-k * times) - np.exp(-ka * times))


def exact_maximum(stream: Path, start: FitResult, n_draws: int = 4000) -> np.ndarray:
    """(4,) omegas and sigma of the maximum likelihood: importance sampling on draws that stay where they are, so that
    the likelihood is a smooth function, and scipy's optimiser."""
    lines = np.genfromtxt(stream.with_name("data.csv"), delimiter=",", skip_header=1)
    observed = lines[np.isnan(lines[:, 2])]
    times, y = (observed[:, c].reshape(N_SUBJECTS, -1) for c in (1, 3))
    people, rng = start.individuals, np.random.default_rng(11)
    mean = np.log(start.thetas) + people.eta_mean
    prior = np.log(start.thetas), 1.5 * np.sqrt(np.diag(start.omega))
    chol = np.linalg.cholesky(1.5 * people.eta_cov)
    noise = rng.standard_normal((n_draws, N_SUBJECTS, 3))
    z = mean + np.einsum("nij,knj->kni", chol, noise)
    wide = rng.random((n_draws, N_SUBJECTS)) < 0.2
    z[wide] = prior[0] + prior[1] * noise[wide]
    near = multivariate_normal_log_density(z, mean, chol)
    far = norm.logpdf(z, *prior).sum(axis=-1)
    log_q = np.logaddexp(near + np.log(0.8), far + np.log(0.2))
    f = concentrations(z, times)

    def minus_two_ll(x: np.ndarray) -> float:
        omega, sigma = np.exp(x[3:6]), np.exp(x[6])
        log_p = norm.logpdf(y, f, sigma * f).sum(axis=-1) + norm.logpdf(z, x[:3], omega).sum(axis=-1)
        return -2 * float(logsumexp(log_p - log_q, axis=0).sum())

    at = np.concatenate([np.log(start.thetas), np.log(np.sqrt(np.append(np.diag(start.omega), start.sigma)))])
    found = minimize(minus_two_ll, at, method="L-BFGS-B", options={"ftol": 1e-10})
    return np.exp(found.x[3:])


def multivariate_normal_log_density(z: np.ndarray, mean: np.ndarray, chol: np.ndarray) -> np.ndarray:
    """(K, N)."""
    white = np.einsum("nij,knj->kni", np.linalg.inv(chol), z - mean)
    log_det = np.log(np.diagonal(chol, axis1=1, axis2=2)).sum(axis=1)
    return norm.logpdf(white).sum(axis=-1) - log_det


def errors_of(design: str, data_set: int) -> np.ndarray:
    """(3, 4) relative errors of omegas and sigma: by the default method, by the VAE alone, of the maximum itself."""
    import nlmevae

    found = []
    with tempfile.TemporaryDirectory() as folder:
        stream = Path(folder) / "run1.ctl"
        stream.write_text(CONTROL_STREAM, encoding="ascii")
        (Path(folder) / "data.csv").write_text(simulate(design, np.random.default_rng(data_set)), encoding="ascii")
        for method in ("vae+polish", "vae"):
            began = time.perf_counter()
            fit = nlmevae.fit(stream, method=method)
            ratio = np.sqrt(np.append(np.diag(fit.omega), fit.sigma[0, 0])) / np.append(OMEGAS, SIGMA)
            found.append(ratio - 1.0)
            shown = "  ".join(f"{name} {e:+7.1%}" for name, e in zip(NAMES, found[-1], strict=True))
            seconds = time.perf_counter() - began
            print(
                f"{data_set:3d} {method:10s} {shown}  -2LL {fit.minus_two_ll:9.2f} {fit.status.name} {seconds:.1f} s",
                flush=True,
            )
            if method == "vae+polish":
                best = exact_maximum(stream, fit) / np.append(OMEGAS, SIGMA) - 1.0
        shown = "  ".join(f"{name} {e:+7.1%}" for name, e in zip(NAMES, best, strict=True))
        print(f"{data_set:3d} maximum    {shown}", flush=True)
    return np.array([*found, best])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--design", choices=("rich", "sparse", "two_windows"), default="sparse")
    parser.add_argument("--sets", type=int, default=30)
    options = parser.parse_args()
    errors = np.array([errors_of(options.design, k) for k in range(options.sets)])
    rows = dict(zip(("vae+polish", "vae", "maximum"), np.moveaxis(errors, 1, 0), strict=True))
    rows["difference"] = rows["vae+polish"] - rows["maximum"]  # of the default method from the maximum
    for method, own in rows.items():
        spread = own.std(axis=0, ddof=1) / np.sqrt(len(own)) if len(own) > 1 else np.full(4, np.nan)
        shown = "  ".join(
            f"{name} {mean:+.1%} +- {se:.1%}" for name, mean, se in zip(NAMES, own.mean(axis=0), spread, strict=True)
        )
        print(f"mean {method:10s} {shown}")
