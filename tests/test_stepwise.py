"""Stepwise baselines end to end, on theophylline (published: 331.9 and BICc 363.5 with KA~WT and V~WT)."""

import json
import math
from pathlib import Path

import pytest

from nlmevae.cli.main import main
from nlmevae.comparing import compare_results
from nlmevae.comparison.psn_scm import read_scm_run
from nlmevae.comparison.rsmlx_search import read_cossac, read_samba
from nlmevae.errors import SettingsError
from nlmevae.pipeline import prepare_selection
from nlmevae.stepwise import scm_plan, stepwise

ROOT = Path(__file__).parents[1]
THEOPHYLLINE = ROOT / "fixtures/theophylline/run_base.ctl"
EFFECTS = "KA~WT,V~WT"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of each method, by the command line."""
    parent = tmp_path_factory.mktemp("stepwise")
    line = ["--effects", EFFECTS, "--covariance", "none", "--quiet"]
    fast = {"final_draws": 1024, "burn_in_iterations": 10, "training_iterations": 20, "n_alternatives": 1}
    line += [word for name, value in fast.items() for word in ("--set", f"{name}={value}")]
    ways = {
        "scm": ["--p-forward", "0.1", "--p-backward", "0.1"],
        "scm_bicc": ["--criterion", "bicc"],
        "cossac": [],
        "samba": [],
    }
    for way, own in ways.items():
        assert main([way.partition("_")[0], str(THEOPHYLLINE), *line, *own, "--out", str(parent / way)]) == 0
    return parent


def test_all_find_the_published_model(folder):
    for method in ("scm", "scm_bicc", "cossac", "samba"):
        document = json.loads((folder / method / "run_base_selected.selection.json").read_text())
        assert document["support"] == ["KA~WT", "V~WT"]
        values = {v["method"]: v for v in document["fit"]["likelihoods"]}
        assert values["is"]["minus_two_ll"] == pytest.approx(331.9, abs=0.2)
        assert values["is"]["bicc"] == pytest.approx(363.5, abs=0.2)


def test_the_log_is_read_as_one_of_psn(folder):
    result = read_scm_run(folder / "scm")
    assert {r.pair for r in result.relations} == {("KA", "WT"), ("V", "WT")}
    assert [(t.step, t.backward, t.parameter, t.chosen) for t in result.tests] == [
        (1, False, "KA", True), (1, False, "V", False), (2, False, "V", True),
        (3, True, "KA", False), (3, True, "V", False),
    ]  # fmt: skip
    assert result.criteria["OFV"] == pytest.approx(331.9 - 120 * 1.8378770664093453, abs=0.2)


def test_the_log_by_a_criterion_says_so_and_is_read(folder):
    text = (folder / "scm_bicc" / "scmlog.txt").read_text()
    assert text.startswith("nlmevae scm: criterion bicc; 4 models estimated in ")
    assert "PVAL" not in text
    result = read_scm_run(folder / "scm_bicc")
    assert (result.tool, result.n_runs, result.notes) == ("SCM (bicc)", 4, ())
    assert result.seconds > 0.0
    assert [(v.method, v.with_constant) for v in result.likelihoods] == [("is", False)]
    assert {round(abs(t.goal), 5) for t in result.tests} == {round(math.log(12), 5)}
    assert {r.pair for r in result.relations} == {("KA", "WT"), ("V", "WT")}
    assert json.loads((folder / "scm_bicc" / "run_base_selected.selection.json").read_text())["criterion"] == "bicc"


def test_a_search_that_selects_nothing_is_no_search_that_tells_nothing(tmp_path):
    line = ["scm", str(THEOPHYLLINE), "--effects", EFFECTS, "--covariance", "none", "--out", str(tmp_path)]
    assert main([*line, "--direction", "forward", "--p-forward", "0.001", "--quiet", "--set", "final_draws=256"]) == 0
    result = read_scm_run(tmp_path)
    assert (result.tool, result.relations, result.n_runs) == ("SCM (lrt)", (), 3)
    assert result.tested == (("KA", "WT"), ("V", "WT"))


@pytest.mark.slow
@pytest.mark.parametrize(("covariates", "n_runs"), [("WT", 7), ("WT,SEX", 16)])
def test_one_run_and_the_three_searches_agree(covariates, n_runs, tmp_path):
    """At the default settings. Table 1 of Rohleff et al. (2025) has 16 runs of SCM by BICc for six effects. -2LL within
    0.1: seven Monte-Carlo errors of 0.015, and nothing beside 2.48, which an effect must be worth."""
    ways = {"select": [], "scm": ["--criterion", "bicc"], "cossac": [], "samba": []}
    line = [str(THEOPHYLLINE), "--covariates", covariates, "--parameters", "KA,K,V", "--quiet"]
    found = {}
    for way, own in ways.items():
        assert main([way, *line, *own, "--out", str(tmp_path / way)]) == 0
        document = json.loads((tmp_path / way / "run_base_selected.selection.json").read_text())
        assert document["support"] == ["KA~WT", "V~WT"], way
        found[way] = next(v for v in document["fit"]["likelihoods"] if v["method"] == "is")
    for way, value in found.items():
        assert value["minus_two_ll"] == pytest.approx(found["select"]["minus_two_ll"], abs=0.1), way
        assert value["minus_two_ll"] == pytest.approx(331.918, abs=0.1), way  # exact, by fixtures/.../expected.toml
        assert value["bicc"] == pytest.approx(363.493, abs=0.1), way
    others = {"scm": str(tmp_path / "scm"), "cossac": str(tmp_path / "cossac"), "samba": str(tmp_path / "samba")}
    tools = compare_results(tmp_path / "select", **others).tools
    assert [t.result.n_runs for t in tools][:2] == [1, n_runs]


def test_cossac_and_samba_are_read_in_the_exchange_format(folder):
    for read, method in ((read_cossac, "cossac"), (read_samba, "samba")):
        result = read(folder / method / f"{method}.json")
        assert {r.pair for r in result.relations} == {("KA", "WT"), ("V", "WT")}
        assert result.likelihoods[0].method == "is"
        assert result.n_runs >= 2


def test_they_are_compared(folder, capsys):
    line = ["--scm", str(folder / "scm"), "--ofv-method", "is", "--cossac", str(folder / "cossac" / "cossac.json")]
    assert main(["compare", str(folder / "samba"), *line]) == 0
    shown = capsys.readouterr().out
    assert "missed " not in shown.replace("missed and", "").replace("missed  extra", "")


def test_other_programs_models_are_evaluated_by_our_likelihood(folder, capsys):
    """A run in NONMEM's layout: its OBJ is importance sampling at the same estimates, with other random numbers."""
    line = ["compare", str(folder / "samba"), "--nonmem", str(folder / "scm" / "run_base_selected.ext"), "--reevaluate"]
    assert main([*line, "--json", str(folder / "c.json")]) == 0
    tool = json.loads((folder / "c.json").read_text())["tools"][1]
    stated, ours = tool["likelihoods"]
    assert (ours["by"], ours["method"]) == ("nlmevae", "is")
    assert ours["minus_two_ll"] == pytest.approx(stated["minus_two_ll"], abs=0.2)
    assert ours["bicc"] == pytest.approx(363.5, abs=0.3)
    assert "at its estimates by nlmevae" in capsys.readouterr().out


WRONG = [
    ({"method": "samba", "p_forward": 0.1}, "samba chooses by BICc"),
    ({"method": "scm", "p_forward": 1.5}, "p_forward is 1.5"),
    ({"method": "scm", "criterion": "bicc", "p_forward": 0.1}, "criterion bicc decides without them"),
    ({"method": "scm", "criterion": "lrt:0.01"}, "criterion is 'lrt:0.01'"),
    ({"method": "cossac", "criterion": "aic"}, "cossac has no choice of criteria"),
    ({"method": "scm", "direction": "up"}, "direction is 'up'"),
    ({"method": "scm", "p_backward": 0.0}, "p_backward is 0"),
    ({"method": "cossac", "direction": "forward"}, "cossac has no direction"),
    ({"method": "scm", "direction": "backward", "forms": "power,exponential"}, "some have several forms"),
]


@pytest.mark.parametrize(("options", "words"), WRONG)
def test_impossible_options_are_told_before_anything_is_fitted(options, words):
    with pytest.raises(SettingsError, match=words):
        stepwise(THEOPHYLLINE, **{"covariates": "WT", **options})


def test_the_published_algorithm_maximises_no_likelihood(tmp_path, capsys):
    line = ["scm", str(THEOPHYLLINE), "--covariates", "WT", "--set", "method=vae", "--out", str(tmp_path)]
    assert main(line) == 2
    assert "method vae does not maximise" in capsys.readouterr().err


def test_a_file_of_scm_says_what_scm_does(tmp_path):
    text = (
        "search_direction=backward\np_backward=0.05\ncontinuous_covariates=WT\n[test_relations]\nKA=WT\nV=WT\n"
        "[valid_states]\ncontinuous=1,4,5\n[included_relations]\nV=WT-5\n"
    )
    (tmp_path / "run.scm").write_text(text)
    prepared = prepare_selection(THEOPHYLLINE, scm_file=tmp_path / "run.scm")
    plan = scm_plan(tmp_path / "run.scm", prepared)
    assert (plan.p_forward, plan.p_backward, plan.direction) == (None, 0.05, "backward")
    assert plan.start == ("V~WT:power",)
    for more, words in (("gof=ofv", "by limits of OFV"), ("max_steps=3", "max_steps=3")):
        (tmp_path / "run.scm").write_text(f"{more}\n{text}")
        with pytest.raises(SettingsError, match=words):
            scm_plan(tmp_path / "run.scm", prepared)
