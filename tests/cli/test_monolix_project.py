"""What a Monolix user types: nlmevae VERB project.mlxtran."""

import csv
import json
import subprocess
import sys

import pytest

from nlmevae.cli.main import main
from nlmevae.comparison.monolix_folder import read_monolix_folder
from tests.helpers.monolix_runs import short_line, stage_project


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """The project after a short fit; its folder."""
    path = stage_project(tmp_path_factory.mktemp("project"))
    assert main(short_line("fit", str(path))) in (0, 1)
    return path.parent


def test_a_fit_writes_the_results_folder_the_project_names(fitted):
    found = read_monolix_folder(fitted / "theophylline")
    assert [p.name for p in found.parameters] == [
        "ka_pop", "V_pop", "beta_V_logWT", "Cl_pop", "omega_ka", "omega_V", "omega_Cl", "a", "b",
    ]  # fmt: skip
    assert found.counts == {"individuals": 12, "doses": 12, "concentration": 120}
    assert (fitted / "theophylline.results.json").is_file()
    assert (fitted / "theophylline.ext").is_file()


def test_covariates_of_the_folder_are_those_of_the_project(fitted):
    with (fitted / "theophylline" / "IndividualParameters" / "estimatedIndividualParameters.txt").open() as stream:
        first = next(csv.DictReader(stream))
    assert list(first)[-4:] == ["WT", "logWT", "SEX", "Gender"]
    assert first["WT"] == "79.6"
    assert float(first["logWT"]) == pytest.approx(0.128518850801, rel=1e-11)  # log(79.6 / 70)
    assert (first["SEX"], first["Gender"]) == ("1", "male")
    tests = (fitted / "theophylline" / "Tests" / "correlationRandomEffectsCovariates.txt").read_text()
    assert {line.split(",")[1] for line in tests.splitlines()[1:]} == {"WT", "logWT", "SEX", "Gender"}


def test_a_second_fit_replaces_our_folder_and_never_another_program_s(tmp_path, capsys):
    path = stage_project(tmp_path, ("populationParameters()", "populationParameters(run=false)"))
    foreign = path.parent / "theophylline"
    foreign.mkdir()
    (foreign / "populationParameters.txt").write_text("parameter,value\nka_pop,1\n")
    for _ in range(2):
        assert main(short_line("fit", str(path), "--overwrite")) in (0, 1)
        assert "theophylline_nlmevae" in capsys.readouterr().err
    assert [p.name for p in foreign.iterdir()] == ["populationParameters.txt"]
    assert (foreign / "populationParameters.txt").read_text() == "parameter,value\nka_pop,1\n"
    assert read_monolix_folder(path.parent / "theophylline_nlmevae").by_nlmevae


def test_out_holds_the_folder_too(tmp_path):
    path = stage_project(tmp_path, ("populationParameters()", "populationParameters(run=false)"))
    main(short_line("fit", str(path), "--out", str(tmp_path / "out")))
    assert (tmp_path / "out" / "theophylline" / "summary.txt").is_file()
    assert not (path.parent / "theophylline").exists()


def test_a_path_of_another_machine_is_a_folder_beside_the_project(tmp_path):
    run_false = ("populationParameters()", "populationParameters(run=false)")
    path = stage_project(tmp_path, run_false, ("exportpath = 'theophylline'", r"exportpath = 'C:\runs\run7'"))
    main(short_line("fit", str(path)))
    assert (path.parent / "run7" / "summary.txt").is_file()


def test_tasks_decide_what_is_computed(tmp_path):
    path = stage_project(
        tmp_path,
        ("populationParameters()", "populationParameters(run=false)"),
        ("fim(method=StochasticApproximation)\n", ""),
        ("logLikelihood(method=ImportanceSampling)", "logLikelihood(method=Linearization)"),
        ("{conditionalMean, conditionalMode}", "conditionalMode"),
    )
    assert main(short_line("fit", str(path))) in (0, 1)
    folder = path.parent / "theophylline"
    values = dict(line.split(",") for line in (folder / "populationParameters.txt").read_text().splitlines())
    assert {name: float(values[name]) for name in ("ka_pop", "omega_V", "b")} == {
        "ka_pop": 1.5,
        "omega_V": 0.2,
        "b": 0.1,
    }
    assert not (folder / "FisherInformation").exists()
    assert (folder / "LogLikelihood" / "logLikelihood.txt").read_text().startswith("criteria,linearization")
    assert not list((folder / "IndividualParameters").glob("simulated*"))


def test_the_result_is_shown_in_the_names_of_the_project(tmp_path, capsys):
    path = stage_project(tmp_path, ("populationParameters()", "populationParameters(run=false)"))
    main([word for word in short_line("fit", str(path)) if word != "--quiet"])
    shown = capsys.readouterr().out
    assert [word for word in ("THETA(", "OMEGA(", "EPS(", "NONMEM") if word in shown] == []
    row = next(line.split() for line in shown.splitlines() if line.startswith("omega_V "))
    assert row[:3] == ["omega_V", "0.2000", "0.2000"]  # a standard deviation


def test_check_shows_the_project_in_its_own_names(tmp_path, capsys):
    path = stage_project(tmp_path, ("sd=omega_V}", "sd=omega_V}\ncorrelation = {r(V, Cl)=corr_V_Cl}"),
                         ("\na = {value", "\ncorr_V_Cl = {value=0.3, method=MLE}\na = {value"))  # fmt: skip
    assert main(["check", str(path)]) == 0
    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines()]
    assert ["Status", "executable:"] in [row[:2] for row in rows]
    assert ["omega_V", "0.2", "above", "0", "standard", "deviation"] in rows
    assert ["corr_V_Cl", "0.3", "-1", "to", "1", "correlation"] in rows
    assert "concentration: combined1, sd = a + b*|f|" in shown
    assert not any(word in shown for word in ("THETA", "ETA(", "METHOD=", "NONMEM", "$"))


@pytest.mark.parametrize(
    ("old", "new", "tier"),
    [
        ("typical=V_pop", "typical=V_pop}", "not parsed"),
        ("V_pop = {value=30, method=MLE}\n", "", "parsed, not resolved"),
        ("distribution=normal", "distribution=normal, autoCorrCoef=r", "parsed, not executable"),
        ("../theophylline/theophylline.csv", "nowhere.csv", "data not usable"),
    ],
)
def test_check_says_how_far_it_came(tmp_path, capsys, old, new, tier):
    path = stage_project(tmp_path, (old, new))
    assert main(["check", str(path)]) == 2
    out, err = capsys.readouterr()
    assert f"refused: {tier}" in out or (tier == "data not usable" and tier in out)
    assert "-> " in err


def test_check_needs_neither_torch_nor_pharmpy(tmp_path):
    path = stage_project(tmp_path)
    code = (
        "import sys\nfrom nlmevae.cli.main import main\n"
        f"code = main(['check', {str(path)!r}])\n"
        "heavy = [m for m in ('torch', 'pharmpy', 'scipy', 'sympy', 'numba', 'pandas') if m in sys.modules]\n"
        "print(code, heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_tables_say_where_the_predictions_of_a_project_are(fitted, capsys):
    assert main(["tables", str(fitted / "theophylline.mlxtran")]) == 0
    assert "results folder" in capsys.readouterr().err


def test_a_file_of_monolix_gives_standard_deviations(tmp_path, capsys):
    """populationParameters.txt in place of NONMEM's variances: the likelihood is that of the project's own values."""
    path = stage_project(tmp_path)
    values = tmp_path / "populationParameters.txt"
    values.write_text(
        "parameter,value,se_sa,rse_sa\nka_pop,1.5,,\nV_pop,30,,\nbeta_V_logWT,0,,\nCl_pop,3,,\nomega_ka,0.6,,\n"
        "omega_V,0.2,,\nomega_Cl,0.3,,\na,0.5,,\nb,0.1,,\n"
    )
    found = []
    for more in ([], ["--params", str(values)]):
        assert main(["likelihood", str(path), "--method", "lin", *more]) == 0
        shown = capsys.readouterr().out
        found.append(next(line.split()[2:6] for line in shown.splitlines() if line.startswith("lin ")))
        assert "NONMEM" not in shown
    assert found[0] == found[1]


def test_the_other_verbs_run(fitted, tmp_path, capsys):
    project, results = str(fitted / "theophylline.mlxtran"), str(fitted / "theophylline.results.json")
    data = str(fitted.parent / "theophylline" / "theophylline.csv")
    assert main(["predict", project, "--fit", results, "--data", data, "--out", str(tmp_path / "p")]) in (0, 1)
    assert main(["simulate", project, "--fit", results, "--out", str(tmp_path / "simulated.csv")]) == 0
    assert main(["vpc", project, "--fit", results, "--out", str(tmp_path / "v"), "--n", "20"]) == 0
    assert main(["code", project]) == 0
    assert "ka" in capsys.readouterr().out


def test_names_of_derived_quantities_are_the_project_s(tmp_path):
    path = stage_project(tmp_path, ("populationParameters()", "populationParameters(run=false)"))
    assert main(short_line("fit", str(path), "--derive", "LOG(2)*V_pop/Cl_pop")) in (0, 1)
    derived = json.loads((path.parent / "theophylline.results.json").read_text())["derived"]
    assert derived[0]["value"] == pytest.approx(6.931471805599453, rel=1e-12)
    assert main(short_line("fit", str(path), "--derive", "omega_V")) == 2  # SD or variance? OMEGA(2,2) says it
