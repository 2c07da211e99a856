"""Cases of conversion with all that is written and reported.

fixtures/translate/<group>/<case>/
    run.ctl or project.mlxtran   with data.csv, or without
    arguments.json               of `convert`, if any
    expected/                    the files, and report.txt: exit code and report as printed

`python -m tests.translators.golden_cases` writes `expected` anew; read the difference.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import chdir
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "fixtures" / "translate"
GROUPS = ("no_data", "left_out", "events")
CASES = sorted(p.parent for g in GROUPS for e in ("*.ctl", "*.mlxtran") for p in (FOLDER / g).glob(f"*/{e}"))
#: Of the proof: digits that depend on the machine.
_DIGITS = re.compile(r"(difference|densities) [-+.\de]+(?=[,;]|$)", re.MULTILINE)


def produced(case: Path) -> dict[str, str]:
    """Name -> text of everything the conversion gives."""
    from nlmevae.errors import NlmevaeError
    from nlmevae_translators import convert

    model = next(p.name for e in ("*.ctl", "*.mlxtran") for p in case.glob(e))
    given = case / "arguments.json"
    options = json.loads(given.read_text()) if given.is_file() else {}
    with chdir(case):
        try:
            conversion = convert(model, to="nonmem" if model.endswith(".mlxtran") else "mlxtran", **options)
        except NlmevaeError as error:
            return {"report.txt": f"{error}\n"}
    report = conversion.report
    text = _DIGITS.sub(r"\1 ...", report.text) if report.proof is not None and report.proof.holds else report.text
    return {**conversion.files, "report.txt": f"exit code {report.exit_code}\n{text}\n"}


def expected(case: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in (case / "expected").iterdir()}


def main() -> None:
    for case in CASES:
        folder = case / "expected"
        folder.mkdir(exist_ok=True)
        files = produced(case)
        for old in folder.iterdir():
            if old.name not in files:
                os.unlink(old)
        for name, text in files.items():
            (folder / name).write_text(text)


if __name__ == "__main__":
    main()
