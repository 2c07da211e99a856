"""Results folders of Monolix are read whatever their version, and their own numbers agree with each other."""

import math
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from nlmevae.comparison.monolix_folder import read_monolix_folder
from nlmevae.comparison.monolix_table import read_table
from nlmevae.errors import DataError
from nlmevae.likelihood.criteria import ParameterCount, information_criteria
from tests.helpers.monolix_reference import FOLDERS, folder, population

ALL = list(FOLDERS)
#: Version, method of the standard errors and of -2LL, subjects, fitted observations.
STATED = {
    "w1": ("2023R1", "sa", "is", 32, 247),
    "w2": ("2023R1", "lin", "lin", 32, 247),
    "w3": ("2023R1", "sa", "is", 32, 247),
    "phenobarbital": ("2023R1", "sa", "is", 59, 155),
    "parent_metabolite": ("2023R1", "sa", "is", 80, 2720),
    "theophylline": ("5.1.1", "lin", "lin", 12, 120),
}


@pytest.mark.parametrize("name", ALL)
def test_folders_of_monolix_are_read(name):
    found = read_monolix_folder(folder(name))
    version, errors, method, n, n_obs = STATED[name]
    assert (found.version, found.error_method, found.n_subjects, found.n_obs) == (version, errors, n, n_obs)
    assert [v.method for v in found.likelihoods] == [method]
    assert not found.by_nlmevae
    assert {p.name: p.value for p in found.parameters} == population(name)
    assert all(p.fixed is False for p in found.parameters)


@pytest.mark.parametrize("name", ALL)
def test_what_a_hand_made_reader_finds_is_the_same(name):
    found, path = read_monolix_folder(folder(name)), folder(name)
    people = pd.read_csv(path / "IndividualParameters" / "estimatedIndividualParameters.txt", dtype={"id": str})
    etas = pd.read_csv(path / "IndividualParameters" / "estimatedRandomEffects.txt", dtype={"id": str})
    for table, frame in ((found.individuals, people), (found.random_effects, etas)):
        assert list(table.columns) == list(frame.columns)
        assert list(table.texts("id")) == list(frame["id"])
        for column in frame.columns:
            if pd.api.types.is_numeric_dtype(frame[column]):
                assert table.numbers(column) == pytest.approx(list(frame[column]), rel=0, abs=0)
    for table in found.predictions.values():
        frame = pd.read_csv(table.path)
        assert table.numbers("indivPred_mode") == pytest.approx(list(frame["indivPred_mode"]), rel=0, abs=0)


@pytest.mark.parametrize("name", ALL)
def test_individual_likelihoods_sum_to_the_whole(name):
    for value in read_monolix_folder(folder(name)).likelihoods:
        # each is rounded to 1e-6, in 5.1.1 to 1e-3
        assert sum(value.individual.values()) == pytest.approx(value.minus_two_ll, abs=1e-2)


#: Estimated standard deviations and coefficients on parameters with a random effect; and everything else.
COUNTS = {
    "w1": (4, 6),
    "w2": (6, 6),
    "w3": (6, 6),
    "phenobarbital": (4, 3),
    "parent_metabolite": (7, 11),
    "theophylline": (3, 5),
}


@pytest.mark.parametrize("name", ALL)
def test_criteria_are_ours_to_a_hundredth(name):
    found = read_monolix_folder(folder(name))
    value, (random, fixed) = found.likelihoods[0], COUNTS[name]
    assert random + fixed == len(found.parameters)
    count = ParameterCount(random_part=random, fixed_part=fixed)
    ours = information_criteria(value.minus_two_ll, count, n_subjects=found.n_subjects, n_obs_total=found.n_obs)
    assert (ours.aic, ours.bic, ours.bicc) == pytest.approx((value.aic, value.bic, value.bicc), abs=0.01)


@pytest.mark.parametrize("name", ALL)
def test_relative_errors_are_percent_of_the_value(name):
    for p in read_monolix_folder(folder(name)).parameters:
        assert p.relative_error == pytest.approx(100 * p.standard_error / abs(p.value), rel=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_correlations_follow_from_the_covariance(name):
    found = read_monolix_folder(folder(name))
    (covariance,), (correlation,) = found.covariances, found.correlations
    matrix = np.array(covariance.rows)
    errors = np.sqrt(np.diag(matrix))
    assert covariance.names == correlation.names == tuple(p.name for p in found.parameters)
    # five digits of both in 5.1.1, six in 2023R1
    np.testing.assert_allclose(matrix / np.outer(errors, errors), np.array(correlation.rows), rtol=5e-5, atol=2e-6)


@pytest.mark.parametrize("name", ALL)
def test_the_scale_of_the_covariance_is_told_by_the_standard_errors(name):
    found = read_monolix_folder(folder(name))
    (covariance,) = found.covariances
    transformed = found.transformed(covariance)
    assert transformed is (name != "theophylline")  # of 5.1.1: natural scale
    for k, p in enumerate(found.parameters):
        slope = 1 / p.value if transformed and p.name.endswith("_pop") else 1.0  # all are log-normal
        assert math.sqrt(covariance.rows[k][k]) == pytest.approx(p.standard_error * slope, rel=3e-5)


def test_endpoints_that_were_not_fitted_are_counted_apart():
    found = read_monolix_folder(folder("w1"))
    assert found.counts == {"individuals": 32, "1": 247, "2": 232, "doses": 32}
    assert found.n_obs == 247


def test_several_endpoints_have_their_names():
    found = read_monolix_folder(folder("parent_metabolite"))
    assert {name: t.n_rows for name, t in found.predictions.items()} == {"y1_Cp": 1280, "y2_Cm": 1440}


def write(path, **files):
    for name, text in files.items():
        target = path / (name.replace("__", "/") + ".txt")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "method", "fixed"),
    [
        ("parameter,value\nka_pop,1.5\n", None, [None]),
        ("parameter,value,s.e._sa,r.s.e._sa\nka_pop,1.5,0.3,20\n", "sa", [False]),
        ("parameter,value,se_lin,rse_lin\nka_pop,1.5,0.3,20\nc,3,,\n", "lin", [False, True]),
        ("parameter,value,se_sa,rse_sa,pvalue_sa\nka_pop,1.5,0.3,20,\nc,3,,,\n", "sa", [False, True]),
        ("parameter,value,CV,se_sa,rse_sa\nka_pop,1.5,,0.3,20\nmu_pop,0.001,,,\n", "sa", [False, True]),
        ("parameter,value,CV,se_sa,rse_sa,P2.5_sa,P97.5_sa\nka_pop,1.5,,0.3,20,0.9,2.1\n", "sa", [False]),
        ("parameter,value,CV,se_sa,rse_sa\r\nka_pop,1.5,,0.3,20\r\nV_pop,2,,nan,nan", "sa", [False, False]),
    ],
    ids=["no FIM", "2017", "fixed", "p-value", "2023R1", "2024R1", "failed, no newline"],
)
def test_headers_of_every_version(tmp_path, text, method, fixed):
    found = read_monolix_folder(write(tmp_path, populationParameters=text))
    assert (found.error_method, [p.fixed for p in found.parameters]) == (method, fixed)
    first = found.parameter("ka_pop")
    assert first.value == 1.5
    if method is not None:
        assert (first.standard_error, first.relative_error) == (0.3, 20)


def test_older_names_have_one_meaning(tmp_path):
    found = read_monolix_folder(
        write(
            tmp_path,
            populationParameters="parameter,value\na,1\n",
            LLInformation__logLikelihood="criteria,importanceSampling\n-2LL,708.403\nAIC,728.403\nstdError,0.039\n",
            predictions="id,time,y,popPred,indPred_mode,indWRes_mode\n007,0,1,2,3,0.5\n",
        )
    )
    value = found.likelihood("is")
    assert (value.minus_two_ll, value.aic, value.mc_se) == (708.403, 728.403, 0.039)
    assert math.isnan(value.bicc)
    assert value.individual == {}
    assert found.predictions["y"].numbers("indivPred_mode") == (3.0,)
    assert found.predictions["y"].texts("id") == ("007",)
    assert found.n_subjects is None


def test_regressors_between_the_observation_and_its_predictions_are_no_observations(tmp_path):
    (tmp_path / "populationParameters.txt").write_text("parameter,value\na,1\n")
    (tmp_path / "predictions_y1.txt").write_text("id,OCC,time,y1,WT,popPred,indivPred_mode\n7,1,0,2,70,3,4\n")
    found = read_monolix_folder(tmp_path)
    assert list(found.predictions) == ["y1"]
    assert found.predictions["y1"].numbers("y1") == (2.0,)


def test_two_methods_of_likelihood_are_two_results(tmp_path):
    write(tmp_path, populationParameters="parameter,value\na,1\n")
    write(tmp_path, LogLikelihood__logLikelihood="criteria,importanceSampling,linearization\nOFV,10,11\nnew,1,2\n")
    found = read_monolix_folder(tmp_path)
    assert {v.method: v.minus_two_ll for v in found.likelihoods} == {"is": 10.0, "lin": 11.0}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no populationParameters.txt"),
        ({"estimates": "x"}, "Monolix 4"),
        ({"populationParameters": ""}, "is empty"),
        ({"populationParameters": "name,value\na,1\n"}, "has no column parameter"),
        ({"populationParameters": "parameter,value\na,b\n"}, "'b' is not a number"),
        ({"populationParameters": "parameter,value\na,1,2\n"}, "this row has 3 cells, the header 2"),
        ({"populationParameters": "parameter,value,value\na,1,2\n"}, "has the column value twice"),
        (
            {
                "populationParameters": "parameter,value\na,1\n",
                "FisherInformation__covarianceEstimatesSA": "a,1,2\nb,2\n",
            },
            "no square matrix",
        ),
        ({"populationParameters": "parameter,value\na,1\n", "predictions": "id,popPred\n1,2\n"}, "no observations"),
    ],
)
def test_what_is_not_monolix_is_said_so(tmp_path, files, message):
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        read_monolix_folder(write(tmp_path, **files))
    assert caught.value.hint


def test_a_folder_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(DataError, match="there is no such folder"):
        read_monolix_folder(tmp_path / "nowhere")


def test_cells_of_all_kinds(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes("\ufeffid;p-value;x\n1;<2.2e-16;nan\nä, b;;inf\n".encode())
    table = read_table(path)
    assert table.texts("id") == ("1", "ä, b")
    assert table.numbers("p-value")[0] == 2.2e-16
    assert math.isnan(table.numbers("p-value")[1])
    assert math.isnan(table.numbers("x")[0])
    assert table.numbers("x")[1] == math.inf
    path.write_bytes("id,x\nmüller,1\n".encode("cp1252"))
    assert read_table(path).texts("id") == ("müller",)


def test_reading_needs_no_torch():
    code = "import sys, nlmevae.comparison.monolix_folder; print('torch' in sys.modules or 'pandas' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert process.stdout.strip() == "False", process.stderr
