"""Visual predictive checks as one CSV file: a row for each quantile of each bin.

    endpoint,stratum,prediction_corrected,quantity,level,bin,from,to,middle,count,observed,low,median,high
    Y,,0,quantile,0.5,1,0,2.3,1.1,20,14.2,12.9,14.1,15.6

`quantity` is "quantile", or "censored" for the share of observations below the limit of quantification. low, median
and high: of the same number in the simulated data sets, low and high with the confidence asked for.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nlmevae.results.diagnostics import PredictiveChecks, VisualPredictiveCheck
from nlmevae.writers.atomic import write_atomically

HEADER = (
    "endpoint", "stratum", "prediction_corrected", "quantity", "level", "bin", "from", "to", "middle", "count",
    "observed", "low", "median", "high",
)  # fmt: skip


def is_own_vpc(path: Path) -> bool:
    """Whether an existing file has our header."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return stream.readline().strip() == ",".join(HEADER)
    except OSError:
        return False


def write_vpc(path: Path, checks: PredictiveChecks) -> None:
    """Write the file whole or not at all; OutputError if it cannot be written."""
    write_atomically(path, vpc_text(checks))


def vpc_text(checks: PredictiveChecks) -> str:
    """The file's content."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(HEADER)
    for check in checks.vpcs:
        writer.writerows(_rows(check, checks.endpoints[check.endpoint].name))
    return stream.getvalue()


def _rows(check: VisualPredictiveCheck, endpoint: str) -> Iterator[list[object]]:
    for b in range(len(check.count)):
        place = [b + 1, *map(_text, (check.edges[b], check.edges[b + 1], check.middle[b])), int(check.count[b])]
        head = [endpoint, check.stratum, int(check.prediction_corrected)]
        for q, level in enumerate(check.levels):
            numbers = (check.observed[b, q], *check.simulated[b, q])
            yield [*head, "quantile", _text(level), *place, *map(_text, numbers)]
        if check.below is not None:
            yield [*head, "censored", "", *place, *map(_text, check.below[b])]


def _text(value: float) -> str:
    return f"{value:.9g}" if np.isfinite(value) else ""
