"""Documentation is part of the program: links lead somewhere, examples run, every option is described."""

import argparse
import dataclasses
import importlib
import re
import shlex
from pathlib import Path

import pytest

from nlmevae.cli.main import build_parser, main
from nlmevae.estimation.schedule import PUBLISHED, SHORT
from nlmevae.estimation.selector import CLOSE, FEWEST, MOST_CHECKS, MOST_DROPS, SUBJECTS_PER_EFFECT
from nlmevae.estimation.settings import DEFAULT_CRITERION, FitSettings, SelectionSettings
from nlmevae.results.status import FitStatus
from nlmevae.selection.criterion import NAMES
from nlmevae.selection.table import LARGEST

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^<!-- run -->\n```(\w+)\n(.*?)^```\n(?:\nprints\n\n```\n(.*?)^```)?", re.MULTILINE | re.DOTALL)
VERBS = "fit|bootstrap|multistart|sse|select|predict|profile|likelihood|tables|simulate|vpc|report|check|code|nmfe"
COMMAND = re.compile(
    rf"^(?:\.venv/bin/)?nlmevae ((?:{VERBS}) .+)$|`nlmevae ((?:{VERBS}) [^`]+)`",
    re.MULTILINE,
)
LINK = re.compile(r"\[[^\]]+\]\(([^)#]+)(?:#[^)]*)?\)")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def examples() -> list[tuple[str, str, str, str]]:
    """Document, language, code, what the document says it prints ("" if nothing)."""
    return [(d.name, *match) for d in DOCUMENTS for match in BLOCK.findall(d.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_lead_to_files(document):
    targets = [t for t in LINK.findall(document.read_text(encoding="utf-8")) if "://" not in t]
    assert [t for t in targets if not (document.parent / t).exists()] == []


def test_there_are_examples_to_run():
    assert {language for _, language, *_ in examples()} == {"python", "sh"}
    assert any(printed for *_, printed in examples())


@pytest.mark.parametrize(
    ("document", "language", "code", "printed"),
    examples(),
    ids=[f"{name}-{k}" for k, (name, *_) in enumerate(examples())],
)
def test_examples_marked_to_run_do_run(document, language, code, printed, monkeypatch, capsys):
    """In this process: what torch and the compiled kernels need to start would be most of the time."""
    monkeypatch.chdir(ROOT)
    if language == "python":
        exec(compile(code, document, "exec"), {"__name__": "__main__"})
    else:
        for line in filter(str.strip, code.splitlines()):
            program, *arguments = shlex.split(line)
            assert program == "nlmevae"
            assert main(arguments) == 0
    shown = capsys.readouterr().out
    if printed:
        assert words_and_numbers(shown) == words_and_numbers(printed)


def words_and_numbers(output: str) -> list[str | object]:
    """Numbers compare to 2 %: the last digits of an estimate depend on the machine."""
    return [
        pytest.approx(float(word), rel=0.02) if re.fullmatch(r"-?[\d.]+", word) else word
        for word in re.findall(r"-?\d+\.?\d*|[^\s\d]+", output)
    ]


def command_lines() -> list[tuple[str, str]]:
    return [
        (d.name, block or inline) for d in DOCUMENTS for block, inline in COMMAND.findall(d.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(("document", "line"), command_lines())
def test_every_command_line_in_the_documents_is_understood(document, line):
    words = shlex.split(line)
    assert build_parser().parse_args(words).verb == words[0]


def option_strings() -> list[tuple[str, str]]:
    verbs = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return [
        (verb, option)
        for verb, parser in verbs.choices.items()
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--")
    ]


@pytest.mark.parametrize(("verb", "option"), option_strings())
def test_every_option_is_in_the_section_of_its_verb(verb, option):
    document = text("docs/cli.md")
    if option == "--help":
        assert "nlmevae VERB --help" in document
        return
    section = document.split(f"## nlmevae {verb}\n")[1].split("\n## ")[0]
    assert option in section


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(FitSettings)])
def test_every_setting_is_documented_with_its_default(field):
    default = getattr(FitSettings(), field)
    shown = "none" if default is None else str(default)
    assert re.search(rf"^\| `{field}` \| `{re.escape(shown)}` \|", text("docs/cli.md"), re.MULTILINE)


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(SelectionSettings)])
def test_every_setting_of_a_selection_is_documented_with_its_default(field):
    default = getattr(SelectionSettings(), field)
    shown = str(default) or '""'
    assert re.search(rf"^\| `{field}` \| `{re.escape(shown)}` \|", text("docs/cli.md"), re.MULTILINE)


def test_every_criterion_has_its_row_and_the_defaults_are_named():
    document = text("docs/selection.md")
    for name in NAMES:
        assert re.search(rf"^\| `{name}`", document, re.MULTILINE), name
    assert f"| `{DEFAULT_CRITERION['vae+polish']}` (default) |" in document
    assert f"| `{DEFAULT_CRITERION['vae']}` (default of `--method vae`) |" in document


def test_limits_of_a_search_are_documented():
    document = " ".join(text("docs/selection.md").split())
    assert (SUBJECTS_PER_EFFECT, FEWEST, MOST_DROPS, MOST_CHECKS, CLOSE) == (5, 4, 12, 6, 6.0)
    assert "one effect for every five subjects (but at least 4 are allowed" in document
    assert "the twelve least certain" in document
    assert "the six nearest effects outside with a margin under 6" in document
    assert f"{LARGEST:_} possible sets".replace("_", " ") in document


def test_the_schedules_of_both_methods_are_documented():
    table = text("docs/cli.md").split("| setting | `vae` | `vae+polish` |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| ([\d.]+)", table, re.MULTILINE)
    assert {name for name, *_ in rows} == {
        f.name
        for f in dataclasses.fields(FitSettings)
        if getattr(FitSettings(), f.name) is None and f.name not in ("rtol", "final_draws", "threads")
    }
    for name, published, short in rows:
        assert (float(published), float(short)) == (getattr(PUBLISHED, name), getattr(SHORT, name)), name


def test_unfinished_endings_are_explained():
    howto = text("docs/how-to.md")
    unfinished = [s.name for s in FitStatus if not s.completed]
    assert [name for name in unfinished if f"`{name}`" not in howto] == []


def dotted_names() -> list[str]:
    return sorted(
        set(re.findall(r"`(nlmevae(?:\.\w+)+)`", "\n".join(d.read_text(encoding="utf-8") for d in DOCUMENTS)))
    )


@pytest.mark.parametrize("name", dotted_names())
def test_code_named_in_documents_exists(name):
    assert resolve(name) is not None


def resolve(name: str) -> object:
    """A module, or an attribute of the longest importable part."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[n:]:
            value = getattr(value, attribute)
        return value
    raise AssertionError(name)


def test_tests_named_in_the_validation_table_exist():
    named = re.findall(r"`(tests/[\w/]+\.py)`", text("docs/validation.md"))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_document_is_reachable_from_the_readme():
    readme = text("README.md")
    pages = [d for d in DOCUMENTS[1:] if d.parent == ROOT / "docs"]
    assert [d.name for d in pages if f"docs/{d.name}" not in readme] == []
