"""Subjects of real and simulated data with log p(z, y) written out by hand: no decoder, no parser, no residual model.

z is the logarithm of the individual parameters, Gaussian around the logarithm of the typical values.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.pipeline import prepare
from tests.helpers.cases import FIXTURES, stage

LogDensity = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class KnownPosteriors:
    """`densities`: index of a subject -> its log p(z, y) at z (n, d), up to a constant."""

    name: str
    problem: Problem
    population: Population
    densities: dict[int, LogDensity]


def known_posteriors(name: str, folder: Path, subjects: tuple[int, ...]) -> KnownPosteriors:
    """One of "theophylline", "warfarin", "phenobarbital", "sparse"; skips where the data are absent."""
    make = {"theophylline": _theophylline, "warfarin": _warfarin, "phenobarbital": _phenobarbital, "sparse": _sparse}
    return make[name](folder, subjects)


def _assemble(
    name: str, stream: Path, thetas, omega, sigma, rows_of: Callable[[Problem, int], LogDensity], subjects
) -> KnownPosteriors:
    run = prepare(stream)
    form = latent_form(run.model, run.table)
    problem = make_problem(run.model, form, run.table, make_decoder(form, run.table))
    population = Population(thetas=np.array(thetas), omega=np.diag(omega), sigma=np.diag([sigma]))
    densities = {i: rows_of(problem, i) for i in subjects}
    return KnownPosteriors(name=name, problem=problem, population=population, densities=densities)


def read_subjects(path: Path, delimiter: str | None = ",") -> list[list[list[str]]]:
    """Rows of each subject, as text; the header is dropped."""
    text = path.read_text(encoding="utf-8-sig").splitlines()[1:]
    rows = [line.split() if delimiter is None else next(csv.reader([line])) for line in text if line.strip()]
    blocks: list[list[list[str]]] = []
    for row in rows:
        if not blocks or blocks[-1][0][0] != row[0]:
            blocks.append([])
        blocks[-1].append(row)
    return blocks


def density(
    predict: Callable[[np.ndarray], np.ndarray], y: np.ndarray, mean: np.ndarray, omega, sd: Callable
) -> LogDensity:
    """Gaussian residuals of standard deviation sd(f) and a diagonal Gaussian prior."""

    def log_density(z: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            f = predict(z)
            s = sd(f)
            value = -(0.5 * ((y - f) / s) ** 2 + np.log(s)).sum(axis=1) - 0.5 * ((z - mean) ** 2 / omega).sum(axis=1)
        return np.where(np.isfinite(value), value, -np.inf)

    return log_density


def bateman(t: np.ndarray, dose: float, ka, k, v) -> np.ndarray:
    """(n, T) concentrations after one oral dose."""
    return dose * ka / (v * (ka - k)) * (np.exp(-k * t) - np.exp(-ka * t)) * (t > 0)


def _theophylline(folder: Path, subjects: tuple[int, ...]) -> KnownPosteriors:
    stream, _ = stage("theophylline", folder)
    thetas, omega, a2 = [1.638, 0.08658, 31.95, 2.62, 0.5821], [0.2958, 0.02193, 0.0171], 0.5245
    return _oral(stream, "theophylline", thetas, omega, a2, subjects)


def _sparse(folder: Path, subjects: tuple[int, ...]) -> KnownPosteriors:
    """Theophylline's model with twice its standard deviations, 1 to 3 simulated observations per subject."""
    rng = np.random.default_rng(12)
    thetas, omega, a2 = np.array([1.638, 0.08658, 31.95, 2.62, 0.5821]), np.array([1.2, 0.09, 0.07]), 0.5
    lines = ["ID,TIME,AMT,DV,EVID,WT,SEX"]
    for i in range(max(subjects) + 1):
        weight = rng.uniform(50, 90)
        psi = _typical(thetas, weight) + np.sqrt(omega) * rng.standard_normal(3)
        times = np.sort(rng.choice([0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0], size=1 + i % 3, replace=False))
        y = bateman(times, 320.0, *np.exp(psi)) + np.sqrt(a2) * rng.standard_normal(len(times))
        lines.append(f"{i + 1},0,320,.,1,{weight:.6f},1")
        lines += [f"{i + 1},{t},0,{max(v, 0.01):.6f},0,{weight:.6f},1" for t, v in zip(times, y, strict=True)]
    (folder / "theophylline.csv").write_text("\n".join(lines) + "\n")
    stream = folder / "run_wt.ctl"
    stream.write_text((FIXTURES / "theophylline/run_wt.ctl").read_text())
    return _oral(stream, "sparse", thetas, omega, a2, subjects)


def _typical(thetas: np.ndarray, weight: float) -> np.ndarray:
    relative = np.log(weight / 69.5833333333)
    return np.log([thetas[0], thetas[1], thetas[2]]) + relative * np.array([thetas[3], 0.0, thetas[4]])


def _oral(stream: Path, name: str, thetas, omega, a2: float, subjects) -> KnownPosteriors:
    blocks = read_subjects(stream.parent / "theophylline.csv")

    def of(problem: Problem, i: int) -> LogDensity:
        rows = blocks[i]
        t, y = np.array([[float(r[1]), float(r[3])] for r in rows[1:]]).T
        dose, weight = float(rows[0][2]), float(rows[0][5])

        def predict(z: np.ndarray) -> np.ndarray:
            ka, k, v = np.exp(z).T[:, :, None]
            return bateman(t, dose, ka, k, v)

        mean = _typical(np.asarray(thetas), weight)
        return density(predict, y, mean, np.asarray(omega), lambda f: np.full_like(f, np.sqrt(a2)))

    return _assemble(name, stream, thetas, omega, a2, of, subjects)


def _warfarin(folder: Path, subjects: tuple[int, ...]) -> KnownPosteriors:
    """Monolix's estimates for w1: combined error a + b f, lag time."""
    stream, case = stage("warfarin", folder)
    thetas = np.array([0.7643, 1.4562, 7.9602, 0.13248, 0.2471, 0.0503])
    omega = np.array([0.6051, 1.0821, 0.2225, 0.2862]) ** 2
    blocks = read_subjects(folder / case.data.name)

    def of(problem: Problem, i: int) -> LogDensity:
        dose = next(float(r[2]) for r in blocks[i] if r[2] not in (".", "0", ""))
        seen = [r for r in blocks[i] if r[4] == "1"]
        t, y = np.array([[float(r[1]), float(r[3])] for r in seen]).T

        def predict(z: np.ndarray) -> np.ndarray:
            lag, ka, v, cl = np.exp(z).T[:, :, None]
            return bateman(t - lag, dose, ka, cl / v, v)

        return density(predict, y, np.log(thetas[:4]), omega, lambda f: thetas[4] + thetas[5] * f)

    return _assemble("warfarin", stream, thetas, omega, 1.0, of, subjects)


def _phenobarbital(folder: Path, subjects: tuple[int, ...]) -> KnownPosteriors:
    """NONMEM's estimates of pheno_real: weight on CL and V, a low Apgar score on V, many intravenous doses."""
    stream, case = stage("phenobarbital_real", folder)
    thetas, omega, b2 = np.array([4.69555e-3, 0.984258, 0.15892]), np.array([0.0293508, 0.027906]), 0.013241
    blocks = read_subjects(case.data, None)

    def of(problem: Problem, i: int) -> LogDensity:
        numbers = np.array([[float(x) for x in r[:6]] for r in blocks[i]])
        dosed = numbers[:, 2] > 0
        doses, seen = numbers[dosed], numbers[~dosed]
        weight, apgar = numbers[0, 3], numbers[0, 4]
        mean = np.log([thetas[0] * weight, thetas[1] * weight * (1.0 + thetas[2] * (apgar < 5))])

        def predict(z: np.ndarray) -> np.ndarray:
            cl, v = np.exp(z).T[:, :, None, None]
            elapsed = seen[:, None, 1] - doses[None, :, 1]
            past = elapsed >= 0
            return (past * doses[:, 2] / v * np.exp(-cl / v * np.where(past, elapsed, 0.0))).sum(axis=2)

        return density(predict, seen[:, 5], mean, omega, lambda f: np.sqrt(b2) * f)

    return _assemble("phenobarbital", stream, thetas, omega, b2, of, subjects)
