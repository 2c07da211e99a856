"""Lists of IGNORE=(...) and ACCEPT=(...) -> DataFilter.

    IGNORE=(ID.EQ.3)   (WT==70)   (SEX=1)   (FLAG 1)   (DV.GE.5,TIME.LT.0)   (C='NA')   (ID.EQN.3)

.EQ., .NE., ==, /=, = and a blank compare text; .EQN., .NEN. and all inequalities compare numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nlmevae.errors import Location, ModelSyntaxError, SemanticError
from nlmevae.frontends.nonmem.numbers import parse_number
from nlmevae.frontends.nonmem.options import Option
from nlmevae.frontends.nonmem.records import Record
from nlmevae.ir import Column, DataFilter

_CONDITION = re.compile(
    r"""\s*(?P<name>[A-Za-z_]\w*)
        (?:\s*(?P<operator>\.\s*[A-Za-z]{2,3}\s*\.|==|/=|<=|>=|<|>|=)\s*|\s+)
        (?P<value>"[^"]*"|'[^']*'|[^\s,'"=<>]+)\s*\Z""",
    re.VERBOSE,
)
_OPERATORS = {
    "EQ": ("==", False), "NE": ("!=", False), "==": ("==", False), "/=": ("!=", False), "=": ("==", False),
    "": ("==", False), "EQN": ("==", True), "NEN": ("!=", True), "LT": ("<", True), "<": ("<", True),
    "LE": ("<=", True), "<=": ("<=", True), "GT": (">", True), ">": (">", True), "GE": (">=", True),
    ">=": (">=", True),
}  # fmt: skip


class DataFilterReader:
    """Reads condition lists of one $DATA record."""

    def __init__(self, record: Record, columns: tuple[Column, ...]) -> None:
        self.record = record
        self.names = {name: c.name for c in columns for name in (c.name, c.synonym) if name}

    def read(self, option: Option) -> tuple[DataFilter, ...]:
        """One DataFilter for each condition of a list.

        Raises:
            ModelSyntaxError: not a list, or a condition that cannot be read.
            SemanticError: a column that $INPUT does not have.
        """
        if not option.is_list:
            raise ModelSyntaxError(
                f"{option.key} needs a list", hint=f"write {option.key}=(NAME.EQ.value)", location=option.at
            )
        inner, offset = option.value[1:-1], option.value_start + 1
        return tuple(self._condition(text, offset + start) for start, text in _parts(inner))

    def _condition(self, text: str, offset: int) -> DataFilter:
        at = self._at(text, offset)
        match = _CONDITION.match(text)
        operator = re.sub(r"[.\s]", "", match.group("operator") or "").upper() if match else "?"
        if operator not in _OPERATORS:
            raise ModelSyntaxError(
                f"{text.strip() or 'an empty condition'} is not a condition",
                hint="write NAME.EQ.value, one condition between commas",
                location=at,
            )
        name = match.group("name").upper()
        if name not in self.names:
            raise SemanticError(f"{name} is not in $INPUT", hint="conditions name a column of $INPUT", location=at)
        symbol, numeric = _OPERATORS[operator]
        value = match.group("value").strip("'\"")
        if numeric and parse_number(value) is None:
            raise ModelSyntaxError(f"{value} is not a number", hint="compare text with .EQ. or .NE.", location=at)
        return DataFilter(column=self.names[name], operator=symbol, value=value, numeric=numeric, at=at)

    def _at(self, text: str, offset: int) -> Location:
        lead = len(text) - len(text.lstrip())
        return self.record.source.location(offset + lead, max(1, len(text.strip())))


def _parts(inner: str) -> Iterator[tuple[int, str]]:
    """(offset, text) of what stands between commas outside quotes."""
    start = 0
    for match in re.finditer(r"""'[^']*'|"[^"]*"|,""", inner):
        if match.group() == ",":
            yield start, inner[start : match.start()]
            start = match.end()
    yield start, inner[start:]
