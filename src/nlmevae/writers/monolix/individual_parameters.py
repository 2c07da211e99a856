"""`IndividualParameters/`: individual parameters and random effects, estimated and drawn, and their shrinkage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from nlmevae.results.monolix_content import CovariateColumn, IndividualValues, MonolixContent
from nlmevae.writers.monolix.cells import columns_text, number, numbers, table_text


def estimated_text(labels: Sequence[str], values: IndividualValues, covariates: Sequence[CovariateColumn]) -> str:
    """Blocks _SAEM, _mean, _mode, _sd. Monolix's _SAEM are means over the last iterations of SAEM, another estimate of
    the conditional mean: the block repeats _mean, since readers ask for it."""
    blocks = {"SAEM": values.mean, "mean": values.mean, "mode": values.mode, "sd": values.sd}
    columns: list[tuple[str, Sequence[str]]] = [("id", labels)]
    for suffix, block in blocks.items():
        columns += [(f"{name}_{suffix}", numbers(block[:, k])) for k, name in enumerate(values.names)]
    return columns_text([*columns, *((c.name, c.texts) for c in covariates)])


def simulated_text(labels: Sequence[str], values: IndividualValues, covariates: Sequence[CovariateColumn]) -> str:
    """The draws, subject by subject; `rep` counts from 1."""
    header = ["rep", "id", *values.names, *(c.name for c in covariates)]
    return table_text(header, _drawn(labels, values.draws, covariates))


def _drawn(labels: Sequence[str], draws: np.ndarray, covariates: Sequence[CovariateColumn]) -> Iterator[list[str]]:
    for i, label in enumerate(labels):
        more = [c.texts[i] for c in covariates]
        for rep in range(len(draws)):
            yield [str(rep + 1), label, *numbers(draws[rep, i]), *more]


def shrinkage_text(content: MonolixContent) -> str:
    """Percent of the variance, 1 - var / omega^2."""
    rows = [[name, *(number(v) for v in values)] for name, values in content.shrinkage.items()]
    return table_text(["parameters", "shrinkage_mode", "shrinkage_mean", "shrinkage_condDist"], rows)
