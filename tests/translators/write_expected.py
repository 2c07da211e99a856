"""Write what conversions give anew: `python -m tests.translators.write_expected [part of a name ...]`, then read the
difference. Golden pairs (fixtures/translate/golden) and the cases with folders of their own (fixtures/translate/*)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.translators.golden import outcome, pairs
from tests.translators.test_convert import CASES, FOLDER


def main(parts: list[str]) -> None:
    def wanted(name: str) -> bool:
        return not parts or any(part in name for part in parts)

    for pair in pairs():
        if wanted(pair.name):
            with tempfile.TemporaryDirectory() as folder:
                pair.expected.write_text(outcome(pair, Path(folder)).text, encoding="utf-8")
    for case in filter(wanted, CASES):
        _write_case(case)


def _write_case(case: str) -> None:
    from nlmevae_translators import convert

    folder = FOLDER / case / "expected"
    folder.mkdir(exist_ok=True)
    for name, text in convert(FOLDER / case / "run.ctl").files.items():
        (folder / name).write_text(text)
    if (FOLDER / case / "back").is_dir():
        for name, text in convert(folder / "run.mlxtran", to="nonmem").files.items():
            (FOLDER / case / "back" / name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
