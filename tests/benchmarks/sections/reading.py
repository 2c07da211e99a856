"""Control streams by size beside pharmpy's reader, data by size beside pandas' reader of CSV files."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tests.benchmarks.measurement import Figure, beside, median_seconds

SUBJECT_ROWS = 10
PER_LINE = 12  # columns


def measure(scale: str) -> Iterator[Figure]:
    effects = {"tiny": (2,), "quick": (5, 40), "full": (5, 20, 80)}[scale]
    rows = {"tiny": (100,), "quick": (1_000, 20_000), "full": (1_000, 10_000, 100_000)}[scale]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for n in effects:
            yield read_stream(folder, n)
        for n in rows:
            yield read_data(folder, n)


def control_stream(n_effects: int) -> str:
    """A model of one compartment whose $PK has `n_effects` covariate effects on clearance."""
    names = [f"C{k + 1}" for k in range(n_effects)]
    columns = "\n  ".join(" ".join(names[k : k + PER_LINE]) for k in range(0, n_effects, PER_LINE))
    effects = [f"  COV = COV*(1 + THETA({k + 4})*({name} - 0.5))" for k, name in enumerate(names)]
    lines = [
        "$PROBLEM Many effects", f"$INPUT ID TIME AMT DV MDV\n  {columns}", "$DATA data.csv IGNORE=@",
        "$SUBROUTINES ADVAN2 TRANS2", "$PK", "  COV = 1", *effects, "  KA = THETA(1)*EXP(ETA(1))",
        "  CL = THETA(2)*COV*EXP(ETA(2))", "  V = THETA(3)*EXP(ETA(3))", "  S2 = V", "$ERROR", "  Y = F + F*EPS(1)",
        "$THETA", *["(0, 1)", "(0, 4)", "(0, 40)"], *["0.1"] * n_effects, "$OMEGA 0.1 0.1 0.1", "$SIGMA 0.04",
        "$ESTIMATION METHOD=1 INTERACTION",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def read_stream(folder: Path, n_effects: int) -> Figure:
    from nlmevae.pipeline import read_model

    path = folder / f"run{n_effects}.ctl"
    text = control_stream(n_effects)
    path.write_text(text, encoding="utf-8")
    (folder / "data.csv").write_text(_data(1, n_effects), encoding="utf-8")
    at = {"lines": text.count("\n"), "effects": n_effects}
    if not find_spec("pharmpy"):
        return Figure(name="control stream", seconds=median_seconds(lambda: read_model(path)), at=at)
    own, theirs = beside(lambda: read_model(path), _by_pharmpy(path), rounds=(1, 15))
    return Figure(
        name="control stream", seconds=own, reference="pharmpy's read_model and statements", reference_seconds=theirs,
        at=at,
    )  # fmt: skip


def _by_pharmpy(path: Path) -> Callable[[], object]:
    from pharmpy.modeling import read_model

    return lambda: read_model(path).statements


def read_data(folder: Path, n_rows: int) -> Figure:
    """Model and data to the event table."""
    import pandas

    from nlmevae.pipeline import prepare

    path = folder / "data.ctl"
    path.write_text(control_stream(2), encoding="utf-8")
    (folder / "data.csv").write_text(_data(n_rows // SUBJECT_ROWS, 2), encoding="utf-8")
    own, theirs = beside(
        lambda: prepare(path), functools.partial(pandas.read_csv, folder / "data.csv", na_values="."), rounds=(2, 15)
    )
    return Figure(
        name="data file", seconds=own, reference="pandas.read_csv of the same file", reference_seconds=theirs,
        at={"rows": n_rows},
    )  # fmt: skip


def _data(n_subjects: int, n_covariates: int) -> str:
    rng = np.random.default_rng(1)
    lines = [",".join(["ID", "TIME", "AMT", "DV", "MDV", *(f"C{k + 1}" for k in range(n_covariates))])]
    for i in range(max(n_subjects, 1)):
        own = "".join(f",{x:.3f}" for x in rng.random(n_covariates))
        lines.append(f"{i + 1},0,100,.,1{own}")
        lines += [f"{i + 1},{t},.,{np.exp(-0.1 * t):.4f},0{own}" for t in range(1, SUBJECT_ROWS)]
    return "\n".join(lines) + "\n"
