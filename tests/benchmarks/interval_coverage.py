"""Do 95 % confidence intervals cover the truth in 95 % of data sets?

    python -m tests.benchmarks.interval_coverage --sets 200 --out coverage.csv
    python -m tests.benchmarks.interval_coverage --report coverage.csv

100 subjects, one compartment with an intravenous dose, five observations each; log-normal CL and V with a correlation,
weight on CL, proportional error. Every data set is simulated, fitted from the truth, and the covariance of the
estimates computed by all three methods. `--out` gets a line per parameter, method and data set as it is finished; a
run that is repeated goes on where the file ends. `--subjects` other than 100 shows where asymptotics end; `--profile`
adds profile likelihood intervals of THETA(1), OMEGA(1,1) and SIGMA(1,1).
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nlmevae.estimation.population import Population
    from nlmevae.estimation.problem import Problem

DOSE, TIMES = 100.0, np.array([0.5, 2.0, 5.0, 10.0, 20.0])
TRUTH = {
    "THETA(1)": 5.0, "THETA(2)": 50.0, "THETA(3)": 0.75,
    "SIGMA(1,1)": 0.0225, "OMEGA(1,1)": 0.09, "OMEGA(2,1)": 0.018, "OMEGA(2,2)": 0.04,
}  # fmt: skip
Z = 1.959963984540054
METHODS = ("observed", "cross-product", "sandwich")
PROFILED = (("THETA(1)", "theta", 5.0), ("OMEGA(1,1)", "omega", 0.09), ("SIGMA(1,1)", "sigma", 0.0225))
FIELDS = ("set", "method", "parameter", "value", "error", "low", "high", "symmetric_low", "symmetric_high")

CONTROL_STREAM = """$PROBLEM Coverage of confidence intervals
$INPUT ID TIME AMT DV WT
$DATA coverage.csv IGNORE=@
$SUBROUTINES ADVAN1 TRANS2
$PK
  CL = THETA(1)*(WT/70)**THETA(3)*EXP(ETA(1))
  V  = THETA(2)*EXP(ETA(2))
  S1 = V
$ERROR
  Y = F*(1 + EPS(1))
$THETA
  (0, 5)  ; CL
  (0, 50) ; V
  0.75    ; WT_ON_CL
$OMEGA BLOCK(2)
  0.09
  0.018 0.04
$SIGMA
  0.0225
$ESTIMATION METHOD=IMP
"""


def simulate(rng: np.random.Generator, n_subjects: int = 100) -> str:
    """CSV of one data set."""
    weight = np.clip(70 * np.exp(0.25 * rng.standard_normal(n_subjects)), 35, 140)
    eta = rng.multivariate_normal(np.zeros(2), [[0.09, 0.018], [0.018, 0.04]], n_subjects)
    cl, v = 5.0 * (weight / 70) ** 0.75 * np.exp(eta[:, 0]), 50.0 * np.exp(eta[:, 1])
    f = (DOSE / v)[:, None] * np.exp(-(cl / v)[:, None] * TIMES)
    y = f * (1 + 0.15 * rng.standard_normal(f.shape))
    lines = ["ID,TIME,AMT,DV,WT"]
    for i in range(n_subjects):
        lines.append(f"{i + 1},0,{DOSE},.,{weight[i]:.3f}")
        lines += [f"{i + 1},{t},.,{value:.6g},{weight[i]:.3f}" for t, value in zip(TIMES, y[i], strict=True)]
    return "\n".join(lines) + "\n"


def intervals(number: int, folder: Path, n_subjects: int, *, profiles: bool) -> list[dict[str, object]]:
    """Fit data set `number`; a row per method and parameter, none if the fit did not converge."""
    from nlmevae.codegen.latent_form import latent_form
    from nlmevae.decoder.make import make_decoder
    from nlmevae.estimation.information import Posteriors, information_at
    from nlmevae.estimation.polish import polish
    from nlmevae.estimation.problem import make_problem
    from nlmevae.estimation.settings import FitSettings
    from nlmevae.estimation.uncertainty import uncertainty
    from nlmevae.pipeline import prepare

    (folder / "coverage.csv").write_text(simulate(np.random.default_rng([number, 7]), n_subjects), encoding="ascii")
    stream = folder / "coverage.ctl"
    stream.write_text(CONTROL_STREAM, encoding="ascii")
    run = prepare(stream)
    form = latent_form(run.model, run.table)
    decoder = make_decoder(form, run.table, backend="auto", rtol=None, threads=1)
    problem = make_problem(run.model, form, run.table, decoder)
    settings = FitSettings(its_iterations=2, n_alternatives=0)
    found = polish(problem, problem.initial, None, settings, np.random.default_rng([number, 1]))
    if not found.status.completed:
        return []
    posteriors = Posteriors(mode=found.modes.mean, mean=found.weighted.mean, cov=found.weighted.cov)
    information = information_at(
        problem, found.population, posteriors, n_draws=512, rng=np.random.default_rng([number, 3])
    )
    rows = []
    for method in METHODS:
        errors = uncertainty(problem, found.population, information, method).standard_errors
        rows += rows_of(number, method, found.population.vector(), errors)
    return rows + (profile_rows(number, problem, found.population) if profiles else [])


def profile_rows(number: int, problem: Problem, population: Population) -> list[dict[str, object]]:
    """Profile likelihood intervals; `error` is not defined."""
    from nlmevae.estimation.profile_likelihood import profile_parameter, profile_targets
    from nlmevae.results.fit_result import Estimate

    rows = []
    for name, kind, at in PROFILED:
        estimate = Estimate(
            name=name, label=name, kind=kind, row=1, column=1, init=at, value=at, fixed=False, lower=0.0
        )
        (target,) = profile_targets(problem, population, [estimate])
        rng = np.random.default_rng([number, 4])
        found = profile_parameter(problem, population, target, level=0.95, n_draws=256, rng=rng)
        ends = {"low": found.low, "high": found.high, "symmetric_low": found.low, "symmetric_high": found.high}
        named = {"set": number, "method": "profile", "parameter": name, "value": found.estimate, "error": np.nan}
        rows.append(named | ends)
    return rows


def rows_of(number: int, method: str, values: np.ndarray, errors: np.ndarray) -> list[dict[str, object]]:
    """Intervals as nlmevae reports them: on the logarithmic scale of all that is positive, and symmetric ones."""
    rows = []
    for name, value, error in zip(TRUTH, values, errors, strict=True):
        low, high = value - Z * error, value + Z * error
        positive = name not in ("THETA(3)", "OMEGA(2,1)")
        factor = np.exp(Z * error / value) if positive else 1.0
        rows.append(
            {
                "set": number,
                "method": method,
                "parameter": name,
                "value": value,
                "error": error,
                "low": value / factor if positive else low,
                "high": value * factor if positive else high,
                "symmetric_low": low,
                "symmetric_high": high,
            }
        )
    return rows


def run_sets(n_sets: int, out: Path, n_subjects: int, *, profiles: bool) -> None:
    """All data sets that `out` does not have yet."""
    done = {int(row["set"]) for row in read_rows(out)}
    with out.open("a", newline="", encoding="ascii") as stream, tempfile.TemporaryDirectory() as folder:
        writer = csv.DictWriter(stream, FIELDS)
        if not done:
            writer.writeheader()
        for number in (k for k in range(n_sets) if k not in done):
            began = time.perf_counter()
            rows = intervals(number, Path(folder), n_subjects, profiles=profiles)
            writer.writerows(rows)
            stream.flush()
            ended = "" if rows else "did not converge, "
            print(f"{number}: {ended}{time.perf_counter() - began:.1f} s", flush=True)


def read_rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="ascii") as stream:
        return list(csv.DictReader(stream))


def report(rows: list[dict[str, str]]) -> str:
    """Per method and parameter: coverage of both intervals, mean standard error over standard deviation of the
    estimates, mean bias in such standard deviations."""
    groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        groups[row["method"], row["parameter"]].append(row)
    lines = [f"{'method':<14} {'parameter':<11} {'sets':>4} {'CI':>6} {'symmetric':>9} {'SE/SD':>6} {'bias/SD':>7}"]
    for (method, name), found in groups.items():
        numbers = {field: np.array([float(row[field]) for row in found]) for field in FIELDS[3:]}
        truth, spread = TRUTH[name], numbers["value"].std(ddof=1)
        inside = [
            100 * np.mean((numbers[low] <= truth) & (truth <= numbers[high]))
            for low, high in (("low", "high"), ("symmetric_low", "symmetric_high"))
        ]
        ratio, bias = numbers["error"].mean() / spread, (numbers["value"].mean() - truth) / spread
        lines.append(
            f"{method:<14} {name:<11} {len(found):>4} {inside[0]:>6.1f} {inside[1]:>9.1f} {ratio:>6.3f} {bias:>7.2f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("coverage.csv"))
    parser.add_argument("--subjects", type=int, default=100)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--report", type=Path)
    arguments = parser.parse_args()
    if arguments.sets:
        run_sets(arguments.sets, arguments.out, arguments.subjects, profiles=arguments.profile)
    print(report(read_rows(arguments.report or arguments.out)))
