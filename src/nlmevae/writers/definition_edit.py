"""Covariates put into the user's own definition of an individual parameter, which otherwise stays as it is written.

V = {distribution=logNormal, typical=V_pop, sd=omega_V}
V = {distribution=logNormal, typical=V_pop, covariate=logWT, coefficient=beta_V_logWT, sd=omega_V}
V = {distribution=logNormal, typical=V_pop, covariate={logWT, SEX}, coefficient={beta_V_logWT, {0, beta}}, sd=omega_V}
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_COVARIATE = re.compile(r"(?<![\w.])covariate\s*=\s*", re.IGNORECASE)
_COEFFICIENT = re.compile(r"(?<![\w.])coefficient\s*=\s*", re.IGNORECASE)
_VARIABILITY = re.compile(r"(?<![\w.-])(?:varlevel\s*=|sd\s*=|var\s*=|no-variability)", re.IGNORECASE)
_WORD = re.compile(r"[^\s,{}]+")


def with_terms(
    text: str, code: str, covariates: Sequence[str], coefficients: Sequence[str], n_present: int
) -> str | None:
    """The definition `text` with more covariates.

    Args:
        code: `text` with its comments blanked.
        coefficients: one for each of `covariates`, as Mlxtran writes it (``beta``, ``{0, beta}``).
        n_present: covariates the definition has.

    Returns:
        None where the text has no place for them.
    """
    if not n_present:
        place = _VARIABILITY.search(code)
        if place is None or _COVARIATE.search(code):
            return None
        added = f"covariate={_listed(covariates)}, coefficient={_listed(coefficients)}, "
        return text[: place.start()] + added + text[place.start() :]
    names, values = _value(code, _COVARIATE), _value(code, _COEFFICIENT)
    if names is None or values is None:
        return None
    several = code[names[0]] == "{"
    new = sorted(
        (_joined(text, names, covariates, several), _joined(text, values, coefficients, several)), reverse=True
    )
    for start, stop, written in new:
        text = text[:start] + written + text[stop:]
    return text


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{{{', '.join(parts)}}}"


def _joined(text: str, span: tuple[int, int], parts: Sequence[str], listed: bool) -> tuple[int, int, str]:
    """The value at `span`, which is a list of them or one of them, with `parts` behind."""
    value = text[span[0] : span[1]]
    inside = value[1:-1].rstrip() if listed and value.startswith("{") else value
    return (*span, f"{{{inside}, {', '.join(parts)}}}")


def _value(code: str, key: re.Pattern[str]) -> tuple[int, int] | None:
    """Where the value of a key stands: a word, or what is in braces."""
    found = key.search(code)
    if found is None:
        return None
    start = found.end()
    if code[start : start + 1] != "{":
        word = _WORD.match(code, start)
        return None if word is None else word.span()
    depth = 0
    for position in range(start, len(code)):
        depth += (code[position] == "{") - (code[position] == "}")
        if depth == 0:
            return start, position + 1
    return None
