"""PWRES and NPDE are what Monolix calls so: its values are found again at its estimates."""

import numpy as np
import pandas as pd
import pytest

from nlmevae import fit
from nlmevae.diagnostics.folder_tests import folder_residuals
from nlmevae.fitted_run import at_fit
from nlmevae.pipeline import prepare
from tests.helpers.monolix_reference import stage_theophylline
from tests.helpers.reference import reference


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """(ours, Monolix's table)."""
    charts = reference("theophylline_monolix/monolix/ChartsData/ScatterPlotOfTheResiduals/CONC_residuals.txt")
    stream = stage_theophylline(tmp_path_factory.mktemp("theophylline"))
    result = fit(stream, samples=10, covariance="none", final_draws=512)
    run = prepare(stream)
    with at_fit(run, result) as here:
        (ours,) = folder_residuals(here, result, run.dataset, ["CONC"])
    return ours, pd.read_csv(charts)


@pytest.mark.parametrize(("own", "theirs"), [("pwres", "pwRes"), ("npde", "npde")])
def test_population_residuals_are_not_decorrelated(both, own, theirs):
    """Both programs simulate 500 data sets or so: a mean of the errors of .05 is what that leaves; decorrelated
    residuals differ by .6."""
    ours, table = both
    values = getattr(ours, own)
    assert len(values) == len(table)
    assert np.abs(values - table[theirs]).mean() < 0.12
    assert np.corrcoef(values, table[theirs])[0, 1] > 0.98


def test_individual_residuals_scatter_around_those_at_the_mode(both):
    ours, table = both
    assert ours.name == "CONC"
    assert ours.iwres.shape == (10, 120)
    assert np.corrcoef(ours.iwres.mean(axis=0), table["iwRes_mode"])[0, 1] > 0.9
