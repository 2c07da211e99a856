"""Conversion without the data file: the texts are those of the conversion with it, or what differs is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nlmevae import pipeline
from nlmevae.errors import DataError
from nlmevae.results.model_at import model_at
from nlmevae_translators import convert
from nlmevae_translators.absent_data import NOT_KNOWN

FIXTURES = Path(__file__).parents[2] / "fixtures"
TWINS = sorted(p.parent.name for p in (FIXTURES / "twins").glob("*/run.ctl"))
#: RATE is in their data: without data there is an administration for each code, and CENS may be -1.
RATES = {"zero_order", "infusion_two_compartments", "censored", "two_administrations", "parent_metabolite"}
#: NM-TRAN's data say there which covariates change.
CHANGES = {"regressor"}


def without_data(case: str, file: str, folder: Path) -> Path:
    for path in (FIXTURES / "twins" / case).iterdir():
        if path.suffix != ".csv":
            shutil.copy(path, folder)
    return folder / file


@pytest.mark.parametrize("case", TWINS)
def test_a_project_without_data_is_that_with_data(case, tmp_path):
    found = convert(without_data(case, "run.ctl", tmp_path), proof=False)
    with_data = convert(FIXTURES / "twins" / case / "run.ctl", proof=False)
    assert "run_data.csv" not in found.files
    assert found.report.exit_code == 1
    assert not found.report.proof.done
    same = found.files["run_model.txt"] == with_data.files["run_model.txt"]
    assert same or case in RATES | CHANGES
    assert any(e.reason.startswith(NOT_KNOWN) for e in found.report.of("lossy"))


@pytest.mark.parametrize("case", sorted(set(TWINS) - RATES))
def test_a_stream_without_data_is_that_with_data(case, tmp_path):
    found = convert(without_data(case, "project.mlxtran", tmp_path), to="nonmem", proof=False)
    with_data = convert(FIXTURES / "twins" / case / "project.mlxtran", to="nonmem", proof=False)
    assert found.files == {"project.ctl": with_data.files["project.ctl"]}
    assert found.report.exit_code == 1


def test_both_are_compared_at_records_made_up_from_the_text(tmp_path):
    proof = convert(without_data("oral_lag", "run.ctl", tmp_path)).report.proof
    assert "the two predict the same" in proof.sentence
    assert not proof.done


def test_data_that_are_there_but_wrong_are_an_error(tmp_path):
    path = without_data("oral_lag", "run.ctl", tmp_path)
    (tmp_path / "data.csv").write_text("")
    with pytest.raises(DataError, match="is empty"):
        convert(path)


# results of other tools

PROJECT = FIXTURES / "twins" / "oral_lag"
FOUND = {"Tlag_pop": 0.6, "ka_pop": 1.1, "V_pop": 29, "beta_V_lw70": 1, "Cl_pop": 3.1, "beta_Cl_lw70": 0.8, "a": 0.4,
         "b": 0.1, "omega_Tlag": 0.2, "omega_ka": 0.5, "omega_V": 0.3, "omega_Cl": 0.25}  # fmt: skip


def results(folder: Path) -> Path:
    lines = [f"{name},{value}" for name, value in FOUND.items()]
    (folder / "results").mkdir()
    (folder / "results" / "populationParameters.txt").write_text("\n".join(["parameter,value", *lines]) + "\n")
    return folder / "results"


@pytest.mark.parametrize("file", ["run.ctl", "project.mlxtran"])
@pytest.mark.parametrize("name", ["", "populationParameters.txt"])
def test_standard_deviations_of_a_results_folder_are_squared(file, name, tmp_path):
    from nlmevae.at_parameters import parameter_values

    model = model_at(pipeline.read_model(PROJECT / file), parameter_values(results(tmp_path) / name))
    assert [round(b.matrix[0][0], 12) for b in model.omega] == [0.04, 0.25, 0.09, 0.0625]
    assert [t.init for t in model.thetas[:3]] == [0.6, 1.1, 29]


def test_a_correlation_of_a_results_folder_is_a_covariance_of_a_stream(tmp_path):
    from nlmevae.at_parameters import parameter_values

    text = (PROJECT / "run.ctl").read_text()
    start = text.index("$OMEGA")
    end = text.index("$SIGMA")
    block = "$OMEGA 0.09 ; omega_Tlag\n$OMEGA 0.16 ; omega_ka\n$OMEGA BLOCK(2)\n0.04 ; omega_V\n0.01 0.09 ; omega_Cl\n"
    path = tmp_path / "run.ctl"
    path.write_text(text[:start] + block + text[end:])
    folder = results(tmp_path)
    with (folder / "populationParameters.txt").open("a") as file:
        file.write("corr_V_Cl,0.5\n")
    model = model_at(pipeline.read_model(path), parameter_values(folder))
    assert model.omega[-1].matrix[1][0] == pytest.approx(0.5 * 0.3 * 0.25, rel=1e-12)


def test_a_folder_without_results_is_a_data_error(tmp_path):
    from nlmevae.at_parameters import parameter_values

    with pytest.raises(DataError):
        parameter_values(tmp_path)


def test_a_project_with_a_prior_is_read_and_not_fitted():
    from nlmevae.errors import UnsupportedError

    model = pipeline.read_model(FIXTURES / "syntax" / "mlxtran" / "accepted" / "priors.mlxtran")
    with pytest.raises(UnsupportedError, match=r"a prior distribution \(\[POPULATION\]\)"):
        pipeline.require_no_prior(model)
