"""Data sets of any size for the benchmark suite: the subjects of a fixture again and again, or made-up designs.

Observations are simulated from the model at the values its text starts from, so that a fit of it is an ordinary one.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.benchmarks.measurement import ROOT

FIXTURES = ROOT / "fixtures"
DOSE = 100.0
#: name -> typical value, of a three-compartment model with absorption; the first so many have random effects.
THREE_COMPARTMENTS = {"CL": 4.0, "V2": 25.0, "KA": 0.8, "Q3": 6.0, "V3": 50.0, "Q4": 1.0, "V4": 80.0}
TWO_COMPARTMENTS = {"CL": 4.0, "V2": 25.0, "Q": 6.0, "V3": 50.0, "KA": 0.8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """One dose at 0, observations at random times within two days."""

    n_subjects: int
    n_observations: int = 10
    n_random: int = 3
    n_covariates: int = 0


def repeated(stream: str, n_subjects: int, folder: Path, *, seed: int = 1) -> Path:
    """A control stream of the fixtures with `n_subjects` subjects that have its subjects' designs in turn."""
    source = FIXTURES / stream
    text = source.read_text(encoding="utf-8")
    name = next(line.split()[1] for line in text.splitlines() if line.startswith("$DATA"))
    with (source.parent / name).open(encoding="utf-8") as file:
        header, *rows = list(csv.reader(file))
    subjects: dict[str, list[list[str]]] = {}
    for row in rows:
        subjects.setdefault(row[0], []).append(row[1:])
    designs = list(subjects.values())
    lines = [header]
    for i in range(n_subjects):
        lines += [[str(i + 1), *row] for row in designs[i % len(designs)]]
    return _written(folder, text, name, lines, seed)


def made_up(design: Design, folder: Path, *, seed: int = 1) -> Path:
    """Three compartments in closed form with so many random effects, and covariates on CL."""
    names = [f"C{k + 1}" for k in range(design.n_covariates)]
    values = _typical(THREE_COMPARTMENTS)
    effects = "".join(f" + THETA({len(values) + k + 1})*{name}" for k, name in enumerate(names))
    code = []
    for k, parameter in enumerate(THREE_COMPARTMENTS):
        random = f"*EXP(ETA({k + 1}))" if k < design.n_random else ""
        moved = f"*EXP({effects[3:]})" if effects and parameter == "CL" else ""
        code.append(f"  {parameter} = THETA({k + 1}){moved}{random}")
    thetas = [*values, *("0.1" for _ in names)]
    # parameters without a random effect are known: none of ten observations says much about the third compartment
    thetas = [f"{t} FIX" if design.n_random <= k < len(values) else t for k, t in enumerate(thetas)]
    text = _stream("$SUBROUTINES ADVAN12 TRANS4", code, thetas, design.n_random, names)
    return _written(folder, text, "made_up.csv", _rows(design, names, seed), seed)


def two_compartments_with_covariates(n_subjects: int, folder: Path, *, seed: int = 1) -> Path:
    """As differential equations, without covariates; the data have weight on CL and on V2, and age on nothing."""
    columns = ["WT", "AGE"]
    design = Design(n_subjects=n_subjects, n_random=len(TWO_COMPARTMENTS))
    rows = _rows(design, columns, seed)
    rng = np.random.default_rng([seed, n_subjects, 1])
    own = {str(i + 1): (f"{70 * np.exp(0.2 * rng.standard_normal()):.1f}", f"{rng.uniform(20, 80):.0f}")
           for i in range(n_subjects)}  # fmt: skip
    rows = [rows[0], *([*row[:-2], *own[row[0]]] for row in rows[1:])]
    truth = {"CL": "*(WT/70)**0.75", "V2": "*(WT/70)"}
    texts = []
    for effect in (truth, {}):
        code = [f"  {p} = THETA({k + 1}){effect.get(p, '')}*EXP(ETA({k + 1}))" for k, p in enumerate(TWO_COMPARTMENTS)]
        texts.append(_stream(_ODE, code, _typical(TWO_COMPARTMENTS), len(TWO_COMPARTMENTS), columns, des=_DES))
    path = _written(folder, texts[0], "made_up.csv", rows, seed)
    path.write_text(texts[1], encoding="utf-8")
    return path


_ODE = "$SUBROUTINES ADVAN13 TOL=8\n$MODEL\n  COMP=(DEPOT, DEFDOSE)\n  COMP=(CENTRAL, DEFOBS)\n  COMP=(PERIPHERAL)"
_DES = """$DES
  DADT(1) = -KA*A(1)
  DADT(2) = KA*A(1) - CL/V2*A(2) - Q/V2*A(2) + Q/V3*A(3)
  DADT(3) = Q/V2*A(2) - Q/V3*A(3)
"""


def _typical(values: dict[str, float]) -> list[str]:
    return [f"(0, {value:g})" for value in values.values()]


def _stream(
    subroutines: str, code: list[str], thetas: list[str], n_random: int, covariates: list[str], *, des: str = ""
) -> str:
    columns = " ".join(["ID", "TIME", "AMT", "DV", "MDV", *covariates])
    return "\n".join(
        [
            "$PROBLEM A population of the benchmarks", f"$INPUT {columns}", "$DATA made_up.csv IGNORE=@", subroutines,
            "$PK", *code, "  S2 = V2", *des.splitlines(), "$ERROR", "  Y = F*(1 + EPS(1))", "$THETA", *thetas,
            "$OMEGA", "0.06 " * n_random, "$SIGMA 0.02", "$ESTIMATION METHOD=1 INTERACTION MAXEVAL=9999", "",
        ]
    )  # fmt: skip


def _rows(design: Design, covariates: list[str], seed: int) -> list[list[str]]:
    """The data file with 1 in place of every observation."""
    rng = np.random.default_rng([seed, design.n_subjects, design.n_observations])
    rows = [["ID", "TIME", "AMT", "DV", "MDV", *covariates]]
    for i in range(design.n_subjects):
        own = [f"{x:.3f}" for x in rng.standard_normal(len(covariates))]
        rows.append([str(i + 1), "0", f"{DOSE:g}", ".", "1", *own])
        times = np.sort(rng.uniform(0.25, 48, design.n_observations))
        rows += [[str(i + 1), f"{t:.3f}", ".", "1", "0", *own] for t in times]
    return rows


def _written(folder: Path, text: str, data: str, rows: list[list[str]], seed: int) -> Path:
    """The control stream with its data beside it, whose observations are simulated from it."""
    from tests.benchmarks.parts import parts_of

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.ctl"
    path.write_text(text, encoding="utf-8")
    dv = rows[0].index("DV")
    _write(folder / data, rows)
    with parts_of(path) as parts:
        joint, rng = parts.problem.joint(parts.problem.initial), np.random.default_rng([seed, len(rows)])
        noise = rng.standard_normal(joint.mean.shape) @ np.linalg.cholesky(joint.omega).T
        z = joint.mean + noise
        y = joint.simulate(z, joint.predict(z), rng)
        for row, value in zip(parts.problem.table.ob_row, np.ravel(y), strict=True):
            rows[int(row) + 1][dv] = f"{value:.6g}"
    _write(folder / data, rows)
    return path


def _write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
