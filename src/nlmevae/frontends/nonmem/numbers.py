"""Numbers of parameter records."""

from __future__ import annotations

import math
import re

from nlmevae.errors import ModelSyntaxError
from nlmevae.frontends.nonmem.options import Token

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[ED][+-]?\d+)?\Z", re.IGNORECASE)
_REPEAT = re.compile(r"X(\d+)\Z", re.IGNORECASE)

#: Size of a block and number of repetitions: beyond it, a slip of the pen.
MOST = 9999


def parse_number(text: str) -> float | None:
    """The value of a NONMEM number (1, .5, 1E-3, 1.D0, INF); None if it is none."""
    upper = text.upper()
    if upper in ("INF", "+INF", "INFINITY"):
        return math.inf
    if upper in ("-INF", "-INFINITY"):
        return -math.inf
    return float(upper.replace("D", "E")) if _NUMBER.match(text) else None


def number_of(token: Token, what: str) -> float:
    """The value of a token that must be a number."""
    value = parse_number(token.text) if token.kind == "word" else None
    if value is None:
        raise ModelSyntaxError(f"{token.text} is not {what}", hint="write a number", location=token.at)
    return value


def estimate_of(token: Token, what: str = "an initial estimate") -> float:
    """`number_of`, finite."""
    value = number_of(token, what)
    if not math.isfinite(value):
        raise ModelSyntaxError(f"{token.text} is not {what}", hint="write a finite number", location=token.at)
    return value


def repeat_of(tokens: list[Token], i: int) -> tuple[int, int]:
    """(count, next index) of an ``xN`` after a closing parenthesis; (1, i) if there is none."""
    if i < len(tokens) and tokens[i].kind == "word" and (match := _REPEAT.match(tokens[i].text)):
        count = int(match.group(1))
        if count < 1:
            raise ModelSyntaxError("x0 repeats nothing", hint="write x1 or more", location=tokens[i].at)
        if count > MOST:
            raise ModelSyntaxError(
                f"x{count} repeats too often", hint=f"write a number from 1 to {MOST}", location=tokens[i].at
            )
        return count, i + 1
    return 1, i
