"""Where the parts of an expression stand in its text: the parentheses around a place, the terms of a sum, the factors
of a product.

All functions take `code`, a statement without comments and continuations, and offsets in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_EXPONENT = re.compile(r"(?<![A-Z0-9_])(?:\d+\.?\d*|\.\d+)[ED]\Z", re.IGNORECASE)
_EXP = re.compile(r"(?<![A-Z0-9_])D?EXP[ \t]*\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """code[start:stop] without blanks around it. `operator` stands before it: + - of terms, * / of factors."""

    operator: str
    start: int
    stop: int

    def text(self, code: str) -> str:
        return " ".join(code[self.start : self.stop].split())


def enclosing(code: str, start: int, stop: int, begin: int, end: int) -> tuple[int, int]:
    """The inside of the parentheses around code[start:stop], or begin and end where there are none."""
    depth, left = 0, begin
    for i in range(start - 1, begin - 1, -1):
        depth += (code[i] == ")") - (code[i] == "(")
        if depth < 0:
            left = i + 1
            break
    else:
        return begin, end
    depth = 0
    for i in range(stop, end):
        depth += (code[i] == "(") - (code[i] == ")")
        if depth < 0:
            return left, i
    return begin, end


def trimmed(code: str, start: int, stop: int) -> tuple[int, int]:
    text = code[start:stop]
    return start + len(text) - len(text.lstrip()), stop - len(text) + len(text.rstrip())


def unwrapped(code: str, start: int, stop: int, begin: int, end: int) -> tuple[int, int]:
    """code[start:stop] with the parentheses that hold nothing else."""
    while True:
        left, right = enclosing(code, start, stop, begin, end)
        if (left, right) == (begin, end) or trimmed(code, left, right) != (start, stop) or _is_call(code, left - 1):
            return start, stop
        start, stop = left - 1, right + 1


def _is_call(code: str, opening: int) -> bool:
    return bool(re.search(r"[A-Za-z0-9_][ \t]*\Z", code[:opening]))


def exponential(code: str, left: int) -> int | None:
    """Where EXP starts if the parenthesis before `left` is its own."""
    match = _EXP.search(code[: left - 1]) if left and code[left - 1] == "(" else None
    return match.start() if match else None


def terms(code: str, start: int, stop: int) -> list[Part]:
    return _split(code, start, stop, "+-")


def factors(code: str, start: int, stop: int) -> list[Part]:
    return _split(code, start, stop, "*/")


def _split(code: str, start: int, stop: int, operators: str) -> list[Part]:
    found: list[Part] = []
    depth, begin, operator = 0, start, operators[0]
    i = start
    while i < stop:
        character = code[i]
        depth += (character == "(") - (character == ")")
        if depth == 0 and code.startswith("**", i):
            i += 2
            continue
        if depth == 0 and character in operators and not _EXPONENT.search(code[start:i]):
            if code[begin:i].strip():
                found.append(Part(operator, *trimmed(code, begin, i)))
            begin, operator = i + 1, character
        i += 1
    if code[begin:stop].strip():
        found.append(Part(operator, *trimmed(code, begin, stop)))
    return found


def joined(parts: list[tuple[str, str]], *, plus: str = " + ") -> str:
    """The text of (operator, text) parts in a row; a first + or * is not written."""
    text = ""
    for operator, part in parts:
        if operator in "+-":
            sign = plus.replace("+", operator)
            text += part if not text and operator == "+" else (f"-{part}" if not text else f"{sign}{part}")
        elif not text:
            text = part if operator == "*" else f"1/{part}"
        else:
            text += f"{operator}{part}"
    return text
