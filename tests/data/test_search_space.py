from __future__ import annotations

import itertools
import time
from dataclasses import replace

import numpy as np
import pytest

from nlmevae.data.candidate_columns import candidate_values
from nlmevae.data.search_space import search_space
from nlmevae.data.search_spec import SearchSpec
from nlmevae.errors import DataError, SettingsError, UnsupportedError
from nlmevae.pipeline import prepare
from tests.helpers.cases import stage
from tests.helpers.covariate_streams import FIXTURES, covariate_run, fixture_search, searched

ALL = "selection_data/covariates.ctl"
WT = [50, 60, 70, 80, 90, 55]
RACE = [1, 1, 1, 2, 2, 3]


def names(search) -> list[str]:
    return [c.name for c in search.space.candidates]


def candidate(search, name):
    return next(c for c in search.space.candidates if c.name == name)


def codes(search) -> list[str]:
    return [d.code for d in search.diagnostics]


def diagnostic(search, code):
    (found,) = [d for d in search.diagnostics if d.code == code]
    return found


# real control streams --------------------------------------------------------------------------------
def test_theophylline_by_default_is_the_papers_space():
    search = fixture_search("theophylline/run_base.ctl", covariates="WT,SEX")
    assert names(search) == ["KA~WT", "KA~SEX", "K~WT", "K~SEX", "V~WT", "V~SEX"]
    weight = np.array([79.6, 72.4, 70.5, 72.7, 54.6, 80.0, 64.6, 70.5, 86.4, 58.2, 65.0, 60.5])
    for column in (0, 2, 4):
        np.testing.assert_allclose(search.columns[:, column], np.log(weight / weight.mean()), atol=2e-7)
    np.testing.assert_array_equal(search.parameter, [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(search.unit, range(6))
    assert search.columns.dtype == np.float64
    assert search.columns.flags.c_contiguous
    assert search.space.exclusive == search.exchangeable == ()
    assert search.diagnostics == ()


def test_the_centre_is_the_mean_of_subjects_to_seven_digits():
    search = fixture_search("theophylline/run_base.ctl", covariates="WT")
    assert candidate(search, "KA~WT").columns[0].centre == 69.58333


def test_the_more_frequent_sex_is_the_reference():
    search = fixture_search("theophylline/run_base.ctl", covariates="SEX")
    run = prepare(FIXTURES / "theophylline/run_base.ctl")
    sex = run.dataset.column("SEX")[run.dataset.subject_ptr[:-1]]
    level = candidate(search, "V~SEX").columns[0].level
    assert np.sum(sex == level) < np.sum(sex != level)
    np.testing.assert_array_equal(search.columns[:, 0], sex == level)


def test_the_neonates_have_five_covariates_on_five_parameters():
    search = fixture_search("neonates/run_base.ctl", covariates="all")
    parameters, covariates = ["W0", "KIN", "TLAG", "KOUT", "T50"], ["SEX", "DELM", "GA", "MAGE", "PARA"]
    assert names(search) == [f"{p}~{c}" for p, c in itertools.product(parameters, covariates)]
    assert {c.covariate for c in search.space.candidates if c.form == "power"} == {"GA", "MAGE"}
    assert search.columns.shape == (189, 25)
    assert np.all(np.ptp(search.columns, axis=0) > 0)


def test_the_mean_is_that_of_subjects_not_of_records():
    run = prepare(FIXTURES / "neonates/run_base.ctl")
    age = run.dataset.column("MAGE")
    by_subject = np.mean([age[a] for a in run.dataset.subject_ptr[:-1]])
    centre = candidate(searched(run, covariates="MAGE"), "KIN~MAGE").columns[0].centre
    assert centre == pytest.approx(by_subject, rel=1e-6)
    assert centre != pytest.approx(age.mean(), rel=1e-6)


def test_phenobarbital_leaves_dose_flags_out_and_says_so(tmp_path):
    path, _ = stage("phenobarbital", tmp_path)
    search = searched(prepare(path), covariates="all")
    assert names(search) == ["CL~WGT", "CL~APGR", "V~WGT", "V~APGR"]
    left_out = [d for d in search.diagnostics if d.code == "covariate-left-out"]
    assert [d.message.split()[0] for d in left_out] == ["FA1", "FA2"]
    assert all("time-varying" in d.message and d.location.line > 1 for d in left_out)


def test_phenobarbital_asked_by_name_refuses_dose_flags(tmp_path):
    path, _ = stage("phenobarbital", tmp_path)
    with pytest.raises(UnsupportedError, match=r"FA1 of subject 1 is 1 on line 2 and 0 on line 3") as caught:
        searched(prepare(path), covariates="WGT,FA1")
    assert caught.value.location.line == 3
    assert caught.value.location.path.endswith("pheno.dta")
    assert "baseline" in caught.value.hint


def test_warfarin_has_three_covariates(tmp_path):
    path, _ = stage("warfarin", tmp_path)
    search = searched(prepare(path), covariates="WT,SEX,AGE", parameters="CL,V")
    assert names(search) == ["V~WT", "V~SEX", "V~AGE", "CL~WT", "CL~SEX", "CL~AGE"]
    np.testing.assert_array_equal(search.parameter, [2, 2, 2, 3, 3, 3])


def test_an_effect_of_the_model_stays_in_the_model():
    search = fixture_search("theophylline/run_wt.ctl", covariates="WT,SEX", force="V~WT")
    assert names(search) == ["KA~SEX", "K~WT", "K~SEX", "V~SEX"]
    assert codes(search) == ["effect-in-model", "effect-in-model"]
    assert search.diagnostics[0].message.startswith("KA already depends on WT")


# every kind of covariate at once ---------------------------------------------------------------------
def test_a_file_with_every_kind_of_covariate():
    search = fixture_search(ALL, covariates="all", categorical="RACE", missing=-99)
    kept = ["WT", "SCORE", "RACE", "AGE", "CRCL", "LBM"]
    assert names(search) == [f"{p}~{c}" for p in ("BASE", "SLOPE") for c in kept]
    assert {c.covariate: c.form for c in search.space.candidates if c.parameter == "SLOPE"} == {
        "WT": "power", "SCORE": "exponential", "RACE": "categorical", "AGE": "power", "CRCL": "power", "LBM": "power",
    }  # fmt: skip
    assert candidate(search, "BASE~SCORE").form == "linear"
    assert search.exchangeable == (("BASE~WT", "BASE~LBM"), ("SLOPE~WT", "SLOPE~LBM"))
    assert [(d.code, d.message.split()[0]) for d in search.diagnostics if d.code == "covariate-left-out"] == [
        ("covariate-left-out", "SITE"),
        ("covariate-left-out", "CONMED"),
    ]


def test_columns_are_the_values_of_candidate_values():
    run = prepare(FIXTURES / ALL)
    search = searched(run, covariates="all", categorical="RACE", missing=-99, forms="power,exponential", levels="each",
                      forbid="*~SCORE")  # fmt: skip
    first = run.dataset.subject_ptr[:-1]
    k = 0
    for u, c in enumerate(search.space.candidates):
        for column in c.columns:
            values = run.dataset.column(c.covariate)[first]
            np.testing.assert_array_equal(
                search.columns[:, k], candidate_values(column, values, c.missing_code), err_msg=column.name
            )
            assert search.unit[k] == u
            assert run.model.individual_parameters[search.parameter[k]].name == c.parameter
            k += 1
    assert k == search.columns.shape[1] == search.space.n_columns


# continuous covariates -------------------------------------------------------------------------------
def test_forms_of_one_pair_exclude_each_other_and_carry_their_name(tmp_path):
    search = searched(covariate_run(tmp_path, {"WT": WT}), covariates="WT", forms="power,exponential")
    assert names(search) == ["BASE~WT:power", "BASE~WT:linear", "SLOPE~WT:power", "SLOPE~WT:exponential"]
    assert search.space.exclusive == ((0, 1), (2, 3))
    assert [c.columns[0].name for c in search.space.candidates] == [
        "BASE_WT_POW", "BASE_WT_LIN", "SLOPE_WT_POW", "SLOPE_WT_EXP",
    ]  # fmt: skip


def test_linear_and_exponential_are_one_form_of_a_parameter(tmp_path):
    search = searched(covariate_run(tmp_path, {"WT": WT}), covariates="WT", forms="linear,exponential")
    assert [(c.name, c.form) for c in search.space.candidates] == [("BASE~WT", "linear"), ("SLOPE~WT", "exponential")]
    assert codes(search) == []


def test_linear_on_a_log_normal_parameter_is_called_exponential(tmp_path):
    search = searched(covariate_run(tmp_path, {"WT": WT}), covariates="WT", forms="linear")
    assert candidate(search, "SLOPE~WT").form == "exponential"
    note = diagnostic(search, "form-name")
    assert note.message.startswith("SLOPE: log-normal")
    assert "EXP(coefficient*(covariate - centre))" in note.message


@pytest.mark.parametrize(("centre", "expected"), [(None, 67.5), ("median", 65.0), ("WT=70", 70.0), ({"WT": 70}, 70.0)])
def test_the_centre_is_the_mean_the_median_or_given(tmp_path, centre, expected):
    search = searched(covariate_run(tmp_path, {"WT": WT}), covariates="WT", centre=centre)
    np.testing.assert_allclose(search.columns[:, 0], np.log(np.array(WT) / expected), rtol=1e-12)


def test_the_centre_counts_subjects_that_have_a_value(tmp_path):
    columns = {"WT": WT, "AGE": [20, ".", 40, 60, ".", 80]}
    search = searched(covariate_run(tmp_path, columns), effects="SLOPE~AGE")
    np.testing.assert_allclose(search.columns[:, 0], np.log(np.array([20, 50, 40, 60, 50, 80]) / 50))
    assert candidate(search, "SLOPE~AGE").missing_code == 0.0
    warning = diagnostic(search, "missing-covariate-value")
    assert warning.message == "AGE is missing for 2 of 6 subjects (ID 2, 5)"
    assert "at the centre" in warning.hint
    assert warning.location.line == 4


def test_a_named_form_overrides_the_default(tmp_path):
    search = searched(covariate_run(tmp_path, {"WT": WT, "AGE": WT}), effects="SLOPE~*,SLOPE~AGE:exponential")
    assert [(c.name, c.form) for c in search.space.candidates] == [("SLOPE~WT", "power"), ("SLOPE~AGE", "exponential")]


def test_few_whole_numbers_stay_a_number_with_a_warning(tmp_path):
    search = searched(covariate_run(tmp_path, {"RACE": RACE}), covariates="RACE")
    assert {c.form for c in search.space.candidates} == {"power"}
    warning = diagnostic(search, "few-values")
    assert "3 values (1, 2, 3)" in warning.message
    assert "categorical=RACE" in warning.hint


def test_a_code_that_was_not_declared_is_suspected(tmp_path):
    search = searched(covariate_run(tmp_path, {"WT": [50, 60, -99, 70, 80, 90]}), covariates="WT", forms="linear")
    warning = diagnostic(search, "suspected-missing-code")
    assert (warning.message, warning.location.line) == (
        "WT is -99 for 1 of 6 subjects (ID 3) and counts as measured", 6,
    )  # fmt: skip
    assert warning.hint.endswith("missing=-99")


def test_power_of_a_covariate_with_zeros_is_left_out_where_another_form_remains(tmp_path):
    run = covariate_run(tmp_path, {"SCORE": [0, 1, 2.5, 3, 4, 5]})
    search = searched(run, covariates="SCORE", forms="power,exponential", parameters="SLOPE")
    assert names(search) == ["SLOPE~SCORE"]
    warning = diagnostic(search, "covariate-left-out")
    assert "the form power of SCORE is not searched" in warning.message
    assert "subject 1 has 0" in warning.message


# categorical covariates ------------------------------------------------------------------------------
def test_levels_together_are_one_candidate(tmp_path):
    search = searched(covariate_run(tmp_path, {"RACE": RACE}), categorical="RACE", parameters="SLOPE")
    (race,) = search.space.candidates
    assert [(c.name, c.level) for c in race.columns] == [("SLOPE_RACE_2", 2.0), ("SLOPE_RACE_3", 3.0)]
    np.testing.assert_array_equal(search.columns, [[0, 0], [0, 0], [0, 0], [1, 0], [1, 0], [0, 1]])
    np.testing.assert_array_equal(search.unit, [0, 0])
    assert "rare-level" in codes(search)


def test_levels_one_by_one_are_candidates(tmp_path):
    run = covariate_run(tmp_path, {"RACE": RACE})
    search = searched(run, categorical="RACE", levels="each", reference="RACE=2", force="SLOPE~RACE=3")
    assert names(search) == ["BASE~RACE=1", "BASE~RACE=3", "SLOPE~RACE=1", "SLOPE~RACE=3"]
    assert [c.forced for c in search.space.candidates] == [False, False, False, True]
    assert search.space.exclusive == ()


def test_two_values_are_categories_and_need_no_flag(tmp_path):
    search = searched(covariate_run(tmp_path, {"DOSE": [5, 5, 10, 5, 10, 5]}), covariates="DOSE", levels="each")
    assert [(c.name, c.form) for c in search.space.candidates] == [
        ("BASE~DOSE", "categorical"), ("SLOPE~DOSE", "categorical"),
    ]  # fmt: skip
    np.testing.assert_array_equal(search.columns[:, 0], [0, 0, 1, 0, 1, 0])


def test_two_values_are_a_number_where_a_form_says_so(tmp_path):
    search = searched(covariate_run(tmp_path, {"DOSE": [5, 5, 10, 5, 10, 5]}), effects="SLOPE~DOSE:power")
    np.testing.assert_allclose(np.ptp(search.columns[:, 0]), np.log(2))


def test_of_equally_frequent_levels_the_smallest_is_the_reference(tmp_path):
    search = searched(covariate_run(tmp_path, {"SEX": [1, 0, 1, 0, 1, 0]}), covariates="SEX")
    assert search.space.candidates[0].columns[0].level == 1.0


def test_a_subject_without_category_counts_as_the_reference(tmp_path):
    run = covariate_run(tmp_path, {"RACE": [1, 1, 1, 2, ".", 2]})
    search = searched(run, categorical="RACE", parameters="SLOPE")
    np.testing.assert_array_equal(search.columns[:, 0], [0, 0, 0, 1, 0, 1])
    assert candidate(search, "SLOPE~RACE").missing_code == 0.0
    assert "in the reference category" in diagnostic(search, "missing-covariate-value").hint


def test_coefficients_have_names_of_their_own(tmp_path):
    run = covariate_run(tmp_path, {"RACE": RACE, "RACE_2": WT})
    search = searched(run, covariates="RACE_2", categorical="RACE")
    columns = [column.name for c in search.space.candidates for column in c.columns]
    assert len(set(columns)) == len(columns) == 6


# which pairs -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"covariates": "AGE,WT"}, ["BASE~AGE", "BASE~WT", "SLOPE~AGE", "SLOPE~WT"]),
        ({"covariates": "wt", "parameters": "slope"}, ["SLOPE~WT"]),
        ({"covariates": "WT", "categorical": "SEX", "parameters": "SLOPE"}, ["SLOPE~WT", "SLOPE~SEX"]),
        ({"effects": "SLOPE~WT,BASE~SEX"}, ["BASE~SEX", "SLOPE~WT"]),
        ({"effects": "SLOPE~*"}, ["SLOPE~WT", "SLOPE~AGE", "SLOPE~SEX"]),
        ({"effects": "SLOPE~*", "covariates": "WT,SEX"}, ["SLOPE~WT", "SLOPE~SEX"]),
        ({"effects": "*~WT", "parameters": "SLOPE"}, ["SLOPE~WT"]),
        ({"effects": "SLOPE~WT,WT"}, ["SLOPE~WT"]),
        ({"covariates": "all", "forbid": "BASE~*,*~AGE"}, ["SLOPE~WT", "SLOPE~SEX"]),
        ({"covariates": "WT", "force": "SLOPE~SEX"}, ["BASE~WT", "SLOPE~WT", "SLOPE~SEX"]),
        ({"force": "SLOPE~SEX"}, ["SLOPE~SEX"]),
        ({"covariates": "BW,WT", "parameters": "SLOPE"}, ["SLOPE~WT"]),
    ],
)
def test_which_effects_are_candidates(tmp_path, options, expected):
    run = covariate_run(tmp_path, {"WT=BW": WT, "AGE": [30, 41, 25, 60, 33, 48], "SEX": [0, 1, 1, 0, 0, 0]})
    assert names(searched(run, **options)) == expected


def test_forced_and_forbidden_forms(tmp_path):
    run = covariate_run(tmp_path, {"WT": WT})
    search = searched(run, covariates="WT", forms="power,linear", force="SLOPE~WT:power", forbid="BASE~WT:exponential")
    assert [(c.name, c.form, c.forced) for c in search.space.candidates] == [
        ("BASE~WT", "power", False),
        ("SLOPE~WT", "power", True),
    ]


def test_forbidden_levels_are_no_candidates(tmp_path):
    run = covariate_run(tmp_path, {"RACE": RACE})
    search = searched(run, categorical="RACE", levels="each", forbid="*~RACE=3")
    assert names(search) == ["BASE~RACE=2", "SLOPE~RACE=2"]


def test_only_the_level_that_is_forced_is_added(tmp_path):
    run = covariate_run(tmp_path, {"WT": WT, "RACE": RACE})
    search = searched(run, covariates="WT", force="SLOPE~RACE=2,RACE=3", levels="each", parameters="SLOPE")
    assert [(c.name, c.forced) for c in search.space.candidates] == [
        ("SLOPE~WT", False), ("SLOPE~RACE=2", True), ("SLOPE~RACE=3", True),
    ]  # fmt: skip


# all candidates together -----------------------------------------------------------------------------
def test_exact_relations_of_three_covariates_are_found(tmp_path):
    rng = np.random.default_rng(5)
    a, b, c = np.round(rng.normal(size=(3, 12)), 2)
    run = covariate_run(tmp_path, {"A": a, "B": b, "C": c, "D": np.round(a - 2 * b, 4)})
    search = searched(run, covariates="all")
    assert search.exchangeable == (("BASE~A", "BASE~B", "BASE~D"), ("SLOPE~A", "SLOPE~B", "SLOPE~D"))
    assert "tell A, B, D apart" in diagnostic(search, "exchangeable-covariates").message


def test_relations_are_those_of_the_parameters_own_candidates(tmp_path):
    rng = np.random.default_rng(5)
    a, b = np.round(rng.normal(size=(2, 12)), 2)
    run = covariate_run(tmp_path, {"A": a, "B": b, "D": np.round(a - 2 * b, 4)})
    search = searched(run, effects="BASE~A,B,SLOPE~A,B,D")
    assert search.exchangeable == (("SLOPE~A", "SLOPE~B", "SLOPE~D"),)


def test_an_indicator_equal_to_a_level_is_exchangeable(tmp_path):
    run = covariate_run(tmp_path, {"RACE": [1, 1, 1, 2, 2, 3], "ASIAN": [0, 0, 0, 1, 1, 0]})
    search = searched(run, covariates="ASIAN", categorical="RACE", parameters="SLOPE")
    assert search.exchangeable == (("SLOPE~ASIAN", "SLOPE~RACE"),)


def test_more_candidates_than_subjects_warn(tmp_path):
    rng = np.random.default_rng(1)
    run = covariate_run(tmp_path, {f"C{k}": np.round(rng.uniform(1, 9, 6), 3) for k in range(4)})
    warning = diagnostic(searched(run, covariates="all"), "many-candidates")
    assert warning.message.startswith("8 candidate effects for 6 subjects")
    assert "ebic" in warning.hint


def test_a_covariate_read_elsewhere_is_mentioned(tmp_path):
    run = covariate_run(tmp_path, {"WT": WT}, slope="THETA(2)*EXP(ETA(2))\nX = SLOPE*WT/70\nSLOPE = X")
    search = searched(run, covariates="WT")
    assert diagnostic(search, "covariate-read-elsewhere").message.startswith("the model reads WT elsewhere")


@pytest.mark.slow
def test_five_hundred_covariates_are_quick(tmp_path):
    rng = np.random.default_rng(0)
    values = np.round(np.exp(rng.normal(size=(200, 500))), 4)
    run = covariate_run(tmp_path, {f"C{k}": values[:, k] for k in range(500)})
    spec = SearchSpec.from_options(covariates="all")
    seconds = []
    for _ in range(3):
        start = time.process_time()  # not the wall: other programs may run
        search = search_space(run.model, run.dataset, run.table, spec)
        seconds.append(time.process_time() - start)
    assert search.columns.shape == (200, 1000)
    assert min(seconds) < 0.3


# what is refused -------------------------------------------------------------------------------------
BAD = {
    "nothing": ({}, SettingsError, "no covariates are asked for", "covariates=WT,SCORE,", None),
    "unknown covariate": ({"covariates": "WTT"}, SettingsError, "no data item WTT", "did you mean WT?", None),
    "time": ({"covariates": "TIME"}, SettingsError, "TIME is the TIME item", "meaning of their own", ("ctl", 2)),
    "observation": ({"effects": "SLOPE~DV"}, SettingsError, "effects: DV is the DV item", "meaning", ("ctl", 2)),
    "dropped": ({"covariates": "NOTE"}, SettingsError, "NOTE is dropped", "take DROP away", ("ctl", 2)),
    "changing": ({"covariates": "CONMED"}, UnsupportedError, "CONMED of subject 3 is 0 on line 6 and 1 on line 7",
                 "baseline", ("csv", 7)),
    "constant": ({"covariates": "SITE"}, DataError, "SITE is 5 for every subject", "leave it out", None),
    "power of zero": ({"effects": "SLOPE~SCORE:power"}, DataError, "positive values, and subject 1 has 0",
                      "SLOPE~SCORE:exponential", ("csv", 2)),
    "power of a code": ({"covariates": "CRCL", "forms": "power"}, DataError, "subject 2 has -99", "missing=-99",
                        ("csv", 4)),
    "no random effect": ({"effects": "GAIN~WT"}, UnsupportedError, "GAIN has no mu-referenced random effect", "$OMEGA",
                         ("ctl", 7)),
    "unknown parameter": ({"covariates": "WT", "parameters": "SLOP"}, SettingsError, "no parameter SLOP",
                          "did you mean SLOPE? the parameters with a random effect are BASE, SLOPE", None),
    "unused covariate": ({"covariates": "WT,AGE", "effects": "SLOPE~WT"}, SettingsError, "AGE is in covariates",
                         "*~AGE", None),
    "unused category": ({"categorical": "RACE", "effects": "SLOPE~WT"}, SettingsError, "RACE is in categorical",
                        "*~RACE", None),
    "unused parameter": ({"parameters": "BASE", "effects": "SLOPE~WT"}, SettingsError, "BASE is in parameters",
                         "BASE~*", None),
    "forced and forbidden": ({"force": "SLOPE~WT", "forbid": "*~BW"}, SettingsError, "SLOPE~WT is forced and forbid",
                             "out of force or forbid", None),
    "forced form forbidden": ({"force": "SLOPE~WT:power", "forbid": "SLOPE~WT:power"}, SettingsError,
                              "forced and forbidden", "out of force or forbid", None),
    "default form forbidden": ({"force": "SLOPE~WT", "forbid": "SLOPE~WT:power"}, SettingsError, "nothing of it is",
                               "out of forbid", None),
    "forced with two forms": ({"force": "SLOPE~WT", "forms": "power,exponential"}, SettingsError, "several forms",
                              "force=SLOPE~WT:power", None),
    "two forced forms": ({"force": "SLOPE~WT:power,WT:exponential"}, SettingsError, "two forms of one", "keep one",
                         None),
    "category with a form": ({"categorical": "RACE", "effects": "SLOPE~RACE:power"}, SettingsError,
                             "RACE is categorical, but", "take :power away", None),
    "category with a centre": ({"categorical": "RACE", "centre": "RACE=2"}, SettingsError, "RACE is categorical",
                               "reference=RACE", None),
    "number with a reference": ({"covariates": "WT", "reference": "WT=70"}, SettingsError, "WT is a continuous",
                                "centre=WT", None),
    "unknown reference": ({"categorical": "RACE", "reference": "RACE=4"}, SettingsError, "RACE has no level 4",
                          "1, 2, 3", None),
    "centre of nothing": ({"covariates": "WT", "centre": "WTT=70"}, SettingsError, "centre: there is no data item WTT",
                          "did you mean WT?", None),
    "reference of nothing": ({"covariates": "WT", "reference": "RAC=1"}, SettingsError, "reference: there is no data",
                             "did you mean RACE?", None),
    "negative centre": ({"covariates": "WT", "centre": "WT=-1"}, SettingsError, "centre of WT is -1", "range", None),
    "too many categories": ({"categorical": "SCORE"}, SettingsError, "SCORE has 12 different values in 12 subjects",
                            "take it out of categorical", None),
    "level together": ({"effects": "SLOPE~RACE=2"}, SettingsError, "RACE=2 is one level", "levels=each", None),
    "level of reference": ({"effects": "SLOPE~RACE=1", "levels": "each"}, SettingsError, "1 is its reference level",
                           "2, 3", None),
    "level unknown": ({"effects": "SLOPE~RACE=7", "levels": "each"}, SettingsError, "7 is not one of its levels",
                      "2, 3", None),
    "everything forbidden": ({"covariates": "WT", "forbid": "*~*"}, SettingsError, "no candidate effect is", "other",
                             None),
    "nothing usable": ({"effects": "*~*", "forbid": "*~WT,*~SCORE,RACE,AGE,CRCL,LBM"}, SettingsError,
                       "no candidate effect is left to search: SITE is not searched", "other covariates", None),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_searched_is_refused_with_place_and_remedy(case):
    options, error, message, hint, place = BAD[case]
    with pytest.raises(error) as caught:
        fixture_search(ALL, **options)
    assert type(caught.value) is error
    assert message in caught.value.message
    assert hint in caught.value.hint
    at = caught.value.location
    assert (None if at is None else (at.path.rsplit(".", 1)[1], at.line)) == place


FILES = {
    "covariate": ('covariates = [\n  "WTT",\n]\n', "no data item WTT", 2),
    "category": ('categorical = ["RAC"]\n', "no data item RAC", 1),
    "parameter": ('covariates = ["WT"]\nparameters = ["SLOP"]\n', "no parameter SLOP", 2),
    "effect": ('effects = [\n"BASE~WT",\n"SLOPE~WTT"]\n', "no data item WTT", 3),
    "force": ('covariates = ["WT"]\nforce = ["SLOP~WT"]\n', "force: there is no parameter SLOP", 2),
    "forbidden": ('covariates = ["WT"]\nforce = ["SLOPE~WT"]\nforbid = ["*~WT"]\n', "forced and forbidden", 2),
    "centre": ('covariates = ["WT"]\n[centre]\nWTT = 70\n', "no data item WTT", 3),
    "centre sign": ('covariates = ["WT"]\n[centre]\nWT = -70\n', "centre of WT is -70", 3),
    "reference": ('categorical = ["RACE"]\n[reference]\n  RACE = 9\n', "RACE has no level 9", 3),
    "categories": ('covariates = ["WT"]\ncategorical = ["SCORE"]\n', "SCORE has 12 different values", 2),
    "level": ('levels = "each"\neffects = ["SLOPE~WT=60"]\n', "WT has 12 different values", 2),
    "constant": ('covariates = ["WT", "SITE"]\n', "SITE is 5 for every subject", 1),
}


@pytest.mark.parametrize("case", FILES)
def test_what_a_settings_file_asks_wrongly_is_shown_there(tmp_path, case):
    text, message, line = FILES[case]
    (tmp_path / "search.toml").write_text(text, encoding="utf-8")
    with pytest.raises((SettingsError, DataError)) as caught:
        fixture_search(ALL, settings_file=tmp_path / "search.toml")
    assert message in caught.value.message
    at = caught.value.location
    assert (at.path, at.line, at.snippet) == (str(tmp_path / "search.toml"), line, text.split("\n")[line - 1])


def test_a_model_without_random_effects_has_nothing_to_search(tmp_path):
    run = covariate_run(tmp_path, {"WT": WT})
    model = replace(run.model, individual_parameters=())
    with pytest.raises(UnsupportedError, match="no parameter with a mu-referenced random effect"):
        search_space(model, run.dataset, run.table, SearchSpec.from_options(covariates="WT"))


def test_a_random_effect_fixed_to_zero_is_none(tmp_path):
    path, _ = stage("theophylline_base", tmp_path)
    path.write_text(path.read_text().replace("0.05       ; IIV_K\n", "0 FIX      ; IIV_K\n"))
    run = prepare(path)
    assert names(searched(run, covariates="WT")) == ["KA~WT", "V~WT"]
    with pytest.raises(UnsupportedError, match="K has no mu-referenced random effect of its own") as caught:
        searched(run, effects="K~WT")
    assert "$OMEGA that is not fixed to 0" in caught.value.hint


def test_the_settings_file_of_the_fixtures_is_a_search():
    search = fixture_search(
        "theophylline/run_base.ctl", settings_file=FIXTURES / "selection_data" / "theophylline_search.toml"
    )
    assert names(search) == ["KA~SEX", "KA~WT", "K~WT", "V~SEX", "V~WT:power", "V~WT:exponential"]
    assert [c.name for c in search.space.candidates if c.forced] == ["KA~WT"]
    assert candidate(search, "K~WT").columns[0].centre == 70.0
    assert candidate(search, "V~SEX").columns[0].level == 0.0
