"""Population and individual predictions on a fine grid of times, for plots of single subjects."""

from __future__ import annotations

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.data.extra_observations import grid_table
from nlmevae.diagnostics.endpoints import Endpoints
from nlmevae.estimation.at_estimates import AtEstimates
from nlmevae.estimation.subset import decoder_of
from nlmevae.results.diagnostics import IndividualCurve

N_TIMES = 100


def individual_curves(
    at: AtEstimates, dataset: Dataset, kinds: Endpoints, *, n_times: int = N_TIMES
) -> tuple[IndividualCurve, ...]:
    """One curve for each subject and kind of observation it has, in that order."""
    grid = grid_table(at.problem.model, dataset, at.problem.table, kinds.of, n_times=n_times)
    if not len(grid.time):
        return ()
    decoder = decoder_of(at.problem.decoder, grid.table)
    try:
        points = (at.joint.mean, at.mode)
        pred, ipred = (grid.table.natural(decoder.predict(at.joint.inputs(z)).prediction) for z in points)
    finally:
        decoder.close()
    curves = []
    for i in range(grid.table.n_subjects):
        rows = np.arange(grid.table.ob_ptr[i], grid.table.ob_ptr[i + 1])
        for kind in np.unique(grid.kind[rows]):
            own = rows[grid.kind[rows] == kind]
            curves.append(
                IndividualCurve(subject=i, endpoint=int(kind), time=grid.time[own], pred=pred[own], ipred=ipred[own])
            )
    return tuple(curves)
