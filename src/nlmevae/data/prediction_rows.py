"""Records to predict at: observations and those that only ask for a prediction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.ir import Model


def predicted_dataset(model: Model, dataset: Dataset) -> Dataset:
    """`dataset` with every record an observation that is no dose or reset (with $PRED: every record), so that
    predictions at EVID 2 and MDV 1 come out of its event table. Records that are no lines of the file are none."""
    predicted = np.isin(dataset.evid, (0, 2)) if model.structural.compartments else np.ones(dataset.n_rows, dtype=bool)
    if dataset.added is not None:
        predicted &= ~dataset.added
    return replace(dataset, mdv=np.where(predicted, 0, 1))
