"""Writes the golden files of `fixtures/translate/modernise` anew: look at the difference before committing it."""

from __future__ import annotations

from pathlib import Path

from nlmevae_translators import Conversion, modernise

FOLDER = Path(__file__).parents[2] / "fixtures" / "translate" / "modernise"


def golden(conversion: Conversion) -> dict[str, str]:
    """What is written, and the report in lines without folders."""
    lines = [f"exit code {conversion.report.exit_code}"]
    for e in conversion.report.entries:
        line = "" if e.source is None else f" (line {e.source.line})"
        target = f" -> {e.target}" if e.target else ""
        lines.append(f"{e.kind}: {e.construct}{line}{target}: {e.reason}")
    return {**conversion.files, f"{Path(conversion.main).stem}_report.txt": "\n".join(lines) + "\n"}


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.ctl")):
        for name, text in golden(modernise(path, proof=False)).items():
            (FOLDER / "expected" / name).write_bytes(text.encode("utf-8"))
