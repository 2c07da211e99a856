"""Golden conversions: every row of the construct map, in each direction in which it is defined."""

from __future__ import annotations

import tomllib

import pytest

from tests.translators.golden import FOLDER, LANGUAGES, Pair, outcome, pairs

PAIRS = pairs()
ROWS = tomllib.loads((FOLDER.parent / "construct_map.toml").read_text(encoding="utf-8"))["row"]
#: Direction of the map -> folder of the sources.
DIRECTIONS = {to: language for language, (_, to) in LANGUAGES.items()}
NUMBER_OF_ROWS = 49
CLASSES = {"1": "lossless", "R": "rule", "L": "lossy", "X": "refused"}
WORDS = {"lossless": "lossless", "rule": "by rule", "lossy": "lossy", "refused": "refused"}
#: Converted back and forth, these are the same model in another text, and why.
OTHER_TEXTS = {
    # $DES is written for ADVAN13, which reads back as stiff; its variables have names of their own
    "nonmem/advan10", "nonmem/advan6", "nonmem/data_cmt_outcomes", "nonmem/des_branch",
    # records: doses that were implied, and values of items that change, are written out
    "nonmem/dose_rate", "nonmem/dose_repeated", "nonmem/time_after_dose", "nonmem/varying_covariate",
    "nonmem/varying_in_des", "mlxtran/data_columns", "mlxtran/dose_reserved", "mlxtran/library_transit",
    "mlxtran/regressor",
    # labels of subjects and categories, and names that NM-TRAN reserves, are lost on the way
    "mlxtran/category_labels", "mlxtran/category_merged", "mlxtran/category_three", "mlxtran/covariate_on_normal",
    "mlxtran/dose_administrations", "mlxtran/equations_branch", "mlxtran/equations_initial", "mlxtran/iiv_normal",
    "mlxtran/names",
    # a coefficient that is a number becomes a fixed parameter; V = V1 of library models is not needed
    "mlxtran/covariate_number", "mlxtran/library_infusion", "mlxtran/library_three", "mlxtran/library_two",
    # functions of one language that the other writes by formulas; the prediction gets its usual name
    "mlxtran/code_functions", "mlxtran/error_lognormal", "mlxtran/macros_effect", "mlxtran/logit_outcome",
    # NONMEM names are capitals, and definitions of $ERROR have names of their own
    "nonmem/code_functions", "nonmem/code_powers", "nonmem/time_in_error", "nonmem/dose_infusion_fraction",
    # records of resets and doses; a depot for each way
    "nonmem/reset", "nonmem/two_ways",
}  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: p.name)
def test_what_is_written_is_as_expected_and_the_same_model(pair, tmp_path):
    """After a change on purpose: `python -m tests.translators.write_expected`, and read the difference."""
    found = outcome(pair, tmp_path)
    assert found.text == pair.expected.read_text(encoding="utf-8")
    if found.exit_code < 2:
        assert found.proven
        assert found.stable or pair.name in OTHER_TEXTS


def test_texts_that_change_on_the_way_back_are_named():
    """Those that no longer do are struck off the list."""
    texts = {p.name: p.expected.read_text(encoding="utf-8") for p in PAIRS}
    changed = {name for name, text in texts.items() if "and forth again: other texts" in text}
    assert changed == OTHER_TEXTS


def test_every_conversion_back_is_the_same_model():
    for pair in PAIRS:
        text = pair.expected.read_text(encoding="utf-8")
        if "== converted back" in text:
            assert "== converted back\nproof: the same\n" in text, pair.name


def test_lines_keep_to_what_nm_tran_reads():
    for pair in PAIRS:
        if pair.to == "nonmem":
            text = pair.expected.read_text(encoding="utf-8")
            stream = text.partition(f"== {pair.source.stem}.ctl\n")[2].partition("\n== ")[0]
            assert all(len(line) <= 100 and line.isascii() for line in stream.splitlines()), pair.name


# the map


def test_every_row_of_the_map_is_there():
    assert {row["number"] for row in ROWS} == set(range(1, NUMBER_OF_ROWS + 1))
    for row in ROWS:
        assert {"to_mlxtran", "to_nonmem", "elsewhere"} & set(row), row["construct"]


def test_every_case_belongs_to_a_row():
    named = {
        f"{DIRECTIONS[to]}/{case}"
        for row in ROWS
        for to in DIRECTIONS
        for case in row.get(f"to_{to}", {}).get("cases", ())
    }
    assert named == {pair.name for pair in PAIRS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['number']} {row['construct']}")
def test_the_reports_of_a_rows_cases_have_its_class(row):
    for to, folder in DIRECTIONS.items():
        stated = row.get(f"to_{to}")
        if stated is None:
            continue
        if stated["class"] not in [CLASSES.get(m) for m in row["map"].split("/")] and row["map"] != "-":
            assert row["because"] or folder == "mlxtran"
        assert stated["cases"]
        for case in stated["cases"]:
            text = Pair(f"{folder}/{case}").expected.read_text(encoding="utf-8")
            assert _has_entry(text, stated["class"], stated["entry"]), f"{folder}/{case}"


def _has_entry(text: str, kind: str, wanted: str) -> bool:
    """The report, or the error that stopped the reading, has a line of this class with these words."""
    if "== error\n" in text:
        return kind == "refused" and wanted in text
    report = text.partition("== report\n")[2].partition("\n== ")[0]
    return any(line.startswith(f"  {WORDS[kind]} ") and wanted in line for line in report.splitlines())
