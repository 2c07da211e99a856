"""Our result beside those of other programs: relations, likelihoods by method, one BICc, what makes them differ."""

import csv
import io
import json
import math
from dataclasses import replace

import pytest

from nlmevae.cli.main import main
from nlmevae.comparing import compare_results, read_ours
from nlmevae.errors import DataError, SettingsError
from nlmevae.results.likelihood_names import LABELS
from nlmevae.writers.comparison_files import comparison_csv_text, comparison_json_text
from nlmevae.writers.results_json import write_results_json
from nlmevae.writers.selection_json import write_selection_json
from tests.helpers import foreign_results as foreign
from tests.helpers.selection_results import make_selection

N, N_OBS, K_RANDOM, K_FIXED = 12, 120, 5, 4


@pytest.fixture
def ours(tmp_path):
    """Theophylline: KA~WT and V~WT of KA, K, V by WT, SEX; 3 omegas and 2 effects, 3 typical values and one error."""
    selection = make_selection()
    fit = replace(
        selection.fit,
        n_subjects=N,
        n_obs_total=N_OBS,
        likelihoods=tuple(map(likelihood, *zip(("is", 331.9), ("lin", 330.5), ("focei", 330.6), strict=True))),
    )
    path = tmp_path / "run1_selected.selection.json"
    write_selection_json(path, replace(selection, fit=fit))
    return path


def likelihood(method, value):
    from nlmevae.results.fit_result import LikelihoodValue

    k = K_RANDOM + K_FIXED
    bicc = value + K_RANDOM * math.log(N) + K_FIXED * math.log(N_OBS)
    return LikelihoodValue(
        method=method, minus_two_ll=value, mc_se=0.01, aic=value + 2 * k, bic=value + k * math.log(N), bicc=bicc
    )


def test_parameters_are_counted_from_our_criteria(ours):
    result = read_ours(ours).result
    assert (result.random_part, result.fixed_part) == (K_RANDOM, K_FIXED)


def test_relations_agree_are_missed_or_extra(ours, tmp_path):
    comparison = compare_results(
        ours, scm=foreign.scm_folder(tmp_path / "scm"), covsearch=foreign.covsearch_folder(tmp_path / "cs")
    )
    by_name = {r.name: r for r in comparison.relations}
    assert by_name["KA~WT"].status == ("selected", "left out", "left out")
    assert by_name["KA~WT"].verdict == ("", "missed", "missed")
    assert by_name["V~WT"].verdict == ("", "agree", "agree")
    assert by_name["K~WT"].status == ("left out", "not searched", "not searched")
    assert [(t.n_agree, t.n_missed, t.n_extra) for t in comparison.tools[1:]] == [(1, 1, 0), (1, 1, 0)]


def test_an_effect_that_only_the_other_has_is_extra(ours, tmp_path):
    interchange = {**foreign.INTERCHANGE, "params": ["ka", "V"]}
    interchange["runs"] = [{"m2ll": 330.0, "matrix": [[1, 1], [1, 0]]}]
    (tmp_path / "c.json").write_text(json.dumps({**interchange, "final": 1}))
    comparison = compare_results(ours, cossac=tmp_path / "c.json")
    assert {r.name: r.verdict[1] for r in comparison.relations if r.status[1] == "selected"} == {
        "KA~WT": "agree",
        "V~WT": "agree",
        "KA~SEX": "extra",
    }


def test_bicc_is_computed_by_one_convention(ours, tmp_path):
    """SAMBA has V~WT only: one coefficient on a parameter with a random effect less than ours, log(12) less."""
    (tmp_path / "summary.txt").write_text(foreign.SAMBA_SUMMARY)
    comparison = compare_results(ours, samba=tmp_path)
    own, samba = comparison.tools
    assert (samba.random_part, samba.fixed_part) == (K_RANDOM - 1, K_FIXED)
    assert samba.likelihoods[0].bicc == pytest.approx(335.1 + 4 * math.log(N) + 4 * math.log(N_OBS))
    assert own.likelihoods[0].bicc == pytest.approx(331.9 + 5 * math.log(N) + 4 * math.log(N_OBS))
    assert samba.result.criteria["BICc"] == 364.2
    assert "logtWT is taken for WT" in comparison.flags[0]


def test_only_likelihoods_of_one_method_are_subtracted(ours, tmp_path):
    (tmp_path / "is").mkdir()
    monolix = foreign.monolix_folder(tmp_path / "is", minus_two_ll=333.4)
    file = monolix / "LogLikelihood" / "logLikelihood.txt"
    comparison = compare_results(ours, monolix=monolix, names={"Cl": "K"})
    assert [(v.method, pytest.approx(v.difference)) for v in comparison.tools[1].likelihoods] == [("is", 1.5)]
    file.write_text(file.read_text().replace("importanceSampling", "linearization"))
    comparison = compare_results(ours, monolix=monolix, names={"Cl": "K"})
    assert [(v.method, pytest.approx(v.difference)) for v in comparison.tools[1].likelihoods] == [
        ("lin", 333.4 - 330.5)
    ]
    file.write_text(file.read_text().replace("linearization", "somethingElse"))
    comparison = compare_results(ours, monolix=monolix, names={"Cl": "K"})
    assert math.isnan(comparison.tools[1].likelihoods[0].difference)


def test_no_pair_of_methods_is_ever_mixed(ours, tmp_path):
    """Every method that NONMEM may have used, against ours."""
    for method in ("focei", "foce", "fo", "foi", "laplace", "is"):
        comparison = compare_results(ours, scm=scm_log_only(tmp_path), ofv_method=method)
        own = {v.method: v.minus_two_ll for v in comparison.tools[0].likelihoods}
        (value,) = comparison.tools[1].likelihoods
        assert value.method == method
        assert value.minus_two_ll == pytest.approx(102.5 + N_OBS * math.log(2 * math.pi))
        if method in own:
            assert value.difference == pytest.approx(value.minus_two_ll - own[method])
        else:
            assert math.isnan(value.difference)


def scm_log_only(tmp_path):
    (tmp_path / "scmlog.txt").write_text(foreign.scm_log())
    return tmp_path / "scmlog.txt"


def test_an_ofv_without_a_method_is_shown_and_not_compared(ours, tmp_path):
    comparison = compare_results(ours, scm=scm_log_only(tmp_path))
    assert comparison.tools[1].likelihoods == ()
    assert [v.value for v in comparison.tools[1].unclear] == [102.5]


def test_other_searches_and_forms_are_flagged(ours, tmp_path):
    comparison = compare_results(ours, covsearch=foreign.covsearch_folder(tmp_path / "cs"))
    flags = "\n".join(comparison.flags)
    assert "covsearch did not search KA~SEX, K~WT, K~SEX, V~SEX" in flags
    assert "V~WT exponential, ours power" in flags


def test_other_data_are_flagged_and_not_compared(ours, tmp_path):
    folder = foreign.monolix_folder(tmp_path)
    (folder / "summary.txt").write_text("Monolix version : 2023R1\nNumber of individuals: 32\n")
    comparison = compare_results(ours, monolix=folder)
    assert "other data" in comparison.flags[0]
    assert math.isnan(comparison.tools[1].likelihoods[0].difference)


def test_another_base_model_has_no_bicc(ours, tmp_path):
    document = foreign.covsearch_document()
    document["summary_tool"]["data"][1]["n_params"] = 12
    (tmp_path / "results.json").write_text(json.dumps(document))
    comparison = compare_results(ours, covsearch=tmp_path, ofv_method="focei")
    assert "covsearch estimates 12 parameters, our model with its effects has 8" in comparison.flags[0]
    assert math.isnan(comparison.tools[1].likelihoods[0].bicc)


def test_the_result_of_another_model_is_told(ours, tmp_path):
    document = {**foreign.INTERCHANGE, "params": ["Emax", "EC50"]}
    (tmp_path / "c.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="is the result of another model"):
        compare_results(ours, cossac=tmp_path / "c.json")


def test_a_run_of_another_model_is_told_by_its_parameters(ours, tmp_path):
    (tmp_path / "run7.ext").write_text(foreign.ext_text(100.0))
    (tmp_path / "run7.ctl").write_text(
        "$PROBLEM other\n$INPUT ID TIME DV\n$DATA d.csv\n$PRED\nBASE = THETA(1)*EXP(ETA(1))\nY = BASE + EPS(1)\n"
        "$THETA (0,1)\n$OMEGA 0.1\n$SIGMA 0.1\n"
    )
    with pytest.raises(DataError, match="it has the parameters BASE, and ours"):
        compare_results(ours, nonmem=tmp_path / "run7.ext")
    (tmp_path / "run7.ctl").write_text("$PROBLEM\n$PRED\nY = FOO(1)\n")
    comparison = compare_results(ours, nonmem=tmp_path / "run7.ext")
    assert "cannot be read, so its effects are not known" in comparison.tools[1].result.notes[-1]


def test_names_are_told(ours, tmp_path):
    document = {**foreign.INTERCHANGE, "params": ["ka", "Vol"], "covs": ["weight", "SEX"]}
    (tmp_path / "c.json").write_text(json.dumps(document))
    comparison = compare_results(ours, cossac=tmp_path / "c.json", names={"vol": "V", "weight": "WT"})
    assert {r.name for r in comparison.relations if r.status[1] == "selected"} == {"V~WT"}


def test_two_results_of_one_program_have_numbers(ours, tmp_path):
    log = scm_log_only(tmp_path)
    comparison = compare_results(ours, scm=[log, log])
    assert comparison.names == ("nlmevae", "PsN scm 1", "PsN scm 2")


def test_a_plain_fit_is_compared_without_relations(ours, tmp_path):
    write_results_json(tmp_path / "run1.results.json", make_selection().fit)
    comparison = compare_results(tmp_path / "run1.results.json", scm=scm_log_only(tmp_path))
    assert comparison.tools[0].result.relations is None
    assert {r.verdict[1] for r in comparison.relations} == {""}


def test_files_have_what_the_table_has(ours, tmp_path):
    comparison = compare_results(ours, scm=foreign.scm_folder(tmp_path / "scm"))
    document = json.loads(comparison_json_text(comparison))
    assert document["tools"][1]["result"]["n_runs"] == 10
    assert len(document["tools"][1]["result"]["tests"]) == 9
    rows = list(csv.DictReader(io.StringIO(comparison_csv_text(comparison))))
    assert {(r["name"], r["tool"], r["value"], r["detail"]) for r in rows if r["kind"] == "relation"} >= {
        ("KA~WT", "PsN scm", "left out", "missed"),
        ("V~WT", "PsN scm", "selected", "agree"),
    }
    assert [r["value"] for r in rows if (r["kind"], r["tool"]) == ("seconds", "PsN scm")] == ["125.0"]
    own = [float(r["value"]) for r in rows if (r["kind"], r["name"], r["tool"]) == ("minus_two_ll", "is", "nlmevae")]
    assert own == [331.9]


def test_the_verb(ours, tmp_path, capsys):
    line = ["compare", str(ours), "--scm", str(foreign.scm_folder(tmp_path / "scm")), "--csv", str(tmp_path / "c.csv")]
    assert main([*line, "--json", str(tmp_path / "c.json")]) == 0
    shown = capsys.readouterr()
    assert "KA ~ WT            x        - missed" in shown.out
    assert LABELS["focei"] in shown.out
    assert "warning: search spaces differ: PsN scm did not search" in shown.err
    assert (tmp_path / "c.csv").read_text().startswith("kind,name,tool,value,detail\n")
    assert json.loads((tmp_path / "c.json").read_text())["kind"] == "comparison"


def test_what_is_wrong_is_a_sentence(ours, tmp_path, capsys):
    for line, words in (
        ([str(ours)], "nothing to compare with"),
        ([str(ours), "--scm", str(tmp_path / "none")], "there is no folder"),
        ([str(ours), "--nonmem", str(ours)], "stands before the line ITERATION"),
        ([str(tmp_path / "none.json"), "--scm", str(tmp_path)], "cannot read"),
        ([str(ours), "--scm", str(tmp_path), "--names", "x"], "is not THEIRS=OURS"),
        ([str(ours), "--scm", str(tmp_path), "--json", str(ours)], "is an input of the comparison"),
    ):
        assert main(["compare", *line]) == 2
        assert words in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["compare", str(tmp_path / "empty"), "--scm", str(tmp_path)]) == 2
    assert "has no result of nlmevae" in capsys.readouterr().err
    with pytest.raises(SettingsError, match="no kind of result"):
        compare_results(ours, saem=tmp_path)
