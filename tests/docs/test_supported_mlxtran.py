"""docs/supported-mlxtran.md says what the reader does."""

import re
from pathlib import Path

from nlmevae.frontends.monolix.sections.data_file import USES
from nlmevae.frontends.monolix.sections.observations import ERROR_MODELS, OLD_ERROR_MODELS
from nlmevae.frontends.monolix.sections.structural_text import MACROS
from nlmevae.frontends.monolix.text.functions import COMPOSED, DIRECT, REFUSED
from nlmevae.frontends.monolix.text.split import SECTIONS, TAGS

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "supported-mlxtran.md").read_text(encoding="utf-8")
SYNTAX = ROOT / "fixtures" / "syntax" / "mlxtran"


def rows(section: str) -> list[tuple[str, str]]:
    """(first cell, status) of the tables in a section."""
    body = DOCUMENT.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in body.splitlines() if line.startswith("| ")]
    return [(cells[0].strip("| "), cells[1].strip()) for cells in (line.split(" | ") for line in lines)]


def names(section: str, status: str, pattern: str = r"\b[A-Za-z]\w*\b") -> set[str]:
    return {n for cell, s in rows(section) if s.startswith(status) for n in re.findall(pattern, cell)}


def test_every_function_has_its_row():
    assert names("Expressions", "used") == {*DIRECT, *COMPOSED}
    assert names("Expressions", "stops") == set(REFUSED)


def test_every_use_of_a_column_has_its_row():
    assert names("Uses of columns", "used") == set(USES)


def test_every_error_model_has_its_row():
    models = r"\b([a-z]\w+)\(\w"
    assert names("Outcomes", "used", models) == set(ERROR_MODELS)
    assert names("Outcomes", "stops: older", models) == set(OLD_ERROR_MODELS)


def test_every_macro_is_named():
    line = re.search(r"^Macros: (.*)\.$", DOCUMENT, re.MULTILINE)
    assert tuple(line[1].split(", ")) == MACROS


def test_every_part_and_section_has_its_row():
    cells = " ".join(cell for cell, _ in rows("Parts and sections"))
    assert [tag for tag in TAGS if f"<{tag}>" not in cells] == []
    sections = {name for names_ in SECTIONS.values() for name in names_} - {"COMMENTS", "OPERATIONS"}
    assert [name for name in sections if f"[{name}]" not in cells] == []


def test_what_shows_a_row_exists():
    shown = re.findall(r"`((?:accepted|rejected)/\w+\.mlxtran)`", DOCUMENT)
    assert len(shown) > 50
    assert [path for path in shown if not (SYNTAX / path).exists()] == []
    tests = re.findall(r"`(tests/[\w/]+\.py)`", DOCUMENT)
    assert [path for path in tests if not (ROOT / path).exists()] == []
