"""Pharmpy's MFL becomes the same search, or says what cannot be searched and where it stands."""

from pathlib import Path

import pytest

from nlmevae.data.search.mfl import read_mfl
from nlmevae.errors import NlmevaeError
from nlmevae.pipeline import prepare_selection

ROOT = Path(__file__).parents[2]
THEOPHYLLINE = ROOT / "fixtures/theophylline/run_base.ctl"
LINE = ROOT / "fixtures/selection_data/covariates.ctl"


def searched(text: str, model: Path = THEOPHYLLINE, **options) -> list[tuple[str, str, bool]]:
    space = prepare_selection(model, mfl=text, **options).search.space
    return [(c.name, c.form, c.forced) for c in space.candidates]


SEARCHES = {
    "COVARIATE?(@IIV, @CONTINUOUS, exp, *)": ["KA~WT exponential", "K~WT exponential", "V~WT exponential"],
    "covariate?(@iiv, @categorical, Cat)": ["KA~SEX categorical", "K~SEX categorical", "V~SEX categorical"],
    "COVARIATE?([KA,V],WT,[exp,pow])": [
        "KA~WT:exponential exponential", "KA~WT:power power", "V~WT:exponential exponential", "V~WT:power power",
    ],
    "COVARIATE?(V,*,*)": ["V~WT:exponential exponential", "V~WT:power power", "V~SEX categorical"],
    "LET(SIZE, WT);COVARIATE(V, @SIZE, pow)\n;COVARIATE?(KA,SEX,cat2)": ["KA~SEX categorical", "V~WT power forced"],
    "LET(IIV,[V])\nCOVARIATE?(@IIV,WT,exp)": ["V~WT exponential"],
    "COVARIATE(V,WT,pow);COVARIATE?(V,WT,exp)": ["V~WT power forced"],
}  # fmt: skip


@pytest.mark.parametrize("text", SEARCHES)
def test_statements_become_candidates(text):
    found = searched(text)
    assert [f"{name} {form}" + " forced" * forced for name, form, forced in found] == SEARCHES[text]


def test_added_effects_are_exact_on_normal_parameters():
    """BASE = TV + ETA: COVEFF added, 1 + theta (w - c), is beta (w - c) and another TV; a factor multiplies ETA."""
    assert searched("COVARIATE?(BASE,AGE,lin,+)", LINE) == [("BASE~AGE", "linear", False)]
    with pytest.raises(NlmevaeError, match=r"BASE-AGE, operation \*: no effect"):
        searched("COVARIATE?(BASE,AGE,[lin,exp],*)", LINE)


def test_what_cannot_be_searched_is_listed():
    prepared = prepare_selection(THEOPHYLLINE, mfl="COVARIATE?(V,WT,*)")
    listed = [d.message for d in prepared.diagnostics if d.code == "mfl-effect"]
    assert [m.split(" ")[0] for m in listed] == ["lin", "piece_lin"]


def test_linear_as():
    assert searched("COVARIATE?(V,WT,lin)", linear_as="power") == [("V~WT", "power", False)]


WRONG = {
    "": "has no COVARIATE statement",
    "LET(A,[WT])": "has no COVARIATE statement",
    "COVARIATE?(V,WT,lin)": "1:1: V-WT, operation *: no effect",
    "COVARIATE?(V,WT,exp,+)": "1:1: V-WT, operation +: no effect",
    "ABSORPTION(FO)": "1:1: ABSORPTION is a feature of a structural search",
    "COVARIATES?(V,WT,exp)": "1:1: there is no feature 'COVARIATES'",
    "COVARIATE?(@PK,WT,exp)": "1:13: @PK is a group that Pharmpy finds",
    "COVARIATE?(@FOO,WT,exp)": "1:13: there is no group @FOO",
    "COVARIATE?(V,@IIV,exp)": "1:15: there is no group @IIV of covariates",
    "COVARIATE?(CL,WT,exp)": "1:12: --mfl: there is no parameter CL",
    "COVARIATE?(V,HT,exp)": "1:14: --mfl: there is no data item HT",
    "COVARIATE?(V,WT,exq)": "1:17: there is no effect 'exq'",
    "COVARIATE?(V,WT": "1:16: here stands the end",
    "COVARIATE?(V,WT)": "1:16: here stands ')'",
    "COVARIATE?(V,[],exp)": "1:15: the list is empty",
    "COVARIATE?(V,WT,exp,-)": "is no operation",
    "COVARIATE?(V,WT,exp) COVARIATE?(V,WT,exp)": "1:22: 'COVARIATE' follows a statement",
    "COVARIATE?(V,WT,exp)\nCOVARIATE?(V,,exp)": "2:14: here stands ','",
    "LET(A,WT);LET(A,SEX);COVARIATE?(V,@A,exp)": "A is defined twice",
    "\0": "there is no feature",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_said_with_its_place(text):
    with pytest.raises(NlmevaeError) as caught:
        searched(text)
    assert WRONG[text] in str(caught.value)
    assert caught.value.hint


def test_the_grammar_keeps_what_is_written():
    search = read_mfl("let(a,[b]);COVARIATE?([CL,V], @a, [EXP, pow], +)")
    (statement,) = search.statements
    assert search.definitions == {"A": ("B",)}
    assert (statement.parameters.values, statement.covariates.group) == (("CL", "V"), "A")
    assert (statement.effects, statement.operation, statement.optional) == (("exp", "pow"), "+", True)
