"""Neonatal weight with known covariate effects: Rohleff et al. (2025), equation 15.

The typical values, standard deviations, effects and covariate distributions are the maximum likelihood estimates and
the summary of the authors' public set (189 neonates), rounded; omega of T50 is 0.1 (0.03 there). Effects: sex and
gestational age on W0, gestational age and parity on KIN, maternal age on KOUT, the best model known for that set.
"""

from __future__ import annotations

import numpy as np

TYPICAL = {"W0": 3370.0, "KIN": 99.0, "TLAG": 1.27, "KOUT": 0.067, "T50": 1.9}
SDS = {"W0": 0.127, "KIN": 0.21, "TLAG": 0.23, "KOUT": 0.077, "T50": 0.1}
SIGMA_SD = 29.0
CENTRE = {"GA": 39.7, "MAGE": 31.0}
TRUE_EFFECTS = {"W0~SEX": 0.092, "W0~GA": 1.9, "KIN~GA": 3.4, "KIN~PARA": 0.16, "KOUT~MAGE": 0.28}
CONTINUOUS, CATEGORICAL = ("GA", "MAGE"), ("SEX", "DELM", "PARA")
COVARIATES = ("SEX", "DELM", "GA", "MAGE", "PARA")


def draw_covariates(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Gestational age is half a week more in vaginal births (r = 0.2); the others are free of each other."""
    sex, delm, para = ((rng.random(n) < q).astype(float) for q in (0.48, 0.76, 0.49))
    ga = np.clip(39.25 + 0.58 * delm + 1.21 * rng.standard_normal(n), 36.0, 43.0)
    mage = np.clip(31.0 + 5.4 * rng.standard_normal(n), 17.0, 47.0)
    return {"SEX": sex, "DELM": delm, "GA": ga.round(2), "MAGE": mage.round(1), "PARA": para}


def weight(times: np.ndarray, p: dict[str, np.ndarray], *, steps: int = 40) -> np.ndarray:
    """(N, n_times) of equation 15 at increasing times (N, n_times) from 0, by fourth-order Runge-Kutta with so many
    steps between observations (a day apart: relative error under 1e-8)."""

    def slope(t: np.ndarray, w: np.ndarray) -> np.ndarray:
        production = p["KIN"] / (1 + np.exp(-2 * (t - p["TLAG"])))
        return production - p["KOUT"] * (1 - t / (p["T50"] + t)) * w

    state, result = p["W0"].copy(), np.empty_like(times)
    now = np.zeros(len(times))
    for k in range(times.shape[1]):
        h = (times[:, k] - now) / steps
        for _ in range(steps):
            a = slope(now, state)
            b = slope(now + h / 2, state + h / 2 * a)
            c = slope(now + h / 2, state + h / 2 * b)
            d = slope(now + h, state + h * c)
            state, now = state + h / 6 * (a + 2 * b + 2 * c + d), now + h
        result[:, k] = state
    return result


def simulate(rng: np.random.Generator, n: int) -> str:
    """The data file: birth weight, then one weighing a day from a random hour of the first day; five to eight."""
    covariates = draw_covariates(rng, n)
    log_p = {k: np.log(v) + SDS[k] * rng.standard_normal(n) for k, v in TYPICAL.items()}
    for effect, beta in TRUE_EFFECTS.items():
        parameter, covariate = effect.split("~")
        x = covariates[covariate]
        log_p[parameter] += beta * (np.log(x / CENTRE[covariate]) if covariate in CENTRE else x)
    times = np.column_stack([np.zeros(n), rng.uniform(0.3, 1.0, n)[:, None] + np.arange(7)]).round(3)
    f = weight(times, {k: np.exp(v) for k, v in log_p.items()})
    dv = f + SIGMA_SD * rng.standard_normal(f.shape)
    n_obs = rng.integers(5, 9, n)
    lines = [",".join(("ID", "TIME", "DV", *COVARIATES))]
    for i in range(n):
        row = ",".join(f"{covariates[c][i]:g}" for c in COVARIATES)
        kept = n_obs[i]
        lines += [f"{i + 1},{t:g},{y:.6g},{row}" for t, y in zip(times[i, :kept], dv[i, :kept], strict=True)]
    return "\n".join(lines) + "\n"


def control_stream(data: str) -> str:
    """Without covariates; columns as here and in the public set."""
    return f"""$PROBLEM Weight of neonates in their first week (Rohleff et al. 2025, equation 15)
$INPUT ID TIME DV {" ".join(COVARIATES)}
$DATA {data} IGNORE=@
$SUBROUTINES ADVAN6 TOL=9
$MODEL
  COMP=(WEIGHT, DEFOBS)
$PK
  W0   = THETA(1)*EXP(ETA(1))
  KIN  = THETA(2)*EXP(ETA(2))
  TLAG = THETA(3)*EXP(ETA(3))
  KOUT = THETA(4)*EXP(ETA(4))
  T50  = THETA(5)*EXP(ETA(5))
  A_0(1) = W0
$DES
  KPROD = KIN/(1 + EXP(-2*(T - TLAG)))
  KEL = KOUT*(1 - T/(T50 + T))
  DADT(1) = KPROD - KEL*A(1)
$ERROR
  Y = F + EPS(1)
$THETA
  (0, 3200)  ; W0 (g)
  (0, 60)    ; KIN (g/day)
  (0, 1.5)   ; TLAG (day)
  (0, 0.04)  ; KOUT (1/day)
  (0, 1.5)   ; T50 (day)
$OMEGA
  0.04       ; IIV_W0
  0.1        ; IIV_KIN
  0.1        ; IIV_TLAG
  0.1        ; IIV_KOUT
  0.1        ; IIV_T50
$SIGMA
  1000       ; RUV_ADD
$ESTIMATION METHOD=1 INTERACTION MAXEVAL=9999
"""
