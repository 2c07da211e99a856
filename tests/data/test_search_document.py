"""docs/covariates.md is run, not only read."""

from __future__ import annotations

import contextlib
import io
import re

import pytest

from nlmevae.data.search_spec import CONTINUOUS_FORMS, OPTIONS, SearchSpec
from tests.helpers.covariate_streams import FIXTURES, fixture_search

DOCUMENT = (FIXTURES.parent / "docs" / "covariates.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", DOCUMENT.split("## What is tried")[1], re.MULTILINE)


def block(language: str) -> str:
    return re.search(rf"```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)[1]


def test_every_option_is_in_the_table_and_nothing_else():
    assert {name for name, *_ in ROWS if name not in CONTINUOUS_FORMS} == set(OPTIONS)


@pytest.mark.parametrize("option", ["centre", "levels"])
def test_defaults_are_those_of_the_table(option):
    default = next(default for name, _, default in ROWS if name == option)
    assert default == f"`{getattr(SearchSpec(), option)}`"


def test_the_example_prints_what_the_page_says(monkeypatch):
    monkeypatch.chdir(FIXTURES.parent)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block("python"), "docs/covariates.md", "exec"), {})
    expected = DOCUMENT.split(block("python"))[1].split("```")[2]
    assert [line.rstrip() for line in printed.getvalue().splitlines()] == expected.strip().splitlines()


def test_the_settings_file_of_the_page_is_a_search(tmp_path):
    (tmp_path / "search.toml").write_text(block("toml"), encoding="utf-8")
    search = fixture_search("theophylline/run_base.ctl", settings_file=tmp_path / "search.toml")
    assert [c.name for c in search.space.candidates] == [
        "KA~SEX", "KA~WT", "V~SEX", "V~WT:power", "V~WT:exponential",
    ]  # fmt: skip
    assert [c.name for c in search.space.candidates if c.forced] == ["KA~WT"]


@pytest.mark.parametrize("effect", ["CL~WT", "V~WT,SEX", "CL~WT:power", "CL~*", "CL~*,CL~WT:exponential", "CL~RACE=2"])
def test_effects_are_written_as_the_page_writes_them(effect):
    assert f"`{effect}`" in DOCUMENT
    assert SearchSpec.from_options(effects=effect).effects
