"""The abbreviated code of a covariate effect: the variables that hold it and what to put into an expression.

On the Gaussian scale of its parameter an effect is beta x, x = log(w / centre), w - centre, or 1 at one level of
w and 0 elsewhere. It is written in one of three flavours:

    factor    exp(beta x), to multiply a log-normal parameter with      CLWT = (WT/70)**THETA(4)
    summand   beta x in a variable of its own                           F1WT = THETA(4)*LOG(WT/70)
    regressor beta x with beta outside any condition, as MU_ needs it   THETA(4)*LOG(WT/70)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from nlmevae.frontends.nonmem.input_data import ROLES
from nlmevae.frontends.nonmem.reserved import (
    FUNCTION_NAMES,
    PROTECTED_FUNCTIONS,
    UNSUPPORTED_ELEMENTS,
    UNSUPPORTED_NAMES,
)
from nlmevae.ir import Candidate, CandidateColumn

Flavour = Literal["factor", "summand", "regressor"]

#: Longest variable name (NONMEM 7 and later).
LONGEST_NAME = 20

#: Names with a meaning of their own in $PK, $DES, $ERROR or $PRED, also for ADVANs the model does not use now.
_RESERVED = re.compile(
    r"MU_\d+|[ASFRDGHPEQVKCY]\d*|K\d+T\d+|ALAG\d+|CL|VSS|KA|VM|KM|AOB|ALPHA|BETA|GAMMA|T|Y|THETA|ETA|EPS|ERR|DADT|A_0"
    r"|IF|THEN|ELSE|ELSEIF|ENDIF|DO|WHILE|ENDDO|CALL|EXIT|RETURN|STOP|WRITE|READ|PRINT|OPEN|CLOSE|GOTO|CYCLE|INCLUDE"
    r"|FIRST|MAIN|LAST|ETAS|THETAS|OMEGAS|SIGMAS|DROP|SKIP"
)
_RESERVED_NAMES = frozenset((*FUNCTION_NAMES, *PROTECTED_FUNCTIONS, *UNSUPPORTED_NAMES, *UNSUPPORTED_ELEMENTS, *ROLES))
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """How the user writes code: letter case, blanks around = and +, .EQ. or ==."""

    lower: bool = False
    spaced: bool = True
    plus: str = " + "
    dotted: bool = True

    @classmethod
    def of(cls, statement: str, record: str) -> Spelling:
        """From the statement an effect goes into and the whole record."""
        code = re.sub(r";[^\r\n]*", "", record)
        symbols = re.search(r"==|/=", code) and not re.search(r"\.\s*(?:EQ|NE)N?\s*\.", code, re.IGNORECASE)
        spaced = bool(re.match(r"[^=]*\s=|[^=]*=\s", statement))
        wide = re.search(r"\s\+\s", statement) if "+" in statement else spaced
        return cls(
            lower=statement == statement.lower() and statement != statement.upper(),
            spaced=spaced,
            plus=" + " if wide else "+",
            dotted=not symbols,
        )

    def assign(self, target: str, value: str) -> str:
        return self.cased(f"{target} = {value}" if self.spaced else f"{target}={value}")

    def only_if(self, item: str, comparison: Literal["EQ", "NE"], number: float, statement: str) -> str:
        operator = f".{comparison}." if self.dotted else {"EQ": "==", "NE": "/="}[comparison]
        return f"{self.cased(f'IF ({item}{operator}{number_text(number)})')} {statement}"

    def cased(self, text: str) -> str:
        return text.lower() if self.lower else text


class FreeNames:
    """Hands out variable names that mean nothing yet."""

    def __init__(self, text: str) -> None:
        code = re.sub(r";[^\r\n]*", "", text)
        self._taken = {name.upper() for name in _NAME.findall(code)}

    def take(self, *parts: str) -> str:
        """``CLWT`` from CL and WT; where that is taken CL_WT, CL_WT_2, ..."""
        parts = tuple(re.sub(r"\W", "", part).upper() for part in parts)  # A_0(1) is a parameter too
        wanted, spread = "".join(parts)[:LONGEST_NAME].rstrip("_"), "_".join(parts)
        name, n = wanted, 1
        while name in self._taken or name in _RESERVED_NAMES or _RESERVED.fullmatch(name):
            tail = "" if n == 1 else f"_{n}"
            name = spread[: LONGEST_NAME - len(tail)].rstrip("_") + tail
            n += 1
        self._taken.add(name)
        return name


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectCode:
    """`lines` define variables; `terms` go into the expression, to be multiplied (factor) or added."""

    lines: tuple[str, ...]
    terms: tuple[str, ...]


def effect_code(
    candidate: Candidate, thetas: tuple[str, ...], flavour: Flavour, spelling: Spelling, names: FreeNames
) -> EffectCode:
    """The code of one effect.

    Args:
        thetas: names of its coefficients, one per column.
    """
    if flavour == "regressor":
        return _regressors(candidate, thetas, spelling, names)
    columns = list(zip(candidate.columns, thetas, strict=True))
    levels = [(c, t) for c, t in columns if c.shape == "indicator"]
    lines, terms = [], []
    if levels:
        name = names.take(candidate.parameter, candidate.covariate)
        lines += _by_level(candidate, name, levels, flavour, spelling)
        terms.append(name)
    for column, theta in columns:
        if column.shape != "indicator":
            name = names.take(candidate.parameter, candidate.covariate)
            value = _value(candidate, column, theta, flavour)
            lines += _guarded(candidate, name, value, _neutral(flavour), spelling)
            terms.append(name)
    return EffectCode(lines=tuple(lines), terms=tuple(spelling.cased(t) for t in terms))


def number_text(value: float) -> str:
    """The shortest text that reads back as `value`."""
    value = float(value)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value).upper()


def _neutral(flavour: Flavour) -> str:
    return "1" if flavour == "factor" else "0"


def _by_level(
    candidate: Candidate,
    name: str,
    levels: list[tuple[CandidateColumn, str]],
    flavour: Flavour,
    spelling: Spelling,
) -> list[str]:
    lines = [spelling.assign(name, _neutral(flavour))]
    for column, theta in levels:
        value = f"EXP({theta})" if flavour == "factor" else theta
        lines.append(spelling.only_if(candidate.covariate, "EQ", column.level, spelling.assign(name, value)))
    return lines


def _guarded(candidate: Candidate, name: str, value: str, neutral: str, spelling: Spelling) -> list[str]:
    """``name = value``, without effect where the covariate is missing."""
    statement = spelling.assign(name, value)
    if candidate.missing_code is None:
        return [statement]
    return [
        spelling.assign(name, neutral),
        spelling.only_if(candidate.covariate, "NE", candidate.missing_code, statement),
    ]


def _value(candidate: Candidate, column: CandidateColumn, theta: str, flavour: Flavour) -> str:
    product = f"{theta}*{_as_factor(_regressor(candidate.covariate, column))}"
    if flavour == "summand":
        return product
    if column.shape == "log":
        return f"({candidate.covariate}/{number_text(column.centre)})**{theta}"
    return f"EXP({product})"


def _regressor(item: str, column: CandidateColumn) -> str:
    """x of a "log" or "linear" column."""
    if column.shape == "log":
        return f"LOG({item}/{number_text(column.centre)})"
    if column.centre == 0.0:
        return item
    return f"{item}{'-' if column.centre > 0.0 else '+'}{number_text(abs(column.centre))}"


def _as_factor(x: str) -> str:
    """In parentheses where it is a difference."""
    return x if x.endswith(")") or x.isidentifier() else f"({x})"


def _regressors(candidate: Candidate, thetas: tuple[str, ...], spelling: Spelling, names: FreeNames) -> EffectCode:
    """x in a variable only where it needs a condition, and THETA outside of it."""
    lines, terms = [], []
    for column, theta in zip(candidate.columns, thetas, strict=True):
        if column.shape == "indicator":
            x = names.take(candidate.parameter, candidate.covariate, _level_text(candidate, column))
            one = spelling.assign(x, "1")
            lines += [spelling.assign(x, "0"), spelling.only_if(candidate.covariate, "EQ", column.level, one)]
        else:
            x = _regressor(candidate.covariate, column)
            if candidate.missing_code is not None:
                value, x = x, names.take(candidate.parameter, candidate.covariate)
                lines += _guarded(candidate, x, value, "0", spelling)
        terms.append(spelling.cased(f"{theta}*{_as_factor(x)}"))
    return EffectCode(lines=tuple(lines), terms=tuple(terms))


def _level_text(candidate: Candidate, column: CandidateColumn) -> str:
    """The level, where it can be part of a name; its place among the levels where not."""
    text = number_text(column.level)
    return text if text.isdigit() else str(candidate.columns.index(column) + 1)
