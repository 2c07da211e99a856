"""Data of the published 16-scenario factorial, simulated again.

Two compartments, first-order absorption, one dose of 100 mg, six samples per subject. Published: CL 0.6 L/h, Q 1.8,
Vc 20 L, Vp 80, omega^2 0.1 on CL and Vc with covariance 0.02, proportional error of SD 0.1, the five covariates and
the four effects. Chosen here: KA 1/h (fixed in the model that is fitted), sampling times, covariate distributions.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

DOSE, KA, CL, Q, VC, VP = 100.0, 1.0, 0.6, 1.8, 20.0, 80.0
OMEGA = np.array([[0.1, 0.02], [0.02, 0.1]])
SIGMA_SD = 0.1
#: Around these times (h), each up to 20 % early or late: absorption, distribution (half-life 5 h), terminal (141 h).
NOMINAL_TIMES = np.array([1.0, 4.0, 12.0, 36.0, 120.0, 336.0])

CONTINUOUS, CATEGORICAL = ("WT", "CRCL", "BMI"), ("SEX", "RACE")
COVARIATES = (*CONTINUOUS, *CATEGORICAL)
PARAMETERS = ("CL", "V2")

#: Effect -> exponent of (covariate / typical value), or logarithm of the ratio.
TRUE_EFFECTS = {"CL~WT": 0.75, "CL~CRCL": 0.5, "V2~WT": 1.0, "V2~SEX": float(np.log(1.5))}
TYPICAL = {"WT": 72.0, "CRCL": 95.0}

#: Every subset of the four effects.
SCENARIOS = tuple(
    tuple(e for e, on in zip(TRUE_EFFECTS, pattern, strict=True) if on)
    for pattern in itertools.product((False, True), repeat=4)
)


@dataclass(frozen=True)
class Subjects:
    """covariates name -> (N,); log_parameters (N, 2) of CL and Vc."""

    covariates: dict[str, np.ndarray]
    log_parameters: np.ndarray


def draw_covariates(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Adults. SEX 1 (female) in half of them; height 176 / 163 cm, SD 7; BMI log-normal, median 25.5, CV 16 %, free
    of sex; WT = BMI height^2 (median 79 / 68 kg, CV 18 %, r(log WT, log BMI) about 0.8); CRCL log-normal, median 95
    mL/min at 72 kg, CV 25 % and r = 0.4 with log WT (Cockcroft and Gault's formula has weight in it); RACE 1, 2, 3 in
    70, 20, 10 %, free of everything."""
    sex = (rng.random(n) < 0.5).astype(float)
    height = np.clip(rng.normal(np.where(sex == 1, 1.63, 1.76), 0.07), 1.45, 2.0)
    bmi = np.clip(25.5 * np.exp(0.16 * rng.standard_normal(n)), 17.0, 45.0)
    weight = bmi * height**2
    slope = 0.4 * 0.25 / 0.2
    log_crcl = slope * np.log(weight / 72.0) + 0.25 * np.sqrt(1 - 0.4**2) * rng.standard_normal(n)
    crcl = np.clip(95.0 * np.exp(log_crcl), 30.0, 200.0)
    race = 1.0 + np.searchsorted([0.7, 0.9], rng.random(n))
    return {"WT": weight.round(1), "CRCL": crcl.round(1), "BMI": bmi.round(2), "SEX": sex, "RACE": race}


def draw_subjects(rng: np.random.Generator, n: int, effects: tuple[str, ...]) -> Subjects:
    """Individual CL and Vc under the true effects named."""
    covariates = draw_covariates(rng, n)
    z = np.log([CL, VC]) + rng.multivariate_normal(np.zeros(2), OMEGA, n)
    for effect in effects:
        parameter, covariate = effect.split("~")
        x = covariates[covariate]
        x = np.log(x / TYPICAL[covariate]) if covariate in TYPICAL else x
        z[:, PARAMETERS.index(parameter)] += TRUE_EFFECTS[effect] * x
    return Subjects(covariates, z)


def concentration(times: np.ndarray, cl: np.ndarray, vc: np.ndarray) -> np.ndarray:
    """(N, n_times) after one oral dose at 0, by the three exponentials of the linear system; times (N, n_times)."""
    k10, k12, k21 = cl / vc, Q / vc, np.full_like(cl, Q / VP)
    total = k10 + k12 + k21
    alpha = 0.5 * (total + np.sqrt(total**2 - 4.0 * k10 * k21))
    beta = k10 * k21 / alpha

    def term(rate: np.ndarray, other: np.ndarray, third: np.ndarray) -> np.ndarray:
        return ((k21 - rate) / ((other - rate) * (third - rate)))[:, None] * np.exp(-rate[:, None] * times)

    ka = np.full_like(cl, KA)
    return (DOSE * KA / vc)[:, None] * (term(ka, alpha, beta) + term(alpha, ka, beta) + term(beta, ka, alpha))


def simulate(rng: np.random.Generator, n: int, effects: tuple[str, ...]) -> str:
    """The data file: a dose record and six observations per subject."""
    subjects = draw_subjects(rng, n, effects)
    times = (NOMINAL_TIMES * rng.uniform(0.8, 1.2, (n, len(NOMINAL_TIMES)))).round(3)
    f = concentration(times, *np.exp(subjects.log_parameters.T))
    dv = f * (1.0 + SIGMA_SD * rng.standard_normal(f.shape))
    lines = [",".join(("ID", "TIME", "AMT", "DV", *COVARIATES))]
    for i in range(n):
        covariates = ",".join(f"{subjects.covariates[c][i]:g}" for c in COVARIATES)
        lines.append(f"{i + 1},0,{DOSE:g},.,{covariates}")
        lines += [f"{i + 1},{t:g},.,{y:.6g},{covariates}" for t, y in zip(times[i], dv[i], strict=True)]
    return "\n".join(lines) + "\n"


def control_stream(data: str, *, omega: str) -> str:
    """The model without covariates; `omega` is "block" or "diagonal"."""
    blocks = {
        "block": "$OMEGA BLOCK(2)\n  0.2 ; IIV_CL\n  0.01 0.2 ; IIV_V2",
        "diagonal": "$OMEGA\n  0.2 ; IIV_CL\n  0.2 ; IIV_V2",
    }
    return f"""$PROBLEM Two compartments, oral: factorial of covariate effects
$INPUT ID TIME AMT DV {" ".join(COVARIATES)}
$DATA {data} IGNORE=@
$SUBROUTINES ADVAN4 TRANS4
$PK
  CL = THETA(1)*EXP(ETA(1))
  V2 = THETA(2)*EXP(ETA(2))
  Q  = THETA(3)
  V3 = THETA(4)
  KA = THETA(5)
  S2 = V2
$ERROR
  Y = F + F*EPS(1)
$THETA
  (0, 1)    ; CL (L/h)
  (0, 30)   ; V2 (L)
  (0, 2.5)  ; Q (L/h)
  (0, 60)   ; V3 (L)
  {KA:g} FIX    ; KA (1/h)
{blocks[omega]}
$SIGMA
  0.02 ; RUV_PROP
$ESTIMATION METHOD=1 INTERACTION MAXEVAL=9999
"""
