"""Control streams of the syntax fixtures, and small streams made from pieces."""

from __future__ import annotations

from pathlib import Path

from nlmevae.frontends.nonmem.read import lower_control_stream
from nlmevae.frontends.nonmem.records import SourceText, read_source, source_text
from nlmevae.ir import Model, Statement

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "syntax" / "nonmem"
ACCEPTED = sorted((FIXTURES / "accepted").glob("*.ctl"))
REJECTED = sorted((FIXTURES / "rejected").glob("*.ctl"))


def accepted(name: str) -> Model:
    """The model of an accepted fixture, before recognition."""
    return lower_control_stream(read_source(FIXTURES / "accepted" / f"{name}.ctl"))


def stream(**records: str) -> SourceText:
    """A $PRED stream with one ETA and one EPS; keywords replace the text after a record's name."""
    parts = {
        "PROBLEM": "test",
        "INPUT": "ID TIME DV WT SEX AMT",
        "DATA": "data.csv IGNORE=@",
        "PRED": "\nY = THETA(1) + ETA(1) + EPS(1)\n",
        "THETA": "1",
        "OMEGA": "0.1",
        "SIGMA": "0.04",
        **records,
    }
    return source_text("".join(f"${name} {text}\n" for name, text in parts.items()), "test.ctl")


def lower(**records: str) -> Model:
    """The model of `stream`."""
    return lower_control_stream(stream(**records))


def code(text: str) -> tuple[Statement, ...]:
    """Statements of `text` in $PRED; the statement that assigns Y is left out."""
    statements = lower(PRED=f"\n{text}\nY = THETA(1) + ETA(1) + EPS(1)\n").program.error
    return statements[:-1]
