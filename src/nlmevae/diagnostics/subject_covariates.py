"""Covariates of the subjects, for plots against random effects."""

from __future__ import annotations

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.ir import Model
from nlmevae.results.diagnostics import SubjectCovariates

#: A covariate with at most so many distinct values is drawn as categories.
MOST_CATEGORIES = 6


def subject_covariates(model: Model, dataset: Dataset) -> SubjectCovariates:
    """Every covariate column at each subject's first record, NaN where missing; those with one value only are left
    out."""
    first = dataset.subject_ptr[:-1]
    names, columns = [], []
    declared = None if model.project is None else {c.item for c in model.project.covariates}
    for column in model.data.columns:
        if column.role != "covariate" or column.name not in dataset.columns:
            continue
        if declared is not None and column.name not in declared:  # a regressor, or the kind of observation
            continue
        k = dataset.columns.index(column.name)
        values = np.where(dataset.missing[first, k], np.nan, dataset.values[first, k])
        if len(np.unique(values[np.isfinite(values)])) > 1:
            names.append(column.name)
            columns.append(values)
    categorical = [len(np.unique(v[np.isfinite(v)])) <= MOST_CATEGORIES for v in columns]
    return SubjectCovariates(
        names=tuple(names),
        values=np.column_stack(columns) if columns else np.zeros((len(first), 0)),
        categorical=np.array(categorical, dtype=bool),
    )
