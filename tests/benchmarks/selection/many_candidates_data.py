"""One-compartment data with hundreds of covariates, a handful of them with effects.

Covariates come in families of ten with correlation 0.5 inside and none between (a latent factor each); four fifths are
log-normal (CV 30 %), one fifth binary (a latent variable cut at 0). Each true effect changes its parameter by about
0.8 omega per standard deviation of the covariate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FAMILY, CORRELATION = 10, 0.5
#: Of a true effect, in omega per standard deviation of the covariate.
EFFECT = 0.8
OMEGA_SD, SIGMA_SD, DOSE = 0.3, 0.1, 100.0
TYPICAL = {"KA": 1.2, "CL": 4.0, "V": 40.0}


@dataclass(frozen=True)
class Design:
    """truth: (parameter, number of the covariate, sign); every fifth covariate is binary."""

    n_subjects: int
    n_covariates: int
    parameters: tuple[str, ...]
    truth: tuple[tuple[str, int, int], ...]

    @property
    def continuous(self) -> tuple[str, ...]:
        return tuple(name(j) for j in range(self.n_covariates) if not is_binary(j))

    @property
    def binary(self) -> tuple[str, ...]:
        return tuple(name(j) for j in range(self.n_covariates) if is_binary(j))

    @property
    def effects(self) -> tuple[str, ...]:
        return tuple(f"{parameter}~{name(j)}" for parameter, j, _ in self.truth)


#: Name of the case -> design. Truths sit in different families, twice two in one family.
DESIGNS = {
    "100x200x3": Design(
        100,
        200,
        ("KA", "CL", "V"),
        (("KA", 12, 1), ("CL", 30, 1), ("CL", 33, 1), ("CL", 101, -1), ("V", 30, 1), ("V", 154, 1)),
    ),
    "200x500x2": Design(
        200,
        500,
        ("CL", "V"),
        (("CL", 7, 1), ("CL", 110, -1), ("CL", 342, 1), ("V", 7, 1), ("V", 344, -1), ("V", 481, 1)),
    ),
}


def name(j: int) -> str:
    return f"C{j + 1:03d}"


def is_binary(j: int) -> bool:
    return j % 5 == 4


def draw_covariates(rng: np.random.Generator, design: Design) -> np.ndarray:
    """(N, n_covariates)."""
    n, p = design.n_subjects, design.n_covariates
    factor = np.repeat(rng.standard_normal((n, -(-p // FAMILY))), FAMILY, axis=1)[:, :p]
    latent = np.sqrt(CORRELATION) * factor + np.sqrt(1 - CORRELATION) * rng.standard_normal((n, p))
    binary = np.array([is_binary(j) for j in range(p)])
    return np.where(binary, (latent > 0).astype(float), (50.0 * np.exp(0.3 * latent)).round(2))


def individual_parameters(rng: np.random.Generator, design: Design, covariates: np.ndarray) -> dict[str, np.ndarray]:
    log_p = {k: np.log(TYPICAL[k]) + OMEGA_SD * rng.standard_normal(design.n_subjects) for k in design.parameters}
    for parameter, j, sign in design.truth:
        x = covariates[:, j]
        x = 2 * x - 1 if is_binary(j) else np.log(x / 50.0) / 0.3
        log_p[parameter] += EFFECT * OMEGA_SD * sign * x
    return {k: np.exp(v) for k, v in log_p.items()}


def simulate(rng: np.random.Generator, design: Design) -> str:
    """Six samples after one dose: oral where KA is a parameter, else an intravenous bolus."""
    n = design.n_subjects
    covariates = draw_covariates(rng, design)
    p = individual_parameters(rng, design, covariates)
    times = (np.array([0.5, 1.5, 4.0, 8.0, 14.0, 24.0]) * rng.uniform(0.8, 1.2, (n, 6))).round(3)
    k = (p["CL"] / p["V"])[:, None]
    if "KA" in p:
        ka = p["KA"][:, None]
        f = DOSE * ka / (p["V"][:, None] * (ka - k)) * (np.exp(-k * times) - np.exp(-ka * times))
    else:
        f = DOSE / p["V"][:, None] * np.exp(-k * times)
    dv = f * (1 + SIGMA_SD * rng.standard_normal(f.shape))
    lines = [",".join(["ID", "TIME", "AMT", "DV", *map(name, range(design.n_covariates))])]
    for i in range(n):
        row = ",".join(f"{x:g}" for x in covariates[i])
        lines.append(f"{i + 1},0,{DOSE:g},.,{row}")
        lines += [f"{i + 1},{t:g},.,{y:.6g},{row}" for t, y in zip(times[i], dv[i], strict=True)]
    return "\n".join(lines) + "\n"


def control_stream(design: Design, data: str) -> str:
    oral = "KA" in design.parameters
    names = ("KA", "CL", "V") if oral else ("CL", "V")
    pk = "\n".join(f"  {p} = THETA({i})*EXP(ETA({i}))" for i, p in enumerate(names, start=1))
    columns = [name(j) for j in range(design.n_covariates)]
    wrapped = "\n  ".join(" ".join(columns[i : i + 20]) for i in range(0, len(columns), 20))
    thetas = "\n".join(f"  (0, {1.4 * TYPICAL[p]:g}) ; {p}" for p in names)
    omegas = "\n".join(f"  0.2 ; IIV_{p}" for p in names)
    return f"""$PROBLEM One compartment, {design.n_covariates} covariates
$INPUT ID TIME AMT DV
  {wrapped}
$DATA {data} IGNORE=@
$SUBROUTINES {"ADVAN2" if oral else "ADVAN1"} TRANS2
$PK
{pk}
  S{2 if oral else 1} = V
$ERROR
  Y = F + F*EPS(1)
$THETA
{thetas}
$OMEGA
{omegas}
$SIGMA
  0.02 ; RUV_PROP
$ESTIMATION METHOD=1 INTERACTION MAXEVAL=9999
"""
