"""A fit written as Monolix writes it: our reader and a hand-made one find the same, numbers agree with each other, with
exact formulas, and at Monolix's own estimates with Monolix."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nlmevae import fit, monolix_folder
from nlmevae.cli.main import main
from nlmevae.comparison.monolix_folder import read_monolix_folder
from nlmevae.errors import OutputError
from nlmevae.results.monolix_names import MonolixNames
from nlmevae.writers.results_json import read_results_json
from tests.helpers import parent_metabolite
from tests.helpers.monolix_reference import folder as reference_folder
from tests.helpers.monolix_reference import stage_phenobarbital, stage_warfarin

FIXTURES = Path(__file__).parents[1] / "fixtures"
SHORT = ["burn_in_iterations=4", "training_iterations=6", "max_outer=2", "final_draws=512", "n_draws=64"]
LINE = [word for pair in SHORT for word in ("--set", pair)]
#: Six digits are printed.
PRINTED = 1e-5


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short fit of theophylline with its folder: (folder, result)."""
    base = tmp_path_factory.mktemp("run")
    for name in ("run_wt.ctl", "theophylline.csv"):
        shutil.copy(FIXTURES / "theophylline" / name, base)
    line = ["fit", str(base / "run_wt.ctl"), "--quiet", "--monolix-folder", str(base / "monolix"), *LINE]
    assert main(line) in (0, 1)
    return base / "monolix", read_results_json(base / "run_wt.results.json")


def table(run, name):
    return pd.read_csv(run[0] / name)


def test_both_readers_find_the_result(run):
    path, result = run
    ours, theirs = read_monolix_folder(path), table(run, "populationParameters.txt").set_index("parameter")
    names = ["KA_pop", "WT_ON_KA", "K_pop", "V_pop", "WT_ON_V", "omega_KA", "omega_K", "omega_V", "a"]
    assert [p.name for p in ours.parameters] == list(theirs.index) == names
    theta, sd = result.thetas, np.sqrt(np.diag(result.omega))
    expected = [theta[0], theta[3], theta[1], theta[2], theta[4], *sd, math.sqrt(result.sigma[0, 0])]
    assert list(theirs["value"]) == pytest.approx(expected, rel=1e-14)
    assert [p.value for p in ours.parameters] == list(theirs["value"])
    assert [p.standard_error for p in ours.parameters] == list(theirs["se_sa"])
    assert not any(p.fixed for p in ours.parameters)
    assert ours.by_nlmevae
    assert ours.error_method == "sa"
    assert ours.counts == {"individuals": 12, "doses": 12, "Y": 120}


def test_standard_errors_are_those_of_the_fit(run):
    """By formulas of their own: those of THETA are themselves, those of standard deviations are in the result."""
    _, result = run
    known, rows = result.uncertainty, table(run, "populationParameters.txt").set_index("parameter")
    plain = dict(zip(known.names, known.standard_errors, strict=True))
    roots = dict(zip(known.names, known.sd_standard_errors, strict=True))
    assert rows["se_sa"]["KA_pop"] == pytest.approx(plain["THETA(1)"], rel=1e-12)
    assert rows["se_sa"]["WT_ON_V"] == pytest.approx(plain["THETA(5)"], rel=1e-12)
    assert rows["se_sa"]["omega_V"] == pytest.approx(roots["OMEGA(3,3)"], rel=1e-9)
    assert rows["se_sa"]["a"] == pytest.approx(roots["SIGMA(1,1)"], rel=1e-9)
    np.testing.assert_allclose(rows["rse_sa"], 100 * rows["se_sa"] / rows["value"].abs(), rtol=1e-12)
    omegas = rows.loc[["omega_KA", "omega_K", "omega_V"]]
    np.testing.assert_allclose(omegas["CV"], 100 * np.sqrt(np.exp(omegas["value"] ** 2) - 1), rtol=1e-9)
    assert rows["CV"].drop(omegas.index).isna().all()


def test_the_covariance_has_typical_values_as_logarithms(run):
    rows = table(run, "populationParameters.txt").set_index("parameter")
    covariance = pd.read_csv(run[0] / "FisherInformation/covarianceEstimatesSA.txt", header=None, index_col=0)
    correlation = pd.read_csv(run[0] / "FisherInformation/correlationEstimatesSA.txt", header=None, index_col=0)
    errors = np.sqrt(np.diag(covariance))
    scale = [rows["value"][name] if name.endswith("_pop") else 1.0 for name in rows.index]
    np.testing.assert_allclose(errors * scale, rows["se_sa"], rtol=PRINTED)
    np.testing.assert_allclose(covariance / np.outer(errors, errors), correlation, atol=1e-5)
    found = read_monolix_folder(run[0])
    assert found.transformed(found.covariances[0]) is True


def test_likelihood_and_criteria(run):
    _, result = run
    values = table(run, "LogLikelihood/logLikelihood.txt").set_index("criteria")["importanceSampling"]
    each = table(run, "LogLikelihood/individualLL.txt")
    assert each["importanceSampling"].sum() == pytest.approx(values["OFV"], abs=1e-4)
    assert values["OFV"] == pytest.approx(result.minus_two_ll, abs=1e-6)
    assert values["AIC"] == pytest.approx(values["OFV"] + 2 * 9, abs=1e-5)
    assert values["BIC"] == pytest.approx(values["OFV"] + 9 * math.log(12), abs=1e-5)
    # 3 standard deviations and 2 effects, all on parameters with a random effect; 3 typical values and a
    assert values["BICc"] == pytest.approx(values["OFV"] + 5 * math.log(12) + 4 * math.log(120), abs=1e-5)
    assert values["standardError"] == pytest.approx(result.likelihood("is").mc_se, abs=1e-6)


def oral(t, ka, k, v, dose):
    return dose * ka / (v * (ka - k)) * (np.exp(-k * t) - np.exp(-ka * t))


def test_predictions_are_those_of_the_parameters_in_the_folder(run):
    """The exact solution at the parameters of the other files; SAEM columns are those of the mean."""
    data = pd.read_csv(FIXTURES / "theophylline" / "theophylline.csv", na_values=".")
    doses = data[data["AMT"] > 0].groupby("ID")["AMT"].first()
    pop = table(run, "populationParameters.txt").set_index("parameter")["value"]
    people = table(run, "IndividualParameters/estimatedIndividualParameters.txt").set_index("id")
    rows = table(run, "predictions.txt")
    own, t, dose = people.loc[rows["id"]].reset_index(), rows["time"].to_numpy(), doses.loc[rows["id"]].to_numpy()
    lwt = np.log(people["WT"] / 69.5833333333)
    for suffix in ("mode", "mean", "SAEM"):
        f = oral(t, own[f"KA_{suffix}"], own[f"K_{suffix}"], own[f"V_{suffix}"], dose)
        np.testing.assert_allclose(rows[f"indivPred_{suffix}"], f, rtol=3 * PRINTED)
        residual = (rows["Y"] - f) / pop["a"]
        np.testing.assert_allclose(rows[f"indWRes_{suffix}"], residual, rtol=PRINTED, atol=2e-4)  # f cancels
    for column, x in (("popPred", lwt.loc[rows["id"]].to_numpy()), ("popPred_medianCOV", lwt.median())):
        ka, v = pop["KA_pop"] * np.exp(pop["WT_ON_KA"] * x), pop["V_pop"] * np.exp(pop["WT_ON_V"] * x)
        np.testing.assert_allclose(rows[column], oral(t, ka, pop["K_pop"], v, dose), rtol=PRINTED)
    assert list(rows["Y"]) == list(data[data["EVID"] == 0]["DV"])


def test_individual_parameters_are_the_results(run):
    _, result = run
    people, etas = (
        table(run, f"IndividualParameters/estimated{k}.txt") for k in ("IndividualParameters", "RandomEffects")
    )
    found = result.individuals
    blocks = {"mean": found.psi_mean, "mode": found.psi_mode, "sd": found.psi_sd, "SAEM": found.psi_mean}
    for suffix, values in blocks.items():
        for name in ("KA", "K", "V"):
            column = values[:, found.psi_names.index(name)]
            np.testing.assert_allclose(people[f"{name}_{suffix}"], column, rtol=PRINTED)
            assert f"eta_{name}_{suffix}" in etas
    np.testing.assert_allclose(etas["eta_V_mean"], found.eta_mean[:, 2], rtol=PRINTED)
    np.testing.assert_allclose(etas["eta_V_sd"], found.eta_sd[:, 2], rtol=PRINTED)
    assert list(people.columns[-2:]) == ["WT", "SEX"]


def test_draws_are_the_samples_of_the_fit(run):
    _, result = run
    etas = table(run, "IndividualParameters/simulatedRandomEffects.txt")
    drawn = etas["eta_KA"].to_numpy().reshape(12, 10).T
    np.testing.assert_allclose(drawn, result.individuals.eta_samples[:, :, 0], rtol=PRINTED, atol=1e-9)
    assert list(etas["rep"][:11]) == [*range(1, 11), 1]


def test_tests_follow_from_the_other_files(run):
    """By pandas and scipy from the printed draws."""
    etas = table(run, "IndividualParameters/simulatedRandomEffects.txt")
    means = etas.groupby("id", sort=False).mean()
    rows = table(run, "Tests/correlationRandomEffectsCovariates.txt").set_index(["eta", "covariate"])
    r = np.corrcoef(means["eta_V"], means["WT"])[0, 1]
    # draws are printed with six digits; the statistic is a small sum of large terms
    assert rows["statistics"]["eta_V", "WT"] == pytest.approx(r * math.sqrt(10 / (1 - r**2)), abs=1e-4)
    f = stats.f_oneway(*(group for _, group in means.groupby("SEX")["eta_V"]))
    assert rows["p-value"]["eta_V", "SEX"] == pytest.approx(f.pvalue, rel=1e-3)
    normal = table(run, "Tests/normalityRandomEffects.txt").set_index("eta")
    w = [stats.shapiro(group).statistic for _, group in etas.groupby("rep")["eta_KA"]]
    assert normal["statistics"]["eta_KA"] == pytest.approx(np.mean(w), rel=PRINTED)
    parameters = table(run, "IndividualParameters/simulatedIndividualParameters.txt")
    v = np.log(parameters["V"]).groupby(parameters["id"], sort=False).mean()
    found = stats.linregress(np.log(means["WT"]), v)
    rows = table(run, "Tests/correlationIndividualParametersCovariates.txt").set_index("covariate")
    assert rows["statistics"]["WT_ON_V"] == pytest.approx(found.slope / found.stderr, rel=1e-4)
    wald = table(run, "Tests/fixedEffects.txt").set_index("parameter")
    pop = table(run, "populationParameters.txt").set_index("parameter").loc["WT_ON_V"]
    assert wald["statistics(sa)"]["WT_ON_V"] == pytest.approx(abs(pop["value"]) / pop["se_sa"], rel=PRINTED)
    assert list(table(run, "Tests/normalityResiduals.txt")["residuals"]) == ["IWRES_Y", "PWRES_Y", "NPDE_Y"]


def test_shrinkage_is_of_the_variance(run):
    etas = table(run, "IndividualParameters/estimatedRandomEffects.txt")
    omega = table(run, "populationParameters.txt").set_index("parameter")["value"]["omega_KA"]
    rows = table(run, "IndividualParameters/shrinkage.txt").set_index("parameters")
    assert rows["shrinkage_mode"]["KA"] == pytest.approx(
        100 * (1 - etas["eta_KA_mode"].var(ddof=0) / omega**2), abs=1e-3
    )
    assert rows["shrinkage_mean"]["KA"] == pytest.approx(
        100 * (1 - etas["eta_KA_mean"].var(ddof=0) / omega**2), abs=1e-3
    )


def test_the_iterations_end_at_what_was_estimated_last(run):
    _, result = run
    rows = table(run, "ChartsData/Saem/CvParam.txt")
    assert list(rows["iteration"]) == [row.iteration + 1 for row in result.trace]
    assert list(rows["KA_pop"]) == pytest.approx([row.parameters[0] for row in result.trace], rel=PRINTED)
    assert rows["a"].iloc[-1] == pytest.approx(math.sqrt(result.trace[-1].parameters[5]), rel=PRINTED)
    assert list(rows.columns[3:]) == sorted(rows.columns[3:])


def test_the_summary_says_who_wrote_it(run):
    text = (run[0] / "summary.txt").read_text()
    assert "nlmevae estimated this model. Monolix was not run." in text
    assert "Monolix version" not in text


@pytest.fixture(scope="module", params=["w2", "w3", "phenobarbital"])
def at_monolix(request, tmp_path_factory):
    """(our folder at Monolix's estimates, Monolix's folder)."""
    name = request.param
    reference_folder(name)
    base = tmp_path_factory.mktemp(name)
    stream = stage_phenobarbital(base) if name == "phenobarbital" else stage_warfarin(name, base)
    result = fit(stream, samples=10, covariance="none", final_draws=1024)
    monolix_folder(stream, base / "monolix", fit=result)
    return base / "monolix", reference_folder(name), result


def test_predictions_at_monolix_estimates_are_those_of_monolix(at_monolix):
    """Modes are two programs' optima of one function: equal to the root of their tolerances."""
    ours, theirs = (pd.read_csv(path / "predictions.txt") for path in at_monolix[:2])
    assert list(ours["id"]) == list(theirs["id"])
    assert list(ours["time"]) == list(theirs["time"])
    for column in ("popPred", "popPred_medianCOV"):
        np.testing.assert_allclose(ours[column], theirs[column], rtol=PRINTED, atol=1e-9)
    # of some subjects Monolix's mode is another, lower one, or none (specification of the comparison: modes only)
    close = np.isclose(ours["indivPred_mode"], theirs["indivPred_mode"], rtol=1e-3, atol=1e-3)
    assert close.mean() > 0.95
    np.testing.assert_allclose(ours["indWRes_mode"][close], theirs["indWRes_mode"][close], atol=0.02)


def test_individual_parameters_at_monolix_estimates_are_those_of_monolix(at_monolix):
    ours, theirs = (
        pd.read_csv(path / "IndividualParameters" / "estimatedIndividualParameters.txt") for path in at_monolix[:2]
    )
    pairs = {"V": "V", "CL": "Cl", "K": "k"}
    for p, other in [(p, other) for p, other in pairs.items() if f"{p}_mode" in ours]:
        mode = ours[f"{p}_mode"] / theirs[f"{other}_mode"]
        assert mode.median() == pytest.approx(1, abs=1e-4)
        assert (mode.sub(1).abs() < 1e-3).mean() > 0.9
        # Monolix's are averages over some dozen draws: a tenth of their standard deviation is what it can know
        apart = (ours[f"{p}_mean"] - theirs[f"{other}_mean"]) / theirs[f"{other}_sd"]
        assert apart.abs().median() < 0.2
        assert (ours[f"{p}_sd"] / theirs[f"{other}_sd"]).median() == pytest.approx(1, abs=0.1)


def test_likelihood_at_monolix_estimates_is_that_of_monolix(at_monolix):
    """Both exact but for Monte Carlo (w3), or both by linearisation (w2)."""
    _, theirs, result = at_monolix
    value = read_monolix_folder(theirs).likelihoods[0]
    ours = result.likelihood(value.method)
    error = 3 * math.hypot(ours.mc_se, value.mc_se) if value.method == "is" else 1e-3
    assert ours.minus_two_ll == pytest.approx(value.minus_two_ll, abs=error)
    assert ours.bicc - ours.minus_two_ll == pytest.approx(value.bicc - value.minus_two_ll, abs=1e-4)


@pytest.mark.slow  # integrates 80 subjects for every draw: a minute
def test_two_endpoints_with_censored_values_are_those_of_monolix(tmp_path):
    stream = parent_metabolite.write_stream(tmp_path)
    stream.write_text(stream.read_text() + "$ESTIMATION METHOD=1 INTERACTION MAXEVAL=0\n")
    result = fit(stream, samples=10, covariance="none", final_draws=512)
    monolix_folder(stream, tmp_path / "monolix", fit=result)
    pairs = {"y1": "y1_Cp", "y2": "y2_Cm"}
    for own, other in pairs.items():
        ours = pd.read_csv(tmp_path / "monolix" / f"predictions_{own}.txt")
        theirs = pd.read_csv(reference_folder("parent_metabolite") / f"predictions_{other}.txt")
        rows = ours.merge(theirs, on=["id", "time"], suffixes=("", "_m"), validate="one_to_one")
        assert len(rows) == len(ours) == len(theirs)
        for column in ("popPred", "popPred_medianCOV", "indivPred_mode"):
            np.testing.assert_allclose(rows[column], rows[f"{column}_m"], rtol=5 * PRINTED)
        np.testing.assert_allclose(rows["indWRes_mode"], rows["indWRes_mode_m"], atol=1e-3)


def test_without_a_covariance_there_are_two_columns(at_monolix):
    path, theirs, _ = at_monolix
    assert (path / "populationParameters.txt").read_text().startswith("parameter,value\n")
    assert not (path / "FisherInformation").exists()
    names = list(pd.read_csv(path / "populationParameters.txt")["parameter"])
    assert names[:6] == list(pd.read_csv(theirs / "populationParameters.txt")["parameter"])[:6]


def test_a_folder_of_monolix_is_never_written_to(run, tmp_path):
    base = run[0].parent
    foreign = tmp_path / "results"
    foreign.mkdir()
    (foreign / "populationParameters.txt").write_text("parameter,value\nka_pop,1\n")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="did not write"):
            monolix_folder(base / "run_wt.ctl", foreign, fit=run[1], overwrite=overwrite)
    assert [p.name for p in foreign.iterdir()] == ["populationParameters.txt"]


def test_the_command_stops_before_the_fit(run, tmp_path, capsys):
    foreign = tmp_path / "results"
    foreign.mkdir()
    (foreign / "summary.txt").write_text("Monolix version : 2023R1")
    stream = str(run[0].parent / "run_wt.ctl")
    line = ["fit", stream, "--out", str(tmp_path / "out"), "--monolix-folder", str(foreign), "--overwrite", *LINE]
    assert main(line) == 2
    assert "did not write" in capsys.readouterr().err
    assert main([*line[:-1], line[-1], "--monolix-folder", stream]) == 2
    assert "is not a folder" in capsys.readouterr().err
    assert list((tmp_path / "out").glob("*.ext")) == []


def test_our_own_folder_is_replaced_when_asked_to_and_leaves_what_is_not_ours(run, tmp_path):
    path, result = run
    base = tmp_path / "copy"
    shutil.copytree(path, base)
    (base / "notes.txt").write_text("mine")
    listed = json.loads((base / "nlmevae-files.json").read_text())
    (base / "nlmevae-files.json").write_text(json.dumps({**listed, "files": [*listed["files"], "../outside.txt"]}))
    (tmp_path / "outside.txt").write_text("not ours")
    with pytest.raises(OutputError, match="earlier run of nlmevae"):
        monolix_folder(path.parent / "run_wt.ctl", base, fit=result)
    written = monolix_folder(path.parent / "run_wt.ctl", base, fit=result, overwrite=True)
    assert set(written) == {p for p in base.rglob("*") if p.is_file()} - {base / "notes.txt"}
    assert (base / "notes.txt").read_text() == "mine"
    assert (tmp_path / "outside.txt").read_text() == "not ours"
    # the same fit, the same numbers
    for name in ("populationParameters.txt", "predictions.txt", "Tests/normalityResiduals.txt"):
        assert (base / name).read_text() == (path / name).read_text()


def test_a_projects_own_names_and_categories_are_in_the_files(run, tmp_path):
    names = MonolixNames(shown={"KA": "ka", "V": "Vol", "Y": "concentration"}, categories={"SEX": ("F", "M")})
    monolix_folder(run[0].parent / "run_wt.ctl", tmp_path / "m", fit=run[1], names=names)
    found = read_monolix_folder(tmp_path / "m")
    assert [p.name for p in found.parameters][:4] == ["ka_pop", "WT_ON_KA", "K_pop", "Vol_pop"]
    assert {"ka_mode", "Vol_mode", "K_mode"} <= set(found.individuals.columns)
    assert {"eta_ka_mode", "eta_Vol_mode"} <= set(found.random_effects.columns)
    assert set(found.individuals.texts("SEX")) == {"F", "M"}
    assert list(found.predictions) == ["concentration"]
    assert found.tests["normalityResiduals"].texts("residuals")[0] == "IWRES_concentration"
    assert set(found.tests["correlationIndividualParametersCovariates"].texts("parameter")) == {"ka", "Vol"}


def test_without_samples_nothing_is_drawn_and_nothing_of_draws_is_tested(run, tmp_path):
    import dataclasses

    people = dataclasses.replace(run[1].individuals, eta_samples=np.empty((0, 0, 0)), psi_samples=np.empty((0, 0, 0)))
    result = dataclasses.replace(run[1], individuals=people)
    monolix_folder(run[0].parent / "run_wt.ctl", tmp_path / "m", fit=result)
    assert sorted(p.name for p in (tmp_path / "m" / "Tests").iterdir()) == ["fixedEffects.txt"]
    assert not list((tmp_path / "m" / "IndividualParameters").glob("simulated*"))
    shrinkage = pd.read_csv(tmp_path / "m" / "IndividualParameters" / "shrinkage.txt")
    assert shrinkage["shrinkage_condDist"].isna().all()
