import numpy as np
import pytest

from nlmevae.diagnostics.diagnose import diagnose
from nlmevae.errors import SettingsError
from tests.helpers.pheno import pheno_at_nonmems_estimates, pheno_run


@pytest.fixture(scope="module")
def found():
    return diagnose(pheno_at_nonmems_estimates(), pheno_run().dataset, n_simulations=100, stratify="APGR")


def test_every_observation_has_every_number(found):
    names = ("time", "dv", "pred", "ipred", "iwres", "wres", "cpred", "cwres", "epred", "ewres", "npd", "npde")
    assert all(np.isfinite(getattr(found.observations, name)).all() for name in names)
    assert len(found.observations.dv) == 155
    assert found.time_name == "TIME"
    assert found.warnings == ()


def test_curves_pass_through_the_predictions_at_the_observations(found):
    o = found.observations
    for i in (0, 7, 58):
        curve = next(c for c in found.curves if c.subject == i)
        for time, pred, ipred in zip(*(a[o.subject == i] for a in (o.time, o.pred, o.ipred)), strict=True):
            at = curve.time == time
            assert np.any(np.isclose(curve.ipred[at], ipred, rtol=1e-9))
            assert np.any(np.isclose(curve.pred[at], pred, rtol=1e-9))


def test_curves_jump_at_bolus_doses_by_the_dose_over_the_volume(found):
    at, run = pheno_at_nonmems_estimates(), pheno_run()
    curve = found.curves[0]
    time, amount = (
        run.dataset.column(n)[run.dataset.subject_ptr[0] : run.dataset.subject_ptr[1]] for n in ("TIME", "AMT")
    )
    second = float(time[amount > 0][1])
    before, after = curve.ipred[curve.time == second]
    assert after - before == pytest.approx(amount[amount > 0][1] / np.exp(at.mode[0, 1]), rel=1e-9)


def test_checks_come_by_stratum_plain_and_corrected(found):
    assert [(v.stratum, v.prediction_corrected) for v in found.vpcs] == [
        ("APGR <= 7", False), ("APGR <= 7", True), ("APGR > 7", False), ("APGR > 7", True),
    ]  # fmt: skip
    assert sum(v.count.sum() for v in found.vpcs if not v.prediction_corrected) == 155


def test_covariates_are_those_of_the_first_records(found):
    """FA1 and FA2 have one value there and are left out."""
    assert found.covariates.names == ("WGT", "APGR")
    assert found.covariates.values[0, 0] == 1.4
    assert list(found.covariates.categorical) == [False, False]


def test_without_simulations_the_rest_is_there():
    found = diagnose(pheno_at_nonmems_estimates(), pheno_run().dataset, n_simulations=0)
    assert np.isfinite(found.observations.cwres).all()
    assert np.isnan(found.observations.npde).all()
    assert found.vpcs == ()


def test_the_same_seed_gives_the_same_numbers(found):
    again = diagnose(pheno_at_nonmems_estimates(), pheno_run().dataset, n_simulations=100, stratify="APGR")
    assert np.array_equal(again.observations.npde, found.observations.npde)
    assert np.array_equal(again.vpcs[1].simulated, found.vpcs[1].simulated)


def test_an_unknown_data_item_is_named():
    with pytest.raises(SettingsError, match="no item SEX"):
        diagnose(pheno_at_nonmems_estimates(), pheno_run().dataset, n_simulations=2, stratify="SEX")


def test_too_few_simulations_for_npde_are_said():
    found = diagnose(pheno_at_nonmems_estimates(), pheno_run().dataset, n_simulations=3)
    assert "Ask for more simulations" in found.warnings[0]
