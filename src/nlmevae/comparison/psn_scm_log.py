"""The log of PsN's scm: one block per step, with a line per candidate model.

    Model directory /home/me/scm_dir1/m1

    MODEL            TEST     BASE OFV     NEW OFV         TEST OFV (DROP)    GOAL     dDF  INSIGNIFICANT PVAL
    CLCV1-1          PVAL    582.97276   586.17609             -3.20334  >  -6.63490   -1        YES!  0.073488
    CLWGT-1          PVAL    582.97276   619.96510            -36.99235  >  -6.63490   -1              1.19e-09

    Parameter-covariate relation chosen in this backward step: CL-CV1-1
    CRITERION              PVAL > 0.01
    BASE_MODEL_OFV         582.97276
    CHOSEN_MODEL_OFV       586.17609
    Relations included after this step:
    CL      WGT-2
    V       WGT-2
    --------------------

Columns run into each other where numbers are wide (``219210.90878219167.36222``): numbers are found by their five
decimals. With gof=ofv there is no dDF and no PVAL.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

from nlmevae.errors import DataError, Location

_HEADER = re.compile(r"MODEL\s+TEST\s+(?:NAME\s+)?BASE\s")
_ROW = re.compile(r"(?P<name>\S+?)-(?P<state>\d+)\s+(?P<test>PVAL|OFV)\s(?P<rest>.*)$")
_NUMBER = re.compile(r"[+-]?\d+\.\d{5}|FAILED|[+-]?(?:inf|nan)\b", re.IGNORECASE)
_CHOSEN = re.compile(r"Parameter-covariate relation chosen in this (forward|backward) step:\s*(.*)$")
_CHOICE = re.compile(r"(\w+)-(\w+)-(\d+)$")
_VALUE = re.compile(r"(BASE_MODEL_OFV|CHOSEN_MODEL_OFV)\s*(\S+)")
_RELATIONS = re.compile(r"Relations included after (?:this|final) step:")
_IN_LIST = re.compile(r"([A-Za-z]\w*?)-(\d+)(?=\s|$|[A-Za-z])")
_DIRECTORY = re.compile(r"Model directory\s+(\S+)")
_END = re.compile(r"-{10,}$")
_BACKWARD_HEADERS = ("INSIGNIFICANT", "(IN)SIGNIFICANT")
#: PsN's signs for "no p-value": a failed run, a model that got worse with more parameters.
_NO_P = (99.0, 999.0, 9999.0, -1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScmRow:
    """One candidate. `name` is parameter and covariate in one word; numbers as printed, NaN for FAILED."""

    name: str
    state: int
    base: float
    new: float
    drop: float
    goal: float
    df: int | None
    p_value: float
    significant: bool
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScmStep:
    """One step. `chosen`: (parameter, covariate, state), None if no relation was; `included`: those in the model after
    it, None where the log does not list them, with "" and both names in one word where they cannot be told apart;
    `finished`: its last line is there."""

    directory: str
    backward: bool
    rows: tuple[ScmRow, ...]
    chosen: tuple[str, str, int] | None
    chosen_value: float
    included: tuple[tuple[str, str, int], ...] | None
    parameters: tuple[str, ...]
    finished: bool
    line: int


def read_scm_log(path: str | os.PathLike[str]) -> tuple[ScmStep, ...]:
    """
    Raises:
        DataError: it cannot be read, has no steps, or a line is not as scm writes it; with its line.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint="check the path of the log") from None
    steps: list[ScmStep] = []
    block = _Block(str(path))
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header and block.header:
            steps.append(block.step(finished=bool(block.rows and block.chosen_seen)))
            block = _Block(str(path), directory=block.next_directory)
        if header:
            block.start(line, number)
        elif _END.match(line.strip()):
            if block.header:
                steps.append(block.step(finished=True))
            block = _Block(str(path))
        else:
            block.read(line, number)
    if block.header:
        steps.append(block.step(finished=False))
    if not steps:
        raise DataError(
            f"{path} has no step of scm, a table that begins with MODEL TEST BASE ...",
            hint="give the log of a run of PsN's scm, or its folder",
        )
    return tuple(steps)


class _Block:
    """The lines of one step, as they come."""

    def __init__(self, path: str, directory: str = "") -> None:
        self.path, self.directory, self.next_directory = path, directory, ""
        self.header, self.line = False, 0
        self.backward, self.chosen_seen, self.in_list = False, False, False
        self.rows: list[ScmRow] = []
        self.chosen: tuple[str, str, int] | None = None
        self.chosen_value = math.nan
        self.included: list[tuple[str, str, int]] | None = None
        self.parameters: list[str] = []

    def start(self, line: str, number: int) -> None:
        self.header, self.line = True, number
        self.backward = any(word in line.split() for word in _BACKWARD_HEADERS)

    def read(self, line: str, number: int) -> None:
        directory = _DIRECTORY.match(line)
        if directory:
            if self.header:
                self.next_directory = directory[1]
            else:
                self.directory = directory[1]
        elif not self.header:
            return
        elif chosen := _CHOSEN.match(line):
            self._chosen(chosen, line, number)
        elif value := _VALUE.match(line):
            if value[1] == "CHOSEN_MODEL_OFV":
                self.chosen_value = _number(value[2])
        elif _RELATIONS.match(line):
            self.included, self.in_list = [], True
        elif self.in_list:
            self._relations(line)
        elif not self.chosen_seen and line.strip() and not line.startswith(("CRITERION", " ")):
            self.rows.append(_row(self.path, line, number))

    def _chosen(self, found: re.Match[str], line: str, number: int) -> None:
        self.chosen_seen = True
        self.backward = found[1] == "backward"
        choice = _CHOICE.match(found[2].strip())
        if choice:
            self.chosen = (choice[1], choice[2], int(choice[3]))
        elif found[2].strip().strip("-"):
            raise _unreadable(self.path, line, number)

    def _relations(self, line: str) -> None:
        """``CL      CV1-2   WGT-2``: a parameter, and its relations. The parameter has eight columns, a relation eight
        or more: what is longer runs into its neighbour (``DISDUR-5MENS-2``)."""
        if not line.strip() or self.included is None:
            return
        parameter, rest = (line[:8].strip(), line[8:]) if line[7:8] in ("", " ") else ("", line)
        if not parameter and "-" not in rest:
            parameter, rest = rest.strip(), ""
        self.parameters += [parameter] if parameter else []
        for found in _IN_LIST.finditer(rest):
            self.included.append((parameter, found[1], int(found[2])))

    def step(self, *, finished: bool) -> ScmStep:
        return ScmStep(
            directory=self.directory,
            backward=self.backward,
            rows=tuple(self.rows),
            chosen=self.chosen,
            chosen_value=self.chosen_value,
            included=None if self.included is None else tuple(self.included),
            parameters=tuple(self.parameters),
            finished=finished,
            line=self.line,
        )


def _row(path: str, line: str, number: int) -> ScmRow:
    found = _ROW.match(line)
    before, arrow, after = (found["rest"] if found else "").partition(">")
    values = [_number(n) for n in _NUMBER.findall(before)]
    goal = re.match(r"\s*([+-]?(?:\d+(?:\.\d+)?|inf))", after)
    if not found or not arrow or goal is None or len(values) not in (3, 4):
        raise _unreadable(path, line, number)
    rest = after[goal.end() :].split()
    significant = any(w in rest for w in ("YES!", "XV-ok"))
    numbers = [w for w in rest if w not in ("YES!", "XV-ok")]
    df, p_value = None, math.nan
    if found["test"] == "PVAL":
        if len(numbers) != 2:
            raise _unreadable(path, line, number)
        try:
            df, p_value = int(numbers[0]), float(numbers[1])
        except ValueError:
            raise _unreadable(path, line, number) from None
    return ScmRow(
        name=found["name"],
        state=int(found["state"]),
        base=values[0],
        new=values[1],
        drop=values[2],
        goal=float(goal[1]),
        df=df,
        p_value=math.nan if p_value in _NO_P else p_value,
        significant=significant,
        line=number,
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _unreadable(path: str, line: str, number: int) -> DataError:
    return DataError(
        "this line is not as scm writes it: the log is cut off or was edited",
        hint="give the log of a finished run of PsN's scm",
        location=Location(path, number, 1, max(1, len(line.strip())), line.rstrip()),
    )
