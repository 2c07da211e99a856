"""Posteriors and predictions for new subjects against the exact ones of a random line."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import norm

import nlmevae
from nlmevae.errors import DataError, SettingsError
from tests.helpers.line_stream import OMEGA, SIGMA, THETAS, evaluated, exact_line, write_line

MONTE_CARLO = 0.02  # of 4096 quasi-random draws, in standard deviations
SAMPLES = 0.12  # of 1000 systematic samples at the 5 and 95 % points, in standard deviations: 3 standard errors

#: Two subjects observed up to time 1 and predicted later, one never observed, one beyond the data of the fit.
NEW = """ID,TIME,DV,MDV,X
21,0.3,1.9,0,1.2
21,0.8,1.4,0,1.2
21,1.5,.,1,1.2
22,0.5,-0.2,0,0.7
22,1.9,.,1,0.7
23,1.0,.,1,1.0
24,0.4,2.0,0,9.0
24,7.0,.,1,9.0
"""


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    return write_line(tmp_path_factory.mktemp("line"))


@pytest.fixture(scope="module")
def fit(stream):
    return evaluated(stream)


@pytest.fixture(scope="module")
def new(stream):
    path = stream.parent / "new.csv"
    path.write_text(NEW)
    return path


@pytest.fixture(scope="module")
def predicted(stream, fit, new):
    return nlmevae.predict(stream, fit=fit, data=new)


def exact(label: str) -> tuple[np.ndarray, np.ndarray]:
    rows = [line.split(",") for line in NEW.splitlines()[1:] if line.startswith(f"{label},")]
    seen = np.array([[float(r[1]), float(r[2])] for r in rows if r[3] == "0"]).reshape(-1, 2)
    return exact_line(seen[:, 0], seen[:, 1], float(rows[0][4]))


def test_posteriors_are_the_exact_ones(predicted):
    people = predicted.individuals
    assert people.labels == ("21", "22", "23", "24")
    for i, label in enumerate(people.labels):
        mean, cov = exact(label)
        sd = np.sqrt(cov.diagonal())
        assert np.abs((people.psi_mean[i] - mean) / sd).max() < MONTE_CARLO
        assert people.psi_sd[i] == pytest.approx(sd, rel=0.03)
        assert people.psi_mode[i] == pytest.approx(mean, abs=1e-4)


def test_a_subject_without_observations_has_the_prior(predicted):
    people = predicted.individuals
    assert people.n_obs[2] == 0
    np.testing.assert_array_equal(people.eta_mean[2], 0.0)
    np.testing.assert_array_equal(people.eta_mode[2], 0.0)
    assert people.eta_sd[2] == pytest.approx(np.sqrt(OMEGA.diagonal()))
    record = predicted.records.subject == 2
    assert predicted.records.pred[record] == pytest.approx(THETAS[0] + THETAS[1])
    assert predicted.records.ipred[record] == predicted.records.pred[record]


def test_every_record_is_predicted_with_exact_means_and_intervals(predicted):
    records = predicted.records
    assert records.line.tolist() == list(range(2, 10))
    assert np.isnan(records.dv).tolist() == [False, False, True, False, True, True, False, True]
    for k, i in enumerate(records.subject):
        mean, cov = exact(predicted.individuals.labels[i])
        design = np.array([1.0, records.time[k]])
        sd = np.sqrt(design @ cov @ design)
        whole = np.sqrt(sd**2 + SIGMA)
        assert abs(records.mean[k] - design @ mean) / sd < SAMPLES
        assert records.ipred[k] == pytest.approx(design @ mean, abs=1e-3)
        assert records.sd[k] == pytest.approx(sd, rel=0.07)
        for low, high, spread in (
            (records.lower[k], records.upper[k], sd),
            (records.dv_lower[k], records.dv_upper[k], whole),
        ):
            assert (low - design @ mean) / spread == pytest.approx(norm.ppf(0.05), abs=0.25)
            assert (high - design @ mean) / spread == pytest.approx(norm.ppf(0.95), abs=0.25)


def test_what_lies_outside_the_data_of_the_fit_is_named(predicted):
    assert predicted.outside_subjects.tolist() == [False, False, False, True]
    assert any("ID 24: X 9 is outside" in sentence for sentence in predicted.outside)
    assert any("ID 24: TIME 6.6 is outside" in sentence for sentence in predicted.outside)


def test_subjects_of_the_fit_get_the_results_of_the_fit(stream, fit):
    again = nlmevae.predict(stream, fit=fit, data=stream.parent / "data.csv").individuals
    assert again.labels == fit.individuals.labels
    assert np.abs((again.eta_mean - fit.individuals.eta_mean) / again.eta_sd).max() < 0.1  # 256 draws in the fit
    assert again.eta_mode == pytest.approx(fit.individuals.eta_mode, abs=1e-3)


def test_one_subjects_results_do_not_depend_on_the_others(stream, fit, new, predicted):
    alone = new.parent / "alone.csv"
    alone.write_text("\n".join(NEW.splitlines()[:4]) + "\n")
    found = nlmevae.predict(stream, fit=fit, data=alone)
    assert np.abs(found.individuals.eta_mean[0] - predicted.individuals.eta_mean[0]).max() < 0.01


def test_the_same_seed_gives_the_same_numbers(stream, fit, new):
    first, second = (nlmevae.predict(stream, fit=fit, data=new, samples=5, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.records.dv_upper, second.records.dv_upper)
    np.testing.assert_array_equal(first.individuals.eta_samples, second.individuals.eta_samples)
    assert first.individuals.eta_samples.shape == (5, 4, 2)


def test_data_without_any_observation_can_be_predicted(stream, fit, tmp_path):
    path = tmp_path / "none.csv"
    path.write_text("ID,TIME,DV,MDV,X\n1,1.0,.,1,1.0\n1,2.0,.,1,1.0\n")
    found = nlmevae.predict(stream, fit=fit, data=path)
    assert found.individuals.n_obs.tolist() == [0]
    assert found.records.sd == pytest.approx(np.sqrt([0.5 + 0.3, 0.5 + 4 * 0.3]), rel=0.07)


@pytest.mark.parametrize(
    "changes",
    [
        {"B*TIME": "B*TIME*TIME"},
        {"B*TIME": "B*TIME*THETA(4)", "$THETA 1 -0.5 0.4": "$THETA 1 -0.5 0.4 2"},
        {" + ETA(2)": "", "$OMEGA 0.5 0.3": "$OMEGA 0.5"},
        {"$THETA 1 -0.5 0.4": "$THETA 1 -0.5 0.9 FIX"},
    ],
)
def test_a_fit_of_another_model_is_refused(stream, fit, new, tmp_path, changes):
    text = stream.read_text()
    for old, changed in changes.items():
        text = text.replace(old, changed)
    other = tmp_path / "run2.ctl"
    other.write_text(text)
    with pytest.raises(DataError, match="other equations"):
        nlmevae.predict(other, fit=fit, data=new)


def test_a_fit_without_numbers_is_refused(stream, fit, new):
    estimates = (dataclasses.replace(fit.estimates[0], value=np.nan), *fit.estimates[1:])
    with pytest.raises(DataError, match="not a finite number"):
        nlmevae.predict(stream, fit=dataclasses.replace(fit, estimates=estimates), data=new)


def test_comments_and_initial_estimates_do_not_make_another_model(stream, fit, new, tmp_path):
    other = tmp_path / "run2.ctl"
    other.write_text(stream.read_text().replace("$THETA 1 -0.5 0.4", "$THETA 2 -0.1 0.9 ; tried"))
    found = nlmevae.predict(other, fit=fit, data=new)
    assert found.records.pred[0] == pytest.approx(1.0 + 0.4 * 0.2 - 0.5 * 0.3)


def test_the_encoders_route_needs_an_encoder(stream, fit, new):
    with pytest.raises(SettingsError, match="needs an encoder"):
        nlmevae.predict(stream, fit=fit, data=new, route="encoder")


@pytest.mark.parametrize("bad", [{"samples": 0}, {"seed": -1}, {"route": "both"}, {"samples": True}])
def test_impossible_settings_are_refused(stream, fit, new, bad):
    with pytest.raises(SettingsError):
        nlmevae.predict(stream, fit=fit, data=new, **bad)


def test_a_fit_that_is_not_final_says_so(stream, fit, new):
    unfinished = dataclasses.replace(fit, status=nlmevae.FitStatus.INTERRUPTED, message="")
    assert any("not final" in w for w in nlmevae.predict(stream, fit=unfinished, data=new).warnings)


def test_warnings_about_the_records_and_the_progress_are_passed_on(stream, fit, tmp_path):
    path, seen = tmp_path / "twice.csv", []
    path.write_text("ID,TIME,DV,MDV,X\n1,1.0,2.0,0,1.0\n1,1.0,2.0,0,1.0\n")
    found = nlmevae.predict(stream, fit=fit, data=path, steps=lambda *step: seen.append(step))
    assert any("repeated exactly" in warning for warning in found.warnings)
    assert {what for what, _, _ in seen} == {"posteriors, per cent", "predictions, subjects"}


def test_the_frame_has_one_row_per_record(predicted):
    frame = predicted.to_frame()
    assert len(frame) == 8
    assert frame["ID"].tolist()[-1] == "24"
