"""The small Monolix project of the fixtures, staged where a run may write."""

from __future__ import annotations

import shutil
from pathlib import Path

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
#: A fit of seconds; its numbers are not final.
SHORT = ("burn_in_iterations=4", "training_iterations=6", "max_outer=2", "final_draws=512", "n_draws=64")


def stage_project(folder: Path, *changes: tuple[str, str]) -> Path:
    """The project in `folder`/monolix_project with `changes` (old text, new text); its path."""
    for name in ("monolix_project", "theophylline"):
        shutil.copytree(FIXTURES / name, folder / name)
    path = folder / "monolix_project" / "theophylline.mlxtran"
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return path


def short_line(*words: str) -> list[str]:
    """A command line of a short fit."""
    return [*words, "--quiet", *(part for pair in SHORT for part in ("--set", pair))]
