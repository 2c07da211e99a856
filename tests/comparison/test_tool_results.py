"""Results of other programs are read into one form, or a sentence says why not."""

import json
import math

import pytest

from nlmevae.comparison.monolix_result import read_monolix_result
from nlmevae.comparison.nonmem_result import method_name, read_nonmem_result
from nlmevae.comparison.pharmpy_covsearch import read_covsearch
from nlmevae.comparison.psn_scm import read_scm_run
from nlmevae.comparison.psn_scm_log import read_scm_log
from nlmevae.comparison.rsmlx_search import read_cossac, read_samba
from nlmevae.errors import DataError, NlmevaeError
from tests.helpers import foreign_results as foreign


def read_or_error(read, path):
    try:
        return read(path)
    except NlmevaeError as error:
        return error


def pairs(result):
    return [(r.parameter, r.covariate, r.form) for r in result.relations]


# PsN scm ----------------------------------------------------------------------------------------------
def test_a_scm_run_is_read_step_by_step(tmp_path):
    result = read_scm_run(foreign.scm_folder(tmp_path / "scm_dir1"))
    assert pairs(result) == [("V", "WT", "power")]
    assert (len(result.tests), result.n_runs, result.seconds) == (9, 10, 125.0)
    assert result.criteria == {"OFV": 102.5}
    assert result.relations[0].p_value == 0.008151
    assert result.relations[0].step == 1
    assert result.tested == (("KA", "WT"), ("V", "WT"), ("V", "SEX"))
    failed = result.tests[1]
    assert (failed.covariate, failed.state) == ("SEX", "2")
    assert math.isnan(failed.new)
    assert math.isnan(failed.p_value)
    assert [t.step for t in result.tests if t.chosen] == [1, 2, 4]
    assert [v.method for v in result.likelihoods] == ["focei"]
    assert [(e.name, e.value, e.fixed) for e in result.estimates[:1]] == [("THETA1", 2.0, False)]


def test_a_log_alone_is_enough(tmp_path):
    log = tmp_path / "scmlog1.txt"
    log.write_text(foreign.scm_log())
    result = read_scm_run(log)
    assert pairs(result) == [("V", "WT", "power")]
    assert [v.method for v in result.likelihoods] == [""]


def test_an_ext_of_another_model_is_not_used(tmp_path):
    folder = foreign.scm_folder(tmp_path / "scm_dir1")
    (folder / "final_models" / "final_backward.ext").write_text(foreign.ext_text(99.0))
    result = read_scm_run(folder)
    assert result.estimates == ()
    assert "not the log's" in result.notes[-1]


def test_columns_that_run_into_each_other_are_told_apart(tmp_path):
    text = foreign.scm_step(
        [
            foreign.scm_row("LONGNAMEDISDUR-5", 219210.90878, 219032.86056, 6.6349, 1, "1.29e-40 ", yes=True),
            foreign.scm_row("PHIBAGE-5", 219210.90878, -219210.0, 6.6349, 1, "0.5 ", yes=False),
        ],
        "/d/m1", backward=False, chosen="", value=0.0, relations={},
    )  # fmt: skip
    assert "219210.90878219032.86056" in text.replace("219210.90878 ", "219210.90878")
    (tmp_path / "log").write_text(text.replace("219210.90878 ", "219210.90878"))
    (step,) = read_scm_log(tmp_path / "log")
    assert [(r.name, r.base, r.new) for r in step.rows] == [
        ("LONGNAMEDISDUR", 219210.90878, 219032.86056),
        ("PHIBAGE", 219210.90878, -219210.0),
    ]


def test_relations_that_run_into_each_other_are_told_apart(tmp_path):
    text = foreign.scm_step(
        [foreign.scm_row("PHAMENS-2", 9.0, 2.0, 3.8, 1, "0.001 ", yes=True)],
        "/d/m1", backward=False, chosen="PHA-MENS-2", value=2.0,
        relations={"PHA": ["AGE-5", "DISDUR-5", "MENS-2"], "LONGNAME": ["WT-5"], "SLP": []},
    )  # fmt: skip
    assert "DISDUR-5MENS-2" in text
    (tmp_path / "log").write_text(text)
    (step,) = read_scm_log(tmp_path / "log")
    assert step.included == (("PHA", "AGE", 5), ("PHA", "DISDUR", 5), ("PHA", "MENS", 2), ("", "LONGNAMEWT", 5))
    assert step.parameters == ("PHA", "SLP")


def test_names_are_split_by_what_other_rows_teach(tmp_path):
    """PHIAAGE is PHIA and AGE or PHI and AAGE: AGE is known from another parameter."""
    rows = [foreign.scm_row(f"{n}-5", 9.0, 8.0, 3.8, 1, "0.3 ", yes=False) for n in ("CLAGE", "PHIAAGE", "PHIWT")]
    text = foreign.scm_step(
        rows, "/d/m1", backward=False, chosen="CL-AGE-5", value=8.0,
        relations={"CL": ["AGE-5"], "PHI": [], "PHIA": []},
    )  # fmt: skip
    (tmp_path / "log").write_text(text)
    result = read_scm_run(tmp_path / "log")
    assert [(t.parameter, t.covariate) for t in result.tests] == [("CL", "AGE"), ("PHIA", "AGE"), ("PHI", "WT")]
    assert "last step in the log still changed the model" in result.notes[0]


def test_user_defined_limits_of_ofv_have_no_p_values(tmp_path):
    row = f"CLWT-2         OFV     725.60200   672.98298{52.61902:47.5f}  >   2.84000      YES!  "
    (tmp_path / "log").write_text(f"Model directory /d/m1\n\n{foreign.O_HEAD}\n{row}\n\n--------------------\n")
    (step,) = read_scm_log(tmp_path / "log")
    assert (step.rows[0].drop, step.rows[0].goal, step.rows[0].significant) == (52.61902, 2.84, True)
    assert step.rows[0].df is None


def test_a_log_cut_anywhere_is_an_error_or_says_that_it_may_be(tmp_path):
    """Every prefix: an error, a warning, or (within the last 25 characters) the run itself."""
    folder = foreign.scm_folder(tmp_path / "scm_dir1")
    text = foreign.scm_log()
    for n in range(0, len(text) - 25, 7):
        (folder / "scmlog.txt").write_text(text[:n])
        result = read_or_error(read_scm_run, folder)
        if isinstance(result, NlmevaeError):
            assert result.hint
        else:
            assert any("may not be finished" in note or "still changed the model" in note for note in result.notes)


# Pharmpy covsearch ------------------------------------------------------------------------------------
def test_covsearch_is_read(tmp_path):
    result = read_covsearch(foreign.covsearch_folder(tmp_path / "covsearch"))
    assert pairs(result) == [("V", "WT", "exponential")]
    assert (result.n_runs, result.seconds, result.n_parameters) == (3, 7.5, 8)
    assert result.criteria == {"OFV": 102.5}
    assert (result.estimates[0].name, result.estimates[0].standard_error) == ("POP_V", 1.5)
    assert result.notes == ()


def test_covsearch_without_a_summary_follows_its_steps(tmp_path):
    document = foreign.covsearch_document()
    del document["summary_tool"]
    (tmp_path / "results.json").write_text(json.dumps(document))
    result = read_covsearch(tmp_path)
    assert pairs(result) == [("V", "WT", "exponential")]
    assert (result.n_runs, result.criteria) == (3, {"OFV": 102.5})


def test_covsearch_whose_tables_disagree_says_so(tmp_path):
    document = foreign.covsearch_document()
    document["summary_tool"]["data"][1]["description"] = "(KA-WT-exp)"
    (tmp_path / "results.json").write_text(json.dumps(document))
    assert "disagree" in read_covsearch(tmp_path).notes[0]


# Rsmlx ------------------------------------------------------------------------------------------------
def test_cossac_by_its_summary(tmp_path):
    (tmp_path / "covSearchSummary.txt").write_text(foreign.COSSAC_SUMMARY)
    result = read_cossac(tmp_path)
    assert pairs(result) == [("V", "logtWT", "")]
    assert (result.n_runs, result.seconds, result.criteria) == (4, 35.0, {"OFV": 333.4})
    assert [(t.backward, t.chosen, t.base, t.p_value) for t in result.tests] == [
        (False, True, 339.5, 0.014),
        (True, False, pytest.approx(333.4), 0.014),
    ]
    assert result.likelihoods[0].method == ""


def test_samba_by_its_summary(tmp_path):
    (tmp_path / "buildmlx").mkdir()
    (tmp_path / "buildmlx" / "summary.txt").write_text(foreign.SAMBA_SUMMARY)
    for place in (tmp_path, tmp_path / "buildmlx"):
        result = read_samba(place)
        assert pairs(result) == [("V", "logtWT", "")]
        assert (result.n_runs, result.seconds) == (2, 12.3)
        assert result.tested == (("ka", "SEX"), ("ka", "logtWT"), ("V", "SEX"), ("V", "logtWT"))
        assert [(v.method, v.value) for v in result.likelihoods] == [("is", 335.1)]
        assert result.criteria["BICc"] == 364.2


def test_the_exchange_format(tmp_path):
    file = tmp_path / "cossac.json"
    file.write_text(json.dumps(foreign.INTERCHANGE))
    for place in (file, tmp_path):
        result = read_cossac(place)
        assert pairs(result) == [("V", "WT", "")]
        assert (result.n_runs, result.criteria, result.likelihoods[0].method) == (7, {"BICc": 364.2}, "is")
    with pytest.raises(DataError, match="a result of COSSAC, not of SAMBA"):
        read_samba(file)


def test_the_final_project_of_a_search_is_read_where_nothing_else_is(tmp_path):
    result = read_samba(foreign.monolix_folder(tmp_path))
    assert result.tool == "SAMBA"
    assert result.n_runs is None
    assert ("V", "WT", "power") in pairs(result)


# Monolix ----------------------------------------------------------------------------------------------
def test_a_monolix_folder_with_its_project(tmp_path):
    folder = foreign.monolix_folder(tmp_path)
    for place in (folder, tmp_path / "run.mlxtran"):
        result = read_monolix_result(place)
        assert pairs(result) == [("V", "WT", "power"), ("V", "SEX", "categorical"), ("Cl", "WT", "power")]
        assert [r.beta for r in result.relations] == [(0.6,), (-0.1,), (0.75,)]
        assert (result.random_part, result.fixed_part) == (4, 4)  # V_pop, Cl_pop, beta_Cl_lw, a; ka_pop is fixed
        assert (result.n_subjects, result.n_obs) == (12, 120)
        assert result.criteria["BICc"] == pytest.approx(333.4 + 4 * math.log(12) + 4 * math.log(120), abs=0.02)


def test_a_monolix_folder_without_its_project(tmp_path):
    result = read_monolix_result(foreign.monolix_folder(tmp_path, project=False))
    assert [(r.parameter, r.covariate) for r in result.relations] == [("V", "lw"), ("V", "tSEX_F"), ("Cl", "lw")]
    assert "names of covariates are those of the coefficients" in result.notes[0]


def test_a_folder_of_another_project_is_not_taken(tmp_path):
    folder = foreign.monolix_folder(tmp_path)
    project = tmp_path / "run.mlxtran"
    project.write_text(project.read_text().replace("beta_V_lw", "beta_V_other"))
    with pytest.raises(DataError, match="has no value of beta_V_other"):
        read_monolix_result(folder)


# NONMEM -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("separator", [None, ",", "\t"])
def test_an_ext_in_each_format(tmp_path, separator):
    text = foreign.ext_text(102.5)
    if separator:
        first, *rest = text.splitlines()
        text = "\n".join([first, *(separator.join(["", *line.split()]) for line in rest)])
    (tmp_path / "run.ext").write_text(text)
    result = read_nonmem_result(tmp_path / "run.ext")
    assert [(e.name, e.value, e.fixed) for e in result.estimates] == [
        ("THETA1", 2.0, False),
        ("SIGMA(1,1)", 0.0, True),
        ("OMEGA(1,1)", 0.25, True),
    ]
    assert result.n_parameters == 1
    assert result.likelihoods[0].value == pytest.approx(102.5)
    assert (result.likelihoods[0].method, result.likelihoods[0].with_constant) == ("focei", False)


def test_an_ext_with_two_tables_has_both_likelihoods(tmp_path):
    saem = foreign.EXT_TITLE.replace(
        "First Order Conditional Estimation with Interaction", "Stochastic Approximation Expectation-Maximization"
    )
    imp = foreign.EXT_TITLE.replace("NO.     1", "NO.     2").replace(
        "First Order Conditional Estimation with Interaction", "Objective Function Evaluation by Importance Sampling"
    )
    (tmp_path / "run.ext").write_text(foreign.ext_text(598.61, title=saem) + foreign.ext_text(1051.79, title=imp))
    result = read_nonmem_result(tmp_path / "run.ext")
    assert [(v.method, v.value) for v in result.likelihoods] == [
        ("is", pytest.approx(1051.79)),
        ("SAEM's objective", pytest.approx(598.61)),
    ]


METHODS = {
    "First Order": "fo",
    "First Order with Interaction": "foi",
    "First Order Conditional Estimation (No Prior)": "foce",
    "First Order Conditional Estimation with Interaction (Evaluation)": "focei",
    "Laplacian Conditional Estimation with Interaction": "laplace",
    "Importance Sampling assisted by MAP Estimation": "is",
    "Objective Function Evaluation by Importance Sampling": "is",
    "Iterative Two Stage": "iterative two stage",
    "MCMC Bayesian Analysis": "mean of a Bayesian analysis",
    "Something New": "Something New",
}


@pytest.mark.parametrize("words", METHODS)
def test_methods_of_nonmem_have_our_names(words):
    assert method_name(words) == METHODS[words]


# what is none -----------------------------------------------------------------------------------------
READERS = (read_scm_run, read_covsearch, read_cossac, read_samba, read_monolix_result, read_nonmem_result)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("content", [None, b"", b"\0\xff\xfe", b"hello\n", b"{}", b'{"a": ', b"[1]", b"TABLE NO. 1\n"])
def test_what_is_no_result_is_told(tmp_path, read, content):
    """No such path, a folder of something else, files of the right name with anything in them."""
    names = ("scmlog.txt", "results.json", "covSearchSummary.txt", "summary.txt", "populationParameters.txt", "x.json")
    folder = tmp_path / "folder"
    if content is not None:
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(content)
    for place in (folder, *(folder / name for name in names)):
        with pytest.raises(NlmevaeError) as caught:
            read(place)
        assert caught.value.hint
        assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("read", "name", "text"),
    [
        (read_cossac, "covSearchSummary.txt", foreign.COSSAC_SUMMARY),
        (read_samba, "summary.txt", foreign.SAMBA_SUMMARY),
        (read_covsearch, "results.json", json.dumps(foreign.covsearch_document())),
        (read_cossac, "a.json", json.dumps(foreign.INTERCHANGE)),
        (read_nonmem_result, "run.ext", foreign.ext_text(1.0)),
    ],
)
def test_files_cut_anywhere_never_end_in_a_traceback(tmp_path, read, name, text):
    path = tmp_path / name
    for n in range(0, len(text), 11):
        path.write_text(text[:n])
        found = read_or_error(read, path)
        assert not isinstance(found, NlmevaeError) or found.hint


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, [[1]]])
def test_json_with_values_of_other_types_never_ends_in_a_traceback(tmp_path, value):
    for document, read in ((foreign.covsearch_document(), read_covsearch), (dict(foreign.INTERCHANGE), read_cossac)):
        for key in document:
            (tmp_path / "a.json").write_text(json.dumps({**document, key: value}))
            found = read_or_error(read, tmp_path / "a.json")
            assert not isinstance(found, NlmevaeError) or found.hint
