"""docs/supported-nonmem.md says what the reader does: its tables are run, not only read."""

import re
from pathlib import Path

import pytest

from nlmevae.errors import UnsupportedError
from nlmevae.frontends.nonmem.protected_functions import PROTECTED
from nlmevae.frontends.nonmem.read import lower_control_stream
from nlmevae.frontends.nonmem.records import RECORD_NAMES, source_text
from nlmevae.frontends.nonmem.reserved import (
    FUNCTION_NAMES,
    PROTECTED_FUNCTIONS,
    UNSUPPORTED_ELEMENTS,
    UNSUPPORTED_NAMES,
)
from nlmevae.ir import FUNCTIONS

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "supported-nonmem.md").read_text(encoding="utf-8")
SYNTAX = ROOT / "fixtures" / "syntax" / "nonmem"

#: Two spellings of one record; the document has the first.
SPELLINGS = {"ESTIMATE", "ESTM", "SIMULATE", "INDXS", "OPTDESIGN"}

STREAM = """$PROBLEM one compartment
$INPUT ID TIME AMT DV WT
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN1 TRANS2
$PK
CL = THETA(1)*EXP(ETA(1))
V = THETA(2)*EXP(ETA(2))
S1 = V
$ERROR
{code}
Y = F + F*EPS(1)
$THETA (0, 4) (0, 30)
$OMEGA 0.1 0.2
$SIGMA 0.04
{record}
"""


def rows(section: str) -> list[tuple[str, str]]:
    """(first cell, status) of the table in a section."""
    body = re.split(r"^#+ ", DOCUMENT.split(f"# {section}\n")[1], flags=re.MULTILINE)[0]
    cells = [line.strip("|").split(" | ") for line in body.splitlines() if line.startswith("|")]
    return [(row[0].strip(), row[1].strip()) for row in cells[2:]]


def names_with_status(section: str, pattern: str) -> dict[str, str]:
    return {name: status for cell, status in rows(section) for name in re.findall(pattern, cell)}


RECORDS = names_with_status("Records", r"\$([A-Z0-9]+)")
FUNCTION_STATUS = names_with_status("Functions", r"\b[A-Z][A-Z0-9]+\b")
NAMES = names_with_status("Reserved names", r"\b[A-Z][A-Z0-9_]*")


def read(*, code: str = "", record: str = ""):
    return lower_control_stream(source_text(STREAM.format(code=code, record=record), "run1.ctl"))


def test_every_record_has_its_row():
    assert set(RECORDS) == set(RECORD_NAMES) - SPELLINGS


@pytest.mark.parametrize("name", [n for n, status in RECORDS.items() if status.startswith("stops")])
def test_a_record_that_stops_stops(name):
    with pytest.raises(UnsupportedError):
        read(record=f"${name} 1")


@pytest.mark.parametrize("name", [n for n, status in RECORDS.items() if status.startswith("kept")])
def test_a_record_that_is_kept_says_what_the_table_says(name):
    remarks = [d.severity for d in read(record=f"${name} X").diagnostics if f"${name}" in d.message]
    promised = RECORDS[name].partition(", ")[2]
    assert remarks == ([promised] if promised else [])


def test_every_function_has_its_row():
    assert {n for n, s in FUNCTION_STATUS.items() if s == "used"} == set(FUNCTION_NAMES) | set(PROTECTED)
    assert {n for n, s in FUNCTION_STATUS.items() if s != "used"} == set(PROTECTED_FUNCTIONS)


@pytest.mark.parametrize(("name", "status"), FUNCTION_STATUS.items())
def test_a_function_does_what_the_table_says(name, status):
    count = abs(FUNCTIONS[FUNCTION_NAMES[name]]) if name in FUNCTION_NAMES else 1
    count = 2 if FUNCTIONS.get(FUNCTION_NAMES.get(name, ""), 1) < 0 else count
    code = f"X = {name}({', '.join(['0.5'] * count)})"
    if status == "used":
        assert read(code=code)
    else:
        with pytest.raises(UnsupportedError):
            read(code=code)


def test_every_reserved_name_has_its_row():
    refused = {n for n, status in NAMES.items() if status.startswith("stops") and n not in ("Rn", "Dn", "R", "D")}
    assert refused == set(UNSUPPORTED_NAMES) | set(UNSUPPORTED_ELEMENTS)


@pytest.mark.parametrize("name", sorted({*UNSUPPORTED_NAMES, *UNSUPPORTED_ELEMENTS}))
def test_a_reserved_name_that_stops_stops(name):
    element = name in UNSUPPORTED_ELEMENTS
    with pytest.raises(UnsupportedError):
        read(code=f"X = {name}(1)" if element else f"X = {name}")


def test_what_shows_a_row_exists():
    shown = re.findall(r"`((?:accepted|rejected)/\w+\.ctl)`", DOCUMENT)
    assert len(shown) > 50
    assert [path for path in shown if not (SYNTAX / path).exists()] == []
    tests = re.findall(r"`(tests/[\w/]+\.py)`", DOCUMENT)
    assert [path for path in tests if not (ROOT / path).exists()] == []
