"""NONMEM's ``.ext``: one table per estimation step, with iterations and, in row -1000000000, the final estimates.

    TABLE NO.     1: First Order Conditional Estimation with Interaction: Goal Function=...: Problem=1 ...
     ITERATION    THETA1       THETA2       SIGMA(1,1)   OMEGA(1,1)   OBJ
                0  4.69307E-03  1.00916E+00  1.30865E-02  3.09626E-02    587.36644134661617
      -1000000000  4.69555E-03  9.84258E-01  1.32410E-02  2.93508E-02    586.27605628188053

Separators are blanks, commas or tabs (FORMAT= of $ESTIMATION). The order of the columns is an option of NONMEM's
(ORDER=): they are read by name. The title may be missing (NOTITLE=1).
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from nlmevae.errors import DataError, Location
from nlmevae.results.parameter_values import ParameterValues

FINAL = -1000000000
#: A table of an evaluation at design points, which is no estimation.
_DESIGN = "OPTIMALITY"
_PROBLEM = re.compile(r"\bProblem=(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtTable:
    """One estimation step. `number` is NONMEM's ("TABLE NO."), `method` its words, `problem` the number of its
    $PROBLEM; `columns` the names behind ITERATION; `rows` iteration -> values in column order (the last of equal
    iterations)."""

    path: str
    number: int
    method: str
    problem: int
    columns: tuple[str, ...]
    rows: dict[int, tuple[float, ...]]

    @property
    def is_design(self) -> bool:
        return _DESIGN in self.method.upper()

    def final(self) -> ParameterValues:
        """Row -1000000000 by name.

        Raises:
            DataError: there is none (the run did not finish).
        """
        row = self.rows.get(FINAL)
        if row is None:
            raise DataError(
                f"table {self.number} of {self.path} has no row {FINAL}, so it has no final estimates",
                hint="the run did not finish; choose another table with --table, or give the values in a CSV file of "
                "name,value",
            )
        named = dict(zip(self.columns, row, strict=True))
        objective = next((v for name, v in named.items() if _is_objective(name)), float("nan"))
        parameters = [(name, value) for name, value in named.items() if not _is_objective(name)]
        method = f": {self.method}" if self.method else ""
        source = f"{self.path}, table {self.number}{method}"
        return ParameterValues.of(parameters, source=source, objective=objective)


def read_ext(path: str | os.PathLike[str]) -> tuple[ExtTable, ...]:
    """All tables of the file, in order.

    Raises:
        DataError: it cannot be read, or a line is not what NONMEM writes; with its line.
    """
    tables: list[ExtTable] = []
    title: _Title | None = None
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint="check the path of the .ext file") from None
    for number, line in enumerate(lines, 1):
        words = _cells(line)
        if not words:
            continue
        if words[0].upper() == "TABLE":
            title = _Title.read(line, otherwise=len(tables) + 1)
        elif words[0].upper() == "ITERATION":
            named = title or _Title(number=len(tables) + 1, method="", problem=1)
            tables.append(ExtTable(path=str(path), **asdict(named), columns=tuple(words[1:]), rows={}))
            title = None
        elif not tables or title is not None:
            raise _unreadable(path, number, line, "stands before the line ITERATION THETA1 ... that names the columns")
        else:
            iteration, values = _row(path, number, line, words, len(tables[-1].columns))
            tables[-1].rows[iteration] = values
    if not tables:
        raise DataError(f"{path} has no table with a line ITERATION THETA1 ...", hint="give an .ext file of NONMEM")
    return tuple(tables)


def final_estimates(path: str | os.PathLike[str], *, table: int | None = None) -> ParameterValues:
    """The final estimates of the last estimation of the first $PROBLEM, or of TABLE NO. `table`.

    Raises:
        DataError: the file cannot be read, has no such table, or the table no final estimates.
    """
    tables = [t for t in read_ext(path) if not t.is_design]
    first = min((t.problem for t in tables), default=1)
    chosen = [t for t in tables if (t.problem == first if table is None else t.number == table)]
    if not chosen:
        which = "of an estimation" if table is None else str(table)
        numbers = ", ".join(str(t.number) for t in tables) or "none"
        raise DataError(f"{path} has no table {which}", hint=f"tables of estimations in the file: {numbers}")
    return chosen[-1].final()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Title:
    """What ``TABLE NO.     1: First Order: Goal Function=...: Problem=1 Subproblem=0 ...`` says."""

    number: int
    method: str
    problem: int

    @classmethod
    def read(cls, line: str, *, otherwise: int) -> _Title:
        """`otherwise`: the number if the line has none."""
        head, _, rest = line.strip().partition(":")
        number = head.split()[-1]
        problem = _PROBLEM.search(rest)
        return cls(
            number=int(number) if number.isdigit() else otherwise,
            method=rest.split(": Goal Function")[0].split(": Problem=")[0].strip(),
            problem=int(problem[1]) if problem else 1,
        )


def _cells(line: str) -> list[str]:
    """The line's own separator decides: a comma, else a tab, else blanks."""
    if line.lstrip().upper().startswith("TABLE"):
        return line.split()
    separator = "," if "," in _outside_brackets(line) else "\t" if "\t" in line else None
    if separator is None:
        return line.split()
    return [cell.strip() for cell in _split(line, separator)]


def _outside_brackets(line: str) -> str:
    """Without what stands in brackets: the comma of ``OMEGA(2,1)`` separates nothing."""
    depth, kept = 0, []
    for character in line:
        depth += (character == "(") - (character == ")")
        if depth == 0:
            kept.append(character)
    return "".join(kept)


def _split(line: str, separator: str) -> list[str]:
    cells, depth = [""], 0
    for character in line:
        depth += (character == "(") - (character == ")")
        if character == separator and depth == 0:
            cells.append("")
        else:
            cells[-1] += character
    return cells if cells[0].strip() else cells[1:]


def _row(
    path: str | os.PathLike[str], number: int, line: str, words: list[str], n_columns: int
) -> tuple[int, tuple[float, ...]]:
    if len(words) != n_columns + 1:
        raise _unreadable(path, number, line, f"has {len(words)} numbers for {n_columns + 1} columns")
    try:
        numbers = tuple(_number(word) for word in words)
        return round(numbers[0]), numbers[1:]
    except (ValueError, OverflowError):
        raise _unreadable(path, number, line, "is not a row of numbers") from None


def _number(word: str) -> float:
    """Fortran writes overflow as asterisks; that is a number nobody knows."""
    return float("nan") if set(word) == {"*"} else float(word.replace("D", "E").replace("d", "e"))


def _is_objective(name: str) -> bool:
    """OBJ, SAEMOBJ, MCMCOBJ, ...: the last column."""
    return name.upper().endswith("OBJ")


def _unreadable(path: str | os.PathLike[str], number: int, line: str, what: str) -> DataError:
    return DataError(
        f"this line {what}",
        hint="give an .ext file as NONMEM writes it",
        location=Location(path=str(path), line=number, length=len(line.strip()) or 1, snippet=line.rstrip()),
    )
