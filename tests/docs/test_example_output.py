"""The output shown in the documents is what the command prints today."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from nlmevae.cli.main import main

ROOT = Path(__file__).parents[2]
EXAMPLE = re.compile(r"<!-- example output: nlmevae (.*?) -->\n```\n(.*?)```", re.DOTALL)
EXAMPLES = [
    m for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")) for m in EXAMPLE.findall(path.read_text())
]


def shape(line: str) -> str:
    """Digits differ between machines and runs in their last places; words, columns and files do not."""
    return re.sub(r"\s+", " ", re.sub(r"-?\d[\d.e+-]*", "#", re.sub(r"-{2,}", "-", line))).strip()


def test_there_are_examples():
    assert {line.split()[0] for line, _ in EXAMPLES} == {"fit", "select"}


@pytest.mark.parametrize(("line", "shown"), EXAMPLES, ids=[line.split()[0] for line, _ in EXAMPLES])
def test_the_command_prints_what_the_document_shows(line, shown, tmp_path, monkeypatch, capsys):
    """`...` stands for any number of lines."""
    for name in ("theophylline", "monolix_project"):
        shutil.copytree(ROOT / "fixtures" / name, tmp_path / "fixtures" / name)
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(line)) == 0
    printed = [shape(text) for text in capsys.readouterr().out.splitlines()]
    for part in shown.split("...\n"):
        wanted = [shape(text) for text in part.splitlines()]
        places = [k for k in range(len(printed)) if printed[k : k + len(wanted)] == wanted]
        assert places, f"not printed in this order:\n{part}"
        printed = printed[places[0] + len(wanted) :]
