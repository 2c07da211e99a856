"""Covariate statements of Pharmpy's model feature language (MFL).

    statements   statement ((";" | newline) statement)*
    statement    LET(NAME, values)
                 COVARIATE[?](parameters, covariates, effects [, op])
    parameters   values | @NAME | *
    covariates   values | @NAME | *
    effects      effect | [effect, ...] | *       lin piece_lin exp pow cat cat2 custom
    op           * | +
    values       value | [value, ...]

Names of features and effects are read in upper and lower case alike; "?" marks an effect that may stay out, without it
the effect is always in the model. Other features (ABSORPTION, PERIPHERALS, ...) are those of a structural search.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from nlmevae.data.search.suggestion import suggestion
from nlmevae.errors import Location, SettingsError

EFFECTS = ("lin", "piece_lin", "exp", "pow", "cat", "cat2", "custom")
OTHER_FEATURES = (
    "ABSORPTION", "ELIMINATION", "PERIPHERALS", "TRANSITS", "LAGTIME", "ALLOMETRY", "DIRECTEFFECT", "EFFECTCOMP",
    "INDIRECTEFFECT", "METABOLITE", "IIV", "IOV", "COVARIANCE",
)  # fmt: skip
_TOKEN = re.compile(r"[ \t\r]*(?:([A-Za-z0-9_\-]+)|([()\[\],;?@*+\n])|(\S))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Parameters or covariates. `group`: the name after @, else ""; `values`: upper case; `every`: it is "*"."""

    values: tuple[str, ...]
    group: str
    every: bool
    at: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class CovariateStatement:
    """``COVARIATE?(CL, [WT, AGE], exp, *)``; `effects` () for "*"."""

    parameters: Names
    covariates: Names
    effects: tuple[str, ...]
    operation: Literal["*", "+"]
    optional: bool
    at: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class MflSearch:
    """`definitions`: values by the name that LET gives them."""

    statements: tuple[CovariateStatement, ...]
    definitions: dict[str, tuple[str, ...]]


def read_mfl(text: str, *, source: str = "--mfl") -> MflSearch:
    """
    Raises:
        SettingsError: the text is not MFL, or has no or other statements than those of covariates; with its place.
    """
    return _Reader(text, source).search()


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    is_name: bool
    start: int


class _Reader:
    """Recursive descent over the tokens; an empty text ends them."""

    def __init__(self, text: str, source: str) -> None:
        self.text, self.source = text, source
        self.tokens = [
            _Token(m[1] or m[2] or m[3], bool(m[1]), m.end() - len(m[1] or m[2] or m[3]))
            for m in _TOKEN.finditer(text)
            if m.group().strip(" \t\r")
        ]
        self.tokens.append(_Token("", False, len(text)))
        self.k = 0

    # places ---------------------------------------------------------------------------------------
    def at(self, token: _Token) -> Location:
        before = self.text[: token.start]
        line = before.count("\n")
        snippet = self.text.split("\n")[line] if self.text else ""
        column = token.start - (before.rfind("\n") + 1)
        return Location(self.source, line + 1, column + 1, max(1, len(token.text.strip())), snippet)

    def wrong(self, what: str, hint: str, token: _Token | None = None) -> SettingsError:
        return SettingsError(what, hint=hint, location=self.at(token or self.now))

    @property
    def now(self) -> _Token:
        return self.tokens[self.k]

    def take(self, expected: str = "") -> _Token:
        """The next token, which must be `expected` if that is given."""
        token = self.now
        if expected and token.text != expected:
            shown = "the end" if not token.text else "a new line" if token.text == "\n" else f"{token.text!r}"
            raise self.wrong(
                f"here stands {shown}, where {expected!r} belongs",
                'write it like COVARIATE?(CL, [WT, AGE], exp, *) or LET(SIZE, [WT, BSA]), with ";" between statements',
            )
        self.k += 1
        return token

    # the grammar ----------------------------------------------------------------------------------
    def search(self) -> MflSearch:
        statements: list[CovariateStatement] = []
        definitions: dict[str, tuple[str, ...]] = {}
        while True:
            while self.now.text in (";", "\n"):
                self.take()
            if not self.now.text:
                break
            self._statement(statements, definitions)
            if self.now.text not in (";", "\n", ""):
                raise self.wrong(f"{self.now.text!r} follows a statement", 'separate statements with ";" or a new line')
        if not statements:
            raise SettingsError(
                f"{self.source} has no COVARIATE statement", hint="write it like COVARIATE?(@IIV, @CONTINUOUS, exp, *)"
            )
        return MflSearch(statements=tuple(statements), definitions=definitions)

    def _statement(self, statements: list[CovariateStatement], definitions: dict[str, tuple[str, ...]]) -> None:
        token = self.take()
        word = token.text.upper()
        if word == "LET":
            name, values = self._definition()
            if name in definitions:
                raise self.wrong(f"{name} is defined twice", "keep one LET", token)
            definitions[name] = values
        elif word == "COVARIATE":
            statements.append(self._covariate(token))
        elif word in OTHER_FEATURES:
            raise self.wrong(
                f"{word} is a feature of a structural search, and here covariates are searched",
                "take it out, and write the structure that you want into the control stream",
                token,
            )
        else:
            known = ("COVARIATE", "LET")
            raise self.wrong(f"there is no feature {token.text!r}", suggestion(word, known, "write"), token)

    def _definition(self) -> tuple[str, tuple[str, ...]]:
        self.take("(")
        name = self._name("a name")
        self.take(",")
        values = self._values()
        self.take(")")
        return name.text.upper(), values

    def _covariate(self, start: _Token) -> CovariateStatement:
        optional = self.now.text == "?"
        if optional:
            self.take()
        self.take("(")
        parameters = self._names()
        self.take(",")
        covariates = self._names()
        self.take(",")
        effects = self._effects()
        operation = "*"
        if self.now.text == ",":
            self.take()
            if self.now.text not in ("*", "+"):
                raise self.wrong(f"{self.now.text!r} is no operation", "write * or +")
            operation = self.take().text
        self.take(")")
        return CovariateStatement(
            parameters=parameters,
            covariates=covariates,
            effects=effects,
            operation=operation,  # type: ignore[arg-type]
            optional=optional,
            at=self.at(start),
        )

    def _names(self) -> Names:
        token = self.now
        if token.text == "*":
            self.take()
            return Names(values=(), group="", every=True, at=self.at(token))
        if token.text == "@":
            self.take()
            group = self._name("the name of a group, as in @IIV,")
            return Names(values=(), group=group.text.upper(), every=False, at=self.at(group))
        return Names(values=self._values(), group="", every=False, at=self.at(token))

    def _values(self) -> tuple[str, ...]:
        if self.now.text != "[":
            return (self._name("a name").text.upper(),)
        self.take()
        found = []
        while self.now.text != "]":
            found.append(self._name("a name").text.upper())
            if self.now.text != "]":
                self.take(",")
        if not found:
            raise self.wrong("the list is empty", "name something in it, or take the statement out")
        self.take()
        return tuple(dict.fromkeys(found))

    def _effects(self) -> tuple[str, ...]:
        """() for "*"."""
        if self.now.text == "*":
            self.take()
            return ()
        start = self.k
        found = self._values()
        for token in self.tokens[start : self.k]:
            if token.is_name and token.text.lower() not in EFFECTS:
                raise self.wrong(
                    f"there is no effect {token.text!r}", suggestion(token.text, EFFECTS, "effects are"), token
                )
        return tuple(name.lower() for name in found)

    def _name(self, what: str) -> _Token:
        if not self.now.is_name:
            raise self.wrong(
                f"here stands {self.now.text.strip() or 'the end'!r}, where {what} belongs",
                "write it like COVARIATE?(CL, [WT, AGE], exp, *)",
            )
        return self.take()
