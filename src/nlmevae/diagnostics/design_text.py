"""The rows of a design as text, as they come again in every simulated data set."""

from __future__ import annotations

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.estimation.problem import Problem
from nlmevae.results.simulated_data import DesignText


def design_text(problem: Problem, dataset: Dataset) -> DesignText:
    """All columns of $INPUT in their order; those that are dropped hold ".".

    Args:
        dataset: the data the event table of `problem` was made from.
    """
    columns = problem.model.data.file_columns
    subject = np.repeat(np.arange(dataset.n_subjects), np.diff(dataset.subject_ptr))
    texts = []
    for column in columns:
        if column.role == "drop":
            texts.append(["."] * dataset.n_rows)
        elif column.role == "id":
            texts.append([dataset.subject_labels[i] for i in subject])
        else:
            k = dataset.columns.index(column.name)
            values, missing = dataset.values[:, k], dataset.missing[:, k]
            texts.append([cell_text(v, missing=m) for v, m in zip(values, missing, strict=True)])
    return DesignText(
        names=tuple(c.name for c in columns),
        cells=tuple(zip(*texts, strict=True)),
        dv=next(k for k, c in enumerate(columns) if c.role == "dv"),
        observations=problem.table.ob_row.astype(int),
        subject=subject,
        parameters=tuple(latent.name.replace("(", "").replace(")", "") for latent in problem.form.latents),
    )


def cell_text(value: float, *, missing: bool = False) -> str:
    """A number of the data file as it can be read back bit for bit; "." where it is missing."""
    if missing:
        return "."
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
