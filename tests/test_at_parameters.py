"""`nlmevae.likelihoods` from a control stream and parameter values to numbers, files and sentences."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import nlmevae
from nlmevae.at_parameters import parameter_values
from nlmevae.errors import DataError, ModelError, OutputError, SettingsError
from tests.helpers.cases import FIXTURES, stage
from tests.helpers.pharmpy_wheel import wheel_file

THEOPHYLLINE = FIXTURES / "theophylline" / "run_base.ctl"
#: NONMEM's final estimates of the model without covariates (specified to six digits in its .ext).
BASE = {
    "THETA1": 5.81756e-3,
    "THETA2": 1.44555,
    "OMEGA(1,1)": 0.111053,
    "OMEGA(2,2)": 0.201526,
    "SIGMA(1,1)": 0.0164177,
}
#: Six digits of the estimates at a minimum, NONMEM's own tolerance of the modes: measured 3e-5 at most over 43 runs.
NONMEM = 1e-3


@pytest.fixture(scope="module")
def pheno(tmp_path_factory):
    """Both control streams, the data, and NONMEM's results of the one with covariates."""
    folder = tmp_path_factory.mktemp("pheno")
    for name in ("phenobarbital", "phenobarbital_real"):
        stage(name, folder)
    shutil.copy(wheel_file("pheno.ext"), folder)
    return folder


def test_focei_is_nonmems_objective_at_nonmems_estimates(pheno):
    found = nlmevae.likelihoods(pheno / "pheno_real.ctl", params=pheno / "pheno.ext", methods="focei")
    assert found.objective_there == pytest.approx(586.27605628, abs=1e-7)
    assert found.ofv("focei") == pytest.approx(found.objective_there, abs=NONMEM)
    assert found.minus_two_ll("focei") - found.ofv("focei") == pytest.approx(155 * np.log(2 * np.pi))


def test_focei_is_nonmems_objective_of_nonmems_own_control_stream():
    stream = wheel_file("pheno.mod")
    found = nlmevae.likelihoods(stream, params=wheel_file("pheno.ext"), methods="focei")
    assert found.ofv("focei") == pytest.approx(586.27605628, abs=NONMEM)


def test_individual_objectives_are_those_of_the_phi_file(pheno):
    """NONMEM's .phi: SUBJECT_NO ID ETA(1) ETA(2) ETC(1,1) ETC(2,1) ETC(2,2) OBJ."""
    rows = np.loadtxt(wheel_file("pheno.phi"), skiprows=2)
    found = nlmevae.likelihoods(pheno / "pheno_real.ctl", params=pheno / "pheno.ext", methods="focei")
    ours = found.subjects[0].minus_two_ll - found.n_obs * np.log(2 * np.pi)
    np.testing.assert_allclose(ours, rows[:, -1], atol=2e-4)


def test_focei_is_nonmems_objective_without_covariates(pheno):
    found = nlmevae.likelihoods(pheno / "pheno_base.ctl", params=BASE, methods="focei")
    assert found.ofv("focei") == pytest.approx(730.89472681, abs=NONMEM)


def test_first_order_is_nonmems_objective(pheno):
    """METHOD=0 on the same model; its estimates and objective as NONMEM printed them."""
    estimates = {
        "THETA1": 5.55363e-03, "THETA2": 1.33638, "OMEGA(1,1)": 2.47074e-01, "OMEGA(2,2)": 1.41581e-01,
        "SIGMA(1,1)": 1.64153e-02,
    }  # fmt: skip
    found = nlmevae.likelihoods(pheno / "pheno_base.ctl", params=estimates, methods="fo")
    assert found.ofv("fo") == pytest.approx(742.05104625, abs=NONMEM)


def test_the_exact_methods_agree_and_the_approximations_do_not(pheno):
    found = nlmevae.likelihoods(pheno / "pheno_base.ctl", params=BASE, methods="all")
    sampled, integrated = found.value("is"), found.value("gauss-hermite")
    assert abs(sampled.minus_two_ll - integrated.minus_two_ll) < 3 * sampled.mc_se + integrated.numerical_error
    for method in ("laplace", "focei", "foce", "fo", "lin"):
        value = found.value(method)
        assert abs(value.minus_two_ll - integrated.minus_two_ll) > 0.05
        assert value.mc_se == 0.0


def test_without_parameters_the_initial_estimates_are_used_and_named():
    found = nlmevae.likelihoods(THEOPHYLLINE, methods="fo")
    assert found.parameters_from.startswith("the initial estimates of")
    assert found.parameters["THETA(1)"] == nlmevae.read_model(THEOPHYLLINE).thetas[0].init


def test_the_result_of_a_fit_and_its_file_are_parameters(tmp_path):
    short = {"burn_in_iterations": 2, "training_iterations": 4, "max_outer": 1, "final_draws": 256, "n_draws": 32}
    fit = nlmevae.fit(THEOPHYLLINE, out=tmp_path, **short)
    of_result = nlmevae.likelihoods(THEOPHYLLINE, params=fit, methods="focei,lin")
    of_file = nlmevae.likelihoods(THEOPHYLLINE, params=tmp_path / "run_base.results.json", methods="focei,lin")
    assert of_result.parameters == of_file.parameters
    for method in ("focei", "lin"):
        assert of_file.minus_two_ll(method) == pytest.approx(fit.likelihood(method).minus_two_ll, abs=1e-4)
    of_ext = nlmevae.likelihoods(THEOPHYLLINE, params=tmp_path / "run_base.ext", methods="focei")
    assert of_ext.minus_two_ll("focei") == pytest.approx(of_result.minus_two_ll("focei"), abs=0.01)


def test_the_files_hold_everything_and_every_subject(tmp_path):
    pandas = pytest.importorskip("pandas")
    found = nlmevae.likelihoods(THEOPHYLLINE, methods="is,focei", draws=256, out=tmp_path)
    document = json.loads((tmp_path / "run_base.likelihood.json").read_text())
    assert [(v["method"], v["minus_two_ll"], v["ofv"]) for v in document["values"]] == [
        (m, found.minus_two_ll(m), found.ofv(m)) for m in ("is", "focei")
    ]
    table = pandas.read_csv(tmp_path / "run_base.likelihood.csv")
    assert table["focei"].sum() == pytest.approx(found.minus_two_ll("focei"), abs=1e-9)
    np.testing.assert_array_equal(table["is"], found.to_frame()["is"])
    nlmevae.likelihoods(THEOPHYLLINE, methods="fo", out=tmp_path)  # ours may be replaced


def test_files_of_other_programs_are_not_replaced(tmp_path):
    (tmp_path / "run_base.likelihood.csv").write_text("x,y\n1,2\n")
    with pytest.raises(OutputError, match="was not written by nlmevae"):
        nlmevae.likelihoods(THEOPHYLLINE, methods="fo", out=tmp_path)


def test_the_same_seed_gives_the_same_bits():
    first, second, other = (nlmevae.likelihoods(THEOPHYLLINE, methods="is", draws=128, seed=s) for s in (3, 3, 4))
    assert first.minus_two_ll() == second.minus_two_ll() != other.minus_two_ll()


def test_gauss_hermite_says_why_it_is_not_for_many_random_effects(monkeypatch):
    monkeypatch.setattr("nlmevae.estimation.likelihoods.MOST_LATENTS", 2)
    with pytest.raises(SettingsError, match="for up to 2 random effects, this model has 3"):
        nlmevae.likelihoods(THEOPHYLLINE, methods="gauss-hermite")
    with pytest.raises(SettingsError, match="for up to 2 random effects, this model has 3"):
        nlmevae.fit(THEOPHYLLINE, likelihoods="gauss-hermite")
    found = nlmevae.likelihoods(THEOPHYLLINE, methods="all", draws=128)
    assert found.value("gauss-hermite") is None
    assert any("for up to 2 random effects" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"methods": "focei,exact"}, SettingsError, "a likelihood method is 'exact'"),
        ({"params": 3.0}, SettingsError, "params is a float"),
        ({"params": {"THETA1": "much"}}, SettingsError, "not a number"),
        ({"params": {"THETA1": 1.0}}, DataError, "does not give"),
        ({"params": "nothing.ext"}, DataError, "cannot read"),
        ({"params": THEOPHYLLINE}, DataError, "not a parameter's name"),
        ({"n_draws": 3}, SettingsError, "no setting 'n_draws' here"),
        ({"draws": 0}, SettingsError, "final_draws is 0"),
        ({"data": "nothing.csv"}, DataError, "does not exist"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_computed(options, error, words):
    with pytest.raises(error, match=words):
        nlmevae.likelihoods(THEOPHYLLINE, **options)


def test_a_table_can_only_be_chosen_of_an_ext_file(tmp_path):
    (tmp_path / "values.csv").write_text("THETA1,1\n")
    with pytest.raises(SettingsError, match=r"no \.ext file"):
        parameter_values(tmp_path / "values.csv", table=2)


def test_parameters_of_another_model_stop(pheno):
    with pytest.raises(DataError, match="no parameter"):
        nlmevae.likelihoods(pheno / "pheno_base.ctl", params=pheno / "pheno.ext")


# control streams that only evaluate


@pytest.fixture(scope="module", params=["MAXEVAL=0", "MAXEVALS=0 PRINT=1", "METHOD=IMP EONLY=1"])
def evaluated(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    text = THEOPHYLLINE.read_text()
    start = text.index("$ESTIMATION")
    (folder / "run.ctl").write_text(text[:start] + f"$ESTIMATION {request.param}\n")
    shutil.copy(FIXTURES / "theophylline" / "theophylline.csv", folder)
    return folder / "run.ctl"


def test_a_fit_of_such_a_stream_estimates_nothing_and_writes_its_files(evaluated):
    result = nlmevae.fit(evaluated, write=True, final_draws=256)
    assert result.status is nlmevae.FitStatus.EVALUATED
    assert all(e.value == e.init for e in result.estimates)
    assert np.isfinite(result.minus_two_ll)
    covariance = {".cov", ".cor", ".coi"}
    assert {p.suffix for p in evaluated.parent.glob("run.*")} == {
        *(".ctl", ".ext", ".phi", ".shk", ".shm", ".csv", ".json"),
        *covariance,
    }
    at_initial = nlmevae.likelihoods(evaluated, methods="focei")
    assert at_initial.minus_two_ll("focei") == pytest.approx(result.likelihood("focei").minus_two_ll, abs=1e-4)


def test_a_selection_on_such_a_stream_is_refused_at_its_record(evaluated):
    with pytest.raises(ModelError, match="no search") as caught:
        nlmevae.select(evaluated, covariates="WT")
    assert caught.value.location is not None


def test_a_stream_with_one_step_that_estimates_is_fitted(tmp_path):
    text = THEOPHYLLINE.read_text() + "$ESTIMATION METHOD=IMP EONLY=1\n"
    shutil.copy(FIXTURES / "theophylline" / "theophylline.csv", tmp_path)
    (tmp_path / "run.ctl").write_text(text)
    model = nlmevae.read_model(tmp_path / "run.ctl")
    assert [step.evaluates_only for step in model.estimation] == [False, True]
    assert not model.evaluates_only
