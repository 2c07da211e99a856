"""Configuration files of PsN's scm become the same search, or say what cannot be searched and where it stands."""

from pathlib import Path

import pytest

from nlmevae.data.search.scm_code import known_shape
from nlmevae.data.search.scm_file import read_scm_file
from nlmevae.errors import NlmevaeError, SettingsError, UnsupportedError
from nlmevae.pipeline import prepare_selection

ROOT = Path(__file__).parents[2]
THEOPHYLLINE = ROOT / "fixtures/theophylline/run_base.ctl"
LINE = ROOT / "fixtures/selection_data/covariates.ctl"

HEAD = """model=run_base.ctl
continuous_covariates=WT
categorical_covariates=SEX
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.scm"
    path.write_text(text)
    return path


def candidates(prepared) -> list[tuple[str, str, bool]]:
    return [(c.name, c.form, c.forced) for c in prepared.search.space.candidates]


def searched(tmp_path: Path, text: str, model: Path = THEOPHYLLINE, **options):
    return prepare_selection(model, scm_file=write(tmp_path, text), **options)


def test_states_of_relations_become_forms(tmp_path):
    prepared = searched(
        tmp_path, HEAD + "[test_relations]\nKA=WT,\\\n   SEX\nV=WT\n[valid_states]\ncontinuous = 1,4,5\n"
    )
    assert candidates(prepared) == [
        ("KA~WT:exponential", "exponential", False),
        ("KA~WT:power", "power", False),
        ("KA~SEX", "categorical", False),
        ("V~WT:exponential", "exponential", False),
        ("V~WT:power", "power", False),
    ]
    assert prepared.search.space.exclusive == ((0, 1), (3, 4))


def test_the_centre_is_the_median_and_minus_99_is_missing(tmp_path):
    scm = HEAD + "[test_relations]\nV=WT\n[valid_states]\ncontinuous=1,5\n"
    prepared = searched(tmp_path, scm)
    asked = prepare_selection(THEOPHYLLINE, effects="V~WT:power", centre="median")
    assert prepared.search.space == asked.search.space
    assert read_scm_file(tmp_path / "run.scm").missing == -99.0


def test_a_state_without_a_counterpart_is_listed(tmp_path):
    prepared = searched(tmp_path, HEAD + "[test_relations]\nV=WT\n[valid_states]\ncontinuous=1,2,3,5\n")
    assert candidates(prepared) == [("V~WT", "power", False)]
    listed = [d.message for d in prepared.diagnostics if d.code == "scm-state"]
    assert [m.split(" is not")[0] for m in listed] == [
        "state 2 (linear, 1 + theta (w - c))",
        "state 3 (hockey-stick, linear with two slopes)",
    ]


def test_a_relation_without_any_state_stops_with_its_place(tmp_path):
    with pytest.raises(UnsupportedError, match="V-WT: no state of it") as caught:
        searched(tmp_path, HEAD + "[test_relations]\nKA=SEX\nV=SEX,WT\n[valid_states]\ncontinuous=1,2\n")
    at = caught.value.location
    assert (at.line, at.column, at.snippet) == (6, 7, "V=SEX,WT")
    assert "--linear-as exponential" in caught.value.hint


def test_linear_on_a_normal_parameter_is_exact(tmp_path):
    """TV (1 + theta (w - c)) + ETA = TV + beta (w - c) + ETA with beta = TV theta."""
    text = "continuous_covariates=AGE\n[test_relations]\nBASE=AGE\n[valid_states]\ncontinuous=1,2\n"
    assert candidates(searched(tmp_path, text, LINE)) == [("BASE~AGE", "linear", False)]
    with pytest.raises(UnsupportedError, match=r"normal: 5 \(power"):
        searched(tmp_path, text.replace("1,2", "1,5"), LINE)


def test_linear_as_is_what_the_user_asks_for(tmp_path):
    text = HEAD + "[test_relations]\nV=WT\n[valid_states]\ncontinuous=1,2\n"
    prepared = searched(tmp_path, text, linear_as="exponential")
    assert candidates(prepared) == [("V~WT", "exponential", False)]
    assert any(d.code == "scm-linear-as" and d.severity == "warning" for d in prepared.diagnostics)


def test_included_relations_are_forced_where_scm_cannot_remove_them(tmp_path):
    text = HEAD + "search_direction=forward\n[test_relations]\nV=WT,SEX\n[valid_states]\ncontinuous=1,5\n"
    forced = searched(tmp_path, text + "[included_relations]\nV=WT-5,SEX-1\n")
    assert candidates(forced) == [("V~WT", "power", True), ("V~SEX", "categorical", False)]
    free = searched(tmp_path, text.replace("forward", "both") + "[included_relations]\nV=WT-5\n")
    assert candidates(free) == [("V~WT", "power", False), ("V~SEX", "categorical", False)]
    assert any(d.code == "scm-included" for d in free.diagnostics)


def test_code_redefines_states(tmp_path):
    text = HEAD + "[test_relations]\nKA=WT\nV=WT\n[valid_states]\ncontinuous=1,2\n[code]\n*:WT-2=power\n"
    assert candidates(searched(tmp_path, text)) == [("KA~WT", "power", False), ("V~WT", "power", False)]
    prepared = searched(tmp_path, text + "V:WT-2=PARCOV=EXP(THETA(1)*(COV - median))\n")
    assert candidates(prepared) == [("KA~WT", "power", False), ("V~WT", "exponential", False)]
    assert candidates(searched(tmp_path, text + "V:*-2=none\n")) == [
        ("KA~WT", "power", False),
        ("V~WT", "power", False),
    ]
    assert candidates(searched(tmp_path, text + "V:WT-2=none\n")) == [("KA~WT", "power", False)]


CODES = {
    "PARCOV=1": ("none", None, None),
    "PARCOV= ( 1 + THETA(1)*(COV - median))": ("linear", "median", None),
    "CLWGT=(1+(WGT-1.3)*THETA(1))": ("linear", "1.3", None),
    "PARWGT=EXP(THETA(1)*(WGT-mean))": ("exponential", "mean", None),
    "CLCOV=((COV/70)**THETA(1))": ("power", "70", None),
    "CLWGT=(THETA(1)*(WGT-7.0))": ("added-linear", "7.0", None),
    "hockey-stick": ("hockey-stick", "median", None),
    "IF(COV.EQ.-99) THEN|PARCOV=1|ELSE|PARCOV=(COV/median)**THETA(1)|ENDIF": ("power", "median", -99.0),
    "IF(COV.EQ.1) PARCOV = 1|IF(COV.EQ.0) PARCOV = ( 1 + THETA(1))": ("categorical", None, None),
    "IF(COV.EQ.1) PARCOV = 1|IF(COV.EQ.2) PARCOV = (1 + THETA(1))|IF(COV.EQ.3) PARCOV = (1 + THETA(2))": (
        "categorical", None, None,
    ),
    # two levels share a coefficient; a bivariate covariate centred; sigmoid shapes; another base
    "IF(COV.EQ.1) PARCOV = 1|IF(COV.EQ.2) PARCOV = (1 + THETA(1))|IF(COV.EQ.3) PARCOV = (1 + THETA(1))": (
        "other", None, None,
    ),
    "IF(COV.EQ.1) PARCOV = ( 1 + THETA(1)*0.37)|IF(COV.EQ.0) PARCOV = ( 1 - THETA(1)*(1-0.37))": ("other", None, None),
    "PARCOV=THETA(1)*COV/(THETA(2)+COV)": ("other", None, None),
    "PARCOV=2**(THETA(1)*(COV-median))": ("other", None, None),
    "PARCOV=1+THETA(1)*(COV-median)+THETA(2)*(COV-median)**2": ("other", None, None),
    "PARCOV=(COV/median)**THETA(2)": ("other", None, None),
    "V2WGT=EXP(THETA(1)*(WGT-mean))": ("other", None, None),
    "PARCOV=": ("other", None, None),
}  # fmt: skip


@pytest.mark.parametrize("code", CODES)
def test_definitions_are_recognised_or_other(code):
    assert known_shape(tuple(code.split("|")), "CL", "WGT") == CODES[code]


WRONG = {
    "": "has no \\[test_relations\\]",
    "hello\n": "neither a \\[section\\]",
    HEAD + "[tests]\nV=WT\n": "\\[tests\\] is no section",
    HEAD + "contiuous=WT\n[test_relations]\nV=WT\n": "contiuous is no setting",
    HEAD + "[test_relations]\nV=WT,AGE\n": "AGE is neither in continuous",
    HEAD + "[test_relations]\nV=\n": "V has no covariates",
    HEAD + "[test_relations]\nCL=WT\n": "there is no parameter CL",
    HEAD + "[test_relations]\nV=WT\n[valid_states]\ncontinuous=1,x\n": "is '1,x'",
    HEAD + "[test_relations]\nV=WT\n[valid_states]\ncontinuous=1,7\n": "state 7 of V-WT is not defined",
    HEAD + "[test_relations]\nV=WT\n[valid_states]\nordinal=1,2\n": "continuous and categorical",
    HEAD + "[test_relations]\nV=WT\n[included_relations]\nV=WT\n": "is not COVARIATE-STATE",
    HEAD + "[test_relations]\nV=WT\n[included_relations]\nKA=WT-5\n": "not in \\[test_relations\\]",
    HEAD + "[test_relations]\nV=WT\n[code]\nV-WT=power\n": "is not PARAMETER:COVARIATE-STATE",
    HEAD + "[test_relations]\nV=WT\n[code]\nV:WT-1=power\n": "state 1 is the relation",
    HEAD + "time_varying=WT\n[test_relations]\nV=WT\n": "WT change over time",
    HEAD + "search_direction=sideways\n[test_relations]\nV=WT\n": "search_direction is 'sideways'",
    HEAD + "p_forward=5\n[test_relations]\nV=WT\n": "p_forward is '5'",
    HEAD + "p_forward=0.1\np_forward=0.2\n[test_relations]\nV=WT\n": "given twice",
    HEAD.replace("SEX", "WT") + "[test_relations]\nV=WT\n": "WT is continuous and categorical",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_said(tmp_path, text):
    with pytest.raises(NlmevaeError, match=WRONG[text]) as caught:
        searched(tmp_path, text)
    assert caught.value.hint


def test_a_file_that_is_none(tmp_path):
    for path in (tmp_path, tmp_path / "none.scm"):
        with pytest.raises(SettingsError, match="cannot be read"):
            read_scm_file(path)
    (tmp_path / "binary").write_bytes(b"\0\1\2")
    with pytest.raises(SettingsError, match="is not text"):
        read_scm_file(tmp_path / "binary")


def test_two_sources_of_a_search_clash(tmp_path):
    text = HEAD + "[test_relations]\nV=WT\n[valid_states]\ncontinuous=1,5\n"
    with pytest.raises(SettingsError, match="--scm-file and --covariates each say"):
        searched(tmp_path, text, covariates="WT")
    with pytest.raises(SettingsError, match="--scm-file and --mfl each say"):
        searched(tmp_path, text, mfl="COVARIATE?(V,WT,exp)")
    with pytest.raises(SettingsError, match="--linear-as needs"):
        prepare_selection(THEOPHYLLINE, covariates="WT", linear_as="power")


def test_another_model_and_the_decision_of_scm_are_told(tmp_path):
    text = HEAD.replace("run_base", "run7") + "p_forward=0.01\n[test_relations]\nV=WT\n[valid_states]\ncontinuous=1,5\n"
    told = {d.code: d for d in searched(tmp_path, text).diagnostics}
    assert told["scm-model"].severity == "warning"
    assert "run7.ctl" in told["scm-model"].message
    assert "p_forward=0.01" in told["scm-decision"].message
