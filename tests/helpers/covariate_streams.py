"""Small runs with covariates: a line through each subject, BASE normal, SLOPE log-normal, GAIN without ETA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nlmevae.data.search_space import Search, search_space
from nlmevae.data.search_spec import SearchSpec
from nlmevae.pipeline import prepare
from nlmevae.prepared_run import PreparedRun

FIXTURES = Path(__file__).parents[2] / "fixtures"

STREAM = """$PROBLEM a line through each subject
$INPUT ID TIME DV {items}
$DATA data.csv IGNORE=@
$PRED
BASE = {base}
SLOPE = {slope}
GAIN = THETA(3)
Y = BASE + GAIN*SLOPE*TIME + EPS(1)
$THETA 10 (0, 2) 1 FIX {thetas}
$OMEGA 1 0.1
$SIGMA 0.5
"""


def covariate_run(
    folder: Path,
    columns: Mapping[str, Sequence[Any]],
    *,
    base: str = "THETA(1) + ETA(1)",
    slope: str = "THETA(2)*EXP(ETA(2))",
    thetas: str = "",
) -> PreparedRun:
    """Two records (lines 2 and 3, 4 and 5, ... of data.csv) per subject; a tuple has one value per record."""
    (folder / "run1.ctl").write_text(
        STREAM.format(items=" ".join(columns), base=base, slope=slope, thetas=thetas), encoding="utf-8"
    )
    lines = ["ID,TIME,DV," + ",".join(columns)]
    for i, values in enumerate(zip(*columns.values(), strict=True)):
        for t in (0, 1):
            items = [str(v[t] if isinstance(v, tuple) else v) for v in values]
            lines.append(",".join([str(i + 1), str(t + 1), str(12 + 2 * t + 0.1 * i), *items]))
    (folder / "data.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return prepare(folder / "run1.ctl")


def searched(run: PreparedRun, **options: Any) -> Search:
    """The search space of a run."""
    return search_space(run.model, run.dataset, run.table, SearchSpec.from_options(**options))


def fixture_search(stream: str, **options: Any) -> Search:
    """The search space of a control stream in fixtures/."""
    return searched(prepare(FIXTURES / stream), **options)
