"""What NONMEM printed about a run: counts and echo of the ``.lst``, ETAs of the ``.phi``, numbers of $TABLE files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

#: Endings of a list file, as control streams and tools name it.
LIST_ENDINGS = (".lst", ".res", ".out", ".lis")

_COUNTS = {
    "records": re.compile(r"NO\. OF DATA RECS IN DATA SET:\s*(\d+)"),
    "observations": re.compile(r"TOT\. NO\. OF OBS RECS:\s*(\d+)"),
    "subjects": re.compile(r"TOT\. NO\. OF INDIVIDUALS:\s*(\d+)"),
}
_ECHO_END = re.compile(r"^\s*(NM-TRAN MESSAGES|1NONLINEAR MIXED EFFECTS|License Registered|\*{10})", re.M)
_NUMBER = re.compile(r"[+-]?(\d*)\.?(\d*)(?:[EDed]?([+-]?\d+))?$")


@dataclass(frozen=True, kw_only=True)
class ListFile:
    """`counts`: of the first $PROBLEM; `echo`: the control stream that was run, "" if not printed; `simulated`: data
    were simulated."""

    counts: dict[str, int]
    echo: str
    simulated: bool


def list_file(stream: Path) -> ListFile | None:
    """The list beside a control stream."""
    for ending in LIST_ENDINGS:
        for path in (stream.with_suffix(ending), stream.with_suffix(ending.upper())):
            if path.is_file():
                return read_list(path)
    return None


def read_list(path: Path) -> ListFile:
    text = path.read_text(errors="replace")
    counts = {name: int(found[1]) for name, pattern in _COUNTS.items() if (found := pattern.search(text))}
    end = _ECHO_END.search(text)
    head = text[: end.start()] if end else ""
    start = re.search(r"^\s*\$PROB", head, re.M | re.I)
    return ListFile(
        counts=counts, echo=head[start.start() :] if start else "", simulated="SIMULATION STEP PERFORMED" in text
    )


def same_stream(text: str, echo: str) -> bool:
    """Whether the echo is of this text: equal lines up to the estimation, but for blanks, comments, the folder of the
    data, and initial estimates (of no account where the final ones are known). Without an echo nothing is known
    against it."""
    return not echo or _essence(text) == _essence(echo)


def _essence(text: str) -> list[str]:
    start = re.search(r"^\s*\$PROB", text, re.M | re.I)
    stop = re.search(r"^\s*\$(EST|COV|TAB|SIM)", text, re.M | re.I)
    body = text[start.start() if start else 0 : stop.start() if stop else None]
    records = re.split(r"(?=^[ \t]*\$)", re.sub(r";[^\n]*", "", body), flags=re.M)
    kept = [r for r in records if not re.match(r"\s*\$(PROB|THE|OME|SIG|SIZ|ABB)", r, re.I)]
    named = (re.sub(r"^(\s*\$DATA?\s+)\S*/", r"\1", r, flags=re.I) for r in kept)
    return ["".join(r.split()).upper().strip("'\"") for r in named if r.strip()]


@dataclass(frozen=True, kw_only=True)
class PrintedTable:
    """values (n, k) and resolution (n, k): one unit of the last printed digit."""

    labels: tuple[str, ...]
    values: np.ndarray
    resolution: np.ndarray

    def column(self, label: str) -> np.ndarray:
        return self.values[:, self.labels.index(label)]


def read_printed_table(path: Path, otherwise: tuple[str, ...]) -> PrintedTable | None:
    """The first table of a file; titles and labels that come again are passed over, a second table ends it.

    Args:
        otherwise: labels, where the file has none.
    """
    labels, rows, number = otherwise, [], None
    for line in path.read_text(errors="replace").splitlines():
        words = line.replace(",", " ").replace("\t", " ").split()
        if not words:
            continue
        if words[0].upper() == "TABLE":
            if number is not None and words[-1] != number:
                break
            number = words[-1]
        elif _value(words[0]) is None:
            labels = tuple(words)
        else:
            rows.append(words)
    rows = [row for row in rows if len(row) == len(labels)]
    if not rows:
        return None
    values = [[_value(word) for word in row] for row in rows]
    if any(value is None for row in values for value in row):
        return None
    resolution = [[_resolution(word) for word in row] for row in rows]
    return PrintedTable(labels=labels, values=np.array(values), resolution=np.array(resolution))


def _value(word: str) -> float | None:
    try:
        return float(word.replace("D", "E").replace("d", "e"))
    except ValueError:
        short = re.fullmatch(r"([+-]?\d*\.\d*)([+-]\d+)", word)  # Fortran drops the E of three-digit exponents
        if short:
            return float(f"{short[1]}E{short[2]}")
        return float("nan") if word and set(word) == {"*"} else None


def _resolution(word: str) -> float:
    found = _NUMBER.match(word)
    if found is None:
        return 0.0
    return 10.0 ** (int(found[3] or 0) - len(found[2]))


def phi_etas(path: Path, n_etas: int) -> np.ndarray | None:
    """(N, n_etas) of the last table of the first $PROBLEM; None where the file has none or they are PHIs."""
    if not path.is_file():
        return None
    tables: list[tuple[list[str], list[list[str]]]] = []
    for line in path.read_text(errors="replace").splitlines():
        words = line.replace(",", " ").split()
        if not words:
            continue
        if words[0] == "TABLE":
            if re.search(r"Problem=([2-9]|1\d)", line):
                break
            tables.append(([], []))
        elif words[0] == "SUBJECT_NO" and tables:
            tables[-1][0].extend(words)
        elif tables:
            tables[-1][1].append(words)
    names = [f"ETA({k})" for k in range(1, n_etas + 1)]
    for labels, rows in reversed(tables):
        if rows and all(name in labels for name in names):
            return np.array([[_value(row[labels.index(name)]) for name in names] for row in rows], dtype=float)
    return None


def table_etas(tables: Iterator[PrintedTable], n_etas: int, subject_ptr: np.ndarray) -> np.ndarray | None:
    """(N, n_etas) where one of the tables has a column for every ETA."""
    for table in tables:
        for style in ("ETA{}", "ETA({})", "ET{}"):
            names = [style.format(k) for k in range(1, n_etas + 1)]
            if not all(name in table.labels for name in names):
                continue
            etas = np.column_stack([table.column(name) for name in names])
            if len(etas) == len(subject_ptr) - 1:
                return etas
            if len(etas) == subject_ptr[-1]:
                return np.array([etas[last - 1] for _, last in pairwise(subject_ptr)])
    return None
