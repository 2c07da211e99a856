from __future__ import annotations

import re

import pytest

from nlmevae.data.search.effect_request import effect_requests
from nlmevae.data.search.option_values import nowhere
from nlmevae.data.search.suggestion import near_match, suggestion
from nlmevae.data.search_spec import OPTIONS, SearchSpec
from nlmevae.errors import SettingsError
from tests.helpers.covariate_streams import FIXTURES


def spec(**options) -> SearchSpec:
    return SearchSpec.from_options(**options)


def effects(text) -> list[str]:
    return [str(e) for e in effect_requests("effects", text, nowhere)]


# options from Python and from text -------------------------------------------------------------------
@pytest.mark.parametrize("value", ["wt, AGE", "WT AGE", "WT;AGE,WT", ["WT", "AGE"], ("WT,AGE",)])
def test_names_are_a_text_or_a_sequence(value):
    assert spec(covariates=value).covariates == ("WT", "AGE")


@pytest.mark.parametrize("value", ["all", "*", ["ALL"]])
def test_all_is_a_star(value):
    assert spec(covariates=value).covariates == ("*",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CL~WT", ["CL~WT"]),
        ("CL~WT,V~WT,SEX", ["CL~WT", "V~WT", "V~SEX"]),
        ("cl ~ wt + age", ["CL~WT", "CL~AGE"]),
        (["CL~*", "*~SEX"], ["CL~*", "*~SEX"]),
        ("CL~WT:power,WT:exponential", ["CL~WT:power", "CL~WT:exponential"]),
        ("CL~SEX,V~WT,SEX", ["CL~SEX", "V~WT", "V~SEX"]),
        ("CL~RACE=2; CL~RACE=-1.5", ["CL~RACE=2", "CL~RACE=-1.5"]),
        ("all~WT:Power", ["*~WT:power"]),
    ],
)
def test_effects_are_read(text, expected):
    assert effects(text) == expected


@pytest.mark.parametrize(
    ("value", "centre", "centres"),
    [
        ("median", "median", ()),
        ("WT=70,AGE=median", "mean", (("WT", 70.0), ("AGE", "median"))),
        ("median,wt=70", "median", (("WT", 70.0),)),
        ({"WT": 70}, "mean", (("WT", 70.0),)),
        ({"default": "median", "WT": "mean"}, "median", (("WT", "mean"),)),
    ],
)
def test_centres_for_all_and_for_some(value, centre, centres):
    read = spec(centre=value)
    assert (read.centre, read.centres) == (centre, centres)


def test_the_centre_of_a_covariate():
    read = spec(centre="median,WT=70")
    assert (read.centre_of("WT"), read.centre_of("AGE")) == (70.0, "median")


@pytest.mark.parametrize("value", [{"RACE": 2}, "race=2", ["RACE=2.0"]])
def test_reference_levels(value):
    assert spec(reference=value).reference == (("RACE", 2.0),)


@pytest.mark.parametrize("value", [-99, "-99", -99.0])
def test_the_code_for_missing(value):
    assert spec(missing=value).missing == -99.0


@pytest.mark.parametrize("value", [None, (), [], "", {}])
@pytest.mark.parametrize("option", ["covariates", "force", "centre", "levels", "reference"])
def test_nothing_given_is_the_default(option, value):
    assert spec(**{option: value}) == SearchSpec()


# impossible values -----------------------------------------------------------------------------------
BAD = {
    "unknown option": ({"covariate": "WT"}, "no search option 'covariate'", "did you mean covariates?"),
    "no name": ({"covariates": "WT,7"}, "covariates: '7' is not a name", "separated by commas"),
    "no text": ({"covariates": 7}, "covariates is 7", "give names"),
    "no texts": ({"parameters": ["CL", 7]}, r"parameters is \['CL', 7\]", "give names"),
    "no effect": ({"effects": "CL"}, "effects: 'CL' is not an effect", "PARAMETER~COVARIATE"),
    "two parameters": ({"effects": "CL,V~WT"}, "'CL' is not an effect", "PARAMETER~COVARIATE"),
    "effect without covariate": ({"force": "CL~"}, "force: 'CL~' is not an effect", "PARAMETER~COVARIATE"),
    "effect that is a number": ({"force": 3}, "force is 3", "PARAMETER~COVARIATE"),
    "parameter no name": ({"effects": "1CL~WT"}, "'1CL~WT' is not an effect", "PARAMETER~COVARIATE"),
    "level no number": ({"effects": "CL~RACE=x"}, "CL~RACE=x is not an effect", "PARAMETER~COVARIATE"),
    "effect form": ({"effects": "CL~WT:exp"}, "there is no form 'exp'", "did you mean exponential?"),
    "form": ({"forms": "pow,linear"}, "forms: 'pow' is not possible", "did you mean power?"),
    "form categorical": ({"forms": "categorical"}, "forms are those of continuous", "categorical=SEX"),
    "centre word": ({"centre": "meam"}, "centre: 'meam' is not possible", "did you mean mean?"),
    "centre without covariate": ({"centre": 70}, "centre is 70: of which covariate", "centre=WT=70"),
    "centre in text": ({"centre": "70"}, "centre is 70: of which covariate", "centre=WT=70"),
    "centre twice": ({"centre": "WT=70,wt=71"}, "centre has WT twice|WT twice", "once"),
    "centre of a number": ({"centre": {7: 1}}, "centre: 7 is not a name", "NAME=value"),
    "missing": ({"missing": "none"}, "missing is 'none'", "give a number"),
    "missing truth": ({"missing": True}, "missing is True", "give a number"),
    "missing infinite": ({"missing": "inf"}, "missing is 'inf'", "give a number"),
    "levels": ({"levels": "every"}, "levels: 'every' is not possible", "choose together, each"),
    "reference": ({"reference": "2"}, "reference is 2: of which covariate", "reference=SEX=0"),
    "reference no number": ({"reference": "SEX=F"}, "reference of SEX is 'F'", "give a number"),
    "file": ({"settings_file": "nowhere.toml"}, "nowhere.toml cannot be read: No such file", "path"),
}


@pytest.mark.parametrize("case", BAD)
def test_impossible_values_are_refused_with_a_remedy(case):
    options, message, hint = BAD[case]
    with pytest.raises(SettingsError, match=message) as caught:
        spec(**options)
    assert hint in caught.value.hint
    assert caught.value.location is None


# settings files --------------------------------------------------------------------------------------
def from_text(folder, text: str, **options) -> SearchSpec:
    path = folder / "search.toml"
    path.write_text(text, encoding="utf-8")
    return spec(settings_file=path, **options)


def test_a_file_says_the_same_as_options():
    assert SearchSpec.from_file(FIXTURES / "selection_data" / "theophylline_search.toml") == spec(
        covariates="WT,SEX",
        categorical="SEX",
        parameters="KA,K,V",
        effects="*~SEX,KA~WT,V~WT:power,WT:exponential,K~WT",
        force="KA~WT",
        forbid="K~SEX",
        forms="power",
        centre="median,WT=70",
        missing=-99,
        levels="together",
        reference="SEX=1",
    )


def test_the_fixture_has_every_option():
    text = (FIXTURES / "selection_data" / "theophylline_search.toml").read_text(encoding="utf-8")
    assert [name for name in OPTIONS if not re.search(rf"^\[?{name}\b", text, re.MULTILINE)] == []


def test_the_command_line_wins_over_the_file(tmp_path):
    read = from_text(tmp_path, 'covariates = ["WT", "AGE"]\nmissing = -9\nlevels = "each"\n', covariates="SEX")
    assert (read.covariates, read.missing, read.levels) == (("SEX",), -9.0, "each")


def test_centres_and_references_are_merged_by_covariate(tmp_path):
    text = '[centre]\ndefault = "median"\nWT = 70\nAGE = 40\n[reference]\nRACE = 1\nSEX = 0\n'
    read = from_text(tmp_path, text, centre="WT=60", reference="SEX=1")
    assert read.centre == "median"
    assert dict(read.centres) == {"WT": 60.0, "AGE": 40.0}
    assert dict(read.reference) == {"RACE": 1.0, "SEX": 1.0}
    assert read.at("centre", "AGE").line == 4
    assert read.at("centre", "WT") is None  # no longer the file's


BAD_FILES = {
    "toml": ('covariates = ["WT"\nlevels = 1\n', "not valid TOML", (2, 1), "levels = 1"),
    "toml at its end": ('covariates = ["WT"', "not valid TOML", (1, 19), 'covariates = ["WT"'),
    "key": ('\nlevel = "each"\n', "no search option 'level'", (2, 1), 'level = "each"'),
    "key twice": ("missing = 1\nmissing = 2\n", "not valid TOML: cannot overwrite", (2, 12), "missing = 2"),
    "name": ('covariates = [\n  "WT",  # 7\n  "7",\n]\n', "'7' is not a name", (3, 4), '  "7",'),
    "type": ("# comment\ncovariates = 7\n", "covariates is 7", (2, 1), "covariates = 7"),
    "effect": (
        'effects = ["CL~WT", "CL"]\nforce = []\n',
        "'CL' is not an effect",
        (1, 22),
        'effects = ["CL~WT", "CL"]',
    ),
    "form": ('effects = [\n"CL~WT",\n"V~WT:pow"]\n', "no form 'pow'", (3, 2), '"V~WT:pow"]'),
    "choice": ("levels = 'every'\n", "'every' is not possible", (1, 11), "levels = 'every'"),
    "missing": ('missing = "x"\n', "missing is 'x'", (1, 12), 'missing = "x"'),
    "centre": ('[centre]\nWT = "meen"\n', "'meen' is not possible", (2, 7), 'WT = "meen"'),
    "centre without covariate": ("centre = 70\n", "of which covariate", (1, 10), "centre = 70"),
    "reference": ('missing = 1\n[reference]\nSEX = "F"\n', "reference of SEX is 'F'", (3, 8), 'SEX = "F"'),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_wrong_file_is_refused_at_the_place(tmp_path, case):
    text, message, place, snippet = BAD_FILES[case]
    with pytest.raises(SettingsError, match=re.escape(message)) as caught:
        from_text(tmp_path, text)
    at = caught.value.location
    assert caught.value.hint
    assert at.path == str(tmp_path / "search.toml")
    assert ((at.line, at.column), at.snippet) == (place, snippet)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "search.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="not text in UTF-8"):
        spec(settings_file=tmp_path / "search.toml")


# near matches ----------------------------------------------------------------------------------------
def test_near_matches():
    assert near_match("wtt", ["WT", "SEX"]) == "WT"
    assert near_match("exp", ["power", "exponential"]) == "exponential"
    assert near_match("Q", ["WT", "SEX"]) is None
    assert suggestion("Q", ["WT", "SEX"], "known are") == "known are WT, SEX"
    assert suggestion("Q", [f"C{k}" for k in range(99)], "known are").endswith("C29, ...")
