"""[code] of a PsN scm file: which known shape of covariate effect a definition is.

    CL:WGT-5=PARCOV=((COV/median)**THETA(1))        power
    V:*-2=exponential                               a name PsN has for it
    *:SEX-2=IF(COV.EQ.1) PARCOV = 1\\
    IF(COV.EQ.0) PARCOV = (1 + THETA(1))            categorical

A definition that is none of the shapes is "other": it can be listed and refused, not searched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from nlmevae.data.search.scm_text import ScmEntry
from nlmevae.errors import Location, SettingsError

Shape = Literal["none", "linear", "hockey-stick", "exponential", "power", "categorical", "added-linear", "other"]

#: PsN's states for continuous covariates.
DEFAULT_SHAPES: dict[int, Shape] = {1: "none", 2: "linear", 3: "hockey-stick", 4: "exponential", 5: "power"}
_NAMES = ("none", "linear", "hockey-stick", "exponential", "power")

_KEY = re.compile(r"(\*|[A-Za-z]\w*):(\*|[A-Za-z]\w*)-(\d+)$")
_CENTRE = r"(?P<centre>MEDIAN|MEAN|[+-]?(?:\d+\.?\d*|\.\d+)(?:[ED][+-]?\d+)?)"
_THETA = r"THETA\(1\)"
_PRODUCT = rf"(?:{_THETA}\*\(COV-{_CENTRE}\)|\(COV-{_CENTRE.replace('centre', 'centre2')}\)\*{_THETA})"
_SHAPES: tuple[tuple[Shape, re.Pattern[str]], ...] = (
    ("none", re.compile(r"1(?:\.0*)?$")),
    ("linear", re.compile(rf"1\+{_PRODUCT}$")),
    ("exponential", re.compile(rf"EXP\({_PRODUCT}\)$")),
    ("power", re.compile(rf"\(COV/{_CENTRE}\)\*\*{_THETA}$")),
    ("added-linear", re.compile(rf"{_PRODUCT}$")),
)
_CHOICE = re.compile(r"IF\(COV\.EQ\.([+-]?[\d.]+)\)PARCOV=(.+?)(?=IF\(|$)")
_OF_LEVEL = re.compile(r"\(?1[+-]THETA\((\d+)\)\)?$|\(?EXP\(THETA\((\d+)\)\)\)?$|THETA\((\d+)\)$")
_UNLESS_MISSING = re.compile(r"IF\(COV\.EQ\.([+-]?[\d.]+)\)THENPARCOV=1(?:\.0*)?ELSEPARCOV=(.*)ENDIF$")


@dataclass(frozen=True, slots=True, kw_only=True)
class StateCode:
    """What a state means for a parameter and a covariate, either of which may be "*".

    `centre`: "median", "mean" or a number, None where the shape has none; `missing`: the number for which the
    definition says that there is no effect.
    """

    parameter: str
    covariate: str
    state: int
    shape: Shape
    centre: str | None
    missing: float | None
    text: str
    at: Location

    def fits(self, parameter: str, covariate: str, state: int) -> bool:
        return self.state == state and self.parameter in ("*", parameter) and self.covariate in ("*", covariate)

    @property
    def n_stars(self) -> int:
        """A "*" for the covariate gives way before one for the parameter, so that the order is total."""
        return 2 * (self.covariate == "*") + (self.parameter == "*")


def read_code(entry: ScmEntry) -> StateCode:
    """
    Raises:
        SettingsError: the left side is not PARAMETER:COVARIATE-STATE, or state 1 is another shape than none.
    """
    key = _KEY.match(entry.key.replace(" ", ""))
    if key is None:
        raise SettingsError(
            f"[code] {entry.key} is not PARAMETER:COVARIATE-STATE", hint="write it like CL:WGT-2", location=entry.at()
        )
    parameter, covariate, state = key[1].upper(), key[2].upper(), int(key[3])
    shape, centre, missing = known_shape(entry.lines, parameter, covariate)
    if state == 1 and shape != "none":
        raise SettingsError(
            "state 1 is the relation that is not in the model, and cannot be another",
            hint="give the definition another state",
            location=entry.at(),
        )
    return StateCode(
        parameter=parameter,
        covariate=covariate,
        state=state,
        shape=shape,
        centre=centre,
        missing=missing,
        text=entry.value,
        at=entry.at(),
    )


def known_shape(lines: tuple[str, ...], parameter: str, covariate: str) -> tuple[Shape, str | None, float | None]:
    """Shape, centre and number for missing of a definition."""
    if len(lines) == 1 and lines[0] in _NAMES:
        return lines[0], None if lines[0] == "none" else "median", None  # type: ignore[return-value]
    text = _normal("".join(lines), parameter, covariate)
    unless = _UNLESS_MISSING.match(text)
    missing = float(unless[1]) if unless else None
    if unless:
        text = f"PARCOV={unless[2]}"
    if _is_categorical(text):
        return "categorical", None, missing
    left, equals, right = text.partition("=")
    if left != "PARCOV" or not equals or "=" in right:
        return "other", None, missing
    for shape, pattern in _SHAPES:
        found = pattern.match(_unwrapped(right))
        if found:
            named = found.groupdict()
            centre = named.get("centre") or named.get("centre2")
            return shape, centre.lower() if centre else None, missing
    return "other", None, missing


def _normal(text: str, parameter: str, covariate: str) -> str:
    """Without blanks, upper case, names of the relation written as PAR and COV."""
    text = re.sub(r"\s+", "", text.upper())
    if parameter != "*" and covariate != "*":
        text = re.sub(rf"\b{parameter}{covariate}\b", "PARCOV", text)
    if covariate != "*":
        text = re.sub(rf"\bPAR{covariate}\b", "PARCOV", text)
        text = re.sub(rf"\b{covariate}\b", "COV", text)
    if parameter != "*":
        text = re.sub(rf"\b{parameter}COV\b", "PARCOV", text)
    return re.sub(r"(?<=\))PARCOV=", "PARCOV=", text)


def _unwrapped(text: str) -> str:
    """Without brackets around the whole."""
    while text.startswith("(") and _closing(text) == len(text) - 1:
        text = text[1:-1]
    return text


def _closing(text: str) -> int:
    """Where the bracket that opens the text closes; -1 if nowhere."""
    depth = 0
    for k, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return k
    return -1


def _is_categorical(text: str) -> bool:
    """Every level has its own coefficient but one, which has none: the default shape of categories up to the name of
    the coefficients. Levels that share one are a shape of their own."""
    choices = _CHOICE.findall(text)
    if len(choices) < 2 or "".join(f"IF(COV.EQ.{level})PARCOV={right}" for level, right in choices) != text:
        return False
    reference = [right for _, right in choices if right.strip("()").rstrip(".0") == "1" or right.strip("()") == "1"]
    coefficients = [m for _, right in choices if (m := _OF_LEVEL.match(right))]
    numbers = {next(g for g in m.groups() if g) for m in coefficients}
    levels = {float(level) for level, _ in choices if level.strip("+-.")}
    return len(reference) == 1 and len(coefficients) == len(choices) - 1 == len(numbers) and len(levels) == len(choices)
